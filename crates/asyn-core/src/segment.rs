//! A part of a pass, and the loop of one worker over it.
//!
//! A [`Segment`] is what a strategy runs: examples in an order, one counter from
//! which workers draw, and everything that workers share. A [`Stepper`] is one
//! worker's loop, cut into the four acts that strategies order and guard:
//!
//! ```text
//! draw → read → compute → write
//! ```
//!
//! All strategies run the same acts, so they differ in nothing but when.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

use crate::Real;
use crate::batch::Batch;
use crate::gradient::Gradient;
use crate::instruments::{Counters, Gauge, Instruments, Ledger, Races, Sample};
use crate::layout::Layout;
use crate::model::Model;
use crate::replica::{Merge, Replica};
use crate::seed::{Purpose, SplitMix64};
use crate::settings::Access;
use crate::shared::SharedWeights;
use crate::simulate::{self, Act, in_order};
use crate::snapshot::Snapshot;
use crate::touched::Touched;
use crate::update::{Step, Update};
use crate::worker::{Private, Read, Worker};

/// For how many steps a worker is given examples at once, at most.
const MOST_STEPS: usize = 8;

/// A part of a pass, ready to be run by a strategy.
#[allow(missing_debug_implementations, reason = "models and examples need not be printable")]
pub struct Segment<'a, M: Model, U: Update> {
    /// The model.
    pub model: &'a M,
    /// The update rule.
    pub update: &'a U,
    /// What the update rule keeps.
    pub state: &'a U::State,
    /// The weights.
    pub weights: &'a SharedWeights,
    /// All training examples.
    pub examples: &'a [M::Example],
    /// The ids of this segment's examples, in the order in which they are drawn.
    pub order: &'a [u32],
    /// The pass, counted from 0.
    pub pass: u32,
    /// The ticket of the first example in `order`.
    pub first_ticket: u64,
    /// The seed of the run.
    pub seed: u64,
    /// How workers read and write.
    pub access: Access,
    /// How many examples were handed out. On a line of its own: every worker writes it, and
    /// every worker reads what stands beside it.
    drawn: CachePadded<AtomicUsize>,
    stopped: AtomicBool,
    counters: Option<&'a Counters>,
}

/// What one worker keeps from segment to segment.
///
/// Aligned as `CachePadded` is: lanes stand side by side, and each is written in every step.
#[derive(Debug)]
#[repr(align(128))]
pub struct Lane<W> {
    workspace: W,
    gradient: Gradient,
    touched: Touched,
    memory: Memory,
    /// What the update rule keeps of each step, if it keeps anything.
    kept: Option<Box<Snapshot>>,
    gauge: Option<Box<Gauge>>,
    ledger: Option<Box<Ledger>>,
    /// What this worker did since the trainer last asked.
    pub tally: Tally,
}

/// What a worker did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    /// The summed loss of its examples, at the weights that it read.
    pub loss: f64,
    /// The number of examples.
    pub examples: u64,
    /// The number of steps.
    pub steps: u64,
}

#[derive(Debug)]
enum Memory {
    None,
    Snapshot(Box<Snapshot>),
    Replica(Box<Replica>),
}

impl<'a, M: Model, U: Update> Segment<'a, M, U> {
    #[allow(clippy::too_many_arguments, reason = "called once, by the trainer, with named values")]
    pub(crate) fn new(
        model: &'a M,
        update: &'a U,
        state: &'a U::State,
        weights: &'a SharedWeights,
        examples: &'a [M::Example],
        order: &'a [u32],
        place: (u32, u64, u64),
        access: Access,
    ) -> Self {
        let (pass, first_ticket, seed) = place;
        Self {
            model,
            update,
            state,
            weights,
            examples,
            order,
            pass,
            first_ticket,
            seed,
            access,
            drawn: CachePadded::new(AtomicUsize::new(0)),
            stopped: AtomicBool::new(false),
            counters: None,
        }
    }

    /// Gives the segment the counters that its workers' instruments share.
    pub(crate) fn with_counters(mut self, counters: &'a Counters) -> Self {
        self.counters = Some(counters);
        self
    }

