//! Forward-backward over a linear chain, in probability space.
//!
//! For a sentence of `T` tokens and `Y` labels, rows padded to `W` floats:
//!
//! | Field   | Shape                | Holds                                               |
//! | ------- | -------------------- | --------------------------------------------------- |
//! | `node`  | `T × W`              | node scores; then their exponentials `n`; then marginals |
//! | `edge`  | `Y × W`, or one a token | exponentials of edge scores, `E`                 |
//! | `alpha` | `T × W`              | scaled forward values                               |
//! | `beta`  | `T × W`              | scaled backward values                              |
//! | `ahead` | `T × W`              | `n ∘ beta`, then what remains of the pair marginals |
//! | `sums`  | `T`                  | `Σ alpha`, whose logarithms add up to log Z         |
//! | `pairs` | `Y × W`              | pair marginals divided by `E`, summed over tokens   |
//!
//! ```text
//! alpha[0] = n[0]
//! alpha[i] = n[i] ∘ (alpha[i-1] E) / sums[i-1]          sums[i] = Σ alpha[i]
//! beta[T-1] = 1,   ahead[i] = n[i] ∘ beta[i]
//! beta[i-1] = (E ahead[i]) / Σ ahead[i]
//! z[i] = Σ alpha[i] ∘ beta[i]
//! P(y[i]) = alpha[i] ∘ beta[i] / z[i]
//! P(y[i-1], y[i]) = alpha[i-1] E ahead[i] / (sums[i-1] z[i])
//! log Z = Σ log sums[i] + shifts
//! ```
//!
//! Scores are shifted by their maximum before the exponential (per token for nodes,
//! as a whole for edges), so nothing overflows. A model of probabilities gives these instead of
//! scores; its nodes are divided by the largest of a token. The normaliser of a step divides the
//! next one, which takes the division off the critical path. Forward and backward
//! run in one loop, since they do not depend on each other. Scaling follows Rabiner
//! (1989), section V-A.
//!
//! # Underflow
//!
//! Values below 1e-15 of the normalised total are set to exactly 0, so no
//! denormal number is ever computed. Where the states of a position nearly all
//! vanish, too much may have been dropped: [`Chain::run`] then returns `None`
//! and the caller falls back to log space.

mod recursion;

use recursion::{Nodes, Run};

use super::{Aligned, Kernel, Simd, dispatch, lanes};

/// Exponents below this give exactly 0.
const LEAST_EXPONENT: f32 = -40.0;

/// Probabilities below this become exactly 0, those of nodes in relation to the largest of their
/// token: about `e⁻⁴⁰`.
const LEAST_PROBABILITY: f32 = 4.3e-18;

/// Normalised values below this become exactly 0.
const LEAST_VALUE: f32 = 1e-15;

/// Values below this are dropped before they are multiplied by an exponential,
/// so that the product is no denormal: 1e-20 e⁻⁴⁰ is 4e-38.
const LEAST_FACTOR: f32 = 1e-20;

/// Totals below this mean that too much may have been dropped.
const LEAST_TOTAL: f32 = 1e-8;

/// The rows of a label matrix are padded to a multiple of this.
const ROW_UNIT: usize = 8;

/// Scratch of one worker for sentences of any length over a fixed set of labels.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    n_labels: usize,
    width: usize,
    rows: usize,
    len: usize,
    node: Aligned,
    alpha: Aligned,
    beta: Aligned,
    ahead: Aligned,
    sums: Vec<f32>,
    edge: Aligned,
    edge_transposed: Aligned,
    edge_shift: f32,
    /// One matrix a token, where edges depend on the token.
    token_edges: Aligned,
    token_shifts: Vec<f32>,
    pairs: Aligned,
    /// 1 for each label, 0 in the padding.
    mask: Aligned,
    /// 0 for each label, minus infinity in the padding.
    penalty: Aligned,
    /// 0, 1, 2, …
    lane: Aligned,
}

