//! Word alignment: each target word comes from one source word, or from the empty one.
//!
//! A pair of source words `e_1 … e_l`, with the empty word `e_0`, and target words `f_1 … f_J` has
//! the probability, but for that of its length,
//!
//! ```text
//! p(f | e) = Σ_a Π_j p(a_j | …) t(f_j | e_{a_j})
//! ```
//!
//! The models differ in `p(a_j | …)`, the [`Distortion`]:
//!
//! | Model    | `p(a_j | …)`                                                        |
//! | -------- | ------------------------------------------------------------------- |
//! | Model 1  | `1 / (l + 1)` (Brown, Della Pietra, Della Pietra and Mercer, "The Mathematics of Statistical Machine Translation", Computational Linguistics 19, 1993) |
//! | Model 2  | a fixed prior around the diagonal, as in the file `expect`           |
//! | HMM      | learned from the distance to `a_{j−1}`, as there                     |
//!
//! The weights are expected counts, to be trained by the update rules of EM in `asyn-core`, and a
//! gradient is the expected counts of some pairs; its loss is `−ln p(f | e)`.
//!
//! | Tensor   | Shape                 | Meaning                                            |
//! | -------- | --------------------- | -------------------------------------------------- |
//! | `counts` | one for each pair of words that stand opposite each other | `c(e, f)`      |
//! | `totals` | one for each source word | `Σ_f c(e, f)`, so that `t(f | e)` is the quotient |
//! | `jumps`  | one for each distance | `c(d)`, of which the HMM alone makes use           |
//! | `pairs`  | 1                     | the number of pairs that the counts are those of    |
//!
//! # Prior
//!
//! Counts of words that occur once or twice say little, and without a prior such words take links of
//! many others: they explain a rare sentence better than frequent words do. With a symmetric
//! Dirichlet prior, of which each of the `V` target words is worth `a` counts, the expected
//! translation probability is (Moore, "Improving IBM Word-Alignment Model 1", ACL 2004, section 4)
//!
//! ```text
//! t(f | e) = (c(e, f) + a) / (c(e) + a V)
//! ```
//!
//! Update rules may store all counts times a factor that only they know, so the number of pairs is a
//! count too: `a` is meant for counts of a given number of pairs, and is scaled by `pairs` over it.

mod agreement;
mod cooccurrence;
mod expect;
mod extend;

pub use agreement::{AgreeingAligners, AgreementWorkspace};
pub use cooccurrence::{AlignmentPair, Cooccurrences};

use std::convert::Infallible;

use crate::error::{Error, Result};
use expect::{Chain, N_JUMPS, independent, initial_jumps, weigh_by_diagonal};

use asyn_core::{
    Batch, Gradient, Groups, Layout, Model, Multinomials, Real, SharedWeights, TensorId, Touched,
    Worker,
};

/// The floats of a row of the tensors, in which counts are stored one after another.
const ROW: usize = 8;

/// The counts that are visited at once.
const AT_ONCE: usize = 1 << 14;

/// What says which source word a target word comes from, before the words are looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distortion {
    /// All source words and the empty one alike: Model 1.
    Uniform,
    /// Words near the diagonal of the pair: Model 2 with a fixed prior.
    Diagonal {
        /// How fast probability falls with the distance from the diagonal, from 0 on.
        tension: Real,
        /// The probability of the empty word, from 0 to 1.
        empty: Real,
    },
    /// Words near the one of the target word before: a hidden Markov model.
    Hmm {
        /// The probability of the empty word, from 0 to 1.
        empty: Real,
    },
}

/// A word aligner of one direction.
///
/// ```
/// use asyn_core::{BatchEm, Model, Trainer};
/// use asyn_models::{Aligner, Cooccurrences, Distortion};
///
/// // "la maison", "la fleur"; "the house", "the flower".
/// let texts: [(&[u32], &[u32]); 2] = [(&[0, 1], &[0, 1]), (&[0, 2], &[0, 2])];
/// let (table, pairs) = Cooccurrences::build((3, 3), 2, |at| texts[at])?;
/// let aligner = Aligner::new(table, Distortion::Uniform);
/// let update = BatchEm { multinomials: aligner.multinomials() };
/// let mut weights = aligner.initial_weights(1);
/// let trainer = Trainer::builder().update(update).passes(20).build()?;
/// trainer.fit(&aligner, &pairs, &mut weights, &mut ())?;
/// let mut posteriors = Vec::new();
/// aligner.posteriors(&weights, &pairs[1], &mut posteriors);
/// // The second target word comes from the second source word, behind the empty one.
/// assert!(posteriors[2 * 2 + 1] > 0.8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Aligner {
    table: Cooccurrences,
    distortion: Distortion,
    prior: Real,
    /// The number of pairs that `prior` is meant for, and that weights start as the counts of.
    n_pairs: Real,
    layout: Layout,
    tensors: Tensors,
}

