//! The closed form of ADF is its recurrence.
// Thousands of steps of safe arithmetic, which Miri would take minutes for.
#![cfg(not(miri))]

mod tasks;

use asyn_core::{Adf, Averaging, Model, Schedule, Sgd, SharedWeights, Trainer, Update};
use asyn_testing::{Logistic, separable_clicks};
use tasks::{Noted, Plane, Slope, assert_close, trace};

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
fn compare(adf: Adf, counts_in_windows: bool) {
    let passes = 3;
    let model = Noted::new(Plane::new(ROWS));
    let trainer = Trainer::builder().update(adf).passes(passes).segment_len(1).build().unwrap();
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
    let adf = Adf { rate: 0.1, alpha: 0.995, beta: 0.6, windows: 10, factor: 1.0, l2: 0.0 };
    compare(adf, false);
    compare(Adf { windows: 4, factor: 0.5, beta: 0.9, ..adf }, false);
}

#[test]
fn where_a_window_is_a_pass_the_share_is_what_the_window_counts() {
    compare(Adf { windows: 1, l2: 0.0, ..Adf::default() }, true);
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
    let flat = Adf { rate: 0.1, alpha: 1.0, beta: 1.0, windows: 10, factor: 1.0, l2: 0.0 };
    let schedule = Schedule::Constant { rate: 0.1 };
    let sgd = Sgd { schedule, l2: 0.0, averaging: Averaging::Off };
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
    let adf = Adf { rate, alpha: 1.0, beta: 1.0, windows: 10, factor: 1.0, l2 };
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
