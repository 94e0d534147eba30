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
    /// What says which word another comes from, before the words are looked at.
    #[arg(long, value_enum, value_name = "MODEL", default_value = "hmm")]
    pub(crate) distortion: DistortionChoice,
    /// Passes of Model 1 before those of another model.
    #[arg(long, value_name = "N", default_value_t = defaults::FIRST_PASSES)]
    pub(crate) first_passes: u32,
    /// Probability of the empty word, for diagonal and hmm.
    #[arg(long, value_name = "P", default_value_t = defaults::EMPTY_WORD, value_parser = share)]
    pub(crate) empty: f32,
    /// How fast probability falls with the distance from the diagonal, for diagonal.
    #[arg(long, value_name = "X", default_value_t = defaults::TENSION, value_parser = tension)]
    pub(crate) tension: f32,
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
    /// of all, from 1 to 1000].
    #[arg(long, value_name = "N")]
    pub(crate) accumulate: Option<NonZeroU32>,
    /// Steps of stepwise EM are (k + 2)^-X: above 0.5 and at most 1.
    #[arg(long, value_name = "X", default_value_t = defaults::EM_POWER)]
    pub(crate) power: f32,
    /// Seed of the order of pairs.
    #[arg(long, value_name = "N", default_value_t = defaults::SEED)]
    pub(crate) seed: u64,
    /// Most words of a side; longer pairs are left out of training.
    #[arg(long, value_name = "N", default_value_t = defaults::MOST_WORDS)]
    pub(crate) max_words: NonZeroUsize,
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
    /// Returns the model that is trained in the end.
    pub(crate) fn distortion(&self) -> Distortion {
        let (tension, empty) = (self.tension, self.empty);
        match self.distortion {
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

/// Reads how fast a prior falls.
fn tension(text: &str) -> Result<f32, String> {
    let tension = text.parse::<f32>().ok().filter(|it| *it >= 0.0 && it.is_finite());
    tension.ok_or("expected a number from 0 on".to_owned())
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
