//! All allowed label sequences of one sentence, with their probabilities.
//!
//! | Field   | Shape                      | Meaning                                          |
//! | ------- | -------------------------- | ------------------------------------------------ |
//! | `nodes` | `T × W`                    | node scores, −∞ where a label is not allowed     |
//! | `edges` | `Y × Y`, or `T × Y × Y`    | edge scores, −∞ where a pair is not allowed      |
//! | `alpha` | `T × Y`                    | the sum over all beginnings up to a label        |
//! | `beta`  | `T × Y`                    | the sum over all ends behind a label             |
//!
//! Probabilities are conditional on the constraints: they sum to 1 over the
//! sequences that are allowed. Everything is in double precision; sums are scaled token by
//! token, or in log space where one would underflow.

use std::ops::Range;

use asyn_core::Worker;
use asyn_core::shared::Lists;
use asyn_data::spans::SpanLabels;
use asyn_data::{Encoded, Grammar};

use super::decode::Marginals;
use super::linear_space::LinearSpace;
use super::log_space::{Scores, log_sum_exp};
use super::pieces::Piece;
use super::{Crf, CrfWorkspace};

/// What the labels of a sentence may be; by default, anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Constraints<'a> {
    /// Which labels may begin, follow each other and end.
    pub grammar: Option<&'a Grammar>,
    /// `T × Y`: which labels each token may have; empty where all may have all.
    pub allowed: &'a [bool],
}

/// The allowed label sequences of a sentence; made by [`Crf::lattice`], and to be used again for
/// the next sentence.
#[derive(Debug, Clone, Default)]
pub struct Lattice {
    n_labels: usize,
    width: usize,
    nodes: Vec<f32>,
    edges: Vec<f32>,
    linear: LinearSpace,
    /// `T × Y` logarithms of `alpha` and `beta`; empty where the scaled sums hold them.
    log_alpha: Vec<f64>,
    log_beta: Vec<f64>,
    log_z: f64,
}

impl Constraints<'_> {
    /// Forbids pairs of labels, in a matrix of edge scores.
    pub(crate) fn mask_edges(&self, scores: &mut [f32]) {
        if let Some(grammar) = self.grammar {
            mask(scores, grammar.transitions());
        }
    }

    /// Forbids labels, in rows of node scores that are `width` apart.
    ///
    /// # Panics
    ///
    /// If the constraints are for another number of labels or tokens.
    pub(crate) fn mask_nodes(&self, n_labels: usize, nodes: &mut [f32], width: usize) {
        let len = nodes.len() / width;
        if let Some(grammar) = self.grammar {
            assert_eq!(grammar.n_labels(), n_labels, "labels of the grammar");
            mask(&mut nodes[..n_labels], grammar.starts());
            mask(&mut nodes[(len - 1) * width..], grammar.ends());
        }
        if !self.allowed.is_empty() {
            assert_eq!(self.allowed.len(), len * n_labels, "labels of tokens that are allowed");
            let rows = nodes.chunks_exact_mut(width);
            rows.zip(self.allowed.chunks_exact(n_labels)).for_each(|(row, ok)| mask(row, ok));
        }
    }
}

/// Makes scores −∞ where something is not allowed.
fn mask(scores: &mut [f32], allowed: &[bool]) {
    for (score, &allowed) in scores.iter_mut().zip(allowed) {
        *score = if allowed { *score } else { f32::NEG_INFINITY };
    }
}

impl Crf {
    /// Computes the allowed label sequences of a sentence with at least one token.
    ///
    /// # Panics
    ///
    /// If the sentence is empty, or the constraints are for another number of labels or tokens.
    pub fn lattice(
        &self,
        worker: &Worker<'_>,
        sentence: &Encoded,
        constraints: Constraints<'_>,
        workspace: &mut CrfWorkspace,
        out: &mut Lattice,
    ) {
        let (len, n) = (sentence.n_tokens(), self.shape.n_labels);
        assert!(len > 0, "a lattice has at least one token");
        out.n_labels = n;
        out.width = workspace.chain.width();
        out.nodes.clear();
        out.nodes.resize(len * out.width, 0.0);
        let lists = Lists::new(&sentence.attributes, &sentence.offsets);
        worker.sum_lists(self.node, lists, &mut out.nodes, out.width);
        constraints.mask_nodes(n, &mut out.nodes, out.width);
        self.read_plain_edges(worker, workspace);
        constraints.mask_edges(&mut workspace.edge_scores[..n * n]);
        out.edges.clear();
        out.edges.extend_from_slice(&workspace.edge_scores[..n * n]);
        if self.rich.is_some() {
            for token in 1..len {
                self.sum_token_edges(worker, &Piece::whole(sentence), token, workspace);
                out.edges.extend_from_slice(&workspace.token_edges[..n * n]);
            }
        }
        out.run();
    }
}

impl Lattice {
    /// Returns the log of the sum of the exponentials of all allowed scores, −∞ if nothing is allowed.
    pub fn log_z(&self) -> f64 {
        self.log_z
    }

    /// Returns whether any label sequence is allowed.
    pub fn is_possible(&self) -> bool {
        self.log_z > f64::NEG_INFINITY
    }

    /// Returns the number of tokens.
    #[allow(clippy::len_without_is_empty, reason = "a lattice of a sentence is never empty")]
    pub fn len(&self) -> usize {
        self.nodes.len() / self.width
    }