    /// Makes nobody draw another example; workers finish their current step.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Returns true after [`Segment::stop`].
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Returns a guard that stops the segment if it is dropped by a panic, so that
    /// the other workers end soon.
    #[must_use]
    pub fn stop_on_panic(&self) -> StopOnPanic<'_> {
        StopOnPanic { stopped: &self.stopped }
    }

    /// Hands out the next examples, for several steps of one worker.
    ///
    /// Several at once, so that a worker knows what it will see next; few enough that all
    /// workers end at about the same time.
    fn claim(&self) -> Option<Range<usize>> {
        if self.is_stopped() {
            return None;
        }
        let n = self.access.accumulate.get() as usize;
        let n = n * (self.order.len() / (64 * n)).clamp(1, MOST_STEPS);
        let start = self.drawn.fetch_add(n, Ordering::Relaxed);
        (start < self.order.len()).then(|| start..(start + n).min(self.order.len()))
    }
}

/// Stops a segment when a panic drops it.
#[derive(Debug)]
pub struct StopOnPanic<'s> {
    stopped: &'s AtomicBool,
}

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }
}

impl<W> Lane<W> {
    pub(crate) fn new<M: Model<Workspace = W>>(
        model: &M,
        access: &Access,
        merges: &[Merge],
    ) -> Self {
        let layout = model.layout();
        let memory = match (access.read, access.replicas) {
            (Read::Snapshot, _) => Memory::Snapshot(Box::new(Snapshot::new(layout))),
            (Read::InPlace, Some(replicas)) => {
                Memory::Replica(Box::new(Replica::new(layout, replicas, merges)))
            }
            (Read::InPlace, None) => Memory::None,
        };
        Self {
            workspace: model.workspace(),
            gradient: Gradient::new(access.sparse_threshold),
            touched: Touched::default(),
            memory,
            kept: None,
            gauge: None,
            ledger: None,
            tally: Tally::default(),
        }
    }

    /// Makes the worker keep a copy of one table of what each step touches.
    pub(crate) fn with_kept(mut self, layout: &Layout) -> Self {
        self.kept = Some(Box::new(Snapshot::new(layout)));
        self
    }

    /// Adds instruments, which may know the optimum, and a ledger of the writes to `sample`, if
    /// there is one.
    pub(crate) fn with_instruments(
        mut self,
        instruments: Instruments,
        layout: &Layout,
        optimum: Option<&Arc<[Real]>>,
        sample: Option<&Arc<Sample>>,
    ) -> Self {
        self.gauge =
            (!instruments.is_off()).then(|| Box::new(Gauge::new(instruments, layout, optimum)));
        self.ledger = sample.map(|sample| Box::new(Ledger::new(Arc::clone(sample))));
        self
    }

    /// Hands over what the instruments saw, if there are any.
    pub(crate) fn take_races(&mut self) -> Option<Races> {
        self.gauge.as_mut().map(|gauge| gauge.take())
    }

    /// Returns the ledger of this worker's writes, if there is one.
    pub(crate) fn ledger(&mut self) -> Option<&mut Ledger> {
        self.ledger.as_deref_mut()
    }

    /// Brings what the lane still holds for itself to the shared weights; called by one
    /// thread at a time, between segments.
    pub(crate) fn flush(&mut self, tables: &[&SharedWeights], n_workers: usize) {
        if let Memory::Replica(replica) = &mut self.memory {
            replica.flush(tables, n_workers, self.ledger.as_deref_mut());
        }
    }
}

/// One worker's loop over a segment.
#[allow(missing_debug_implementations, reason = "models and examples need not be printable")]
pub struct Stepper<'a, M: Model, U: Update> {
    segment: &'a Segment<'a, M, U>,
    worker: Worker<'a>,
    workspace: &'a mut M::Workspace,
    gradient: &'a mut Gradient,
    touched: &'a mut Touched,
    tally: &'a mut Tally,
    /// The instruments and the counters they share, if any are on.
    gauge: Option<(&'a mut Gauge, &'a Counters)>,
    /// The version of the whole tensors at the last gradient.
    seen_version: u64,
    /// Examples that were handed out to this worker and are still to be drawn.
    claimed: Range<usize>,
    drawn: Range<usize>,
    /// Whether the step that was drawn is still to be brought up to date.
    is_behind: bool,
    /// The step whose gradient was computed last, and is to be written.
    step: Step,
    /// How many steps ago sums were written.
    since_sums: u32,
}

