//! What was typed, and whether it can be understood; `settings` and `plan` say what it means.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::choice::{
    Delay, InstrumentsChoice, L2FormChoice, ReadChoice, Replication, SamplingChoice,
    ScheduleChoice, ScorerChoice, SimulatedCost, StrategyChoice, UpdateChoice, WriteChoice,
};
use crate::convert::ConvertArgs;
use crate::cv::CvVerb;
use crate::doctor::data::DataArgs;
use crate::failure::Failure;
use crate::format::{Fields, FormatChoice, SchemeChoice, ValidChoice};
use crate::import::ImportArgs;
use crate::settings::in_words;
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
}

/// The corpora that can be written.
#[derive(Debug, Subcommand)]
pub(crate) enum GenVerb {
    /// Writes chunking data: word, tag and chunk label.
    Chunking(ChunkingArgs),
}

/// The flags of `train crf` and of `measure crf`. Those that are serialised are settings, under their own names.
#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(after_help = format!("\
Defaults:
  {}

Examples:
  asyn train crf train.txt -m chunker.safetensors
  asyn train crf --train train.txt.gz -p chunking -d 10% -m chunker.safetensors
  asyn train crf train.txt -p my.template -d dev.txt --rich-edges --run runs/1
  asyn train crf --resume runs/1 --passes 20
  asyn train crf train.txt -m np.safetensors --only-type NP --strategy serial --seed 7", in_words()))]
pub(crate) struct CrfArgs {
    /// Training file: columns, the last one the label, or another format; may be gzipped.
    #[arg(value_name = "TRAIN", conflicts_with = "train")]
    #[serde(skip)]
    pub(crate) file: Option<PathBuf>,
    /// The same, as a flag.
    #[arg(long, value_name = "FILE")]
    pub(crate) train: Option<PathBuf>,
    /// Format of the data [default: by the ending of its name, otherwise columns].
    #[arg(long, value_enum)]
    pub(crate) format: Option<FormatChoice>,
    /// Fields of CoNLL-U that are the columns, the label last [default: FORM,UPOS].
    #[arg(long, value_name = "FIELD,...")]
    pub(crate) columns: Option<Fields>,
    /// Where the model is written.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// Writes weights in 16 bits: half the size.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    f16: bool,
    /// Drops attributes whose absolute weights sum to at most X before the model is written.
    #[arg(long, value_name = "X", value_parser = not_negative)]
    prune: Option<f64>,
    /// A model to go on from: its labels, attributes and weights are kept, new ones start at 0.
    #[arg(long, value_name = "MODEL")]
    init: Option<PathBuf>,
    /// Templates of the attributes: word, chunking, np, chunking-rich, pos, seg, ner or a file
    /// [default: by the number of columns].
    #[arg(short = 'p', long, value_name = "NAME|FILE")]
    pub(crate) template: Option<String>,
    /// Words that the template looks up beside those of the training labels, one a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) lexicon: Option<PathBuf>,
    /// Development data, a file or a share of the training sentences; the best pass is kept.
    #[arg(short, long, value_name = "FILE|10%")]
    pub(crate) dev: Option<String>,
    /// How workers share the weights [default: asyngrad].
    #[arg(long, value_enum)]
    pub(crate) strategy: Option<StrategyChoice>,
    /// Number of workers [default: all cores].
    #[arg(short, long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Number of passes over the training data.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) passes: Option<u32>,
    /// Ends the run when the development score has not risen in N passes.
    #[arg(long, value_name = "N")]
    patience: Option<NonZeroU32>,
    /// Update rule [default: adf].
    #[arg(long, value_enum)]
    pub(crate) update: Option<UpdateChoice>,
    /// Strength of the regularisation, λ of λ/2 ‖w‖².
    #[arg(long, value_name = "X", value_parser = not_negative)]
    pub(crate) l2: Option<f64>,
    /// When it shrinks the weights [default: the first that the update rule has].
    #[arg(long, value_enum)]
    l2_form: Option<L2FormChoice>,
    /// Seed of all randomness.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) seed: Option<u64>,
    /// Keeps attributes that occur at least so often.
    #[arg(short = 'f', long, value_name = "N")]
    pub(crate) min_freq: Option<u32>,
    /// Gives frequent attributes weights for pairs of labels too.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) rich_edges: bool,
    /// How often an attribute must occur to be rich.
    #[arg(long, value_name = "N")]
    pub(crate) edge_min_freq: Option<u32>,
    /// Cuts sentences into pieces of about N tokens for training, anew in each pass: structure
    /// regularisation.
    #[arg(long, value_name = "N", conflicts_with = "sr_pieces")]
    sr_length: Option<NonZeroU32>,
    /// Cuts sentences into N pieces instead.
    #[arg(long, value_name = "N")]
    sr_pieces: Option<NonZeroU32>,
    /// Tag scheme that labels are learned in; they are written as in the training file.
    #[arg(long, value_enum)]
    pub(crate) scheme: Option<SchemeChoice>,
    /// Keeps one type of chunk, such as NP; the others become O.
    #[arg(long, value_name = "TYPE")]
    pub(crate) only_type: Option<String>,
    /// Writes one JSON object a line and event.
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Keeps settings, events, model and checkpoints in a new folder.
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    #[serde(skip)]
    pub(crate) run: Option<PathBuf>,
    /// Goes on with the run of a folder that --run made.
    #[arg(long, value_name = "DIR")]
    #[serde(skip)]
    pub(crate) resume: Option<PathBuf>,
    /// Keeps the order in which the workers ran, for asyn replay.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    #[serde(skip)]
    pub(crate) record: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) advanced: AdvancedArgs,
}