    /// Returns the score of a label sequence, −∞ if it is not allowed.
    ///
    /// # Panics
    ///
    /// If there are not as many labels as tokens, or there is no such label.
    pub fn score(&self, labels: &[u16]) -> f64 {
        assert_eq!(labels.len(), self.len(), "labels of all tokens");
        let scores = self.scores();
        let label = |token: usize| usize::from(labels[token]);
        let nodes = (0..labels.len()).map(|token| scores.node(token, label(token)));
        let edges =
            (1..labels.len()).map(|token| scores.edge(token, label(token - 1), label(token)));
        nodes.sum::<f64>() + edges.sum::<f64>()
    }

    /// Returns the probability that a token has a label.
    ///
    /// # Panics
    ///
    /// If there is no such token or label.
    pub fn label_probability(&self, token: usize, label: u16) -> f64 {
        assert!(usize::from(label) < self.n_labels, "label {label} of {}", self.n_labels);
        let label = usize::from(label);
        self.probability(self.alpha(token, label) + self.beta(token, label))
    }

    /// Returns the probability that tokens `span` are a span of type `kind` of `labels`, and no part
    /// of a longer one.
    ///
    /// It is the sum over all sequences in which a span begins at the first of these tokens, goes on
    /// to the last of them and ends there.
    ///
    /// # Panics
    ///
    /// If the span is empty or not in the sentence, or `labels` are those of another model.
    pub fn span_probability(&self, labels: &SpanLabels, span: Range<usize>, kind: usize) -> f64 {
        let (len, n) = (self.len(), self.n_labels);
        assert!(span.start < span.end && span.end <= len, "tokens {span:?} of {len}");
        assert_eq!(labels.n_labels(), n, "labels of spans");
        let scores = self.scores();
        let is_inside = |label: usize| labels.kind(label) == Some(kind);
        let before: Vec<f64> = match span.start {
            0 => Vec::new(),
            start => (0..n).map(|label| self.alpha(start - 1, label)).collect(),
        };
        // The sum over all sequences so far, by their last label.
        let mut inside = vec![f64::NEG_INFINITY; n];
        for label in (0..n).filter(|&label| is_inside(label)) {
            inside[label] = if span.start == 0 {
                scores.node(0, label)
            } else {
                let begins = (0..n).filter(|&p| !labels.joins(p, label));
                let terms = begins.map(|p| before[p] + scores.edge(span.start, p, label));
                scores.node(span.start, label) + log_sum_exp(terms)
            };
        }
        for token in span.start + 1..span.end {
            let next = |label: usize| {
                let joined = (0..n).filter(|&p| is_inside(p) && labels.joins(p, label));
                let terms = joined.map(|p| inside[p] + scores.edge(token, p, label));
                scores.node(token, label) + log_sum_exp(terms)
            };
            inside = (0..n).map(next).collect();
        }
        if span.end == len {
            return self.probability(log_sum_exp(inside.iter().copied()));
        }
        let behind = |label: usize| {
            let ended = (0..n).filter(|&p| is_inside(p) && !labels.joins(p, label));
            let terms = ended.map(|p| inside[p] + scores.edge(span.end, p, label));
            log_sum_exp(terms) + scores.node(span.end, label) + self.beta(span.end, label)
        };
        self.probability(log_sum_exp((0..n).map(behind)))
    }

    /// Writes the probabilities of all labels of all tokens.
    #[allow(clippy::cast_possible_truncation, reason = "marginals are f32 from here on")]
    pub(super) fn marginals(&self, out: &mut Marginals) {
        out.log_z = self.log_z;
        for token in 0..self.len() {
            let state = |label| self.alpha(token, label) + self.beta(token, label);
            let labels = 0..self.n_labels;
            out.labels.extend(labels.map(|label| self.probability(state(label)) as f32));
        }
    }

    pub(super) fn scores(&self) -> Scores<'_> {
        Scores {
            n_labels: self.n_labels,
            width: self.width,
            nodes: &self.nodes,
            edges: &self.edges,
        }
    }

    /// Returns the probability of sequences whose scores sum to the exponential of `score`.
    pub(super) fn probability(&self, score: f64) -> f64 {
        if self.is_possible() { (score - self.log_z).exp().min(1.0) } else { 0.0 }
    }

    /// Returns the logarithm of the sum over all beginnings up to a label.
    fn alpha(&self, token: usize, label: usize) -> f64 {
        let log = self.log_alpha.get(token * self.n_labels + label).copied();
        log.unwrap_or_else(|| self.linear.alpha.log(token, label))
    }

    /// Returns the logarithm of the sum over all ends behind a label.
    fn beta(&self, token: usize, label: usize) -> f64 {
        let log = self.log_beta.get(token * self.n_labels + label).copied();
        log.unwrap_or_else(|| self.linear.beta.log(token, label))
    }

    fn run(&mut self) {
        let mut linear = std::mem::take(&mut self.linear);
        let log_z = linear.run(&self.scores());
        self.linear = linear;
        self.log_alpha.clear();
        self.log_beta.clear();
        self.log_z = log_z.unwrap_or_else(|| self.run_in_log_space());
    }

    fn run_in_log_space(&mut self) -> f64 {
        let (mut alpha, mut beta) =
            (std::mem::take(&mut self.log_alpha), std::mem::take(&mut self.log_beta));
        self.scores().forward(&mut alpha);
        self.scores().backward(&mut beta);
        let log_z = log_sum_exp(alpha[alpha.len() - self.n_labels..].iter().copied());
        (self.log_alpha, self.log_beta) = (alpha, beta);
        log_z
    }
}
