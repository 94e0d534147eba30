//! Every kernel of every instruction set of this processor against plain loops in `f64`.
//!
//! A result may differ from the loop by rounding only, and nothing outside the view may
//! change.

use asyn_core::shared::{AdamStep, Isa, MissedSteps, SharedWeights};
use proptest::prelude::*;

/// Weights around the view under test, which must keep their values.
const MARGIN: usize = 32;

/// The rounding errors that a result may contain, relative to the sum of the absolute
/// values of its terms: some 60 of `f32`, for sums of a few hundred terms.
const TOLERANCE: f64 = 8e-6;

fn supported() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_supported())
}

/// Lengths up to 200, or some of them where every instruction is interpreted.
fn lengths() -> impl Iterator<Item = usize> {
    (0..=200).step_by(if cfg!(miri) { 45 } else { 1 })
}

/// Values between -1 and 1 that depend on `seed`.
fn values(n: usize, seed: usize) -> Vec<f32> {
    let mut state = (seed as u64).wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Weights of `isa` with `n` values from `start`, margins on both sides, and the values.
struct Fixture {
    weights: SharedWeights,
    start: usize,
    before: Vec<f32>,
}

impl Fixture {
    fn new(isa: Isa, start: usize, n: usize, seed: usize) -> Self {
        let len = start + n + MARGIN;
        let mut weights = SharedWeights::with_isa(len, isa);
        let before = values(len, seed);
        weights.as_mut_slice().copy_from_slice(&before);
        Self { weights, start, before }
    }

    /// Returns the `n` original values of the view.
    fn original(&self, n: usize) -> &[f32] {
        &self.before[self.start..self.start + n]
    }

    /// Checks the view against `expected` and the margins against what they were.
    #[track_caller]
    fn check(&mut self, expected: &[Sum]) {
        let n = expected.len();
        let (start, end) = (self.start, self.start + n);
        let after = self.weights.as_mut_slice();
        check(&after[start..end], expected);
        assert_eq!(after[..start], self.before[..start], "before the view");
        assert_eq!(after[end..], self.before[end..], "after the view");
    }
}

/// A sum in `f64` and the sum of the absolute values of its terms.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    value: f64,
    size: f64,
}

impl Sum {
    fn of(terms: &[f64]) -> Self {
        let mut sum = Self::default();
        for &term in terms {
            sum.add(term);
        }
        sum
    }

    fn add(&mut self, term: f64) {
        self.value += term;
        self.size += term.abs();
    }
}

#[track_caller]
fn check(actual: &[f32], expected: &[Sum]) {
    assert_eq!(actual.len(), expected.len());
    for (i, (&actual, expected)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(actual) - expected.value).abs();
        assert!(error <= TOLERANCE * expected.size, "at {i}: {actual} instead of {expected:?}");
    }
}

fn product(a: f32, b: f32) -> f64 {
    f64::from(a) * f64::from(b)
}

/// Calls `test` for every instruction set, offset and length.
fn for_each_view(mut test: impl FnMut(Fixture, usize)) {
    for isa in supported() {
        for start in [0, 8, 16, 24, 40] {
            for n in lengths() {
                test(Fixture::new(isa, start, n, start + n), n);
            }
        }
    }
}

#[test]
fn reading_and_writing_move_every_value() {
    for_each_view(|mut fixture, n| {
        let view = fixture.weights.view(fixture.start, n);
        let mut out = vec![0.0; n];
        view.read_into(&mut out);
        assert_eq!(out, fixture.original(n));
        let new = values(n, 7);
        view.write_from(&new);
        let expected: Vec<_> = new.iter().map(|&x| Sum::of(&[x.into()])).collect();
        fixture.check(&expected);
    });
}

#[test]
fn dot_is_the_inner_product() {
    for_each_view(|fixture, n| {
        let x = values(n, 3);
        let terms = fixture.original(n).iter().zip(&x).map(|(&w, &x)| product(w, x));
        let expected = Sum::of(&terms.collect::<Vec<_>>());
        check(&[fixture.weights.view(fixture.start, n).dot(&x)], &[expected]);
    });
}

