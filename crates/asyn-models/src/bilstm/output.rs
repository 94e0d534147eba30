//! From the outputs of the last layer to the scores of labels, their loss and the best of them.
//!
//! With `N` packed tokens, `2H` inputs and `Y` labels, padded to 16:
//!
//! | Tensor        | Shape           | Meaning                                        |
//! | ------------- | --------------- | ---------------------------------------------- |
//! | `output`      | `2H × Y` panels | from the units to the scores                   |
//! | `output.bias` | `Y`             | of the scores                                  |
//! | `transitions` | `Y × Y`         | by previous label and label, with a CRF output |
//!
//! The loss is summed over tokens: the cross-entropy of each on its own, or the negative
//! log-likelihood of the sentence under a linear chain with these node scores.

use std::iter;

use asyn_core::{Gradient, Layout, TensorId, Touched, Worker};
use asyn_data::Grammar;

use super::packing::Packing;
use super::{OutputLayer, product};
use crate::crf::Constraints;
use crate::crf::log_space::Scores;
use crate::kernel::chain::Chain;
use crate::kernel::softmax::Softmax;
use crate::kernel::viterbi::Viterbi;
use crate::kernel::{Aligned, dispatch};

/// Probabilities that were computed in log space become exactly 0 below this.
const LEAST_PROBABILITY: f32 = 1e-15;

/// The tensors of the output layer.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) labels: usize,
    /// `Y` with padding.
    width: usize,
    pub(super) scores: TensorId,
    bias: TensorId,
    transitions: Option<TensorId>,
}

/// The scratch memory.
#[derive(Debug)]
pub(super) struct OutputSpace {
    /// `N × width`: scores without bias, then their errors.
    rows: Aligned,
    /// Minus infinity in the padding.
    bias: Vec<f32>,
    /// The gold label of each row.
    gold: Vec<u16>,
    transitions: Vec<f32>,
    /// `Y × Y`: the transitions of one sentence, minus infinity where a grammar forbids them.
    edges: Vec<f32>,
    chain: Chain,
    viterbi: Viterbi,
    /// The labels of one sentence.
    labels: Vec<u16>,
}

impl Output {
    /// Adds the tensors to a layout.
    pub(super) fn new(
        layout: &mut Layout,
        inputs: usize,
        labels: usize,
        kind: OutputLayer,
    ) -> Self {
        let scores = layout.panels("output", inputs, labels);
        let bias = layout.dense("output.bias", 1, labels);
        let transitions =
            (kind == OutputLayer::Crf).then(|| layout.dense("transitions", labels, labels));
        Self { labels, width: labels.next_multiple_of(16), scores, bias, transitions }
    }

    pub(super) fn space(&self, layout: &Layout) -> OutputSpace {
        let n = self.transitions.map_or(0, |tensor| layout.tensor(tensor).stored_len());
        OutputSpace {
            rows: Aligned::zeroed(0),
            bias: vec![0.0; self.width],
            gold: Vec::new(),
            transitions: vec![0.0; n],
            edges: Vec::new(),
            chain: Chain::new(self.labels),
            viterbi: Viterbi::new(self.labels),
            labels: Vec::new(),
        }
    }

    pub(super) fn touch(&self, out: &mut Touched) {
        out.add_whole(self.scores);
        out.add_whole(self.bias);
        self.transitions.into_iter().for_each(|tensor| out.add_whole(tensor));
    }

    /// Makes room for the labels of packed sentences, each of which is added next.
    pub(super) fn start(&self, packing: &Packing, space: &mut OutputSpace) {
        space.gold.resize(packing.n_rows(), 0);
    }

    /// Adds the gold labels of a sentence.
    pub(super) fn add(
        &self,
        labels: &[u16],
        rows: impl Iterator<Item = usize>,
        space: &mut OutputSpace,
    ) {
        let mut labels = labels.iter();
        for row in rows {
            space.gold[row] = *labels.next().expect("a label for each token");
        }
    }

