//! The estimators find constants that are known.
// Thousands of draws of safe arithmetic, which Miri would take minutes for.
#![cfg(not(miri))]

use asyn_core::SplitMix64;
use asyn_core::theory::{GradientPair, Optimum, Point, rho, staleness_quantile, tau, trajectory};

/// The curvatures of the quadratic `f* + Σ λ_j/2 (w_j − w*_j)²`.
const LAMBDA: [f64; 3] = [0.2, 1.0, 5.0];

fn optimum() -> Optimum {
    Optimum { weights: vec![1.0, -2.0, 0.5], value: 3.0 }
}

fn quadratic(w: &[f64]) -> (f64, Vec<f64>) {
    let optimum = optimum();
    let distance = w.iter().zip(&optimum.weights).map(|(w, o)| w - o);
    let gradient: Vec<f64> = distance.clone().zip(LAMBDA).map(|(d, l)| l * d).collect();
    let value = distance.zip(&gradient).map(|(d, g)| 0.5 * d * g).sum::<f64>();
    (optimum.value + value, gradient)
}

#[test]
fn constants_of_a_trajectory_are_those_of_the_directions_it_visits() {
    let o = optimum().weights;
    // Along each axis, and once at the optimum itself.
    let visited = [
        vec![o[0] + 2.0, o[1], o[2]],
        vec![o[0], o[1] - 1.0, o[2]],
        vec![o[0], o[1], o[2] + 0.1],
        o.clone(),
    ];
    let evaluated: Vec<_> = visited.iter().map(|w| quadratic(w)).collect();
    let points: Vec<_> = visited
        .iter()
        .zip(&evaluated)
        .zip([3.0, 7.0, 5.0, 1.0])
        .map(|((weights, (value, gradient)), mean_square)| Point {
            weights,
            value: *value,
            gradient,
            mean_square,
        })
        .collect();
    let all = trajectory(&points, &optimum()).unwrap();
    let near = |actual: f64, expected: f64| (actual - expected).abs() < 1e-9 * expected;
    assert!(near(all.c, 0.2) && near(all.c_theorem_1, 0.2) && near(all.q, 5.0), "{all:?}");
    assert!(near(all.a_0, 4.0) && near(all.kappa_squared, 7.0), "{all:?}");
    let one = trajectory(&points[1..2], &optimum()).unwrap();
    assert!(near(one.c, 1.0) && near(one.q, 1.0) && near(one.a_0, 1.0), "{one:?}");
    assert_eq!(trajectory(&points[3..], &optimum()), None);
    assert_eq!(trajectory(&[], &optimum()), None);
}

#[test]
fn constants_of_a_run_lie_between_the_extreme_curvatures() {
    let mut w = vec![3.0, 1.0, -1.0];
    let mut run = Vec::new();
    for _ in 0..200 {
        let (value, gradient) = quadratic(&w);
        let next = w.iter().zip(&gradient).map(|(w, g)| w - 0.05 * g).collect();
        run.push((std::mem::replace(&mut w, next), value, gradient));
    }
    let points: Vec<_> = run
        .iter()
        .map(|(weights, value, gradient)| Point {
            weights,
            value: *value,
            gradient,
            mean_square: 0.0,
        })
        .collect();
    let constants = trajectory(&points, &optimum()).unwrap();
    // The run ends along the flattest direction.
    assert!((0.2..0.2001).contains(&constants.c), "{constants:?}");
    assert!((0.2..0.2001).contains(&constants.c_theorem_1), "{constants:?}");
    assert!(constants.q > constants.c && constants.q <= 5.0, "{constants:?}");
}

/// Returns the sum of 12 uniform draws less 6, nearly a standard normal one.
fn normal(random: &mut SplitMix64) -> f64 {
    (0..12).map(|_| f64::from(random.unit())).sum::<f64>() - 6.0
}

