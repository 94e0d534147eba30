//! The bounds hold where their assumptions do, and say so where they do not.
// Thousands of steps of safe arithmetic, which Miri would take minutes for.
#![cfg(not(miri))]

use asyn_core::SplitMix64;
use asyn_core::theory::{
    Bound, BoundError, Constants, c_rho, delay_limit, lost_updates_factor, relative_error,
    rho_threshold, stale, theorem_1, tight,
};

const GOLDEN: Constants =
    Constants { c: 0.1, q: 1.0, kappa: 1.0, tau: 0.001, epsilon: 0.1, a_0: 10.0, beta: 1.0 };

type BoundFn = fn(&Constants) -> Result<Bound, BoundError>;

#[track_caller]
fn assert_near(actual: f64, expected: f64, tolerance: f64) {
    let error = (actual - expected).abs();
    assert!(error <= tolerance * expected.abs(), "{actual} instead of {expected}");
}

#[test]
fn bounds_have_their_golden_values() {
    for (bound, gamma, updates) in [
        (theorem_1(&GOLDEN), 0.008, 5757),
        (tight(&GOLDEN), 0.018, 1280),
        (stale(&GOLDEN, 9.0), 0.1 / 81.0, 37302),
    ] {
        let bound = bound.unwrap();
        assert_near(bound.gamma, gamma, 1e-12);
        assert_eq!(bound.updates, updates);
    }
}

#[test]
fn a_tau_at_its_limit_is_refused() {
    // cε/2q and cε/q.
    for (bound, limit) in [(theorem_1 as BoundFn, 0.005), (tight, 0.01)] {
        let bound = |tau| bound(&Constants { tau, ..GOLDEN });
        assert!(bound(0.999 * limit).is_ok());
        for tau in [GOLDEN.c * GOLDEN.epsilon * (limit / 0.01), 2.0 * limit] {
            assert!(matches!(bound(tau), Err(BoundError::Tau { .. })), "{tau}");
        }
        assert_eq!(bound(-1.0), bound(0.0), "errors that help are not rewarded");
    }
}

#[test]
fn a_step_that_is_too_large_names_the_beta_that_is_enough() {
    let large = Constants { epsilon: 100.0, a_0: 1e4, c: 0.5, ..GOLDEN };
    let bounds: [BoundFn; 4] = [theorem_1, tight, |c| relative_error(c, 0.5), |c| stale(c, 0.0)];
    for bound in bounds {
        let Err(BoundError::StepSize { beta }) = bound(&large) else { panic!("a step too large") };
        assert!(bound(&Constants { beta: 1.001 * beta, ..large }).is_ok());
        assert!(bound(&Constants { beta: 0.999 * beta, ..large }).is_err());
    }
    let text = theorem_1(&large).unwrap_err().to_string();
    assert!(text.contains("beta above 24.9"), "{text}");
}

