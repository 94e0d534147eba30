//! The best label sequence of a linear chain (Viterbi 1967), on scores.
//!
//! ```text
//! best[0] = node[0]
//! best[i][y] = node[i][y] + max over y' of best[i-1][y'] + edge[y'][y]
//! ```
//!
//! Ties go to the smaller label. All labels of a token are computed at once; the
//! label that a maximum came from travels in a second vector beside it.

use super::{Aligned, Kernel, Simd, dispatch};
use crate::kernel::chain::row_width;

/// Scratch for decoding sentences of any length over a fixed set of labels.
#[derive(Debug, Clone)]
pub(crate) struct Viterbi {
    n_labels: usize,
    width: usize,
    len: usize,
    node: Aligned,
    /// `Y × W`, or that for each token.
    edge: Aligned,
    by_token: bool,
    best: Aligned,
    /// The previous label of the best path to each label, as a float.
    from: Aligned,
}

impl Viterbi {
    pub(crate) fn new(n_labels: usize) -> Self {
        let width = row_width(n_labels);
        Self {
            n_labels,
            width,
            len: 0,
            node: Aligned::zeroed(0),
            edge: Aligned::zeroed(n_labels * width),
            by_token: false,
            best: Aligned::zeroed(2 * width),
            from: Aligned::zeroed(0),
        }
    }

    /// Gets ready for a sentence of `len` tokens; with edges that differ from token to
    /// token, if `by_token`.
    pub(crate) fn resize(&mut self, len: usize, by_token: bool) {
        self.len = len;
        self.by_token = by_token;
        self.node.grow(len * self.width);
        self.from.grow(len * self.width);
        if by_token {
            self.edge.grow(len * self.n_labels * self.width);
        }
    }

    /// Returns the floats from one row of node scores to the next.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Returns the rows for the node scores of all tokens.
    pub(crate) fn nodes_mut(&mut self) -> &mut [f32] {
        &mut self.node[..self.len * self.width]
    }

    /// Sets the edge scores, `Y × Y`: those that all tokens share, or those into `token`.
    pub(crate) fn set_edges(&mut self, token: usize, scores: &[f32]) {
        let (n, width) = (self.n_labels, self.width);
        let start = if self.by_token { token * n * width } else { 0 };
        let rows = self.edge[start..][..n * width].chunks_exact_mut(width);
        for (row, scores) in rows.zip(scores.chunks_exact(n)) {
            row[..n].copy_from_slice(scores);
        }
    }

    /// Writes the best label of each token to `labels` and returns the score of the sequence.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "labels are small whole numbers held as floats"
    )]
    pub(crate) fn run(&mut self, labels: &mut Vec<u16>) -> f32 {
        labels.clear();
        if self.len == 0 {
            return 0.0;
        }
        let last_row = dispatch(Recursion(self));
        let last = &self.best[last_row * self.width..][..self.n_labels];
        let mut label = 0;
        for (candidate, &score) in last.iter().enumerate() {
            if score > last[label] {
                label = candidate;
            }
        }
        let score = last[label];
        labels.resize(self.len, 0);
        for token in (0..self.len).rev() {
            labels[token] = label as u16;
            label = self.from[token * self.width + label] as usize;
        }
        score
    }
}

struct Recursion<'a>(&'a mut Viterbi);

impl Kernel for Recursion<'_> {
    /// Which half of `best` holds the last row.
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> usize {
        let chain = self.0;
        match chain.width / S::LANES {
            1 => recursion::<S, 1>(s, chain, S::LANES),
            2 => recursion::<S, 2>(s, chain, 2 * S::LANES),
            3 => recursion::<S, 3>(s, chain, 3 * S::LANES),
            4 => recursion::<S, 4>(s, chain, 4 * S::LANES),
            _ => recursion::<S, 4>(s, chain, chain.width),
        }
    }
}

#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "labels are few")]
fn recursion<S: Simd, const N: usize>(s: S, chain: &mut Viterbi, width: usize) -> usize {
    let n = chain.n_labels;
    chain.best[..width].copy_from_slice(&chain.node[..width]);
    for i in 1..chain.len {
        let (first, second) = chain.best.split_at_mut(width);
        let (previous, best) = if i % 2 == 1 { (&*first, second) } else { (&*second, first) };
        let start = if chain.by_token { i * n * width } else { 0 };
        let edges = &chain.edge[start..][..n * width];
        let node = &chain.node[i * width..][..width];
        let from = &mut chain.from[i * width..][..width];
        for strip in (0..width).step_by(N * S::LANES) {
            let mut scores = [s.splat(f32::NEG_INFINITY); N];
            let mut labels = [s.zero(); N];
            for (label, (row, &score)) in edges.chunks_exact(width).zip(previous).enumerate() {
                let (score, label) = (s.splat(score), s.splat(label as f32));
                let row = &row[strip..strip + N * S::LANES];
                for v in 0..N {
                    let candidate = s.add(score, s.load(&row[v * S::LANES..]));
                    s.keep_better(&mut scores[v], &mut labels[v], candidate, label);
                }
            }
            for v in 0..N {
                let at = strip + v * S::LANES;
                let score = s.add(scores[v], s.load(&node[at..at + S::LANES]));
                s.store(score, &mut best[at..at + S::LANES]);
                s.store(labels[v], &mut from[at..at + S::LANES]);
            }
        }
    }
    (chain.len - 1) % 2
}
