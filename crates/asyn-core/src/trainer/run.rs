//! A run in progress.
//!
//! Weights are touched by workers within a segment only; everything else here happens
//! between segments, on the thread that called the trainer.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Trainer;
use crate::error::{Error, Result};
use crate::instruments::{Balance, Counters, RaceReport, Races, Sample};
use crate::model::Model;
use crate::observer::{Checkpoint, Event, Observer, PassReport, Quiet, Source};
use crate::replica::Merge;
use crate::segment::{Lane, Segment, Tally};
use crate::shared::SharedWeights;
use crate::simulate::SimulationReport;
use crate::strategy::Strategy;
use crate::update::{Frequencies, Training, Update, Window};

/// A run in progress.
pub(super) struct Run<'r, M: Model, S, U: Update> {
    trainer: &'r Trainer<S, U>,
    model: &'r M,
    examples: &'r [M::Example],
    weights: &'r mut SharedWeights,
    state: U::State,
    lanes: Vec<Lane<M::Workspace>>,
    readout: Option<SharedWeights>,
    /// The weights of the last pass that ended well, or those that the run starts from, and its
    /// number.
    good: Option<(SharedWeights, u32)>,
    /// The pass, counted from 0, and how many of its examples are done.
    pub(super) pass: u32,
    pub(super) done: usize,
    tally: Tally,
    counters: Counters,
    balance: Option<Balance>,
    races: Option<RaceReport>,
    simulation: Option<SimulationReport>,
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
        if let Some(optimum) = &trainer.optimum {
            check("the optimum", optimum.len())?;
        }
        let started = Instant::now();
        let count = || Frequencies::count(model, examples, trainer.n_workers);
        let frequencies = trainer.update.needs_frequencies().then(count);
        let training = Training {
            layout,
            n_examples: examples.len(),
            examples_per_step: trainer.access.accumulate.get(),
            n_workers: trainer.n_workers,
            frequencies,
        };
        let mut state = trainer.update.start(&training);
        if let Some(checkpoint) = checkpoint {
            check_checkpoint(&trainer.update, &state, checkpoint, examples.len())?;
            for saved in &checkpoint.tables {
                check("a table of the checkpoint", saved.len())?;
            }
            trainer.update.set_scalars(&mut state, &checkpoint.scalars);
            let mut tables = vec![&*weights];
            tables.extend(trainer.update.tables(&state));
            for (table, saved) in tables.iter().zip(&checkpoint.tables) {
                table.view(0, saved.len()).write_from(saved);
            }
        }
        let of_rule = 1..=trainer.update.tables(&state).len();
        let merges: Vec<_> = std::iter::once(Merge::Added)
            .chain(of_rule.map(|table| trainer.update.merges(&state, table)))
            .collect();
        let instruments = trainer.instruments;
        let sample = instruments.balance.map(|one_in| {
            Arc::new(Sample::new(layout, one_in, instruments.balance_whole, trainer.seed))
        });
        let lanes = (0..trainer.n_workers)
            .map(|_| {
                let lane = Lane::new(model, &trainer.access, &merges);
                let lane = match trainer.update.kept_table() {
                    Some(_) => lane.with_kept(layout),
                    None => lane,
                };
                lane.with_instruments(
                    instruments,
                    layout,
                    trainer.optimum.as_ref(),
                    sample.as_ref(),
                )
            })
            .collect();
        let (loss, examples_done, steps) = checkpoint.map_or((0.0, 0, 0), |c| c.partial);
        let pass_time = started.elapsed();
        let mut run = Self {
            trainer,
            model,
            examples,
            weights,
            state,
            lanes,
            readout: None,
            good: None,
            pass: checkpoint.map_or(0, |c| c.pass),
            done: checkpoint.map_or(0, |c| c.done),
            tally: Tally { loss, examples: examples_done, steps },
            counters: Counters::new(instruments, layout, trainer.n_workers),
            balance: sample.map(Balance::new),
            races: None,
            simulation: None,
            pass_time,
            train_time: checkpoint.map_or(Duration::ZERO, |c| c.train_time) + pass_time,
            observe_time: Duration::ZERO,
        };
        if trainer.keeps_good {
            let mut copy = run.empty();
            run.readout(&mut copy);
            // A checkpoint within a pass may have gone astray without a loss that tells.
            run.good = is_finite(&mut copy).then_some((copy, run.pass));
        }
        Ok(run)
    }

    /// Draws the order of the pass.
    pub(super) fn order(&mut self) -> Vec<u32> {
        let started = Instant::now();
        let order = self.trainer.order(self.examples.len(), self.pass);
        self.count_time(started);
        order
    }

    /// Runs the next segment of the pass.
    pub(super) fn segment(&mut self, order: &[u32]) -> Result<()> {
        let started = Instant::now();
        let trainer = self.trainer;
        let first_ticket = u64::from(self.pass) * order.len() as u64 + self.done as u64;
        let left = trainer.update.window_end(&self.state, first_ticket) - first_ticket;
        let len = trainer.segment_len.min(usize::try_from(left).unwrap_or(usize::MAX));
        let end = self.done.saturating_add(len).min(order.len());
        let window = Window { first_ticket, n_examples: end - self.done };
        trainer.update.between(&mut self.state, &window, self.weights);
        if let Some(balance) = &mut self.balance {
            balance.open(self.weights);
        }
        let segment = Segment::new(
            self.model,
            &trainer.update,
            &self.state,
            self.weights,
            self.examples,
            &order[self.done..end],
            (self.pass, first_ticket, trainer.seed),
            trainer.access,
        )
        .with_counters(&self.counters);
        let simulation_before = trainer.strategy.simulation();
        trainer.strategy.run(&segment, &mut self.lanes);
        let mut tables = vec![&*self.weights];
        tables.extend(trainer.update.tables(&self.state));
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if let Some(seen) = lane.take_races() {
                let workers = &mut self.races.get_or_insert_default().workers;
                workers.resize_with(workers.len().max(index + 1), Races::default);
                workers[index].add(&seen);
            }
            lane.flush(&tables, trainer.n_workers);
            let tally = std::mem::take(&mut lane.tally);
            self.tally.loss += tally.loss;
            self.tally.examples += tally.examples;
            self.tally.steps += tally.steps;
        }
        if let Some(balance) = &mut self.balance {
            let mass = balance.close(self.weights, self.lanes.iter_mut().filter_map(Lane::ledger));
            self.races.get_or_insert_default().mass.add(&mass);
        }
        self.done = end;
        match (simulation_before, trainer.strategy.simulation()) {
            (Some(before), Some(now)) => {
                let segment = now.since(&before);
                self.count(Duration::from_secs_f64(segment.seconds));
                self.simulation.get_or_insert_default().add(&segment);
            }
            _ => self.count_time(started),
        }
        if self.tally.loss.is_finite() { Ok(()) } else { Err(self.diverge(self.pass + 1)) }
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
    ) -> Result<(PassReport, ControlFlow<()>)> {
        let tally = std::mem::take(&mut self.tally);
        let started = Instant::now();
        let lost_mass = self.trainer.update.lost_mass(&self.state, self.weights);
        self.count_time(started);
        let report = PassReport {
            pass: self.pass + 1,
            loss: tally.loss,
            examples: tally.examples,
            steps: tally.steps,
            train_time: std::mem::take(&mut self.pass_time),
            total_train_time: self.train_time,
            total_observe_time: self.observe_time,
            lost_mass,
            races: self.races.take(),
            simulation: self.simulation.take(),
        };
        self.pass += 1;
        self.done = 0;
        self.keep_good()?;
        let started = Instant::now();
        let mut readout = self.readout.take();
        let mut quiet = Quiet { source: self, readout: &mut readout, is_fresh: false };
        let flow = observer.event(Event::PassEnded { report: &report, quiet: &mut quiet });
        self.readout = readout;
        self.observe_time += started.elapsed();
        Ok((report, flow))
    }

    /// Copies the weights aside, for the case that training diverges.
    fn keep_good(&mut self) -> Result<()> {
        if !self.trainer.keeps_good {
            return Ok(());
        }
        let mut copy = self.readout.take().unwrap_or_else(|| self.empty());
        self.readout(&mut copy);
        if !is_finite(&mut copy) {
            return Err(self.diverge(self.pass));
        }
        self.readout = self.good.replace((copy, self.pass)).map(|(before, _)| before);
        Ok(())
    }

    /// Gives the caller the last good weights; `pass` is counted from 1.
    fn diverge(&mut self, pass: u32) -> Error {
        let initial = || self.model.initial_weights(self.trainer.seed);
        let (weights, good) = self.good.take().unwrap_or_else(|| (initial(), 0));
        *self.weights = weights;
        Error::Diverged { pass, good }
    }

    fn count_time(&mut self, started: Instant) {
        self.count(started.elapsed());
    }

    fn count(&mut self, time: Duration) {
        self.pass_time += time;
        self.train_time += time;
    }

    fn empty(&self) -> SharedWeights {
        SharedWeights::zeroed(self.weights.len())
    }

    fn ticket(&self) -> u64 {
        u64::from(self.pass) * self.examples.len() as u64 + self.done as u64
    }

    /// Makes the result of the caller's weights.
    pub(super) fn finish(mut self) -> Result<()> {
        self.trainer.update.readout(&self.state, self.ticket(), self.weights);
        if !is_finite(self.weights) {
            // The last steps of a pass may lead astray, and no later loss tells.
            let pass = if self.done > 0 { self.pass + 1 } else { self.pass };
            return Err(self.diverge(pass));
        }
        Ok(())
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
        out.copy_from(self.weights);
        self.trainer.update.readout(&self.state, self.ticket(), out);
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

fn is_finite(weights: &mut SharedWeights) -> bool {
    weights.as_mut_slice().iter().all(|weight| weight.is_finite())
}

/// Refuses a checkpoint that cannot be one of this update rule and these examples.
fn check_checkpoint<U: Update>(
    update: &U,
    state: &U::State,
    checkpoint: &Checkpoint,
    n_examples: usize,
) -> Result<()> {
    let as_many = "as many as the update rule keeps";
    let checks = [
        (
            "number of tables in the checkpoint",
            as_many,
            checkpoint.tables.len(),
            checkpoint.tables.len() == 1 + update.tables(state).len(),
        ),
        (
            "number of scalars in the checkpoint",
            as_many,
            checkpoint.scalars.len(),
            checkpoint.scalars.len() == update.scalars(state).len(),
        ),
        (
            "number of examples done in the checkpoint",
            "at most the number of examples",
            checkpoint.done,
            checkpoint.done <= n_examples,
        ),
    ];
    for (setting, expected, actual, holds) in checks {
        if !holds {
            return Err(Error::Setting { setting, expected, actual: actual.to_string() });
        }
    }
    Ok(())
}
