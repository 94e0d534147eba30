//! The cost of reading and writing shared weights, against plain slices.
//!
//! Covers: `dot`, `add_scaled` and `gemv` on 288 to 322,560 weights, `sum_rows` and
//! `add_rows` on 19 rows of 24 and 32 weights out of a table that stays in the
//! second-level cache. Variants: plain slices, the kernels of each instruction set,
//! relaxed scalar atomics (`portable`), compare-and-exchange. The table that is printed
//! first gives the time of shared access relative to plain slices of the same
//! instruction set, measured in turn; Criterion's figures follow.
#![allow(unsafe_code, reason = "plain slices are read with intrinsics of one instruction set")]
#![allow(clippy::print_stdout, reason = "a bench reports to its terminal")]

use std::cell::RefCell;
use std::hint::black_box;
use std::time::Duration;

use asyn_core::shared::{Isa, SharedWeights, isa};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use interleaved::Timing;
use plain::Plain;

#[path = "interleaved.rs"]
mod interleaved;
#[path = "plain.rs"]
mod plain;

/// Matrices, rows by columns; as vectors they are what the other acts work on.
const SHAPES: [(usize, usize); 4] = [(12, 24), (64, 64), (256, 256), (1120, 288)];
/// The small matrices that the calls take in turn: on one alone each call would wait for
/// the stores of the call before.
const N_TURNS: usize = 8;
/// The strides of a table of rows.
const STRIDES: [usize; 2] = [24, 32];
/// The rows of the table.
const N_ROWS: u32 = 4096;
/// The rows that one call takes.
const N_IDS: usize = 19;
/// The lists of rows, which the calls take in turn.
const N_LISTS: usize = 64;

/// A measured act.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Dot,
    AddScaled,
    Gemv,
    SumRows,
    AddRows,
}

impl Act {
    fn name(self) -> &'static str {
        match self {
            Self::Dot => "dot",
            Self::AddScaled => "add_scaled",
            Self::Gemv => "gemv",
            Self::SumRows => "sum_rows",
            Self::AddRows => "add_rows",
        }
    }

    /// Returns the sizes to measure, as rows and columns of what one call works on.
    fn sizes(self) -> Vec<(usize, usize)> {
        match self {
            Self::Dot | Self::AddScaled | Self::Gemv => SHAPES.to_vec(),
            Self::SumRows | Self::AddRows => STRIDES.map(|stride| (N_IDS, stride)).to_vec(),
        }
    }
}

const ACTS: [Act; 5] = [Act::Dot, Act::AddScaled, Act::Gemv, Act::SumRows, Act::AddRows];

/// How an act reaches the weights.
#[derive(Debug, Clone, Copy)]
enum Access {
    Shared,
    Exchange,
    Plain(Plain),
}

/// The operands of an act.
struct Fixture {
    act: Act,
    n: usize,
    m: usize,
    weights: SharedWeights,
    /// Starts on a cache line for every access: loads across lines would cost one of two
    /// vectors more than the other.
    x: SharedWeights,
    y: Vec<f32>,
    lists: Vec<Vec<u32>>,
    next: usize,
}

