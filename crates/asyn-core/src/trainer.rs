//! Runs passes over a training set.
//!
//! The trainer owns what all strategies share: the order of examples, seeds,
//! clocks, evaluation, stopping, and what happens between segments.

use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::observer::{Checkpoint, Event, Observer, PassReport, Quiet, Source};
use crate::replica::Replicas;
use crate::seed::{Purpose, SplitMix64};
use crate::segment::{Lane, Segment, Tally};
use crate::settings::{Access, Sampling};
use crate::shared::SharedWeights;
use crate::strategy::Strategy;
use crate::touched::Touched;
use crate::update::{Frequencies, Training, Update, Window};
use crate::worker::{Read, Write};
use crate::{Batch, Real, Serial, Sgd};

/// How old the copy of the last good weights may get while training runs.
const COPY_EVERY: Duration = Duration::from_secs(1);

/// Settings of a run, checked; made by [`Trainer::builder`].
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
}

/// Collects the settings of a [`Trainer`].
///
/// Setters never fail; [`TrainerBuilder::build`] checks everything.
#[derive(Debug, Clone)]
pub struct TrainerBuilder<S, U> {
    strategy: S,
    update: U,
    threads: usize,
    passes: u32,
    seed: u64,
    sampling: Sampling,
    access: Access,
    accumulate: u32,
    sums_every: u32,
    segment_len: usize,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// One report a finished pass.
    pub passes: Vec<PassReport>,
    /// Whether an observer ended the run early.
    pub stopped: bool,
}

impl Trainer {
    /// Starts a builder with one serial worker, ten passes and seed 1.
    #[must_use]
    pub fn builder() -> TrainerBuilder<Serial, Sgd> {
        let schedule = crate::Schedule::Exponential { rate: 0.1, factor: 0.9 };
        TrainerBuilder {
            strategy: Serial,
            update: Sgd { schedule, l2: 1.0, averaging: crate::Averaging::Off },
            threads: 1,
            passes: 10,
            seed: 1,
            sampling: Sampling::default(),
            access: Access::default(),
            accumulate: 1,
            sums_every: 1,
            segment_len: 1 << 14,
        }
    }
}

impl<S, U> TrainerBuilder<S, U> {
    /// Sets how workers share the weights; [`Serial`] by default.
    #[must_use]
    pub fn strategy<T>(self, strategy: T) -> TrainerBuilder<T, U> {
        TrainerBuilder {
            strategy,
            update: self.update,
            threads: self.threads,
            passes: self.passes,
            seed: self.seed,
            sampling: self.sampling,
            access: self.access,
            accumulate: self.accumulate,
            sums_every: self.sums_every,
            segment_len: self.segment_len,
        }
    }

    /// Sets the update rule; SGD from 0.1, × 0.9 a pass, by default.
    #[must_use]
    pub fn update<V>(self, update: V) -> TrainerBuilder<S, V> {
        TrainerBuilder {
            strategy: self.strategy,
            update,
            threads: self.threads,
            passes: self.passes,
            seed: self.seed,
            sampling: self.sampling,
            access: self.access,
            accumulate: self.accumulate,
            sums_every: self.sums_every,
            segment_len: self.segment_len,
        }
    }

    /// Sets the number of workers, at least 1; 1 by default.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets the number of passes, at least 1; 10 by default.
    #[must_use]
    pub fn passes(mut self, passes: u32) -> Self {
        self.passes = passes;
        self
    }

    /// Sets the number from which all randomness of the run comes; 1 by default.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the order of examples; without replacement by default.
    #[must_use]
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// Sets how workers read; in place by default.
    #[must_use]
    pub fn read(mut self, read: Read) -> Self {
        self.access.read = read;
        self
    }

    /// Sets how workers write; racy by default.
    #[must_use]
    pub fn write(mut self, write: Write) -> Self {
        self.access.write = write;
        self
    }

    /// Sets how many examples make one step, at least 1; 1 by default.
    #[must_use]
    pub fn accumulate(mut self, examples: u32) -> Self {
        self.accumulate = examples;
        self
    }

