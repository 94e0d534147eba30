//! A first step size that is found by trying.
// Thousands of steps of safe arithmetic, which Miri would take minutes for.
#![cfg(not(miri))]

mod tasks;

use asyn_core::{Error, Model, Schedule, Sgd, Trainer, calibrate};
use asyn_testing::{Logistic, separable_clicks};
use tasks::{Plane, Slope};

fn starting_at(rate: f32) -> Sgd {
    Sgd { schedule: Schedule::Constant { rate }, l2: 1.0, ..Sgd::default() }
}

#[test]
fn a_guess_that_is_far_off_ends_where_a_good_one_does() {
    let model = Logistic::new(40);
    let clicks = separable_clicks(1500, 40, 2);
    let rate = calibrate(&model, &clicks, &starting_at(0.25), 3).unwrap();
    assert!((0.05..=8.0).contains(&rate), "{rate}");
    for guess in [2f32.powi(-12), 2f32.powi(-5), 4.0, 64.0] {
        assert_eq!(calibrate(&model, &clicks, &starting_at(guess), 3), Ok(rate), "from {guess}");
    }
    assert_eq!(calibrate(&model, &clicks, &starting_at(0.25), 3), Ok(rate), "once more");
}

#[test]
fn no_neighbour_gives_a_lower_objective() {
    let model = Logistic::new(40);
    // No more than a sample, so that a pass of the trainer visits the same examples.
    let clicks = separable_clicks(800, 40, 2);
    let objective = |rate| {
        let mut weights = model.initial_weights(3);
        let trainer = Trainer::builder().update(starting_at(rate)).passes(1).build().unwrap();
        trainer.fit(&model, &clicks, &mut weights, &mut ()).unwrap();
        let reader = asyn_core::Worker::reader(model.layout(), &weights);
        let loss: f64 = clicks
            .iter()
            .map(|click| {
                let p = model.probability(&reader, &click.features);
                -f64::from(if click.positive { p } else { 1.0 - p }).ln()
            })
            .sum();
        loss + 0.5 * weights.to_vec().iter().map(|w| f64::from(w * w)).sum::<f64>()
    };
    let rate = calibrate(&model, &clicks, &starting_at(0.01), 3).unwrap();
    // The order is another one, hence the slack.
    assert!(objective(rate) < objective(rate * 4.0) * 1.05);
    assert!(objective(rate) < objective(rate / 4.0) * 1.05);
}

#[test]
fn what_cannot_be_calibrated_is_refused() {
    let model = Logistic::new(40);
    let clicks = separable_clicks(10, 40, 2);
    assert_eq!(calibrate(&model, &[], &starting_at(0.1), 1), Err(Error::NoExamples));
    let refused = calibrate(&model, &clicks, &starting_at(0.0), 1);
    assert!(matches!(refused, Err(Error::Setting { setting: "rate", .. })), "{refused:?}");
    // A loss that is never a number.
    let plane = Plane::new(1);
    let slopes = [Slope { rows: vec![0], slope: f32::NAN }];
    let diverged = calibrate(&plane, &slopes, &starting_at(0.1), 1);
    assert_eq!(diverged, Err(Error::Diverged { pass: 1, good: 0 }));
}
