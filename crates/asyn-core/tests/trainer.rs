//! What a user may rely on when a run starts, goes on and ends.

mod tasks;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use asyn_core::{
    Adf, AsynGrad, Averaging, Error, Event, IncrementalEm, Instruments, Model, Outcome, Read,
    Replicas, Sampling, Schedule, Sgd, SharedWeights, Strategy, Trainer, TrainerBuilder, Update,
};
use asyn_testing::{Logistic, separable_clicks};
use tasks::{Noted, Plane, Slope};

/// Returns the order in which a pass of 300 examples is visited.
fn order(seed: u64, threads: usize, sampling: Sampling, pass: u32) -> Vec<u32> {
    let clicks = separable_clicks(300, 40, 1);
    let model = Noted::new(Logistic::new(40));
    let mut weights = model.initial_weights(1);
    let builder = Trainer::builder().seed(seed).passes(2).sampling(sampling).segment_len(77);
    // Only the strategy with one worker visits the examples in order.
    if threads == 1 {
        let trainer = builder.build().unwrap();
        trainer.fit(&model, &clicks, &mut weights, &mut ()).unwrap();
    } else {
        let trainer = builder.strategy(AsynGrad).threads(threads).build().unwrap();
        trainer.fit(&model, &clicks, &mut weights, &mut ()).unwrap();
    }
    model.order(pass)
}

fn sorted(mut ids: Vec<u32>) -> Vec<u32> {
    ids.sort_unstable();
    ids
}

#[test]
#[cfg_attr(miri, ignore = "thousands of steps")]
fn a_pass_visits_every_example_once_in_an_order_of_its_own() {
    let all: Vec<u32> = (0..300).collect();
    let first = order(7, 1, Sampling::WithoutReplacement, 0);
    assert_eq!(sorted(first.clone()), all);
    assert_ne!(first, all);
    assert_eq!(order(7, 1, Sampling::WithoutReplacement, 0), first);
    assert_ne!(order(8, 1, Sampling::WithoutReplacement, 0), first);
    assert_ne!(order(7, 1, Sampling::WithoutReplacement, 1), first);
    assert_eq!(sorted(order(7, 3, Sampling::WithoutReplacement, 1)), all);
}

#[test]
#[cfg_attr(miri, ignore = "thousands of steps")]
fn with_replacement_a_pass_is_as_many_draws_as_there_are_examples() {
    let drawn = order(7, 1, Sampling::WithReplacement, 0);
    assert_eq!(drawn.len(), 300);
    assert_eq!(order(7, 1, Sampling::WithReplacement, 0), drawn);
    let mut distinct = sorted(drawn.clone());
    distinct.dedup();
    // 300 (1 − 1/e) = 190 in expectation, with a standard deviation of 5.4.
    assert!((160..220).contains(&distinct.len()), "{}", distinct.len());
    assert_eq!(sorted(order(7, 3, Sampling::WithReplacement, 0)), sorted(drawn));
}

/// Returns the name of the setting that is refused.
#[track_caller]
fn refused<S: Strategy, U: Update>(builder: TrainerBuilder<S, U>) -> &'static str {
    match builder.build().map(|_| ()) {
        Err(Error::Setting { setting, .. }) => setting,
        other => panic!("expected a refused setting, not {other:?}"),
    }
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let builder = Trainer::builder;
    assert_eq!(refused(builder().threads(0)), "threads");
    assert_eq!(refused(builder().passes(0)), "passes");
    assert_eq!(refused(builder().segment_len(0)), "segment length");
    assert_eq!(refused(builder().accumulate(0)), "accumulate");
    assert_eq!(refused(builder().sums_every(0)), "sums every");
    let replicas = Replicas { rows: 1, merge_every: 0 };
    assert_eq!(refused(builder().replicas(Some(replicas))), "merge every");
    for threshold in [-0.1, 1.0, f32::NAN] {
        assert_eq!(refused(builder().sparse_threshold(threshold)), "sparse threshold");
    }
}

#[test]
fn settings_of_sgd_out_of_range_are_refused_by_name() {
    let sgd = |schedule, l2, averaging| {
        Trainer::builder().update(Sgd { schedule, l2, averaging, ..Sgd::default() })
    };
    let scheduled = |schedule| refused(sgd(schedule, 1.0, Averaging::Off));
    for rate in [0.0, -0.1, f32::NAN, f32::INFINITY] {
        assert_eq!(scheduled(Schedule::Constant { rate }), "rate");
        assert_eq!(scheduled(Schedule::Exponential { rate, factor: 0.9 }), "rate");
        assert_eq!(scheduled(Schedule::InverseTime { rate, half_life: 1.0 }), "rate");
        assert_eq!(scheduled(Schedule::InverseTime { rate: 0.1, half_life: rate }), "half-life");
    }
    for factor in [0.0, 1.1, f32::NAN] {
        assert_eq!(scheduled(Schedule::Exponential { rate: 0.1, factor }), "factor");
    }
    let constant = Schedule::Constant { rate: 0.1 };
    for l2 in [-1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(refused(sgd(constant, l2, Averaging::Off)), "l2");
    }
    assert_eq!(refused(sgd(constant, 1.0, Averaging::FromPass(0))), "first averaged pass");
}

