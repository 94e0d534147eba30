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

mod cooccurrence;
mod expect;

pub use cooccurrence::{AlignmentPair, Cooccurrences};

use crate::error::{Error, Result};
use expect::{Chain, N_JUMPS, independent, initial_jumps, weigh_by_diagonal};

use asyn_core::{
    Batch, Gradient, Groups, Layout, Model, Multinomials, Real, SharedWeights, TensorId, Touched,
    Worker,
};

/// The floats of a row of the tensors, in which counts are stored one after another.
const ROW: usize = 8;

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
    layout: Layout,
    counts: TensorId,
    totals: TensorId,
    jumps: TensorId,
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
    /// Blocks of counts that are read.
    blocks: Vec<u32>,
}

impl Aligner {
    /// Makes an aligner of a pattern of words.
    #[must_use]
    pub fn new(table: Cooccurrences, distortion: Distortion) -> Self {
        let mut layout = Layout::default();
        // One place more is for what was never seen.
        let blocks = |n: usize| (n + 1).div_ceil(ROW);
        let totals = layout.rows("totals", blocks(table.n_rows()), ROW);
        let counts = layout.rows("counts", blocks(table.targets().len()), ROW);
        let jumps = layout.dense("jumps", 1, N_JUMPS);
        Self { table, distortion, layout, counts, totals, jumps }
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
        vec![Multinomials { counts: self.counts, totals: self.totals, groups }]
    }

    /// Returns the counts as they are saved: one for each of [`Cooccurrences::targets`].
    #[must_use]
    pub fn export(&self, weights: &SharedWeights) -> Vec<Real> {
        let mut counts = vec![0.0; self.table.targets().len()];
        weights.view(self.layout.tensor(self.counts).start, counts.len()).read_into(&mut counts);
        counts
    }

    /// Returns the counts of jumps as they are saved.
    #[must_use]
    pub fn export_jumps(&self, weights: &SharedWeights) -> Vec<Real> {
        let mut jumps = vec![0.0; N_JUMPS];
        weights.view(self.layout.tensor(self.jumps).start, N_JUMPS).read_into(&mut jumps);
        jumps
    }

    /// Replaces the counts of jumps by what [`Aligner::export_jumps`] returned.
    ///
    /// # Errors
    ///
    /// [`Error::Counts`] if there are not as many.
    pub fn import_jumps(&self, weights: &mut SharedWeights, jumps: &[Real]) -> Result<()> {
        let start = self.layout.tensor(self.jumps).start;
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
        let start = self.layout.tensor(self.counts).start;
        weights.as_mut_slice()[start..][..counts.len()].copy_from_slice(counts);
        let start = self.layout.tensor(self.jumps).start;
        weights.as_mut_slice()[start..][..N_JUMPS].copy_from_slice(&initial_jumps());
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
        let AlignmentWorkspace { values, totals, sums, chain, jump_counts, .. } = workspace;
        let n_target = pair.n_target();
        values.resize(pair.cells.len(), 0.0);
        totals.resize(pair.rows.len(), 0.0);
        worker.gather(self.totals, &pair.rows, totals);
        worker.gather(self.counts, &pair.cells, values);
        if n_target == 0 {
            return 0.0;
        }
        #[allow(clippy::cast_precision_loss, reason = "sentences are short")]
        let share = match self.distortion {
            Distortion::Uniform => 1.0 / totals.len() as Real,
            Distortion::Diagonal { .. } | Distortion::Hmm { .. } => 1.0,
        };
        for (row, total) in values.chunks_exact_mut(n_target).zip(&*totals) {
            let factor = if *total > 0.0 { share / total } else { 0.0 };
            row.iter_mut().for_each(|value| *value *= factor);
        }
        let log = match self.distortion {
            Distortion::Hmm { empty } if pair.n_source() > 0 => {
                jump_counts.resize(self.layout.tensor(self.jumps).stored_len(), 0.0);
                worker.read_whole(self.jumps, jump_counts);
                chain.expect(values, n_target, jump_counts, empty)
            }
            Distortion::Diagonal { tension, empty } if pair.n_source() > 0 => {
                weigh_by_diagonal(values, n_target, tension, empty, sums);
                independent(values, sums, n_target)
            }
            _ => independent(values, sums, n_target),
        };
        for (row, total) in values.chunks_exact(n_target).zip(totals) {
            *total = row.iter().sum();
        }
        log
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
        let unit = u32::try_from(ROW).expect("a row is short");
        let blocks = &mut workspace.blocks;
        let mut add = |tensor, places: &[u32]| {
            blocks.clear();
            blocks.extend(places.iter().map(|&place| place / unit));
            blocks.sort_unstable();
            blocks.dedup();
            out.add_rows(tensor, blocks);
        };
        for pair in batch.examples() {
            add(self.totals, &pair.rows);
            add(self.counts, &pair.cells);
        }
        out.add_whole(self.jumps);
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
            gradient.add_cells(self.totals, &pair.rows, &workspace.totals);
            gradient.add_cells(self.counts, &pair.cells, &workspace.values);
            if matches!(self.distortion, Distortion::Hmm { .. }) {
                let jumps = gradient.sum(&self.layout, self.jumps);
                for (sum, jump) in jumps.iter_mut().zip(&workspace.chain.jumps) {
                    *sum += jump;
                }
            }
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
