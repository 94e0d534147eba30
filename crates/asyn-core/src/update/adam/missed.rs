//! The steps that a row missed, as a short sum.
//!
//! While a row has no gradient, dense Adam still moves it: in the `j`-th such step by
//!
//! ```text
//! αₜ β₁ʲ m / (β₂^(j/2) √v + ε)
//! ```
//!
//! The first terms are taken as they are. The others change so little from one to the next that
//! a sum over them is the integral from half a step before to half a step after, which
//! Gauss-Legendre quadrature with three points takes over ranges that double in length. What
//! comes after `β₁ʲ / β₂^(j/2)` fell to a millionth is left out.

use crate::Real;

/// How many of the first steps are taken one by one.
const EXACT: u32 = 8;

/// The length of the first range of the quadrature, in steps.
const FIRST_RANGE: f64 = 16.0;

/// How small the share of a step becomes before the rest is left out.
const LEAST_SHARE: f64 = 1e-6;

/// Points and weights of the quadrature on `[−1, 1]`: `±√(3/5)` and 0.
const NODES: [(f64, f64); 3] =
    [(-0.774_596_669_241_483_4, 5.0 / 9.0), (0.0, 8.0 / 9.0), (0.774_596_669_241_483_4, 5.0 / 9.0)];

/// Decay of the moments, and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decay {
    log_beta_1: f64,
    log_beta_2: f64,
    /// After how many steps the rest is left out.
    horizon: f64,
}

impl Decay {
    pub(super) fn new(beta_1: Real, beta_2: Real) -> Self {
        // A decay of 0 is that of a number so small that nothing of it is left.
        let [log_beta_1, log_beta_2] = [beta_1, beta_2].map(|beta| f64::from(beta).max(1e-30).ln());
        let horizon = LEAST_SHARE.ln() / (log_beta_1 - log_beta_2 / 2.0);
        Self { log_beta_1, log_beta_2, horizon }
    }

    /// Returns by what the moments are multiplied in so many steps.
    #[allow(clippy::cast_possible_truncation, reason = "moments are f32")]
    pub(super) fn keep(&self, steps: [u32; 2]) -> [Real; 2] {
        let [first, second] = steps.map(f64::from);
        [(first * self.log_beta_1).exp() as Real, (second * self.log_beta_2).exp() as Real]
    }

    /// Sets `terms` to those of the steps from `since[0]` to `now`, for an `m` that was brought
    /// to `since[0]` and a `v` that was brought to `since[1]`; `rate` is the step size, corrected
    /// for the bias, of any step.
    #[allow(clippy::cast_possible_truncation, reason = "moments and weights are f32")]
    pub(super) fn terms(
        &self,
        since: [u32; 2],
        now: u32,
        rate: impl Fn(f64) -> f64,
        terms: &mut Vec<[Real; 2]>,
    ) {
        terms.clear();
        let start = f64::from(since[0]);
        // How many steps further `v` is than `m`, if others share it. What it was before is taken
        // from its decay; where others added to it, it was less, and the steps are smaller.
        let ahead = f64::from(since[1]) - start;
        let mut term = |j: f64, weight: f64| {
            let root = ((j - ahead) * self.log_beta_2 / 2.0).exp();
            let share = weight * rate(start + j - 1.0) * (j * self.log_beta_1).exp();
            // An infinite factor would make no number of the `v` of padding, which is 0.
            terms.push([share as Real, (root as Real).min(Real::MAX)]);
        };
        let missed = now.saturating_sub(since[0]);
        for j in 1..=missed.min(EXACT) {
            term(f64::from(j), 1.0);
        }
        let end = f64::from(missed).min(self.horizon.max(f64::from(EXACT))) + 0.5;
        let (mut from, mut length) = (f64::from(EXACT) + 0.5, FIRST_RANGE);
        while from < end {
            let half = length.min(end - from) / 2.0;
            for (node, weight) in NODES {
                term(from + half * (1.0 + node), half * weight);
            }
            (from, length) = (from + 2.0 * half, 2.0 * length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the sum of all terms for a `√v` of `root`, by steps or by `terms`.
    fn sums(beta_1: f64, beta_2: f64, missed: u32, root: f64, epsilon: f64) -> [f64; 2] {
        let rate =
            |step: f64| (1.0 - beta_2.powf(step + 1.0)).sqrt() / (1.0 - beta_1.powf(step + 1.0));
        let since = 20;
        let exact = (1..=missed)
            .map(|j| {
                let step = f64::from(since + j) - 1.0;
                let decay = beta_2.powf(f64::from(j) / 2.0);
                rate(step) * beta_1.powi(i32::try_from(j).expect("few")) / (decay * root + epsilon)
            })
            .sum();
        #[allow(clippy::cast_possible_truncation, reason = "settings are f32")]
        let decay = Decay::new(beta_1 as Real, beta_2 as Real);
        let mut terms = Vec::new();
        decay.terms([since; 2], since + missed, rate, &mut terms);
        assert!(terms.len() < 40, "{} terms", terms.len());
        let short =
            terms.iter().map(|[a, b]| f64::from(*a) / (f64::from(*b) * root + epsilon)).sum();
        [exact, short]
    }

    #[test]
    fn moments_that_lie_far_apart_have_finite_factors() {
        let decay = Decay::new(0.95, 0.95);
        let mut terms = Vec::new();
        decay.terms([10, 100_000], 100_010, |_| 1e-3, &mut terms);
        assert!(terms.iter().flatten().all(|number| number.is_finite()), "{terms:?}");
    }

    #[test]
    fn a_short_sum_is_that_of_all_missed_steps() {
        for (beta_1, beta_2) in [(0.95, 0.95), (0.9, 0.999), (0.5, 0.9), (0.9, 0.99)] {
            for missed in [0, 1, 7, 8, 9, 20, 100, 1000, 100_000] {
                for root in [1e-6, 1e-3, 0.1, 10.0] {
                    for epsilon in [1e-8, 1e-4] {
                        let [exact, short] = sums(beta_1, beta_2, missed, root, epsilon);
                        let error = (short - exact).abs();
                        assert!(
                            error <= 1e-3 * exact,
                            "{beta_1} {beta_2} {missed} {root} {epsilon}: {short} for {exact}"
                        );
                    }
                }
            }
        }
    }
}