    /// Sets in how many steps the sums of whole tensors are written once, at least 1; 1 by default.
    #[must_use]
    pub fn sums_every(mut self, steps: u32) -> Self {
        self.sums_every = steps;
        self
    }

    /// Sets the size below which row gradients are written stochastically; 0, for never, by default.
    #[must_use]
    pub fn sparse_threshold(mut self, threshold: Real) -> Self {
        self.access.sparse_threshold = threshold;
        self
    }

    /// Sets which rows each worker keeps for itself; none by default.
    #[must_use]
    pub fn replicas(mut self, replicas: Option<Replicas>) -> Self {
        self.access.replicas = replicas;
        self
    }

    /// Sets how many examples run between two quiet points, at least 1; 16,384 by default.
    #[must_use]
    pub fn segment_len(mut self, examples: usize) -> Self {
        self.segment_len = examples;
        self
    }
}

impl<S: Strategy, U: Update> TrainerBuilder<S, U> {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if a number is out of its range, and [`Error::Conflict`]
    /// if replicas are combined with snapshots.
    pub fn build(self) -> Result<Trainer<S, U>> {
        let at_least_one = |setting, value: u64| {
            let actual = value.to_string();
            if value == 0 {
                Err(Error::Setting { setting, expected: "at least 1", actual })
            } else {
                Ok(())
            }
        };
        at_least_one("threads", self.threads as u64)?;
        at_least_one("passes", u64::from(self.passes))?;
        at_least_one("segment length", self.segment_len as u64)?;
        at_least_one("accumulate", u64::from(self.accumulate))?;
        at_least_one("sums every", u64::from(self.sums_every))?;
        if let Some(replicas) = self.access.replicas {
            at_least_one("merge every", u64::from(replicas.merge_every))?;
        }
        let threshold = self.access.sparse_threshold;
        if !(0.0..1.0).contains(&threshold) {
            return Err(Error::Setting {
                setting: "sparse threshold",
                expected: "at least 0 and below 1",
                actual: threshold.to_string(),
            });
        }
        let mut access = self.access;
        access.accumulate = NonZeroU32::new(self.accumulate).unwrap_or(NonZeroU32::MIN);
        access.sums_every = NonZeroU32::new(self.sums_every).unwrap_or(NonZeroU32::MIN);
        access.read = self.strategy.read(access.read);
        if access.read == Read::Snapshot && access.replicas.is_some() {
            return Err(Error::Conflict {
                first: "snapshot reads",
                second: "replicas",
                reason: "a snapshot is a copy already",
            });
        }
        Ok(Trainer {
            n_workers: self.strategy.workers(self.threads),
            strategy: self.strategy,
            update: self.update,
            passes: self.passes,
            seed: self.seed,
            sampling: self.sampling,
            access,
            segment_len: self.segment_len,
        })
    }
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
    /// `weights` hold the last good pass that was copied, at most a second of training
    /// before, or the initial weights.
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

    /// Goes on from a checkpoint of a run with the same model, examples and settings.
    ///
    /// # Errors
    ///
    /// As [`Trainer::fit`]; [`Error::Length`] also if the checkpoint is another model's.
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
            let order = self.order(examples.len(), run.pass);
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
                let (report, flow) = run.end_pass(observer);
                outcome.passes.push(report);
                outcome.stopped = flow.is_break();
            }
        }
        run.finish();
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

/// A run in progress.
struct Run<'r, M: Model, S, U: Update> {
    trainer: &'r Trainer<S, U>,
    model: &'r M,
    examples: &'r [M::Example],
    weights: &'r mut SharedWeights,
    state: U::State,
    lanes: Vec<Lane<M::Workspace>>,
    readout: Option<SharedWeights>,
    good: Option<SharedWeights>,
    copied_at: Duration,
    /// The pass, counted from 0, and how many of its examples are done.
    pass: u32,
    done: usize,
    tally: Tally,
    pass_time: Duration,
    train_time: Duration,
    observe_time: Duration,
}

