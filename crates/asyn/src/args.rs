//! What was typed, and whether it can be understood; `settings` and `plan` say what it means.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::align_args::AlignArgs;
use crate::choice::{KindChoice, ScorerChoice};
use crate::convert::ConvertArgs;
use crate::cv::CvVerb;
use crate::doctor::data::DataArgs;
use crate::format::{Fields, FormatChoice, ValidChoice};
use crate::import::ImportArgs;
use crate::states::HmmArgs;
use crate::train_args::{BiLstmArgs, CrfArgs, not_negative};
use crate::tune::TuneVerb;

/// Trains structured models on all the cores of a CPU, asynchronously.
#[derive(Debug, Parser)]
#[command(name = "asyn", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Says more on standard error: times and throughput.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Says nothing on standard error but errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Trains a model.
    #[command(subcommand)]
    Train(TrainVerb),
    /// Searches settings that score well on development data.
    #[command(subcommand)]
    Tune(TuneVerb),
    /// Trains and scores on all folds of a file: cross-validation.
    #[command(subcommand)]
    Cv(CvVerb),
    /// Repeats a recorded run in the same order, one worker at a time.
    Replay(ReplayArgs),
    /// Trains as `train` does, with all instruments on the races, and tells what they saw.
    #[command(subcommand)]
    Measure(TrainVerb),
    /// Says whether something suits the data and the machine at hand.
    #[command(subcommand)]
    Doctor(DoctorVerb),
    /// Labels a column file with a model.
    Tag(TagArgs),
    /// Puts spaces between the words of raw text with a model of segmented text.
    Segment(SegmentArgs),
    /// Links the words of sentences that are translations of each other.
    Align(AlignArgs),
    /// Scores what was predicted: chunks, spans, words or tokens; or compares two systems.
    Eval(EvalArgs),
    /// Converts a corpus between formats, and its labels between tag schemes.
    Convert(ConvertArgs),
    /// Makes a model of one of CRFsuite or CRF++.
    Import(ImportArgs),
    /// Says what a model is, how it was trained, and its scores.
    Info(InfoArgs),
    /// Prints the weights of a model, the largest first.
    Dump(DumpArgs),
    /// Writes a corpus whose best possible score is known.
    #[command(subcommand)]
    Gen(GenVerb),
}

/// The models.
#[derive(Debug, Subcommand)]
pub(crate) enum TrainVerb {
    /// Trains a dense linear-chain conditional random field.
    Crf(Box<CrfArgs>),
    /// Trains a bidirectional LSTM over vectors of words and characters.
    #[command(name = "bilstm")]
    BiLstm(Box<BiLstmArgs>),
    /// Trains a hidden Markov model on words alone.
    Hmm(Box<HmmArgs>),
}

/// The corpora that can be written.
#[derive(Debug, Subcommand)]
pub(crate) enum GenVerb {
    /// Writes chunking data: word, tag and chunk label.
    Chunking(ChunkingArgs),
}

/// The flags of `replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  asyn train crf train.txt -m chunker.safetensors --record run.rec
  asyn replay run.rec
  asyn replay run.rec --train copy/train.txt --model again.safetensors")]
pub(crate) struct ReplayArgs {
    /// A recording that train --record made.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where the training file is now [default: where it was].
    #[arg(long, value_name = "FILE")]
    pub(crate) train: Option<PathBuf>,
    /// Where the model of the replay is written [default: nowhere].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
}

/// What can be examined.
#[derive(Debug, Subcommand)]
pub(crate) enum DoctorVerb {
    /// Says whether asynchronous training is safe and pays, and what bounds its speed.
    Async(DoctorArgs),
    /// Says what is odd about corpora, before training.
    Data(DataArgs),
}

/// The flags of `doctor async`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  asyn doctor async train.txt
  asyn doctor async --train train.txt.gz -p my.template --json
  asyn doctor async train.txt --kind bilstm")]