#[test]
fn additions_scale_and_add() {
    let (a, keep) = (0.37, 0.81);
    for_each_view(|mut fixture, n| {
        let x = values(n, 5);
        let expected = |kept: f32, fixture: &Fixture| -> Vec<Sum> {
            let pairs = fixture.original(n).iter().zip(&x);
            pairs.map(|(&w, &x)| Sum::of(&[product(kept, w), product(a, x)])).collect()
        };
        let view = fixture.weights.view(fixture.start, n);
        view.add_scaled(a, &x);
        let sum = expected(1.0, &fixture);
        fixture.check(&sum);

        let blended = expected(keep, &fixture);
        for by_exchange in [false, true] {
            let view = fixture.weights.view(fixture.start, n);
            view.write_from(fixture.original(n));
            if by_exchange {
                view.scale_add_cas(keep, a, &x);
            } else {
                view.scale_add(keep, a, &x);
            }
            fixture.check(&blended);
        }

        let view = fixture.weights.view(fixture.start, n);
        view.write_from(fixture.original(n));
        view.add_scaled_cas(a, &x);
        fixture.check(&sum);
    });
}

#[test]
fn merging_adds_what_the_replica_gained() {
    for_each_view(|mut fixture, n| {
        for local_start in [0, 8] {
            let mut replica = Fixture::new(fixture.weights.isa(), local_start, n, 9);
            let mut base = values(n, 11);
            let expected: Vec<_> = (0..n)
                .map(|i| {
                    let (w, local) = (fixture.original(n)[i], replica.original(n)[i]);
                    Sum::of(&[w.into(), local.into(), -f64::from(base[i])])
                })
                .collect();
            let view = fixture.weights.view(fixture.start, n);
            view.write_from(fixture.original(n));
            view.merge(&replica.weights.view(local_start, n), &mut base);
            check(&base, &expected);
            replica.check(&expected);
            fixture.check(&expected);
        }
    });
}

#[test]
fn matrix_vector_products_agree_for_every_width() {
    let widths = [0, 1, 5, 8, 16, 21, 24, 32, 48, 72, 80, 96, 136, 144, 200, 288];
    for isa in supported() {
        for start in [0, 8] {
            for n in widths {
                for m in [0, 1, 2, 3, 4, 5, 8, 11] {
                    if cfg!(miri) && n * m > 100 {
                        continue;
                    }
                    let fixture = Fixture::new(isa, start, m * n, m + n);
                    let (w, view) = (fixture.original(m * n), fixture.weights.view(start, m * n));
                    let (x, x_t) = (values(n, 1), values(m, 2));
                    let (mut y, mut y_t) = (vec![f32::NAN; m], vec![f32::NAN; n]);
                    view.gemv(&x, &mut y);
                    view.gemv_t(&x_t, &mut y_t);
                    let (mut sums, mut sums_t) = (vec![Sum::default(); m], vec![Sum::default(); n]);
                    for r in 0..m {
                        for c in 0..n {
                            sums[r].add(product(w[r * n + c], x[c]));
                            sums_t[c].add(product(w[r * n + c], x_t[r]));
                        }
                    }
                    check(&y, &sums);
                    check(&y_t, &sums_t);
                }
            }
        }
    }
}

#[test]
fn gathering_picks_single_weights() {
    for isa in supported() {
        let fixture = Fixture::new(isa, 8, 50, 1);
        let indices = [49, 0, 7, 7, 23];
        let mut out = [0.0; 5];
        fixture.weights.view(8, 50).gather(None, &indices, &mut out);
        assert_eq!(out, indices.map(|i| fixture.original(50)[i as usize]));
    }
}

