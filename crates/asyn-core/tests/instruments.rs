//! What the instruments report, where the races are known.
#![allow(clippy::cast_possible_truncation, reason = "there are few clicks")]

mod tasks;

use std::num::NonZeroU32;

use asyn_core::simulate::{CostModel, Simulated, SimulationReport};
use asyn_core::{
    AsynGrad, Averaging, Exchanges, Instruments, Lane, Model, Overwrites, Quantiles, Races, Read,
    Replicas, Schedule, Segment, Sgd, Stepper, Strategy, Trainer, TrainerBuilder, Update, Write,
};
use asyn_sync::{Locked, Minibatch, RoundRobin};
use asyn_testing::{Click, Logistic, separable_clicks};
use tasks::bits;

const EVERY_STEP: Instruments = Instruments {
    overlap: true,
    paired: NonZeroU32::new(1),
    balance: NonZeroU32::new(1),
    versions: true,
    balance_whole: true,
    reread: true,
    shadow: true,
};

/// The clicks of a run; Miri takes a second for each.
const N: u64 = if cfg!(miri) { 24 } else { 120 };
/// Those of a simulated run.
const N_SIMULATED: u64 = 400;

/// Trains on [`N`] clicks and returns what each worker saw in the last pass.
fn races<S: Strategy, U: Update>(builder: TrainerBuilder<S, U>) -> Vec<Races> {
    let (model, clicks) = (Logistic::new(40), separable_clicks(N as usize, 40, 1));
    let trainer = builder.passes(2).instruments(EVERY_STEP).build().unwrap();
    let outcome = trainer.fit(&model, &clicks, &mut model.initial_weights(1), &mut ()).unwrap();
    outcome.passes[1].races.clone().expect("instruments are on").workers
}

fn total(workers: &[Races]) -> Races {
    let mut total = Races::default();
    workers.iter().for_each(|worker| total.add(worker));
    total
}

#[test]
fn without_instruments_there_is_no_report() {
    let (model, clicks) = (Logistic::new(40), separable_clicks(20, 40, 1));
    let trainer = Trainer::builder().build().unwrap();
    let outcome = trainer.fit(&model, &clicks, &mut model.initial_weights(1), &mut ()).unwrap();
    assert_eq!(outcome.passes[0].races, None);
}

/// Asserts that one worker saw no race, and that it trained the same bits as unwatched.
#[track_caller]
fn one_worker_sees_nothing<S: Strategy, U: Update + Clone>(
    builder: impl Fn() -> TrainerBuilder<S, U>,
) {
    let (model, clicks) = (Logistic::new(40), separable_clicks(2 * N as usize, 40, 1));
    let [plain, watched] = [Instruments::default(), EVERY_STEP].map(|instruments| {
        let trainer = builder().passes(2).instruments(instruments).build().unwrap();
        let mut weights = model.initial_weights(1);
        let outcome = trainer.fit(&model, &clicks, &mut weights, &mut ()).unwrap();
        (bits(&weights), outcome)
    });
    assert_eq!(plain.0, watched.0);
    for report in &watched.1.passes {
        let report_of_races = report.races.as_ref().expect("instruments are on");
        assert_eq!(report_of_races.mass.lost, 0.0);
        assert!(report_of_races.mass.written > 0.0);
        let races = report_of_races.total();
        assert_eq!(races.staleness.counts()[0], report.steps);
        assert_eq!(races.staleness.steps(), report.steps);
        assert_eq!(races.probes.len() as u64, report.steps);
        assert!(races.probes.iter().all(|probe| probe.coordinates > 0));
        assert_eq!((races.wrong_rate(), races.bias(), races.cosine()), (0.0, 0.0, 1.0));
        assert_eq!(races.relative_error(false), Quantiles::default());
        let overwrites = Overwrites { steps: report.steps, read: 0, written: 0 };
        assert_eq!(races.overwrites, overwrites);
        assert_eq!((races.changes.steps, races.changes.changed), (report.steps, 0));
        assert!(races.changes.weights > 0);
        assert_eq!(races.exchanges.failed, 0);
    }
}

#[test]
fn one_worker_sees_no_race_and_is_not_disturbed() {
    let sgd = |l2| Sgd {
        schedule: Schedule::Constant { rate: 0.2 },
        l2,
        averaging: Averaging::FromPass(1),
        ..Sgd::default()
    };
    let builder = move || Trainer::builder().update(sgd(1.0));
    one_worker_sees_nothing(builder);
    one_worker_sees_nothing(|| builder().strategy(AsynGrad).write(Write::Cas));
    one_worker_sees_nothing(|| builder().strategy(AsynGrad).read(Read::Snapshot));
    one_worker_sees_nothing(|| builder().accumulate(3).sums_every(4).sparse_threshold(0.3));
    let replicas = Some(Replicas { rows: 16, merge_every: 4 });
    one_worker_sees_nothing(|| {
        builder().strategy(AsynGrad).replicas(replicas).sums_every(4).sparse_threshold(0.3)
    });
    one_worker_sees_nothing(|| Trainer::builder().strategy(Locked));
    one_worker_sees_nothing(|| Trainer::builder().strategy(RoundRobin));
}

