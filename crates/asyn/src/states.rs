//! `asyn train hmm`, and `asyn tag` with its models.

use std::collections::BTreeMap;
use std::io::{Write as _, stdout};
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use asyn::StateTagger;
use asyn::core::{AsynGrad, BatchEm, Event, Serial, StepwiseEm, Strategy, Trainer, Update};
use asyn::data::{Format, FormatOptions};
use asyn::sync::{Locked, Minibatch, RoundRobin};
use clap::Args;

use crate::align_args::EmChoice;
use crate::choice::StrategyChoice;
use crate::defaults;
use crate::failure::Failure;
use crate::format::FormatChoice;
use crate::interrupt::Interrupt;
use crate::progress::Talk;
use crate::settings::all_cores;

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
    #[arg(long, value_name = "X", default_value_t = defaults::EM_POWER)]
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
    let run = Run { args, sentences: &sentences, n_tokens: corpus.n_tokens(), talk };
    let multinomials = tagger.hmm().multinomials();
    let is_stopped = match args.update {
        EmChoice::Stepwise => {
            let update = StepwiseEm { power: args.power, first_step: 0, multinomials };
            run.with_update(&mut tagger, update)?
        }
        EmChoice::Batch => run.with_update(&mut tagger, BatchEm { multinomials })?,
    };
    let about = BTreeMap::from([
        ("passes".to_owned(), args.passes.to_string()),
        ("seed".to_owned(), args.seed.to_string()),
    ]);
    tagger.save(&args.model, about)?;
    match is_stopped {
        false => Ok(()),
        true => Err(Failure::Stopped(format!(
            "stopped; {} has the counts so far",
            args.model.display()
        ))),
    }
}

/// What a run needs.
struct Run<'a> {
    args: &'a HmmArgs,
    sentences: &'a [Box<[u32]>],
    n_tokens: usize,
    talk: Talk,
}

impl Run<'_> {
    fn with_update(&self, tagger: &mut StateTagger, update: impl Update) -> Result<bool, Failure> {
        match self.args.strategy {
            StrategyChoice::Serial => self.with_strategy(tagger, update, Serial),
            StrategyChoice::Asyngrad => self.with_strategy(tagger, update, AsynGrad),
            StrategyChoice::Locked => self.with_strategy(tagger, update, Locked),
            StrategyChoice::RoundRobin => self.with_strategy(tagger, update, RoundRobin),
            StrategyChoice::Minibatch => self.with_strategy(tagger, update, Minibatch::default()),
            StrategyChoice::Bounded => {
                Err(Failure::Usage("--strategy bounded is not for train hmm".to_owned()))
            }
        }
    }

    /// Trains; returns whether the user ended it early.
    fn with_strategy(
        &self,
        tagger: &mut StateTagger,
        update: impl Update,
        strategy: impl Strategy,
    ) -> Result<bool, Failure> {
        let args = self.args;
        let accumulate = args.accumulate.get();
        // Whole steps, so that only the last one of a pass is shorter.
        let steps = (defaults::SEGMENT / accumulate as usize).max(1);
        let trainer = Trainer::builder()
            .strategy(strategy)
            .update(update)
            .threads(args.threads.unwrap_or(all_cores()).get())
            .passes(args.passes.get())
            .seed(args.seed)
            .accumulate(accumulate)
            .segment_len(steps * accumulate as usize)
            .keep_good(false)
            .build()
            .map_err(asyn::Error::from)?;
        let interrupt = Interrupt::listen();
        let mut watch = |event: Event<'_, '_>| {
            if let Event::PassEnded { report, .. } = &event {
                let seconds = report.train_time.as_secs_f64();
                self.talk.say(&format!(
                    "pass {}: log-likelihood {:.1}, {seconds:.3} s, {:.3} M tokens/s",
                    report.pass,
                    -report.loss,
                    self.n_tokens as f64 / seconds / 1e6
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
        Ok(tagger.fit(&trainer, self.sentences, &mut watch)?.stopped)
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
