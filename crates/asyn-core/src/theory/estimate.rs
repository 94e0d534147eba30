//! The constants of the bounds, estimated along a run.
//!
//! The proofs use inequalities between visited points and `w*` only, so the constants can be
//! measured where a run went, even for objectives that are not convex elsewhere.

use super::dot;
use crate::seed::SplitMix64;

/// How often [`tau`] resamples.
const RESAMPLES: usize = 2000;

/// The end point `w*` to which constants refer: the minimum, or for a model with many minima
/// the end of a long run.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimum {
    /// The weights `w*`.
    pub weights: Vec<f64>,
    /// The mean objective `f(w*)`.
    pub value: f64,
}

/// A point of a run, at a time when no worker wrote.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point<'a> {
    /// The weights `w_t`.
    pub weights: &'a [f64],
    /// The mean objective `f(w_t)`.
    pub value: f64,
    /// Its gradient `∇f(w_t)`.
    pub gradient: &'a [f64],
    /// The mean of `‖s_z(w_t)‖²` over examples `z`, for the vectors that are applied.
    pub mean_square: f64,
}

/// The constants of a run, as [`trajectory`] estimates them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trajectory {
    /// The least `∇f(w_t)ᵀ(w_t − w*) / ‖w_t − w*‖²`: the `c` of [`tight`](super::tight) and
    /// [`stale`](super::stale).
    pub c: f64,
    /// The least `2 [∇f(w_t)ᵀ(w_t − w*) − (f(w_t) − f*)] / ‖w_t − w*‖²`: the `c` of
    /// [`theorem_1`](super::theorem_1).
    pub c_theorem_1: f64,
    /// The largest `2 (f(w_t) − f*) / ‖w_t − w*‖²`: the `q` of `theorem_1` and `tight`. The one
    /// of `stale` also bounds how fast the gradient changes between visited points, which this
    /// one does not.
    pub q: f64,
    /// The largest mean of `‖s_z(w_t)‖²`.
    pub kappa_squared: f64,
    /// `‖w_0 − w*‖²`.
    pub a_0: f64,
}

/// Estimates the constants of a run from some of its points, the first of which is `w_0`.
///
/// A `c` of 0 or less means that the run passed a point from which the gradient does not lead
/// to `w*`: no bound holds. Points that are `w*` tell nothing of `c` and `q`. Returns `None` if
/// no point is another than `w*`.
///
/// # Panics
///
/// Panics if a vector has another length than `w*`.
#[must_use]
pub fn trajectory(points: &[Point<'_>], optimum: &Optimum) -> Option<Trajectory> {
    let from_optimum = |point: &Point<'_>| difference(point.weights, &optimum.weights);
    let distance = from_optimum(points.first()?);
    let mut constants = Trajectory {
        c: f64::INFINITY,
        c_theorem_1: f64::INFINITY,
        q: 0.0,
        kappa_squared: 0.0,
        a_0: dot(&distance, &distance),
    };
    for point in points {
        assert_eq!(point.gradient.len(), optimum.weights.len(), "the length of a gradient");
        constants.kappa_squared = constants.kappa_squared.max(point.mean_square);
        let distance = from_optimum(point);
        let square = dot(&distance, &distance);
        if square == 0.0 {
            continue;
        }
        let slope = dot(point.gradient, &distance);
        let excess = point.value - optimum.value;
        constants.c = constants.c.min(slope / square);
        constants.c_theorem_1 = constants.c_theorem_1.min(2.0 * (slope - excess) / square);
        constants.q = constants.q.max(2.0 * excess / square);
    }
    constants.c.is_finite().then_some(constants)
}

/// A gradient computed twice for one example: on live weights, and on a quiet copy of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradientPair<'a> {
    /// The gradient `g_z` on the copy.
    pub exact: &'a [f64],
    /// The gradient `s_z` that was applied.
    pub racy: &'a [f64],
    /// The copy `w_ref`.
    pub reference: &'a [f64],
}

