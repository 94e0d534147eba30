//! Forward-backward in log space and double precision.
//!
//! Slow and safe: for the rare sentence whose states underflow in probability space.
//! Rabiner (1989), section III, with logarithms throughout.

/// The scores of a sentence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scores<'a> {
    pub(crate) n_labels: usize,
    /// The floats from one row of `nodes` to the next, at least `Y`.
    pub(crate) width: usize,
    /// `T` rows.
    pub(crate) nodes: &'a [f32],
    /// One `Y × Y` matrix of the edges into a token for all tokens, or one for each.
    pub(crate) edges: &'a [f32],
}

/// The marginals of a sentence.
pub(crate) struct LogSpace {
    pub(crate) log_z: f64,
    /// `T × Y`.
    pub(crate) nodes: Vec<f32>,
    /// `(T − 1) × Y × Y`, the pairs into tokens 1 and on.
    pub(crate) pairs: Vec<f32>,
}

impl Scores<'_> {
    pub(super) fn len(&self) -> usize {
        self.nodes.len() / self.width
    }

    /// Returns the matrices of edges.
    pub(super) fn matrices(&self) -> impl Iterator<Item = &[f32]> {
        self.edges.chunks_exact(self.n_labels * self.n_labels)
    }

    /// Returns the number of the matrix of the edges into a token.
    pub(super) fn matrix_into(&self, token: usize) -> usize {
        if self.edges.len() == self.n_labels * self.n_labels { 0 } else { token }
    }

    /// Returns the scores of the edges into a token from one previous label to all.
    pub(super) fn edge_row(&self, token: usize, previous: usize) -> &[f32] {
        let n = self.n_labels;
        &self.edges[(self.matrix_into(token) * n + previous) * n..][..n]
    }

    pub(super) fn edge(&self, token: usize, previous: usize, label: usize) -> f64 {
        f64::from(self.edge_row(token, previous)[label])
    }

    /// Returns the scores of all labels of a token.
    pub(super) fn node_row(&self, token: usize) -> &[f32] {
        &self.nodes[token * self.width..][..self.n_labels]
    }

    pub(super) fn node(&self, token: usize, label: usize) -> f64 {
        f64::from(self.node_row(token)[label])
    }

    /// Computes `T × Y` forward scores.
    pub(super) fn forward(&self, alpha: &mut Vec<f64>) {
        let n = self.n_labels;
        alpha.clear();
        alpha.extend((0..n).map(|label| self.node(0, label)));
        for i in 1..self.len() {
            for label in 0..n {
                let terms = (0..n).map(|p| alpha[(i - 1) * n + p] + self.edge(i, p, label));
                let score = self.node(i, label) + log_sum_exp(terms);
                alpha.push(score);
            }
        }
    }

    /// Computes `T × Y` backward scores.
    pub(super) fn backward(&self, beta: &mut Vec<f64>) {
        let (len, n) = (self.len(), self.n_labels);
        beta.clear();
        beta.resize(len * n, 0.0);
        for i in (0..len - 1).rev() {
            for previous in 0..n {
                let terms = (0..n).map(|y| {
                    self.edge(i + 1, previous, y) + self.node(i + 1, y) + beta[(i + 1) * n + y]
                });
                beta[i * n + previous] = log_sum_exp(terms);
            }
        }
    }

    /// Computes log Z and all marginals.
    #[allow(clippy::cast_possible_truncation, reason = "marginals are f32 from here on")]
    pub(crate) fn marginals(&self) -> LogSpace {
        let (len, n) = (self.len(), self.n_labels);
        let (mut alpha, mut beta) = (Vec::new(), Vec::new());
        self.forward(&mut alpha);
        self.backward(&mut beta);
        let log_z = log_sum_exp(alpha[(len - 1) * n..].iter().copied());
        let nodes = alpha.iter().zip(&beta).map(|(a, b)| (a + b - log_z).exp() as f32).collect();
        let mut pairs = Vec::with_capacity((len - 1) * n * n);
        for i in 1..len {
            for previous in 0..n {
                for label in 0..n {
                    let log_p = alpha[(i - 1) * n + previous]
                        + self.edge(i, previous, label)
                        + self.node(i, label)
                        + beta[i * n + label]
                        - log_z;
                    pairs.push(log_p.exp() as f32);
                }
            }
        }
        LogSpace { log_z, nodes, pairs }
    }
}

pub(super) fn log_sum_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return largest;
    }
    largest + terms.map(|term| (term - largest).exp()).sum::<f64>().ln()
}
