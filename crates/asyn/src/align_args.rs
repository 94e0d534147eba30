//! What was typed behind `asyn align`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use asyn::Direction;
use asyn::data::Symmetry;
use asyn::models::Distortion;
use clap::{Args, Subcommand, ValueEnum};

use crate::choice::StrategyChoice;
use crate::defaults;

/// The flags of `align`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  asyn align train corpus.fr-en -m fr-en.safetensors
  asyn align train corpus.fr corpus.en -m fr-en.safetensors
  asyn align train corpus.fr.gz corpus.en.gz -m fr-en.safetensors --agreement
  asyn align train more.fr-en -m fr-en.safetensors --init fr-en.safetensors
  asyn align -m fr-en.safetensors new.fr-en > new.links
  asyn align -m fr-en.safetensors new.fr new.en --sym intersection --posteriors"
)]
pub(crate) struct AlignArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<AlignVerb>,
    #[command(flatten)]
    pub(crate) apply: ApplyArgs,
}

/// What else can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum AlignVerb {
    /// Trains a word aligner on parallel text.
    Train(Box<AlignTrainArgs>),
}

/// The flags of `align` where it aligns.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// Parallel text, a pair a line with ||| between its sides, or the left side alone; - or nothing
    /// for standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// The right side, if it has a file of its own.
    #[arg(value_name = "RIGHT")]
    pub(crate) right: Option<PathBuf>,
    /// The model.
    #[arg(short, long, value_name = "FILE", required = true)]
    pub(crate) model: Option<PathBuf>,
    /// How the links of the two directions become one alignment.
    #[arg(long, value_enum, value_name = "HOW", default_value = "grow-diag-final-and")]
    pub(crate) sym: SymmetryChoice,
    /// Adds the probability of each link, as i-j:p.
    #[arg(long)]
    pub(crate) posteriors: bool,
    /// Number of threads [default: all cores].
    #[arg(short, long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// The flags of `align train`.
#[derive(Debug, Args)]
pub(crate) struct AlignTrainArgs {
    /// Parallel text, a pair a line with ||| between its sides, or the left side alone; may be
    /// gzipped.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The right side, if it has a file of its own.
    #[arg(value_name = "RIGHT")]
    pub(crate) right: Option<PathBuf>,
    /// Where the model is written.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// Directions that are trained: forward, words on the right come from the left.
    #[arg(long, value_enum, value_name = "WHICH", default_value = "both")]
    pub(crate) direction: DirectionChoice,
    /// Goes on from a model: its words and counts stay, and those of the text join them.
    #[arg(long, value_name = "MODEL")]
    pub(crate) init: Option<PathBuf>,
    /// Trains both directions at once, so that they agree on their links.
    #[arg(long)]
    pub(crate) agreement: bool,
    /// What says which word another comes from, before the words are looked at [default: hmm, or that
    /// of --init].
    #[arg(long, value_enum, value_name = "MODEL")]
    pub(crate) distortion: Option<DistortionChoice>,
    /// Passes of Model 1 before those of another model [default: 5, or none for what --init has
    /// trained].
    #[arg(long, value_name = "N")]
    pub(crate) first_passes: Option<u32>,
    /// What every translation of a word is worth in counts before any is seen [default: 0.005, 0 with
    /// --agreement, or that of --init].
    #[arg(long, value_name = "X", value_parser = not_negative)]
    pub(crate) prior: Option<f32>,
    /// Probability of the empty word, for diagonal and hmm [default: 0.2, or that of --init].
    #[arg(long, value_name = "P", value_parser = share)]
    pub(crate) empty: Option<f32>,
    /// How fast probability falls with the distance from the diagonal, for diagonal [default: 4, or
    /// that of --init].
    #[arg(long, value_name = "X", value_parser = not_negative)]
    pub(crate) tension: Option<f32>,
    /// The update rule.
    #[arg(long, value_enum, value_name = "RULE", default_value = "stepwise")]
    pub(crate) update: EmChoice,
    /// How workers share the counts.
    #[arg(long, value_enum, value_name = "STRATEGY", default_value = "asyngrad")]
    pub(crate) strategy: StrategyChoice,
    /// Number of workers [default: all cores].
    #[arg(short, long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Passes over the text, for each direction, behind those of --first-passes.
    #[arg(long, value_name = "N", default_value_t = defaults::EM_PASSES)]
    pub(crate) passes: NonZeroU32,
    /// Pairs of a step; with batch EM, pairs whose counts are written together [default: a hundredth
    /// of all, from 1 to 1000, or as many as for --init].
    #[arg(long, value_name = "N")]
    pub(crate) accumulate: Option<NonZeroU32>,
    /// Steps of stepwise EM are (k + 2)^-X, X above 0.5 and at most 1 [default: by the length of a
    /// pass].
    #[arg(long, value_name = "X")]
    pub(crate) power: Option<f32>,
    /// Seed of the order of pairs.
    #[arg(long, value_name = "N", default_value_t = defaults::SEED)]
    pub(crate) seed: u64,
    /// Most words of a side; longer pairs are left out of training.
    #[arg(long, value_name = "N", default_value_t = defaults::MOST_WORDS)]
    pub(crate) max_words: NonZeroUsize,
    /// Most memory, such as 500M or 2G: the text is read in parts, in every pass anew, and the smallest
    /// counts are dropped between them.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) max_memory: Option<u64>,
}

