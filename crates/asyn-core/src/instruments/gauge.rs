//! One worker's instruments.
//!
//! A stepper calls the gauge at the borders of its acts:
//!
//! ```text
//! draw → (plan) → (copy) read → (start) compute (recompute, compare) → (begin) write (end)
//! ```

use super::probe::Pair;
use super::{Instruments, Overlap, Races};
use crate::gradient::Gradient;
use crate::layout::Layout;
use crate::seed::{Purpose, SplitMix64};
use crate::touched::Touched;
use crate::worker::Worker;

/// Tells the stream that samples steps from the one that decides about sparse writes.
const SAMPLES: u64 = 0x70_61_69_72;

/// What one worker's instruments keep.
#[derive(Debug)]
pub(crate) struct Gauge {
    instruments: Instruments,
    pair: Option<Box<Pair>>,
    /// Whether the step that was drawn last is probed.
    is_sampled: bool,
    ended_before_read: u64,
    races: Races,
}

impl Gauge {
    pub(crate) fn new(instruments: Instruments, layout: &Layout) -> Self {
        let pair = instruments.paired.map(|_| Box::new(Pair::new(layout)));
        Self { instruments, pair, is_sampled: false, ended_before_read: 0, races: Races::default() }
    }

    /// Hands over what was seen so far.
    pub(crate) fn take(&mut self) -> Races {
        std::mem::take(&mut self.races)
    }

    /// Decides whether the step that was just drawn is probed.
    pub(crate) fn draw(&mut self, seed: u64, ticket: u64) -> bool {
        self.is_sampled = self.instruments.paired.is_some_and(|one_in| {
            let mut random = SplitMix64::stream(seed, Purpose::SparseWrites, ticket, SAMPLES);
            random.below(u64::from(one_in.get())) == 0
        });
        self.is_sampled
    }

    /// Decides what the copy of a probed step holds.
    pub(crate) fn plan(&mut self, layout: &Layout, touched: &Touched) {
        if let Some(pair) = &mut self.pair {
            pair.plan(layout, touched);
        }
    }

    /// Notes what holds before the first read of a step.
    pub(crate) fn read(&mut self, worker: &Worker<'_>, touched: &Touched, overlap: &Overlap) {
        if self.instruments.overlap {
            self.ended_before_read = overlap.ended();
        }
        if let Some(pair) = self.pair.as_mut().filter(|_| self.is_sampled) {
            pair.copy(worker, touched);
        }
    }

    /// Returns the pair if the step is probed.
    pub(crate) fn pair(&mut self) -> Option<&mut Pair> {
        self.pair.as_deref_mut().filter(|_| self.is_sampled)
    }

    /// Compares the two gradients of a probed step.
    pub(crate) fn compare(&mut self, layout: &Layout, ticket: u64, gradient: &Gradient) {
        if let Some(pair) = &mut self.pair {
            self.races.probes.push(pair.compare(layout, ticket, gradient, &mut self.races.sketch));
        }
    }

    /// Announces an update.
    pub(crate) fn begin(&self, overlap: &Overlap) {
        if self.instruments.overlap {
            overlap.begin();
        }
    }

    /// Ends an update; `is_step` unless it only writes what was held back.
    pub(crate) fn end(&mut self, overlap: &Overlap, is_step: bool) {
        if self.instruments.overlap {
            let begun = overlap.end();
            if is_step {
                self.races.staleness.record(begun - 1 - self.ended_before_read);
            }
        }
    }
}
