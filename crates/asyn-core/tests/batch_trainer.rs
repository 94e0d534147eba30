//! Batch training: the minimum is found with any number of threads, and a run can be watched.
// Thousands of steps of safe arithmetic, which Miri would take minutes for.
#![cfg(not(miri))]

mod tasks;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use asyn_core::theory::{FullObjective, Lbfgs, Minimum, Stop};
use asyn_core::{BatchTrainer, Checkpoint, Error, Event, Model, Outcome, SharedWeights};
use asyn_testing::{Click, Logistic, separable_clicks};
use tasks::bits;

const L2: f64 = 0.7;

fn trainer(threads: usize) -> BatchTrainer {
    let threads = NonZeroUsize::new(threads).unwrap();
    BatchTrainer { lbfgs: Lbfgs::default(), l2: L2, threads }
}

fn fit(trainer: &BatchTrainer, clicks: &[Click]) -> (SharedWeights, Outcome, Minimum) {
    let model = Logistic::new(40);
    let mut weights = model.initial_weights(1);
    let (outcome, minimum) = trainer.fit(&model, clicks, &mut weights, None, &mut ()).unwrap();
    (weights, outcome, minimum)
}

#[test]
fn any_number_of_threads_finds_the_minimum() {
    let clicks = separable_clicks(301, 40, 3);
    let model = Logistic::new(40);
    let mut objective = FullObjective::new(&model, &clicks, L2).unwrap();
    let start = vec![0.0; model.layout().len()];
    let lbfgs = Lbfgs::default();
    let expected = lbfgs.minimize(start, |w, gradient| objective.evaluate(w, gradient));
    for threads in [1, 2, 7, 400] {
        let (weights, outcome, minimum) = fit(&trainer(threads), &clicks);
        assert_eq!(minimum.stop, Stop::Tolerance);
        assert!((minimum.value - expected.value).abs() < 1e-6 * expected.value, "{threads}");
        assert!(!outcome.stopped && outcome.passes.len() == minimum.iterations);
        let (again, _, _) = fit(&trainer(threads), &clicks);
        assert_eq!(bits(&weights), bits(&again), "{threads} threads");
    }
}

#[test]
fn reports_have_the_loss_at_the_weights_of_the_pass() {
    let clicks = separable_clicks(200, 40, 3);
    let (weights, outcome, _) = fit(&trainer(2), &clicks);
    let losses: Vec<f64> = outcome.passes.iter().map(|report| report.loss).collect();
    assert!(losses[0] > *losses.last().unwrap());
    let model = Logistic::new(40);
    let w: Vec<f64> = weights.to_vec().into_iter().map(f64::from).collect();
    let mut unregularised = FullObjective::new(&model, &clicks, 0.0).unwrap();
    let loss = 200.0 * unregularised.evaluate(&w, &mut vec![0.0; w.len()]);
    assert!((losses.last().unwrap() - loss).abs() < 1e-4 * loss, "{losses:?} {loss}");
}

#[test]
fn a_run_ends_when_its_observer_or_its_passes_end_it_and_goes_on_from_there() {
    let clicks = separable_clicks(200, 40, 3);
    let model = Logistic::new(40);
    let mut weights = model.initial_weights(1);
    let mut kept: Option<(Checkpoint, Vec<u32>)> = None;
    let mut observer = |event: Event<'_, '_>| match event {
        Event::PassEnded { report, quiet } if report.pass == 3 => {
            kept = Some((quiet.checkpoint(), bits(quiet.weights())));
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    };
    let (outcome, minimum) =
        trainer(2).fit(&model, &clicks, &mut weights, None, &mut observer).unwrap();
    assert!(outcome.stopped && outcome.passes.len() == 3 && minimum.stop == Stop::Watch);
    let (checkpoint, at_break) = kept.unwrap();
    assert_eq!(bits(&weights), at_break);

    let mut short = trainer(2);
    short.lbfgs.max_iterations = 5;
    let (outcome, minimum) =
        short.fit(&model, &clicks, &mut weights, Some(&checkpoint), &mut ()).unwrap();
    let passes: Vec<u32> = outcome.passes.iter().map(|report| report.pass).collect();
    assert_eq!((passes.as_slice(), minimum.stop), ([4, 5].as_slice(), Stop::Iterations));
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let model = Logistic::new(40);
    let clicks = separable_clicks(10, 40, 3);
    let mut weights = model.initial_weights(1);
    let refused = |trainer: BatchTrainer, clicks: &[Click], weights: &mut SharedWeights| {
        trainer.fit(&model, clicks, weights, None, &mut ()).unwrap_err()
    };
    assert_eq!(refused(trainer(1), &[], &mut weights), Error::NoExamples);
    let negative = BatchTrainer { l2: -1.0, ..trainer(1) };
    assert!(matches!(refused(negative, &clicks, &mut weights), Error::Setting { .. }));
    let mut short = SharedWeights::zeroed(8);
    assert!(matches!(refused(trainer(1), &clicks, &mut short), Error::Length { .. }));
    weights.as_mut_slice()[0] = f32::NAN;
    assert_eq!(refused(trainer(1), &clicks, &mut weights), Error::Diverged { pass: 1, good: 0 });
}