/// Returns the floats in a padded row of `n_labels` labels.
pub(crate) fn row_width(n_labels: usize) -> usize {
    let vectors = n_labels.div_ceil(lanes());
    let vectors = if vectors <= 4 { vectors } else { vectors.next_multiple_of(4) };
    (vectors * lanes()).next_multiple_of(ROW_UNIT)
}

impl Chain {
    pub(crate) fn new(n_labels: usize) -> Self {
        let width = row_width(n_labels);
        let rows = n_labels.next_multiple_of(ROW_UNIT);
        let by_lane = |value: fn(bool, f32) -> f32| {
            let mut row = Aligned::zeroed(width);
            #[allow(clippy::cast_precision_loss, reason = "labels are few")]
            for (lane, out) in row.iter_mut().enumerate() {
                *out = value(lane < n_labels, lane as f32);
            }
            row
        };
        Self {
            n_labels,
            width,
            rows,
            len: 0,
            node: Aligned::zeroed(0),
            alpha: Aligned::zeroed(0),
            beta: Aligned::zeroed(0),
            ahead: Aligned::zeroed(0),
            sums: Vec::new(),
            edge: Aligned::zeroed(rows * width),
            edge_transposed: Aligned::zeroed(rows * width),
            edge_shift: 0.0,
            token_edges: Aligned::zeroed(0),
            token_shifts: Vec::new(),
            pairs: Aligned::zeroed(rows * width),
            mask: by_lane(|is_label, _| if is_label { 1.0 } else { 0.0 }),
            penalty: by_lane(|is_label, _| if is_label { 0.0 } else { f32::NEG_INFINITY }),
            lane: by_lane(|_, lane| lane),
        }
    }

    /// Returns the floats from one row to the next.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Gets ready for a sentence of `len` tokens.
    pub(crate) fn resize(&mut self, len: usize) {
        self.len = len;
        let cells = len * self.width;
        for buffer in [&mut self.node, &mut self.alpha, &mut self.beta, &mut self.ahead] {
            buffer.grow(cells);
        }
        if self.sums.len() < len {
            self.sums.resize(len, 0.0);
            self.token_shifts.resize(len, 0.0);
        }
    }

    /// Returns the node rows of all tokens.
    pub(crate) fn nodes_mut(&mut self) -> &mut [f32] {
        &mut self.node[..self.len * self.width]
    }

    /// Returns the node row of a token: scores or probabilities before a run, marginals after it.
    pub(crate) fn node_mut(&mut self, token: usize) -> &mut [f32] {
        &mut self.node[token * self.width..][..self.width]
    }

    /// Returns the node row of a token.
    pub(crate) fn node(&self, token: usize) -> &[f32] {
        &self.node[token * self.width..][..self.width]
    }

    /// Sets the edge scores that all tokens share: `Y × Y`, previous label by label.
    pub(crate) fn set_edges(&mut self, scores: &[f32]) {
        let n = self.n_labels;
        self.edge_shift = scores[..n * n].iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for (row, scores) in self.edge.chunks_exact_mut(self.width).zip(scores.chunks_exact(n)) {
            row[..n].copy_from_slice(scores);
        }
        let (shift, n_rows) = (self.edge_shift, n);
        dispatch(Exponentiate {
            rows: &mut self.edge[..n_rows * self.width],
            mask: &self.mask,
            shift,
        });
        self.transpose_edges();
    }

    /// Sets the probabilities of edges that all tokens share, for [`Chain::run_probabilities`]:
    /// `Y × Y` from 0 to 1, previous label by label.
    pub(crate) fn set_edge_probabilities(&mut self, probabilities: &[f32]) {
        let n = self.n_labels;
        self.edge_shift = 0.0;
        let rows = self.edge.chunks_exact_mut(self.width).zip(probabilities.chunks_exact(n));
        for (row, probabilities) in rows {
            for (edge, &p) in row.iter_mut().zip(probabilities) {
                *edge = if p < LEAST_PROBABILITY { 0.0 } else { p };
            }
        }
        self.transpose_edges();
    }

