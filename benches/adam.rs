//! A step of Adam against the bandwidth of memory.
//!
//! Covers: `adam_step` with a gradient as long as the weights, and `rank_adam_step` with the factors
//! of one token and of eight, on a matrix that the third-level cache holds with its moments, and on
//! one that no cache holds. Each is measured in turn with plain slices that are read and written
//! as the step reads and writes: three tables there and back, and the gradient there, if there is
//! one. The share that is printed is the time of the plain slices over that of the step.
#![allow(unsafe_code, reason = "plain slices are read with instructions of one set")]
#![allow(clippy::print_stdout, reason = "a bench reports to its terminal")]

use std::cell::RefCell;
use std::hint::black_box;

use asyn_core::shared::{AdamStep, Isa, SharedWeights, isa};
use criterion::{Criterion, criterion_group, criterion_main};

use interleaved::Timing;

#[path = "interleaved.rs"]
mod interleaved;

/// Matrices, rows by columns.
const SHAPES: [(usize, usize); 2] = [(288, 1120), (2048, 4096)];
/// The tokens whose factors a step takes.
const TOKENS: [usize; 2] = [1, 8];

const STEP: AdamStep =
    AdamStep { rate: 1e-6, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, limit: 10.0, scale: 1.0 };

/// Reads and writes three tables, and reads a gradient.
type Stream = fn([&mut [f32]; 3], &[f32]);

/// Returns the plain loops with and without a gradient, compiled for an instruction set.
fn streams(isa: Isa) -> [Stream; 2] {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => [
            // SAFETY: the set is supported, as the caller found.
            |tables, g| unsafe { x86::with_gradient_avx512(tables, g) },
            // SAFETY: as above.
            |tables, _| unsafe { x86::alone_avx512(tables) },
        ],
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => [
            // SAFETY: as above.
            |tables, g| unsafe { x86::with_gradient_avx2(tables, g) },
            // SAFETY: as above.
            |tables, _| unsafe { x86::alone_avx2(tables) },
        ],
        _ => [with_gradient, |tables, _| alone(tables)],
    }
}

#[inline(always)]
fn with_gradient([w, m, v]: [&mut [f32]; 3], g: &[f32]) {
    for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(g) {
        *w += g;
        *m += g;
        *v += g;
    }
}

#[inline(always)]
fn alone([w, m, v]: [&mut [f32]; 3]) {
    for ((w, m), v) in w.iter_mut().zip(m).zip(v) {
        *w += 1e-9;
        *m += 1e-9;
        *v += 1e-9;
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #[target_feature(enable = "avx512f,avx512vl")]
    pub(super) fn with_gradient_avx512(tables: [&mut [f32]; 3], g: &[f32]) {
        super::with_gradient(tables, g);
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    pub(super) fn alone_avx512(tables: [&mut [f32]; 3]) {
        super::alone(tables);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn with_gradient_avx2(tables: [&mut [f32]; 3], g: &[f32]) {
        super::with_gradient(tables, g);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn alone_avx2(tables: [&mut [f32]; 3]) {
        super::alone(tables);
    }
}

fn share_of_bandwidth(_: &mut Criterion) {
    let [stream_with_gradient, stream_alone] = streams(isa());
    for (k, n) in SHAPES {
        let len = k * n;
        let [w, m, v] = [0; 3].map(|_| SharedWeights::zeroed(len));
        v.view(0, len).write_from(&vec![1.0; len]);
        let gradient = vec![1e-3; len];
        // The loops have tables of their own, and one act at a time uses them.
        let plain = RefCell::new([0; 3].map(|_| vec![1.0; len]));
        let stream = |stream: Stream, g: &[f32]| {
            let mut plain = plain.borrow_mut();
            stream(black_box(plain.each_mut().map(|table| &mut table[..])), g);
        };
        let moments = [&m.view(0, len), &v.view(0, len)];
        let mut step = || w.view(0, len).adam_step(moments, &STEP, black_box(&gradient));
        let mut plain_step = || stream(stream_with_gradient, black_box(&gradient));
        let timing = Timing::of(&mut [&mut step, &mut plain_step]);
        print(&format!("{k} x {n}, gradient"), &timing, 28 * len);
        for t in TOKENS {
            let (x, dy) = (vec![1e-3; t * k], vec![1e-3; t * n]);
            let moments = [&m.panels(0, k, n), &v.panels(0, k, n)];
            let panels = w.panels(0, k, n);
            let mut step = || panels.rank_adam_step(moments, &STEP, black_box(&x), &dy, t);
            let mut plain_step = || stream(stream_alone, &[]);
            let timing = Timing::of(&mut [&mut step, &mut plain_step]);
            print(&format!("{k} x {n}, factors of {t}"), &timing, 24 * len);
        }
    }
}

/// Prints the traffic of a step, and its share of what plain slices reach.
fn print(what: &str, timing: &Timing, bytes: usize) {
    let gigabytes = bytes as f64 / timing.seconds(0) / 1e9;
    let share = 100.0 * timing.ratio(1, 0);
    println!("{}, {what}: {gigabytes:.1} GB/s, {share:.0} % of plain slices", isa());
}

criterion_group!(benches, share_of_bandwidth);
criterion_main!(benches);
