//! How long training will take, from a few sentences that are trained on beforehand.
//!
//! The sentences are evenly spaced, as few as take long enough to be timed, and go through some
//! passes with weights of their own, of which the fastest counts: the first one waits for memory,
//! and other programs may be in the way of any.

use std::time::{Duration, Instant};

use asyn::Examples;
use asyn::core::{AsynGrad, Averaging, Model, Serial, Strategy};
use asyn::data::Encoded;
use asyn::models::Crf;

use crate::choice::{InstrumentsChoice, StrategyChoice};
use crate::data::Data;
use crate::failure::Failure;
use crate::rules;
use crate::settings::Settings;

/// The sentences that are tried first.
const FEWEST: usize = 8;
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

/// Returns how many seconds all passes will take, about; nothing for simulated runs and networks, and for data
/// so small that a pass over them tells sooner.
pub(crate) fn train_seconds(settings: &Settings, data: &Data) -> Result<Option<f64>, Failure> {
    let started = Instant::now();
    let (Some(crf), Examples::Attributes(examples)) = (data.tagger.crf(), &data.examples) else {
        return Ok(None);
    };
    let mut rate = None;
    let mut n_sentences = FEWEST;
    while !settings.simulate && started.elapsed() < MOST {
        let step = examples.len().div_ceil(n_sentences).max(1);
        let sample: Vec<Encoded> = examples.iter().step_by(step).cloned().collect();
        let n_tokens: usize = sample.iter().map(Encoded::n_tokens).sum();
        if n_tokens as f64 > SHARE * data.n_tokens as f64 {
            break;
        }
        let time = if settings.strategy == StrategyChoice::Serial {
            time(settings, crf, &sample, Serial)?
        } else {
            time(settings, crf, &sample, AsynGrad)?
        };
        rate = Some(n_tokens as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE));
        if time >= LONG_ENOUGH {
            break;
        }
        n_sentences *= GROWTH;
    }
    let n_tokens = f64::from(settings.passes) * data.n_tokens as f64;
    Ok(rate.map(|rate| n_tokens / rate))
}

fn time(
    settings: &Settings,
    crf: &Crf,
    sample: &[Encoded],
    strategy: impl Strategy,
) -> Result<Duration, Failure> {
    let (passes, instruments) = (PASSES, InstrumentsChoice::Off);
    let settings = Settings { passes, instruments, ..settings.clone() };
    // Of all update rules this one gets ready the fastest.
    let update = rules::sgd(&settings, Averaging::Off);
    let trainer = rules::trainer(&settings, strategy, update)?;
    let mut weights = crf.initial_weights(settings.seed);
    let outcome = trainer.fit(crf, sample, &mut weights, &mut ()).map_err(asyn::Error::from)?;
    Ok(outcome.passes.iter().map(|pass| pass.train_time).min().unwrap_or_default())
}
