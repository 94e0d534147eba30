//! Two directions that are trained to agree.
//!
//! Each direction alone makes mistakes that the other does not. What both expect of a link is the
//! product of their posteriors (Liang, Taskar and Klein, "Alignment by Agreement", HLT-NAACL 2006,
//! section 3.2), which takes the place of the posterior of either:
//!
//! ```text
//! q(i, j) = p(a_j = i | …) p(b_i = j | …),    q(0, j) = 1 − Σ_i q(i, j)
//! ```
//!
//! What the two do not agree on goes to the empty word. The expected jumps of each direction are its
//! own.

use super::{Aligner, AlignmentPair, AlignmentWorkspace, Tensors};

use asyn_core::{
    Batch, Gradient, Layout, Model, Multinomials, Real, SharedWeights, Touched, Worker,
};

/// Two aligners of opposite directions with their weights in one vector.
///
/// An example is a pair as both see it, forward and backward.
///
/// ```
/// use asyn_core::{BatchEm, Model, Trainer};
/// use asyn_models::{AgreeingAligners, Aligner, Cooccurrences, Distortion};
///
/// let texts: [(&[u32], &[u32]); 2] = [(&[0, 1], &[0, 1]), (&[0, 2], &[0, 2])];
/// let (forward, pairs) = Cooccurrences::build((3, 3), 2, |at| texts[at])?;
/// let (backward, back) = Cooccurrences::build((3, 3), 2, |at| (texts[at].1, texts[at].0))?;
/// let one = |table| {
///     let aligner = Aligner::new(table, Distortion::Uniform);
///     let weights = aligner.initial_weights(1);
///     (aligner, weights)
/// };
/// let (both, mut weights) = AgreeingAligners::join(one(forward), one(backward));
/// let pairs: Vec<_> = pairs.into_iter().zip(back).map(|(pair, back)| [pair, back]).collect();
/// let update = BatchEm { multinomials: both.multinomials() };
/// let trainer = Trainer::builder().update(update).passes(20).build()?;
/// trainer.fit(&both, &pairs, &mut weights, &mut ())?;
/// let [(forward, weights), _] = both.split(&weights);
/// let mut posteriors = Vec::new();
/// forward.posteriors(&weights, &pairs[1][0], &mut posteriors);
/// assert!(posteriors[2 * 2 + 1] > 0.8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AgreeingAligners {
    directions: [Aligner; 2],
    layout: Layout,
}

/// The scratch memory of one worker.
#[derive(Debug, Default)]
pub struct AgreementWorkspace {
    directions: [AlignmentWorkspace; 2],
}

impl AgreeingAligners {
    /// Joins a forward and a backward aligner with their weights.
    #[must_use]
    pub fn join(
        forward: (Aligner, SharedWeights),
        backward: (Aligner, SharedWeights),
    ) -> (Self, SharedWeights) {
        let mut layout = Layout::default();
        let parts = [("forward.", forward), ("backward.", backward)].map(|(prefix, part)| {
            let tensors = Tensors::place(&part.0.table, &mut layout, prefix);
            (part, tensors)
        });
        let mut all = SharedWeights::zeroed(layout.len());
        for ((aligner, weights), tensors) in &parts {
            aligner.move_weights(weights, &mut all, &layout, *tensors);
        }
        let directions = parts.map(|((aligner, _), tensors)| Aligner {
            layout: layout.clone(),
            tensors,
            ..aligner
        });
        (Self { directions, layout }, all)
    }

    /// Parts the two again.
    #[must_use]
    pub fn split(self, weights: &SharedWeights) -> [(Aligner, SharedWeights); 2] {
        self.directions.map(|joined| {
            let mut layout = Layout::default();
            let tensors = Tensors::place(&joined.table, &mut layout, "");
            let mut mine = SharedWeights::zeroed(layout.len());
            joined.move_weights(weights, &mut mine, &layout, tensors);
            (Aligner { layout, tensors, ..joined }, mine)
        })
    }

