//! How much memory a training run will take, before it starts, and which cut-offs would make it fit.
//!
//! What is held already, the encoded corpus and the vocabulary, is measured. What comes on top
//! follows from sizes, for `L` stored weights, `A` attributes, `T` the tokens of the longest
//! sentence and `Y` labels:
//!
//! | Part          | Bytes                                                                       |
//! | ------------- | --------------------------------------------------------------------------- |
//! | weights       | 4 L a copy: the live ones, the average, those that are read out and those of the best pass where there are development data; again those of a checkpoint |
//! | step sizes    | 2 A, or 12 A where uses are counted in windows                              |
//! | workers       | hot rows twice, or a table of slots for A rows                              |
//! | long sentence | for each worker 4 T (6 Y + attributes), and 8 T Y² with rich edges          |
//! | `lbfgs`       | 8 L for each of 5 vectors, 20 of remembered steps, and one a thread         |
//!
//! Those of a Bi-LSTM are in `network`. While a model is saved there are the live weights and the attributes as they are written.
//! Instruments and `--prune` come on top.

mod network;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use asyn::core::Model;
use asyn::data::{Encoded, Encoder};
use asyn::models::{Crf, CrfShape};
use asyn::{Examples, SequenceModel, Tagger};
use serde::Serialize;

use crate::choice::{ReadChoice, StrategyChoice, UpdateChoice};
use crate::failure::Failure;
use crate::machine;
use crate::settings::Settings;

/// The bytes of a weight.
const WEIGHT: u64 = 4;
/// The bytes of an attribute in a model file, about.
const SAVED_ATTRIBUTE: u64 = 16;
/// The vectors of the length of the weights that L-BFGS needs beside pairs and threads.
const LBFGS_VECTORS: u64 = 5;
/// The pairs of vectors that L-BFGS remembers.
const LBFGS_PAIRS: u64 = 10;
/// The piece length that is suggested where a long sentence does not fit.
const PIECE: u32 = 20;
/// How many times the mean length the longest piece of a sentence is taken to have.
const LONGEST_PIECE: usize = 8;

/// What the memory of a run depends on.
#[derive(Debug, Clone)]
pub(crate) struct Forecast {
    shape: CrfShape,
    /// What there is in the place of a CRF of that shape, if it is a Bi-LSTM.
    network: Option<network::Sizes>,
    settings: Settings,
    workers: u64,
    n_sentences: u64,
    /// The tokens of the longest training sentence, and its attributes.
    longest: (usize, usize),
    /// The tokens of the longest sentence of the development data, if there are any.
    longest_dev: Option<usize>,
    /// What the process holds now, and held at most so far.
    held: u64,
    held_before: u64,
    available: Option<u64>,
}

/// The forecast in the events of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct ForecastFacts {
    pub(crate) memory_bytes: u64,
    pub(crate) available_bytes: Option<u64>,
    pub(crate) train_seconds: Option<f64>,
}

impl ForecastFacts {
    /// Returns the forecast in a line.
    pub(crate) fn in_words(&self) -> String {
        let of = self
            .available_bytes
            .map_or(String::new(), |n| format!(" of the {} that there are", size(n)));
        let time = self.train_seconds.map_or(String::new(), |seconds| {
            format!(", about {seconds:.*} s of training", usize::from(seconds < 10.0))
        });
        format!("forecast: at most {}{of}{time}", size(self.memory_bytes))
    }
}

