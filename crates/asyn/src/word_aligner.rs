//! A word aligner of a pair of languages, in one direction or both, and its model file.
//!
//! | Part of the model file        | Content                                                  |
//! | ----------------------------- | -------------------------------------------------------- |
//! | `left`, `right`               | the words of each side, one a line                       |
//! | `forward.counts`              | expected counts, row after row                           |
//! | `forward.jumps`               | expected counts of jumps, by distance                    |
//! | `forward.starts`, `forward.targets` | the rows and columns of the counts, as `u32`, the lowest byte first |
//! | `backward.…`                  | the same for the other direction                         |
//! | string map                    | `distortion`, `tension`, `empty` and `prior`; `forward.pairs` and `forward.steps`, the pairs that the counts are those of and the steps that made them; and whatever the caller wants to say |
//!
//! Forward, each word on the right comes from one on the left, or from the empty word; backward,
//! each word on the left from one on the right.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use asyn_core::{Model, Real, SharedWeights};
use asyn_data::{Bitext, LentTensor, Links, ModelFault, ModelFile, Side, Symmetry, Tensor, Words};
use asyn_models::{Aligner, Cooccurrences, Distortion};

use crate::alignment_task::AlignmentTask;
use crate::error::Result;

/// The kind of model file that holds a [`WordAligner`].
pub const ALIGNER_KIND: &str = "aligner";

/// Which side the words of the other one come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Words on the right come from the left.
    Forward,
    /// Words on the left come from the right.
    Backward,
}

/// How a direction was trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DirectionSettings {
    /// What it takes for the probability of source words before it sees them.
    pub distortion: Distortion,
    /// The counts that its prior is worth, of each target word.
    pub prior: Real,
    /// The number of steps that were made.
    pub n_steps: u64,
}

/// A trained direction.
#[derive(Debug)]
pub(crate) struct Trained {
    pub(crate) aligner: Aligner,
    /// Counts of `n_pairs` pairs.
    pub(crate) weights: SharedWeights,
    /// The number of all pairs that were trained on.
    pub(crate) n_pairs: u64,
    /// The number of steps that were made.
    pub(crate) n_steps: u64,
}

impl Trained {
    /// Multiplies all counts.
    pub(crate) fn scale(&mut self, factor: f64) {
        #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
        let factor = factor as Real;
        if factor != 1.0 {
            self.weights.as_mut_slice().iter_mut().for_each(|weight| *weight *= factor);
        }
    }
}

/// A word aligner with the words of both languages.
///
/// ```
/// use asyn::core::{StepSizes, StepwiseEm, Trainer};
/// use asyn::data::{Bitext, Symmetry};
/// use asyn::models::Distortion;
/// use asyn::{Direction, WordAligner, AlignmentTask};
///
/// let text = "la maison ||| the house\nla fleur ||| the flower\nune fleur ||| a flower\n";
/// let bitext = Bitext::read_lines("example", text)?;
/// let mut aligner = WordAligner::new(&bitext);
/// for direction in [Direction::Forward, Direction::Backward] {
///     let mut task = AlignmentTask::new(&bitext, direction, Distortion::Uniform, 100)?;
///     let (sizes, multinomials) = (StepSizes::Window, task.aligner().multinomials());
///     let update = StepwiseEm { sizes, multinomials, ..Default::default() };
///     let trainer = Trainer::builder().update(update).passes(30).build()?;
///     task.fit(&trainer, &mut ())?;
///     aligner.set(direction, task);
/// }
/// let links = aligner.align(&["la", "fleur"], &["the", "flower"], Symmetry::default());
/// assert_eq!(links.to_string(), "0-0 1-1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct WordAligner {
    left: Words,
    right: Words,
    directions: BTreeMap<Direction, Trained>,
}

impl Direction {
    /// Returns the name by which files know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
        }
    }

    /// Returns what words come from, and the words that come from it.
    pub(crate) fn ends<T>(self, left: T, right: T) -> (T, T) {
        match self {
            Self::Forward => (left, right),
            Self::Backward => (right, left),
        }
    }
}

