//! What several threads may see of weights that they all write.
//!
//! Results of races are tested by bounds, never by values: an addition may be lost, but
//! a weight is never a mixture of two others, and compare-and-exchange loses nothing.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use asyn_core::shared::{Isa, SharedWeights, Stamps};
use parking_lot::Mutex;

const N_THREADS: usize = 4;

/// How often a thread repeats its operation.
const REPEATS: usize = if cfg!(miri) { 5 } else { 2000 };

/// The weights in a view: whole vectors, half a vector and single ones.
const LEN: usize = 45;

fn supported() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_supported())
}

/// Runs `work` on several threads at once, with the number of each.
fn race(work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for worker in 0..N_THREADS {
            let work = &work;
            scope.spawn(move || {
                for _ in 0..REPEATS {
                    work(worker);
                }
            });
        }
    });
}

#[test]
fn each_missed_step_is_told_to_one_worker() {
    let stamps = Stamps::new(2);
    let last = u32::try_from(N_THREADS * REPEATS).unwrap();
    let (next, told) = (AtomicU32::new(1), Mutex::new(Vec::new()));
    race(|_| {
        let to = next.fetch_add(1, Ordering::Relaxed);
        let was = stamps.raise(1, to);
        if was < to {
            told.lock().push((was, to));
        }
    });
    assert_eq!([stamps.get(0), stamps.get(1)], [0, last]);
    let mut told = told.into_inner();
    told.sort_unstable();
    let ends = told.iter().map(|&(_, to)| to);
    let starts = told.iter().map(|&(was, _)| was);
    assert!(std::iter::once(0).chain(ends).eq(starts.chain([last])), "{told:?}");
}

#[test]
fn no_addition_by_exchange_is_lost() {
    for isa in supported() {
        let weights = SharedWeights::with_isa(8 + LEN, isa);
        race(|_| weights.view(8, LEN).add_scaled_cas(0.5, &[2.0; LEN]));
        let total = (N_THREADS * REPEATS) as f32;
        assert_eq!(weights.to_vec()[8..], [total; LEN]);

        let weights = SharedWeights::with_isa(3 * 24, isa);
        let rows = weights.rows(0, 3, 24);
        race(|_| rows.add_rows_cas(&[0, 2, 2], 1.0, &[1.0; 24]));
        assert_eq!(rows.row(0).get(0), total);
        assert_eq!(rows.row(1).get(0), 0.0);
        assert_eq!(rows.row(2).get(23), 2.0 * total);
    }
}

#[test]
fn no_blend_by_exchange_is_lost() {
    for isa in supported() {
        // Keeping -1 of a weight and adding 1 alternates between 0 and 1.
        let weights = SharedWeights::with_isa(LEN, isa);
        race(|_| weights.view(0, LEN).scale_add_cas(-1.0, 1.0, &[1.0; LEN]));
        let last = (N_THREADS * REPEATS % 2) as f32;
        assert_eq!(weights.to_vec(), [last; LEN]);

        let rows = weights.rows(0, 1, 24);
        rows.row(0).write_from(&[0.0; 24]);
        race(|_| rows.blend_rows_cas(&[0], &[-1.0], &[1.0], &[1.0; 24]));
        assert_eq!(rows.row(0).get(7), last);
    }
}

/// Checks that `weight` counts additions of one, of which some may be lost.
#[track_caller]
fn check_count(weight: f32, least: f32, additions: usize) {
    assert_eq!(weight.fract(), 0.0, "a mixture of two values: {weight}");
    assert!((least..=additions as f32).contains(&weight), "not a count: {weight}");
}

#[test]
fn racy_additions_lose_but_never_mix() {
    for isa in supported() {
        for start in [0, 8] {
            let weights = SharedWeights::with_isa(start + LEN, isa);
            let view = weights.view(start, LEN);
            race(|worker| {
                if worker % 2 == 0 {
                    view.add_scaled(1.0, &[1.0; LEN]);
                } else {
                    view.scale_add(1.0, 0.5, &[2.0; LEN]);
                }
                check_count(view.get(LEN - 1), 1.0, N_THREADS * REPEATS);
            });
            for &weight in &weights.to_vec()[start..] {
                check_count(weight, 1.0, N_THREADS * REPEATS);
            }
        }
    }
}

#[test]
fn racy_rows_lose_but_never_mix() {
    for isa in supported() {
        for stride in [16, 24, 72] {
            let weights = SharedWeights::with_isa(4 * stride, isa);
            let rows = weights.rows(0, 4, stride);
            let ones = vec![1.0; stride];
            race(|_| {
                rows.add_rows(&[0, 1, 3], 1.0, &ones);
                rows.blend_rows(&[1, 2], &[1.0; 2], &[1.0; 2], &ones);
                let mut sum = vec![0.0; stride];
                rows.sum_rows(&[0, 2], &mut sum);
                for sum in sum {
                    check_count(sum, 2.0, 2 * N_THREADS * REPEATS);
                }
            });
            for weight in weights.to_vec() {
                check_count(weight, 1.0, 2 * N_THREADS * REPEATS);
            }
        }
    }
}

#[test]
fn racy_rank_updates_lose_but_never_mix() {
    let (k, n, t) = (9, 32, 2);
    for isa in supported() {
        let weights = SharedWeights::with_isa(k * n, isa);
        let panels = weights.panels(0, k, n);
        let (x, dy) = (vec![1.0; t * k], vec![0.5; t * n]);
        race(|_| {
            let mut y = vec![0.0; t * n];
            panels.rank_update(1.0, &x, &dy, t);
            panels.gemm(&x, t, &mut y);
            for y in y {
                check_count(y, k as f32, k * N_THREADS * REPEATS);
            }
        });
        for weight in weights.to_vec() {
            check_count(weight, 1.0, N_THREADS * REPEATS);
        }
    }
}

/// A reader sees, for each weight, one of the values that were written, although any
/// mixture of their bytes would be another.
#[test]
fn readers_see_whole_values() {
    let written = [0x0102_0304, 0x3132_3334, 0x4142_4344, 0x5152_5354].map(f32::from_bits);
    for isa in supported() {
        for start in [0, 8, 16, 24] {
            let weights = SharedWeights::with_isa(start + LEN, isa);
            let view = weights.view(start, LEN);
            view.write_from(&[written[0]; LEN]);
            let done = AtomicBool::new(false);
            thread::scope(|scope| {
                for value in &written[1..] {
                    let done = &done;
                    scope.spawn(move || {
                        while !done.load(Ordering::Relaxed) {
                            view.write_from(&[*value; LEN]);
                            thread::yield_now();
                        }
                    });
                }
                let mut seen = [0.0; LEN];
                for _ in 0..REPEATS {
                    view.read_into(&mut seen);
                    let whole = seen.iter().all(|value| written.contains(value));
                    if !whole {
                        done.store(true, Ordering::Relaxed);
                        panic!("a mixture of values: {seen:?}");
                    }
                }
                done.store(true, Ordering::Relaxed);
            });
        }
    }
}