pub(crate) struct DoctorArgs {
    /// Training file: columns, the last one the label; may be gzipped.
    #[arg(value_name = "TRAIN", conflicts_with = "train", required_unless_present = "train")]
    pub(crate) file: Option<PathBuf>,
    /// The same, as a flag.
    #[arg(long, value_name = "FILE")]
    pub(crate) train: Option<PathBuf>,
    /// The model that is to be trained.
    #[arg(long, value_enum, default_value_t = KindChoice::Crf)]
    pub(crate) kind: KindChoice,
    /// Templates of the attributes or columns, as for `train`.
    #[arg(short = 'p', long, value_name = "NAME|FILE")]
    pub(crate) template: Option<String>,
    /// Number of workers [default: all cores].
    #[arg(short, long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Most sentences to try; more make the figures steadier [default: 4000, or 1000 for a bilstm].
    #[arg(long, value_name = "N")]
    pub(crate) sentences: Option<NonZeroUsize>,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The flags of `tag`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  asyn tag -m chunker.safetensors test.txt > tagged.txt
  asyn tag -m chunker.safetensors test.txt | asyn eval
  zcat big.txt.gz | asyn tag -m chunker.safetensors --marginals -t 4 -")]
pub(crate) struct TagArgs {
    /// Column file, with the label column or without, or another format; - or nothing for standard
    /// input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// The model.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// Format of the file [default: by the ending of its name, otherwise that of the training file].
    #[arg(long, value_enum)]
    pub(crate) format: Option<FormatChoice>,
    /// Fields of CoNLL-U that are the columns; the last one is written [default: as in training].
    #[arg(long, value_name = "FIELD,...")]
    pub(crate) columns: Option<Fields>,
    /// Adds the marginal probability of each label as a last column.
    #[arg(long)]
    pub(crate) marginals: bool,
    /// Adds the probability of the span that each token is in, and outside of spans of the label.
    #[arg(long, conflicts_with = "marginals")]
    pub(crate) span_marginals: bool,
    /// Allows only sequences that a tag scheme does, or with off any [default: the scheme that all
    /// training data keep to, if there is one].
    #[arg(long, value_enum, value_name = "SCHEME|off", num_args = 0..=1, require_equals = true)]
    pub(crate) valid: Option<Option<ValidChoice>>,
    /// Takes the last column of the input for the labels that a token may have: LABEL|LABEL, or *
    /// for any.
    #[arg(long)]
    pub(crate) constraints: bool,
    /// Prints the N most probable label sequences, each behind a line with its probability.
    #[arg(short, long, value_name = "N")]
    pub(crate) nbest: Option<NonZeroUsize>,
    /// Prints the weights that each label has, behind its token.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Number of threads [default: all cores].
    #[arg(short, long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// The flags of `segment`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  asyn train crf --format segmented train.seg -m words.safetensors
  asyn segment -m words.safetensors raw.txt > words.txt")]
pub(crate) struct SegmentArgs {
    /// Raw text, a sentence a line; - or nothing for standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// The model.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// Number of threads [default: all cores].
    #[arg(short, long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// The flags of `eval`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  asyn tag -m chunker.safetensors test.txt | asyn eval
  asyn eval tagged.txt --ci --json
  asyn eval tagged.txt --min-f1 93
  asyn eval --compare before.txt after.txt
  asyn eval --scorer sighan --gold gold.txt --train-words train.txt segmented.txt
  asyn eval links.txt --scorer aer --gold gold.a --text test.f --text test.e")]
pub(crate) struct EvalArgs {
    /// Column file, its last two columns gold and predicted; - or nothing for standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// What is counted as correct.
    #[arg(long, value_enum, value_name = "SCORER", default_value = "conlleval")]
    pub(crate) scorer: ScorerChoice,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Adds the interval that holds the score with a confidence of 95 %.
    #[arg(long)]
    pub(crate) ci: bool,
    /// Says how B differs from A, and whether that can be chance.
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["file", "ci", "min_f1"])]
    pub(crate) compare: Vec<PathBuf>,
    /// Seed of the sentences that are drawn for --ci and --compare.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Gold words, FILE being segmented text too, a sentence a line, with --scorer sighan; sure and
    /// possible links, FILE being alignments, with --scorer aer.
    #[arg(long, value_name = "FILE")]
    pub(crate) gold: Option<PathBuf>,
    /// Parallel text which links have to fit; twice for the left and the right side, if each has a file
    /// of its own. Only with --scorer aer.
    #[arg(long, value_name = "FILE")]
    pub(crate) text: Vec<PathBuf>,
    /// Words of the training data, segmented text or a list, for recall in and out of vocabulary.
    /// Only with --scorer sighan.
    #[arg(long, value_name = "FILE")]
    pub(crate) train_words: Option<PathBuf>,
    /// Ends with status 3 if F1, or accuracy with that scorer, is below this, in percent.
    #[arg(long, value_name = "X", value_parser = not_negative)]
    pub(crate) min_f1: Option<f64>,
}

/// The flags of `info`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  asyn info chunker.safetensors")]
pub(crate) struct InfoArgs {
    /// The model.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The flags of `dump`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  asyn dump chunker.safetensors --top 20
  asyn dump chunker.safetensors --label B-NP --attribute U05")]
pub(crate) struct DumpArgs {
    /// The model.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// Weights of this label only.
    #[arg(long, value_name = "LABEL")]
    pub(crate) label: Option<String>,
    /// Weights of attributes that contain this text only.
    #[arg(long, value_name = "TEXT")]
    pub(crate) attribute: Option<String>,
    /// The N largest only.
    #[arg(long, value_name = "N")]
    pub(crate) top: Option<NonZeroUsize>,
}

/// The flags of `gen chunking`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  asyn gen chunking --sentences 9000 --seed 1 --out train.txt")]
pub(crate) struct ChunkingArgs {
    /// Number of sentences.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) sentences: NonZeroUsize,
    /// Seed; the same one gives the same bytes on every machine.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Where the corpus is written; - for standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) out: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
