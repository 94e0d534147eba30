//! Short trainings of one model on one sample, real and simulated.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use asyn::core::shared::{Isa, isa};
use asyn::core::simulate::{CostModel, Simulated, SimulationReport};
use asyn::core::{AdamForm, Model, Outcome, Races, SharedWeights, Strategy};
use asyn::data::{Encoded, TokenIds};
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
    model: SequenceModel,
    examples: Examples,
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
        let (model, examples) = (tagger.model().clone(), sample(examples, most));
        Ok(Self { settings: settings.clone(), model, examples, held_out })
    }

    /// Returns the same with `most` of the sentences and nothing held out.
    pub(crate) fn few(&self, most: usize) -> Self {
        let (settings, model) = (self.settings.clone(), self.model.clone());
        Self { settings, model, examples: sample(self.examples.clone(), most), held_out: None }
    }

    pub(crate) fn is_network(&self) -> bool {
        matches!(self.model, SequenceModel::BiLstm(..))
    }

    /// Returns what things cost the simulator before they are fitted.
    pub(crate) fn costs(&self) -> CostModel {
        if self.is_network() { defaults::BILSTM_IN_PLACE } else { CostModel::default() }
    }

    /// Returns how workers are simulated and watched: a CRF with its copies of hot rows, a network
    /// in place, where its workers meet; the simulator does not know what copies of matrices cost.
    pub(crate) fn simulated_layout(&self, workers: usize) -> Layout {
        let plain = Layout::plain(workers);
        if self.is_network() { plain } else { plain.with_replicas() }
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
        match &self.examples {
            Examples::Attributes(examples) => examples.iter().map(Encoded::n_tokens).sum(),
            Examples::Ids(examples) => examples.iter().map(TokenIds::n_tokens).sum(),
        }
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
        let mut weights = SharedWeights::zeroed(start.len());
        weights.copy_from(start);
        self.fit(&settings, strategy, &mut weights)?;
        Ok(strategy.report())
    }

    fn fit(
        &self,
        settings: &Settings,
        strategy: impl Strategy,
        weights: &mut SharedWeights,
    ) -> Result<Outcome, Failure> {
        let outcome = match (&self.model, &self.examples) {
            (SequenceModel::Crf(crf), Examples::Attributes(examples)) => {
                let trainer = rules::trainer(settings, strategy, rules::adf(settings))?;
                trainer.fit(crf, examples, weights, &mut ())
            }
            (SequenceModel::BiLstm(network, _), Examples::Ids(examples)) => {
                let adam = rules::adam(settings, AdamForm::Adam);
                let trainer = rules::trainer(settings, strategy, adam)?;
                trainer.fit(&**network, examples, weights, &mut ())
            }
            _ => unreachable!("a model encodes its own examples"),
        };
        Ok(outcome.map_err(asyn::Error::from)?)
    }

    fn initial_weights(&self, seed: u64) -> SharedWeights {
        match &self.model {
            SequenceModel::Crf(crf) => crf.initial_weights(seed),
            SequenceModel::BiLstm(network, _) => network.initial_weights(seed),
        }
    }

    fn settings_of(
        &self,
        layout: Layout,
        seed: u64,
        passes: u32,
        instruments: InstrumentsChoice,
    ) -> Settings {
        let rows = if self.is_network() { 0 } else { defaults::REPLICA_ROWS };
        Settings {
            threads: NonZeroUsize::new(layout.threads).unwrap_or(NonZeroUsize::MIN),
            replicas: Some(Replication(layout.replicas.then_some(rows))),
            seed,
            passes,
            instruments,
            ..self.settings.clone()
        }
    }

    fn train(&self, settings: &Settings, strategy: impl Strategy) -> Result<Measured, Failure> {
        let mut weights = self.initial_weights(settings.seed);
        let passes = self.fit(settings, strategy, &mut weights)?.passes;
        let seconds = passes.last().map_or(0.0, |pass| pass.train_time.as_secs_f64());
        let watched = passes.iter().filter_map(|pass| pass.races.as_ref());
        let races = watched.map(|report| report.total()).reduce(|mut sum, pass| {
            sum.add(&pass);
            sum
        });
        let score = self.held_out.as_ref().map_or(0.0, |held_out| {
            let score = held_out.score(&self.model, &weights, self.threads());
            let score = DevScore::from(&score);
            if score.f1 > 0.0 { score.f1 } else { score.accuracy }
        });
        Ok(Measured { seconds, score, races, weights })
    }
}

fn sample(examples: Examples, most: usize) -> Examples {
    let step = examples.len().div_ceil(most).max(1);
    match examples {
        Examples::Attributes(all) => Examples::Attributes(all.into_iter().step_by(step).collect()),
        Examples::Ids(all) => Examples::Ids(all.into_iter().step_by(step).collect()),
    }
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
