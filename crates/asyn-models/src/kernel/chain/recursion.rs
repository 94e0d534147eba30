//! The recursions of forward-backward and what follows from them.
//!
//! Equations, shapes and scaling are in the header of the parent module.

// Loops over vectors are written with indices: a closure or an iterator adaptor that takes
// a vector is compiled without the instruction set, and its intrinsics become calls.
#![allow(clippy::needless_range_loop, reason = "see above")]

use super::{Chain, LEAST_EXPONENT, LEAST_FACTOR, LEAST_PROBABILITY, LEAST_TOTAL, LEAST_VALUE};
use crate::kernel::{Kernel, Simd};

/// What node rows hold before a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nodes {
    Scores,
    Probabilities,
}

/// The computation of [`Chain::run`] and its variants.
pub(super) struct Run<'a, F> {
    pub(super) chain: &'a mut Chain,
    pub(super) gold: &'a [u16],
    pub(super) meanwhile: F,
    pub(super) by_token: bool,
    pub(super) nodes: Nodes,
}

impl<F: FnMut(usize)> Kernel for Run<'_, F> {
    type Output = Option<f64>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Option<f64> {
        let Run { chain, gold, meanwhile, by_token, nodes } = self;
        let kind = (by_token, nodes);
        // With 16 registers fewer rows of accumulators fit than with 32.
        let wide = S::LANES == 16;
        match chain.width / S::LANES {
            1 => run::<S, 1, 8>(s, chain, gold, meanwhile, S::LANES, kind),
            2 if wide => run::<S, 2, 8>(s, chain, gold, meanwhile, 2 * S::LANES, kind),
            2 => run::<S, 2, 4>(s, chain, gold, meanwhile, 2 * S::LANES, kind),
            3 if wide => run::<S, 3, 8>(s, chain, gold, meanwhile, 3 * S::LANES, kind),
            3 => run::<S, 3, 4>(s, chain, gold, meanwhile, 3 * S::LANES, kind),
            4 if wide => run::<S, 4, 4>(s, chain, gold, meanwhile, 4 * S::LANES, kind),
            4 => run::<S, 4, 2>(s, chain, gold, meanwhile, 4 * S::LANES, kind),
            _ => run::<S, 4, 2>(s, chain, gold, meanwhile, chain.width, kind),
        }
    }
}

/// The whole computation, `N` vectors and `R` rows of labels at a time.
///
/// `width` is `chain.width`, passed apart so that it is a constant where one strip of `N`
/// vectors makes a row: bounds checks then vanish.
#[inline(always)]
fn run<S: Simd, const N: usize, const R: usize>(
    s: S,
    chain: &mut Chain,
    gold: &[u16],
    mut meanwhile: impl FnMut(usize),
    width: usize,
    (by_token, nodes): (bool, Nodes),
) -> Option<f64> {
    let len = chain.len;
    let shifts = match nodes {
        Nodes::Scores => exponentiate_nodes::<S>(s, chain, width),
        Nodes::Probabilities => scale_nodes::<S>(s, chain, width),
    };
    let mut lowest = first_values::<S>(s, chain, width);
    let (n, size) = (chain.n_labels, chain.rows * width);
    // Taken apart once, so that the loop holds plain slices.
    let node = &chain.node[..len * width];
    let alpha = &mut chain.alpha[..len * width];
    let beta = &mut chain.beta[..len * width];
    let ahead = &mut chain.ahead[..len * width];
    let sums = &mut chain.sums[..len];
    let (edge, transposed) = (&chain.edge[..n * width], &chain.edge_transposed[..n * width]);
    let token_edges = &chain.token_edges[..];
    for i in 1..len {
        let j = len - 1 - i;
        meanwhile(i);
        let into =
            |token: usize| if by_token { &token_edges[token * size..][..n * width] } else { edge };
        let (before, after) = alpha.split_at_mut(i * width);
        let step = Forward {
            edge: into(i),
            previous: &before[(i - 1) * width..][..n],
            node: &node[i * width..][..width],
            alpha: &mut after[..width],
        };
        sums[i] = forward::<S, N>(s, step, width, sums[i - 1]);
        lowest = lowest.min(sums[i]);
        let (before, after) = ahead.split_at_mut((j + 1) * width);
        let step = Backward {
            edge: if by_token { into(j + 1) } else { transposed },
            next: &after[..width],
            node: &node[j * width..][..width],
            beta: &mut beta[j * width..][..width],
            ahead: &mut before[j * width..][..width],
        };
        lowest = lowest.min(backward::<S, N>(s, step, width, by_token));
    }
    lowest = lowest.min(marginals::<S>(s, chain, gold, width));
    if lowest.is_nan() || lowest <= LEAST_TOTAL {
        return None;
    }
    if by_token {
        token_pairs::<S>(s, chain, width);
    } else {
        sum_pairs::<S, N, R>(s, chain, width);
    }
    // Sixteen factors of at least 1e-8 stay far from the smallest f64.
    Some(shifts + sum_of_logs::<16>(&chain.sums[..len]))
}