/// Rows: a stride, the number of rows, and ids among them, repeated ones included.
fn row_lists() -> impl Strategy<Value = (usize, usize, Vec<u32>)> {
    let strides = (1..=10_usize).prop_map(|eights| 8 * eights);
    (strides, 1..40_u32).prop_flat_map(|(stride, n_rows)| {
        let ids = prop::collection::vec(0..n_rows, 0..25);
        (Just(stride), Just(n_rows as usize), ids)
    })
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 4 } else { cases },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn rows_are_summed_and_copied((stride, n_rows, ids) in row_lists(), far in any::<bool>()) {
        for isa in supported() {
            let start = if far { 48 } else { 0 };
            let fixture = Fixture::new(isa, start, n_rows * stride, 1);
            let table = fixture.original(n_rows * stride);
            let rows = fixture.weights.rows(start, n_rows, stride);
            let mut sums = vec![Sum::default(); stride];
            let mut copies = Vec::new();
            for &id in &ids {
                let row = &table[id as usize * stride..][..stride];
                copies.extend_from_slice(row);
                for (sum, &w) in sums.iter_mut().zip(row) {
                    sum.add(w.into());
                }
            }
            let mut out = vec![f32::NAN; stride];
            rows.sum_rows(&ids, &mut out);
            check(&out, &sums);

            let mut out = vec![f32::NAN; ids.len() * stride];
            rows.copy_rows(&ids, &mut out);
            assert_eq!(out, copies);
        }
    }

    #[test]
    fn rows_are_added_to_and_blended((stride, n_rows, ids) in row_lists(), cas in any::<bool>()) {
        for isa in supported() {
            let x = values(stride, 5);
            let a = -0.6;
            let (keep, rate) = (values(ids.len(), 6), values(ids.len(), 7));
            let mut fixture = Fixture::new(isa, 16, n_rows * stride, 2);
            let original = fixture.original(n_rows * stride).to_vec();
            let exact = |w: &f32| Sum::of(&[(*w).into()]);
            let mut added: Vec<Sum> = original.iter().map(exact).collect();
            let mut blended = added.clone();
            for (i, &id) in ids.iter().enumerate() {
                for (c, &x) in x.iter().enumerate() {
                    let at = id as usize * stride + c;
                    added[at].add(product(a, x));
                    let kept = blended[at].value * f64::from(keep[i]);
                    let size = blended[at].size;
                    blended[at] = Sum::of(&[kept, product(rate[i], x)]);
                    blended[at].size += size;
                }
            }

            let rows = fixture.weights.rows(16, n_rows, stride);
            if cas {
                rows.add_rows_cas(&ids, a, &x);
            } else {
                rows.add_rows(&ids, a, &x);
            }
            fixture.check(&added);

            fixture.weights.view(16, original.len()).write_from(&original);
            let rows = fixture.weights.rows(16, n_rows, stride);
            if cas {
                rows.blend_rows_cas(&ids, &keep, &rate, &x);
            } else {
                rows.blend_rows(&ids, &keep, &rate, &x);
            }
            fixture.check(&blended);
        }
    }
}

/// Checks all products with a matrix of `k × n` for `t` rows.
fn check_panels(isa: Isa, k: usize, n: usize, t: usize) {
    let n_padded = n.next_multiple_of(16);
    let mut fixture = Fixture::new(isa, 16, k * n_padded, k + n + t);
    let w = fixture.original(k * n_padded).to_vec();
    let at = |i: usize, j: usize| (j / 16 * k + i) * 16 + j % 16;
    let (x, dy) = (values(t * k, 1), values(t * n_padded, 2));
    let a = 0.21;

    let mut y_sums = vec![Sum::default(); t * n_padded];
    let mut dx_sums = vec![Sum::default(); t * k];
    let mut w_sums: Vec<Sum> = w.iter().map(|&w| Sum::of(&[w.into()])).collect();
    for r in 0..t {
        for i in 0..k {
            for j in 0..n_padded {
                let (weight, x, dy) = (w[at(i, j)], x[r * k + i], dy[r * n_padded + j]);
                y_sums[r * n_padded + j].add(product(x, weight));
                dx_sums[r * k + i].add(product(dy, weight));
                w_sums[at(i, j)].add(f64::from(a) * product(x, dy));
            }
        }
    }

    let panels = fixture.weights.panels(16, k, n);
    let mut y = vec![f32::NAN; t * n_padded];
    panels.gemm(&x, t, &mut y);
    check(&y, &y_sums);

    let mut y = dy.clone();
    panels.gemm_add(&x, t, &mut y);
    for (sum, &dy) in y_sums.iter_mut().zip(&dy) {
        sum.add(dy.into());
    }
    check(&y, &y_sums);

    let mut dx = vec![f32::NAN; t * k];
    panels.gemm_t(&dy, t, &mut dx);
    check(&dx, &dx_sums);

    panels.rank_update(a, &x, &dy, t);
    fixture.check(&w_sums);
}

