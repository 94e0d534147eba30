//! The gradient of the negative log-likelihood.
//!
//! ```text
//! ∂ℓ/∂U[a][y]     = Σᵢ 1[a ∈ Aᵢ] ( P(yᵢ = y) − 1[gold yᵢ = y] )
//! ∂ℓ/∂B[y'][y]    = Σ_{i≥1} ( P(yᵢ₋₁ = y', yᵢ = y) − 1[gold] )
//! ∂ℓ/∂E[a][y'][y] = Σ_{i≥1} 1[a ∈ Aᵢ] ( the same )
//! ```
//!
//! All attributes of a token share one vector of node errors, and all its rich
//! attributes one matrix of edge errors, so each is stored once. Weights are read
//! while scores are summed up and at no other time: the gradient is exact at the
//! values that were read.

use asyn_core::shared::Lists;
use asyn_core::{Batch, Gradient, Layout, Model, Touched, Worker};
use asyn_data::Encoded;

use super::log_space::{LogSpace, Scores};
use super::{Crf, CrfWorkspace};

impl Model for Crf {
    type Example = Encoded;
    type Workspace = CrfWorkspace;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn workspace(&self) -> CrfWorkspace {
        self.new_workspace()
    }

    fn touched(&self, batch: &Batch<'_, Encoded>, _: &mut CrfWorkspace, out: &mut Touched) {
        for sentence in batch.examples() {
            out.add_rows(self.node, &sentence.attributes);
            if let Some(rich) = self.rich {
                for token in 1..sentence.n_tokens() {
                    out.add_rows(rich, self.rich_part(sentence.attributes_of(token)));
                }
            }
            out.add_whole(self.edge);
        }
    }

    fn gradient(
        &self,
        worker: &Worker<'_>,
        batch: &Batch<'_, Encoded>,
        workspace: &mut CrfWorkspace,
        gradient: &mut Gradient,
    ) -> f64 {
        let mut loss = 0.0;
        let mut sentences = batch.examples().chain(batch.upcoming()).peekable();
        for _ in 0..batch.len() {
            let Some(sentence) = sentences.next() else { break };
            if sentence.n_tokens() > 0 {
                let upcoming = sentences.peek().copied();
                loss += self.sentence_gradient(worker, sentence, upcoming, workspace, gradient);
            }
        }
        if self.rich.is_none() && self.shape.transitions {
            let sum = gradient.sum(&self.layout, self.edge);
            workspace.chain.add_pairs(sum);
            let pairs = &mut workspace.log_space_pairs;
            sum.iter_mut().zip(&*pairs).for_each(|(sum, pair)| *sum += pair);
            pairs.fill(0.0);
        }
        loss
    }
}

impl Crf {
    fn sentence_gradient(
        &self,
        worker: &Worker<'_>,
        sentence: &Encoded,
        upcoming: Option<&Encoded>,
        workspace: &mut CrfWorkspace,
        gradient: &mut Gradient,
    ) -> f64 {
        let n = self.shape.n_labels;
        let len = sentence.n_tokens();
        let labels = &sentence.labels;
        workspace.chain.resize(len);
        let mut gold = self.read_nodes(worker, sentence, workspace);
        gold += match self.rich {
            Some(_) => self.read_token_edges(worker, sentence, workspace),
            None => self.read_edges(worker, sentence, workspace),
        };
        // While this sentence is computed, the rows of the next one are on their way.
        let prefetch = |at: usize| {
            let Some(upcoming) = upcoming else { return };
            for token in (at - 1..upcoming.n_tokens()).step_by(len - 1) {
                worker.prefetch_rows(self.node, upcoming.attributes_of(token));
            }
        };
        let log_z = match self.rich {
            Some(_) => workspace.chain.run_by_token(labels, prefetch),
            None => workspace.chain.run(labels, prefetch),
        };
        let log_space = log_z.is_none().then(|| self.log_space(worker, sentence, workspace));
        let stride = n.next_multiple_of(8);
        for (token, &label) in labels.iter().enumerate() {
            let errors = workspace.chain.node_mut(token);
            if let Some(exact) = &log_space {
                errors[..n].copy_from_slice(&exact.nodes[token * n..][..n]);
                errors[n..].fill(0.0);
                errors[usize::from(label)] -= 1.0;
            }
            // No other label can have more probability than the gold label lacks.
            let largest = errors[usize::from(label)].abs();
            let attributes = sentence.attributes_of(token);
            gradient.add_sized_rows(self.node, attributes, &errors[..stride], largest);
        }
        match self.rich {
            Some(_) => self.add_token_edges(sentence, workspace, gradient, log_space.as_ref()),
            None if self.shape.transitions => {
                let pairs = &mut workspace.log_space_pairs;
                for pair in labels.windows(2) {
                    pairs[usize::from(pair[0]) * n + usize::from(pair[1])] -= 1.0;
                }
                if let Some(exact) = &log_space {
                    for token in exact.pairs.chunks_exact(n * n) {
                        pairs.iter_mut().zip(token).for_each(|(sum, pair)| *sum += pair);
                    }
                }
            }
            None => {}
        }
        log_z.unwrap_or_else(|| log_space.map_or(f64::NAN, |exact| exact.log_z)) - gold
    }