#[test]
fn constants_out_of_range_are_named() {
    let named = |constants: Constants| match theorem_1(&constants) {
        Err(BoundError::Constant { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(named(Constants { c: bad, ..GOLDEN }), "c");
        assert_eq!(named(Constants { q: bad, ..GOLDEN }), "q");
        assert_eq!(named(Constants { kappa: bad, ..GOLDEN }), "kappa");
        assert_eq!(named(Constants { epsilon: bad, ..GOLDEN }), "epsilon");
        assert_eq!(named(Constants { beta: bad, ..GOLDEN }), "beta");
        assert!(delay_limit(bad, 3).is_err());
        assert!(rho_threshold(bad, 1.0).is_err() && c_rho(1.0, bad, 0.1).is_err());
    }
    for bad in [f64::NAN, f64::NEG_INFINITY] {
        assert_eq!(named(Constants { tau: bad, ..GOLDEN }), "tau");
        assert_eq!(named(Constants { a_0: bad, ..GOLDEN }), "a_0");
        assert!(stale(&GOLDEN, bad).is_err() && lost_updates_factor(bad).is_err());
    }
    for bad in [-0.1, 1.0, f64::NAN] {
        assert!(relative_error(&GOLDEN, bad).is_err() && lost_updates_factor(bad).is_err());
    }
}

#[test]
fn nothing_is_to_be_done_within_the_target() {
    for a_0 in [0.0, 0.05, 0.1] {
        let constants = Constants { a_0, ..GOLDEN };
        assert_eq!(theorem_1(&constants).unwrap().updates, 0);
        assert_eq!(tight(&constants).unwrap().updates, 0);
        assert_eq!(stale(&constants, 9.0).unwrap().updates, 0);
    }
}

#[test]
fn overlap_costs_nothing_at_a_small_target() {
    let updates = |epsilon, overlap| stale(&Constants { epsilon, ..GOLDEN }, overlap).unwrap();
    assert!(updates(0.1, 9.0).updates > updates(0.1, 0.0).updates);
    assert_eq!(updates(1e-3, 9.0), updates(1e-3, 0.0));
}

/// Runs SGD on `Σ λ_j/2 w_j²`, λ = (1/2, 1), from (1, 1), and returns `f − f*` at the end.
///
/// Each gradient carries noise of ±0.3 a coordinate and an error that leads away from the
/// optimum, with `(∇f − s)ᵀ(w − w*) ≤ τ`.
fn noisy_run(bound: Bound, constants: &Constants, random: &mut SplitMix64) -> f64 {
    let mut w = [1.0, 1.0f64];
    for _ in 0..bound.updates {
        let square = w[0] * w[0] + w[1] * w[1];
        let error = constants.tau / square.max(0.05);
        let bits = random.next_u64();
        let noise = |bit: u32| if bits >> bit & 1 == 1 { 0.3 } else { -0.3 };
        let step = [0.5 * w[0] - error * w[0] + noise(0), w[1] - error * w[1] + noise(1)];
        assert!(step[0].hypot(step[1]) <= constants.kappa);
        w[0] -= bound.gamma * step[0];
        w[1] -= bound.gamma * step[1];
    }
    0.25 * w[0] * w[0] + 0.5 * w[1] * w[1]
}

#[test]
fn bounds_hold_on_a_quadratic_with_noise_and_adversarial_errors() {
    let kappa = 2.0;
    let constants =
        Constants { c: 0.5, q: 1.0, kappa, tau: 0.015, epsilon: 0.1, a_0: 2.0, beta: 1.0 };
    let mut random = SplitMix64::new(8);
    for bound in [theorem_1(&constants).unwrap(), tight(&constants).unwrap()] {
        let reached = (0..1000)
            .filter(|_| noisy_run(bound, &constants, &mut random) <= constants.epsilon)
            .count();
        assert!(reached >= 990, "{reached} of 1000 runs with {bound:?}");
    }
}

#[test]
fn the_tight_floor_is_attained_by_an_adversary() {
    // On c/2 w² the error τ/w holds the run where w² = τ/c; Theorem 1 would say 2τ/c.
    let (c, tau, gamma) = (0.5, 0.01, 0.01);
    let mut w = 1.0;
    for _ in 0..5000 {
        w -= gamma * (c * w - tau / w);
    }
    assert_near(w * w, tau / c, 1e-6);
}

/// The worst-case quadratic for relative errors, `x²/2 + Q y²/2`, with Q = 20.
const WORST: [f64; 2] = [1.0, 20.0];

/// Returns the gradient at `w` with an error of `rho` times its norm, straight away from 0.
fn misled(w: [f64; 2], rho: f64) -> [f64; 2] {
    let gradient = [WORST[0] * w[0], WORST[1] * w[1]];
    let away = rho * gradient[0].hypot(gradient[1]) / w[0].hypot(w[1]);
    [gradient[0] - away * w[0], gradient[1] - away * w[1]]
}

#[test]
fn c_rho_is_the_worst_contraction_over_all_directions() {
    for rho in [0.2, 0.3, 0.42, 0.5] {
        let worst = (0..200_000)
            .map(|i| {
                let (y, x) = (f64::from(i) * std::f64::consts::PI / 2e5).sin_cos();
                let s = misled([x, y], rho);
                s[0] * x + s[1] * y
            })
            .fold(f64::INFINITY, f64::min);
        assert!((worst - c_rho(1.0, 20.0, rho).unwrap()).abs() < 1e-6, "{rho}: {worst}");
    }
}

#[test]
fn beyond_the_threshold_a_step_leads_away_and_the_objective_falls_all_the_same() {
    let threshold = rho_threshold(1.0, 20.0).unwrap();
    let value = |w: [f64; 2]| 0.5 * (WORST[0] * w[0] * w[0] + WORST[1] * w[1] * w[1]);
    let gamma = 1e-4;
    let step = |w: [f64; 2], rho| {
        let s = misled(w, rho);
        [w[0] - gamma * s[0], w[1] - gamma * s[1]]
    };
    // The direction in which the gradient is furthest from pointing at the optimum.
    let worst = [20.0 / 21.0, 1.0 / 21.0].map(f64::sqrt);
    for (rho, leads_away) in [(0.99 * threshold, false), (1.01 * threshold, true)] {
        let next = step(worst, rho);
        assert_eq!(next[0].hypot(next[1]) > 1.0, leads_away, "{rho}");
        let mut w = worst;
        for _ in 0..100_000 {
            let next = step(w, rho);
            assert!(value(next) < value(w));
            assert!(leads_away || next[0].hypot(next[1]) < w[0].hypot(w[1]));
            w = next;
        }
        assert!(value(w) < 1e-3 * value(worst), "{rho}: {}", value(w));
    }
    // An error of more than the gradient turns it round.
    let mut w = [1.0, 0.0];
    (0..10_000).for_each(|_| w = step(w, 1.01));
    assert!(value(w) > value([1.0, 0.0]));
}

#[test]
fn the_bound_for_relative_errors_holds_up_to_1() {
    for rho in [0.0, 0.3, 0.9] {
        // The largest error for the objective shrinks the gradient.
        let kappa = 20.0 * 2f64.sqrt();
        let constants =
            Constants { c: 1.0, q: 20.0, kappa, tau: 0.0, epsilon: 0.5, a_0: 2.0, beta: 1.0 };
        let bound = relative_error(&constants, rho).unwrap();
        let mut w = [1.0, 1.0];
        for _ in 0..bound.updates {
            w[0] -= bound.gamma * (1.0 - rho) * WORST[0] * w[0];
            w[1] -= bound.gamma * (1.0 - rho) * WORST[1] * w[1];
        }
        assert!(0.5 * (w[0] * w[0] + 20.0 * w[1] * w[1]) <= constants.epsilon, "{rho}");
        let by_distance = c_rho(1.0, 20.0, rho).unwrap();
        assert!(constants.c * (1.0 - rho) >= by_distance, "{rho}");
    }
}

#[test]
fn lost_updates_slow_down_by_no_more_than_their_factor() {
    // Each coordinate of each update is lost with probability p: E w_t = (1 − γλ(1 − p))^t w_0.
    let (gamma, lambda, p, n_updates, n_runs) = (0.1, 0.5, 0.4, 40, 4000);
    let mut random = SplitMix64::new(3);
    let mut sum = 0.0;
    for _ in 0..n_runs {
        let mut w = 1.0;
        for _ in 0..n_updates {
            if f64::from(random.unit()) >= p {
                w -= gamma * lambda * w;
            }
        }
        sum += w;
    }
    let rate = gamma * lambda * lost_updates_factor(p).unwrap();
    assert_near(sum / f64::from(n_runs), (1.0 - rate).powi(n_updates), 0.02);
}

/// Returns true if `w_{t+1} = w_t − g w_{t−T}` comes to rest.
fn is_stable(g: f64, delay: usize) -> bool {
    let len = delay + 1;
    let mut recent = vec![1.0; len];
    let mut energy = |n_updates: usize| -> f64 {
        let mut largest = 0.0f64;
        for t in 0..n_updates * len {
            // The oldest weight makes room for the newest.
            let (oldest, newest) = (t % len, (t + len - 1) % len);
            recent[oldest] = recent[newest] - g * recent[oldest];
            largest = largest.max(recent[oldest].abs());
        }
        largest
    };
    let early = energy(100);
    energy(2000);
    energy(100) < early
}

#[test]
fn the_delay_limit_is_exact() {
    for (delay, limit) in
        [(0, 2.0), (1, 1.0), (3, 0.445), (7, 0.209), (9, 0.165), (15, 0.101), (31, 0.0499)]
    {
        let exact = delay_limit(1.0, delay).unwrap();
        assert_near(exact, limit, 5e-3);
        assert_near(delay_limit(4.0, delay).unwrap(), exact / 4.0, 1e-12);
        let delay = delay as usize;
        assert!(is_stable(0.99 * exact, delay), "below the limit of delay {delay}");
        assert!(!is_stable(1.01 * exact, delay), "above the limit of delay {delay}");
    }
}