    /// Returns the distributions whose totals are weights.
    #[must_use]
    pub fn multinomials(&self) -> Vec<Multinomials> {
        self.directions.iter().flat_map(Aligner::multinomials).collect()
    }
}

impl Aligner {
    /// Copies the weights to where another layout has them.
    fn move_weights(
        &self,
        from: &SharedWeights,
        to: &mut SharedWeights,
        layout: &Layout,
        tensors: Tensors,
    ) {
        for (here, there) in self.tensors.all().into_iter().zip(tensors.all()) {
            let (here, there) = (self.layout.tensor(here), layout.tensor(there));
            let target = &mut to.as_mut_slice()[there.start..][..there.stored_len()];
            from.view(here.start, here.stored_len()).read_into(target);
        }
    }
}

impl Model for AgreeingAligners {
    type Example = [AlignmentPair; 2];
    type Workspace = AgreementWorkspace;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn workspace(&self) -> AgreementWorkspace {
        AgreementWorkspace::default()
    }

    fn touched(
        &self,
        batch: &Batch<'_, [AlignmentPair; 2]>,
        workspace: &mut AgreementWorkspace,
        out: &mut Touched,
    ) {
        let blocks = &mut workspace.directions[0].blocks;
        for (at, aligner) in self.directions.iter().enumerate() {
            for pairs in batch.examples() {
                aligner.touch(&pairs[at], blocks, out);
            }
            aligner.tensors.touch_whole(out);
        }
    }

    fn gradient(
        &self,
        worker: &Worker<'_>,
        batch: &Batch<'_, [AlignmentPair; 2]>,
        workspace: &mut AgreementWorkspace,
        gradient: &mut Gradient,
    ) -> f64 {
        let mut loss = 0.0;
        for pairs in batch.examples() {
            let spaces = &mut workspace.directions;
            for ((aligner, pair), space) in self.directions.iter().zip(pairs).zip(&mut *spaces) {
                loss -= aligner.expect(worker, pair, space);
            }
            let [forward, backward] = &mut *spaces;
            agree(&mut forward.values, &mut backward.values, pairs[0].n_target());
            for ((aligner, pair), space) in self.directions.iter().zip(pairs).zip(spaces) {
                space.sum_rows(pair.n_target());
                aligner.add(pair, space, gradient);
            }
        }
        loss
    }

    fn initial_weights(&self, seed: u64) -> SharedWeights {
        let mut all = SharedWeights::zeroed(self.layout.len());
        for joined in &self.directions {
            let alone = Aligner::new(joined.table.clone(), joined.distortion);
            let alone = Aligner { prior: joined.prior, n_pairs: joined.n_pairs, ..alone };
            let weights = alone.initial_weights(seed);
            alone.move_weights(&weights, &mut all, &self.layout, joined.tensors);
        }
        all
    }
}

/// Replaces the posteriors of both directions by what both expect of each link; `n` words are the
/// targets of `forward`.
fn agree(forward: &mut [Real], backward: &mut [Real], n: usize) {
    if n == 0 || backward.is_empty() {
        return;
    }
    let n_source = forward.len() / n - 1;
    for row in 0..n_source {
        for column in 0..n {
            let here = &mut forward[(row + 1) * n + column];
            let there = &mut backward[(column + 1) * n_source + row];
            (*here, *there) = (*here * *there, *here * *there);
        }
    }
    leave_the_rest(forward, n);
    leave_the_rest(backward, n_source);
}

/// Gives the empty word what the others leave.
fn leave_the_rest(posteriors: &mut [Real], n: usize) {
    let (empty, others) = posteriors.split_at_mut(n);
    empty.fill(1.0);
    for row in others.chunks_exact(n) {
        empty.iter_mut().zip(row).for_each(|(empty, q)| *empty = (*empty - q).max(0.0));
    }
}