/// Where the counts of a direction lie.
#[derive(Debug, Clone, Copy)]
struct Tensors {
    counts: TensorId,
    totals: TensorId,
    jumps: TensorId,
    pairs: TensorId,
}

/// The scratch memory of one worker.
#[derive(Debug, Default)]
pub struct AlignmentWorkspace {
    /// For each source word and each target word, `t(f | e)` and then the posterior.
    values: Vec<Real>,
    /// For each source word, its total and then the posteriors of its row together.
    totals: Vec<Real>,
    /// For each target word its probability, or for each source word its prior.
    sums: Vec<Real>,
    chain: Chain,
    jump_counts: Vec<Real>,
    n_pairs: Vec<Real>,
    /// Blocks of counts that are read.
    blocks: Vec<u32>,
}

impl AlignmentWorkspace {
    /// Fills the sum of the posteriors of each row.
    fn sum_rows(&mut self, n_target: usize) {
        for (row, total) in self.values.chunks_exact(n_target.max(1)).zip(&mut self.totals) {
            *total = row.iter().sum();
        }
    }
}

impl Aligner {
    /// Makes an aligner of a pattern of words.
    #[must_use]
    pub fn new(table: Cooccurrences, distortion: Distortion) -> Self {
        let mut layout = Layout::default();
        let tensors = Tensors::place(&table, &mut layout, "");
        Self { table, distortion, prior: 0.0, n_pairs: 1.0, layout, tensors }
    }

    /// Returns the same aligner with a prior that is worth `prior` counts, at least 0, of each target
    /// word, where counts are those of `n_pairs` pairs, above 0.
    ///
    /// # Panics
    ///
    /// Panics if a number is out of its range.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts are f32 too")]
    pub fn with_prior(self, prior: Real, n_pairs: u64) -> Self {
        assert!(prior >= 0.0 && prior.is_finite() && n_pairs > 0, "a prior in its range");
        Self { prior, n_pairs: n_pairs as Real, ..self }
    }

    /// Returns the counts that the prior is worth, of each target word.
    #[must_use]
    pub fn prior(&self) -> Real {
        self.prior
    }

    /// Returns the same aligner with another distortion. Weights of one are weights of the other.
    #[must_use]
    pub fn with_distortion(self, distortion: Distortion) -> Self {
        Self { distortion, ..self }
    }

    /// Returns what the aligner takes for the probability of source words before it sees them.
    #[must_use]
    pub fn distortion(&self) -> Distortion {
        self.distortion
    }

    /// Returns the pattern of words.
    #[must_use]
    pub fn table(&self) -> &Cooccurrences {
        &self.table
    }

    /// Returns the distributions whose totals are weights, as update rules of EM need them.
    #[must_use]
    pub fn multinomials(&self) -> Vec<Multinomials> {
        let groups = Groups::Ranges(self.table.starts().clone());
        vec![Multinomials { counts: self.tensors.counts, totals: self.tensors.totals, groups }]
    }

    /// Returns the counts as they are saved: one for each of [`Cooccurrences::targets`].
    #[must_use]
    pub fn export(&self, weights: &SharedWeights) -> Vec<Real> {
        let mut counts = Vec::with_capacity(self.table.targets().len());
        let Ok(()) = self.visit_counts(weights, |some| {
            counts.extend_from_slice(some);
            Ok::<_, Infallible>(())
        });
        counts
    }

    /// Calls `take` with the counts of [`Aligner::export`], some at a time, so that no copy of all of
    /// them is made.
    ///
    /// # Errors
    ///
    /// The first error of `take`.
    pub fn visit_counts<E>(
        &self,
        weights: &SharedWeights,
        mut take: impl FnMut(&[Real]) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.layout.tensor(self.tensors.counts).start;
        let n = self.table.targets().len();
        let mut some = vec![0.0; AT_ONCE.min(n)];
        for at in (0..n).step_by(AT_ONCE) {
            let some = &mut some[..AT_ONCE.min(n - at)];
            weights.view(start + at, some.len()).read_into(some);
            take(some)?;
        }
        Ok(())
    }

