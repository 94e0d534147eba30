//! Training on the gradient of all examples at once.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use super::Outcome;
use crate::Real;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::observer::{Checkpoint, Event, Observer, PassReport, Quiet, Source};
use crate::shared::SharedWeights;
use crate::theory::{FullObjective, Lbfgs, Minimum, Stop};

/// Trains by L-BFGS on the full objective `Σ ℓ + λ/2 ‖w‖²`: the batch learning with which
/// stochastic methods are compared.
///
/// A pass is an iteration, which evaluates all examples once, or a few times where a step turns
/// out too long or too short. The tolerance and the memory of [`Lbfgs`] are those of the mean
/// objective, as [`FullObjective`] has it. Beside the weights, in `f64`, it keeps two vectors as
/// long for each remembered pair, and one for each thread.
///
/// ```
/// use std::num::NonZeroUsize;
///
/// use asyn_core::theory::{Lbfgs, Stop};
/// use asyn_core::{BatchTrainer, Model};
/// use asyn_testing::{Logistic, separable_clicks};
///
/// let (model, clicks) = (Logistic::new(40), separable_clicks(200, 40, 1));
/// let threads = NonZeroUsize::new(2).unwrap_or(NonZeroUsize::MIN);
/// let trainer = BatchTrainer { lbfgs: Lbfgs::default(), l2: 1.0, threads };
/// let mut weights = model.initial_weights(1);
/// let (outcome, minimum) = trainer.fit(&model, &clicks, &mut weights, None, &mut ())?;
/// assert_eq!(minimum.stop, Stop::Tolerance);
/// assert_eq!(outcome.passes.len(), minimum.iterations);
/// # Ok::<(), asyn_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchTrainer {
    /// The method; its most iterations are the passes of the whole run.
    pub lbfgs: Lbfgs,
    /// λ.
    pub l2: f64,
    /// The threads that sum up gradients. The same number gives the same bits.
    pub threads: NonZeroUsize,
}

impl BatchTrainer {
    /// Trains from `weights` on, in place; or goes on from a checkpoint, at its weights but
    /// without the pairs that were remembered.
    ///
    /// The observer hears of the end of each pass. The loss of a pass is that of all examples at
    /// its last weights, without the regulariser.
    ///
    /// # Errors
    ///
    /// [`Error::NoExamples`]; [`Error::Setting`] if λ is below 0 or not finite; [`Error::Length`]
    /// if the weights or those of the checkpoint are not the model's; [`Error::Diverged`] if the
    /// objective is not finite at the first weights.
    ///
    /// # Panics
    ///
    /// Propagates the panic of a thread.
    #[allow(clippy::cast_possible_truncation, reason = "weights are f32, and passes few")]
    #[allow(clippy::cast_precision_loss, reason = "examples are far fewer than 2^53")]
    pub fn fit<M: Model>(
        &self,
        model: &M,
        examples: &[M::Example],
        weights: &mut SharedWeights,
        checkpoint: Option<&Checkpoint>,
        observer: &mut impl Observer,
    ) -> Result<(Outcome, Minimum)> {
        let mut started = Instant::now();
        let start = match checkpoint.and_then(|checkpoint| checkpoint.tables.first()) {
            Some(saved) => saved.clone(),
            None => weights.to_vec(),
        };
        let (what, expected) = ("the weight vector", model.layout().len());
        if start.len() != expected || weights.len() != expected {
            let actual = start.len();
            return Err(Error::Length { what, expected, actual });
        }
        let mut objective =
            FullObjective::new(model, examples, self.l2)?.with_threads(self.threads);
        let first_pass = checkpoint.map_or(0, |checkpoint| checkpoint.pass);
        let mut now = Now {
            weights: std::mem::replace(weights, SharedWeights::zeroed(expected)),
            pass: first_pass,
            train_time: checkpoint.map_or(Duration::ZERO, |checkpoint| checkpoint.train_time),
        };
        now.set(&start);
        let mut passes: Vec<PassReport> = Vec::new();
        let mut observe_time = Duration::ZERO;
        let mut readout = None;
        let watch = |point: &[f64], value: f64| {
            let point: Vec<Real> = point.iter().map(|&w| w as Real).collect();
            now.set(&point);
            let squares: f64 = point.iter().map(|&w| f64::from(w) * f64::from(w)).sum();
            let train_time = started.elapsed();
            now.train_time += train_time;
            now.pass += 1;
            let report = PassReport {
                pass: now.pass,
                loss: value * examples.len() as f64 - self.l2 / 2.0 * squares,
                examples: examples.len() as u64,
                steps: 1,
                train_time,
                total_train_time: now.train_time,
                total_observe_time: observe_time,
                lost_mass: None,
                races: None,
                simulation: None,
            };
            let observing = Instant::now();
            let mut quiet = Quiet { source: &now, readout: &mut readout, is_fresh: false };
            let flow = observer.event(Event::PassEnded { report: &report, quiet: &mut quiet });
            passes.push(report);
            observe_time += observing.elapsed();
            started = Instant::now();
            flow
        };
        let left = self.lbfgs.max_iterations.saturating_sub(first_pass as usize);
        let lbfgs = Lbfgs { max_iterations: left, ..self.lbfgs };
        let start = start.into_iter().map(f64::from).collect();
        let minimum =
            lbfgs.minimize_watched(start, |w, gradient| objective.evaluate(w, gradient), watch);
        *weights = now.weights;
        if minimum.stop == Stop::NotFinite {
            return Err(Error::Diverged { pass: first_pass + 1, good: first_pass });
        }
        Ok((Outcome { passes, stopped: minimum.stop == Stop::Watch }, minimum))
    }
}

/// The state of a run after a pass.
struct Now {
    weights: SharedWeights,
    pass: u32,
    train_time: Duration,
}

impl Now {
    fn set(&mut self, weights: &[Real]) {
        self.weights.as_mut_slice().copy_from_slice(weights);
    }
}

impl Source for Now {
    fn len(&self) -> usize {
        self.weights.len()
    }

    fn readout(&self, out: &mut SharedWeights) {
        out.copy_from(&self.weights);
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            pass: self.pass,
            done: 0,
            partial: (0.0, 0, 0),
            scalars: Vec::new(),
            tables: vec![self.weights.to_vec()],
            train_time: self.train_time,
        }
    }
}
