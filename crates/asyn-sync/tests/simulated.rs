//! Coordinated strategies on virtual cores.

use std::time::Duration;

use asyn_core::simulate::{self, CostModel, Simulated, SimulationReport};
use asyn_core::{
    AsynGrad, Batch, Delay, Gradient, Layout, Model, Real, SharedWeights, SplitMix64, Strategy,
    Touched, Trainer, Worker,
};
use asyn_sync::{Bounded, Locked, RoundRobin};
use asyn_testing::{Logistic, separable_clicks};

/// A gradient that takes the time of a sentence of the Wall Street Journal, whose lengths are
/// about gamma distributed with mean 24 and standard deviation 11, and changes nothing.
struct Work(Layout);

/// Draws from the gamma distribution of `shape` above 1 and scale 1: Marsaglia and Tsang, "A
/// Simple Method for Generating Gamma Variables", 2000.
fn gamma(shape: f64, random: &mut SplitMix64) -> f64 {
    let d = shape - 1.0 / 3.0;
    let c = (9.0 * d).sqrt().recip();
    let mut uniform = || f64::from(random.unit()).max(1e-9);
    loop {
        let normal = (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
        let v = (1.0 + c * normal).powi(3);
        if v > 0.0 && uniform().ln() < 0.5 * normal * normal + d * (1.0 - v + v.ln()) {
            return d * v;
        }
    }
}

impl Model for Work {
    type Example = ();
    type Workspace = ();

    fn layout(&self) -> &Layout {
        &self.0
    }

    fn workspace(&self) {}

    fn touched(&self, _: &Batch<'_, ()>, (): &mut (), _: &mut Touched) {}

    fn gradient(
        &self,
        _: &Worker<'_>,
        batch: &Batch<'_, ()>,
        (): &mut (),
        _: &mut Gradient,
    ) -> f64 {
        let mut random = batch.random(batch.ids()[0]);
        let (mean, deviation) = (24.0_f64, 11.0_f64);
        let tokens = gamma((mean / deviation).powi(2), &mut random) * deviation.powi(2) / mean;
        simulate::sleep(Duration::from_secs_f64(tokens * 1e-6));
        0.0
    }
}

/// What accesses cost does not matter where there are none.
const COST: CostModel = CostModel { load: 1.0, store: 1.0, miss: 60.0, compute: 3.0, grain: 0.0 };

fn seconds(strategy: impl Strategy, threads: usize) -> f64 {
    let mut layout = Layout::default();
    layout.rows("none", 1, 1);
    let model = Work(layout);
    let simulated = Simulated::new(strategy, COST).unwrap();
    let trainer = Trainer::builder().strategy(&simulated).threads(threads).passes(1);
    let mut weights = SharedWeights::zeroed(model.layout().len());
    trainer.build().unwrap().fit(&model, &[(); 16_000], &mut weights, &mut ()).unwrap();
    simulated.report().seconds
}

/// Speed-ups of an independent simulation of these schemes, where writing takes no time.
#[test]
fn throughput_is_that_of_the_scheme() {
    let speedup = |strategy: fn(usize) -> f64, workers| strategy(1) / strategy(workers);
    for (workers, expected) in [(2, 1.79), (4, 3.18), (10, 6.80), (16, 10.1)] {
        let actual = speedup(|k| seconds(RoundRobin, k), workers);
        assert!((actual / expected - 1.0).abs() < 0.02, "{workers} in turn: {actual}");
    }
    for (workers, expected) in [(2, 2.0), (4, 4.0), (10, 9.98)] {
        let actual = speedup(|k| seconds(Locked, k), workers);
        assert!((actual / expected - 1.0).abs() < 0.02, "{workers} in any order: {actual}");
    }
}

fn train(strategy: impl Strategy, threads: usize) -> (Vec<Real>, SimulationReport) {
    train_delayed(strategy, threads, None)
}

fn train_delayed(
    strategy: impl Strategy,
    threads: usize,
    delay: Option<Delay>,
) -> (Vec<Real>, SimulationReport) {
    let clicks = separable_clicks(300, 40, 1);
    let model = Logistic::new(40);
    let mut weights = model.initial_weights(1);
    let simulated = Simulated::new(strategy, COST).unwrap();
    let trainer = Trainer::builder().strategy(&simulated).threads(threads).passes(3).seed(5);
    let trainer = trainer.delay(delay);
    trainer.build().unwrap().fit(&model, &clicks, &mut weights, &mut ()).unwrap();
    (weights.to_vec(), simulated.report())
}

#[test]
fn what_locks_guard_is_never_lost_or_overwritten() {
    for report in [train(Locked, 4).1, train(RoundRobin, 4).1] {
        assert_eq!((report.steps, report.lost_stores), (900, 0));
    }
    assert_eq!(train(Locked, 4), train(Locked, 4));
    assert_eq!(train(RoundRobin, 4), train(RoundRobin, 4));
    assert_eq!(train(Locked, 1).0, train(RoundRobin, 1).0);
}

#[test]
fn a_bound_and_a_delay_hold_in_virtual_time() {
    let bounded = Bounded { staleness: 1 };
    assert_eq!(train(bounded, 4), train(bounded, 4));
    let delay = Some(Delay { mean: Duration::from_secs(1), probability: 0.25 });
    let (weights, report) = train_delayed(AsynGrad, 4, delay);
    // 900 steps of four workers, a quarter of which sleep for a second; behind the lock nobody
    // sleeps, and in turn all wait for a sleeper.
    assert!((40.0..80.0).contains(&report.seconds), "{} s", report.seconds);
    assert_eq!((weights, report), train_delayed(AsynGrad, 4, delay));
    let locked = train_delayed(Locked, 4, delay).1.seconds;
    assert!((40.0..80.0).contains(&locked), "{locked} s");
    let in_turn = train_delayed(RoundRobin, 4, delay).1.seconds;
    assert!(in_turn > 2.0 * locked, "{in_turn} s in turn, {locked} s in any order");
}