/// Returns the sum of logarithms, by one logarithm for `N` factors.
fn sum_of_logs<const N: usize>(factors: &[f32]) -> f64 {
    factors
        .chunks(N)
        .map(|chunk| chunk.iter().fold(1.0, |product, &factor| product * f64::from(factor)).ln())
        .sum()
}

/// Replaces node scores by their exponentials; returns the sum of the shifts.
#[inline(always)]
fn exponentiate_nodes<S: Simd>(s: S, chain: &mut Chain, width: usize) -> f64 {
    let mut shifts = 0.0;
    let penalty = &chain.penalty[..width];
    for row in chain.node[..chain.len * width].chunks_exact_mut(width) {
        // The penalty is added twice rather than stored: a vector that was stored in
        // parts cannot be loaded again until the parts have reached the cache.
        let mut largest = s.splat(f32::NEG_INFINITY);
        for at in (0..width).step_by(S::LANES) {
            largest = s.max(largest, s.add(s.load(&row[at..]), s.load(&penalty[at..])));
        }
        let shift = s.largest(largest);
        shifts += f64::from(shift);
        for at in (0..width).step_by(S::LANES) {
            let score = s.add(s.load(&row[at..]), s.load(&penalty[at..]));
            let exp = s.exp_from(s.sub(score, s.splat(shift)), LEAST_EXPONENT);
            s.store(exp, &mut row[at..]);
        }
    }
    shifts
}

/// Divides node values by the largest of their row; returns the sum of the logarithms of these.
#[inline(always)]
fn scale_nodes<S: Simd>(s: S, chain: &mut Chain, width: usize) -> f64 {
    let mask = &chain.mask[..width];
    let rows = chain.node[..chain.len * width].chunks_exact_mut(width);
    for (row, scale) in rows.zip(&mut chain.sums) {
        let mut largest = s.zero();
        for at in (0..width).step_by(S::LANES) {
            largest = s.max(largest, s.mul(s.load(&row[at..]), s.load(&mask[at..])));
        }
        let largest = s.largest(largest);
        let inverse = s.splat(1.0 / largest);
        for at in (0..width).step_by(S::LANES) {
            let value = s.mul(s.load(&row[at..]), s.load(&mask[at..]));
            let value = s.mul(value, inverse);
            s.store(s.keep_from(value, value, LEAST_PROBABILITY), &mut row[at..]);
        }
        *scale = largest;
    }
    // Eight factors that are normal numbers in f32 have a product that is one in f64.
    sum_of_logs::<8>(&chain.sums[..chain.len])
}

/// Sets the first forward and the last backward values; returns the total of the former.
#[inline(always)]
fn first_values<S: Simd>(s: S, chain: &mut Chain, width: usize) -> f32 {
    let last = (chain.len - 1) * width;
    let mut total = s.zero();
    for at in (0..width).step_by(S::LANES) {
        let node = s.load(&chain.node[at..]);
        total = s.add(total, node);
        s.store(node, &mut chain.alpha[at..]);
        s.store(s.load(&chain.mask[at..]), &mut chain.beta[last + at..]);
        s.store(s.load(&chain.node[last + at..]), &mut chain.ahead[last + at..]);
    }
    chain.sums[0] = s.sum(total);
    chain.sums[0]
}

/// One step of the forward recursion.
struct Forward<'a> {
    edge: &'a [f32],
    /// `Y` values of the token before.
    previous: &'a [f32],
    node: &'a [f32],
    alpha: &'a mut [f32],
}