/// Checks a step of Adam with the gradient of `t` rows.
fn check_adam(isa: Isa, k: usize, n: usize, t: usize) {
    let n_padded = n.next_multiple_of(16);
    let len = k * n_padded;
    let [mut w, mut m, mut v] = [1, 2, 3].map(|seed| Fixture::new(isa, 16, len, seed + k + n + t));
    // Second moments are squares, and not so small that rounding decides the step.
    v.before.iter_mut().for_each(|v| *v = *v * *v + 0.1);
    v.weights.as_mut_slice().copy_from_slice(&v.before);
    let (x, dy) = (values(t * k, 1), values(t * n_padded, 2));
    let step =
        AdamStep { rate: 0.3, beta_1: 0.9, beta_2: 0.99, epsilon: 1e-3, limit: 1e3, scale: 1.0 };
    let [rate, beta_1, beta_2, epsilon] =
        [step.rate, step.beta_1, step.beta_2, step.epsilon].map(f64::from);

    let mut gradient = vec![Sum::default(); len];
    for r in 0..t {
        for i in 0..k {
            for j in 0..n_padded {
                let at = (j / 16 * k + i) * 16 + j % 16;
                gradient[at].add(product(x[r * k + i], dy[r * n_padded + j]));
            }
        }
    }
    let mut expected = [(); 3].map(|()| Vec::with_capacity(len));
    for (at, g) in gradient.iter().enumerate() {
        let [w, m, v] = [&w, &m, &v].map(|fixture| f64::from(fixture.original(len)[at]));
        let first = Sum {
            value: beta_1 * m + (1.0 - beta_1) * g.value,
            size: beta_1 * m.abs() + (1.0 - beta_1) * g.size,
        };
        let second = Sum {
            value: beta_2 * v + (1.0 - beta_2) * g.value * g.value,
            size: beta_2 * v + 2.0 * (1.0 - beta_2) * g.size * g.size,
        };
        let root = second.value.sqrt();
        // To first order, the errors of both moments are also in the step.
        let change = rate * first.value / (root + epsilon);
        let size = rate * first.size / root + change.abs() * second.size / second.value;
        expected[0].push(Sum { value: w - change, size: w.abs() + size });
        expected[1].push(first);
        expected[2].push(second);
    }

    let moments = [&m.weights.panels(16, k, n), &v.weights.panels(16, k, n)];
    w.weights.panels(16, k, n).rank_adam_step(moments, &step, &x, &dy, t);
    w.check(&expected[0]);
    m.check(&expected[1]);
    v.check(&expected[2]);
}