impl Forecast {
    /// Measures what is held now; nothing where the system does not tell.
    pub(crate) fn new(
        settings: &Settings,
        encoder: &Encoder,
        model: &SequenceModel,
        examples: &Examples,
        longest_dev: Option<usize>,
    ) -> Option<Self> {
        let workers = match settings.strategy {
            StrategyChoice::Serial => 1,
            _ => settings.threads.get() as u64,
        };
        let network = match (model, examples) {
            (SequenceModel::BiLstm(model, _), Examples::Ids(examples)) => {
                Some(network::Sizes::new(model, examples))
            }
            _ => None,
        };
        let longest = attributes_of(examples).iter().max_by_key(|example| example.n_tokens());
        Some(Self {
            shape: Tagger::shape_of(encoder),
            network,
            settings: settings.clone(),
            workers,
            n_sentences: examples.len() as u64,
            longest: longest.map_or((0, 0), |it| (it.n_tokens(), it.attributes.len())),
            longest_dev,
            held: machine::memory_bytes()?,
            held_before: machine::peak_memory_bytes()?,
            available: machine::available_memory_bytes(),
        })
    }

    /// Returns the most memory that the process will have held at the end of a run, and how long it
    /// trains.
    pub(crate) fn facts(&self, train_seconds: Option<f64>) -> ForecastFacts {
        ForecastFacts {
            memory_bytes: self.peak(),
            available_bytes: self.available.map(|available| available + self.held),
            train_seconds,
        }
    }

    /// Refuses a run that would take more memory than there is, with the cut-offs that would fit.
    pub(crate) fn check(&self, encoder: &Encoder, examples: &Examples) -> Result<(), Failure> {
        let Some(available) = self.available.filter(|&available| !self.fits(available)) else {
            return Ok(());
        };
        let parts = self.parts();
        let (name, _) = parts.iter().max_by_key(|(_, bytes)| *bytes).expect("there are parts");
        let fitting = self.fitting(available, encoder, attributes_of(examples));
        let advice = if fitting.is_empty() {
            "no cut-off makes it fit".to_owned()
        } else {
            let fitting = fitting.iter();
            let fitting: Vec<String> =
                fitting.map(|(what, peak)| format!("{what} ({})", size(*peak))).collect();
            format!("it fits with {}", fitting.join(", or "))
        };
        Err(Failure::Usage(format!(
            "{}: training would take {} of memory, most of it for {name}, and {} are available: {advice}",
            self.settings.train.display(),
            size(self.peak()),
            size(available + self.held),
        )))
    }

    fn fits(&self, available: u64) -> bool {
        self.peak().saturating_sub(self.held) <= available
    }

    /// Returns the most that the process holds.
    fn peak(&self) -> u64 {
        let training: u64 = self.parts().iter().map(|(_, bytes)| bytes).sum();
        let saving = self.stored() + SAVED_ATTRIBUTE * self.shape.n_attributes as u64;
        // The weights of a model to go on from are copied out, and into their new places.
        let joining = if self.settings.init.is_some() { 4 * self.stored() } else { 0 };
        self.held_before.max(self.held + training.max(saving).max(joining))
    }

    fn stored(&self) -> u64 {
        if let Some(network) = &self.network {
            return network.stored;
        }
        Crf::new(self.shape).map_or(0, |crf| WEIGHT * crf.layout().len() as u64)
    }