/// Computes `alpha` from `previous`, whose total is `sum`; returns its total.
#[inline(always)]
fn forward<S: Simd, const N: usize>(s: S, step: Forward<'_>, width: usize, sum: f32) -> f32 {
    let Forward { edge, previous, node, alpha } = step;
    let inverse = s.splat(1.0 / sum);
    let mut total = s.zero();
    for strip in (0..width).step_by(N * S::LANES) {
        let weighted = weighted_rows::<S, N>(s, previous, edge, width, strip);
        let node = load_row::<S, N>(s, &node[strip..]);
        let alpha = &mut alpha[strip..strip + N * S::LANES];
        for v in 0..N {
            let value = s.mul(weighted[v], inverse);
            let value = s.keep_from(value, value, LEAST_FACTOR);
            let value = s.mul(value, node[v]);
            let value = s.keep_from(value, value, LEAST_VALUE);
            total = s.add(total, value);
            s.store(value, &mut alpha[v * S::LANES..]);
        }
    }
    s.sum(total)
}

/// One step of the backward recursion.
struct Backward<'a> {
    /// Edges by label and previous label, or by previous label and label where edges
    /// differ from token to token.
    edge: &'a [f32],
    /// `ahead` of the token after.
    next: &'a [f32],
    node: &'a [f32],
    beta: &'a mut [f32],
    ahead: &'a mut [f32],
}

/// Computes `beta` and `ahead` from `next`; returns the total of the latter.
#[inline(always)]
fn backward<S: Simd, const N: usize>(
    s: S,
    step: Backward<'_>,
    width: usize,
    by_token: bool,
) -> f32 {
    let Backward { edge, next, node, beta, ahead } = step;
    let n = edge.len() / width;
    let mut total = s.zero();
    for at in (0..width).step_by(S::LANES) {
        total = s.add(total, s.load(&next[at..]));
    }
    let total = s.sum(total);
    let inverse = s.splat(1.0 / total);
    if by_token {
        // Rows of edges times `next`: one sum over lanes for each previous label.
        for (row, beta) in edge.chunks_exact(width).zip(&mut *beta) {
            let mut sum = s.zero();
            for at in (0..width).step_by(S::LANES) {
                sum = s.mul_add(s.load(&row[at..]), s.load(&next[at..]), sum);
            }
            *beta = s.sum(sum);
        }
    }
    for strip in (0..width).step_by(N * S::LANES) {
        let weighted = if by_token {
            load_row::<S, N>(s, &beta[strip..])
        } else {
            weighted_rows::<S, N>(s, &next[..n], edge, width, strip)
        };
        let node = load_row::<S, N>(s, &node[strip..]);
        let beta = &mut beta[strip..strip + N * S::LANES];
        let ahead = &mut ahead[strip..strip + N * S::LANES];
        for v in 0..N {
            let value = s.mul(weighted[v], inverse);
            let value = s.keep_from(value, value, LEAST_VALUE);
            s.store(value, &mut beta[v * S::LANES..]);
            let value = s.mul(value, node[v]);
            s.store(s.keep_from(value, value, LEAST_VALUE), &mut ahead[v * S::LANES..]);
        }
    }
    total
}

/// Returns `N` vectors of `weights × matrix`, from column `strip` on.
#[inline(always)]
fn weighted_rows<S: Simd, const N: usize>(
    s: S,
    weights: &[f32],
    matrix: &[f32],
    width: usize,
    strip: usize,
) -> [S::V; N] {
    // Four independent sums hide the latency of the multiply-add.
    let mut sums = [[s.zero(); N]; 4];
    let (quads, rest) = weights.as_chunks::<4>();
    let (quad_rows, rest_rows) = matrix.split_at(quads.len() * 4 * width);
    for (quad, rows) in quads.iter().zip(quad_rows.chunks_exact(4 * width)) {
        for k in 0..4 {
            let row = &rows[k * width + strip..][..N * S::LANES];
            add_row::<S, N>(s, quad[k], row, &mut sums[k]);
        }
    }
    for (k, (&weight, row)) in rest.iter().zip(rest_rows.chunks_exact(width)).enumerate() {
        add_row::<S, N>(s, weight, &row[strip..][..N * S::LANES], &mut sums[k % 4]);
    }
    let mut total = [s.zero(); N];
    for v in 0..N {
        total[v] = s.add(s.add(sums[0][v], sums[1][v]), s.add(sums[2][v], sums[3][v]));
    }
    total
}

/// Loads `N` vectors.
#[inline(always)]
fn load_row<S: Simd, const N: usize>(s: S, row: &[f32]) -> [S::V; N] {
    let row = &row[..N * S::LANES];
    let mut vectors = [s.zero(); N];
    for v in 0..N {
        vectors[v] = s.load(&row[v * S::LANES..]);
    }
    vectors
}

