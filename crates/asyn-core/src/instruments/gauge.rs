//! One worker's instruments.
//!
//! A stepper calls the gauge at the borders of its acts:
//!
//! ```text
//! draw → (plan) → (copy) read → (start) compute (recompute, compare) → (begin) write (end)
//! ```

use std::sync::Arc;

use super::probe::Pair;
use super::{Instruments, Overlap, Races, Shadow, Versions};
use crate::Real;
use crate::gradient::Gradient;
use crate::layout::Layout;
use crate::seed::{Purpose, SplitMix64};
use crate::touched::Touched;
use crate::worker::Worker;

/// Tells the stream that samples steps from the one that decides about sparse writes.
const SAMPLES: u64 = 0x70_61_69_72;

/// What the instruments of all workers share.
#[derive(Debug)]
pub(crate) struct Counters {
    overlap: Overlap,
    versions: Option<Versions>,
}

impl Counters {
    pub(crate) fn new(instruments: Instruments, layout: &Layout, n_workers: usize) -> Self {
        let versions = instruments.versions.then(|| Versions::new(layout.n_blocks(), n_workers));
        Self { overlap: Overlap::new(n_workers), versions }
    }

    /// Returns the counters of writes to each block, if there are any.
    pub(crate) fn versions(&self) -> Option<&Versions> {
        self.versions.as_ref()
    }
}

/// What one worker's instruments keep.
#[derive(Debug)]
pub(crate) struct Gauge {
    instruments: Instruments,
    pair: Option<Box<Pair>>,
    /// Whether the step that was drawn last is probed.
    is_sampled: bool,
    ended_before_read: u64,
    /// The writes to each block that had ended before the first read.
    noted: Vec<(usize, u32)>,
    races: Races,
}

impl Gauge {
    pub(crate) fn new(
        instruments: Instruments,
        layout: &Layout,
        optimum: Option<&Arc<[Real]>>,
    ) -> Self {
        let pair = instruments
            .paired
            .map(|_| Box::new(Pair::new(layout, instruments.reread, optimum.cloned())));
        Self {
            instruments,
            pair,
            is_sampled: false,
            ended_before_read: 0,
            noted: Vec::new(),
            races: Races::default(),
        }
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
    pub(crate) fn read(&mut self, worker: &Worker<'_>, touched: &Touched, counters: &Counters) {
        if self.instruments.overlap {
            self.ended_before_read = counters.overlap.ended(worker.index());
        }
        if let Some(versions) = counters.versions.as_ref().filter(|_| self.is_sampled) {
            self.noted.clear();
            let blocks = worker.shared_blocks(touched);
            versions.note(worker.index(), blocks, &mut self.noted);
        }
        if let Some(pair) = self.pair.as_mut().filter(|_| self.is_sampled) {
            pair.copy(worker, touched);
        }
    }

    /// Notes what holds after the last read of a step.
    pub(crate) fn end_read(&mut self, worker: &Worker<'_>, touched: &Touched, counters: &Counters) {
        if let Some(pair) = self.pair.as_mut().filter(|_| self.is_sampled) {
            pair.read_again(worker, touched, &mut self.races.changes);
        }
        if let Some(versions) = counters.versions.as_ref().filter(|_| self.is_sampled) {
            self.races.overwrites.steps += 1;
            let is_torn = versions.were_written(worker.index(), &self.noted);
            self.races.overwrites.read += u64::from(is_torn);
        }
    }

    /// Returns what is to write in sampled steps, if they write by exchange.
    pub(crate) fn shadow(&self) -> Option<Shadow> {
        self.instruments.shadow.then(Shadow::new)
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
    pub(crate) fn begin(&self, worker: &mut Worker<'_>, counters: &Counters) {
        if self.instruments.overlap {
            counters.overlap.begin(worker.index());
        }
        if let Some(announcer) = worker.announcer() {
            announcer.start(self.is_sampled);
        }
        if let Some(shadow) = worker.shadow_mut() {
            shadow.start(self.is_sampled);
        }
    }

    /// Ends an update; `is_step` unless it only writes what was held back.
    pub(crate) fn end(&mut self, worker: &mut Worker<'_>, counters: &Counters, is_step: bool) {
        if let Some(announcer) = worker.announcer().filter(|_| is_step) {
            self.races.overwrites.written += u64::from(announcer.has_met());
        }
        if let Some(shadow) = worker.shadow_mut() {
            self.races.exchanges.add(&shadow.take());
        }
        if self.instruments.overlap {
            let begun = counters.overlap.end(worker.index());
            if is_step {
                self.races.staleness.record(begun - self.ended_before_read);
            }
        }
    }
}
