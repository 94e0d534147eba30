//! ADF follows its recurrence, in closed form and with counts.
// Thousands of steps of safe arithmetic, which Miri would take minutes for.
#![cfg(not(miri))]

mod tasks;

use std::ops::ControlFlow;

use asyn_core::{
    Adf, AdfCounting, Event, L2Form, Model, Schedule, Serial, Sgd, SharedWeights, Trainer,
    TrainerBuilder, Update,
};
use asyn_testing::{Logistic, separable_clicks};
use tasks::{Noted, Plane, Slope, assert_close, bits, trace};

const N: usize = 100;
const ROWS: usize = 4;

/// Row 0 is in every example, row 1 in half of them, row 2 in one; row 3 in none.
fn slopes() -> Vec<Slope> {
    let rows = |i: usize| match i {
        42 => vec![0, 1, 2],
        i if i % 2 == 0 => vec![0, 1],
        _ => vec![0],
    };
    (0..N).map(|i| Slope { rows: rows(i), slope: 1.0 }).collect()
}

fn share(row: usize) -> f64 {
    [1.0, 0.5, 1.0 / N as f64, 0.0][row]
}

/// Trains one example a segment; each step adds the negative step size to the rows it uses.
#[track_caller]
fn compare(update: impl Update, adf: Adf, counts_in_windows: bool) {
    let passes = 3;
    let model = Noted::new(Plane::new(ROWS));
    let trainer = Trainer::builder().update(update).passes(passes).segment_len(1).build().unwrap();
    let mut weights = model.model.filled(0.0);
    let trace = trace(&trainer, &model, &slopes(), &mut weights);

    let (alpha, beta) = (f64::from(adf.alpha), f64::from(adf.beta));
    let q = N / adf.windows as usize;
    let mut rates = [f64::from(adf.rate); ROWS];
    let mut counts = [0.0; ROWS];
    let mut expected = [0.0; ROWS];
    let mut time = 0;
    for pass in 0..passes {
        for id in model.order(pass) {
            for &row in &slopes()[id as usize].rows {
                expected[row as usize] -= rates[row as usize];
                counts[row as usize] += 1.0;
            }
            let actual: Vec<f32> = trace[time].chunks(8).map(|row| row[0]).take(ROWS).collect();
            assert_close(&actual, &expected, 1e-5, &format!("example {time}"));
            time += 1;
            if time % q == 0 {
                for row in 0..ROWS {
                    let u = if counts_in_windows { counts[row] / q as f64 } else { share(row) };
                    rates[row] *= alpha - u * (alpha - beta);
                }
                counts = [0.0; ROWS];
            }
            if time % N == 0 {
                rates.iter_mut().for_each(|rate| *rate *= f64::from(adf.factor));
            }
        }
    }
}

#[test]
fn step_sizes_follow_the_windowed_recurrence() {
    let adf = Adf {
        rate: 0.1,
        alpha: 0.995,
        beta: 0.6,
        windows: 10,
        factor: 1.0,
        l2: 0.0,
        ..Adf::default()
    };
    compare(adf, adf, false);
    let other = Adf { windows: 4, factor: 0.5, beta: 0.9, ..adf };
    compare(other, other, false);
    compare(AdfCounting(adf), adf, true);
    compare(AdfCounting(other), other, true);
}

#[test]
fn where_a_window_is_a_pass_the_share_is_what_the_window_counts() {
    let adf = Adf { windows: 1, l2: 0.0, ..Adf::default() };
    compare(adf, adf, true);
}