    /// Sums up the node scores; returns those of the gold labels.
    fn read_nodes(
        &self,
        worker: &Worker<'_>,
        sentence: &Encoded,
        workspace: &mut CrfWorkspace,
    ) -> f64 {
        let width = workspace.chain.width();
        let lists = Lists::new(&sentence.attributes, &sentence.offsets);
        worker.sum_lists(self.node, lists, workspace.chain.nodes_mut(), width);
        let score = |(token, &label): (usize, &u16)| {
            f64::from(workspace.chain.node(token)[usize::from(label)])
        };
        sentence.labels.iter().enumerate().map(score).sum()
    }

    /// Reads the plain transitions if they may have changed; returns the scores of the gold pairs.
    fn read_edges(
        &self,
        worker: &Worker<'_>,
        sentence: &Encoded,
        workspace: &mut CrfWorkspace,
    ) -> f64 {
        let n = self.shape.n_labels;
        if workspace.edge_version != Some(worker.whole_version()) {
            worker.read_whole(self.edge, &mut workspace.edge_scores);
            workspace.chain.set_edges(&workspace.edge_scores);
            workspace.edge_version = Some(worker.whole_version());
        }
        let score =
            |pair: &[u16]| workspace.edge_scores[usize::from(pair[0]) * n + usize::from(pair[1])];
        sentence.labels.windows(2).map(|pair| f64::from(score(pair))).sum()
    }

    /// Sums up the edge scores into each token; returns those of the gold pairs.
    fn read_token_edges(
        &self,
        worker: &Worker<'_>,
        sentence: &Encoded,
        workspace: &mut CrfWorkspace,
    ) -> f64 {
        let n = self.shape.n_labels;
        if workspace.edge_version != Some(worker.whole_version()) {
            worker.read_whole(self.edge, &mut workspace.edge_scores);
            workspace.edge_version = Some(worker.whole_version());
        }
        let mut gold = 0.0;
        for token in 1..sentence.n_tokens() {
            self.sum_token_edges(worker, sentence, token, workspace);
            workspace.chain.set_token_edges(token, &workspace.token_edges);
            let pair = [sentence.labels[token - 1], sentence.labels[token]].map(usize::from);
            gold += f64::from(workspace.token_edges[pair[0] * n + pair[1]]);
        }
        gold
    }

    /// Sets `workspace.token_edges` to the edge scores into a token.
    pub(super) fn sum_token_edges(
        &self,
        worker: &Worker<'_>,
        sentence: &Encoded,
        token: usize,
        workspace: &mut CrfWorkspace,
    ) {
        let rich = self.rich_part(sentence.attributes_of(token));
        let scores = &mut workspace.token_edges;
        match self.rich {
            Some(tensor) if !rich.is_empty() => {
                worker.sum_rows(tensor, rich, scores);
                for (score, plain) in scores.iter_mut().zip(&workspace.edge_scores) {
                    *score += plain;
                }
            }
            _ => scores.copy_from_slice(&workspace.edge_scores),
        }
    }

    /// Adds the edge errors of each token to its rich attributes and to the plain transitions.
    fn add_token_edges(
        &self,
        sentence: &Encoded,
        workspace: &mut CrfWorkspace,
        gradient: &mut Gradient,
        log_space: Option<&LogSpace>,
    ) {
        let n = self.shape.n_labels;
        let Some(tensor) = self.rich else { return };
        let stride = (n * n).next_multiple_of(8);
        let width = workspace.chain.width();
        for token in 1..sentence.n_tokens() {
            let errors = &mut workspace.token_edges;
            match log_space {
                Some(exact) => {
                    errors[..n * n].copy_from_slice(&exact.pairs[(token - 1) * n * n..][..n * n])
                }
                None => {
                    let pairs = workspace.chain.token_pairs(token).chunks_exact(width);
                    for (errors, pairs) in errors.chunks_exact_mut(n).zip(pairs) {
                        errors.copy_from_slice(&pairs[..n]);
                    }
                }
            }
            errors[n * n..].fill(0.0);
            let pair = [sentence.labels[token - 1], sentence.labels[token]].map(usize::from);
            errors[pair[0] * n + pair[1]] -= 1.0;
            let rich = self.rich_part(sentence.attributes_of(token));
            gradient.add_rows(tensor, rich, &errors[..stride]);
            if self.shape.transitions {
                let sum = gradient.sum(&self.layout, self.edge);
                sum.iter_mut().zip(&*errors).for_each(|(sum, error)| *sum += error);
            }
        }
    }

    /// Computes a sentence in log space, from weights that are read anew.
    pub(super) fn log_space(
        &self,
        worker: &Worker<'_>,
        sentence: &Encoded,
        workspace: &mut CrfWorkspace,
    ) -> LogSpace {
        let n = self.shape.n_labels;
        let (len, width) = (sentence.n_tokens(), workspace.chain.width());
        let mut nodes = vec![0.0; len * width];
        let lists = Lists::new(&sentence.attributes, &sentence.offsets);
        worker.sum_lists(self.node, lists, &mut nodes, width);
        let mut edges = workspace.edge_scores[..n * n].to_vec();
        if self.rich.is_some() {
            for token in 1..len {
                self.sum_token_edges(worker, sentence, token, workspace);
                edges.extend_from_slice(&workspace.token_edges[..n * n]);
            }
        }
        let scores = Scores {
            n_labels: n,
            nodes: nodes.chunks_exact(width).collect(),
            edges: edges.chunks_exact(n * n).collect(),
        };
        scores.marginals()
    }
}