#[test]
fn settings_of_adf_out_of_range_are_refused_by_name() {
    let adf = |change: fn(&mut Adf)| {
        let mut adf = Adf::default();
        change(&mut adf);
        refused(Trainer::builder().update(adf))
    };
    assert_eq!(adf(|adf| adf.rate = 0.0), "rate");
    assert_eq!(adf(|adf| adf.alpha = 1.1), "alpha");
    assert_eq!(adf(|adf| adf.beta = 0.0), "beta");
    assert_eq!(adf(|adf| adf.windows = 0), "windows");
    assert_eq!(adf(|adf| adf.factor = f32::NAN), "factor");
    assert_eq!(adf(|adf| adf.l2 = -0.5), "l2");
}

#[test]
fn replicas_and_snapshots_exclude_each_other() {
    let replicas = Some(Replicas { rows: 1, merge_every: 1 });
    let built = Trainer::builder().read(Read::Snapshot).replicas(replicas).build();
    assert!(matches!(built, Err(Error::Conflict { first: "snapshot reads", .. })), "{built:?}");
}

#[test]
fn changes_of_gradients_and_probes_exclude_each_other() {
    let update = IncrementalEm::default();
    let built = Trainer::builder().update(update).instruments(Instruments::default_set()).build();
    assert!(matches!(built, Err(Error::Conflict { .. })), "{built:?}");
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let model = Logistic::new(40);
    let clicks = separable_clicks(10, 40, 1);
    let trainer = Trainer::builder().build().unwrap();
    let mut weights = model.initial_weights(1);
    assert_eq!(trainer.fit(&model, &[], &mut weights, &mut ()), Err(Error::NoExamples));
    let mut short = SharedWeights::zeroed(5);
    let expected = model.layout().len();
    let refused = trainer.fit(&model, &clicks, &mut short, &mut ());
    let length = Error::Length { what: "the weight vector", expected, actual: 5 };
    assert_eq!(refused, Err(length));
}

/// Trains and asks for the error and for finite weights after it.
#[track_caller]
fn diverges<M: Model>(model: &M, examples: &[M::Example], update: impl Update) -> Error {
    let mut weights = model.initial_weights(1);
    let trainer = Trainer::builder().update(update).passes(4).build().unwrap();
    let error = trainer.fit(model, examples, &mut weights, &mut ()).unwrap_err();
    assert!(weights.to_vec().iter().all(|weight| weight.is_finite()));
    error
}

#[test]
fn a_huge_step_size_is_an_error_and_leaves_finite_weights() {
    let clicks = separable_clicks(200, 40, 1);
    let model = Logistic::new(40);
    let schedule = Schedule::Constant { rate: 1e30 };
    let sgd = Sgd { schedule, l2: 1.0, ..Sgd::default() };
    assert_eq!(diverges(&model, &clicks, sgd), Error::Diverged { pass: 1, good: 0 });
    let averaged = Sgd { averaging: Averaging::FromPass(1), ..sgd };
    assert_eq!(diverges(&model, &clicks, averaged), Error::Diverged { pass: 1, good: 0 });
    let adf = Adf { rate: 1e30, ..Adf::default() };
    assert_eq!(diverges(&model, &clicks, adf), Error::Diverged { pass: 1, good: 0 });
}

#[test]
fn a_last_step_that_leads_to_infinity_is_found_though_every_loss_was_finite() {
    let model = Plane::new(1);
    // The weight is read once, before the step that makes it infinite.
    let slopes = [Slope { rows: vec![0], slope: 1e20 }];
    let schedule = Schedule::Constant { rate: 1e20 };
    let sgd = Sgd { schedule, l2: 0.0, ..Sgd::default() };
    let mut weights = model.initial_weights(1);
    let trainer = Trainer::builder().update(sgd).passes(1).build().unwrap();
    let outcome = trainer.fit(&model, &slopes, &mut weights, &mut ());
    assert_eq!(outcome, Err(Error::Diverged { pass: 1, good: 0 }));
    assert_eq!(model.weights(&weights), [0.0]);
}

#[test]
#[cfg_attr(miri, ignore = "thousands of steps")]
fn clocks_add_up_and_keep_evaluation_apart() {
    const LOOK: Duration = Duration::from_millis(2);
    let clicks = separable_clicks(400, 40, 1);
    let model = Logistic::new(40);
    let mut weights = model.initial_weights(1);
    let trainer = Trainer::builder().passes(3).segment_len(100).build().unwrap();
    let started = Instant::now();
    let mut looks = 0;
    let mut observer = |_: Event<'_, '_>| {
        looks += 1;
        let looking = Instant::now();
        while looking.elapsed() < LOOK {}
        ControlFlow::Continue(())
    };
    let Outcome { passes, stopped } =
        trainer.fit(&model, &clicks, &mut weights, &mut observer).unwrap();
    let wall = started.elapsed();
    assert!(!stopped);
    assert_eq!(looks, 12, "three segments that end within a pass, and its end, three times");
    let mut train_time = Duration::ZERO;
    for (pass, report) in (1..).zip(&passes) {
        train_time += report.train_time;
        assert_eq!((report.pass, report.examples, report.steps), (pass, 400, 400));
        assert_eq!(report.total_train_time, train_time);
        // The look at the end of a pass comes after its report.
        assert!(report.total_observe_time >= LOOK * (4 * pass - 1));
    }
    let last = passes.last().unwrap();
    assert!(last.total_train_time + last.total_observe_time <= wall);
    assert!(last.loss < passes[0].loss);
}
