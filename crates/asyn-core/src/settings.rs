//! The settings of a run that concern how workers read and write.

use std::num::NonZeroU32;

use crate::Real;
use crate::delay::Delay;
use crate::replica::Replicas;
use crate::worker::{Read, Write};

/// In which order the examples of a pass are visited.
///
/// ```
/// use asyn_core::{Sampling, Trainer};
///
/// let trainer = Trainer::builder().sampling(Sampling::WithReplacement).seed(17).build()?;
/// # let _ = trainer;
/// # Ok::<(), asyn_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sampling {
    /// Each example once a pass, in a new random order.
    #[default]
    WithoutReplacement,
    /// Each step draws uniformly from all examples, as AsynGrad is stated (Sun 2016,
    /// algorithm 1); a pass is as many draws as there are examples.
    WithReplacement,
}

/// How workers read, write and accumulate. One worker with given settings is the
/// same computation under every strategy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Access {
    /// Live weights, or a copy of what a step touches.
    pub read: Read,
    /// Plain stores, or compare-and-swap.
    pub write: Write,
    /// How many examples are accumulated for one step.
    pub accumulate: NonZeroU32,
    /// In how many steps the summed gradients of whole tensors are written once. A model
    /// may keep what it derives from whole tensors for as long.
    pub sums_every: NonZeroU32,
    /// The size below which a row gradient is written stochastically; 0 for never.
    pub sparse_threshold: Real,
    /// The rows that each worker keeps for itself.
    pub replicas: Option<Replicas>,
    /// Sleeps between gradient and write.
    pub delay: Option<Delay>,
}

/// The settings of the source: live weights, racy stores, one example a step.
impl Default for Access {
    fn default() -> Self {
        Self {
            read: Read::InPlace,
            write: Write::Racy,
            accumulate: NonZeroU32::MIN,
            sums_every: NonZeroU32::MIN,
            sparse_threshold: 0.0,
            replicas: None,
            delay: None,
        }
    }
}