/// Models of where words come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DistortionChoice {
    /// All words of the other side alike: IBM Model 1.
    Uniform,
    /// Words near the diagonal: IBM Model 2 with a fixed prior.
    Diagonal,
    /// Words near the one that the word before came from.
    Hmm,
}

impl AlignTrainArgs {
    /// Returns the model that is trained in the end; `before` is that of --init.
    pub(crate) fn distortion(&self, before: Option<Distortion>) -> Distortion {
        let (mut tension, mut empty) = (defaults::TENSION, defaults::EMPTY_WORD);
        let choice = match before {
            None => DistortionChoice::Hmm,
            Some(Distortion::Uniform) => DistortionChoice::Uniform,
            Some(Distortion::Diagonal { tension: old, empty: old_empty }) => {
                (tension, empty) = (old, old_empty);
                DistortionChoice::Diagonal
            }
            Some(Distortion::Hmm { empty: old }) => {
                empty = old;
                DistortionChoice::Hmm
            }
        };
        let (tension, empty) = (self.tension.unwrap_or(tension), self.empty.unwrap_or(empty));
        match self.distortion.unwrap_or(choice) {
            DistortionChoice::Uniform => Distortion::Uniform,
            DistortionChoice::Diagonal => Distortion::Diagonal { tension, empty },
            DistortionChoice::Hmm => Distortion::Hmm { empty },
        }
    }
}

/// Reads a probability of the empty word.
fn share(text: &str) -> Result<f32, String> {
    let inside = |share: &f32| *share > 0.0 && *share < 1.0;
    let share = text.parse::<f32>().ok().filter(inside);
    share.ok_or("expected a number above 0 and below 1".to_owned())
}

/// Reads a number from 0 on.
fn not_negative(text: &str) -> Result<f32, String> {
    let number = text.parse::<f32>().ok().filter(|it| *it >= 0.0 && it.is_finite());
    number.ok_or("expected a number from 0 on".to_owned())
}

/// Reads a size in bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(number) if text.ends_with('K') => (number, 1000),
        Some(number) if text.ends_with('M') => (number, 1_000_000),
        Some(number) => (number, 1_000_000_000),
        None => (text, 1),
    };
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let size = size.filter(|&size| size >= defaults::LEAST_MEMORY);
    size.ok_or("expected a size such as 500M or 2G, at least 16M".to_owned())
}

/// Directions to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DirectionChoice {
    /// One after the other.
    Both,
    /// Words on the right come from the left.
    Forward,
    /// Words on the left come from the right.
    Backward,
}

impl DirectionChoice {
    pub(crate) fn directions(self) -> &'static [Direction] {
        match self {
            Self::Both => &[Direction::Forward, Direction::Backward],
            Self::Forward => &[Direction::Forward],
            Self::Backward => &[Direction::Backward],
        }
    }
}

/// Update rules of EM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EmChoice {
    /// A moving average of expected counts, after each step.
    Stepwise,
    /// All counts are replaced after each pass.
    Batch,
    /// The counts of the examples of a step are replaced; keeps those of every example.
    Incremental,
}

/// How two directions become one alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SymmetryChoice {
    /// Links that both directions have.
    Intersection,
    /// Links that either has.
    Union,
    /// The intersection, grown by neighbours.
    GrowDiag,
    /// As before, then links with a word that has none yet.
    GrowDiagFinal,
    /// As before, then links whose words both have none yet.
    GrowDiagFinalAnd,
}

impl From<SymmetryChoice> for Symmetry {
    fn from(choice: SymmetryChoice) -> Self {
        match choice {
            SymmetryChoice::Intersection => Self::Intersection,
            SymmetryChoice::Union => Self::Union,
            SymmetryChoice::GrowDiag => Self::GrowDiag,
            SymmetryChoice::GrowDiagFinal => Self::GrowDiagFinal,
            SymmetryChoice::GrowDiagFinalAnd => Self::GrowDiagFinalAnd,
        }
    }
}
