//! Trains models on all cores over one shared weight vector, without a lock and without a data
//! race.
//!
//! | Item                                  | What it is                                               |
//! | ------------------------------------- | -------------------------------------------------------- |
//! | [`Model`], [`Decode`]                 | what a user writes: a layout and the gradient of a loss  |
//! | [`Layout`]                            | the places of named tensors in the weight vector         |
//! | [`SharedWeights`]                     | the weight vector; every access is a relaxed atomic      |
//! | [`Worker`]                            | what one worker sees of it: live, a snapshot, a replica  |
//! | [`Gradient`]                          | a gradient that costs what it touches                    |
//! | [`Update`]: [`Sgd`], [`Adf`]          | how a gradient becomes a change of the weights           |
//! | [`Strategy`]: [`Serial`], [`AsynGrad`] | how workers share the weights                           |
//! | [`Trainer`]                           | runs passes: order, seeds, clocks, stopping, going on    |
//! | [`Observer`], [`Checkpoint`]          | who is told, and what a run needs to go on later         |
//! | [`calibrate`]                         | finds a first step size                                  |
//! | [`theory`]                            | bounds on step sizes and updates, L-BFGS, estimators     |
//!
//! Strategies that coordinate their workers are in `asyn-sync`, models of language in
//! `asyn-models`. Nothing here reads a file or prints.
//!
//! # Example
//!
//! Logistic regression, a few lines of model and a run on two threads:
//!
//! ```
//! use asyn_core::{
//!     AsynGrad, Batch, Gradient, Layout, Model, TensorId, Touched, Trainer, Worker,
//! };
//!
//! /// `p(spam) = σ(Σ w[word])`: one row of weights for each word, one weight a row.
//! struct Spam {
//!     layout: Layout,
//!     words: TensorId,
//! }
//!
//! impl Spam {
//!     fn probability(&self, worker: &Worker<'_>, words: &[u32]) -> f32 {
//!         let mut score = [0.0; 8]; // A row is stored in 8 floats.
//!         worker.sum_rows(self.words, words, &mut score);
//!         1.0 / (1.0 + (-score[0]).exp())
//!     }
//! }
//!
//! impl Model for Spam {
//!     type Example = (Vec<u32>, bool);
//!     type Workspace = ();
//!
//!     fn layout(&self) -> &Layout {
//!         &self.layout
//!     }
//!
//!     fn workspace(&self) {}
//!
//!     fn touched(&self, batch: &Batch<'_, Self::Example>, _: &mut (), out: &mut Touched) {
//!         batch.examples().for_each(|(words, _)| out.add_rows(self.words, words));
//!     }
//!
//!     fn gradient(
//!         &self,
//!         worker: &Worker<'_>,
//!         batch: &Batch<'_, Self::Example>,
//!         _: &mut (),
//!         gradient: &mut Gradient,
//!     ) -> f64 {
//!         let mut loss = 0.0;
//!         for (words, spam) in batch.examples() {
//!             let p = self.probability(worker, words);
//!             let (error, likelihood) = if *spam { (p - 1.0, p) } else { (p, 1.0 - p) };
//!             gradient.add_rows(self.words, words, &[error, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
//!             loss -= f64::from(likelihood).ln();
//!         }
//!         loss
//!     }
//! }
//!
//! let mut layout = Layout::default();
//! let words = layout.rows("words", 4, 1);
//! let model = Spam { layout, words };
//! // Word 0 is in all messages, 1 in spam, 2 in the others.
//! let messages = [(vec![0, 1], true), (vec![0, 2], false), (vec![0, 1, 3], true)];
//!
//! let trainer = Trainer::builder().strategy(AsynGrad).threads(2).passes(20).build()?;
//! let mut weights = model.initial_weights(1);
//! let outcome = trainer.fit(&model, &messages, &mut weights, &mut ())?;
//! assert!(outcome.passes[19].loss < outcome.passes[0].loss);
//!
//! let reader = Worker::reader(model.layout(), &weights);
//! assert!(model.probability(&reader, &[1]) > 0.5);
//! assert!(model.probability(&reader, &[2]) < 0.5);
//! # Ok::<(), asyn_core::Error>(())
//! ```

mod batch;
mod calibrate;
mod delay;
mod error;
mod gradient;
mod instruments;
mod layout;
mod model;
mod observer;
mod remembered;
mod replica;
mod schedule;
mod seed;
mod segment;
mod settings;
pub mod shared;
pub mod simulate;
mod snapshot;
mod strategy;
pub mod theory;
mod touched;
mod trainer;
mod update;
mod worker;

pub use batch::Batch;
pub use calibrate::calibrate;
pub use delay::Delay;
pub use error::{Error, Result};
pub use gradient::{Cells, Gradient, Outer, Spreads, Sum};
pub use instruments::{
    Changes, Exchanges, Instruments, Mass, Overwrites, Probe, Quantiles, RaceReport, Races, Sketch,
    Staleness,
};
pub use layout::{Layout, Shape, Tensor, TensorId};
pub use model::{Decode, Model};
pub use observer::{Checkpoint, Event, Observer, PassReport, Quiet};
pub use remembered::Remembered;
pub use replica::{Merge, Replicas};
pub use schedule::Schedule;
pub use seed::{Purpose, SplitMix64};
pub use segment::{Lane, Segment, Stepper, StopOnPanic, Tally};
pub use settings::{Access, Sampling};
pub use shared::SharedWeights;
pub use strategy::{AsynGrad, Serial, Strategy, run_workers};
pub use touched::Touched;
pub use trainer::{BatchTrainer, Outcome, Trainer, TrainerBuilder};
pub use update::{
    Adam, AdamForm, AdamState, AdaptiveRevision, AdaptiveRevisionState, Adf, AdfCounting,
    AdfCountingState, AdfState, Averaging, BatchEm, BatchEmState, Frequencies, Groups,
    IncrementalEm, IncrementalEmState, L2Form, Moments, Multinomials, Sgd, SgdState, Step,
    StepSizes, StepwiseEm, StepwiseEmState, Training, Update, Window,
};
pub use worker::{Read, Worker, Write};

/// The scalar type of weights and gradients. Losses and other long sums are `f64`.
pub type Real = f32;
