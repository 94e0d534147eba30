//! `asyn tune`: settings by random search with successive halving.
//!
//! Trials are drawn from the seed, the first one being the settings as they are. All are trained
//! for a few passes; the half that scores best on the development data is trained again for twice
//! as many, and so on, until the last ones run for all passes (Jamieson and Talwalkar, "Non-stochastic
//! Best Arm Identification and Hyperparameter Optimization", AISTATS 2016, algorithm 1).
//!
//! | Setting           | Drawn from                                                |
//! | ----------------- | --------------------------------------------------------- |
//! | `--rate`          | a quarter of the default to four times it, by its logarithm |
//! | `--l2`            | an eighth of the default to eight times it, by its logarithm |
//! | `--min-freq`      | 1, 2, 3, 5                                                |
//! | `--edge-min-freq` | 5, 11, 30, 100, with `--rich-edges`                       |
//! | `--dropout`       | 0, 0.2, 0.3, 0.4, 0.5, of a network                       |
//! | `--template`      | the names of `--templates`, if there are any              |
//!
//! What was typed is not drawn. Trials of one template and the same cut-offs share their encoded
//! data, and only one set of these is in memory.

use std::cmp::Ordering;
use std::io::{Write, stdout};
use std::ops::ControlFlow;

use asyn::core::SplitMix64;
use asyn::data::Corpus;
use clap::{Args, Subcommand};
use toml::{Table, Value};

use crate::data::{self, Data};
use crate::event::{DevScore, Log};
use crate::failure::Failure;
use crate::plan;
use crate::progress::Talk;
use crate::recording::Tape;
use crate::settings::{NETWORK, Settings, to_table};
use crate::train_args::{BiLstmArgs, CrfArgs, ModelArgs};
use crate::watch::{Watch, quoted};

const MIN_FREQS: [u32; 4] = [1, 2, 3, 5];
const EDGE_MIN_FREQS: [u32; 4] = [5, 11, 30, 100];
const DROPOUTS: [f64; 5] = [0.0, 0.2, 0.3, 0.4, 0.5];
/// What is drawn, as far as a model has it.
const DRAWN: [&str; 6] = ["rate", "l2", "dropout", "min-freq", "edge-min-freq", "template"];
/// By how much a drawn step size differs from the default at most, as a factor.
const RATES: f64 = 4.0;
/// By how much a drawn strength of the regularisation differs.
const L2S: f64 = 8.0;

/// The models whose settings can be searched.
#[derive(Debug, Subcommand)]
pub(crate) enum TuneVerb {
    /// Searches settings of a dense linear-chain conditional random field.
    #[command(after_help = "\
Examples:
  asyn tune crf train.txt -d dev.txt --strategy serial
  asyn tune crf train.txt -d 10% --trials 32 --templates chunking,chunking-rich --l2 1")]
    Crf(TuneArgs<CrfArgs>),
    /// Searches settings of a bidirectional LSTM.
    #[command(
        name = "bilstm",
        after_help = "\
Examples:
  asyn tune bilstm train.txt -d 10% --characters 30,25 --trials 8 --max-passes 4"
    )]
    BiLstm(TuneArgs<BiLstmArgs>),
}

/// The flags of `tune`.
#[derive(Debug, Args)]
pub(crate) struct TuneArgs<A: Args> {
    /// Number of settings that are tried, the first being those that are typed and the defaults.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    trials: u32,
    /// Passes of the settings that come through.
    #[arg(long, value_name = "P", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    max_passes: u32,
    /// Templates to choose from.
    #[arg(long, value_name = "NAME|FILE,...", value_delimiter = ',', conflicts_with = "template")]
    templates: Vec<String>,
    #[command(flatten)]
    model: Box<A>,
}

/// Settings, and how they did.
#[derive(Debug, Clone)]
struct Trial {
    number: u32,
    settings: Settings,
    /// The drawn factor on the default step size, which depends on the template.
    rate: Option<f64>,
    /// The score of the best pass and its number; nothing before the first run, and where training
    /// diverged.
    best: Option<(DevScore, u32)>,
}

/// Tries settings, and prints them by their scores with the command line of the best.
pub(crate) fn run<A: ModelArgs + Args>(args: &TuneArgs<A>, talk: Talk) -> Result<(), Failure> {
    args.model.refuse_files_of_a_run("tune")?;
    let typed = to_table(&*args.model);
    let problem = if !typed.contains_key("dev") {
        "tune needs --dev: the score to choose by"
    } else if typed.contains_key("init") {
        "--init is not for tune, which trains from the start"
    } else if typed.contains_key("passes") {
        "--passes is not for tune: --max-passes"
    } else {
        ""
    };
    if !problem.is_empty() {
        return Err(Failure::Usage(problem.to_owned()));
    }
    let settings = Settings::resolve(&*args.model)?;
    let corpora = data::read(&settings)?;
    let mut trials = draw(args, &settings);
    let is_stopped = halve(&mut trials, args, &corpora, talk)?;
    trials.sort_by(by_score);
    let done: Vec<&Trial> = trials.iter().filter(|trial| trial.settings.passes > 0).collect();
    if let [best, ..] = &done[..] {
        let defaults = flags_of(&A::defaults());
        let text = format!("{}\n{}\n", table(&done), command_line(&best.settings, &defaults));
        stdout().write_all(text.as_bytes()).map_err(|source| Failure::Output { source })?;
    }
    match is_stopped {
        false => Ok(()),
        true => Err(Failure::Stopped(format!("stopped after {} trials", done.len()))),
    }
}

