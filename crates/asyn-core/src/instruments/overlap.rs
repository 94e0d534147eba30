//! How many updates of others overlap a step.
//!
//! Each worker counts, for all to read, its updates that have begun to write and those that
//! have ended. The staleness of a step is, summed over the other workers,
//!
//! ```text
//! T = (updates begun before the step's write ended) − (updates ended before its read began)
//! ```
//!
//! Every update that could have changed a value between the read and the end of the write is
//! counted, whether or not it touches the same blocks.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crossbeam_utils::CachePadded;

/// From which staleness on steps are counted together.
const EXACT: usize = 64;

/// The updates of each worker, counted at both ends.
///
/// # Memory model
///
/// As in a sequence lock: a writer announces itself before a release fence and its stores, and
/// signs off with a release; a reader loads the ends with acquire before its reads, and the
/// beginnings after an acquire fence. A reader that saw a store of an update therefore
/// counts that update. Each counter has one writer, so plain stores are enough, which do not wait
/// for the stores of weights before them as a locked addition would.
#[derive(Debug)]
pub(crate) struct Overlap {
    workers: Box<[CachePadded<Updates>]>,
}

/// The updates of one worker.
#[derive(Debug, Default)]
struct Updates {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Overlap {
    pub(crate) fn new(n_workers: usize) -> Self {
        Self { workers: (0..n_workers).map(|_| CachePadded::default()).collect() }
    }

    /// Returns how many updates of others have ended, before a read of `worker`.
    pub(crate) fn ended(&self, worker: usize) -> u64 {
        self.sum(worker, |updates| updates.ended.load(Ordering::Acquire))
    }

    /// Announces an update of `worker`.
    pub(crate) fn begin(&self, worker: usize) {
        add_one(&self.workers[worker].begun, Ordering::Relaxed);
        fence(Ordering::Release);
    }

    /// Ends an update of `worker`; returns how many of others have begun.
    pub(crate) fn end(&self, worker: usize) -> u64 {
        fence(Ordering::Acquire);
        let begun = self.sum(worker, |updates| updates.begun.load(Ordering::Relaxed));
        add_one(&self.workers[worker].ended, Ordering::Release);
        begun
    }

    fn sum(&self, except: usize, count: impl Fn(&Updates) -> u64) -> u64 {
        let others = self.workers.iter().enumerate().filter(|&(worker, _)| worker != except);
        others.map(|(_, updates)| count(updates)).sum()
    }
}

/// Adds 1 to a counter that only this thread writes.
fn add_one(counter: &AtomicU64, order: Ordering) {
    counter.store(counter.load(Ordering::Relaxed) + 1, order);
}

/// How often a step had which staleness: exactly up to 63, and 64 or more together.
///
/// Over-counts for sparse models, whose updates touch different blocks; under-counts nothing.
/// The parts of a synchronous mini-batch are updates of their own here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staleness {
    counts: [u64; EXACT + 1],
    sum: u64,
    largest: u64,
}

impl Default for Staleness {
    fn default() -> Self {
        Self { counts: [0; EXACT + 1], sum: 0, largest: 0 }
    }
}

impl Staleness {
    pub(crate) fn record(&mut self, staleness: u64) {
        let at = usize::try_from(staleness).unwrap_or(EXACT).min(EXACT);
        self.counts[at] += 1;
        self.sum += staleness;
        self.largest = self.largest.max(staleness);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.sum += other.sum;
        self.largest = self.largest.max(other.largest);
    }

    /// Returns the number of steps with staleness 0, 1, … 63, and with 64 or more.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Returns the number of steps.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the share of steps that any update of another worker overlapped, from 0 to 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub fn rate(&self) -> f64 {
        let steps = self.steps();
        (steps - self.counts[0]) as f64 / steps.max(1) as f64
    }

    /// Returns the mean staleness; 0 without a step.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub fn mean(&self) -> f64 {
        self.sum as f64 / self.steps().max(1) as f64
    }

    /// Returns the largest staleness; 0 without a step.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.largest
    }
}
