//! From settings to what runs: strategy and update rule, on data with their model.

use std::num::NonZeroUsize;

use asyn::SequenceExample;
use asyn::core::simulate::{CostModel, Recorded, Replayed, Simulated};
use asyn::core::theory::{Lbfgs, Minimum, Stop};
use asyn::core::{
    AdaptiveRevision, AdfCounting, AsynGrad, Averaging, BatchTrainer, Checkpoint, Outcome, Read,
    Serial, Strategy, Update,
};
use asyn::data::{Encoded, TokenIds};
use asyn::sync::{Bounded, Locked, Minibatch, RoundRobin};

use crate::choice::{StrategyChoice, UpdateChoice};
use crate::data::Data;
use crate::defaults;
use crate::failure::Failure;
use crate::recording::{Events, Tape};
use crate::rules::{adam, adf, form_of, read, real, sgd, trainer};
use crate::settings::Settings;
use crate::watch::Watch;

/// Trains, or goes on from a checkpoint, in an order that may be kept or given.
pub(crate) fn train(
    settings: &Settings,
    data: &mut Data,
    checkpoint: Option<&Checkpoint>,
    watch: &mut Watch,
    tape: &mut Tape,
) -> Result<Outcome, Failure> {
    let run = Run { settings, data, checkpoint, watch };
    match settings.strategy {
        StrategyChoice::Serial => run.with_tape(Serial, tape),
        StrategyChoice::Asyngrad => run.with_tape(AsynGrad, tape),
        StrategyChoice::Locked => run.with_tape(Locked, tape),
        StrategyChoice::RoundRobin => run.with_tape(RoundRobin, tape),
        StrategyChoice::Minibatch => run.with_strategy(Minibatch::default()),
        StrategyChoice::Bounded => {
            run.with_tape(Bounded { staleness: settings.staleness.unwrap_or_default() }, tape)
        }
    }
}

/// What is left once strategy and update are types.
struct Run<'r> {
    settings: &'r Settings,
    data: &'r mut Data,
    checkpoint: Option<&'r Checkpoint>,
    watch: &'r mut Watch,
}