impl WordAligner {
    /// Makes an aligner of the words of a text, without any direction yet.
    pub fn new(bitext: &Bitext) -> Self {
        let (left, right) = (bitext.left().words().clone(), bitext.right().words().clone());
        Self { left, right, directions: BTreeMap::new() }
    }

    /// Adds the words of a text. Directions that are there know them from then on, and have no counts
    /// of them yet.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if there are too many pairs of words.
    pub fn learn_words(&mut self, bitext: &Bitext) -> Result<()> {
        let before = (self.left.len(), self.right.len());
        let sides = [(&mut self.left, bitext.left()), (&mut self.right, bitext.right())];
        for (words, side) in sides {
            side.words().iter().for_each(|word| {
                words.learn(word);
            });
        }
        let now = (self.left.len(), self.right.len());
        if now != before {
            for (direction, trained) in &mut self.directions {
                let n_words = direction.ends(now.0, now.1);
                let (nothing, _) = Cooccurrences::build(n_words, 0, |_| (&[][..], &[][..]))?;
                let (aligner, weights, _) =
                    trained.aligner.extend(&trained.weights, &nothing, Vec::new())?;
                (trained.aligner, trained.weights) = (aligner, weights);
            }
        }
        Ok(())
    }

    /// Gets ready to train a direction, or to train it further, on the pairs of a text whose sides
    /// both have from 1 to `most` words. `is_new` says that these pairs were not trained on before.
    /// A direction that is there is with the task until it is [`set`](Self::set) again; another one
    /// starts as Model 1.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if there are too many pairs of words.
    ///
    /// # Panics
    ///
    /// If a word of the text is not known: see [`learn_words`](Self::learn_words).
    pub fn task(
        &mut self,
        direction: Direction,
        bitext: &Bitext,
        most: usize,
        is_new: bool,
    ) -> Result<AlignmentTask> {
        let fits = |n: usize| (1..=most).contains(&n);
        let used = |pair: &usize| fits(bitext.lengths(*pair).0) && fits(bitext.lengths(*pair).1);
        let used: Vec<usize> = (0..bitext.n_pairs()).filter(used).collect();
        let ids = |side: &Side, words: &Words| -> Vec<u32> {
            let id = |word| words.find(word).expect("all words were learned");
            let ids: Vec<u32> = side.words().iter().map(id).collect();
            side.ids().iter().map(|&id| ids[id as usize]).collect()
        };
        let sides = (bitext.left(), bitext.right());
        let (left, right) = (ids(sides.0, &self.left), ids(sides.1, &self.right));
        let pair = |at: usize| {
            let pair = used[at];
            direction.ends(&left[sides.0.range(pair)], &right[sides.1.range(pair)])
        };
        let n_words = direction.ends(self.left.len(), self.right.len());
        let (table, pairs) = Cooccurrences::build(n_words, used.len(), pair)?;
        // Training is when most memory is held.
        drop((left, right));
        let n_new = if is_new { used.len() as u64 } else { 0 };
        let Some(mut old) = self.directions.remove(&direction) else {
            let aligner = Aligner::new(table, Distortion::Uniform).with_prior(0.0, n_new.max(1));
            let weights = aligner.initial_weights(1);
            let trained = Trained { aligner, weights, n_pairs: n_new.max(1), n_steps: 0 };
            return Ok(AlignmentTask::new_of(trained, pairs));
        };
        let (aligner, weights, pairs) = old.aligner.extend(&old.weights, &table, pairs)?;
        (old.aligner, old.weights) = (aligner, weights);
        let n_pairs = old.n_pairs + n_new;
        old.scale(n_pairs as f64 / old.n_pairs as f64);
        let prior = old.aligner.prior();
        let Trained { aligner, weights, n_steps, .. } = old;
        let aligner = aligner.with_prior(prior, n_pairs);
        Ok(AlignmentTask::new_of(Trained { aligner, weights, n_pairs, n_steps }, pairs))
    }

    /// Takes over what was trained.
    pub fn set(&mut self, direction: Direction, task: AlignmentTask) {
        self.directions.insert(direction, task.into_trained());
    }

