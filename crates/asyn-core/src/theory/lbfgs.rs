//! The minimum of a smooth function, by L-BFGS.
//!
//! The direction of a step comes from the two-loop recursion (Nocedal and Wright, "Numerical
//! Optimization", 2006, algorithm 7.4), its length from a search for a point that meets the
//! strong Wolfe conditions (section 3.1), with `c₁` = 10⁻⁴ and `c₂` = 0.9.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use super::dot;

/// The share of the decrease that the slope promises which a step must reach.
const C_1: f64 = 1e-4;

/// The share of the initial slope that may be left after a step.
const C_2: f64 = 0.9;

/// The relative rounding of values that come from f32 kernels. Values that are closer say
/// nothing of a decrease, so there the slope decides.
///
/// A loss is often the small difference of large sums, as `log Z` and the score of a sentence
/// are, and then has lost a digit or two that its gradient has kept.
const VALUE_ROUNDING: f64 = 1e-5;

/// The most points that one line search tries.
const MOST_TRIALS: u32 = 50;

/// Minimises smooth functions; the settings.
///
/// # Examples
///
/// ```
/// use asyn_core::theory::{Lbfgs, Stop};
///
/// let minimum = Lbfgs::default().minimize(vec![0.0, 0.0], |w, gradient| {
///     let (x, y) = (w[0] - 3.0, w[1] + 1.0);
///     gradient.copy_from_slice(&[2.0 * x, 20.0 * y]);
///     x * x + 10.0 * y * y
/// });
/// assert_eq!(minimum.stop, Stop::Tolerance);
/// assert!((minimum.point[0] - 3.0).abs() < 1e-6);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lbfgs {
    /// How many pairs of steps and changes of the gradient are kept, at least 1.
    pub memory: usize,
    /// The `‖∇f‖_∞` at which to stop, in units of the function per unit of a coordinate.
    pub tolerance: f64,
    /// The most iterations.
    pub max_iterations: usize,
}

/// Ten pairs, a tolerance of 10⁻⁶ and at most 1,000 iterations.
impl Default for Lbfgs {
    fn default() -> Self {
        Self { memory: 10, tolerance: 1e-6, max_iterations: 1000 }
    }
}

/// Where a minimisation ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Minimum {
    /// The last point.
    pub point: Vec<f64>,
    /// The function there.
    pub value: f64,
    /// `‖∇f‖_∞` there.
    pub gradient_norm: f64,
    /// The iterations that led there.
    pub iterations: usize,
    /// How often the function was evaluated.
    pub evaluations: usize,
    /// Why it ended.
    pub stop: Stop,
}

/// Why a minimisation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The gradient is as small as was asked for.
    Tolerance,
    /// All iterations were used.
    Iterations,
    /// No step lowers the function, not even along the gradient: it is minimal up to rounding,
    /// unbounded, or has another gradient than it says.
    LineSearch,
    /// The function or its gradient is not finite at the first point.
    NotFinite,
    /// The caller, who watched, ended it.
    Watch,
}

impl Lbfgs {
    /// Minimises `objective` from `start`.
    ///
    /// `objective` sets its second argument, as long as `start`, to the gradient at the first,
    /// and returns the value. Points at which the value or the slope is not finite are taken
    /// for the far side of a boundary.
    ///
    /// # Panics
    ///
    /// Panics if `memory` is 0.
    pub fn minimize(
        &self,
        start: Vec<f64>,
        objective: impl FnMut(&[f64], &mut [f64]) -> f64,
    ) -> Minimum {
        self.minimize_watched(start, objective, |_, _| ControlFlow::Continue(()))
    }

    /// Minimises as [`Lbfgs::minimize`] does, and calls `watch` after each iteration with the
    /// point and the value there; ends when it breaks.
    ///
    /// # Panics
    ///
    /// Panics if `memory` is 0.
    pub fn minimize_watched(
        &self,
        start: Vec<f64>,
        mut objective: impl FnMut(&[f64], &mut [f64]) -> f64,
        mut watch: impl FnMut(&[f64], f64) -> ControlFlow<()>,
    ) -> Minimum {
        assert!(self.memory > 0, "L-BFGS keeps at least one pair");
        let mut evaluations = 0;
        let mut evaluate = |point: Vec<f64>| {
            evaluations += 1;
            let mut gradient = vec![0.0; point.len()];
            let value = objective(&point, &mut gradient);
            Iterate { point, value, gradient }
        };
        let mut now = evaluate(start);
        let mut pairs = VecDeque::with_capacity(self.memory);
        let mut iterations = 0;
        let stop = loop {
            if !now.is_finite() {
                break Stop::NotFinite;
            }
            if now.gradient_norm() <= self.tolerance {
                break Stop::Tolerance;
            }
            if iterations == self.max_iterations {
                break Stop::Iterations;
            }
            let mut direction = direction(&now.gradient, &pairs);
            if dot(&direction, &now.gradient) >= 0.0 {
                pairs.clear();
                direction = now.gradient.iter().map(|g| -g).collect();
            }
            // Before a first pair tells the scale, a step is at most one unit long.
            let length = dot(&direction, &direction).sqrt();
            let first = if pairs.is_empty() { length.recip().min(1.0) } else { 1.0 };
            let Some(next) = search(&now, &direction, first, &mut evaluate) else {
                if pairs.is_empty() {
                    break Stop::LineSearch;
                }
                pairs.clear();
                continue;
            };
            if pairs.len() == self.memory {
                pairs.pop_front();
            }
            pairs.extend(Pair::between(&now, &next));
            now = next;
            iterations += 1;
            if watch(&now.point, now.value).is_break() {
                break Stop::Watch;
            }
        };
        let gradient_norm = now.gradient_norm();
        let Iterate { point, value, .. } = now;
        Minimum { point, value, gradient_norm, iterations, evaluations, stop }
    }
}