impl Fixture {
    fn new(isa: Isa, act: Act, (n, m): (usize, usize)) -> Self {
        let by_rows = matches!(act, Act::SumRows | Act::AddRows);
        let n_turns = if n * m < 1024 { N_TURNS } else { 1 };
        let len = if by_rows { N_ROWS as usize * m } else { n_turns * n * m };
        let mut weights = SharedWeights::with_isa(len, isa);
        for (i, weight) in weights.as_mut_slice().iter_mut().enumerate() {
            *weight = (i % 23) as f32 * 0.01;
        }
        let (x_len, y_len) = match act {
            Act::Dot | Act::AddScaled => (n * m, 0),
            Act::Gemv => (m, n),
            Act::SumRows | Act::AddRows => (m, m),
        };
        let mut state = 17_u32;
        let mut id = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % N_ROWS
        };
        let lists = (0..N_LISTS).map(|_| (0..N_IDS).map(|_| id()).collect()).collect();
        let mut x = SharedWeights::with_isa(x_len, isa);
        x.as_mut_slice().fill(1e-3);
        Self { act, n, m, weights, x, y: vec![0.0; y_len], lists, next: 0 }
    }

    /// Does the act once.
    fn run(&mut self, access: Access) {
        self.next = (self.next + 1) % N_LISTS;
        let Self { act, n, m, weights, x, y, lists, next } = self;
        let (ids, a, x) = (&lists[*next], 1e-6, &*x.as_mut_slice());
        let at = *next * *n * *m % weights.len();
        match access {
            Access::Shared | Access::Exchange => {
                let view = weights.view(at, *n * *m);
                let rows = || weights.rows(0, N_ROWS as usize, *m);
                match (act, access) {
                    (Act::Dot, _) => _ = black_box(view.dot(x)),
                    (Act::AddScaled, Access::Exchange) => view.add_scaled_cas(a, x),
                    (Act::AddScaled, _) => view.add_scaled(a, x),
                    (Act::Gemv, _) => view.gemv(x, y),
                    (Act::SumRows, _) => rows().sum_rows(ids, y),
                    (Act::AddRows, Access::Exchange) => rows().add_rows_cas(ids, a, x),
                    (Act::AddRows, _) => rows().add_rows(ids, a, x),
                }
            }
            Access::Plain(plain) => {
                let table = weights.as_mut_slice();
                let w = &mut table[at..][..*n * *m];
                // SAFETY: the kernels are for a supported set, lengths agree by
                // construction, and all ids are rows.
                unsafe {
                    match act {
                        Act::Dot => _ = black_box((plain.dot)(w, x)),
                        Act::AddScaled => (plain.add_scaled)(w, a, x),
                        Act::Gemv => (plain.gemv)(w, x, y),
                        Act::SumRows => (plain.sum_rows)(table, *m, ids, y),
                        Act::AddRows => (plain.add_rows)(table, *m, ids, a, x),
                    }
                }
            }
        }
    }
}

/// Prints the time of shared access relative to plain slices.
fn relative_to_plain(_: &mut Criterion) {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        let Some(plain) = Plain::of(isa) else {
            continue;
        };
        println!("{isa}: time of shared access over that of plain slices");
        let mut ratios = Vec::new();
        for act in ACTS {
            print!("  {:<10}", act.name());
            for (n, m) in act.sizes() {
                let fixture = RefCell::new(Fixture::new(isa, act, (n, m)));
                let timing = Timing::of(&mut [
                    &mut || fixture.borrow_mut().run(Access::Shared),
                    &mut || fixture.borrow_mut().run(Access::Plain(plain)),
                ]);
                let (ratio, ns) = (timing.ratio(0, 1), timing.seconds(0) * 1e9);
                ratios.push(ratio);
                print!("   {n}×{m} {ratio:.2} ({ns:.1} ns)");
            }
            println!();
        }
        ratios.sort_by(f64::total_cmp);
        let worst = ratios[ratios.len() - 1];
        println!("  median {:.2}, worst {worst:.2}", ratios[ratios.len() / 2]);
    }
}

fn accesses(c: &mut Criterion) {
    let of_process = isa().to_string();
    for act in ACTS {
        let mut group = c.benchmark_group(act.name());
        group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(500));
        for (n, m) in act.sizes() {
            group.throughput(Throughput::Elements((n * m) as u64));
            let mut variants = vec![
                (of_process.as_str(), isa(), Access::Shared),
                ("portable", Isa::Portable, Access::Shared),
            ];
            if matches!(act, Act::AddScaled | Act::AddRows) {
                variants.push(("cas", Isa::Portable, Access::Exchange));
            }
            if let Some(plain) = Plain::of(isa()) {
                variants.push(("plain", isa(), Access::Plain(plain)));
            }
            for (variant, isa, access) in variants {
                let mut fixture = Fixture::new(isa, act, (n, m));
                let id = BenchmarkId::new(variant, format!("{n}x{m}"));
                group.bench_function(id, |b| b.iter(|| fixture.run(access)));
            }
        }
        group.finish();
    }
}

criterion_group!(benches, relative_to_plain, accesses);
criterion_main!(benches);