    /// Drops the smallest counts of each direction until it has at most `most`; returns how many were
    /// dropped.
    pub fn prune(&mut self, most: usize) -> usize {
        let mut n_all = 0;
        for trained in self.directions.values_mut() {
            if let Some((aligner, weights, n)) = trained.aligner.prune(&trained.weights, most) {
                (trained.aligner, trained.weights) = (aligner, weights);
                n_all += n;
            }
        }
        n_all
    }

    /// Returns how a direction was trained, if it is there.
    pub fn settings(&self, direction: Direction) -> Option<DirectionSettings> {
        let Trained { aligner, n_steps, .. } = self.directions.get(&direction)?;
        let (distortion, prior) = (aligner.distortion(), aligner.prior());
        Some(DirectionSettings { distortion, prior, n_steps: *n_steps })
    }

    /// Returns the directions that were trained.
    pub fn directions(&self) -> impl Iterator<Item = Direction> + '_ {
        self.directions.keys().copied()
    }

    /// Returns the words of both sides.
    pub fn words(&self) -> (&Words, &Words) {
        (&self.left, &self.right)
    }

    /// Returns the number of counts of all directions.
    pub fn n_counts(&self) -> usize {
        self.directions.values().map(|it| it.aligner.table().targets().len()).sum()
    }

    /// Aligns a pair: both directions, joined, or the only one that there is.
    pub fn align(&self, left: &[&str], right: &[&str], symmetry: Symmetry) -> Links {
        let links = |direction| {
            let trained = self.directions.get(&direction)?;
            let pair = Place { aligner: self, direction, left, right };
            Some(Links::new(pair.links(trained)))
        };
        match (links(Direction::Forward), links(Direction::Backward)) {
            (Some(forward), Some(backward)) => {
                symmetry.join(&forward, &backward, (left.len(), right.len()))
            }
            (forward, backward) => forward.or(backward).unwrap_or_default(),
        }
    }

    /// Returns for each of `links` how probable it is: the mean of both directions, or what the only
    /// one says.
    pub fn probabilities(&self, left: &[&str], right: &[&str], links: &Links) -> Vec<f64> {
        let mut sums = vec![0.0; links.len()];
        for (&direction, trained) in &self.directions {
            let pair = Place { aligner: self, direction, left, right };
            pair.each_part(trained, |sources, targets, posteriors| {
                for (sum, (left, right)) in sums.iter_mut().zip(links.iter()) {
                    let (source, target) = direction.ends(left as usize, right as usize);
                    if sources.contains(&source) && targets.contains(&target) {
                        let row = source - sources.start + 1;
                        let at = row * targets.len() + target - targets.start;
                        *sum += f64::from(posteriors[at]) / self.directions.len() as f64;
                    }
                }
            });
        }
        sums
    }

    /// Writes a model file; what was at `path` stays there until everything is written.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data), as [`ModelFile::save`].
    pub fn save(&self, path: impl AsRef<Path>, about: BTreeMap<String, String>) -> Result<()> {
        let mut file = ModelFile::new(ALIGNER_KIND);
        file.metadata = about;
        file.blobs.insert("left".to_owned(), self.left.to_lines());
        file.blobs.insert("right".to_owned(), self.right.to_lines());
        let mut lent = BTreeMap::new();
        for (direction, trained) in &self.directions {
            let name = |part: &str| format!("{}.{part}", direction.name());
            let table = trained.aligner.table();
            file.blobs.insert(name("starts"), to_bytes(table.starts()));
            file.blobs.insert(name("targets"), to_bytes(table.targets()));
            let tensor = LentTensor {
                shape: vec![table.targets().len()],
                visit: Box::new(move |take| trained.aligner.visit_counts(&trained.weights, take)),
            };
            lent.insert(name("counts"), tensor);
            let jumps = trained.aligner.export_jumps(&trained.weights);
            file.tensors.insert(name("jumps"), Tensor::new(&[jumps.len()], jumps));
            describe(trained.aligner.distortion(), &mut file.metadata);
            file.metadata.insert("prior".to_owned(), trained.aligner.prior().to_string());
            file.metadata.insert(name("pairs"), trained.n_pairs.to_string());
            file.metadata.insert(name("steps"), trained.n_steps.to_string());
        }
        Ok(file.save_with(path, &lent)?)
    }

    /// Reads a model file; returns what was said about the model too.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if the file cannot be read, is damaged, or holds another
    /// kind of model.
    pub fn load(path: impl AsRef<Path>) -> Result<(Self, BTreeMap<String, String>)> {
        let name = path.as_ref().display().to_string();
        let mut file = ModelFile::load(path, ALIGNER_KIND)?;
        let about = std::mem::take(&mut file.metadata);
        let fault = |fault| asyn_data::Error::Model { name: name.clone(), fault };
        let distortion =
            distortion(&about).ok_or(fault(ModelFault::Content { name: "distortion" }))?;
        let words = |name: &'static str| {
            let words = file.blobs.get(name).and_then(|bytes| Words::from_lines(bytes));
            words.ok_or(fault(ModelFault::Content { name }))
        };
        let (left, right) = (words("left")?, words("right")?);
        let mut directions = BTreeMap::new();
        for direction in [Direction::Forward, Direction::Backward] {
            let counts = file.tensors.remove(&format!("{}.counts", direction.name()));
            let Some(counts) = counts else { continue };
            let n_words = direction.ends(left.len(), right.len());
            let trained = read(&file, &about, direction, &counts, n_words).map_err(fault)?;
            let aligner = trained.aligner.with_distortion(distortion);
            directions.insert(direction, Trained { aligner, ..trained });
        }
        Ok((Self { left, right, directions }, about))
    }
}