#[test]
fn steps_of_adam_agree_at_every_length_and_start() {
    let step =
        AdamStep { rate: 0.3, beta_1: 0.9, beta_2: 0.99, epsilon: 1e-3, limit: 0.9, scale: 0.5 };
    let terms = [[0.2, 0.9], [0.1, 0.5]];
    let missed = MissedSteps { terms: &terms, epsilon: 1e-3, limit: 1.5, keep: [0.7, 0.8] };
    for isa in supported() {
        for n in lengths() {
            // The three tables may start at different places of a line.
            for starts in [[0, 0, 0], [8, 8, 8], [0, 8, 8]] {
                let tables = [1, 2, 3].map(|seed| {
                    let table = SharedWeights::with_isa(n + 8, isa);
                    let positive = seed == 3;
                    let before: Vec<f32> = values(n + 8, seed)
                        .into_iter()
                        .map(|value| if positive { value * value + 0.1 } else { value })
                        .collect();
                    table.view(0, n + 8).write_from(&before);
                    (table, before)
                });
                let gradient = values(n, 4);
                let view = |t: usize| tables[t].0.view(starts[t], n);
                let (w, m, v) = (view(0), view(1), view(2));
                w.adam_step([&m, &v], &step, &gradient);
                w.adam_catch_up([&m, &v], &missed);
                for (i, &g) in gradient.iter().enumerate() {
                    let [w, m, v] = [0, 1, 2].map(|t| f64::from(tables[t].1[starts[t] + i]));
                    let g = 0.5 * f64::from(g);
                    let first = 0.9 * m + 0.1 * g;
                    let second = 0.99 * v + 0.01 * g * g;
                    let root = second.sqrt();
                    let moved = w - 0.3 * (first / (root + 1e-3)).clamp(-0.9, 0.9);
                    let limit = 1.5 * (root + 1e-3);
                    let cut = first.clamp(-limit, limit);
                    let sum = 0.2 / (0.9 * root + 1e-3) + 0.1 / (0.5 * root + 1e-3);
                    for (t, expected) in
                        [moved - cut * sum, 0.7 * cut, 0.8 * second].into_iter().enumerate()
                    {
                        let actual = f64::from(view(t).get(i));
                        assert!(
                            (actual - expected).abs() <= 1e-5 * (1.0 + expected.abs()),
                            "{isa}, table {t}, weight {i} of {n}: {actual} for {expected}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn moments_fade_to_zero_and_not_to_denormal_numbers() {
    let step = AdamStep {
        rate: 0.1,
        beta_1: 0.9,
        beta_2: 0.9,
        epsilon: 1e-8,
        limit: f32::INFINITY,
        scale: 1.0,
    };
    let missed = MissedSteps { terms: &[], epsilon: 1e-8, limit: 1.0, keep: [0.5, 0.5] };
    let least = f32::MIN_POSITIVE;
    for isa in supported() {
        let [w, m, v] = [0; 3].map(|_| SharedWeights::with_isa(48, isa));
        let [w, m, v] = [&w, &m, &v].map(|table| table.view(0, 48));
        for caught_up in [false, true] {
            let before: Vec<f32> =
                [least, -least, 4.0 * least, f32::NAN].into_iter().cycle().take(48).collect();
            m.write_from(&before);
            v.write_from(&before.iter().map(|m| m.abs()).collect::<Vec<f32>>());
            w.write_from(&[0.0; 48]);
            if caught_up {
                w.adam_catch_up([&m, &v], &missed);
            } else {
                w.adam_step([&m, &v], &step, &[0.0; 48]);
            }
            for i in 0..48 {
                let moments = [m.get(i), v.get(i)];
                match i % 4 {
                    0 | 1 => assert_eq!(moments, [0.0, 0.0], "{isa}, {i}"),
                    2 => assert!(moments.iter().all(|x| x.is_normal()), "{isa}: {moments:?}"),
                    // What is no number is not hidden by the bound on a step.
                    _ => assert!([moments[1], w.get(i)].iter().all(|x| x.is_nan()), "{isa}, {i}"),
                }
            }
        }
    }
}

#[test]
fn products_with_panels_agree_for_every_tile() {
    for isa in supported() {
        for t in 0..=19 {
            for n in [16, 32, 48, 80, 112, 120, 176] {
                for k in [1, 4, 7, 8, 11] {
                    if cfg!(miri) && (t % 6 > 1 || n % 32 != 0 || t * n * k > 1000) {
                        continue;
                    }
                    check_panels(isa, k, n, t);
                    check_adam(isa, k, n, t);
                }
            }
        }
    }
}

#[test]
fn products_with_panels_agree_beyond_what_stays_near() {
    if cfg!(miri) {
        return;
    }
    for isa in supported() {
        check_panels(isa, 523, 390, 10);
        check_adam(isa, 523, 390, 10);
    }
}