    /// Returns what is held while training, by what for.
    fn parts(&self) -> [(String, u64); 3] {
        let settings = &self.settings;
        if let Some(network) = &self.network {
            return network.parts(settings, self.workers, self.longest_dev);
        }
        let CrfShape { n_labels, n_attributes, n_rich, .. } = self.shape;
        let blocks = n_attributes as u64 + n_rich as u64;
        let tables = match settings.update {
            UpdateChoice::Asgd => 1,
            UpdateChoice::AdaptiveRevision => 3,
            _ => 0,
        };
        let best = u64::from(self.longest_dev.is_some());
        let is_batch = settings.update == UpdateChoice::Lbfgs;
        // What is scored is read out into a copy, and the best of them is another.
        let mut copies = if is_batch { 2 + best } else { 1 + tables + 2 * best };
        // A run folder holds the tables of a checkpoint, and the file that they are written to.
        copies += if self.writes_checkpoints() { 1 + tables + best } else { 0 };
        let mut weights = copies * self.stored();
        if is_batch {
            let pairs = LBFGS_PAIRS.min(u64::from(settings.passes));
            let vectors = LBFGS_VECTORS + 2 * pairs + settings.threads.get() as u64;
            weights += 2 * vectors * self.stored() + 2 * self.stored();
        }
        // How often a block is used is counted by each worker for itself, and then added up.
        let counting = 12 * self.workers + 8;
        let steps = match settings.update {
            UpdateChoice::Adf => (2 + counting) * blocks,
            UpdateChoice::AdfCounting => (12 + counting) * blocks,
            UpdateChoice::AdaptiveRevision => (4 + counting) * blocks,
            _ => 0,
        };
        let name = if n_rich as u64 * n_labels as u64 > n_attributes as u64 {
            format!("the weights of {n_rich} rich attributes and {n_labels} labels")
        } else {
            format!("the weights of {n_attributes} attributes and {n_labels} labels")
        };
        // Counting lists what a sentence touches, in a list that doubles as it grows.
        let kinds = 1 + u64::from(n_rich > 0);
        let touched = if steps > 0 { 2 * 4 * kinds * self.longest.1 as u64 } else { 0 };
        let sentences = self.workers.min(self.n_sentences) * (self.of_sentence() + touched)
            + self.of_dev_sentence();
        [
            (name, weights + steps),
            (format!("{} workers", self.workers), self.workers * self.of_worker(1 + tables)),
            (format!("a sentence of {} tokens", self.longest.0), sentences),
        ]
    }

    fn writes_checkpoints(&self) -> bool {
        // Where no model is named, the run has a folder.
        self.settings.model.is_none()
    }

    /// Returns what a worker keeps for itself.
    fn of_worker(&self, n_tables: u64) -> u64 {
        let CrfShape { n_labels, n_attributes, n_rich, .. } = self.shape;
        let row = |width: usize, rows: usize, hot: usize| rows.min(hot) * width.next_multiple_of(8);
        let hot = self.settings.replicas.and_then(|replicas| replicas.0).unwrap_or(0) as usize;
        let hot_rows = row(n_labels, n_attributes, hot) + row(n_labels * n_labels, n_rich, hot);
        let snapshots = self.settings.read == ReadChoice::Snapshot
            || matches!(
                self.settings.strategy,
                StrategyChoice::Locked | StrategyChoice::RoundRobin
            );
        let slots = if snapshots { n_attributes + n_rich } else { 0 };
        // Edges as they are read, as exponentials in both orders, and their errors.
        let edges = 8 * n_labels * n_labels.next_multiple_of(16);
        2 * WEIGHT * n_tables * hot_rows as u64 + WEIGHT * (slots + edges) as u64
    }

    /// Returns what a worker needs for the longest sentence, or the longest piece of it.
    fn of_sentence(&self) -> u64 {
        let (tokens, attributes) = self.longest;
        let piece = match (self.settings.sr_length, self.settings.sr_pieces) {
            (Some(length), _) => LONGEST_PIECE * length.get() as usize,
            (None, Some(pieces)) => LONGEST_PIECE * tokens.div_ceil(pieces.get() as usize),
            (None, None) => tokens,
        };
        let piece = piece.min(tokens) as u64;
        let (tokens, attributes) = (tokens as u64, attributes as u64);
        let labels = self.shape.n_labels as u64;
        let width = labels.next_multiple_of(16);
        // A list of errors that has grown leaves about its size behind.
        let chain = piece * 4 * width + 2 * tokens * labels.next_multiple_of(8);
        let edges = if self.shape.n_rich > 0 {
            piece * labels.next_multiple_of(8) * width + tokens * labels * labels
        } else {
            0
        };
        WEIGHT * (chain + edges + 2 * attributes)
    }