    fn transpose_edges(&mut self) {
        for previous in 0..self.n_labels {
            for label in 0..self.n_labels {
                self.edge_transposed[label * self.width + previous] =
                    self.edge[previous * self.width + label];
            }
        }
    }

    /// Sets the edge scores into `token`, for [`Chain::run_by_token`]: `Y × Y`, as in
    /// [`Chain::set_edges`].
    pub(crate) fn set_token_edges(&mut self, token: usize, scores: &[f32]) {
        let (n, size) = (self.n_labels, self.rows * self.width);
        // Growing forgets what was set, so room is made at the first token of a sentence.
        self.token_edges.grow(self.len * size);
        let shift = scores[..n * n].iter().copied().fold(f32::NEG_INFINITY, f32::max);
        self.token_shifts[token] = shift;
        let matrix = &mut self.token_edges[token * size..][..size];
        for (row, scores) in matrix.chunks_exact_mut(self.width).zip(scores.chunks_exact(n)) {
            row[..n].copy_from_slice(scores);
        }
        dispatch(Exponentiate { rows: &mut matrix[..n * self.width], mask: &self.mask, shift });
    }

    /// Computes all marginals with the shared edges, and returns log Z.
    ///
    /// Calls `meanwhile` with each position but the first: the recursion leaves the memory idle,
    /// so the caller can ask for what it will read next.
    ///
    /// Afterwards the node rows hold the marginals of labels, less 1 at the label that `gold`
    /// has for a token, if it has one; [`Chain::add_pairs`] has the pair marginals. Returns
    /// `None` if too much would underflow.
    pub(crate) fn run(&mut self, gold: &[u16], meanwhile: impl FnMut(usize)) -> Option<f64> {
        let shift = f64::from(self.edge_shift) * (self.len - 1) as f64;
        let run = Run { chain: self, gold, meanwhile, by_token: false, nodes: Nodes::Scores };
        dispatch(run).map(|log_z| log_z + shift)
    }

    /// Does what [`Chain::run`] does, where node rows hold what scores are the logarithms of.
    ///
    /// Node values are at least the smallest normal number and finite; returns the logarithm of the
    /// sum over all paths of their products.
    pub(crate) fn run_probabilities(&mut self) -> Option<f64> {
        let nodes = Nodes::Probabilities;
        dispatch(Run { chain: self, gold: &[], meanwhile: |_| (), by_token: false, nodes })
    }

    /// Computes all marginals with edges that differ from token to token, and returns log Z.
    ///
    /// Afterwards [`Chain::token_pairs`] are the pair marginals of each token.
    pub(crate) fn run_by_token(
        &mut self,
        gold: &[u16],
        meanwhile: impl FnMut(usize),
    ) -> Option<f64> {
        let shift: f64 = self.token_shifts[1..self.len].iter().copied().map(f64::from).sum();
        let run = Run { chain: self, gold, meanwhile, by_token: true, nodes: Nodes::Scores };
        dispatch(run).map(|log_z| log_z + shift)
    }

    /// Returns the pair marginals of a token after [`Chain::run_by_token`]: rows of `width`
    /// floats by previous label.
    pub(crate) fn token_pairs(&self, token: usize) -> &[f32] {
        let size = self.rows * self.width;
        &self.token_edges[token * size..][..self.n_labels * self.width]
    }

    /// Adds the pair marginals since the last call to `out`, `Y × Y`, and forgets them.
    pub(crate) fn add_pairs(&mut self, out: &mut [f32]) {
        let (n, width) = (self.n_labels, self.width);
        dispatch(MultiplyPairs { pairs: &mut self.pairs, edge: &self.edge });
        let rows = self.pairs.chunks_exact_mut(width).zip(out.chunks_exact_mut(n));
        for (pairs, out) in rows {
            for (out, &pair) in out.iter_mut().zip(&*pairs) {
                *out += pair;
            }
            pairs.fill(0.0);
        }
    }
}

