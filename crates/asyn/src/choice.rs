//! Closed sets that a setting is chosen from, spelled alike on the command line and in files.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use asyn::core::simulate::CostModel;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How workers share the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StrategyChoice {
    /// One worker; a seed repeats a run exactly.
    Serial,
    /// All workers read and write live weights, with no lock and in no order.
    Asyngrad,
    /// Copies and writes under one lock, in any order.
    Locked,
    /// Copies and writes in turn.
    RoundRobin,
    /// All workers compute at the same weights, one writes.
    Minibatch,
    /// As asyngrad, but nobody runs far ahead of the slowest.
    Bounded,
}

/// The update rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum UpdateChoice {
    /// Stochastic gradient descent.
    Sgd,
    /// Averaged stochastic gradient descent.
    Asgd,
    /// Step sizes that adapt to the frequency of features in the training data.
    Adf,
    /// The same, with the frequency counted in each window, as published.
    AdfCounting,
    /// AdaGrad that takes account of what other workers wrote meanwhile.
    AdaptiveRevision,
    /// L-BFGS on the gradient of all examples: a pass is an iteration.
    Lbfgs,
    /// Adam, for networks.
    Adam,
    /// Step sizes by the mean of squared gradients alone, for networks.
    Rmsprop,
    /// Gradient descent with momentum, for networks.
    Momentum,
}

impl UpdateChoice {
    /// Returns the name of the rule.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::Asgd => "asgd",
            Self::Adf => "adf",
            Self::AdfCounting => "adf-counting",
            Self::AdaptiveRevision => "adaptive-revision",
            Self::Lbfgs => "lbfgs",
            Self::Adam => "adam",
            Self::Rmsprop => "rmsprop",
            Self::Momentum => "momentum",
        }
    }
}

/// When L2 shrinks the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum L2FormChoice {
    /// All of them in every step.
    Exact,
    /// Those of an attribute where it is used, by its share of the pass.
    OnTouch,
    /// All of them after each window of a pass.
    PerWindow,
    /// All of them after each pass.
    PerPass,
}

impl fmt::Display for L2FormChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::OnTouch => "on-touch",
            Self::PerWindow => "per-window",
            Self::PerPass => "per-pass",
        })
    }
}

/// How a step size falls over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ScheduleChoice {
    /// The same throughout.
    Constant,
    /// Multiplied by the decay from pass to pass.
    Exponential,
    /// Inversely with time.
    InverseTime,
}

/// How gradients read weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReadChoice {
    /// Live, whenever a value is needed.
    InPlace,
    /// From a copy of what a step touches.
    Snapshot,
}

/// How workers write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WriteChoice {
    /// Load, add, store.
    Racy,
    /// Compare and swap; slow.
    Cas,
}

/// How a pass draws its examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SamplingChoice {
    /// Each once, in a new order.
    WithoutReplacement,
    /// Each draw from all of them.
    WithReplacement,
}

/// Which instruments watch the races.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum InstrumentsChoice {
    /// None.
    Off,
    /// Those that are cheap enough to leave on.
    Default,
    /// All of them, for runs that are about measuring.
    Full,
}

/// How a labelled file is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScorerChoice {
    /// Chunks, as the classic scorer counts and prints them.
    Conlleval,
    /// Typed spans in any tag scheme: IOB1, IOB2, IOBES, BILOU, BMES.
    Spans,
    /// Words of segmented text, in and out of vocabulary.
    Sighan,
    /// Tokens.
    Accuracy,
    /// Alignments of words, by their error rate.
    Aer,
    /// States that were found without labels, against gold tags.
    States,
}

/// How many of the most frequent rows each worker keeps a copy of; written `off` for none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Replication(pub(crate) Option<u32>);

impl FromStr for Replication {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("off", _) => Ok(Self(None)),
            (_, Ok(rows)) => Ok(Self(Some(rows))),
            _ => Err("expected a number of rows, or off".to_owned()),
        }
    }
}

impl fmt::Display for Replication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(rows) => rows.fmt(f),
        }
    }
}

impl From<Replication> for String {
    fn from(replication: Replication) -> Self {
        replication.to_string()
    }
}

