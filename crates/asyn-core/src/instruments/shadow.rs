//! Writes that notice what they overwrite.
//!
//! In a sampled step a block is written in three acts: it is copied, the step's own kernel is
//! applied to the copy, and each weight is exchanged for the result by compare and swap. Where a
//! weight is no longer the one that was copied, another worker has stored to it in between, and a
//! plain write would have overwritten that store. So does this one, after counting it: the run
//! goes on as if nobody had looked.

use crate::Real;
use crate::shared::{SharedWeights, WeightsView};

/// How many weights of sampled steps were stored over what another worker had just stored.
///
/// Over-counts: a block lies open from its copy to its last exchange, some ten times as long as
/// with a plain write, which loads and stores vector by vector; a matrix in panels lies open as a
/// whole. Under-counts: stores that change nothing, and steps that are not sampled. Counts nothing
/// where writes themselves compare and swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exchanges {
    /// The weights that were exchanged.
    pub weights: u64,
    /// Those that another worker had changed since they were loaded.
    pub failed: u64,
}

impl Exchanges {
    /// Returns the share of exchanges that failed, from 0 to 1; 0 without any.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub fn rate(&self) -> f64 {
        self.failed as f64 / self.weights.max(1) as f64
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.weights += other.weights;
        self.failed += other.failed;
    }
}

/// One worker's writes by exchange.
#[derive(Debug)]
pub(crate) struct Shadow {
    /// Whether the step that is written is sampled.
    is_on: bool,
    exchanges: Exchanges,
    copy: SharedWeights,
    before: Vec<Real>,
    after: Vec<Real>,
}

impl Shadow {
    pub(crate) fn new() -> Self {
        Self {
            is_on: false,
            exchanges: Exchanges::default(),
            copy: SharedWeights::zeroed(0),
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    /// Starts the write of a step.
    pub(crate) fn start(&mut self, is_sampled: bool) {
        self.is_on = is_sampled;
    }

    /// Returns true if the step that is written is sampled.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Hands over what was counted since the last call.
    pub(crate) fn take(&mut self) -> Exchanges {
        std::mem::take(&mut self.exchanges)
    }

    /// Replaces `block` by what `apply` makes of a copy, and counts what that overwrites.
    pub(crate) fn write(&mut self, block: WeightsView<'_>, apply: impl FnOnce(&SharedWeights)) {
        let len = block.len();
        if self.copy.len() < len {
            self.copy = SharedWeights::zeroed(len.next_power_of_two());
        }
        self.before.resize(len, 0.0);
        self.after.resize(len, 0.0);
        block.read_into(&mut self.before);
        self.copy.view(0, len).write_from(&self.before);
        apply(&self.copy);
        self.copy.view(0, len).read_into(&mut self.after);
        self.exchanges.weights += len as u64;
        self.exchanges.failed += block.exchange(&self.before, &self.after) as u64;
    }
}
