//! The settings of a run, and their ranges.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::Trainer;
use crate::Real;
use crate::delay::Delay;
use crate::error::{Error, Result};
use crate::instruments::Instruments;
use crate::replica::Replicas;
use crate::schedule::Schedule;
use crate::settings::{Access, Sampling};
use crate::strategy::{Serial, Strategy};
use crate::update::{Sgd, Update};
use crate::worker::{Read, Write};

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
    instruments: Instruments,
    optimum: Option<Arc<[Real]>>,
    keeps_good: bool,
}

impl Trainer {
    /// Starts a builder with one serial worker, ten passes and seed 1.
    #[must_use]
    pub fn builder() -> TrainerBuilder<Serial, Sgd> {
        let schedule = Schedule::Exponential { rate: 0.1, factor: 0.9 };
        TrainerBuilder {
            strategy: Serial,
            update: Sgd { schedule, l2: 1.0, ..Sgd::default() },
            threads: 1,
            passes: 10,
            seed: 1,
            sampling: Sampling::default(),
            access: Access::default(),
            accumulate: 1,
            sums_every: 1,
            segment_len: 1 << 14,
            instruments: Instruments::default(),
            optimum: None,
            keeps_good: true,
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
            instruments: self.instruments,
            optimum: self.optimum,
            keeps_good: self.keeps_good,
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
            instruments: self.instruments,
            optimum: self.optimum,
            keeps_good: self.keeps_good,
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

    /// Sets how workers sleep between gradient and write; not at all by default.
    #[must_use]
    pub fn delay(mut self, delay: Option<Delay>) -> Self {
        self.access.delay = delay;
        self
    }

    /// Sets how many examples run between two quiet points, at least 1; 16,384 by default.
    #[must_use]
    pub fn segment_len(mut self, examples: usize) -> Self {
        self.segment_len = examples;
        self
    }

    /// Sets whether the weights are copied aside at the start and after each pass, for the case
    /// that training diverges; they are by default. There are two copies at most at a time, each of
    /// which takes as much memory as the weights.
    #[must_use]
    pub fn keep_good(mut self, keep: bool) -> Self {
        self.keeps_good = keep;
        self
    }

    /// Sets which instruments watch the races; none by default.
    #[must_use]
    pub fn instruments(mut self, instruments: Instruments) -> Self {
        self.instruments = instruments;
        self
    }

    /// Tells the instruments the optimum, laid out as the weights are and as long as the model's
    /// layout: probes then say how the error of a gradient points relative to it. Unknown by
    /// default.
    #[must_use]
    pub fn optimum(mut self, optimum: Option<Arc<[Real]>>) -> Self {
        self.optimum = optimum;
        self
    }
}

impl<S: Strategy, U: Update> TrainerBuilder<S, U> {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if a number is out of its range, one of the update rule
    /// included, and [`Error::Conflict`] if replicas are combined with snapshots or with
    /// [`AdaptiveRevision`](crate::AdaptiveRevision), or [`IncrementalEm`](crate::IncrementalEm)
    /// with [`Instruments::paired`].
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
        if let Some(Delay { probability, .. }) = self.access.delay
            && !(0.0..=1.0).contains(&probability)
        {
            return Err(Error::Setting {
                setting: "probability of a delay",
                expected: "from 0 to 1",
                actual: probability.to_string(),
            });
        }
        self.update.check()?;
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
        if self.update.catches_up() && access.replicas.is_some_and(|it| it.rows > 0) {
            return Err(Error::Conflict {
                first: "an update rule that brings rows up to date when they are read",
                second: "replicas of rows",
                reason: "others may have done it to their copies; with 0 rows only matrices have some",
            });
        }
        if self.update.kept_table().is_some() && access.replicas.is_some() {
            return Err(Error::Conflict {
                first: "an update rule that looks at what others wrote meanwhile",
                second: "replicas",
                reason: "what others write to their replicas cannot be seen",
            });
        }
        if self.update.remembers() && self.instruments.paired.is_some() {
            return Err(Error::Conflict {
                first: "an update rule that steps by the change of a gradient",
                second: "instruments that compute gradients again",
                reason: "the gradient of a step has nothing to be compared with",
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
            instruments: self.instruments,
            optimum: self.optimum,
            keeps_good: self.keeps_good,
        })
    }
}