    /// Returns the counts of jumps as they are saved.
    #[must_use]
    pub fn export_jumps(&self, weights: &SharedWeights) -> Vec<Real> {
        let mut jumps = vec![0.0; N_JUMPS];
        weights.view(self.layout.tensor(self.tensors.jumps).start, N_JUMPS).read_into(&mut jumps);
        jumps
    }

    /// Replaces the counts of jumps by what [`Aligner::export_jumps`] returned.
    ///
    /// # Errors
    ///
    /// [`Error::Counts`] if there are not as many.
    pub fn import_jumps(&self, weights: &mut SharedWeights, jumps: &[Real]) -> Result<()> {
        let start = self.layout.tensor(self.tensors.jumps).start;
        if jumps.len() != N_JUMPS {
            return Err(Error::Counts { actual: jumps.len() });
        }
        weights.as_mut_slice()[start..][..N_JUMPS].copy_from_slice(jumps);
        Ok(())
    }

    /// Makes weights of counts as [`Aligner::export`] returns them, with jumps as training starts.
    ///
    /// # Panics
    ///
    /// Panics if there is not one count for each of [`Cooccurrences::targets`].
    #[must_use]
    pub fn import(&self, counts: &[Real]) -> SharedWeights {
        assert_eq!(counts.len(), self.table.targets().len(), "one count for each pair of words");
        let mut weights = SharedWeights::zeroed(self.layout.len());
        let start = self.layout.tensor(self.tensors.counts).start;
        weights.as_mut_slice()[start..][..counts.len()].copy_from_slice(counts);
        let start = self.layout.tensor(self.tensors.jumps).start;
        weights.as_mut_slice()[start..][..N_JUMPS].copy_from_slice(&initial_jumps());
        weights.as_mut_slice()[self.layout.tensor(self.tensors.pairs).start] = self.n_pairs;
        for multinomials in self.multinomials() {
            multinomials.sum_up(&self.layout, &mut weights);
        }
        weights
    }

    /// Computes for each source word, the empty one first, and for each target word the probability
    /// that the second comes from the first; returns the logarithm of the probability of the pair.
    pub fn posteriors(
        &self,
        weights: &SharedWeights,
        pair: &AlignmentPair,
        out: &mut Vec<Real>,
    ) -> f64 {
        let mut workspace = AlignmentWorkspace::default();
        let worker = Worker::reader(&self.layout, weights);
        let log = self.expect(&worker, pair, &mut workspace);
        std::mem::swap(out, &mut workspace.values);
        log
    }

    /// Fills the posteriors of a pair, and returns the logarithm of its probability.
    fn expect(
        &self,
        worker: &Worker<'_>,
        pair: &AlignmentPair,
        workspace: &mut AlignmentWorkspace,
    ) -> f64 {
        let AlignmentWorkspace { values, totals, sums, chain, jump_counts, n_pairs, .. } =
            workspace;
        let n_target = pair.n_target();
        values.resize(pair.cells.len(), 0.0);
        totals.resize(pair.rows.len(), 0.0);
        worker.gather(self.tensors.totals, &pair.rows, totals);
        worker.gather(self.tensors.counts, &pair.cells, values);
        if n_target == 0 {
            return 0.0;
        }
        #[allow(clippy::cast_precision_loss, reason = "sentences are short")]
        let share = match self.distortion {
            Distortion::Uniform => 1.0 / totals.len() as Real,
            Distortion::Diagonal { .. } | Distortion::Hmm { .. } => 1.0,
        };
        let prior = self.scaled_prior(worker, n_pairs);
        #[allow(clippy::cast_precision_loss, reason = "a vocabulary is small beside 2^24")]
        let of_all = prior * self.table.n_targets() as Real;
        for (row, total) in values.chunks_exact_mut(n_target).zip(&*totals) {
            let total = total + of_all;
            let factor = if total > 0.0 { share / total } else { 0.0 };
            row.iter_mut().for_each(|value| *value = (*value + prior) * factor);
        }
        let log = match self.distortion {
            Distortion::Hmm { empty } if pair.n_source() > 0 => {
                jump_counts.resize(self.layout.tensor(self.tensors.jumps).stored_len(), 0.0);
                worker.read_whole(self.tensors.jumps, jump_counts);
                chain.expect(values, n_target, jump_counts, empty)
            }
            Distortion::Diagonal { tension, empty } if pair.n_source() > 0 => {
                weigh_by_diagonal(values, n_target, tension, empty, sums);
                independent(values, sums, n_target)
            }
            _ => independent(values, sums, n_target),
        };
        workspace.sum_rows(n_target);
        log
    }
}