#[test]
fn counts_do_not_depend_on_segments_batches_or_skipped_writes() {
    let clicks = separable_clicks(500, 40, 8);
    let model = Logistic::new(40);
    let builder = || Trainer::builder().update(AdfCounting(Adf::default())).passes(2);
    let run = |builder: TrainerBuilder<Serial, AdfCounting>| {
        let mut weights = model.initial_weights(1);
        let mut scalars = Vec::new();
        let mut observer = |event: Event<'_, '_>| {
            if let Event::PassEnded { quiet, .. } = event {
                scalars = quiet.checkpoint().scalars;
            }
            ControlFlow::Continue(())
        };
        builder.build().unwrap().fit(&model, &clicks, &mut weights, &mut observer).unwrap();
        (bits(&weights), scalars)
    };
    let whole = run(builder());
    assert_eq!(run(builder().segment_len(7)), whole);
    // Weights differ, what was counted does not.
    assert_eq!(run(builder().sparse_threshold(0.5)).1, whole.1);
    assert_eq!(run(builder().accumulate(8)).1, whole.1);
}

#[test]
fn what_an_example_uses_twice_counts_once_and_moves_as_far_as_what_it_uses_once() {
    // One example without row 1: rows that as many examples use share a mean.
    let rows = |i: usize| if i == 0 { vec![0, 0] } else { vec![0, 0, 1] };
    let twice: Vec<Slope> = (0..N).map(|i| Slope { rows: rows(i), slope: 1.0 }).collect();
    let model = Plane::new(2);
    let mut weights = model.filled(0.0);
    let adf = Adf { rate: 1.0, l2: 0.0, ..Adf::default() };
    let mut compare = |trainer: &dyn Fn(&mut SharedWeights)| {
        weights.as_mut_slice().fill(0.0);
        trainer(&mut weights);
        let trained = model.weights(&weights);
        assert!(trained[1] < -1.0);
        assert_close(&trained[..1], &[f64::from(trained[1])], 0.05, "half steps, twice");
    };
    let counting = Trainer::builder().update(AdfCounting(adf)).passes(1).build().unwrap();
    compare(&|weights| drop(counting.fit(&model, &twice, weights, &mut ()).unwrap()));
    let closed = Trainer::builder().update(adf).passes(1).build().unwrap();
    compare(&|weights| drop(closed.fit(&model, &twice, weights, &mut ()).unwrap()));
}

#[test]
fn every_row_shrinks_between_windows_or_passes() {
    let flat_land: Vec<Slope> = slopes().into_iter().map(|s| Slope { slope: 0.0, ..s }).collect();
    let adf =
        Adf { rate: 0.1, alpha: 1.0, beta: 0.5, windows: 2, factor: 1.0, l2: 2.0, l2_form: None };
    let in_form = |form| Adf { l2_form: Some(form), ..adf };
    let model = Plane::new(ROWS);
    // Row 0 is used by every example, so its step size halves after each window; that of row 3 stays.
    let by_hand = |share: f64, rates: &[f64]| {
        let shrunk = rates.iter().map(|rate| 1.0 - rate * 2.0 * share);
        shrunk.product::<f64>()
    };
    let by_window = [by_hand(0.5, &[0.05, 0.025, 0.0125]), by_hand(0.5, &[0.1; 3])];
    let by_pass = [by_hand(1.0, &[0.025]), by_hand(1.0, &[0.1])];
    let check = |trained: Vec<f32>, expected: &[f64], what: &str| {
        assert_close(&[trained[0], trained[3]], expected, 1e-6, what);
    };
    let flat = |update: &dyn Fn(&mut SharedWeights)| {
        let mut weights = model.filled(1.0);
        update(&mut weights);
        model.weights(&weights)
    };
    let run = |adf: Adf, segment: usize| {
        let trainer =
            Trainer::builder().update(adf).passes(2).segment_len(segment).build().unwrap();
        flat(&|weights| drop(trainer.fit(&model, &flat_land, weights, &mut ()).unwrap()))
    };
    let run_counting = |adf: Adf| {
        let trainer = Trainer::builder().update(AdfCounting(adf)).passes(2).build().unwrap();
        flat(&|weights| drop(trainer.fit(&model, &flat_land, weights, &mut ()).unwrap()))
    };
    check(run_counting(adf), &by_window, "counting");
    check(run_counting(in_form(L2Form::PerPass)), &by_pass, "counting, per pass");
    for segment in [1, 7, 1000] {
        check(run(in_form(L2Form::PerWindow), segment), &by_window, "per window");
        check(run(in_form(L2Form::PerPass), segment), &by_pass, "per pass");
    }
}