#[test]
fn an_order_that_waits_tears_nothing() {
    for workers in [
        races(Trainer::builder().strategy(Locked).threads(3)),
        races(Trainer::builder().strategy(RoundRobin).threads(3)),
        races(Trainer::builder().strategy(Minibatch::default()).threads(3)),
    ] {
        let total = total(&workers);
        assert_eq!((workers.len(), total.probes.len()), (3, N as usize));
        assert_eq!(total.wrong_rate(), 0.0);
        assert_eq!(total.overwrites, Overwrites { steps: N, read: 0, written: 0 });
        assert_eq!((total.changes.changed_steps, total.changes.distance), (0, 0.0));
    }
}

#[test]
fn in_a_fixed_order_staleness_is_a_point_mass_after_the_first_round() {
    for threads in [1, 2, 3, 5] {
        let total = total(&races(Trainer::builder().strategy(RoundRobin).threads(threads)));
        let counts = total.staleness.counts();
        // In the first round of the segment each worker reads one update more than the last, and
        // in the last ones some workers have left.
        let full = threads - 1;
        assert!(counts[full] >= N - 3 * threads as u64, "{threads} threads: {counts:?}");
        assert!(counts[full + 1..].iter().all(|&n| n == 0), "{threads} threads: {counts:?}");
        assert!(counts[..full].iter().all(|&n| n > 0), "{threads} threads: {counts:?}");
    }
}

/// One worker is overtaken: another one runs a whole step between its read and its gradient.
struct Overtaken;

impl Strategy for Overtaken {
    fn name(&self) -> &'static str {
        "overtaken"
    }

    fn run<M: Model, U: Update>(
        &self,
        segment: &Segment<'_, M, U>,
        lanes: &mut [Lane<M::Workspace>],
    ) {
        let [slow, fast] = lanes else { panic!("two workers") };
        let (mut slow, mut fast) = (Stepper::new(segment, 0, slow), Stepper::new(segment, 1, fast));
        assert!(slow.draw() && fast.draw());
        slow.read();
        fast.read();
        fast.compute();
        fast.write();
        slow.compute();
        slow.write();
    }
}

#[test]
fn a_forced_schedule_is_reported_exactly() {
    let click = Click { features: vec![0], positive: true };
    let clicks = [click.clone(), click];
    let model = Logistic::new(40);
    let run = |read| {
        let schedule = Schedule::Constant { rate: 1.0 };
        let sgd = Sgd { schedule, l2: 0.0, ..Sgd::default() };
        let builder = Trainer::builder().strategy(Overtaken).update(sgd).threads(2).passes(1);
        let optimum = Some(vec![1.0; model.layout().len()].into());
        let builder = builder.optimum(optimum).read(read);
        let trainer = builder.instruments(EVERY_STEP).build().unwrap();
        let outcome = trainer.fit(&model, &clicks, &mut model.initial_weights(1), &mut ());
        outcome.unwrap().passes[0].races.clone().expect("instruments are on").workers
    };
    let workers = run(Read::InPlace);
    assert_eq!(workers[0].staleness.counts()[..2], [0, 1]);
    assert_eq!(workers[1].staleness.counts()[..2], [1, 0]);
    // The gradient is -1/2 at weights 0. The other worker's step makes weight and bias 1/2, so the
    // racy one is σ(1) - 1, in both coordinates.
    let probe = workers[0].probes[0];
    let relative = 1.0 - 2.0 * (1.0 - 1.0 / (1.0 + (-1.0f64).exp()));
    assert!((probe.relative_error - relative).abs() < 1e-6, "{probe:?}");
    assert!((probe.cosine - 1.0).abs() < 1e-12);
    assert_eq!([probe.coordinates, probe.differing, probe.far, probe.sign_flips], [2, 2, 2, 0]);
    assert!((workers[0].bias() - relative).abs() < 1e-6);
    assert!(!workers[1].probes[0].is_wrong());
    let torn = Overwrites { steps: 1, read: 1, written: 0 };
    assert_eq!(workers[0].overwrites, torn);
    // One row of 8 weights and a bias were read; the first of each became 1/2.
    let changes = workers[0].changes;
    assert_eq!([changes.steps, changes.changed_steps, changes.changed], [1, 1, 2]);
    assert!((changes.mean_distance() - 0.5f64.sqrt()).abs() < 1e-6, "{changes:?}");
    // The optimum is 1 everywhere and the copy 0: the error of both coordinates, σ(1) - 1/2.
    let projection = workers[0].projection().expect("the optimum is known");
    assert!((projection - 2.0 * (relative / 2.0)).abs() < 1e-6, "{projection}");
    assert_eq!(workers[1].projection(), Some(0.0));
    assert_eq!(workers[1].overwrites, Overwrites { read: 0, ..torn });
    // A snapshot is as stale, but it does not change under the gradient.
    let workers = run(Read::Snapshot);
    assert_eq!(workers[0].staleness.counts()[..2], [0, 1]);
    assert!(!workers[0].probes[0].is_wrong());
    assert_eq!(workers[0].overwrites, Overwrites { read: 0, ..torn });
}