    /// Computes the scores of all tokens.
    fn score(&self, worker: &Worker<'_>, packing: &Packing, x: &[f32], space: &mut OutputSpace) {
        let n = packing.n_rows();
        space.rows.grow(n * self.width);
        let rows = &mut space.rows[..n * self.width];
        product::gemm(worker, self.scores, x, n, rows);
        worker.read_whole(self.bias, &mut space.bias);
        space.bias[self.labels..].fill(f32::NEG_INFINITY);
        if let Some(transitions) = self.transitions {
            worker.read_whole(transitions, &mut space.transitions);
        }
    }

    /// Adds the gradient, computes the errors of the inputs, `N × 2H`, and returns the loss.
    pub(super) fn gradient(
        &self,
        worker: &Worker<'_>,
        packing: &Packing,
        x: &[f32],
        space: &mut OutputSpace,
        errors: &mut [f32],
        gradient: &mut Gradient,
    ) -> f64 {
        let n = packing.n_rows();
        self.score(worker, packing, x, space);
        let loss = match self.transitions {
            None => dispatch(Softmax {
                rows: &mut space.rows[..n * self.width],
                bias: &space.bias,
                gold: &space.gold,
            }),
            Some(transitions) => {
                let sum = gradient.sum(worker.layout(), transitions);
                self.chain_gradient(packing, space, sum)
            }
        };
        let rows = &space.rows[..n * self.width];
        let bias = gradient.sum(worker.layout(), self.bias);
        for row in rows.chunks_exact(self.width) {
            bias.iter_mut().zip(row).for_each(|(sum, error)| *sum += error);
        }
        gradient.add_outer(self.scores, x, rows, n);
        product::gemm_t(worker, self.scores, rows, n, errors);
        loss
    }

    /// Turns scores into the errors of a linear chain, adds those of the transitions to `sum`, and
    /// returns the loss.
    fn chain_gradient(&self, packing: &Packing, space: &mut OutputSpace, sum: &mut [f32]) -> f64 {
        let (n, width) = (self.labels, self.width);
        let OutputSpace { rows, bias, gold, transitions, chain, labels, .. } = space;
        chain.set_edges(transitions);
        let mut loss = 0.0;
        for sentence in 0..packing.n_sequences() {
            let len = packing.len_of(sentence);
            if len == 0 {
                continue;
            }
            chain.resize(len);
            labels.clear();
            for (token, row) in packing.rows_of(sentence).enumerate() {
                let label = usize::from(gold[row]);
                let scores = &rows[row * width..][..n];
                let node = &mut chain.node_mut(token)[..n];
                for (node, (score, bias)) in node.iter_mut().zip(scores.iter().zip(&*bias)) {
                    *node = score + bias;
                }
                loss -= f64::from(node[label]);
                if let Some(&previous) = labels.last() {
                    let pair = usize::from(previous) * n + label;
                    loss -= f64::from(transitions[pair]);
                    sum[pair] -= 1.0;
                }
                labels.push(gold[row]);
            }
            let log_z = match chain.run(labels, |_| {}) {
                Some(log_z) => log_z,
                None => {
                    let rows = packing.rows_of(sentence).map(|row| &rows[row * width..][..n]);
                    let add = |scores| iter::zip(scores, &*bias).map(|(a, b)| a + b);
                    let nodes: Vec<f32> = rows.flat_map(add).collect();
                    log_space(&nodes, &transitions[..n * n], labels, chain, sum)
                }
            };
            loss += log_z;
            for (token, row) in packing.rows_of(sentence).enumerate() {
                let row = &mut rows[row * width..][..width];
                row[..n].copy_from_slice(&chain.node(token)[..n]);
                row[n..].fill(0.0);
            }
        }
        chain.add_pairs(sum);
        loss
    }

