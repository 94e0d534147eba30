//! L-BFGS finds known minima, also of the objective of a model.
// Thousands of steps of safe arithmetic, which Miri would take minutes for.
#![cfg(not(miri))]

use asyn_core::theory::{FullObjective, Lbfgs, Minimum, Stop};
use asyn_core::{Averaging, Error, Model, Schedule, Sgd, SplitMix64, Trainer};
use asyn_testing::{Click, Logistic, separable_clicks};

const N_FEATURES: usize = 40;

fn clicks(n: usize) -> Vec<Click> {
    separable_clicks(n, u32::try_from(N_FEATURES).unwrap(), 4)
}

fn tight(tolerance: f64) -> Lbfgs {
    Lbfgs { tolerance, ..Lbfgs::default() }
}

#[track_caller]
fn assert_point(minimum: &Minimum, expected: &[f64], tolerance: f64) {
    for (actual, expected) in minimum.point.iter().zip(expected) {
        assert!((actual - expected).abs() <= tolerance, "{minimum:?}");
    }
}

#[test]
fn quadratics_end_at_their_closed_form() {
    // Σ λ_j/2 (w_j − j)², with λ from 1 to 10,000.
    let lambda = |j: usize| 10f64.powf(4.0 * j as f64 / 29.0);
    let minimum = tight(1e-9).minimize(vec![0.0; 30], |w, gradient| {
        let mut value = 0.0;
        for (j, (g, w)) in gradient.iter_mut().zip(w).enumerate() {
            let distance = w - j as f64;
            *g = lambda(j) * distance;
            value += 0.5 * lambda(j) * distance * distance;
        }
        value
    });
    assert_eq!(minimum.stop, Stop::Tolerance);
    assert!(minimum.gradient_norm <= 1e-9 && minimum.evaluations < 1200, "{minimum:?}");
    let expected: Vec<f64> = (0..30).map(|j| j as f64).collect();
    assert_point(&minimum, &expected, 1e-8);
}

fn rosenbrock(w: &[f64], gradient: &mut [f64]) -> f64 {
    gradient.fill(0.0);
    let mut value = 0.0;
    for i in 0..w.len() - 1 {
        let (valley, rest) = (w[i + 1] - w[i] * w[i], 1.0 - w[i]);
        value += 100.0 * valley * valley + rest * rest;
        gradient[i] -= 400.0 * valley * w[i] + 2.0 * rest;
        gradient[i + 1] += 200.0 * valley;
    }
    value
}

#[test]
fn rosenbrock_ends_at_1() {
    for (start, most) in [(vec![-1.2, 1.0], 80), (vec![0.0; 20], 300)] {
        let n = start.len();
        let minimum = tight(1e-9).minimize(start, rosenbrock);
        assert_eq!(minimum.stop, Stop::Tolerance);
        assert!(minimum.evaluations < most, "{minimum:?}");
        assert_point(&minimum, &vec![1.0; n], 1e-7);
    }
}

#[test]
fn a_boundary_is_not_crossed() {
    // The minimum of w/10 − log w is 10; the first steps from 10⁻³ would lead out and far up.
    let objective = |w: &[f64], gradient: &mut [f64]| {
        gradient[0] = 0.1 - 1.0 / w[0];
        0.1 * w[0] - w[0].ln()
    };
    assert_point(&tight(1e-9).minimize(vec![1e-3], objective), &[10.0], 1e-6);
    assert_point(&tight(1e-9).minimize(vec![500.0], objective), &[10.0], 1e-6);
    let outside = Lbfgs::default().minimize(vec![-1.0], objective);
    assert_eq!((outside.stop, outside.iterations), (Stop::NotFinite, 0));
}

#[test]
fn every_end_has_its_reason() {
    let few = Lbfgs { max_iterations: 3, ..tight(1e-12) }.minimize(vec![-1.2, 1.0], rosenbrock);
    assert_eq!((few.stop, few.iterations), (Stop::Iterations, 3));
    let there = Lbfgs::default().minimize(vec![1.0, 1.0], rosenbrock);
    assert_eq!((there.stop, there.iterations, there.evaluations), (Stop::Tolerance, 0, 1));
    let unbounded = Lbfgs::default().minimize(vec![0.0], |w, gradient| {
        gradient[0] = -1.0;
        -w[0]
    });
    assert_eq!(unbounded.stop, Stop::LineSearch);
    let lies = Lbfgs::default().minimize(vec![1.0], |w, gradient| {
        gradient[0] = -2.0 * w[0];
        w[0] * w[0]
    });
    assert_eq!(lies.stop, Stop::LineSearch);
}

/// Logistic regression on the same examples in plain f64: features first, then the bias.
struct Reference<'a> {
    clicks: &'a [Click],
    l2: f64,
}

