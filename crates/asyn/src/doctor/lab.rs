//! Short trainings of one model on one sample, real and simulated.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use asyn::core::shared::{Isa, isa};
use asyn::core::simulate::{Simulated, SimulationReport};
use asyn::core::{Model, Races, SharedWeights, Strategy};
use asyn::data::Encoded;
use asyn::models::Crf;
use asyn::{Examples, HeldOut, SequenceModel};

use crate::choice::{InstrumentsChoice, Replication};
use crate::data::Data;
use crate::defaults;
use crate::event::DevScore;
use crate::failure::Failure;
use crate::progress::Talk;
use crate::rules;
use crate::settings::Settings;

/// The passes of a real run; the last one is timed.
const PASSES: u32 = 2;
/// The memory that is read to measure bandwidth: more than caches hold.
const READ_BYTES: usize = 256 << 20;

/// A model, the sample that it is trained on, and the held-out tenth.
#[derive(Debug)]
pub(crate) struct Lab {
    settings: Settings,
    crf: Crf,
    examples: Vec<Encoded>,
    held_out: Option<Arc<HeldOut>>,
}

/// How many workers a run has, and whether they copy hot rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    threads: usize,
    replicas: bool,
}

impl Layout {
    pub(crate) fn plain(threads: usize) -> Self {
        Self { threads, replicas: false }
    }

    pub(crate) fn with_replicas(self) -> Self {
        Self { replicas: self.threads > 1, ..self }
    }
}

/// A real run.
#[derive(Debug)]
pub(crate) struct Measured {
    /// The time of the last pass.
    pub(crate) seconds: f64,
    /// F1 on the held-out tenth, or accuracy where there are no chunks, in percent.
    pub(crate) score: f64,
    pub(crate) races: Option<Races>,
    pub(crate) weights: SharedWeights,
}

impl Lab {
    /// Reads the data and takes `most` sentences, evenly spaced.
    pub(crate) fn new(settings: &mut Settings, most: usize, talk: Talk) -> Result<Self, Failure> {
        let Data { tagger, examples, held_out, .. } = Data::load(settings, talk)?;
        let (Some(crf), Examples::Attributes(examples)) = (tagger.crf(), examples) else {
            return Err(Failure::Usage("doctor async is for crf".to_owned()));
        };
        let (crf, examples) = (crf.clone(), sample(examples, most));
        Ok(Self { settings: settings.clone(), crf, examples, held_out })
    }

    /// Returns the same with `most` of the sentences and nothing held out.
    pub(crate) fn few(&self, most: usize) -> Self {
        let (settings, crf) = (self.settings.clone(), self.crf.clone());
        Self { settings, crf, examples: sample(self.examples.clone(), most), held_out: None }
    }

    pub(crate) fn name(&self) -> &str {
        self.settings.train.to_str().unwrap_or("the data")
    }

    pub(crate) fn threads(&self) -> usize {
        self.settings.threads.get()
    }

    pub(crate) fn n_sentences(&self) -> usize {
        self.examples.len()
    }

    pub(crate) fn n_tokens(&self) -> usize {
        self.examples.iter().map(Encoded::n_tokens).sum()
    }

    /// Trains on real threads.
    pub(crate) fn real(
        &self,
        strategy: impl Strategy,
        layout: Layout,
        seed: u64,
    ) -> Result<Measured, Failure> {
        let settings = self.settings_of(layout, seed, PASSES, InstrumentsChoice::Off);
        self.train(&settings, strategy)
    }

    /// Trains with all instruments on.
    pub(crate) fn watched(
        &self,
        strategy: impl Strategy,
        layout: Layout,
    ) -> Result<Measured, Failure> {
        let settings = self.settings_of(layout, 1, PASSES, InstrumentsChoice::Full);
        self.train(&settings, strategy)
    }

    /// Runs one simulated pass from `start` on.
    pub(crate) fn simulated<S: Strategy>(
        &self,
        strategy: &Simulated<S>,
        layout: Layout,
        start: &SharedWeights,
    ) -> Result<SimulationReport, Failure> {
        let settings = self.settings_of(layout, 1, 1, InstrumentsChoice::Off);
        let trainer = rules::trainer(&settings, strategy, rules::adf(&settings))?;
        let mut weights = self.crf.initial_weights(1);
        weights.copy_from(start);
        let fitted = trainer.fit(&self.crf, &self.examples, &mut weights, &mut ());
        fitted.map_err(asyn::Error::from)?;
        Ok(strategy.report())
    }

    fn settings_of(
        &self,
        layout: Layout,
        seed: u64,
        passes: u32,
        instruments: InstrumentsChoice,
    ) -> Settings {
        Settings {
            threads: NonZeroUsize::new(layout.threads).unwrap_or(NonZeroUsize::MIN),
            replicas: Some(Replication(layout.replicas.then_some(defaults::REPLICA_ROWS))),
            seed,
            passes,
            instruments,
            ..self.settings.clone()
        }
    }

    fn train(&self, settings: &Settings, strategy: impl Strategy) -> Result<Measured, Failure> {
        let trainer = rules::trainer(settings, strategy, rules::adf(settings))?;
        let mut weights = self.crf.initial_weights(settings.seed);
        let outcome = trainer.fit(&self.crf, &self.examples, &mut weights, &mut ());
        let passes = outcome.map_err(asyn::Error::from)?.passes;
        let seconds = passes.last().map_or(0.0, |pass| pass.train_time.as_secs_f64());
        let watched = passes.iter().filter_map(|pass| pass.races.as_ref());
        let races = watched.map(|report| report.total()).reduce(|mut sum, pass| {
            sum.add(&pass);
            sum
        });
        let score = self.held_out.as_ref().map_or(0.0, |held_out| {
            let score =
                held_out.score(&SequenceModel::Crf(self.crf.clone()), &weights, self.threads());
            let score = DevScore::from(&score);
            if score.f1 > 0.0 { score.f1 } else { score.accuracy }
        });
        Ok(Measured { seconds, score, races, weights })
    }
}

fn sample(examples: Vec<Encoded>, most: usize) -> Vec<Encoded> {
    let step = examples.len().div_ceil(most).max(1);
    examples.into_iter().step_by(step).collect()
}

/// Returns the bytes of one access that the simulator counts.
pub(crate) fn vector_bytes() -> f64 {
    match isa() {
        Isa::Avx512 => 64.0,
        Isa::Avx2 => 32.0,
        Isa::Neon => 16.0,
        _ => 4.0,
    }
}

/// Returns how many bytes a second `threads` threads read from memory, at best of three times.
pub(crate) fn bandwidth(threads: usize) -> f64 {
    let memory = vec![1_u64; READ_BYTES / size_of::<u64>()];
    let part = memory.len().div_ceil(threads);
    let read = || {
        let started = Instant::now();
        thread::scope(|scope| {
            for part in memory.chunks(part) {
                scope.spawn(move || black_box(part.iter().fold(0, |sum: u64, x| sum ^ x)));
            }
        });
        READ_BYTES as f64 / started.elapsed().as_secs_f64()
    };
    (0..3).map(|_| read()).fold(0.0, f64::max)
}