impl<'r, M: Model, S: Strategy, U: Update> Run<'r, M, S, U> {
    fn start(
        trainer: &'r Trainer<S, U>,
        model: &'r M,
        examples: &'r [M::Example],
        weights: &'r mut SharedWeights,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Self> {
        let layout = model.layout();
        let check = |what, actual| {
            let expected = layout.len();
            if actual == expected { Ok(()) } else { Err(Error::Length { what, expected, actual }) }
        };
        if weights.len() < layout.len() {
            check("the weight vector", weights.len())?;
        }
        let started = Instant::now();
        let frequencies =
            trainer.update.needs_frequencies().then(|| count_frequencies(model, examples));
        let training = Training { layout, n_examples: examples.len(), frequencies };
        let mut state = trainer.update.start(&training);
        if let Some(checkpoint) = checkpoint {
            trainer.update.set_scalars(&mut state, &checkpoint.scalars);
            let mut tables = vec![&*weights];
            tables.extend(trainer.update.tables(&state));
            check("the number of tables", layout.len() + checkpoint.tables.len() - tables.len())?;
            for (table, saved) in tables.iter().zip(&checkpoint.tables) {
                check("a table of the checkpoint", saved.len())?;
                table.view(0, saved.len()).write_from(saved);
            }
        }
        let n_tables = 1 + trainer.update.tables(&state).len();
        let lanes =
            (0..trainer.n_workers).map(|_| Lane::new(model, &trainer.access, n_tables)).collect();
        let (loss, examples_done, steps) = checkpoint.map_or((0.0, 0, 0), |c| c.partial);
        Ok(Self {
            trainer,
            model,
            examples,
            weights,
            state,
            lanes,
            readout: None,
            good: None,
            copied_at: Duration::ZERO,
            pass: checkpoint.map_or(0, |c| c.pass),
            done: checkpoint.map_or(0, |c| c.done),
            tally: Tally { loss, examples: examples_done, steps },
            pass_time: started.elapsed(),
            train_time: checkpoint.map_or(Duration::ZERO, |c| c.train_time) + started.elapsed(),
            observe_time: Duration::ZERO,
        })
    }

    /// Runs the next segment of the pass.
    fn segment(&mut self, order: &[u32]) -> Result<()> {
        let started = Instant::now();
        let trainer = self.trainer;
        let end = (self.done + trainer.segment_len).min(order.len());
        let first_ticket = u64::from(self.pass) * order.len() as u64 + self.done as u64;
        let window = Window { first_ticket, n_examples: end - self.done };
        trainer.update.between(&mut self.state, &window, self.weights);
        let segment = Segment::new(
            self.model,
            &trainer.update,
            &self.state,
            self.weights,
            self.examples,
            &order[self.done..end],
            (self.pass, first_ticket, trainer.seed),
            trainer.access,
        );
        trainer.strategy.run(&segment, &mut self.lanes);
        let mut tables = vec![&*self.weights];
        tables.extend(trainer.update.tables(&self.state));
        for lane in &mut self.lanes {
            lane.flush(&tables);
            let tally = std::mem::take(&mut lane.tally);
            self.tally.loss += tally.loss;
            self.tally.examples += tally.examples;
            self.tally.steps += tally.steps;
        }
        self.done = end;
        self.pass_time += started.elapsed();
        self.train_time += started.elapsed();
        if self.tally.loss.is_finite() { Ok(()) } else { Err(self.diverge()) }
    }

    fn tell_progress(&mut self, observer: &mut impl Observer, total: usize) -> ControlFlow<()> {
        let (pass, done) = (self.pass + 1, self.done);
        let started = Instant::now();
        let mut readout = self.readout.take();
        let mut quiet = Quiet { source: self, readout: &mut readout, is_fresh: false };
        let flow = observer.event(Event::Progress { pass, done, total, quiet: &mut quiet });
        self.readout = readout;
        self.observe_time += started.elapsed();
        flow
    }