impl<'a, M: Model, U: Update> Stepper<'a, M, U> {
    /// Starts worker `index` on a segment.
    #[must_use]
    pub fn new(
        segment: &'a Segment<'a, M, U>,
        index: usize,
        lane: &'a mut Lane<M::Workspace>,
    ) -> Self {
        let mut tables = vec![segment.weights];
        tables.extend(segment.update.tables(segment.state));
        let private = match &mut lane.memory {
            Memory::None => Private::None,
            Memory::Snapshot(snapshot) => Private::Snapshot(snapshot),
            Memory::Replica(replica) => Private::Replica(replica),
        };
        let mut worker =
            Worker::new(index, segment.model.layout(), tables, segment.access.write, private)
                .with_kept(segment.update.kept_table().zip(lane.kept.as_deref_mut()))
                .with_ledger(lane.ledger.as_deref_mut())
                .with_versions(segment.counters.and_then(Counters::versions))
                .with_shadow(lane.gauge.as_ref().and_then(|gauge| gauge.shadow()));
        in_order(Act::Start, || ());
        worker.refresh();
        Self {
            segment,
            worker,
            workspace: &mut lane.workspace,
            gradient: &mut lane.gradient,
            touched: &mut lane.touched,
            tally: &mut lane.tally,
            gauge: lane.gauge.as_deref_mut().zip(segment.counters),
            seen_version: 0,
            claimed: 0..0,
            drawn: 0..0,
            is_behind: false,
            step: Step { ticket: 0, writes_sums: true },
            since_sums: 0,
        }
    }

    /// Draws the examples of the next step; false when the segment has no more.
    ///
    /// Needs no lock, and may come before the last gradient is written. Finds out which
    /// blocks the step will read, if that is needed.
    pub fn draw(&mut self) -> bool {
        if !in_order(Act::Draw, || self.has_more()) {
            return false;
        }
        let n = self.segment.access.accumulate.get() as usize;
        let end = (self.claimed.start + n).min(self.claimed.end);
        self.drawn = self.claimed.start..end;
        self.claimed.start = end;
        let ticket = self.ticket();
        if self.segment.update.counts_uses() {
            self.count_uses(ticket);
        }
        let is_sampled =
            self.gauge.as_mut().is_some_and(|(gauge, _)| gauge.draw(self.segment.seed, ticket));
        self.is_behind = self.segment.update.catches_up();
        let keeps = self.segment.update.kept_table().is_some();
        if is_sampled || self.is_behind || keeps || self.worker.reads_snapshot() {
            let batch = self.batch();
            self.touched.clear();
            self.segment.model.touched(&batch, self.workspace, self.touched);
            self.worker.plan_copies(self.touched);
        }
        if let Some((gauge, _)) = self.gauge.as_mut().filter(|_| is_sampled) {
            gauge.plan(self.segment.model.layout(), self.touched);
        }
        true
    }

    /// Brings up to date what the gradient will read, if the update rule does that and it was not
    /// done yet. [`Stepper::read`] does it; to be called before it, under the same guard, only
    /// where several workers then read at once and are to see the same weights.
    pub fn catch_up(&mut self) {
        if std::mem::take(&mut self.is_behind) {
            let (segment, ticket) = (self.segment, self.ticket());
            segment.update.catch_up(segment.state, ticket, self.touched, &mut self.worker);
        }
    }

    /// Reads what the gradient needs, if workers read from snapshots.
    pub fn read(&mut self) {
        in_order(Act::Read, || ());
        self.catch_up();
        if let Some((gauge, counters)) = &mut self.gauge {
            gauge.read(&self.worker, self.touched, counters);
        }
        self.worker.keep();
        self.worker.take_snapshot();
        if self.worker.reads_snapshot() {
            self.end_read();
        }
    }

    /// Computes the gradient, and sleeps over it if a delay says so.
    pub fn compute(&mut self) {
        let batch = self.batch();
        self.since_sums += 1;
        self.step = Step {
            ticket: self.ticket(),
            writes_sums: self.since_sums >= self.segment.access.sums_every.get(),
        };
        self.segment.update.prepare(self.segment.state, &self.step, &mut self.worker);
        self.gradient.clear();
        if self.segment.access.sparse_threshold > 0.0 {
            self.gradient.set_random(SplitMix64::stream(
                self.segment.seed,
                Purpose::SparseWrites,
                self.step.ticket,
                0,
            ));
        }
        let layout = self.segment.model.layout();
        let is_probed = match self.gauge.as_mut().and_then(|(gauge, _)| gauge.pair()) {
            Some(pair) => {
                pair.start(layout, self.gradient);
                true
            }
            None => false,
        };
        let (model, update) = (self.segment.model, self.segment.update);
        let (worker, workspace) = (&self.worker, &mut *self.workspace);
        self.tally.loss += match update.remembered(self.segment.state) {
            Some(it) => it.changes(model, worker, &batch, workspace, self.gradient),
            None => model.gradient(worker, &batch, workspace, self.gradient),
        };
        if !self.worker.reads_snapshot() {
            self.end_read();
        }
        if is_probed {
            self.compute_again(&batch);
        }
        self.seen_version = self.worker.whole_version();
        self.gradient.count_examples(batch.len());
        self.tally.examples += batch.len() as u64;
        self.tally.steps += 1;
        simulate::computed();
        if let Some(delay) = self.segment.access.delay {
            delay.sleep(self.segment.seed, self.step.ticket);
        }
    }