/// Draws the trials. All numbers are drawn for all of them, so that what is typed changes nothing
/// else.
fn draw<A: ModelArgs + Args>(args: &TuneArgs<A>, settings: &Settings) -> Vec<Trial> {
    let typed = flattened(to_table(&*args.model));
    let is_open = |name: &str| !typed.contains_key(name);
    let mut random = SplitMix64::new(settings.seed);
    let first = args.templates.first().cloned().or_else(|| settings.template.clone());
    let settings = Settings { passes: 0, template: first, ..settings.clone() };
    let trial = |number: u32| {
        let (rate, l2) = (factor(RATES, &mut random), factor(L2S, &mut random));
        let min_freq = *choice(&MIN_FREQS, &mut random);
        let edge_min_freq = *choice(&EDGE_MIN_FREQS, &mut random);
        let template = random.below(args.templates.len().max(1) as u64);
        let dropout = settings.bilstm.as_ref().map(|_| *choice(&DROPOUTS, &mut random));
        let mut trial = Trial { number, settings: settings.clone(), rate: None, best: None };
        if number == 1 {
            return trial;
        }
        trial.rate = is_open("rate").then_some(rate);
        if is_open("l2") {
            trial.settings.l2 = rounded(l2 * settings.l2);
        }
        if is_open("min-freq") {
            trial.settings.min_freq = min_freq;
        }
        if is_open("edge-min-freq") && settings.rich_edges {
            trial.settings.edge_min_freq = edge_min_freq;
        }
        if let (Some(network), Some(dropout)) = (&mut trial.settings.bilstm, dropout)
            && is_open("dropout")
        {
            network.dropout = dropout;
        }
        let template = usize::try_from(template).ok().and_then(|at| args.templates.get(at));
        trial.settings.template = template.or(settings.template.as_ref()).cloned();
        trial
    };
    (1..=args.trials).map(trial).collect()
}

/// Trains the best half of the trials again and again, for twice as many passes each time. Returns
/// whether the user ended it.
fn halve<A: ModelArgs + Args>(
    trials: &mut [Trial],
    args: &TuneArgs<A>,
    (train, dev): &(Corpus, Option<Corpus>),
    talk: Talk,
) -> Result<bool, Failure> {
    for (n_trials, passes) in rungs(args.trials, args.max_passes) {
        trials.sort_by(by_score);
        let alive = &mut trials[..n_trials as usize];
        let features = |trial: &Trial| {
            let Settings { template, min_freq, edge_min_freq, bilstm, .. } = &trial.settings;
            let dropout = bilstm.as_ref().map(|network| network.dropout.to_bits());
            (template.clone(), *min_freq, *edge_min_freq, dropout)
        };
        alive.sort_by_key(|trial| (features(trial), trial.number));
        for sharing in alive.chunk_by_mut(|a, b| features(a) == features(b)) {
            let mut encoded = sharing[0].settings.clone();
            encoded.passes = passes;
            let mut data = Data::encode(&mut encoded, train.clone(), dev.clone(), Talk::Quiet)?;
            for trial in sharing {
                let settings = &mut trial.settings;
                let before = settings.clone();
                settings.passes = passes;
                settings.template.clone_from(&encoded.template);
                let rate = trial
                    .rate
                    .take()
                    .map_or(encoded.rate, |factor| encoded.rate.map(|rate| rounded(factor * rate)));
                settings.rate = settings.rate.or(rate);
                match train_trial(settings, &mut data)? {
                    ControlFlow::Continue(best) => trial.best = best,
                    ControlFlow::Break(()) => {
                        // The run before, if there is one, stands.
                        trial.settings = before;
                        return Ok(true);
                    }
                }
                talk.say(&trial.in_words(args.trials));
            }
        }
    }
    Ok(false)
}

/// Returns the best score and its pass, or nothing where training diverged; breaks where the user
/// ended it.
fn train_trial(
    settings: &Settings,
    data: &mut Data,
) -> Result<ControlFlow<(), Option<(DevScore, u32)>>, Failure> {
    *data.tagger.weights_mut() = data.tagger.model().initial_weights(settings.seed);
    let mut watch = Watch::new(settings, data, Log::default(), Talk::Quiet);
    let stopped = match plan::train(settings, data, None, &mut watch, &mut Tape::Off) {
        Ok(outcome) => outcome.stopped && watch.is_interrupted(),
        Err(Failure::Asyn(asyn::Error::Training(asyn::core::Error::Diverged { .. }))) => {
            return Ok(ControlFlow::Continue(None));
        }
        Err(failure) => return Err(failure),
    };
    let (_, best, _) = watch.finish()?;
    Ok(if stopped {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(best.map(|best| (best.score, best.pass)))
    })
}