/// A point with the function and its gradient there.
struct Iterate {
    point: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

impl Iterate {
    /// Returns `‖∇f‖_∞`, or NaN if a component is.
    fn gradient_norm(&self) -> f64 {
        self.gradient.iter().fold(
            0.0,
            |norm: f64, g| {
                if g.is_nan() { f64::NAN } else { norm.max(g.abs()) }
            },
        )
    }

    fn is_finite(&self) -> bool {
        self.value.is_finite() && self.gradient.iter().all(|g| g.is_finite())
    }
}

/// A step and the change of the gradient over it.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    /// The inner product of the two, above 0.
    curvature: f64,
}

impl Pair {
    fn between(from: &Iterate, to: &Iterate) -> Option<Self> {
        let difference =
            |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
        let step = difference(&to.point, &from.point);
        let change = difference(&to.gradient, &from.gradient);
        let curvature = dot(&step, &change);
        (curvature > f64::EPSILON * dot(&change, &change)).then_some(Self {
            step,
            change,
            curvature,
        })
    }
}

/// Returns `−H ∇f`, with the inverse Hessian `H` that the pairs, oldest first, tell of.
fn direction(gradient: &[f64], pairs: &VecDeque<Pair>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let share = dot(&pair.step, &direction) / pair.curvature;
        add_scaled(&mut direction, -share, &pair.change);
        shares.push(share);
    }
    if let Some(last) = pairs.back() {
        let scale = last.curvature / dot(&last.change, &last.change);
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for (pair, share) in pairs.iter().zip(shares.into_iter().rev()) {
        let back = dot(&pair.change, &direction) / pair.curvature;
        add_scaled(&mut direction, share - back, &pair.step);
    }
    direction
}

fn add_scaled(sum: &mut [f64], scale: f64, values: &[f64]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += scale * value);
}

/// A step length with the function and its slope there.
#[derive(Clone, Copy)]
struct Trial {
    length: f64,
    value: f64,
    slope: f64,
}

/// Returns a point along `direction` that meets the strong Wolfe conditions.
///
/// `low` always is low enough and still falls too steeply, `high` is too high or rises: so
/// between them is a point that meets both conditions.
fn search(
    start: &Iterate,
    direction: &[f64],
    first: f64,
    evaluate: &mut impl FnMut(Vec<f64>) -> Iterate,
) -> Option<Iterate> {
    let slope = dot(&start.gradient, direction);
    let mut low = Trial { length: 0.0, value: start.value, slope };
    let mut high: Option<Trial> = None;
    let mut length = first;
    for _ in 0..MOST_TRIALS {
        let mut point = start.point.clone();
        add_scaled(&mut point, length, direction);
        let next = evaluate(point);
        let trial = Trial { length, value: next.value, slope: dot(&next.gradient, direction) };
        let is_low_enough = next.is_finite() && is_low_enough(&trial, start.value, slope);
        if is_low_enough && trial.slope.abs() <= C_2 * slope.abs() {
            return Some(next);
        }
        if is_low_enough && trial.slope < 0.0 {
            low = trial;
        } else {
            high = Some(trial);
        }
        length = match high {
            None => 4.0 * length,
            Some(high) => between(&low, &high),
        };
    }
    None
}

/// Returns true if the function has fallen enough at `trial`.
///
/// Where values differ by no more than their rounding, their quadratic model decides by the
/// slope instead (Hager and Zhang, "A New Conjugate Gradient Method with Guaranteed Descent
/// and an Efficient Line Search", 2005, the approximate Wolfe conditions).
fn is_low_enough(trial: &Trial, value: f64, slope: f64) -> bool {
    trial.value <= value + C_1 * trial.length * slope
        || (trial.value <= value + VALUE_ROUNDING * value.abs()
            && trial.slope <= (2.0 * C_1 - 1.0) * slope)
}

/// Returns a length between two others: the minimum of a parabola, kept off both ends.
fn between(low: &Trial, high: &Trial) -> f64 {
    let width = high.length - low.length;
    let share = if high.slope > 0.0 {
        low.slope / (low.slope - high.slope)
    } else {
        low.slope * width / (2.0 * (low.value + low.slope * width - high.value))
    };
    let share = if share.is_finite() { share.clamp(0.1, 0.9) } else { 0.5 };
    low.length + share * width
}
