//! Forward-backward on scaled exponentials, in double precision.
//!
//! With `E` the exponentials of edge scores less their maximum, `n[i]` those of the node
//! scores of a token less theirs, and `⊙` for products by label,
//!
//! ```text
//! alpha[0] = n[0],   alpha[i] = n[i] ⊙ (alpha[i-1] E)
//! beta[T-1] = 1,     beta[i] = E (n[i+1] ⊙ beta[i+1])
//! ```
//!
//! each divided by its sum, and the logarithms of what was divided by and subtracted are kept
//! by token (Rabiner 1989, section V-A). That takes `Y` exponentials a token, and `Y²` for a
//! matrix of edges, where log space takes `2 Y²` a token.
//!
//! # Underflow
//!
//! A factor below the smallest `f64` is 0. Where all of a sum may be lost by that, as with labels
//! that are allowed and hundreds of nats worse than others, there is no result, and log space has
//! one.

use super::log_space::Scores;

/// Sums below this may lack terms that were too small for an `f64`.
///
/// All factors of a term are at most 1, so a term that was lost is below 1e-307, and thousands of
/// them are nothing beside a sum of this size.
const LEAST_SUM: f64 = 1e-100;

/// One direction of the recursion: `T × Y` values, and the logarithm of the unit of each token.
#[derive(Debug, Clone, Default)]
pub(super) struct Scaled {
    n_labels: usize,
    values: Vec<f64>,
    log_units: Vec<f64>,
}

/// Both directions, to be used again for the next sentence.
#[derive(Debug, Clone, Default)]
pub(super) struct LinearSpace {
    pub(super) alpha: Scaled,
    pub(super) beta: Scaled,
    nodes: Exponentials,
    edges: Exponentials,
}

/// Rows of exponentials of scores less the largest of the row.
#[derive(Debug, Clone, Default)]
struct Exponentials {
    width: usize,
    values: Vec<f64>,
    /// The largest score of each row.
    shifts: Vec<f64>,
}

impl Scaled {
    /// Returns the logarithm of a value.
    pub(super) fn log(&self, token: usize, label: usize) -> f64 {
        self.values[token * self.n_labels + label].ln() + self.log_units[token]
    }

    fn resize(&mut self, len: usize, n_labels: usize) {
        self.n_labels = n_labels;
        self.values.clear();
        self.values.resize(len * n_labels, 0.0);
        self.log_units.clear();
        self.log_units.resize(len, 0.0);
    }

    fn row_mut(&mut self, token: usize) -> &mut [f64] {
        &mut self.values[token * self.n_labels..][..self.n_labels]
    }

    /// Divides the values of a token by their sum, and says whether nothing was lost.
    fn scale(&mut self, token: usize, log_unit: f64) -> bool {
        let row = self.row_mut(token);
        let sum: f64 = row.iter().sum();
        let is_safe = sum >= LEAST_SUM && sum.is_finite();
        row.iter_mut().for_each(|value| *value /= sum);
        self.log_units[token] = log_unit + sum.ln();
        is_safe
    }
}

impl LinearSpace {
    /// Computes both directions for a sentence of at least one token, and returns log Z; `None` if
    /// too much may have been lost.
    pub(super) fn run(&mut self, scores: &Scores<'_>) -> Option<f64> {
        let (len, n) = (scores.len(), scores.n_labels);
        let Self { alpha, beta, nodes, edges } = self;
        nodes.fill((0..len).map(|token| scores.node_row(token)));
        edges.fill(scores.matrices());
        alpha.resize(len, n);
        beta.resize(len, n);
        alpha.row_mut(0).copy_from_slice(nodes.row(0));
        let mut is_safe = alpha.scale(0, nodes.shifts[0]);
        for token in 1..len {
            let matrix = scores.matrix_into(token);
            let (before, row) = alpha.values.split_at_mut(token * n);
            let (before, row) = (&before[(token - 1) * n..], &mut row[..n]);
            for (&before, edges) in before.iter().zip(edges.row(matrix).chunks_exact(n)) {
                row.iter_mut().zip(edges).for_each(|(sum, edge)| *sum += before * edge);
            }
            row.iter_mut().zip(nodes.row(token)).for_each(|(value, node)| *value *= node);
            let shifts = nodes.shifts[token] + edges.shifts[matrix];
            is_safe &= alpha.scale(token, alpha.log_units[token - 1] + shifts);
        }
        beta.row_mut(len - 1).fill(1.0);
        let mut ahead = vec![0.0; n];
        for token in (0..len - 1).rev() {
            let matrix = scores.matrix_into(token + 1);
            let (row, next) = beta.values.split_at_mut((token + 1) * n);
            let next = next[..n].iter().zip(nodes.row(token + 1));
            ahead.iter_mut().zip(next).for_each(|(ahead, (beta, node))| *ahead = beta * node);
            for (beta, edges) in row[token * n..].iter_mut().zip(edges.row(matrix).chunks_exact(n))
            {
                *beta = dot(edges, &ahead);
            }
            let shifts = nodes.shifts[token + 1] + edges.shifts[matrix];
            is_safe &= beta.scale(token, beta.log_units[token + 1] + shifts);
        }
        // The values of a token sum to 1, so its unit is the sum of all beginnings.
        is_safe.then(|| alpha.log_units[len - 1])
    }
}

impl Exponentials {
    /// Replaces all rows by the exponentials of `rows`.
    fn fill<'r>(&mut self, rows: impl Iterator<Item = &'r [f32]>) {
        self.values.clear();
        self.shifts.clear();
        for row in rows {
            let shift = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            self.values.extend(row.iter().map(|&score| (f64::from(score) - shift).exp()));
            self.shifts.push(shift);
            self.width = row.len();
        }
    }

    fn row(&self, at: usize) -> &[f64] {
        &self.values[at * self.width..][..self.width]
    }
}

/// Returns the sum of products, by eight running sums, so that the compiler may use vectors.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| a * b);
    rest.chain(sums).sum()
}