/// Returns how many trials are trained for how many passes, one time after the other.
fn rungs(n_trials: u32, most: u32) -> impl Iterator<Item = (u32, u32)> {
    let n_halvings = n_trials.ilog2().min(most.ilog2());
    (0..=n_halvings).map(move |rung| (n_trials.div_ceil(1 << rung), most >> (n_halvings - rung)))
}

/// Orders trials: the best first, then those that diverged, then those that have not been run.
fn by_score(a: &Trial, b: &Trial) -> Ordering {
    let key =
        |trial: &Trial| trial.best.map_or((-1.0, 0.0), |(score, _)| (score.f1, score.accuracy));
    let has_run = |trial: &Trial| trial.settings.passes > 0;
    let by_key = key(b).partial_cmp(&key(a)).unwrap_or(Ordering::Equal);
    by_key.then(has_run(b).cmp(&has_run(a))).then(a.number.cmp(&b.number))
}

fn factor(most: f64, random: &mut SplitMix64) -> f64 {
    most.powf(2.0 * f64::from(random.unit()) - 1.0)
}

fn choice<'a, T>(items: &'a [T], random: &mut SplitMix64) -> &'a T {
    let at = random.below(items.len() as u64);
    &items[usize::try_from(at).expect("the bound is a length")]
}

/// Returns a number with three digits, which can be typed.
fn rounded(number: f64) -> f64 {
    format!("{number:.2e}").parse().expect("a number that was printed")
}

impl Trial {
    fn in_words(&self, n_trials: u32) -> String {
        let Self { number, settings, best, .. } = self;
        let score = best.map_or("diverged".to_owned(), |(score, _)| format!("F1 {:.2}", score.f1));
        let (passes, s) = (settings.passes, if settings.passes == 1 { "" } else { "es" });
        format!("trial {number}/{n_trials}, {passes} pass{s}: {score}")
    }
}

/// Returns the trials, the best first.
fn table(trials: &[&Trial]) -> String {
    let has = |name: &&str| match *name {
        "dropout" => trials.iter().any(|trial| trial.settings.bilstm.is_some()),
        "l2" | "edge-min-freq" => trials.iter().any(|trial| trial.settings.bilstm.is_none()),
        _ => true,
    };
    let names: Vec<&str> = DRAWN.into_iter().filter(has).collect();
    let cell = |name: &str, value: &str| match name {
        "template" => format!("  {value}"),
        _ => format!("  {value:>0$}", name.len().max(8)),
    };
    let mut text = "   F1  accuracy  pass  passes".to_owned();
    text.extend(names.iter().map(|name| cell(name, name)));
    text.push('\n');
    for Trial { settings, best, .. } in trials {
        let score = best.map_or(format!("{:>21}", "diverged"), |(score, pass)| {
            format!("{:5.2}  {:8.2}  {pass:4}", score.f1, score.accuracy)
        });
        text.push_str(&format!("{score}  {:6}", settings.passes));
        let flags = flags_of(settings);
        text.extend(names.iter().map(|name| {
            let is_off = *name == "edge-min-freq" && !settings.rich_edges;
            let value = if is_off { "-".to_owned() } else { word(flags.get(*name)) };
            cell(name, &value)
        }));
        text.push('\n');
    }
    text
}

/// Returns the line that trains with these settings, as far as they are not the defaults.
fn command_line(settings: &Settings, defaults: &Table) -> String {
    let kind = if settings.bilstm.is_some() { "bilstm" } else { "crf" };
    let train = quoted(&settings.train.to_string_lossy());
    let mut words = vec![format!("asyn train {kind}"), train];
    for (name, value) in &flags_of(settings) {
        if defaults.get(name) == Some(value) || name == "train" {
            continue;
        }
        words.push(format!("--{name}"));
        match value {
            Value::Boolean(_) => {}
            value => words.push(quoted(&word(Some(value)))),
        }
    }
    words.push("--model model.safetensors".to_owned());
    words.join(" ")
}

/// Returns settings by their flags, those of a network among the others.
fn flags_of(settings: &Settings) -> Table {
    flattened(to_table(settings))
}

fn flattened(mut table: Table) -> Table {
    if let Some(Value::Table(network)) = table.remove(NETWORK) {
        table.extend(network);
    }
    table
}

/// Returns a value as it is typed.
fn word(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_ends_with_all_passes() {
        assert_eq!(rungs(16, 10).collect::<Vec<_>>(), [(16, 1), (8, 2), (4, 5), (2, 10)]);
        assert_eq!(rungs(5, 100).collect::<Vec<_>>(), [(5, 25), (3, 50), (2, 100)]);
        assert_eq!(rungs(1, 7).collect::<Vec<_>>(), [(1, 7)]);
        assert_eq!(rungs(9, 1).collect::<Vec<_>>(), [(9, 1)]);
    }
}