#[test]
fn projections_and_rho_find_an_injected_error() {
    let w_star = optimum().weights;
    let reference = [3.0, 1.0, -1.0];
    let (_, gradient) = quadratic(&reference);
    // The error is 0.1 of the mean gradient, turned round; the noise has mean 0.
    let mut random = SplitMix64::new(2);
    let drawn: Vec<(Vec<f64>, Vec<f64>)> = (0..4000)
        .map(|_| {
            let exact: Vec<f64> = gradient.iter().map(|g| g + normal(&mut random)).collect();
            let racy = exact
                .iter()
                .zip(&gradient)
                .map(|(e, g)| e - 0.1 * g + 0.5 * normal(&mut random))
                .collect();
            (exact, racy)
        })
        .collect();
    let pairs: Vec<_> = drawn
        .iter()
        .map(|(exact, racy)| GradientPair { exact, racy, reference: &reference })
        .collect();
    let relative = rho(&pairs).unwrap();
    assert!((relative - 0.1).abs() < 0.01, "{relative}");
    let projections: Vec<f64> = pairs.iter().map(|pair| pair.projection(&w_star)).collect();
    let distance = reference.iter().zip(&w_star).map(|(w, o)| w - o);
    let expected: f64 = distance.zip(&gradient).map(|(d, g)| 0.1 * g * d).sum();
    let found = tau(&[&projections], 1).unwrap();
    assert!(found.low < expected && expected < found.high, "{found:?} {expected}");
    assert!(found.high - found.low < 0.1 * expected.max(1.0), "{found:?}");
}

#[test]
fn the_interval_of_tau_covers_as_often_as_it_says() {
    let mut random = SplitMix64::new(9);
    let (mut covered, mut width) = (0, 0.0);
    for seed in 0..200 {
        let window: Vec<f64> = (0..64).map(|_| 0.3 + normal(&mut random)).collect();
        let found = tau(&[&window], seed).unwrap();
        assert!(found.low <= found.estimate && found.estimate <= found.high);
        covered += usize::from(found.low <= 0.3 && 0.3 <= found.high);
        width += (found.high - found.low) / 200.0;
    }
    assert!((180..=198).contains(&covered), "{covered} of 200");
    // 2 · 1.96 / √64.
    assert!((width - 0.49).abs() < 0.03, "{width}");
}

#[test]
fn tau_is_that_of_the_worst_window_and_repeatable() {
    let calm = [0.1, -0.1, 0.2, -0.2];
    let bad = [1.0, 1.5, 0.5, 1.0];
    let found = tau(&[&calm, &bad], 5).unwrap();
    assert!((found.estimate - 1.0).abs() < 1e-12 && found.low >= 0.5 && found.high <= 1.5);
    assert_eq!(tau(&[&calm, &bad], 5), Some(found));
    assert_eq!(tau(&[], 5), None);
    assert_eq!(tau(&[&calm, &[]], 5), None);
}

#[test]
fn rho_of_nothing_is_unknown() {
    assert_eq!(rho(&[]), None);
    let zero = GradientPair { exact: &[0.0], racy: &[1.0], reference: &[0.0] };
    assert_eq!(rho(&[zero]), None);
    let exact = GradientPair { exact: &[2.0], racy: &[2.0], reference: &[0.0] };
    assert_eq!(rho(&[exact]), Some(0.0));
}

#[test]
fn staleness_is_read_from_its_histogram() {
    let histogram = [90, 5, 4, 0, 1, 0];
    for (share, expected) in [(0.0, 0), (0.5, 0), (0.9, 0), (0.91, 1), (0.99, 2), (1.0, 4)] {
        assert_eq!(staleness_quantile(&histogram, share), Some(expected), "{share}");
    }
    assert_eq!(staleness_quantile(&[0, 0, 0, 8], 0.0), Some(3));
    assert_eq!(staleness_quantile(&[0, 0], 0.5), None);
    assert_eq!(staleness_quantile(&histogram, 1.5), None);
}
