//! Products of private rows with a live shared matrix, against the speed of the
//! multiply-add units.
//!
//! Covers: `gemm`, `gemm_t`, `rank_update` and `rank_adam_step` for 1 to 64 rows on two
//! matrices, of which one fits into a second-level cache of 1 MB and the other, of 1.3 MB,
//! streams from the third level, with every instruction set of the processor. The tables
//! that are printed first give each as a share of the peak, measured in turn with it;
//! Criterion's figures follow.
#![allow(clippy::print_stdout, reason = "a bench reports to its terminal")]

use std::hint::black_box;
use std::time::Duration;

use asyn_core::shared::{AdamStep, Isa, SharedWeights, isa};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use interleaved::Timing;

#[path = "interleaved.rs"]
mod interleaved;
#[path = "peak.rs"]
mod peak;

/// The rows and columns of the matrices: the four gates of recurrent layers of the two
/// sizes in Sun (2016, table 2), padded to whole panels.
const SIZES: [(usize, usize); 2] = [(170, 688), (280, 1120)];
/// The numbers of input rows.
const ROWS: [usize; 8] = [1, 2, 3, 4, 8, 16, 25, 64];
/// The acts, in the order of [`Fixture::act`].
const ACTS: [&str; 4] = ["gemm", "gemm_t", "rank_update", "rank_adam_step"];
/// Steps so small that the weights stay what they are.
const STEP: AdamStep =
    AdamStep { rate: 1e-9, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, limit: 1e3, scale: 1.0 };

/// The operands for `t` rows.
struct Fixture {
    weights: SharedWeights,
    moments: [SharedWeights; 2],
    k: usize,
    n: usize,
    t: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    dx: Vec<f32>,
}

impl Fixture {
    fn new(isa: Isa, (k, n): (usize, usize), t: usize) -> Self {
        let len = k * n;
        let mut weights = SharedWeights::with_isa(len, isa);
        for (i, weight) in weights.as_mut_slice().iter_mut().enumerate() {
            *weight = (i % 23) as f32 * 0.01 - 0.11;
        }
        let x = (0..t * k).map(|i| (i % 17) as f32 * 0.01 - 0.08).collect();
        let moments = [0; 2].map(|_| SharedWeights::with_isa(len, isa));
        Self { weights, moments, k, n, t, x, y: vec![0.0; t * n], dx: vec![0.0; t * k] }
    }

    fn act(&mut self, act: usize) {
        let w = self.weights.panels(0, self.k, self.n);
        match act {
            0 => w.gemm(&self.x, self.t, &mut self.y),
            1 => w.gemm_t(&self.y, self.t, &mut self.dx),
            2 => w.rank_update(1e-9, &self.x, &self.y, self.t),
            _ => {
                let [m, v] = self.moments.each_ref().map(|moment| moment.panels(0, self.k, self.n));
                w.rank_adam_step([&m, &v], &STEP, &self.x, &self.y, self.t);
            }
        }
    }

    fn flops(&self) -> f64 {
        (2 * self.t * self.k * self.n) as f64
    }
}

/// Prints each act as a share of the peak.
fn share_of_peak(_: &mut Criterion) {
    let sets = Isa::ALL.into_iter().filter(|isa| isa.is_supported());
    for (isa, size) in sets.flat_map(|isa| SIZES.map(|size| (isa, size))) {
        println!("{isa}, {} x {}: GF/s (share of the peak of multiply-adds)", size.0, size.1);
        for t in ROWS {
            let mut fixture = Fixture::new(isa, size, t);
            print!("  {t:>2} rows");
            for (act, name) in ACTS.iter().enumerate() {
                let flops = fixture.flops();
                let mut run = || fixture.act(act);
                let Some((peak, peak_flops)) = peak::of(isa) else {
                    let timing = Timing::of(&mut [&mut run]);
                    print!("   {name} {:.0}", flops / timing.seconds(0) / 1e9);
                    continue;
                };
                let mut peak = || {
                    black_box(peak(black_box(0.5)));
                };
                let timing = Timing::of(&mut [&mut run, &mut peak]);
                let share = flops / peak_flops / timing.ratio(0, 1);
                let speed = flops / timing.seconds(0) / 1e9;
                print!("   {name} {speed:.0} ({:.0} %)", 100.0 * share);
            }
            println!();
        }
        if let Some((peak, flops)) = peak::of(isa) {
            let timing = Timing::of(&mut [&mut || {
                black_box(peak(black_box(0.5)));
            }]);
            println!("  peak {:.0} GF/s", flops / timing.seconds(0) / 1e9);
        }
    }
}

fn products(c: &mut Criterion) {
    for size @ (k, n) in SIZES {
        let mut group = c.benchmark_group(format!("panels_{k}x{n}"));
        group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(500));
        for (act, name) in ACTS.iter().enumerate() {
            for t in ROWS {
                let mut fixture = Fixture::new(isa(), size, t);
                group.throughput(Throughput::Elements((t * k * n) as u64));
                group.bench_function(BenchmarkId::new(*name, t), |b| b.iter(|| fixture.act(act)));
            }
        }
        group.finish();
    }
}

criterion_group!(benches, share_of_peak, products);
criterion_main!(benches);
