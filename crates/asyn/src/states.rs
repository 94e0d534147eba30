//! `asyn train hmm`, and `asyn tag` with its models.

use std::collections::BTreeMap;
use std::io::{Write as _, stdout};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};

use asyn::StateTagger;
use asyn::core::{Multinomials, Observer, Outcome, StepSizes, Strategy, Trainer, Update};
use asyn::data::{Format, FormatOptions};
use clap::Args;

use crate::align_args::EmChoice;
use crate::choice::StrategyChoice;
use crate::defaults;
use crate::em_run::{EmRun, Trainee};
use crate::failure::Failure;
use crate::format::FormatChoice;
use crate::progress::Talk;

/// The flags of `train hmm`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  asyn train hmm words.txt --states 45 -m states.safetensors
  asyn tag -m states.safetensors words.txt | asyn eval --scorer states")]
pub(crate) struct HmmArgs {
    /// Column file, whose first column are the words, or another format; may be gzipped.
    #[arg(value_name = "TRAIN")]
    file: PathBuf,
    /// Where the model is written.
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    /// Format of the file [default: by the ending of its name, otherwise columns].
    #[arg(long, value_enum)]
    format: Option<FormatChoice>,
    /// States that words can come from.
    #[arg(long, value_name = "N", default_value_t = defaults::STATES)]
    states: NonZeroUsize,
    /// The update rule.
    #[arg(long, value_enum, value_name = "RULE", default_value = "stepwise")]
    update: EmChoice,
    /// How workers share the counts.
    #[arg(long, value_enum, value_name = "STRATEGY", default_value = "asyngrad")]
    strategy: StrategyChoice,
    /// Number of workers [default: all cores].
    #[arg(short, long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Passes over the text.
    #[arg(long, value_name = "N", default_value_t = defaults::HMM_PASSES)]
    passes: NonZeroU32,
    /// Sentences of a step.
    #[arg(long, value_name = "N", default_value_t = defaults::HMM_ACCUMULATE)]
    accumulate: NonZeroU32,
    /// Steps of stepwise EM are (k + 2)^-X: above 0.5 and at most 1.
    #[arg(long, value_name = "X", default_value_t = defaults::HMM_POWER)]
    power: f32,
    /// Seed of the counts that training starts from, and of the order of sentences.
    #[arg(long, value_name = "N", default_value_t = defaults::SEED)]
    seed: u64,
}

/// Trains a hidden Markov model on words.
pub(crate) fn train(args: &HmmArgs, talk: Talk) -> Result<(), Failure> {
    let format = args.format.map(Format::from).or_else(|| Format::of_path(&args.file));
    let options = FormatOptions::default();
    let corpus = format.unwrap_or(Format::Columns).open(&args.file, &options)?;
    let untrained = StateTagger::untrained(&corpus, args.states.get(), args.seed);
    let mut tagger = untrained.map_err(|error| match error {
        asyn::Error::Model(_) => Failure::Usage(format!("--states {}: {error}", args.states)),
        error => error.into(),
    })?;
    let sentences = tagger.encode(&corpus);
    let (n_words, n_states) = (tagger.hmm().n_words(), args.states);
    talk.say(&format!(
        "{}: {} sentences, {} tokens, {n_words} words, {n_states} states",
        args.file.display(),
        corpus.n_sentences(),
        corpus.n_tokens(),
    ));
    let run = EmRun {
        verb: "train hmm",
        name: "pass".to_owned(),
        work: (corpus.n_tokens() as u64, "tokens"),
        strategy: args.strategy,
        update: args.update,
        sizes: StepSizes::Power(args.power),
        first_step: 0,
        threads: args.threads,
        passes: args.passes.get(),
        seed: args.seed,
        accumulate: args.accumulate.get(),
        replica_rows: Some(defaults::HMM_REPLICA_ROWS),
        talk,
    };
    let ended = run.train(&mut Task { tagger: &mut tagger, sentences: &sentences })?;
    let about = BTreeMap::from([
        ("passes".to_owned(), args.passes.to_string()),
        ("seed".to_owned(), args.seed.to_string()),
    ]);
    tagger.save(&args.model, about)?;
    match ended.is_stopped {
        false => Ok(()),
        true => Err(Failure::Stopped(format!(
            "stopped; {} has the counts so far",
            args.model.display()
        ))),
    }
}

/// A tagger, and the sentences that it is trained on.
struct Task<'a> {
    tagger: &'a mut StateTagger,
    sentences: &'a [Box<[u32]>],
}

impl Trainee for Task<'_> {
    fn multinomials(&self) -> Vec<Multinomials> {
        self.tagger.hmm().multinomials()
    }

    fn fit<S: Strategy, U: Update>(
        &mut self,
        trainer: &Trainer<S, U>,
        observer: &mut impl Observer,
    ) -> Result<Outcome, asyn::Error> {
        self.tagger.fit(trainer, self.sentences, observer)
    }
}

/// Prints a corpus with the state of each token as a last column.
pub(crate) fn tag(
    tagger: &StateTagger,
    file: &Path,
    format: Option<FormatChoice>,
) -> Result<(), Failure> {
    let format = format.map(Format::from).or_else(|| Format::of_path(file));
    let corpus = format.unwrap_or(Format::Columns).open(file, &FormatOptions::default())?;
    let states = tagger.states(&tagger.encode(&corpus));
    let separator = corpus.separator();
    let mut text = String::new();
    for (sentence, states) in corpus.sentences().zip(&states) {
        for (token, state) in states.iter().enumerate() {
            for column in 0..corpus.n_columns() {
                text.push_str(sentence.column(token, column));
                text.push(separator);
            }
            text.push_str(&format!("{state}\n"));
        }
        text.push('\n');
    }
    stdout().write_all(text.as_bytes()).map_err(|source| Failure::Output { source })
}
