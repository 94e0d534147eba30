//! A run of expectation maximisation, and what is seen of it.

use std::error::Error;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use asyn::core::simulate::{CostModel, Simulated};
use asyn::core::{
    AsynGrad, BatchEm, Delay, Event, IncrementalEm, Model, Multinomials, Serial, SharedWeights,
    StepSizes, StepwiseEm, Strategy, Trainer, Update,
};
use asyn::sync::{Locked, Minibatch};
use clap::ValueEnum;
use serde::Serialize;

/// How a run trains.
#[derive(Debug, clap::Args)]
pub(crate) struct How {
    /// The update rule.
    #[arg(long, value_enum, default_value = "stepwise")]
    update: Rule,
    /// How workers share the counts.
    #[arg(long, value_enum, default_value = "serial")]
    strategy: Sharing,
    /// The number of workers.
    #[arg(short, long, default_value_t = 1)]
    threads: usize,
    /// The passes.
    #[arg(long, default_value_t = 10)]
    passes: u32,
    /// The examples of a step of one worker.
    #[arg(long, default_value = "4")]
    accumulate: NonZeroU32,
    /// Steps of stepwise EM are (k + 2)^-X [default: by the length of a pass for align, 0.7 for hmm].
    #[arg(long)]
    power: Option<f32>,
    /// The seed of the order of examples.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often a pass is looked at, at the most.
    #[arg(long, default_value = "1")]
    looks: NonZeroU32,
    /// Sleeps between gradient and write, in microseconds on average, of a quarter of the steps.
    #[arg(long, value_name = "MEAN_US")]
    delay: Option<f64>,
    /// Runs the workers of serial, locked and asyngrad on virtual clocks.
    #[arg(long)]
    simulate: bool,
}

/// The update rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rule {
    Stepwise,
    Batch,
    Incremental,
}

/// How workers share the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sharing {
    Serial,
    Asyngrad,
    Locked,
    Minibatch,
}

/// What the weights are worth at a moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Moment {
    /// The passes so far.
    pub(crate) passes: f64,
    /// The time of training so far.
    pub(crate) seconds: f64,
    /// Of the whole text.
    pub(crate) log_likelihood: f64,
    /// The alignment error rate, or many-to-one accuracy, in percent.
    pub(crate) score: Option<f64>,
    /// In percent.
    pub(crate) v_measure: Option<f64>,
}

/// A model with its examples, and where training starts.
pub(crate) struct Trained<'a, M: Model> {
    pub(crate) model: &'a M,
    pub(crate) examples: &'a [M::Example],
    pub(crate) multinomials: Vec<Multinomials>,
    /// Those of stepwise EM where no others are asked for.
    pub(crate) sizes: StepSizes,
    pub(crate) weights: SharedWeights,
}

type Answer = Result<Vec<Moment>, Box<dyn Error>>;

impl How {
    /// Trains, and calls `look` on the weights now and then for what they are worth, before the
    /// first step too.
    pub(crate) fn follow<M: Model>(
        &self,
        trained: Trained<'_, M>,
        look: impl FnMut(&SharedWeights) -> Moment,
    ) -> Answer {
        let multinomials = trained.multinomials.clone();
        match self.update {
            Rule::Stepwise => {
                let sizes = self.power.map_or(trained.sizes, StepSizes::Power);
                let update = StepwiseEm { sizes, first_step: 0, multinomials };
                match (self.simulate, self.strategy) {
                    (false, _) => self.with_update(trained, update, look),
                    (true, Sharing::Serial) => self.simulated(trained, update, Serial, look),
                    (true, Sharing::Asyngrad) => self.simulated(trained, update, AsynGrad, look),
                    (true, Sharing::Locked) => self.simulated(trained, update, Locked, look),
                    (true, Sharing::Minibatch) => {
                        Err("minibatch runs on the threads of a pool and cannot be simulated"
                            .into())
                    }
                }
            }
            Rule::Batch | Rule::Incremental if self.simulate => {
                Err("--simulate is for --update stepwise".into())
            }
            Rule::Incremental => self.with_update(trained, IncrementalEm { multinomials }, look),
            Rule::Batch => self.with_update(trained, BatchEm { multinomials }, look),
        }
    }

    fn with_update<M: Model>(
        &self,
        trained: Trained<'_, M>,
        update: impl Update,
        look: impl FnMut(&SharedWeights) -> Moment,
    ) -> Answer {
        let begun = Instant::now();
        let clock = |observed: Duration| (begun.elapsed() - observed).as_secs_f64();
        match self.strategy {
            Sharing::Serial => self.run(trained, update, Serial, clock, look),
            Sharing::Asyngrad => self.run(trained, update, AsynGrad, clock, look),
            Sharing::Locked => self.run(trained, update, Locked, clock, look),
            Sharing::Minibatch => self.run(trained, update, Minibatch::default(), clock, look),
        }
    }

    fn simulated<M: Model>(
        &self,
        trained: Trained<'_, M>,
        update: impl Update,
        strategy: impl Strategy,
        look: impl FnMut(&SharedWeights) -> Moment,
    ) -> Answer {
        let simulated = Simulated::new(strategy, CostModel::default())?;
        self.run(trained, update, &simulated, |_| simulated.report().seconds, look)
    }

    /// `clock` tells the time of training when so much time went into looking.
    fn run<M: Model>(
        &self,
        trained: Trained<'_, M>,
        update: impl Update,
        strategy: impl Strategy,
        clock: impl Fn(Duration) -> f64,
        mut look: impl FnMut(&SharedWeights) -> Moment,
    ) -> Answer {
        let Trained { model, examples, mut weights, .. } = trained;
        let step = self.accumulate.get() as usize;
        // Batch EM changes nothing within a pass.
        let looks = if self.update == Rule::Batch { 1 } else { self.looks.get() as usize };
        let steps = examples.len().div_ceil(looks).div_ceil(step).max(1);
        let delay = self.delay.map(|us| Duration::from_secs_f64(us / 1e6));
        let trainer = Trainer::builder()
            .strategy(strategy)
            .update(update)
            .threads(self.threads)
            .passes(self.passes)
            .seed(self.seed)
            .accumulate(self.accumulate.get())
            .segment_len(steps * step)
            .delay(delay.map(|mean| Delay { mean, probability: 0.25 }))
            .keep_good(false)
            .build()?;
        let mut moments = vec![look(&weights)];
        let before = clock(Duration::ZERO);
        let mut observed = Duration::ZERO;
        let mut observe = |event: Event<'_, '_>| {
            let seconds = clock(observed) - before;
            let looked = Instant::now();
            let (passes, quiet) = match event {
                Event::Progress { pass, done, total, quiet } if done < total => {
                    (f64::from(pass - 1) + done as f64 / total as f64, quiet)
                }
                Event::PassEnded { report, quiet } => (f64::from(report.pass), quiet),
                _ => return ControlFlow::Continue(()),
            };
            if looks > 1 || passes.fract() == 0.0 {
                moments.push(Moment { passes, seconds, ..look(quiet.weights()) });
            }
            observed += looked.elapsed();
            ControlFlow::Continue(())
        };
        trainer.fit(model, examples, &mut weights, &mut observe)?;
        Ok(moments)
    }
}
