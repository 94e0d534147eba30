//! Update rules: how a gradient becomes a change of the weights.
//!
//! | Rule    | Step sizes                         | State                          |
//! | ------- | ---------------------------------- | ------------------------------ |
//! | [`Sgd`] | one schedule, optionally averaged  | a scale by ticket; one table if averaged |
//! | [`Adf`] | by how often a block is used       | step sizes by frequency class  |
//! | [`Adam`] | by the mean and the size of recent gradients | two moments of each weight |
//! | … as RMSProp, momentum | by their size, or their mean, alone | the same |
//! | [`AdfCounting`] | the same, counted in each window | step size and count of each block |
//! | [`StepwiseEm`] | none: a moving average of expected counts | factors by step |
//! | [`BatchEm`] | none: expected counts of all examples | the counts of the pass |
//! | [`IncrementalEm`] | none: expected counts of an example are replaced | those of each example |
//! | [`AdaptiveRevision`] | by the gradients so far and their age | three tables |
//!
//! No rule writes a shared scalar in a step. What depends on time is tabulated
//! from the *ticket* of an example, its number in the order of drawing, before
//! the segment starts.

mod adam;
mod adaptive_revision;
mod adf;
mod adf_counting;
mod em;
mod frequencies;
mod l2;
mod sgd;

pub use adam::{Adam, AdamForm, AdamState, Moments};
pub use adaptive_revision::{AdaptiveRevision, AdaptiveRevisionState};
pub use adf::{Adf, AdfState};
pub use adf_counting::{AdfCounting, AdfCountingState};
pub use em::{
    BatchEm, BatchEmState, Groups, IncrementalEm, IncrementalEmState, Multinomials, StepSizes,
    StepwiseEm, StepwiseEmState,
};
pub use frequencies::Frequencies;
pub use l2::L2Form;
pub use sgd::{Averaging, Sgd, SgdState};

use crate::Real;
use crate::error::{Error, Result};
use crate::gradient::Gradient;
use crate::layout::Layout;
use crate::remembered::Remembered;
use crate::replica::Merge;
use crate::shared::SharedWeights;
use crate::touched::Touched;
use crate::worker::Worker;

/// Where in a run a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The ticket of the step's first example, counted from the start of the run.
    pub ticket: u64,
    /// Whether the sums of whole tensors are written in this step, or go on growing.
    pub writes_sums: bool,
}

/// The part of a pass that runs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The ticket of its first example, counted from the start of the run.
    pub first_ticket: u64,
    /// The number of examples in it.
    pub n_examples: usize,
}

/// What an update rule may know of the training set.
#[derive(Debug)]
pub struct Training<'a> {
    /// The layout of the weights.
    pub layout: &'a Layout,
    /// The number of training examples.
    pub n_examples: usize,
    /// The number of examples in a step, but for the last of a pass.
    pub examples_per_step: u32,
    /// The number of workers.
    pub n_workers: usize,
    /// How often each block is used, if the rule asked for it.
    pub frequencies: Option<Frequencies>,
}

/// An update rule.
///
/// Several workers call [`Update::prepare`] and [`Update::apply`] at once; the
/// other functions are called between segments, by one thread.
pub trait Update: Sync {
    /// What the rule keeps during a run.
    type State: Send + Sync;

    /// Returns the rule's short name, as the command line spells it.
    fn name(&self) -> &'static str;

    /// Says in words which values the rule uses, for reports.
    fn describe(&self) -> String;

    /// Checks the rule's settings, before anything runs.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if a number is out of its range.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Returns true if the rule needs [`Training::frequencies`].
    fn needs_frequencies(&self) -> bool {
        false
    }

