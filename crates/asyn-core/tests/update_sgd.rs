//! SGD with a scale that is tabulated is plain dense SGD, averaged or not.
// Thousands of steps of safe arithmetic, which Miri would take minutes for.
#![cfg(not(miri))]

mod tasks;

use asyn_core::{Averaging, L2Form, Model, Real, Schedule, Sgd, SharedWeights, Trainer};
use asyn_testing::{Click, Logistic, separable_clicks};
use tasks::{Noted, assert_close, trace};

const N_FEATURES: u32 = 40;
const PASSES: u32 = 3;
const SEGMENT: usize = 250;

/// Dense SGD with L2 on logistic regression, written out in double precision.
struct Dense {
    weights: Vec<f64>,
    bias_at: usize,
    /// The sum of the iterates from the start of averaging on, and their number.
    sum: Vec<f64>,
    averaged: u32,
}

impl Dense {
    fn new(model: &Logistic) -> Self {
        let len = model.layout().len();
        let bias = model.layout().ids().last().expect("the bias is the last tensor");
        let bias_at = model.layout().tensor(bias).start;
        Self { weights: vec![0.0; len], bias_at, sum: vec![0.0; len], averaged: 0 }
    }

    /// Takes one step, `w ← shrink w − rate ∇ℓ`.
    fn step(&mut self, clicks: &[&Click], rate: f64, shrink: f64) {
        let mut errors = Vec::new();
        for click in clicks {
            let score: f64 = click.features.iter().map(|&f| self.weights[f as usize * 8]).sum();
            let p = 1.0 / (1.0 + (-score - self.weights[self.bias_at]).exp());
            errors.push(p - f64::from(u8::from(click.positive)));
        }
        self.weights.iter_mut().for_each(|weight| *weight *= shrink);
        for (click, error) in clicks.iter().zip(errors) {
            click.features.iter().for_each(|&f| self.weights[f as usize * 8] -= rate * error);
            self.weights[self.bias_at] -= rate * error;
        }
    }

    fn count_iterate(&mut self) {
        self.sum.iter_mut().zip(&self.weights).for_each(|(sum, weight)| *sum += weight);
        self.averaged += 1;
    }

    fn mean(&self) -> Vec<f64> {
        self.sum.iter().map(|sum| sum / f64::from(self.averaged)).collect()
    }
}

/// Trains 3 passes over 1,000 examples and compares the result at every quiet point.
#[track_caller]
fn compare(sgd: Sgd, accumulate: usize, tolerance: f64) {
    let clicks = separable_clicks(1000, N_FEATURES, 5);
    let model = Noted::new(Logistic::new(N_FEATURES as usize));
    let trainer = Trainer::builder()
        .update(sgd)
        .passes(PASSES)
        .accumulate(u32::try_from(accumulate).unwrap())
        .segment_len(SEGMENT)
        .build()
        .unwrap();
    let mut weights = SharedWeights::zeroed(model.layout().len());
    let trace = trace(&trainer, &model, &clicks, &mut weights);
    assert_eq!(trace.last(), Some(&weights.to_vec()), "the last quiet point is the result");

    let mut dense = Dense::new(&model.model);
    let mut quiet = trace.iter();
    for pass in 0..PASSES {
        let averages = matches!(sgd.averaging, Averaging::FromPass(first) if pass + 1 >= first);
        for (part, ids) in model.order(pass).chunks(SEGMENT).enumerate() {
            for (step, ids) in ids.chunks(accumulate).enumerate() {
                let done = part * SEGMENT + step * accumulate;
                let time = f64::from(pass) + done as f64 / 1000.0;
                let rate = f64::from(sgd.schedule.rate(time));
                // The step size changes within a step of several examples, the shrinkage with it.
                let keep = |i: usize| {
                    let rate = f64::from(sgd.schedule.rate(time + i as f64 / 1000.0));
                    let is_last = done + i + 1 == 1000;
                    let share = match sgd.l2_form {
                        Some(L2Form::PerPass) => f64::from(u8::from(is_last)),
                        _ => 1.0 / 1000.0,
                    };
                    1.0 - rate * f64::from(sgd.l2) * share
                };
                let shrink: f64 = (0..ids.len()).map(keep).product();
                let batch: Vec<&Click> = ids.iter().map(|&id| &clicks[id as usize]).collect();
                dense.step(&batch, rate, shrink);
                if averages {
                    dense.count_iterate();
                }
            }
            let expected = if averages { dense.mean() } else { dense.weights.clone() };
            let actual = quiet.next().expect("one quiet point a segment");
            assert_close(actual, &expected, tolerance, &format!("pass {pass}, part {part}"));
        }
    }
}

fn sgd(l2: Real, averaging: Averaging) -> Sgd {
    Sgd {
        schedule: Schedule::Exponential { rate: 0.2, factor: 0.8 },
        l2,
        averaging,
        ..Sgd::default()
    }
}

#[test]
fn a_tabulated_scale_is_dense_sgd_with_l2() {
    compare(sgd(1.0, Averaging::Off), 1, 1e-5);
    let schedule = Schedule::InverseTime { rate: 0.5, half_life: 0.7 };
    compare(Sgd { schedule, ..sgd(3.0, Averaging::Off) }, 1, 1e-5);
    compare(
        Sgd { schedule: Schedule::Constant { rate: 0.1 }, ..sgd(0.0, Averaging::Off) },
        1,
        1e-5,
    );
}

#[test]
fn per_pass_all_weights_shrink_in_its_last_step() {
    let per_pass = Some(L2Form::PerPass);
    compare(Sgd { l2_form: per_pass, ..sgd(1.0, Averaging::Off) }, 1, 1e-5);
    compare(Sgd { l2_form: per_pass, ..sgd(2.0, Averaging::Off) }, 7, 1e-5);
    compare(Sgd { l2_form: per_pass, ..sgd(1.0, Averaging::FromPass(2)) }, 1, 1e-5);
}

#[test]
fn several_examples_a_step_shrink_as_often_as_there_are_examples() {
    compare(sgd(2.0, Averaging::Off), 7, 1e-5);
}

#[test]
fn the_average_is_that_of_stored_iterates() {
    compare(sgd(1.0, Averaging::FromPass(1)), 1, 1e-5);
    compare(sgd(1.0, Averaging::FromPass(2)), 1, 1e-5);
    compare(sgd(1.0, Averaging::FromPass(3)), 1, 1e-5);
}

/// With these values the scale falls to 0.0064 in a segment of 250 steps, so it is multiplied
/// out again and again; without that it would end at 6e-22.
#[test]
fn multiplying_out_a_small_scale_does_not_show() {
    compare(sgd(100.0, Averaging::Off), 1, 1e-5);
}

/// With these values the scale would end at 4e-7. The sum of iterates is a difference of two
/// numbers that are larger than it by one over the scale, hence the tolerance.
#[test]
fn multiplying_out_a_small_scale_does_not_show_in_an_average() {
    compare(sgd(30.0, Averaging::FromPass(1)), 1, 1e-4);
    compare(sgd(30.0, Averaging::FromPass(2)), 1, 1e-4);
}