#[test]
fn racing_workers_are_counted_in_full() {
    let workers = races(Trainer::builder().strategy(AsynGrad).threads(4));
    let total = total(&workers);
    assert_eq!((workers.len(), total.staleness.steps(), total.probes.len()), (4, N, N as usize));
    // Nobody can be overtaken by more steps than others have.
    assert!(total.staleness.largest() < N);
    assert!((0.0..=1.0).contains(&total.wrong_rate()));
    // A gradient that changed under its worker was overlapped.
    assert!(total.wrong_rate() <= total.staleness.rate());
}

#[test]
fn the_sampled_steps_depend_on_the_seed_only() {
    let (model, clicks) = (Logistic::new(40), separable_clicks(2000, 40, 1));
    let sampled = |strategy_threads: usize, seed| {
        let instruments = Instruments { paired: NonZeroU32::new(8), ..Instruments::default() };
        let builder = Trainer::builder().strategy(AsynGrad).threads(strategy_threads);
        let trainer = builder.passes(1).seed(seed).instruments(instruments).build().unwrap();
        let outcome = trainer.fit(&model, &clicks, &mut model.initial_weights(1), &mut ()).unwrap();
        let races = outcome.passes[0].races.as_ref().unwrap().total();
        assert_eq!(races.staleness.steps(), 0);
        let mut tickets: Vec<u64> = races.probes.iter().map(|probe| probe.ticket).collect();
        tickets.sort_unstable();
        tickets
    };
    let one = sampled(1, 3);
    assert_eq!(one, sampled(4, 3));
    assert_ne!(one, sampled(1, 4));
    // 250 in expectation, with a standard deviation of 15.
    assert!((175..325).contains(&one.len()), "{}", one.len());
}

#[test]
fn quantiles_are_values_of_the_sample() {
    let quantiles = Quantiles::of((1..=200).rev().map(f64::from).collect());
    assert_eq!(quantiles, Quantiles { p50: 100.0, p90: 180.0, p99: 198.0, max: 200.0 });
    assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
}

/// Every access is a point at which another worker may come in between.
const FINE: CostModel = CostModel { load: 1.0, store: 1.0, miss: 60.0, compute: 3.0, grain: 0.0 };

/// Trains 4 simulated workers on [`N_SIMULATED`] clicks of the same two features.
fn simulated<S: Strategy>(strategy: S) -> (Races, SimulationReport) {
    let click = |positive| Click { features: vec![0, 1], positive };
    let clicks: Vec<_> = (0..N_SIMULATED).map(|i| click(i % 3 == 0)).collect();
    let model = Logistic::new(40);
    let simulated = Simulated::new(strategy, FINE).unwrap();
    let builder = Trainer::builder().strategy(&simulated).threads(4).passes(1);
    let trainer = builder.instruments(EVERY_STEP).build().unwrap();
    let outcome = trainer.fit(&model, &clicks, &mut model.initial_weights(1), &mut ()).unwrap();
    let races = outcome.passes[0].races.as_ref().expect("instruments are on").total();
    (races, simulated.report())
}

#[test]
#[cfg_attr(miri, ignore = "simulated workers switch at each of 100,000 accesses")]
fn detectors_agree_with_the_simulator_up_to_their_bias() {
    let (races, report) = simulated(AsynGrad);
    let overwrites = races.overwrites;
    assert_eq!((report.steps, overwrites.steps), (N_SIMULATED, N_SIMULATED));
    let wrong = races.probes.iter().filter(|probe| probe.is_wrong()).count() as u64;
    let overlapped = N_SIMULATED - races.staleness.counts()[0];
    // Each counts what the one before it counts, and more.
    let changed = races.changes.changed_steps;
    let counts = [wrong, changed, report.overwritten_steps, overwrites.read, overlapped];
    assert!(wrong > 0 && counts.is_sorted(), "{counts:?}");
    // Stores are lost only where two workers write a block at the same time.
    assert!(report.lost_stores > 0 && overwrites.written > 0, "{report:?}, {overwrites:?}");
    // A failed exchange is such a store, of which the simulator counts one for a line.
    let Exchanges { weights, failed } = races.exchanges;
    assert!(weights > N_SIMULATED && failed > 0 && failed <= 8 * report.lost_stores, "{report:?}");

    let (races, report) = simulated(Locked);
    assert_eq!((races.overwrites.read, races.overwrites.written), (0, 0));
    assert_eq!((report.lost_stores, races.exchanges.failed, races.wrong_rate()), (0, 0, 0.0));
}