impl TryFrom<String> for Replication {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The longest mean of injected sleeps, in microseconds.
const LONGEST_SLEEP: f64 = 1e6;

/// Sleeps between gradient and write, in microseconds, and the share of steps that have one;
/// written as `MEAN` or `MEAN:SHARE`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Delay {
    pub(crate) mean: f64,
    pub(crate) share: f64,
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mean, share) = text.split_once(':').unwrap_or((text, "0.25"));
        let mean = mean.parse().ok().filter(|mean| *mean > 0.0 && *mean <= LONGEST_SLEEP);
        let share = share.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
        Ok(Self {
            mean: mean.ok_or("expected a mean above 0 and at most 1000000 microseconds")?,
            share: share.ok_or("expected a share of steps above 0 and at most 1")?,
        })
    }
}

impl From<Delay> for asyn::core::Delay {
    fn from(Delay { mean, share }: Delay) -> Self {
        Self { mean: Duration::from_secs_f64(mean / 1e6), probability: share }
    }
}

impl From<Delay> for String {
    fn from(Delay { mean, share }: Delay) -> Self {
        format!("{mean}:{share}")
    }
}

impl TryFrom<String> for Delay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What things cost in simulated nanoseconds; written as `name=number,...`, what is not named at
/// its default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct SimulatedCost(pub(crate) CostModel);

impl FromStr for SimulatedCost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut cost = CostModel::default();
        for part in text.split(',') {
            let (name, value) = part.split_once('=').ok_or("expected NAME=NS,...")?;
            let place = match name {
                "load" => &mut cost.load,
                "store" => &mut cost.store,
                "miss" => &mut cost.miss,
                "compute" => &mut cost.compute,
                "grain" => &mut cost.grain,
                _ => return Err(format!("{name} is not one of load, store, miss, compute, grain")),
            };
            let number = value.parse().ok().filter(|ns: &f64| ns.is_finite() && *ns >= 0.0);
            *place = number.ok_or(format!("{name}: expected nanoseconds, 0 or more"))?;
        }
        Ok(Self(cost))
    }
}

impl From<SimulatedCost> for String {
    fn from(SimulatedCost(cost): SimulatedCost) -> Self {
        let CostModel { load, store, miss, compute, grain } = cost;
        format!("load={load},store={store},miss={miss},compute={compute},grain={grain}")
    }
}

impl TryFrom<String> for SimulatedCost {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The models that tokens are labelled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindChoice {
    /// A conditional random field.
    Crf,
    /// A bidirectional LSTM.
    Bilstm,
}

/// How labels of a network follow from their scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OutputChoice {
    /// Each token on its own.
    Softmax,
    /// A conditional random field over the sentence.
    Crf,
}

/// What the recurrent weights of a network start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum InitialChoice {
    /// Orthogonal matrices between units.
    Orthogonal,
    /// Uniform numbers, the smaller the larger the matrix.
    Xavier,
    /// Diagonal matrices of normal numbers, as published with AsynGrad.
    DiagNormal,
}

/// Whose the means of gradients are that adam keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MomentsChoice {
    /// Of all workers.
    Shared,
    /// Those of gradients of each worker, those of squares of all.
    Mixed,
    /// Of each worker.
    Private,
}

/// The lengths of vectors, one a column; written with commas between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Widths(pub(crate) Vec<usize>);

impl FromStr for Widths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lengths = text.split(',').map(|length| length.parse().ok().filter(|&n| n > 0));
        lengths.collect::<Option<_>>().map(Self).ok_or("expected lengths N,... above 0".to_owned())
    }
}

impl From<Widths> for String {
    fn from(Widths(lengths): Widths) -> Self {
        lengths.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

impl TryFrom<String> for Widths {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The length of the vector of a character, and the units of each direction of the layer over them;
/// written as `WIDTH,HIDDEN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct CharacterSizes {
    pub(crate) width: usize,
    pub(crate) hidden: usize,
}

impl FromStr for CharacterSizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse().as_ref().map(|Widths(sizes)| sizes.as_slice()) {
            Ok(&[width, hidden]) => Ok(Self { width, hidden }),
            _ => Err("expected WIDTH,HIDDEN, both above 0".to_owned()),
        }
    }
}

impl From<CharacterSizes> for String {
    fn from(CharacterSizes { width, hidden }: CharacterSizes) -> Self {
        format!("{width},{hidden}")
    }
}

impl TryFrom<String> for CharacterSizes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