    fn end_pass(&mut self, observer: &mut impl Observer) -> (PassReport, ControlFlow<()>) {
        let tally = std::mem::take(&mut self.tally);
        let report = PassReport {
            pass: self.pass + 1,
            loss: tally.loss,
            examples: tally.examples,
            steps: tally.steps,
            train_time: std::mem::take(&mut self.pass_time),
            total_train_time: self.train_time,
            total_observe_time: self.observe_time,
        };
        self.pass += 1;
        self.done = 0;
        self.keep_good();
        let started = Instant::now();
        let mut readout = self.readout.take();
        let mut quiet = Quiet { source: self, readout: &mut readout, is_fresh: false };
        let flow = observer.event(Event::PassEnded { report: &report, quiet: &mut quiet });
        self.readout = readout;
        self.observe_time += started.elapsed();
        (report, flow)
    }

    /// Copies the weights aside now and then, for the case that training diverges.
    fn keep_good(&mut self) {
        if self.train_time - self.copied_at >= COPY_EVERY {
            let mut good =
                self.good.take().unwrap_or_else(|| SharedWeights::zeroed(self.weights.len()));
            self.readout(&mut good);
            self.good = Some(good);
            self.copied_at = self.train_time;
        }
    }

    fn diverge(&mut self) -> Error {
        let initial = || self.model.initial_weights(self.trainer.seed);
        let good = self.good.take().unwrap_or_else(initial);
        self.weights.copy_from(&good);
        Error::Diverged { pass: self.pass + 1 }
    }

    fn ticket(&self) -> u64 {
        u64::from(self.pass) * self.examples.len() as u64 + self.done as u64
    }

    /// Leaves the result in the caller's weights.
    fn finish(mut self) {
        let mut out =
            self.readout.take().unwrap_or_else(|| SharedWeights::zeroed(self.weights.len()));
        self.readout(&mut out);
        std::mem::swap(self.weights, &mut out);
    }
}

impl<M, S, U> Source for Run<'_, M, S, U>
where
    M: Model,
    S: Strategy,
    U: Update,
{
    fn len(&self) -> usize {
        self.weights.len()
    }

    fn readout(&self, out: &mut SharedWeights) {
        self.trainer.update.readout(&self.state, self.ticket(), self.weights, out);
    }

    fn checkpoint(&self) -> Checkpoint {
        let len = self.model.layout().len();
        let mut tables = vec![&*self.weights];
        tables.extend(self.trainer.update.tables(&self.state));
        let read = |table: &&SharedWeights| {
            let mut values = vec![0.0; len];
            table.view(0, len).read_into(&mut values);
            values
        };
        Checkpoint {
            pass: self.pass,
            done: self.done,
            partial: (self.tally.loss, self.tally.examples, self.tally.steps),
            scalars: self.trainer.update.scalars(&self.state),
            tables: tables.iter().map(read).collect(),
            train_time: self.train_time,
        }
    }
}

/// Counts how often each block is used, by asking the model what each example touches.
fn count_frequencies<M: Model>(model: &M, examples: &[M::Example]) -> Frequencies {
    let layout = model.layout();
    let n_blocks = layout.n_blocks();
    let mut frequencies = Frequencies { examples: vec![0; n_blocks], uses: vec![0; n_blocks] };
    let mut last_seen = vec![u32::MAX; n_blocks];
    let mut workspace = model.workspace();
    let mut touched = Touched::default();
    let mut count = |id: u32, block: usize| {
        frequencies.uses[block] += 1;
        if last_seen[block] != id {
            last_seen[block] = id;
            frequencies.examples[block] += 1;
        }
    };
    for id in 0..u32::try_from(examples.len()).expect("example ids are u32") {
        touched.clear();
        let ids = [id];
        model.touched(&Batch::new(0, 0, &ids, examples), &mut workspace, &mut touched);
        for (tensor, rows) in touched.rows() {
            let first = layout.tensor(tensor).first_block;
            rows.iter().for_each(|&row| count(id, first + row as usize));
        }
        for &tensor in touched.whole() {
            count(id, layout.tensor(tensor).first_block);
        }
    }
    frequencies
}
