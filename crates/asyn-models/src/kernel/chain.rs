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
//! as a whole for edges), so nothing overflows. The normaliser of a step divides the
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

// Loops over vectors are written with indices: a closure or an iterator adaptor that takes
// a vector is compiled without the instruction set, and its intrinsics become calls.
#![allow(clippy::needless_range_loop, reason = "see above")]

use super::{Aligned, Kernel, Simd, dispatch, lanes};

/// Exponents below this give exactly 0.
const LEAST_EXPONENT: f32 = -40.0;

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

    /// Returns the node row of a token: scores before [`Chain::run`], marginals after it.
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
        for previous in 0..n {
            for label in 0..n {
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
        dispatch(Run { chain: self, gold, meanwhile, by_token: false }).map(|log_z| log_z + shift)
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
        dispatch(Run { chain: self, gold, meanwhile, by_token: true }).map(|log_z| log_z + shift)
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

struct Run<'a, F> {
    chain: &'a mut Chain,
    gold: &'a [u16],
    meanwhile: F,
    by_token: bool,
}

impl<F: FnMut(usize)> Kernel for Run<'_, F> {
    type Output = Option<f64>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Option<f64> {
        let Run { chain, gold, meanwhile, by_token } = self;
        // With 16 registers fewer rows of accumulators fit than with 32.
        let wide = S::LANES == 16;
        match chain.width / S::LANES {
            1 => run::<S, 1, 8>(s, chain, gold, meanwhile, S::LANES, by_token),
            2 if wide => run::<S, 2, 8>(s, chain, gold, meanwhile, 2 * S::LANES, by_token),
            2 => run::<S, 2, 4>(s, chain, gold, meanwhile, 2 * S::LANES, by_token),
            3 if wide => run::<S, 3, 8>(s, chain, gold, meanwhile, 3 * S::LANES, by_token),
            3 => run::<S, 3, 4>(s, chain, gold, meanwhile, 3 * S::LANES, by_token),
            4 if wide => run::<S, 4, 4>(s, chain, gold, meanwhile, 4 * S::LANES, by_token),
            4 => run::<S, 4, 2>(s, chain, gold, meanwhile, 4 * S::LANES, by_token),
            _ => run::<S, 4, 2>(s, chain, gold, meanwhile, chain.width, by_token),
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
    by_token: bool,
) -> Option<f64> {
    let len = chain.len;
    let shifts = exponentiate_nodes::<S>(s, chain, width);
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
    // Written so that NaN fails as well.
    if !(lowest > LEAST_TOTAL) {
        return None;
    }
    if by_token {
        token_pairs::<S>(s, chain, width);
    } else {
        sum_pairs::<S, N, R>(s, chain, width);
    }
    Some(shifts + sum_of_logs(&chain.sums[..len]))
}

/// Returns the sum of logarithms, by one logarithm for sixteen factors.
fn sum_of_logs(factors: &[f32]) -> f64 {
    // Sixteen factors of at least 1e-8 stay far from the smallest f64.
    factors
        .chunks(16)
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
        if !(total > 0.0) {
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
