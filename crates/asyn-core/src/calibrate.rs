//! A good step size to start from.
//!
//! The step sizes of [`Sgd`] follow from the first one, so that is the one number to find. As
//! in Bottou's SGD programs ("Stochastic Gradient Descent Tricks", 2012, section 5.2), it is
//! found by trying: a serial pass over a small sample, always from the initial weights, for
//! step sizes a factor of 2 apart, keeping the one after which the objective
//!
//! ```text
//! 1/s Σ ℓᵢ(w) + λ/2m ‖w‖²
//! ```
//!
//! on the `s` sampled of `m` examples is lowest. The sample is small, so this is fast, and the
//! answer depends on model, examples and seed only.

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::gradient::Gradient;
use crate::model::Model;
use crate::seed::{Purpose, SplitMix64};
use crate::segment::{Lane, Segment};
use crate::settings::Access;
use crate::shared::SharedWeights;
use crate::strategy::{Serial, Strategy};
use crate::update::{Sgd, Training, Update, Window};
use crate::worker::Worker;
use crate::{Real, Schedule};

/// The most examples in a sample, as many as Bottou's programs take.
const SAMPLE: usize = 1000;

/// How many times the step size is doubled, and how many times halved, at most.
const MOST_TRIES: u32 = 20;

/// Finds a good first step size for `sgd`, looking around the one that it starts with.
///
/// The step size is doubled as long as that lowers the objective, and otherwise halved as long
/// as that does.
///
/// # Errors
///
/// [`Error::NoExamples`], [`Error::Setting`] if `sgd` is out of range, and
/// [`Error::Diverged`] if no step size that was tried gives a finite objective.
///
/// # Examples
///
/// ```
/// use asyn_core::{Averaging, Schedule, Sgd, calibrate};
/// use asyn_testing::{Logistic, separable_clicks};
///
/// let (model, clicks) = (Logistic::new(40), separable_clicks(200, 40, 1));
/// let guess = Sgd { schedule: Schedule::bottou(0.01, 1.0), l2: 1.0, ..Sgd::default() };
/// let rate = calibrate(&model, &clicks, &guess, 17)?;
/// let sgd = Sgd { schedule: Schedule::bottou(rate, 1.0), ..guess };
/// assert!(rate > 0.01);
/// # let _ = sgd;
/// # Ok::<(), asyn_core::Error>(())
/// ```
pub fn calibrate<M: Model>(
    model: &M,
    examples: &[M::Example],
    sgd: &Sgd,
    seed: u64,
) -> Result<Real> {
    sgd.check()?;
    if examples.is_empty() {
        return Err(Error::NoExamples);
    }
    let mut trial = Trial {
        model,
        examples,
        sample: sample(examples.len(), seed),
        l2: sgd.l2,
        seed,
        initial: model.initial_weights(seed),
        lane: Lane::new(model, &Access::default(), &[]),
    };
    let start = sgd.schedule.rate(0.0);
    let mut best = (start, trial.objective_after(start));
    for factor in [2.0, 0.5] {
        let mut rate = start;
        for _ in 0..MOST_TRIES {
            rate *= factor;
            let objective = trial.objective_after(rate);
            if objective < best.1 {
                best = (rate, objective);
            } else if best.1.is_finite() {
                break;
            }
        }
    }
    if best.1.is_finite() { Ok(best.0) } else { Err(Error::Diverged { pass: 1, good: 0 }) }
}

/// Returns the ids of the sample, in the order in which they are visited.
fn sample(n_examples: usize, seed: u64) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..u32::try_from(n_examples).expect("example ids are u32")).collect();
    SplitMix64::stream(seed, Purpose::Calibration, 0, 0).shuffle(&mut ids);
    ids.truncate(SAMPLE);
    ids
}

/// What all trials share.
struct Trial<'a, M: Model> {
    model: &'a M,
    examples: &'a [M::Example],
    sample: Vec<u32>,
    l2: Real,
    seed: u64,
    initial: SharedWeights,
    lane: Lane<M::Workspace>,
}

impl<M: Model> Trial<'_, M> {
    /// Runs a pass over the sample and returns the objective, infinity where it is none.
    fn objective_after(&mut self, rate: Real) -> f64 {
        let schedule = Schedule::Constant { rate };
        let sgd = Sgd { schedule, l2: self.l2, ..Sgd::default() };
        let layout = self.model.layout();
        let n_examples = self.examples.len();
        let mut state = sgd.start(&Training {
            layout,
            n_examples,
            examples_per_step: 1,
            n_workers: 1,
            frequencies: None,
        });
        let mut weights = SharedWeights::zeroed(self.initial.len());
        weights.copy_from(&self.initial);
        let window = Window { first_ticket: 0, n_examples: self.sample.len() };
        sgd.between(&mut state, &window, &mut weights);
        let segment = Segment::new(
            self.model,
            &sgd,
            &state,
            &weights,
            self.examples,
            &self.sample,
            (0, 0, self.seed),
            Access::default(),
        );
        Serial.run(&segment, std::slice::from_mut(&mut self.lane));
        sgd.readout(&state, self.sample.len() as u64, &mut weights);
        let objective = self.objective(&mut weights);
        if objective.is_finite() { objective } else { f64::INFINITY }
    }

    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn objective(&self, weights: &mut SharedWeights) -> f64 {
        let norm: f64 = weights.as_mut_slice().iter().map(|&w| f64::from(w) * f64::from(w)).sum();
        let worker = Worker::reader(self.model.layout(), weights);
        let mut workspace = self.model.workspace();
        let mut gradient = Gradient::new(0.0);
        let mut loss = 0.0;
        for id in self.sample.chunks(1) {
            let batch = Batch::new(0, self.seed, id, self.examples);
            gradient.clear();
            gradient.clear_sums();
            loss += self.model.gradient(&worker, &batch, &mut workspace, &mut gradient);
        }
        let m = self.examples.len() as f64;
        loss / self.sample.len() as f64 + f64::from(self.l2) / (2.0 * m) * norm
    }
}
