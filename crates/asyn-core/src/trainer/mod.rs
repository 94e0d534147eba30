//! Runs passes over a training set.
//!
//! The trainer owns what all strategies share: the order of examples, seeds,
//! clocks, evaluation, stopping, and what happens between segments.
//!
//! | Part      | What it holds                                        |
//! | --------- | ---------------------------------------------------- |
//! | `builder` | the settings, and the one place that checks them     |
//! | `run`     | a run in progress: segments, clocks, the last copies |
//! | `batch`   | runs on the gradient of all examples, by L-BFGS      |
//!
//! No example is computed here: a strategy runs the segments, the full objective the batches.

mod batch;
mod builder;
mod run;

pub use batch::BatchTrainer;
pub use builder::TrainerBuilder;

use std::sync::Arc;

use crate::Real;
use crate::error::{Error, Result};
use crate::instruments::Instruments;
use crate::model::Model;
use crate::observer::{Checkpoint, Observer, PassReport};
use crate::seed::{Purpose, SplitMix64};
use crate::settings::{Access, Sampling};
use crate::shared::SharedWeights;
use crate::strategy::{Serial, Strategy};
use crate::update::{Sgd, Update};

use run::Run;

/// Settings of a run, checked; made by [`Trainer::builder`].
///
/// ```
/// use asyn_core::{Adf, AsynGrad, Model, Trainer};
/// use asyn_testing::{Logistic, separable_clicks};
///
/// let trainer =
///     Trainer::builder().strategy(AsynGrad).update(Adf::default()).threads(2).passes(3).build()?;
/// let (model, clicks) = (Logistic::new(40), separable_clicks(100, 40, 1));
/// let mut weights = model.initial_weights(1);
/// let outcome = trainer.fit(&model, &clicks, &mut weights, &mut ())?;
/// assert_eq!(outcome.passes.len(), 3);
///
/// assert!(Trainer::builder().threads(0).build().is_err());
/// # Ok::<(), asyn_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Trainer<S = Serial, U = Sgd> {
    strategy: S,
    update: U,
    n_workers: usize,
    passes: u32,
    seed: u64,
    sampling: Sampling,
    access: Access,
    segment_len: usize,
    instruments: Instruments,
    optimum: Option<Arc<[Real]>>,
    keeps_good: bool,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// One report a finished pass.
    pub passes: Vec<PassReport>,
    /// Whether an observer ended the run early.
    pub stopped: bool,
}

impl<S: Strategy, U: Update> Trainer<S, U> {
    /// Returns the number of workers.
    #[must_use]
    pub fn n_workers(&self) -> usize {
        self.n_workers
    }

    /// Trains `weights` in place. At the end they hold what the update rule means as
    /// its result, averages included.
    ///
    /// # Errors
    ///
    /// [`Error::NoExamples`], [`Error::Length`], and [`Error::Diverged`], after which
    /// `weights` hold what the last good pass gave, or else what they held before; from a trainer
    /// that keeps no good ones, [`Model::initial_weights`].
    ///
    /// # Panics
    ///
    /// Propagates the panic of a worker.
    pub fn fit<M: Model>(
        &self,
        model: &M,
        examples: &[M::Example],
        weights: &mut SharedWeights,
        observer: &mut impl Observer,
    ) -> Result<Outcome> {
        self.run(model, examples, weights, None, observer)
    }

    /// Goes on from a checkpoint of a run with the same model, examples and settings, for
    /// which `weights` are made what they were.
    ///
    /// With one worker, and with any strategy that does not depend on timing, the result is
    /// that of an uninterrupted run, bit for bit. The report of the pass that goes on holds
    /// the loss of the whole pass, but the training time since the run was resumed.
    ///
    /// # Errors
    ///
    /// As [`Trainer::fit`]; [`Error::Length`] and [`Error::Setting`] also if the checkpoint
    /// is another model's, another update rule's or of more examples.
    ///
    /// # Panics
    ///
    /// Propagates the panic of a worker.
    pub fn resume<M: Model>(
        &self,
        model: &M,
        examples: &[M::Example],
        weights: &mut SharedWeights,
        checkpoint: &Checkpoint,
        observer: &mut impl Observer,
    ) -> Result<Outcome> {
        self.run(model, examples, weights, Some(checkpoint), observer)
    }

    fn run<M: Model>(
        &self,
        model: &M,
        examples: &[M::Example],
        weights: &mut SharedWeights,
        checkpoint: Option<&Checkpoint>,
        observer: &mut impl Observer,
    ) -> Result<Outcome> {
        if examples.is_empty() {
            return Err(Error::NoExamples);
        }
        let mut run = Run::start(self, model, examples, weights, checkpoint)?;
        let mut outcome = Outcome { passes: Vec::new(), stopped: false };
        while run.pass < self.passes && !outcome.stopped {
            let order = run.order();
            while run.done < order.len() {
                run.segment(&order)?;
                if run.done < order.len() {
                    outcome.stopped = run.tell_progress(observer, order.len()).is_break();
                    if outcome.stopped {
                        break;
                    }
                }
            }
            if run.done == order.len() {
                let (report, flow) = run.end_pass(observer)?;
                outcome.passes.push(report);
                outcome.stopped = flow.is_break();
            }
        }
        run.finish()?;
        Ok(outcome)
    }

    /// Returns the ids of the examples of a pass in the order in which they are drawn.
    #[allow(clippy::cast_possible_truncation, reason = "example ids are u32")]
    fn order(&self, n_examples: usize, pass: u32) -> Vec<u32> {
        let mut random = SplitMix64::stream(self.seed, Purpose::Order, u64::from(pass), 0);
        match self.sampling {
            Sampling::WithoutReplacement => {
                let mut order: Vec<u32> = (0..n_examples as u32).collect();
                random.shuffle(&mut order);
                order
            }
            Sampling::WithReplacement => {
                (0..n_examples).map(|_| random.below(n_examples as u64) as u32).collect()
            }
        }
    }
}