impl Aligner {
    /// Returns what the prior is worth in counts as they are stored now.
    fn scaled_prior(&self, worker: &Worker<'_>, n_pairs: &mut Vec<Real>) -> Real {
        if self.prior == 0.0 {
            return 0.0;
        }
        n_pairs.resize(self.layout.tensor(self.tensors.pairs).stored_len(), 0.0);
        worker.read_whole(self.tensors.pairs, n_pairs);
        self.prior * n_pairs[0] / self.n_pairs
    }

    /// Adds what [`Aligner::expect`] found of a pair.
    fn add(&self, pair: &AlignmentPair, workspace: &AlignmentWorkspace, gradient: &mut Gradient) {
        gradient.add_cells(self.tensors.totals, &pair.rows, &workspace.totals);
        gradient.add_cells(self.tensors.counts, &pair.cells, &workspace.values);
        if matches!(self.distortion, Distortion::Hmm { .. }) {
            let jumps = gradient.sum(&self.layout, self.tensors.jumps);
            for (sum, jump) in jumps.iter_mut().zip(&workspace.chain.jumps) {
                *sum += jump;
            }
        }
        if self.prior > 0.0 {
            gradient.sum(&self.layout, self.tensors.pairs)[0] += 1.0;
        }
    }

    /// Adds what a pair reads and writes.
    fn touch(&self, pair: &AlignmentPair, blocks: &mut Vec<u32>, out: &mut Touched) {
        let unit = u32::try_from(ROW).expect("a row is short");
        for (tensor, places) in
            [(self.tensors.totals, &pair.rows), (self.tensors.counts, &pair.cells)]
        {
            blocks.clear();
            blocks.extend(places.iter().map(|&place| place / unit));
            blocks.sort_unstable();
            blocks.dedup();
            out.add_rows(tensor, blocks);
        }
    }
}

impl Tensors {
    /// Finds places for the counts of a pattern; `prefix` stands before their names.
    fn place(table: &Cooccurrences, layout: &mut Layout, prefix: &str) -> Self {
        let name = |name: &str| format!("{prefix}{name}");
        // One place more is for what was never seen.
        let blocks = |n: usize| (n + 1).div_ceil(ROW);
        Self {
            totals: layout.rows(&name("totals"), blocks(table.n_rows()), ROW),
            counts: layout.rows(&name("counts"), blocks(table.targets().len()), ROW),
            jumps: layout.dense(&name("jumps"), 1, N_JUMPS),
            pairs: layout.dense(&name("pairs"), 1, 1),
        }
    }

    fn all(self) -> [TensorId; 4] {
        [self.totals, self.counts, self.jumps, self.pairs]
    }

    /// Adds what every pair reads.
    fn touch_whole(self, out: &mut Touched) {
        out.add_whole(self.jumps);
        out.add_whole(self.pairs);
    }
}

impl Model for Aligner {
    type Example = AlignmentPair;
    type Workspace = AlignmentWorkspace;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn workspace(&self) -> AlignmentWorkspace {
        AlignmentWorkspace::default()
    }

    fn touched(
        &self,
        batch: &Batch<'_, AlignmentPair>,
        workspace: &mut AlignmentWorkspace,
        out: &mut Touched,
    ) {
        for pair in batch.examples() {
            self.touch(pair, &mut workspace.blocks, out);
        }
        self.tensors.touch_whole(out);
    }

    fn gradient(
        &self,
        worker: &Worker<'_>,
        batch: &Batch<'_, AlignmentPair>,
        workspace: &mut AlignmentWorkspace,
        gradient: &mut Gradient,
    ) -> f64 {
        let mut loss = 0.0;
        for pair in batch.examples() {
            loss -= self.expect(worker, pair, workspace);
            self.add(pair, workspace, gradient);
        }
        loss
    }

    /// Returns counts with which all target words that ever stand opposite a source word are
    /// equally likely, and with a total of 1 for each.
    #[allow(clippy::cast_precision_loss, reason = "a mean that need not be exact")]
    fn initial_weights(&self, _seed: u64) -> SharedWeights {
        let mut counts = vec![0.0; self.table.targets().len()];
        for ends in self.table.starts().windows(2) {
            let row = &mut counts[ends[0] as usize..ends[1] as usize];
            let share = 1.0 / row.len().max(1) as Real;
            row.fill(share);
        }
        self.import(&counts)
    }
}