/// The most pairs of words that are looked at together: longer sentences are cut, which changes
/// nothing where target words do not depend on each other.
const MOST_CELLS: usize = 1 << 22;

/// The longest sentence that an HMM, whose time grows with the third power of lengths, aligns as a
/// whole; longer pairs are cut on both sides, in proportion.
const LONGEST: usize = 500;

/// A pair of sentences in a direction.
struct Place<'a> {
    aligner: &'a WordAligner,
    direction: Direction,
    left: &'a [&'a str],
    right: &'a [&'a str],
}

impl Place<'_> {
    /// Returns the most probable links, from left to right.
    fn links(&self, trained: &Trained) -> Vec<(u32, u32)> {
        let mut links = Vec::new();
        self.each_part(trained, |sources, targets, posteriors| {
            for (at, target) in targets.clone().enumerate() {
                // Of source words that are as probable, the first one; the empty word is row 0.
                let (mut best, mut most) = (0, 0.0);
                for (row, posteriors) in posteriors.chunks_exact(targets.len()).enumerate() {
                    if posteriors[at] > most {
                        (best, most) = (row, posteriors[at]);
                    }
                }
                if best > 0 {
                    let (left, right) = self.direction.ends(sources.start + best - 1, target);
                    links.push((number(left), number(right)));
                }
            }
        });
        links
    }

    /// Calls `visit` with the posteriors of all target words, some at a time: with the source words
    /// that they may come from, the target words, and the posteriors.
    fn each_part(
        &self,
        trained: &Trained,
        mut visit: impl FnMut(Range<usize>, Range<usize>, &[Real]),
    ) {
        let (source, target) = self.direction.ends(self.left, self.right);
        let (of_source, of_target) = self.direction.ends(&self.aligner.left, &self.aligner.right);
        let ids = |words: &[&str], of: &Words| -> Vec<Option<u32>> {
            words.iter().map(|word| of.find(word)).collect()
        };
        let (source, target) = (ids(source, of_source), ids(target, of_target));
        let (n_source, n_target) = (source.len(), target.len());
        let is_chain = matches!(trained.aligner.distortion(), Distortion::Hmm { .. });
        let (n_parts, cuts_source) = match n_source.max(n_target) > LONGEST && is_chain {
            true => (n_source.max(n_target).div_ceil(LONGEST).min(n_source).min(n_target), true),
            false => (((n_source + 1) * n_target).div_ceil(MOST_CELLS), false),
        };
        let n_parts = n_parts.max(1);
        let part = |i: usize, n: usize| i * n / n_parts..(i + 1) * n / n_parts;
        let mut posteriors = Vec::new();
        for i in 0..n_parts {
            let sources = if cuts_source { part(i, n_source) } else { 0..n_source };
            let targets = part(i, n_target);
            let (source, target) = (&source[sources.clone()], &target[targets.clone()]);
            let pair = trained.aligner.table().pair(source, target);
            trained.aligner.posteriors(&trained.weights, &pair, &mut posteriors);
            visit(sources, targets, &posteriors);
        }
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).expect("a sentence has fewer words than a text bytes")
}

