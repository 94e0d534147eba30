//! Shared weights, workers, gradients, updates and the trainer of `asyn`.

mod batch;
mod error;
mod gradient;
mod layout;
mod model;
mod observer;
mod replica;
mod schedule;
mod seed;
mod segment;
mod settings;
pub mod shared;
mod snapshot;
mod strategy;
mod touched;
mod trainer;
mod update;
mod worker;

pub use batch::Batch;
pub use error::{Error, Result};
pub use gradient::{Gradient, Outer, Spreads, Sum};
pub use layout::{Layout, Shape, Tensor, TensorId};
pub use model::{Decode, Model};
pub use observer::{Checkpoint, Event, Observer, PassReport, Quiet};
pub use replica::Replicas;
pub use schedule::Schedule;
pub use seed::{Purpose, SplitMix64};
pub use segment::{Lane, Segment, Stepper, StopOnPanic, Tally};
pub use settings::{Access, Sampling};
pub use shared::SharedWeights;
pub use strategy::{AsynGrad, Serial, Strategy, run_workers};
pub use touched::Touched;
pub use trainer::{Outcome, Trainer, TrainerBuilder};
pub use update::{
    Adf, AdfState, Averaging, Frequencies, Sgd, SgdState, Step, Training, Update, Window,
};
pub use worker::{Read, Worker, Write};

/// The scalar type of weights and gradients. Losses and other long sums are `f64`.
pub type Real = f32;