impl CrfArgs {
    /// Refuses the flags about what is kept of a single run, where there are many runs.
    pub(crate) fn refuse_files_of_a_run(&self, verb: &str) -> Result<(), Failure> {
        let files = [
            ("model", self.model.is_some()),
            ("run", self.run.is_some()),
            ("resume", self.resume.is_some()),
            ("record", self.record.is_some()),
            ("log", self.log.is_some()),
            ("f16", self.f16),
            ("prune", self.prune.is_some()),
        ];
        match files.iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((name, _)) => {
                Err(Failure::Usage(format!("--{name} is not for {verb}, which keeps no model")))
            }
        }
    }
}

/// Flags that few need.
#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Advanced")]
pub(crate) struct AdvancedArgs {
    /// First step size.
    #[arg(long, value_name = "X", value_parser = positive)]
    rate: Option<f64>,
    /// How the step size of sgd and asgd falls.
    #[arg(long, value_enum)]
    schedule: Option<ScheduleChoice>,
    /// Factor a pass on the step size, of adf, adf-counting and of the exponential schedule.
    #[arg(long, value_name = "X", value_parser = share)]
    decay: Option<f64>,
    /// Passes after which the inverse-time schedule has halved the step size.
    #[arg(long, value_name = "X", value_parser = positive)]
    half_life: Option<f64>,
    /// First pass that asgd averages.
    #[arg(long, value_name = "PASS", value_parser = clap::value_parser!(u32).range(1..))]
    average_from: Option<u32>,
    /// Windows of adf in a pass.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    windows: Option<u32>,
    /// Factor a window of adf for what no example uses.
    #[arg(long, value_name = "X", value_parser = share)]
    alpha: Option<f64>,
    /// Factor a window of adf for what every example uses.
    #[arg(long, value_name = "X", value_parser = share)]
    beta: Option<f64>,
    /// Examples a step.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    accumulate: Option<u32>,
    /// Steps after which the sums of whole tensors are written once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sums_every: Option<u32>,
    /// Size below which row gradients are written stochastically; 0 for never.
    #[arg(long, value_name = "X", value_parser = below_one)]
    sparse_threshold: Option<f64>,
    /// Most frequent rows that each worker keeps a copy of.
    #[arg(long, value_name = "ROWS|off")]
    replicas: Option<Replication>,
    /// Steps in which all these copies are merged once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    merge_every: Option<u32>,
    /// Whether gradients read live weights or a copy.
    #[arg(long, value_enum)]
    read: Option<ReadChoice>,
    /// Whether two writes at once may lose one.
    #[arg(long, value_enum)]
    write: Option<WriteChoice>,
    /// How a pass draws its examples.
    #[arg(long, value_enum)]
    sampling: Option<SamplingChoice>,
    /// How many steps a worker of bounded may be ahead of the slowest.
    #[arg(long, value_name = "S")]
    staleness: Option<u32>,
    /// Sleeps of asyngrad's workers before they write, in microseconds, and in which share of
    /// steps [share: 0.25].
    #[arg(long, value_name = "MEAN_US[:SHARE]")]
    delay: Option<Delay>,
    /// Runs the workers one at a time on a virtual clock: any number of them, on any machine,
    /// the same every time.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    simulate: bool,
    /// What things cost in simulated nanoseconds, such as miss=80,compute=3.
    #[arg(long, value_name = "NAME=NS,...", requires = "simulate")]
    pub(crate) cost: Option<SimulatedCost>,
    /// Watches what races do to the gradients; the events tell.
    #[arg(long, value_enum)]
    pub(crate) instruments: Option<InstrumentsChoice>,
    /// Examples between two quiet points, where a run can be stopped.
    #[arg(long, value_name = "N")]
    segment: Option<NonZeroUsize>,
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
  asyn doctor async --train train.txt.gz -p my.template --json")]
pub(crate) struct DoctorArgs {
    /// Training file: columns, the last one the label; may be gzipped.
    #[arg(value_name = "TRAIN", conflicts_with = "train", required_unless_present = "train")]
    pub(crate) file: Option<PathBuf>,
    /// The same, as a flag.
    #[arg(long, value_name = "FILE")]
    pub(crate) train: Option<PathBuf>,
    /// Templates of the attributes, as for `train crf`.
    #[arg(short = 'p', long, value_name = "NAME|FILE")]
    pub(crate) template: Option<String>,
    /// Number of workers [default: all cores].
    #[arg(short, long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Most sentences to try; more make the figures steadier.
    #[arg(long, value_name = "N", default_value = "4000")]
    pub(crate) sentences: NonZeroUsize,
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
  asyn eval --scorer sighan --gold gold.txt --train-words train.txt segmented.txt")]
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
    /// Gold words; FILE is then segmented text too, a sentence a line. Only with --scorer sighan.
    #[arg(long, value_name = "FILE")]
    pub(crate) gold: Option<PathBuf>,
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

fn number(text: &str, expected: &str, fits: impl Fn(f64) -> bool) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if fits(number) => Ok(number),
        _ => Err(format!("expected {expected}")),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, "a number above 0", |number| number > 0.0 && number.is_finite())
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text, "a number of at least 0", |number| number >= 0.0 && number.is_finite())
}

fn share(text: &str) -> Result<f64, String> {
    number(text, "a number above 0 and at most 1", |number| number > 0.0 && number <= 1.0)
}

fn below_one(text: &str) -> Result<f64, String> {
    number(text, "a number from 0 on and below 1", |number| (0.0..1.0).contains(&number))
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
