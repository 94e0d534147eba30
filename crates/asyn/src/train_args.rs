//! The flags of training runs. Those that are serialised are settings, under their own names.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::choice::{
    CharacterSizes, Delay, InitialChoice, InstrumentsChoice, L2FormChoice, MomentsChoice,
    OutputChoice, ReadChoice, Replication, SamplingChoice, ScheduleChoice, SimulatedCost,
    StrategyChoice, UpdateChoice, Widths, WriteChoice,
};
use crate::failure::Failure;
use crate::format::{Fields, FormatChoice, SchemeChoice};
use crate::settings::{Settings, in_words, to_table};

/// The flags of a model.
pub(crate) trait ModelArgs: Clone + Serialize {
    /// Returns the flags that all models have.
    fn common(&self) -> &CommonArgs;

    /// Returns them to be changed.
    fn common_mut(&mut self) -> &mut CommonArgs;

    /// Returns what a run of the model has where nothing else is asked for.
    fn defaults() -> Settings;

    /// Refuses the flags about what is kept of a single run, where there are many runs.
    fn refuse_files_of_a_run(&self, verb: &str) -> Result<(), Failure> {
        let (typed, common) = (to_table(self), self.common());
        let files = [
            ("model", common.model.is_some()),
            ("run", common.run.is_some()),
            ("resume", common.resume.is_some()),
            ("record", common.record.is_some()),
            ("log", common.log.is_some()),
            ("f16", common.f16),
            ("prune", typed.contains_key("prune")),
        ];
        match files.iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((name, _)) => {
                Err(Failure::Usage(format!("--{name} is not for {verb}, which keeps no model")))
            }
        }
    }
}

/// The flags of `train crf` and of `measure crf`.
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
  asyn train crf train.txt -m np.safetensors --only-type NP --strategy serial --seed 7", in_words(&Settings::default())))]
pub(crate) struct CrfArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) common: CommonArgs,
    /// Drops attributes whose absolute weights sum to at most X before the model is written.
    #[arg(long, value_name = "X", value_parser = not_negative)]
    prune: Option<f64>,
    /// When L2 shrinks the weights [default: the first form that the update rule has].
    #[arg(long, value_enum)]
    l2_form: Option<L2FormChoice>,
    /// Gives frequent attributes weights for pairs of labels too.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rich_edges: bool,
    /// How often an attribute must occur to be rich.
    #[arg(long, value_name = "N")]
    edge_min_freq: Option<u32>,
    /// Cuts sentences into pieces of about N tokens for training, anew in each pass: structure
    /// regularisation.
    #[arg(long, value_name = "N", conflicts_with = "sr_pieces")]
    sr_length: Option<NonZeroU32>,
    /// Cuts sentences into N pieces instead.
    #[arg(long, value_name = "N")]
    sr_pieces: Option<NonZeroU32>,
    #[command(flatten)]
    #[serde(flatten)]
    advanced: CrfAdvancedArgs,
}

/// The flags of `train bilstm` and of `measure bilstm`.
#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(after_help = format!("\
Defaults:
  {}

Examples:
  asyn train bilstm train.txt -m tagger.safetensors
  asyn train bilstm train.txt -d dev.txt --patience 3 --characters 30,25 --output crf --run runs/1
  asyn train bilstm train.txt --vectors glove.6B.100d.txt.gz --dropout 0.3 -m tagger.safetensors
  asyn train bilstm --resume runs/1 --passes 20", in_words(&Settings::of_bilstm())))]
pub(crate) struct BiLstmArgs {
    #[command(flatten)]
    #[serde(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    bilstm: NetworkArgs,
}

/// The flags of a network and of the update rule for it.
#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Network")]
struct NetworkArgs {
    /// Lengths of the vectors of each column of the template [default: half of the input for the
    /// first column, the rest for the others].
    #[arg(long, value_name = "N,...")]
    width: Option<Widths>,
    /// Units of each direction of a layer [default: the length of the input: 170 for data of two
    /// columns, 220 for segmented text, 280 otherwise].
    #[arg(long, value_name = "N")]
    hidden: Option<NonZeroUsize>,
    /// Bidirectional layers [default: 1].
    #[arg(long, value_name = "N")]
    layers: Option<NonZeroUsize>,
    /// Looks at the characters of words: the length of their vectors, and the units of each
    /// direction of the layer over them.
    #[arg(long, value_name = "WIDTH,HIDDEN")]
    characters: Option<CharacterSizes>,
    /// How labels follow from scores [default: softmax].
    #[arg(long, value_enum)]
    output: Option<OutputChoice>,
    /// Share of the inputs of each layer that training sets to 0.
    #[arg(long, value_name = "X", value_parser = below_one)]
    dropout: Option<f64>,
    /// Probability with which training takes a value that occurs once for an unknown one.
    #[arg(long, value_name = "X", value_parser = probability)]
    unknown: Option<f64>,
    /// Weights that training starts from.
    #[arg(long, value_enum)]
    initial: Option<InitialChoice>,
    /// Vectors of words to start from, for the first column: text of GloVe, word2vec or fastText.
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,
    /// β₁ of adam and momentum: what the mean of gradients keeps in a step.
    #[arg(long, value_name = "X", value_parser = below_one)]
    beta_1: Option<f64>,
    /// β₂ of adam and rmsprop: what the mean of squares keeps in a step.
    #[arg(long, value_name = "X", value_parser = below_one)]
    beta_2: Option<f64>,
    /// ε of adam and rmsprop.
    #[arg(long, value_name = "X", value_parser = positive)]
    epsilon: Option<f64>,
    /// Passes in which the step size grows from 0; not for sgd.
    #[arg(long, value_name = "PASSES", value_parser = not_negative)]
    warm_up: Option<f64>,
    /// Largest norm of a gradient [default: none]; not for sgd.
    #[arg(long, value_name = "X", value_parser = positive)]
    clip: Option<f64>,
    /// Whose the means of adam, rmsprop and momentum are when several workers train.
    #[arg(long, value_enum)]
    moments: Option<MomentsChoice>,
}