impl GradientPair<'_> {
    /// Returns `(g_z − s_z)ᵀ(w_ref − w*)`, whose mean over examples is the τ of a moment.
    ///
    /// Blocks that the example does not touch add nothing, so all four vectors may leave them
    /// out.
    ///
    /// # Panics
    ///
    /// Panics if the vectors differ in length.
    #[must_use]
    pub fn projection(&self, optimum: &[f64]) -> f64 {
        dot(&difference(self.exact, self.racy), &difference(self.reference, optimum))
    }
}

/// An estimate with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Estimates τ: the largest mean of [`GradientPair::projection`] over windows of a run.
///
/// A window holds the projections of pairs that lie close together in time, best 64 or more.
/// The interval is that of the percentile bootstrap, with 2,000 resamples of each window. The
/// largest of several means lies above the largest expectation on average, more so the more
/// windows there are and the fewer pairs are in each: an error on the safe side of a bound.
/// Returns `None` if a window is empty or there is none.
#[must_use]
pub fn tau(windows: &[&[f64]], seed: u64) -> Option<Interval> {
    if windows.is_empty() || windows.iter().any(|window| window.is_empty()) {
        return None;
    }
    let largest = |mean: &mut dyn FnMut(&[f64]) -> f64| {
        windows.iter().map(|window| mean(window)).fold(f64::NEG_INFINITY, f64::max)
    };
    let estimate = largest(&mut |window| mean(window.iter().copied()));
    let mut random = SplitMix64::new(seed);
    let mut draws: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            largest(&mut |window| mean(window.iter().map(|_| window[draw(window, &mut random)])))
        })
        .collect();
    draws.sort_unstable_by(f64::total_cmp);
    // 2.5 % of the draws lie beyond either end.
    let beyond = RESAMPLES / 40;
    Some(Interval { estimate, low: draws[beyond], high: draws[RESAMPLES - 1 - beyond] })
}

/// Estimates ρ, `‖mean(s_z − g_z)‖ / ‖mean g_z‖` over the pairs of a window.
///
/// The vectors of all pairs are laid out alike. Noise that would cancel in a longer window
/// counts as error in a short one. Returns `None` if there is no pair or the mean gradient is 0.
///
/// # Panics
///
/// Panics if the vectors differ in length.
#[must_use]
pub fn rho(pairs: &[GradientPair<'_>]) -> Option<f64> {
    let len = pairs.first()?.exact.len();
    let (mut error, mut gradient) = (vec![0.0; len], vec![0.0; len]);
    for pair in pairs {
        assert_eq!((pair.exact.len(), pair.racy.len()), (len, len), "the lengths of gradients");
        for i in 0..len {
            error[i] += pair.racy[i] - pair.exact[i];
            gradient[i] += pair.exact[i];
        }
    }
    let ratio = (dot(&error, &error) / dot(&gradient, &gradient)).sqrt();
    ratio.is_finite().then_some(ratio)
}

/// Returns the least staleness that at least `share` of the steps do not exceed; with a share of
/// 1 it is the `T` of [`stale`](super::stale).
///
/// `histogram[n]` counts the steps during which `n` updates of others were under way; where its
/// last entry counts longer ones too, a result that is this entry is a lower bound. Returns
/// `None` if no step was counted or `share` is not in `0..=1`.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "steps are far fewer than 2^53")]
pub fn staleness_quantile(histogram: &[u64], share: f64) -> Option<usize> {
    let n_steps: u64 = histogram.iter().sum();
    if n_steps == 0 || !(0.0..=1.0).contains(&share) {
        return None;
    }
    let mut covered = 0;
    histogram.iter().position(|&count| {
        covered += count;
        covered > 0 && covered as f64 >= share * n_steps as f64
    })
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    assert_eq!(a.len(), b.len(), "the lengths of two vectors");
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "pairs are far fewer than 2^53")]
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

/// Draws a position in `window`.
fn draw(window: &[f64], random: &mut SplitMix64) -> usize {
    #[allow(clippy::cast_possible_truncation, reason = "the draw is below a length")]
    let at = random.below(window.len() as u64) as usize;
    at
}
