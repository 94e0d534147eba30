//! How long training will take, from a few sentences that are trained on beforehand.
//!
//! The sentences are evenly spaced, as few as take long enough to be timed, and go through some
//! passes with weights of their own, of which the fastest counts: the first one waits for memory,
//! and other programs may be in the way of any.

use std::time::{Duration, Instant};

use asyn::core::{AsynGrad, Averaging, Model, Serial, SharedWeights, Strategy, Update};
use asyn::data::{Encoded, TokenIds};
use asyn::{Examples, SequenceModel};

use crate::choice::{InstrumentsChoice, StrategyChoice};
use crate::data::Data;
use crate::failure::Failure;
use crate::rules;
use crate::settings::Settings;

/// The sentences that are tried first, of a CRF and of a network.
const FEWEST: usize = 8;
const FEWEST_OF_NETWORK: usize = 32;
/// The passes over them.
const PASSES: u32 = 3;
/// By how much their number grows.
const GROWTH: usize = 4;
/// A pass that takes so long is long enough.
const LONG_ENOUGH: Duration = Duration::from_millis(20);
/// The most that all of it may take before a last try.
const MOST: Duration = Duration::from_millis(100);
/// The share of the tokens that may be tried at most.
const SHARE: f64 = 0.1;

/// Returns how many seconds all passes will take, about; nothing for simulated runs, and for data
/// so small that a pass over them tells sooner.
pub(crate) fn train_seconds(settings: &Settings, data: &Data) -> Result<Option<f64>, Failure> {
    if settings.simulate {
        return Ok(None);
    }
    let plain = || rules::sgd(settings, Averaging::Off);
    let rate = match (data.tagger.model(), &data.examples) {
        (SequenceModel::Crf(crf), Examples::Attributes(examples)) => {
            let weights = crf.initial_weights(settings.seed);
            let sample = Sample { examples, n_tokens: Encoded::n_tokens, fewest: FEWEST };
            // Of all update rules this one gets ready the fastest.
            sample.rate(settings, data, crf, weights, plain())
        }
        (SequenceModel::BiLstm(network, _), Examples::Ids(examples)) => {
            let weights = SharedWeights::zeroed(network.layout().len());
            weights.copy_from(data.tagger.weights());
            let sample =
                Sample { examples, n_tokens: TokenIds::n_tokens, fewest: FEWEST_OF_NETWORK };
            match rules::form_of(settings.update) {
                Some(form) => {
                    let update = rules::adam(settings, form);
                    sample.rate(settings, data, &**network, weights, update)
                }
                None => sample.rate(settings, data, &**network, weights, plain()),
            }
        }
        _ => unreachable!("a model encodes its own examples"),
    };
    let n_tokens = f64::from(settings.passes) * data.n_tokens as f64;
    Ok(rate?.map(|rate| n_tokens / rate))
}

/// What sentences are taken from.
struct Sample<'e, E> {
    examples: &'e [E],
    n_tokens: fn(&E) -> usize,
    fewest: usize,
}

impl<E: Clone + Sync> Sample<'_, E> {
    /// Returns the tokens a second.
    fn rate<M: Model<Example = E>>(
        &self,
        settings: &Settings,
        data: &Data,
        model: &M,
        mut weights: SharedWeights,
        update: impl Update + Copy,
    ) -> Result<Option<f64>, Failure> {
        let started = Instant::now();
        let mut rate = None;
        let mut n_sentences = self.fewest;
        while started.elapsed() < MOST {
            let step = self.examples.len().div_ceil(n_sentences).max(1);
            let sample: Vec<E> = self.examples.iter().step_by(step).cloned().collect();
            let n_tokens: usize = sample.iter().map(self.n_tokens).sum();
            if n_tokens as f64 > SHARE * data.n_tokens as f64 {
                break;
            }
            let time = if settings.strategy == StrategyChoice::Serial {
                time(settings, model, &sample, &mut weights, Serial, update)?
            } else {
                time(settings, model, &sample, &mut weights, AsynGrad, update)?
            };
            // Settings at which a sample diverges are told by the run itself.
            let Some(time) = time else { return Ok(None) };
            rate = Some(n_tokens as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE));
            if time >= LONG_ENOUGH {
                break;
            }
            n_sentences *= GROWTH;
        }
        Ok(rate)
    }
}

fn time<M: Model>(
    settings: &Settings,
    model: &M,
    sample: &[M::Example],
    weights: &mut SharedWeights,
    strategy: impl Strategy,
    update: impl Update,
) -> Result<Option<Duration>, Failure> {
    let (passes, instruments) = (PASSES, InstrumentsChoice::Off);
    let settings = Settings { passes, instruments, ..settings.clone() };
    let trainer = rules::builder(&settings, strategy, update).build().map_err(asyn::Error::from)?;
    let Ok(outcome) = trainer.fit(model, sample, weights, &mut ()) else { return Ok(None) };
    Ok(outcome.passes.iter().map(|pass| pass.train_time).min())
}