/// `sums += weight row`.
#[inline(always)]
fn add_row<S: Simd, const N: usize>(s: S, weight: f32, row: &[f32], sums: &mut [S::V; N]) {
    let weight = s.splat(weight);
    for v in 0..N {
        sums[v] = s.mul_add(weight, s.load(&row[v * S::LANES..]), sums[v]);
    }
}

/// Turns the node rows into marginals, and divides `ahead` by what makes pair marginals
/// of it; returns the smallest total.
#[inline(always)]
fn marginals<S: Simd>(s: S, chain: &mut Chain, gold: &[u16], width: usize) -> f32 {
    let mut lowest = f32::INFINITY;
    let lane = &chain.lane[..width];
    for i in 0..chain.len {
        // No lane has a negative number.
        let gold = gold.get(i).map_or(-1.0, |&label| f32::from(label));
        let row = i * width..(i + 1) * width;
        let (alpha, beta) = (&chain.alpha[row.clone()], &chain.beta[row.clone()]);
        let (node, ahead) = (&mut chain.node[row.clone()], &mut chain.ahead[row]);
        let mut total = s.zero();
        for (alpha, beta) in alpha.chunks_exact(S::LANES).zip(beta.chunks_exact(S::LANES)) {
            total = s.mul_add(s.load(alpha), s.load(beta), total);
        }
        let total = s.sum(total);
        lowest = lowest.min(total);
        if total.is_nan() || total <= 0.0 {
            return 0.0;
        }
        let inverse = 1.0 / total;
        let pair = if i == 0 { 0.0 } else { inverse / chain.sums[i - 1] };
        let (inverse, pair) = (s.splat(inverse), s.splat(pair));
        for at in (0..width).step_by(S::LANES) {
            let lanes = at..at + S::LANES;
            let product = s.mul(s.load(&alpha[lanes.clone()]), s.load(&beta[lanes.clone()]));
            let error = s.sub_one_at(s.mul(product, inverse), s.load(&lane[at..]), gold);
            s.store(error, &mut node[lanes.clone()]);
            let value = s.mul(s.load(&ahead[lanes.clone()]), pair);
            s.store(value, &mut ahead[lanes]);
        }
    }
    lowest
}

/// Adds `Σᵢ alpha[i-1]ᵀ ahead[i]` to `pairs`, `R` rows of `N` vectors at a time in registers.
#[inline(always)]
fn sum_pairs<S: Simd, const N: usize, const R: usize>(s: S, chain: &mut Chain, width: usize) {
    let len = chain.len;
    if len < 2 {
        return;
    }
    let alpha = &chain.alpha[..(len - 1) * width];
    let ahead = &chain.ahead[width..len * width];
    for (block, pairs) in chain.pairs.chunks_exact_mut(R * width).enumerate() {
        for strip in (0..width).step_by(N * S::LANES) {
            let mut sums = [[s.zero(); N]; R];
            for r in 0..R {
                sums[r] = load_row::<S, N>(s, &pairs[r * width + strip..]);
            }
            for (alpha, ahead) in alpha.chunks_exact(width).zip(ahead.chunks_exact(width)) {
                let ahead = load_row::<S, N>(s, &ahead[strip..]);
                let alpha = &alpha[block * R..][..R];
                for r in 0..R {
                    let alpha = s.splat(alpha[r]);
                    for v in 0..N {
                        sums[r][v] = s.mul_add(alpha, ahead[v], sums[r][v]);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    s.store(sum, &mut pairs[r * width + strip + v * S::LANES..]);
                }
            }
        }
    }
}

/// Replaces each token's edge matrix by its pair marginals.
#[inline(always)]
fn token_pairs<S: Simd>(s: S, chain: &mut Chain, width: usize) {
    let size = chain.rows * width;
    for i in 1..chain.len {
        let alpha = &chain.alpha[(i - 1) * width..][..chain.n_labels];
        let ahead = &chain.ahead[i * width..][..width];
        let edges = &mut chain.token_edges[i * size..][..size];
        for (row, &alpha) in edges.chunks_exact_mut(width).zip(alpha) {
            let alpha = s.splat(alpha);
            for (edge, ahead) in row.chunks_exact_mut(S::LANES).zip(ahead.chunks_exact(S::LANES)) {
                let product = s.mul(alpha, s.load(ahead));
                let product = s.keep_from(product, product, LEAST_FACTOR);
                s.store(s.mul(product, s.load(edge)), edge);
            }
        }
    }
}
