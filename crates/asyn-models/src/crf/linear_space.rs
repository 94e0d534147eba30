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

// Loops over lanes are written with indices, as in the kernels.
#![allow(clippy::needless_range_loop, reason = "see above")]

use super::log_space::Scores;
use crate::kernel::{Kernel, Simd, dispatch};

/// Sums below this may lack terms that were too small for an `f64`.
///
/// All factors of a term are at most 1, so a term that was lost is below 1e-307, and thousands of
/// them are nothing beside a sum of this size.
const LEAST_SUM: f64 = 1e-100;

/// Rows of labels are padded with zeros to a multiple of this.
const LANES: usize = 8;

/// One direction of the recursion: `T × W` values, and the logarithm of the unit of each token.
#[derive(Debug, Clone, Default)]
pub(super) struct Scaled {
    width: usize,
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
    /// `n[i+1] ⊙ beta[i+1]`.
    ahead: Vec<f64>,
}

/// Exponentials of matrices of scores, each less its largest score; rows are padded with zeros.
#[derive(Debug, Clone, Default)]
struct Exponentials {
    /// The floats in a matrix.
    size: usize,
    values: Vec<f64>,
    /// The largest score of each matrix.
    shifts: Vec<f64>,
}

impl LinearSpace {
    /// Computes both directions for a sentence of at least one token, and returns log Z; `None` if
    /// too much may have been lost.
    pub(super) fn run(&mut self, scores: &Scores<'_>) -> Option<f64> {
        let (len, n) = (scores.len(), scores.n_labels);
        let width = n.next_multiple_of(LANES);
        self.nodes.fill((0..len).map(|token| scores.node_row(token)), n);
        self.edges.fill(scores.matrices(), n);
        self.alpha.resize(len, width);
        self.beta.resize(len, width);
        self.beta.row_mut(len - 1)[..n].fill(1.0);
        self.ahead.clear();
        self.ahead.resize(width, 0.0);
        dispatch(Recursions { space: self, scores })
    }
}

impl Scaled {
    /// Returns the logarithm of a value.
    pub(super) fn log(&self, token: usize, label: usize) -> f64 {
        self.values[token * self.width + label].ln() + self.log_units[token]
    }

    fn resize(&mut self, len: usize, width: usize) {
        self.width = width;
        self.values.clear();
        self.values.resize(len * width, 0.0);
        self.log_units.clear();
        self.log_units.resize(len, 0.0);
    }

    #[inline(always)]
    fn row_mut(&mut self, token: usize) -> &mut [f64] {
        &mut self.values[token * self.width..][..self.width]
    }

    /// Divides the values of a token by their sum, and says whether nothing was lost.
    #[inline(always)]
    fn scale(&mut self, token: usize, log_unit: f64) -> bool {
        let row = self.row_mut(token);
        let sum = sum_lanes(row.as_chunks().0.iter().copied());
        let inverse = 1.0 / sum;
        row.iter_mut().for_each(|value| *value *= inverse);
        self.log_units[token] = log_unit + sum.ln();
        (LEAST_SUM..f64::INFINITY).contains(&sum)
    }
}

/// The loops over tokens, compiled for each instruction set.
struct Recursions<'a> {
    space: &'a mut LinearSpace,
    scores: &'a Scores<'a>,
}

impl Kernel for Recursions<'_> {
    type Output = Option<f64>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Option<f64> {
        let Self { space: LinearSpace { alpha, beta, nodes, edges, ahead }, scores } = self;
        let (len, n, width) = (scores.len(), scores.n_labels, alpha.width);
        alpha.row_mut(0).copy_from_slice(nodes.matrix(0));
        let mut is_safe = alpha.scale(0, nodes.shifts[0]);
        for token in 1..len {
            let matrix = scores.matrix_into(token);
            let (before, row) = alpha.values.split_at_mut(token * width);
            let before = &before[(token - 1) * width..][..n];
            weigh_rows(before, edges.matrix(matrix), &mut row[..width]);
            for (value, node) in row.iter_mut().zip(nodes.matrix(token)) {
                *value *= node;
            }
            let shifts = nodes.shifts[token] + edges.shifts[matrix];
            is_safe &= alpha.scale(token, alpha.log_units[token - 1] + shifts);
        }
        for token in (0..len - 1).rev() {
            let matrix = scores.matrix_into(token + 1);
            let next = beta.row_mut(token + 1).iter().zip(nodes.matrix(token + 1));
            for (ahead, (beta, node)) in ahead.iter_mut().zip(next) {
                *ahead = beta * node;
            }
            let rows = edges.matrix(matrix).chunks_exact(width);
            for (beta, edges) in beta.row_mut(token).iter_mut().zip(rows) {
                *beta = dot(edges, ahead);
            }
            let shifts = nodes.shifts[token + 1] + edges.shifts[matrix];
            is_safe &= beta.scale(token, beta.log_units[token + 1] + shifts);
        }
        // The values of a token sum to 1, so its unit is the sum of all beginnings.
        is_safe.then(|| alpha.log_units[len - 1])
    }
}

impl Exponentials {
    /// Replaces all matrices by the exponentials of `matrices`, whose rows have `n` scores.
    fn fill<'m>(&mut self, matrices: impl Iterator<Item = &'m [f32]>, n: usize) {
        self.values.clear();
        self.shifts.clear();
        for matrix in matrices {
            let shift = f64::from(matrix.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            for row in matrix.chunks_exact(n) {
                self.values.extend(row.iter().map(|&score| (f64::from(score) - shift).exp()));
                self.values.resize(self.values.len().next_multiple_of(LANES), 0.0);
            }
            self.shifts.push(shift);
            self.size = self.values.len() / self.shifts.len();
        }
    }

    #[inline(always)]
    fn matrix(&self, at: usize) -> &[f64] {
        &self.values[at * self.size..][..self.size]
    }
}

/// Sets `out` to `weights × matrix`, for rows of whole lanes, some of them at a time in registers.
#[inline(always)]
fn weigh_rows(weights: &[f64], matrix: &[f64], out: &mut [f64]) {
    let width = out.len();
    for (strip, out) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let mut sums = [[0.0; LANES]; 2];
        for (row, (&weight, edges)) in weights.iter().zip(matrix.chunks_exact(width)).enumerate() {
            let edges = &edges[strip * LANES..][..LANES];
            for lane in 0..LANES {
                sums[row % 2][lane] += weight * edges[lane];
            }
        }
        for lane in 0..LANES {
            out[lane] = sums[0][lane] + sums[1][lane];
        }
    }
}

/// Returns the sum of products of two rows of whole lanes.
#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let pairs = a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0);
    sum_lanes(pairs.map(|(a, b)| std::array::from_fn(|lane| a[lane] * b[lane])))
}

/// Returns the sum of all values, lane by lane first.
#[inline(always)]
fn sum_lanes(parts: impl Iterator<Item = [f64; LANES]>) -> f64 {
    let mut sums = [0.0; LANES];
    for part in parts {
        for lane in 0..LANES {
            sums[lane] += part[lane];
        }
    }
    sums.iter().sum()
}
