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
//! values that were read. A sentence that is cut is as many sentences as it has pieces.

use asyn_core::{Batch, Gradient, Layout, Model, Touched, Worker};
use asyn_data::Encoded;

use super::log_space::{LogSpace, Scores};
use super::pieces::Piece;
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
        for (&id, sentence) in batch.ids().iter().zip(batch.examples()) {
            out.add_rows(self.node, &sentence.attributes);
            if let Some(rich) = self.rich {
                for piece in self.pieces.cut(sentence, batch.random(id)) {
                    for token in 1..piece.n_tokens() {
                        out.add_rows(rich, self.rich_part(piece.attributes_of(token)));
                    }
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
        for &id in batch.ids() {
            let Some(sentence) = sentences.next() else { break };
            let mut pieces = self.pieces.cut(sentence, batch.random(id)).peekable();
            while let Some(piece) = pieces.next() {
                let upcoming = pieces.peek().cloned();
                let upcoming = upcoming.or_else(|| sentences.peek().copied().map(Piece::whole));
                loss += self.piece_gradient(worker, &piece, upcoming, workspace, gradient);
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
    fn piece_gradient(
        &self,
        worker: &Worker<'_>,
        piece: &Piece<'_>,
        upcoming: Option<Piece<'_>>,
        workspace: &mut CrfWorkspace,
        gradient: &mut Gradient,
    ) -> f64 {
        let n = self.shape.n_labels;
        let len = piece.n_tokens();
        let labels = piece.labels();
        workspace.chain.resize(len);
        let mut gold = self.read_nodes(worker, piece, workspace);
        gold += match self.rich {
            Some(_) => self.read_token_edges(worker, piece, workspace),
            None => self.read_edges(worker, piece, workspace),
        };
        // While this piece is computed, the rows of the next one are on their way.
        let prefetch = |at: usize| {
            let Some(upcoming) = &upcoming else { return };
            for token in (at - 1..upcoming.n_tokens()).step_by(len - 1) {
                worker.prefetch_rows(self.node, upcoming.attributes_of(token));
            }
        };
        let log_z = match self.rich {
            Some(_) => workspace.chain.run_by_token(labels, prefetch),
            None => workspace.chain.run(labels, prefetch),
        };
        let log_space = log_z.is_none().then(|| self.log_space(worker, piece, workspace));
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
            let attributes = piece.attributes_of(token);
            gradient.add_sized_rows(self.node, attributes, &errors[..stride], largest);
        }
        match self.rich {
            Some(_) => self.add_token_edges(piece, workspace, gradient, log_space.as_ref()),
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
        piece: &Piece<'_>,
        workspace: &mut CrfWorkspace,
    ) -> f64 {
        let width = workspace.chain.width();
        let lists = piece.lists();
        worker.sum_lists(self.node, lists, workspace.chain.nodes_mut(), width);
        let score = |(token, &label): (usize, &u16)| {
            f64::from(workspace.chain.node(token)[usize::from(label)])
        };
        piece.labels().iter().enumerate().map(score).sum()
    }

    /// Reads the plain transitions if they may have changed; returns the scores of the gold pairs.
    fn read_edges(
        &self,
        worker: &Worker<'_>,
        piece: &Piece<'_>,
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
        piece.labels().windows(2).map(|pair| f64::from(score(pair))).sum()
    }

    /// Sums up the edge scores into each token; returns those of the gold pairs.
    fn read_token_edges(
        &self,
        worker: &Worker<'_>,
        piece: &Piece<'_>,
        workspace: &mut CrfWorkspace,
    ) -> f64 {
        let n = self.shape.n_labels;
        if workspace.edge_version != Some(worker.whole_version()) {
            worker.read_whole(self.edge, &mut workspace.edge_scores);
            workspace.edge_version = Some(worker.whole_version());
        }
        let mut gold = 0.0;
        for token in 1..piece.n_tokens() {
            self.sum_token_edges(worker, piece, token, workspace);
            workspace.chain.set_token_edges(token, &workspace.token_edges);
            let pair = [piece.labels()[token - 1], piece.labels()[token]].map(usize::from);
            gold += f64::from(workspace.token_edges[pair[0] * n + pair[1]]);
        }
        gold
    }

    /// Sets `workspace.token_edges` to the edge scores into a token.
    pub(super) fn sum_token_edges(
        &self,
        worker: &Worker<'_>,
        piece: &Piece<'_>,
        token: usize,
        workspace: &mut CrfWorkspace,
    ) {
        let rich = self.rich_part(piece.attributes_of(token));
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
        piece: &Piece<'_>,
        workspace: &mut CrfWorkspace,
        gradient: &mut Gradient,
        log_space: Option<&LogSpace>,
    ) {
        let n = self.shape.n_labels;
        let Some(tensor) = self.rich else { return };
        let stride = (n * n).next_multiple_of(8);
        let width = workspace.chain.width();
        for token in 1..piece.n_tokens() {
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
            let pair = [piece.labels()[token - 1], piece.labels()[token]].map(usize::from);
            errors[pair[0] * n + pair[1]] -= 1.0;
            let rich = self.rich_part(piece.attributes_of(token));
            gradient.add_rows(tensor, rich, &errors[..stride]);
            if self.shape.transitions {
                let sum = gradient.sum(&self.layout, self.edge);
                sum.iter_mut().zip(&*errors).for_each(|(sum, error)| *sum += error);
            }
        }
    }

    /// Computes a piece in log space, from weights that are read anew.
    pub(super) fn log_space(
        &self,
        worker: &Worker<'_>,
        piece: &Piece<'_>,
        workspace: &mut CrfWorkspace,
    ) -> LogSpace {
        let n = self.shape.n_labels;
        let (len, width) = (piece.n_tokens(), workspace.chain.width());
        let mut nodes = vec![0.0; len * width];
        let lists = piece.lists();
        worker.sum_lists(self.node, lists, &mut nodes, width);
        let mut edges = workspace.edge_scores[..n * n].to_vec();
        if self.rich.is_some() {
            for token in 1..len {
                self.sum_token_edges(worker, piece, token, workspace);
                edges.extend_from_slice(&workspace.token_edges[..n * n]);
            }
        }
        Scores { n_labels: n, width, nodes: &nodes, edges: &edges }.marginals()
    }
}