    fn of_dev_sentence(&self) -> u64 {
        let (tokens, labels) = (self.longest_dev.unwrap_or(0) as u64, self.shape.n_labels as u64);
        let width = labels.next_multiple_of(16);
        let edges = if self.shape.n_rich > 0 { labels * width } else { 0 };
        WEIGHT * tokens * (2 * width + edges) * self.settings.threads.get() as u64
    }

    /// Returns the changes of the settings that would fit, each with its peak.
    fn fitting(
        &self,
        available: u64,
        encoder: &Encoder,
        examples: &[Encoded],
    ) -> Vec<(String, u64)> {
        let alone = Self { workers: 1, ..self.clone() };
        let alone = first_that_fits([("--threads 1".to_owned(), alone)].into_iter(), available);
        if self.network.is_some() {
            return alone.into_iter().collect();
        }
        let mut counts = vec![0_u32; self.shape.n_attributes];
        for &id in examples.iter().flat_map(|example| &example.attributes) {
            counts[id as usize] += 1;
        }
        let (rich, plain) = counts.split_at(self.shape.n_rich);
        let is_of_edge_line =
            |id: usize| u32::try_from(id).is_ok_and(|id| encoder.attribute(id).starts_with('B'));
        // The attributes of `B` lines are rich however rare they are.
        let (always, mut gated): (Vec<_>, Vec<_>) =
            rich.iter().enumerate().partition(|(id, _)| is_of_edge_line(*id));
        gated.sort_unstable_by_key(|&(_, count)| count);
        let with = |n_attributes: usize, n_rich: usize| Self {
            shape: CrfShape { n_attributes, n_rich, ..self.shape },
            ..self.clone()
        };
        let mut tried = Vec::new();
        if !gated.is_empty() {
            let n_attributes = self.shape.n_attributes;
            let higher = distinct(gated.iter().map(|(_, count)| **count)).map(|count| count + 1);
            let less_rich = higher.map(|least| {
                let kept = gated.iter().filter(|(_, count)| **count >= least).count();
                (format!("--edge-min-freq {least}"), with(n_attributes, always.len() + kept))
            });
            tried.push(first_that_fits(less_rich, available));
            let none = ("no --rich-edges".to_owned(), with(n_attributes, always.len()));
            tried.push(first_that_fits([none].into_iter(), available));
        }
        let higher = distinct(counts.iter().copied()).map(|count| count + 1);
        let fewer = higher.map(|least| {
            let kept = |counts: &[u32]| counts.iter().filter(|count| **count >= least).count();
            let n_rich = kept(rich);
            (format!("--min-freq {least}"), with(n_rich + kept(plain), n_rich))
        });
        let fewer = fewer.filter(|(_, forecast)| forecast.shape.n_attributes > 0);
        tried.push(first_that_fits(fewer, available));
        let mut pieces = self.clone();
        pieces.settings.sr_length = NonZeroU32::new(PIECE);
        tried.push(first_that_fits(
            [(format!("--sr-length {PIECE}"), pieces)].into_iter(),
            available,
        ));
        tried.push(alone);
        tried.into_iter().flatten().collect()
    }
}

/// Returns the sentences of a CRF, none of a network.
fn attributes_of(examples: &Examples) -> &[Encoded] {
    match examples {
        Examples::Attributes(examples) => examples,
        Examples::Ids(_) => &[],
    }
}

pub(crate) fn size(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 1e4 {
        format!("{megabytes:.0} MB")
    } else {
        format!("{:.1} GB", megabytes / 1e3)
    }
}

/// Returns the distinct numbers in ascending order.
fn distinct(numbers: impl Iterator<Item = u32>) -> impl Iterator<Item = u32> {
    numbers.collect::<BTreeSet<_>>().into_iter()
}

fn first_that_fits(
    mut tried: impl Iterator<Item = (String, Forecast)>,
    available: u64,
) -> Option<(String, u64)> {
    let found = tried.find(|(_, forecast)| forecast.fits(available));
    found.map(|(what, forecast)| (what, forecast.peak()))
}