impl Run<'_> {
    fn with_strategy(self, strategy: impl Strategy) -> Result<Outcome, Failure> {
        let settings = self.settings;
        match settings.update {
            UpdateChoice::Sgd if settings.bilstm.is_some() => {
                self.with_update::<TokenIds>(strategy, sgd(settings, Averaging::Off))
            }
            UpdateChoice::Sgd => {
                self.with_update::<Encoded>(strategy, sgd(settings, Averaging::Off))
            }
            UpdateChoice::Asgd => {
                let averaging = Averaging::FromPass(settings.average_from);
                self.with_update::<Encoded>(strategy, sgd(settings, averaging))
            }
            UpdateChoice::Adf => self.with_update::<Encoded>(strategy, adf(settings)),
            UpdateChoice::AdfCounting => {
                self.with_update::<Encoded>(strategy, AdfCounting(adf(settings)))
            }
            UpdateChoice::AdaptiveRevision => {
                let rate = real(settings.rate.unwrap_or_default());
                let update = AdaptiveRevision { rate, l2: real(settings.l2) };
                self.with_update::<Encoded>(strategy, update)
            }
            UpdateChoice::Adam | UpdateChoice::Rmsprop | UpdateChoice::Momentum => {
                let form = form_of(settings.update).expect("these are forms of Adam");
                self.with_update::<TokenIds>(strategy, adam(settings, form))
            }
            UpdateChoice::Lbfgs => self.batch(&strategy),
        }
    }

    /// Runs a strategy on real threads, or on simulated ones if that is asked for.
    fn with_tape(self, strategy: impl Strategy, tape: &mut Tape) -> Result<Outcome, Failure> {
        if self.settings.simulate {
            return self.simulated(strategy, tape);
        }
        match std::mem::take(tape) {
            Tape::Off => self.with_strategy(strategy),
            Tape::Record => {
                let recorded = Recorded::new(strategy);
                let outcome = self.with_strategy(&recorded)?;
                *tape = Tape::Given(Events::Acts(recorded.into_acts()));
                Ok(outcome)
            }
            Tape::Given(Events::Acts(acts)) => {
                let replayed = Replayed::new(strategy, acts);
                let outcome = self.with_strategy(&replayed)?;
                check_end(outcome, replayed.has_strayed())
            }
            Tape::Given(Events::Turns(_)) => Err(Failure::Strayed),
        }
    }

    fn simulated(self, strategy: impl Strategy, tape: &mut Tape) -> Result<Outcome, Failure> {
        let cost = match (self.settings.cost, &self.settings.bilstm) {
            (Some(cost), _) => cost.0,
            (None, None) => CostModel::default(),
            (None, Some(_)) => match strategy.read(read(self.settings)) {
                Read::InPlace => defaults::BILSTM_IN_PLACE,
                Read::Snapshot => defaults::BILSTM_COPIED,
            },
        };
        let simulated = Simulated::new(strategy, cost).map_err(asyn::Error::from)?;
        let keeps_turns = matches!(tape, Tape::Record);
        let simulated = match std::mem::take(tape) {
            Tape::Off => simulated,
            Tape::Record => simulated.recorded(),
            Tape::Given(Events::Turns(turns)) => simulated.replaying(turns),
            Tape::Given(Events::Acts(_)) => return Err(Failure::Strayed),
        };
        let outcome = self.with_strategy(&simulated)?;
        let outcome = check_end(outcome, simulated.has_strayed())?;
        if keeps_turns {
            *tape = Tape::Given(Events::Turns(simulated.into_turns()));
        }
        Ok(outcome)
    }

    /// Trains on examples of the kind `E`, which are those of the model.
    fn with_update<E: SequenceExample>(
        self,
        strategy: impl Strategy,
        update: impl Update,
    ) -> Result<Outcome, Failure> {
        let Self { settings, data, checkpoint, watch } = self;
        let (name, description) = (strategy.name(), update.describe());
        let trainer = trainer(settings, strategy, update)?;
        watch.start(settings, data, (name, trainer.n_workers(), &description))?;
        let examples = E::slice(&data.examples).expect("update rules are checked by model");
        let outcome = match checkpoint {
            None => data.tagger.fit(&trainer, examples, watch),
            Some(checkpoint) => data.tagger.resume(&trainer, examples, checkpoint, watch),
        };
        Ok(outcome?)
    }

    /// Runs L-BFGS on as many threads as the strategy has workers.
    fn batch(self, strategy: &impl Strategy) -> Result<Outcome, Failure> {
        let Self { settings, data, checkpoint, watch } = self;
        let threads = strategy.workers(settings.threads.get());
        let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        let lbfgs = Lbfgs { max_iterations: settings.passes as usize, ..Lbfgs::default() };
        let trainer = BatchTrainer { lbfgs, l2: settings.l2, threads };
        let description = format!("lbfgs with {} pairs, l2 {}", lbfgs.memory, settings.l2);
        watch.start(settings, data, (strategy.name(), threads.get(), &description))?;
        let examples = Encoded::slice(&data.examples).expect("lbfgs is for CRFs");
        let (outcome, minimum) = data.tagger.fit_batch(&trainer, examples, checkpoint, watch)?;
        watch.say(&describe(&minimum, data.examples.len()));
        Ok(outcome)
    }
}

/// Says where L-BFGS ended: the objective `Σ ℓ + λ/2 ‖w‖²`, and why there.
fn describe(minimum: &Minimum, n_examples: usize) -> String {
    let objective = minimum.value * n_examples as f64;
    let end = match minimum.stop {
        Stop::Tolerance => "its gradient is within tolerance",
        Stop::LineSearch => "minimal up to rounding",
        Stop::Iterations => "after all passes",
        Stop::Watch | Stop::NotFinite => "stopped",
    };
    let evaluations = minimum.evaluations;
    format!("objective {objective:.3} in {evaluations} evaluations of all examples: {end}")
}

/// Refuses the end of a replay that was not stopped and yet did other things than its run.
fn check_end(outcome: Outcome, has_strayed: bool) -> Result<Outcome, Failure> {
    if has_strayed && !outcome.stopped { Err(Failure::Strayed) } else { Ok(outcome) }
}