    /// Calls `take` with each sentence and its best labels, of those sequences that a grammar
    /// allows where there are any; ties go to the smaller label.
    pub(super) fn decode(
        &self,
        worker: &Worker<'_>,
        packing: &Packing,
        x: &[f32],
        grammar: Option<&Grammar>,
        space: &mut OutputSpace,
        mut take: impl FnMut(usize, &[u16]),
    ) {
        self.score(worker, packing, x, space);
        for sentence in 0..packing.n_sequences() {
            let rows = packing.rows_of(sentence);
            if self.transitions.is_none() {
                let OutputSpace { rows: scores, bias, labels, .. } = space;
                let scores = rows.clone().map(|row| &scores[row * self.width..][..self.labels]);
                labels.clear();
                labels.extend(scores.map(|scores| best(scores, bias)));
            }
            // The best labels of all tokens are the best sequence, if they are allowed together.
            let is_chain = self.transitions.is_some()
                || grammar.is_some_and(|grammar| !grammar.allows(&space.labels));
            if is_chain && !self.best_within(rows.clone(), grammar, space) {
                self.best_within(rows, None, space);
            }
            take(sentence, &space.labels);
        }
    }

    /// Sets `labels` to the best sequence for the scores in `rows`, of those that a grammar allows;
    /// returns whether there is one.
    fn best_within(
        &self,
        rows: impl Iterator<Item = usize> + Clone,
        grammar: Option<&Grammar>,
        space: &mut OutputSpace,
    ) -> bool {
        let (n, width) = (self.labels, self.width);
        let OutputSpace { rows: scores, bias, transitions, edges, viterbi, labels, .. } = space;
        let constraints = Constraints { grammar, allowed: &[] };
        edges.clear();
        edges.extend(transitions.iter().take(n * n));
        edges.resize(n * n, 0.0);
        constraints.mask_edges(edges);
        viterbi.resize(rows.clone().count(), false);
        viterbi.set_edges(0, edges);
        let stride = viterbi.width();
        for (node, row) in viterbi.nodes_mut().chunks_exact_mut(stride).zip(rows) {
            let scores = &scores[row * width..][..n];
            for (node, (score, bias)) in node.iter_mut().zip(scores.iter().zip(&*bias)) {
                *node = score + bias;
            }
        }
        if !viterbi.nodes_mut().is_empty() {
            constraints.mask_nodes(n, viterbi.nodes_mut(), stride);
        }
        viterbi.run(labels) > f32::NEG_INFINITY
    }
}

/// Computes a sentence whose states underflow in log space: leaves node errors in `chain`, adds
/// pair marginals to `sum`, and returns log Z.
#[cold]
fn log_space(
    nodes: &[f32],
    edges: &[f32],
    labels: &[u16],
    chain: &mut Chain,
    sum: &mut [f32],
) -> f64 {
    let n = nodes.len() / labels.len();
    let exact = Scores { n_labels: n, width: n, nodes, edges }.marginals();
    // Denormal numbers would cost a hundred cycles each in the products that follow.
    let rounded = |&p: &f32| if p < LEAST_PROBABILITY { 0.0 } else { p };
    for (token, (marginals, &label)) in exact.nodes.chunks_exact(n).zip(labels).enumerate() {
        let node = chain.node_mut(token);
        node.iter_mut().zip(marginals).for_each(|(node, p)| *node = rounded(p));
        node[usize::from(label)] -= 1.0;
    }
    for pairs in exact.pairs.chunks_exact(n * n) {
        sum.iter_mut().zip(pairs).for_each(|(sum, p)| *sum += rounded(p));
    }
    exact.log_z
}

/// Returns the label with the highest score.
#[allow(clippy::cast_possible_truncation, reason = "there are at most 4096 labels")]
fn best(scores: &[f32], bias: &[f32]) -> u16 {
    let mut best = (0, f32::NEG_INFINITY);
    for (label, (score, bias)) in scores.iter().zip(bias).enumerate() {
        if score + bias > best.1 {
            best = (label, score + bias);
        }
    }
    best.0 as u16
}