impl ModelArgs for CrfArgs {
    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn common_mut(&mut self) -> &mut CommonArgs {
        &mut self.common
    }

    fn defaults() -> Settings {
        Settings::default()
    }
}

impl ModelArgs for BiLstmArgs {
    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn common_mut(&mut self) -> &mut CommonArgs {
        &mut self.common
    }

    fn defaults() -> Settings {
        Settings::of_bilstm()
    }
}

/// The flags that all models have.
#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct CommonArgs {
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
    /// A model to go on from: its labels, attributes and weights are kept, new ones start at 0.
    #[arg(long, value_name = "MODEL")]
    init: Option<PathBuf>,
    /// Template of attributes (word, chunking, np, chunking-rich, pos, seg, ner), or of columns of a
    /// network (words, words-tags, characters), or a file [default: by the number of columns].
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
    /// Update rule.
    #[arg(long, value_enum)]
    pub(crate) update: Option<UpdateChoice>,
    /// Strength of the regularisation, λ of λ/2 ‖w‖².
    #[arg(long, value_name = "X", value_parser = not_negative)]
    pub(crate) l2: Option<f64>,
    /// Seed of all randomness.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) seed: Option<u64>,
    /// Keeps attributes that occur at least so often.
    #[arg(short = 'f', long, value_name = "N")]
    pub(crate) min_freq: Option<u32>,
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

/// Flags that few need, of all models.
#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Advanced")]
pub(crate) struct AdvancedArgs {
    /// First step size.
    #[arg(long, value_name = "X", value_parser = positive)]
    rate: Option<f64>,
    /// How the step size of sgd, asgd, adam, rmsprop and momentum falls.
    #[arg(long, value_enum)]
    schedule: Option<ScheduleChoice>,
    /// Factor a pass on the step size, of adf, adf-counting and of the exponential schedule.
    #[arg(long, value_name = "X", value_parser = share)]
    decay: Option<f64>,
    /// Passes after which the inverse-time schedule has halved the step size.
    #[arg(long, value_name = "X", value_parser = positive)]
    half_life: Option<f64>,
    /// Examples a step.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    accumulate: Option<u32>,
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
    /// Sleeps between gradient and write, in microseconds on average, and in which share of
    /// steps [share: 0.25].
    #[arg(long, value_name = "MEAN_US[:SHARE]")]
    delay: Option<Delay>,
    /// Most frequent rows that each worker keeps a copy of, beside small tensors and matrices; 0
    /// for these alone, as a Bi-LSTM has them.
    #[arg(long, value_name = "ROWS|off")]
    replicas: Option<Replication>,
    /// Steps in which all these copies are merged once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    merge_every: Option<u32>,
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

/// Flags that few need, of CRFs.
#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Advanced")]
struct CrfAdvancedArgs {
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
    /// Steps after which the sums of whole tensors are written once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sums_every: Option<u32>,
    /// Size below which row gradients are written stochastically; 0 for never.
    #[arg(long, value_name = "X", value_parser = below_one)]
    sparse_threshold: Option<f64>,
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

pub(crate) fn not_negative(text: &str) -> Result<f64, String> {
    number(text, "a number of at least 0", |number| number >= 0.0 && number.is_finite())
}

fn share(text: &str) -> Result<f64, String> {
    number(text, "a number above 0 and at most 1", |number| number > 0.0 && number <= 1.0)
}

fn below_one(text: &str) -> Result<f64, String> {
    number(text, "a number from 0 on and below 1", |number| (0.0..1.0).contains(&number))
}

fn probability(text: &str) -> Result<f64, String> {
    number(text, "a number from 0 to 1", |number| (0.0..=1.0).contains(&number))
}
