//! A run that is stopped and goes on ends as the run that was never stopped.
// Thousands of steps of safe arithmetic, which Miri would take minutes for.
#![cfg(not(miri))]

mod tasks;

use std::ops::ControlFlow;

use asyn_core::{
    Adam, AdaptiveRevision, Adf, AdfCounting, Averaging, Checkpoint, Error, Event, Model, Outcome,
    Read, Replicas, Sampling, Schedule, Serial, Sgd, SharedWeights, Trainer, TrainerBuilder,
    Update,
};
use asyn_testing::{Click, Logistic, separable_clicks};
use tasks::bits;

const N: usize = 200;

fn sgd(averaging: Averaging) -> Sgd {
    Sgd {
        schedule: Schedule::InverseTime { rate: 0.3, half_life: 2.0 },
        l2: 0.5,
        averaging,
        ..Sgd::default()
    }
}

/// The ways of reading and writing that keep something from step to step.
fn settings<U>(
    update: &U,
    builder: &TrainerBuilder<Serial, U>,
) -> Vec<(&'static str, TrainerBuilder<Serial, U>)>
where
    U: Update + Clone,
{
    // A rule that catches up on rows has no copies of them.
    let rows = if update.catches_up() { 0 } else { 10 };
    let replicas = Some(Replicas { rows, merge_every: 4 });
    let builder = || builder.clone();
    vec![
        ("plain", builder()),
        ("accumulate", builder().accumulate(3)),
        ("sums every", builder().sums_every(4)),
        ("replicas", builder().replicas(replicas)),
        ("sparse threshold", builder().sparse_threshold(0.2)),
        ("snapshot", builder().read(Read::Snapshot)),
        ("with replacement", builder().sampling(Sampling::WithReplacement)),
        ("all", builder().accumulate(2).sums_every(3).replicas(replicas).sparse_threshold(0.2)),
    ]
}

/// What a run leaves behind, times aside.
#[derive(Debug, PartialEq)]
struct End {
    weights: Vec<u32>,
    /// The pass, loss, examples and steps of each report.
    reports: Vec<(u32, f64, u64, u64)>,
    stopped: bool,
}

impl End {
    fn new(weights: &SharedWeights, outcome: &Outcome) -> Self {
        let reports =
            outcome.passes.iter().map(|r| (r.pass, r.loss, r.examples, r.steps)).collect();
        Self { weights: bits(weights), reports, stopped: outcome.stopped }
    }
}

/// Runs until the observer has seen `events` events, from `from` or from the start.
fn run<U: Update>(
    trainer: &Trainer<Serial, U>,
    clicks: &[Click],
    from: Option<&Checkpoint>,
    events: usize,
) -> (End, Option<Checkpoint>) {
    let model = Logistic::new(40);
    let mut weights = model.initial_weights(1);
    let mut seen = 0;
    let mut last = None;
    let mut observer = |event: Event<'_, '_>| {
        seen += 1;
        if let Event::Progress { quiet, .. } | Event::PassEnded { quiet, .. } = event
            && seen == events
        {
            last = Some(quiet.checkpoint());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let outcome = match from {
        None => trainer.fit(&model, clicks, &mut weights, &mut observer),
        Some(from) => trainer.resume(&model, clicks, &mut weights, from, &mut observer),
    };
    (End::new(&weights, &outcome.unwrap()), last)
}

/// Stops a run after every `events` events, and compares it in the end with one that goes through.
#[track_caller]
fn compare<U: Update>(trainer: &Trainer<Serial, U>, clicks: &[Click], events: usize, name: &str) {
    let (through, _) = run(trainer, clicks, None, usize::MAX);
    let (mut end, mut checkpoint) = run(trainer, clicks, None, events);
    let mut reports = std::mem::take(&mut end.reports);
    while let Some(from) = checkpoint {
        assert!(end.stopped, "{name}");
        (end, checkpoint) = run(trainer, clicks, Some(&from), events);
        reports.append(&mut end.reports);
    }
    end.reports = reports;
    assert_eq!(end, through, "{name}, stopped after every {events} events");
}

fn check<U: Update + Clone>(update: U) {
    let clicks = separable_clicks(N, 40, 6);
    let builder = Trainer::builder().update(update.clone()).passes(3);
    for (name, mut builder) in settings(&update, &builder) {
        if update.kept_table().is_some() {
            builder = builder.replicas(None);
        }
        for segment_len in [37, 100, N, 1000] {
            let trainer = builder.clone().segment_len(segment_len).build().unwrap();
            let name = format!("{}, {name}, segments of {segment_len}", update.describe());
            for events in [1, 2, 5] {
                compare(&trainer, &clicks, events, &name);
            }
        }
    }
}

#[test]
fn sgd_goes_on_bit_for_bit() {
    check(sgd(Averaging::Off));
}

#[test]
fn averaged_sgd_goes_on_bit_for_bit() {
    check(sgd(Averaging::FromPass(1)));
    check(sgd(Averaging::FromPass(2)));
}

#[test]
fn a_small_scale_goes_on_bit_for_bit() {
    check(Sgd { l2: 60.0, ..sgd(Averaging::Off) });
    check(Sgd { l2: 60.0, ..sgd(Averaging::FromPass(2)) });
}

#[test]
fn adf_goes_on_bit_for_bit() {
    check(Adf { l2: 0.5, factor: 0.9, ..Adf::default() });
}

#[test]
fn adaptive_revision_goes_on_bit_for_bit() {
    check(AdaptiveRevision { rate: 0.3, l2: 0.5 });
}

#[test]
fn adf_with_counts_goes_on_bit_for_bit() {
    check(AdfCounting(Adf { l2: 0.5, factor: 0.9, ..Adf::default() }));
}

#[test]
fn adam_goes_on_bit_for_bit() {
    check(Adam { warm_up: 1.5, ..Adam::default() });
}

#[test]
fn a_break_stops_at_the_segment() {
    let clicks = separable_clicks(N, 40, 6);
    let trainer = Trainer::builder().passes(3).segment_len(60).build().unwrap();
    let (end, checkpoint) = run(&trainer, &clicks, None, 2);
    let checkpoint = checkpoint.unwrap();
    assert!(end.stopped && end.reports.is_empty());
    assert_eq!((checkpoint.pass, checkpoint.done, checkpoint.partial.1), (0, 120, 120));
    let (end, checkpoint) = run(&trainer, &clicks, None, 4);
    let checkpoint = checkpoint.unwrap();
    assert_eq!((end.stopped, end.reports.len()), (true, 1));
    assert_eq!((checkpoint.pass, checkpoint.done, checkpoint.partial), (1, 0, (0.0, 0, 0)));
}

#[test]
fn the_clock_goes_on() {
    let clicks = separable_clicks(N, 40, 6);
    let trainer = Trainer::builder().passes(2).segment_len(60).build().unwrap();
    let (_, checkpoint) = run(&trainer, &clicks, None, 2);
    let from = checkpoint.unwrap();
    let model = Logistic::new(40);
    let mut weights = model.initial_weights(1);
    let outcome = trainer.resume(&model, &clicks, &mut weights, &from, &mut ()).unwrap();
    let since: std::time::Duration = outcome.passes.iter().map(|report| report.train_time).sum();
    assert_eq!(outcome.passes[1].total_train_time, from.train_time + since);
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let clicks = separable_clicks(N, 40, 6);
    let trainer = Trainer::builder().segment_len(60).build().unwrap();
    let checkpoint = run(&trainer, &clicks, None, 2).1.unwrap();
    let model = Logistic::new(40);
    let mut weights = model.initial_weights(1);
    let refused = |error| match error {
        Err(Error::Setting { setting, .. }) => setting,
        other => panic!("{other:?}"),
    };
    let few = trainer.resume(&model, &clicks[..100], &mut weights, &checkpoint, &mut ());
    assert_eq!(refused(few), "number of examples done in the checkpoint");
    let averaged = Trainer::builder().update(sgd(Averaging::FromPass(1))).build().unwrap();
    let table = averaged.resume(&model, &clicks, &mut weights, &checkpoint, &mut ());
    assert_eq!(refused(table), "number of tables in the checkpoint");
    let adf = Trainer::builder().update(Adf::default()).build().unwrap();
    let scalars = adf.resume(&model, &clicks, &mut weights, &checkpoint, &mut ());
    assert_eq!(refused(scalars), "number of scalars in the checkpoint");
    let larger = Logistic::new(400);
    let mut weights = larger.initial_weights(1);
    let length = trainer.resume(&larger, &clicks, &mut weights, &checkpoint, &mut ());
    assert!(matches!(length, Err(Error::Length { what: "a table of the checkpoint", .. })));
}