/// `pairs = pairs edge`, without denormal results.
struct MultiplyPairs<'a> {
    pairs: &'a mut [f32],
    edge: &'a [f32],
}

impl Kernel for MultiplyPairs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let edge = self.edge.chunks_exact(S::LANES);
        for (pairs, edge) in self.pairs.chunks_exact_mut(S::LANES).zip(edge) {
            let value = s.load(pairs);
            let value = s.keep_from(value, value, LEAST_FACTOR);
            s.store(s.mul(value, s.load(edge)), pairs);
        }
    }
}

/// `rows[i] = exp(rows[i] - shift) mask`, row by row.
struct Exponentiate<'a> {
    rows: &'a mut [f32],
    mask: &'a [f32],
    shift: f32,
}

impl Kernel for Exponentiate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let shift = s.splat(self.shift);
        for row in self.rows.chunks_exact_mut(self.mask.len()) {
            for (values, mask) in
                row.chunks_exact_mut(S::LANES).zip(self.mask.chunks_exact(S::LANES))
            {
                let exp = s.exp_from(s.sub(s.load(values), shift), LEAST_EXPONENT);
                s.store(s.mul(exp, s.load(mask)), values);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores that reach from certain to impossible.
    fn extreme(n_labels: usize, len: usize, size: f32) -> Chain {
        let mut chain = Chain::new(n_labels);
        chain.resize(len);
        let mut state = 1u32;
        let mut score = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            size * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
        };
        for token in 0..len {
            chain.node_mut(token)[..n_labels].fill_with(&mut score);
        }
        let edges: Vec<f32> = std::iter::repeat_with(score).take(n_labels * n_labels).collect();
        chain.set_edges(&edges);
        chain
    }

    #[test]
    fn no_denormal_number_is_computed() {
        for size in [1.0, 10.0, 30.0, 60.0, 100.0, 1000.0] {
            for n_labels in [3, 22] {
                let mut chain = extreme(n_labels, 40, size);
                let done = chain.run(&[], |_| {});
                let mut pairs = vec![0.0; n_labels * n_labels];
                chain.add_pairs(&mut pairs);
                let cells = 40 * chain.width;
                let buffers: [&[f32]; 6] = [
                    &chain.node[..cells],
                    &chain.alpha[..cells],
                    &chain.beta[..cells],
                    &chain.ahead[..cells],
                    &chain.edge,
                    &pairs,
                ];
                for (at, buffer) in buffers.iter().enumerate() {
                    assert!(
                        buffer.iter().all(|value| !value.is_subnormal()),
                        "buffer {at}, scores up to {size}, {done:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_computed_in_spite_of_extreme_scores_is_a_distribution() {
        for size in [1.0, 10.0, 30.0, 60.0] {
            let mut chain = extreme(22, 40, size);
            if chain.run(&[], |_| {}).is_some() {
                for token in 0..40 {
                    let total: f32 = chain.node(token).iter().sum();
                    assert!((total - 1.0).abs() < 1e-4, "token {token}, size {size}: {total}");
                }
            }
        }
    }

    #[test]
    fn the_exponential_is_accurate() {
        struct Exp<'a>(&'a mut [f32]);
        impl Kernel for Exp<'_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                for values in self.0.chunks_exact_mut(S::LANES) {
                    s.store(s.exp_from(s.load(values), LEAST_EXPONENT), values);
                }
            }
        }
        let inputs: Vec<f32> = (0..4096).map(|i| -(i as f32) * 0.01).collect();
        let mut values = inputs.clone();
        dispatch(Exp(&mut values));
        for (&x, &found) in inputs.iter().zip(&values) {
            let exact = f64::from(x).exp();
            if x < LEAST_EXPONENT {
                assert_eq!(found, 0.0);
            } else {
                assert!((f64::from(found) / exact - 1.0).abs() < 3e-7, "exp({x}) = {found}");
            }
        }
    }
}