impl Reference<'_> {
    const LEN: usize = N_FEATURES + 1;

    fn active(click: &Click) -> impl Iterator<Item = usize> + Clone + '_ {
        click.features.iter().map(|&f| f as usize).chain([N_FEATURES])
    }

    /// Returns the mean objective, its gradient and its Hessian.
    fn evaluate(&self, w: &[f64]) -> (f64, Vec<f64>, Vec<Vec<f64>>) {
        let m = self.clicks.len() as f64;
        let mut value = self.l2 / 2.0 / m * w.iter().map(|w| w * w).sum::<f64>();
        let mut gradient: Vec<f64> = w.iter().map(|w| self.l2 / m * w).collect();
        let mut hessian = vec![vec![0.0; Self::LEN]; Self::LEN];
        (0..Self::LEN).for_each(|i| hessian[i][i] = self.l2 / m);
        for click in self.clicks {
            let score: f64 = Self::active(click).map(|f| w[f]).sum();
            let p = 1.0 / (1.0 + (-score).exp());
            value -= if click.positive { p } else { 1.0 - p }.ln() / m;
            for i in Self::active(click) {
                gradient[i] += (p - f64::from(u8::from(click.positive))) / m;
                Self::active(click).for_each(|j| hessian[i][j] += p * (1.0 - p) / m);
            }
        }
        (value, gradient, hessian)
    }

    /// Minimises by plain Newton steps, each solved by Gaussian elimination.
    fn minimum(&self) -> Vec<f64> {
        let mut w = vec![0.0; Self::LEN];
        for _ in 0..20 {
            let (_, mut rest, mut h) = self.evaluate(&w);
            for column in 0..Self::LEN {
                for row in column + 1..Self::LEN {
                    let factor = h[row][column] / h[column][column];
                    (column..Self::LEN).for_each(|k| h[row][k] -= factor * h[column][k]);
                    rest[row] -= factor * rest[column];
                }
            }
            for row in (0..Self::LEN).rev() {
                let known: f64 = (row + 1..Self::LEN).map(|k| h[row][k] * rest[k]).sum();
                rest[row] = (rest[row] - known) / h[row][row];
            }
            w.iter_mut().zip(&rest).for_each(|(w, step)| *w -= step);
        }
        assert!(self.evaluate(&w).1.iter().all(|g| g.abs() < 1e-14), "Newton has converged");
        w
    }
}

/// Returns the positions of features and bias in the weights of the model.
fn places(model: &Logistic) -> Vec<usize> {
    let bias = model.layout().ids().last().unwrap();
    (0..N_FEATURES).map(|f| 8 * f).chain([model.layout().tensor(bias).start]).collect()
}

#[test]
fn the_full_objective_is_the_mean_with_l2() {
    let clicks = clicks(300);
    let model = Logistic::new(N_FEATURES);
    let places = places(&model);
    let reference = Reference { clicks: &clicks, l2: 2.0 };
    let mut objective = FullObjective::new(&model, &clicks, 2.0).unwrap();
    let mut random = SplitMix64::new(6);
    let mut gradient = vec![f64::NAN; model.layout().len()];
    for _ in 0..3 {
        let plain: Vec<f64> =
            (0..Reference::LEN).map(|_| 2.0 * f64::from(random.unit()) - 1.0).collect();
        let mut w = vec![0.0; model.layout().len()];
        places.iter().zip(&plain).for_each(|(&at, &value)| w[at] = value);
        let value = objective.evaluate(&w, &mut gradient);
        let (expected_value, expected, _) = reference.evaluate(&plain);
        assert!((value - expected_value).abs() < 1e-6 * expected_value);
        for (&at, expected) in places.iter().zip(expected) {
            assert!((gradient[at] - expected).abs() < 1e-7, "{} {expected}", gradient[at]);
        }
        let elsewhere = (0..w.len()).filter(|at| !places.contains(at));
        assert!(elsewhere.map(|at| gradient[at]).all(|g| g == 0.0), "padding has no gradient");
    }
}

#[test]
fn the_minimum_of_a_model_is_that_of_newton_in_f64() {
    let clicks = clicks(1000);
    let model = Logistic::new(N_FEATURES);
    let expected = Reference { clicks: &clicks, l2: 1.0 }.minimum();
    let mut objective = FullObjective::new(&model, &clicks, 1.0).unwrap();
    // 10⁻⁶ m^{-1/2}, the tolerance that w* asks for.
    let start = vec![0.0; model.layout().len()];
    let minimum = tight(3e-8).minimize(start, |w, gradient| objective.evaluate(w, gradient));
    assert_eq!(minimum.stop, Stop::Tolerance, "{} left", minimum.gradient_norm);
    for (at, expected) in places(&model).into_iter().zip(&expected) {
        // The modulus of strong convexity is at least λ/m = 10⁻³.
        let error = (minimum.point[at] - expected).abs();
        assert!(error < 1e-4, "{} instead of {expected}", minimum.point[at]);
    }

    // The same l2 means the same objective for SGD.
    let schedule = Schedule::InverseTime { rate: 0.1, half_life: 2.0 };
    let update = Sgd { schedule, l2: 1.0, averaging: Averaging::FromPass(20), ..Sgd::default() };
    let trainer = Trainer::builder().update(update).passes(60).build().unwrap();
    let mut weights = model.initial_weights(1);
    trainer.fit(&model, &clicks, &mut weights, &mut ()).unwrap();
    let sgd: Vec<f64> = weights.to_vec().into_iter().map(f64::from).collect();
    let mut gradient = vec![0.0; sgd.len()];
    let excess = objective.evaluate(&sgd, &mut gradient) - minimum.value;
    assert!((-1e-7..1e-3).contains(&excess), "{excess}");
}

#[test]
fn an_objective_of_nothing_is_refused() {
    let model = Logistic::new(N_FEATURES);
    assert_eq!(FullObjective::new(&model, &[], 1.0).unwrap_err(), Error::NoExamples);
    let clicks = clicks(3);
    for l2 in [-1.0, f64::NAN, f64::INFINITY] {
        let error = FullObjective::new(&model, &clicks, l2).unwrap_err();
        assert!(matches!(error, Error::Setting { setting: "l2", .. }), "{error}");
    }
}