    /// Starts a run.
    fn start(&self, training: &Training<'_>) -> Self::State;

    /// Returns the rule's tables of one float a weight; they are replicated and saved with the weights.
    fn tables<'s>(&self, _state: &'s Self::State) -> Vec<&'s SharedWeights> {
        Vec::new()
    }

    /// Returns how what workers did to their copies of a table comes together, where they have
    /// copies; `table` counts from 1, as 0 is the weights.
    fn merges(&self, _state: &Self::State, _table: usize) -> Merge {
        Merge::Added
    }

    /// Returns the numbers that a checkpoint has to hold beside the tables.
    fn scalars(&self, _state: &Self::State) -> Vec<f64> {
        Vec::new()
    }

    /// Puts back what [`Update::scalars`] returned.
    fn set_scalars(&self, _state: &mut Self::State, _scalars: &[f64]) {}

    /// Returns before which ticket the rule needs a quiet point again, above `ticket`.
    fn window_end(&self, _state: &Self::State, _ticket: u64) -> u64 {
        u64::MAX
    }

    /// Gets ready for the next window. The weights are quiet and may be rewritten.
    fn between(&self, state: &mut Self::State, window: &Window, weights: &mut SharedWeights);

    /// Returns true if the rule wants [`Update::count`] to be called.
    fn counts_uses(&self) -> bool {
        false
    }

    /// Counts what the example with this ticket uses, before its gradient is computed.
    fn count(&self, _state: &Self::State, _ticket: u64, _touched: &Touched) {}

    /// Returns true if the rule wants [`Update::catch_up`] to be called.
    fn catches_up(&self) -> bool {
        false
    }

    /// Brings the blocks up to date that the step with this ticket will read, before it reads
    /// them: a rule may have left out changes while nobody looked.
    fn catch_up(
        &self,
        _state: &Self::State,
        _ticket: u64,
        _touched: &Touched,
        _worker: &mut Worker<'_>,
    ) {
    }

    /// Returns the table, if any, of which a worker keeps the blocks that a step touches as they were
    /// when it read: [`Update::apply`] then sees what others wrote since.
    fn kept_table(&self) -> Option<usize> {
        None
    }

    /// Returns true if the rule keeps the gradient of each example. A step is then given by how much
    /// the gradients of its examples have changed since they were last drawn.
    ///
    /// Such a rule needs a model whose gradient of an example always adds to the same weights.
    fn remembers(&self) -> bool {
        false
    }

    /// Returns where the rule keeps the gradients, if it [`remembers`](Update::remembers) them.
    fn remembered<'s>(&self, _state: &'s Self::State) -> Option<&'s Remembered> {
        None
    }

    /// Gets a worker ready to compute the gradient of a step.
    fn prepare(&self, _state: &Self::State, _step: &Step, _worker: &mut Worker<'_>) {}

    /// Applies a gradient.
    fn apply(&self, state: &Self::State, step: &Step, gradient: &Gradient, worker: &mut Worker<'_>);

    /// Computes sums of weights anew, if the rule keeps any, and returns the share by which they
    /// differed from those that were kept: what rounding and lost additions did since the last quiet
    /// point. Called at the end of a pass.
    fn lost_mass(&self, _state: &Self::State, _weights: &mut SharedWeights) -> Option<f64> {
        None
    }

    /// Turns weights as they are stored after `ticket` examples into those to evaluate and save.
    ///
    /// Rules that store the weights themselves leave them as they are.
    fn readout(&self, _state: &Self::State, _ticket: u64, _weights: &mut SharedWeights) {}
}

/// Adds `a` times a gradient to a table, the sums of whole tensors first.
#[inline(always)]
fn add(table: usize, a: Real, writes_sums: bool, gradient: &Gradient, worker: &Worker<'_>) {
    if writes_sums {
        for sum in gradient.sums() {
            worker.blend_whole(table, sum, 1.0, a);
        }
    }
    for spreads in gradient.spreads() {
        worker.add_rows(table, spreads, a);
    }
    for outer in gradient.outers() {
        worker.add_outer(table, outer, a);
    }
    for cells in gradient.cells() {
        worker.add_cells(table, cells, a);
    }
}

/// Refuses `actual` with the name of its setting unless it `holds`.
pub(crate) fn check_setting(
    setting: &'static str,
    expected: &'static str,
    actual: Real,
    holds: bool,
) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::Setting { setting, expected, actual: actual.to_string() })
    }
}

/// Refuses a step size or a time that is not a positive number.
pub(crate) fn check_positive(setting: &'static str, actual: Real) -> Result<()> {
    check_setting(setting, "above 0 and finite", actual, actual > 0.0 && actual.is_finite())
}

/// Refuses a factor that would let step sizes grow, or turn them round.
pub(crate) fn check_factor(setting: &'static str, actual: Real) -> Result<()> {
    check_setting(setting, "above 0 and at most 1", actual, actual > 0.0 && actual <= 1.0)
}

/// Refuses a regulariser that is not a number from 0 on.
fn check_l2(actual: Real) -> Result<()> {
    check_setting("l2", "at least 0 and finite", actual, actual >= 0.0 && actual.is_finite())
}