fn read(
    file: &ModelFile,
    about: &BTreeMap<String, String>,
    direction: Direction,
    counts: &Tensor,
    n_words: (usize, usize),
) -> Result<Trained, ModelFault> {
    let unfit = |_| ModelFault::Content { name: "the table of counts" };
    let part = |part: &str| {
        let blob = file.blobs.get(&format!("{}.{part}", direction.name()));
        blob.map(|bytes| from_bytes(bytes))
            .ok_or(ModelFault::Missing { name: "the table of counts" })
    };
    let (starts, targets) = (part("starts")?, part("targets")?);
    let table = Cooccurrences::from_parts(starts, targets, n_words.1).map_err(unfit)?;
    let is_whole = table.n_rows() == n_words.0 + 1 && table.targets().len() == counts.values.len();
    if !is_whole || counts.values.iter().any(|&count| count < 0.0) {
        return Err(unfit(asyn_models::Error::Counts { actual: counts.values.len() }));
    }
    let number = |part: &str| -> Option<u64> {
        about.get(&format!("{}.{part}", direction.name()))?.parse().ok()
    };
    let n_pairs = number("pairs").filter(|&n| n > 0);
    let n_pairs = n_pairs.ok_or(ModelFault::Content { name: "the number of pairs" })?;
    let n_steps = number("steps").ok_or(ModelFault::Content { name: "the number of steps" })?;
    let prior = about.get("prior").and_then(|prior| prior.parse().ok());
    let prior = prior.filter(|prior: &Real| *prior >= 0.0 && prior.is_finite());
    let prior = prior.ok_or(ModelFault::Content { name: "the prior" })?;
    let aligner = Aligner::new(table, Distortion::Uniform).with_prior(prior, n_pairs);
    let mut weights = aligner.import(&counts.values);
    let jumps = file.tensors.get(&format!("{}.jumps", direction.name()));
    let jumps = jumps.ok_or(ModelFault::Missing { name: "the counts of jumps" })?;
    aligner.import_jumps(&mut weights, &jumps.values).map_err(unfit)?;
    Ok(Trained { aligner, weights, n_pairs, n_steps })
}

/// Says what a distortion is, in strings.
fn describe(distortion: Distortion, about: &mut BTreeMap<String, String>) {
    let mut say = |name: &str, value: String| about.insert(name.to_owned(), value);
    match distortion {
        Distortion::Uniform => say("distortion", "uniform".to_owned()),
        Distortion::Diagonal { tension, empty } => {
            say("tension", tension.to_string());
            say("empty", empty.to_string());
            say("distortion", "diagonal".to_owned())
        }
        Distortion::Hmm { empty } => {
            say("empty", empty.to_string());
            say("distortion", "hmm".to_owned())
        }
    };
}

/// Returns the distortion that strings say.
fn distortion(about: &BTreeMap<String, String>) -> Option<Distortion> {
    let number = |name: &str| -> Option<Real> { about.get(name)?.parse().ok() };
    let share = || number("empty").filter(|empty| (0.0..=1.0).contains(empty));
    Some(match about.get("distortion")?.as_str() {
        "uniform" => Distortion::Uniform,
        "diagonal" => {
            let tension = number("tension").filter(|tension| *tension >= 0.0)?;
            Distortion::Diagonal { tension, empty: share()? }
        }
        "hmm" => Distortion::Hmm { empty: share()? },
        _ => return None,
    })
}

fn to_bytes(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn from_bytes(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|&number| u32::from_le_bytes(number)).collect()
}