    /// Applies the gradient that was computed last.
    pub fn write(&mut self) {
        in_order(Act::Write, || ());
        self.begin_update();
        self.apply();
        self.worker.merge_share();
        self.end_update(true);
        simulate::written();
    }

    /// Runs draw, read, compute and write until there is nothing more to draw.
    pub fn run(&mut self) {
        while self.draw() {
            self.read();
            self.compute();
            self.write();
        }
        self.finish();
    }

    /// Writes the summed gradients that are still held back. To be called once, when
    /// there is nothing more to draw, under the same guard as [`Stepper::write`].
    pub fn finish(&mut self) {
        in_order(Act::Finish, || ());
        if self.since_sums > 0 {
            self.gradient.clear();
            self.step.writes_sums = true;
            self.begin_update();
            self.apply();
            self.end_update(false);
        }
    }

    /// Returns the worker's number, counted from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.worker.index()
    }

    /// Sees to it that there are examples to draw; false when the segment has no more.
    fn has_more(&mut self) -> bool {
        if self.claimed.is_empty() {
            match self.segment.claim() {
                Some(claimed) => self.claimed = claimed,
                None => return false,
            }
        }
        !self.segment.is_stopped()
    }

    /// Tells the update rule what each example of the step uses.
    fn count_uses(&mut self, first_ticket: u64) {
        let segment = self.segment;
        for (ticket, id) in (first_ticket..).zip(&segment.order[self.drawn.clone()]) {
            let id = std::slice::from_ref(id);
            let batch = Batch::new(segment.pass, segment.seed, id, segment.examples);
            self.touched.clear();
            segment.model.touched(&batch, self.workspace, self.touched);
            segment.update.count(segment.state, ticket, self.touched);
        }
    }

    fn apply(&mut self) {
        self.segment.update.apply(self.segment.state, &self.step, self.gradient, &mut self.worker);
        if self.step.writes_sums {
            self.gradient.clear_sums();
            self.worker.bump_whole_version();
            self.since_sums = 0;
        }
    }

    /// Computes the gradient of a probed step once more, on the copy, and compares.
    fn compute_again(&mut self, batch: &Batch<'a, M::Example>) {
        // What the model derived from whole tensors in this step was derived from live weights,
        // so it has to be derived anew from the copy; what it kept from before serves again.
        // The worker then goes on with the new version: its scratch memory holds that.
        if self.worker.whole_version() != self.seen_version {
            self.worker.bump_whole_version();
        }
        let version = self.worker.whole_version();
        let model = self.segment.model;
        let Some((gauge, _)) = &mut self.gauge else { return };
        let Some(pair) = gauge.pair() else { return };
        pair.again(&self.worker, version, |reference, gradient| {
            model.gradient(reference, batch, self.workspace, gradient);
        });
        gauge.compare(model.layout(), self.step.ticket, self.gradient);
    }

    fn end_read(&mut self) {
        if let Some((gauge, counters)) = &mut self.gauge {
            gauge.end_read(&self.worker, self.touched, counters);
        }
    }

    fn begin_update(&mut self) {
        if let Some((gauge, counters)) = &self.gauge {
            gauge.begin(&mut self.worker, counters);
        }
    }

    fn end_update(&mut self, is_step: bool) {
        if let Some((gauge, counters)) = &mut self.gauge {
            gauge.end(&mut self.worker, counters, is_step);
        }
    }

    /// Returns the ticket of the first example that was drawn.
    fn ticket(&self) -> u64 {
        self.segment.first_ticket + self.drawn.start as u64
    }

    fn batch(&self) -> Batch<'a, M::Example> {
        let segment = self.segment;
        Batch::new(segment.pass, segment.seed, &segment.order[self.drawn.clone()], segment.examples)
            .followed_by(&segment.order[self.claimed.clone()])
    }
}
