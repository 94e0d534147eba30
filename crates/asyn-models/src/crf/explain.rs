//! Which weights a score is the sum of.

use asyn_core::Worker;
use asyn_data::Encoded;

use super::{Crf, CrfWorkspace};

/// A weight that is part of the score of a label sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contribution {
    /// What the weight is of.
    pub source: Source,
    /// The weight, in log space.
    pub weight: f32,
}

/// What a weight is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// An attribute of the token, with its label.
    Attribute(u32),
    /// The label of the token before, with its label.
    Transition,
    /// An attribute of the token, with the label of the token before and its own.
    RichTransition(u32),
}

impl Crf {
    /// Lists the weights that `labels` have at a token, the largest in size first.
    ///
    /// Over all tokens of a sentence they sum to the score of the sequence. An attribute that a token
    /// has several times is listed as often.
    ///
    /// # Panics
    ///
    /// If there are not as many labels as tokens, or there is no such token or label.
    pub fn explain(
        &self,
        worker: &Worker<'_>,
        sentence: &Encoded,
        labels: &[u16],
        token: usize,
        workspace: &mut CrfWorkspace,
    ) -> Vec<Contribution> {
        let n = self.shape.n_labels;
        assert_eq!(labels.len(), sentence.n_tokens(), "labels of all tokens");
        let attributes = sentence.attributes_of(token);
        let label = usize::from(labels[token]);
        let mut found = Vec::new();
        workspace.row.resize(n.next_multiple_of(8), 0.0);
        for &attribute in attributes {
            worker.sum_rows(self.node, &[attribute], &mut workspace.row);
            let weight = workspace.row[label];
            found.push(Contribution { source: Source::Attribute(attribute), weight });
        }
        if token > 0 {
            let pair = usize::from(labels[token - 1]) * n + label;
            self.read_plain_edges(worker, workspace);
            let weight = workspace.edge_scores[pair];
            if self.shape.transitions {
                found.push(Contribution { source: Source::Transition, weight });
            }
            for &attribute in self.rich_part(attributes) {
                let Some(rich) = self.rich else { break };
                worker.sum_rows(rich, &[attribute], &mut workspace.token_edges);
                let weight = workspace.token_edges[pair];
                found.push(Contribution { source: Source::RichTransition(attribute), weight });
            }
        }
        let by_size = |contribution: &Contribution| contribution.weight.abs();
        found.sort_by(|a, b| by_size(b).total_cmp(&by_size(a)));
        found
    }
}