#[test]
fn forms_of_l2_that_a_rule_does_not_have_are_refused() {
    let error = |error: asyn_core::Error| error.to_string();
    let exact = Adf { l2_form: Some(L2Form::Exact), ..Adf::default() };
    let said = error(Trainer::builder().update(exact).build().err().unwrap());
    assert!(said.contains("form of l2") && said.contains("on touch"), "{said}");
    let on_touch = AdfCounting(Adf { l2_form: Some(L2Form::OnTouch), ..Adf::default() });
    let said = error(Trainer::builder().update(on_touch).build().err().unwrap());
    assert!(said.contains("per window"), "{said}");
    let by_window = Sgd { l2_form: Some(L2Form::PerWindow), ..Sgd::default() };
    let said = error(Trainer::builder().update(by_window).build().err().unwrap());
    assert!(said.contains("per pass"), "{said}");
    let too_much = Sgd { l2_form: Some(L2Form::PerPass), l2: 10.0, ..Sgd::default() };
    assert!(Trainer::builder().update(too_much).build().is_err());
}

fn train(update: impl Update, clicks: &[asyn_testing::Click]) -> SharedWeights {
    let model = Logistic::new(40);
    let mut weights = model.initial_weights(1);
    let trainer = Trainer::builder().update(update).passes(3).build().unwrap();
    trainer.fit(&model, clicks, &mut weights, &mut ()).unwrap();
    weights
}

fn assert_alike(adf: &SharedWeights, sgd: &SharedWeights) {
    let sgd: Vec<f64> = sgd.to_vec().into_iter().map(f64::from).collect();
    assert_close(&adf.to_vec(), &sgd, 1e-5, "adf against sgd");
}

#[test]
fn without_decay_it_is_sgd_with_a_constant_step() {
    let flat = Adf {
        rate: 0.1,
        alpha: 1.0,
        beta: 1.0,
        windows: 10,
        factor: 1.0,
        l2: 0.0,
        ..Adf::default()
    };
    let schedule = Schedule::Constant { rate: 0.1 };
    let sgd = Sgd { schedule, l2: 0.0, ..Sgd::default() };
    let clicks = separable_clicks(500, 40, 8);
    assert_alike(&train(flat, &clicks), &train(sgd, &clicks));

    // Where every example uses every feature, shrinking on touch is shrinking in every step.
    let mut full = clicks;
    full.iter_mut().for_each(|click| click.features = (0..40).collect());
    assert_alike(&train(Adf { l2: 2.0, ..flat }, &full), &train(Sgd { l2: 2.0, ..sgd }, &full));
}

#[test]
fn a_used_row_shrinks_in_a_pass_as_much_as_in_exact_sgd() {
    let flat_land: Vec<Slope> = slopes().into_iter().map(|s| Slope { slope: 0.0, ..s }).collect();
    let (rate, l2) = (0.1, 1.5);
    let adf = Adf { rate, alpha: 1.0, beta: 1.0, windows: 10, factor: 1.0, l2, ..Adf::default() };
    let model = Plane::new(ROWS);
    let mut weights = model.filled(1.0);
    let trainer = Trainer::builder().update(adf).passes(1).build().unwrap();
    trainer.fit(&model, &flat_land, &mut weights, &mut ()).unwrap();

    let shrink = f64::from(rate * l2);
    // Used n times, a row shrinks n times by γλ / n; one that is never used keeps its weight.
    let by_hand = |n: f64| (1.0 - shrink / n).powf(n);
    let expected = [by_hand(100.0), by_hand(50.0), by_hand(1.0), 1.0];
    assert_close(&model.weights(&weights), &expected, 1e-5, "after a pass");
    let exact = (1.0 - shrink / N as f64).powf(N as f64);
    for used in &expected[..3] {
        assert!((used - exact).abs() < shrink * shrink, "{used} against {exact}");
    }
}
