//! The best labels of a sentence, and how sure the model is of them.

use asyn_core::shared::Lists;
use asyn_core::{Decode, Worker};
use asyn_data::Encoded;

use super::lattice::{Constraints, Lattice};
use super::pieces::Piece;
use super::{Crf, CrfWorkspace};

/// The marginal probabilities of a sentence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Marginals {
    /// `T × Y`: the probability of each label at each token.
    pub labels: Vec<f32>,
    /// log Z of the sentence.
    pub log_z: f64,
}

impl Decode for Crf {
    /// The label of each token.
    type Output = Vec<u16>;

    /// Computes the most probable label sequence, of those that the grammar of the model allows where
    /// there are any; ties go to the smaller label.
    fn decode(
        &self,
        worker: &Worker<'_>,
        sentence: &Encoded,
        workspace: &mut CrfWorkspace,
        out: &mut Vec<u16>,
    ) {
        let valid = Constraints { grammar: self.grammar(), allowed: &[] };
        if !self.decode_within(worker, sentence, valid, workspace, out) {
            self.decode_within(worker, sentence, Constraints::default(), workspace, out);
        }
    }
}

impl Crf {
    /// Computes the most probable label sequence that `constraints` allow; returns whether there is
    /// one, and leaves `out` empty if there is none.
    ///
    /// Ties go to the smaller label.
    ///
    /// # Panics
    ///
    /// If the constraints are for another number of labels or tokens.
    pub fn decode_within(
        &self,
        worker: &Worker<'_>,
        sentence: &Encoded,
        constraints: Constraints<'_>,
        workspace: &mut CrfWorkspace,
        out: &mut Vec<u16>,
    ) -> bool {
        out.clear();
        if sentence.n_tokens() == 0 {
            return true;
        }
        self.score(worker, sentence, constraints, workspace);
        let width = workspace.viterbi.width();
        constraints.mask_nodes(self.shape.n_labels, workspace.viterbi.nodes_mut(), width);
        let is_possible = workspace.viterbi.run(out) > f32::NEG_INFINITY;
        if !is_possible {
            out.clear();
        }
        is_possible
    }

    /// Computes the probability of each label at each token, among the sequences that `constraints`
    /// allow.
    ///
    /// # Panics
    ///
    /// If the constraints are for another number of labels or tokens.
    pub fn marginals(
        &self,
        worker: &Worker<'_>,
        sentence: &Encoded,
        constraints: Constraints<'_>,
        workspace: &mut CrfWorkspace,
        out: &mut Marginals,
    ) {
        let (len, n) = (sentence.n_tokens(), self.shape.n_labels);
        out.labels.clear();
        out.log_z = 0.0;
        if len == 0 {
            return;
        }
        workspace.chain.resize(len);
        let width = workspace.chain.width();
        let lists = Lists::new(&sentence.attributes, &sentence.offsets);
        worker.sum_lists(self.node, lists, workspace.chain.nodes_mut(), width);
        constraints.mask_nodes(n, workspace.chain.nodes_mut(), width);
        self.read_plain_edges(worker, workspace);
        constraints.mask_edges(&mut workspace.edge_scores[..n * n]);
        let log_z = if self.rich.is_some() {
            for token in 1..len {
                self.sum_token_edges(worker, &Piece::whole(sentence), token, workspace);
                workspace.chain.set_token_edges(token, &workspace.token_edges);
            }
            workspace.chain.run_by_token(&[], |_| {})
        } else {
            workspace.chain.set_edges(&workspace.edge_scores);
            let log_z = workspace.chain.run(&[], |_| {});
            // Pair marginals are not asked for, and must not reach a later gradient.
            workspace.row.resize(n * n, 0.0);
            workspace.chain.add_pairs(&mut workspace.row);
            log_z
        };
        if let Some(log_z) = log_z {
            out.log_z = log_z;
            for token in 0..len {
                out.labels.extend_from_slice(&workspace.chain.node(token)[..n]);
            }
        } else {
            let mut lattice = Lattice::default();
            self.lattice(worker, sentence, constraints, workspace, &mut lattice);
            lattice.marginals(out);
        }
    }

    /// Sums up all scores of a sentence for decoding; forbids pairs of labels, not yet labels.
    fn score(
        &self,
        worker: &Worker<'_>,
        sentence: &Encoded,
        constraints: Constraints<'_>,
        workspace: &mut CrfWorkspace,
    ) {
        let n = self.shape.n_labels;
        let len = sentence.n_tokens();
        workspace.viterbi.resize(len, self.rich.is_some());
        let width = workspace.viterbi.width();
        let lists = Lists::new(&sentence.attributes, &sentence.offsets);
        worker.sum_lists(self.node, lists, workspace.viterbi.nodes_mut(), width);
        self.read_plain_edges(worker, workspace);
        // Edges of tokens are added to them, so they are forbidden too.
        constraints.mask_edges(&mut workspace.edge_scores[..n * n]);
        if self.rich.is_some() {
            for token in 1..len {
                self.sum_token_edges(worker, &Piece::whole(sentence), token, workspace);
                workspace.viterbi.set_edges(token, &workspace.token_edges);
            }
        } else {
            workspace.viterbi.set_edges(0, &workspace.edge_scores);
        }
    }

    pub(super) fn read_plain_edges(&self, worker: &Worker<'_>, workspace: &mut CrfWorkspace) {
        worker.read_whole(self.edge, &mut workspace.edge_scores);
        // Constraints may change them, and then no gradient may use them.
        workspace.edge_version = None;
    }
}
