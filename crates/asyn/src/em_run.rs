//! A run of expectation maximisation, whatever model it trains.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use asyn::core::{
    AsynGrad, BatchEm, Event, IncrementalEm, Multinomials, Observer, Outcome, Replicas, Serial,
    StepSizes, StepwiseEm, Strategy, Trainer, Update,
};
use asyn::sync::{Locked, Minibatch, RoundRobin};

use crate::align_args::EmChoice;
use crate::choice::StrategyChoice;
use crate::defaults;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::progress::Talk;
use crate::settings::all_cores;

/// What is trained: a model with its examples and weights.
pub(crate) trait Trainee {
    /// Returns the distributions whose totals are weights.
    fn multinomials(&self) -> Vec<Multinomials>;

    /// Trains it.
    fn fit<S: Strategy, U: Update>(
        &mut self,
        trainer: &Trainer<S, U>,
        observer: &mut impl Observer,
    ) -> Result<Outcome, asyn::Error>;
}

/// The settings of a run, and what it says.
pub(crate) struct EmRun {
    /// What the user called, for what it cannot do.
    pub(crate) verb: &'static str,
    /// What the line of a pass begins with.
    pub(crate) name: String,
    /// What a pass works through, and what that is.
    pub(crate) work: (u64, &'static str),
    pub(crate) strategy: StrategyChoice,
    pub(crate) update: EmChoice,
    /// The sizes of the steps of stepwise EM.
    pub(crate) sizes: StepSizes,
    /// The number of the first step, for stepwise EM.
    pub(crate) first_step: u64,
    pub(crate) threads: Option<NonZeroUsize>,
    pub(crate) passes: u32,
    pub(crate) seed: u64,
    /// The examples of a step.
    pub(crate) accumulate: u32,
    /// The rows that each worker of AsynGrad keeps for itself when there are several workers.
    pub(crate) replica_rows: Option<u32>,
    pub(crate) talk: Talk,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ended {
    /// Whether the user ended it early.
    pub(crate) is_stopped: bool,
    /// The number of steps that were made.
    pub(crate) n_steps: u64,
    /// The log-likelihood of the last whole pass, as it was while that ran.
    pub(crate) log_likelihood: f64,
}

impl EmRun {
    /// Trains, with a line a pass.
    pub(crate) fn train(&self, trainee: &mut impl Trainee) -> Result<Ended, Failure> {
        let multinomials = trainee.multinomials();
        match self.update {
            EmChoice::Stepwise => {
                let (sizes, first_step) = (self.sizes, self.first_step);
                self.with_update(trainee, StepwiseEm { sizes, first_step, multinomials })
            }
            EmChoice::Batch => self.with_update(trainee, BatchEm { multinomials }),
            EmChoice::Incremental => self.with_update(trainee, IncrementalEm { multinomials }),
        }
    }

    fn with_update(
        &self,
        trainee: &mut impl Trainee,
        update: impl Update,
    ) -> Result<Ended, Failure> {
        match self.strategy {
            StrategyChoice::Serial => self.with_strategy(trainee, update, Serial),
            StrategyChoice::Asyngrad => self.with_strategy(trainee, update, AsynGrad),
            StrategyChoice::Locked => self.with_strategy(trainee, update, Locked),
            StrategyChoice::RoundRobin => self.with_strategy(trainee, update, RoundRobin),
            StrategyChoice::Minibatch => self.with_strategy(trainee, update, Minibatch::default()),
            StrategyChoice::Bounded => {
                Err(Failure::Usage(format!("--strategy bounded is not for {}", self.verb)))
            }
        }
    }

    fn with_strategy(
        &self,
        trainee: &mut impl Trainee,
        update: impl Update,
        strategy: impl Strategy,
    ) -> Result<Ended, Failure> {
        // Whole steps, so that only the last one of a pass is shorter.
        let steps = (defaults::SEGMENT / self.accumulate as usize).max(1);
        let n_threads = self.threads.unwrap_or(all_cores()).get();
        let races = matches!(self.strategy, StrategyChoice::Asyngrad) && n_threads > 1;
        let merge_every = defaults::MERGE_EVERY;
        let replicas = self.replica_rows.filter(|_| races);
        let trainer = Trainer::builder()
            .strategy(strategy)
            .update(update)
            .threads(n_threads)
            .replicas(replicas.map(|rows| Replicas { rows, merge_every }))
            .passes(self.passes)
            .seed(self.seed)
            .accumulate(self.accumulate)
            .segment_len(steps * self.accumulate as usize)
            .keep_good(false)
            .build()
            .map_err(asyn::Error::from)?;
        let interrupt = Interrupt::listen();
        let (n, unit) = self.work;
        let mut ended = Ended::default();
        // The steps of a pass that is not whole.
        let mut n_of_part = 0;
        let mut watch = |event: Event<'_, '_>| {
            let per_step = self.accumulate as usize;
            if let Event::Progress { done, .. } = &event {
                n_of_part = done.div_ceil(per_step) as u64;
            }
            if let Event::PassEnded { report, .. } = &event {
                n_of_part = 0;
                ended.n_steps += report.steps;
                ended.log_likelihood = -report.loss;
                let seconds = report.train_time.as_secs_f64();
                self.talk.say(&format!(
                    "{} {}: log-likelihood {:.1}, {seconds:.3} s, {:.2} M {unit}/s",
                    self.name,
                    report.pass,
                    -report.loss,
                    n as f64 / seconds / 1e6
                ));
                if let Some(lost) = report.lost_mass {
                    self.talk.detail(&format!("lost mass {lost:.1e}"));
                }
            }
            match interrupt.is_asked() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        ended.is_stopped = trainee.fit(&trainer, &mut watch)?.stopped;
        ended.n_steps += n_of_part;
        Ok(ended)
    }
}
