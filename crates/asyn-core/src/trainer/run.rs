//! A run in progress.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::Trainer;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::observer::{Checkpoint, Event, Observer, PassReport, Quiet, Source};
use crate::segment::{Lane, Segment, Tally};
use crate::shared::SharedWeights;
use crate::strategy::Strategy;
use crate::update::{Frequencies, Training, Update, Window};

/// How old the copy of the last good weights may get while training runs.
const COPY_EVERY: Duration = Duration::from_secs(1);

/// A run in progress.
pub(super) struct Run<'r, M: Model, S, U: Update> {
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
    pub(super) pass: u32,
    pub(super) done: usize,
    tally: Tally,
    pass_time: Duration,
    train_time: Duration,
    observe_time: Duration,
}

impl<'r, M: Model, S: Strategy, U: Update> Run<'r, M, S, U> {
    pub(super) fn start(
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
            trainer.update.needs_frequencies().then(|| Frequencies::count(model, examples));
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
    pub(super) fn segment(&mut self, order: &[u32]) -> Result<()> {
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

    pub(super) fn tell_progress(
        &mut self,
        observer: &mut impl Observer,
        total: usize,
    ) -> ControlFlow<()> {
        let (pass, done) = (self.pass + 1, self.done);
        let started = Instant::now();
        let mut readout = self.readout.take();
        let mut quiet = Quiet { source: self, readout: &mut readout, is_fresh: false };
        let flow = observer.event(Event::Progress { pass, done, total, quiet: &mut quiet });
        self.readout = readout;
        self.observe_time += started.elapsed();
        flow
    }

    pub(super) fn end_pass(
        &mut self,
        observer: &mut impl Observer,
    ) -> (PassReport, ControlFlow<()>) {
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
    pub(super) fn finish(mut self) {
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
