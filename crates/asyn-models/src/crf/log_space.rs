//! Forward-backward in log space and double precision.
//!
//! Slow and safe: for the rare sentence whose states underflow in
//! probability space. Rabiner (1989), section III, with logarithms throughout.

/// The scores of a sentence: nodes, `T` rows of at least `Y`, and edges into each token, `Y × Y`.
pub(super) struct Scores<'a> {
    pub(super) n_labels: usize,
    pub(super) nodes: Vec<&'a [f32]>,
    /// One matrix for all tokens, or one for each.
    pub(super) edges: Vec<&'a [f32]>,
}

/// The marginals of a sentence.
pub(super) struct LogSpace {
    pub(super) log_z: f64,
    /// `T × Y`.
    pub(super) nodes: Vec<f32>,
    /// `(T − 1) × Y × Y`, the pairs into tokens 1 and on.
    pub(super) pairs: Vec<f32>,
}

impl Scores<'_> {
    fn edge(&self, token: usize, previous: usize, label: usize) -> f64 {
        let matrix = self.edges[token.min(self.edges.len() - 1)];
        f64::from(matrix[previous * self.n_labels + label])
    }

    fn node(&self, token: usize, label: usize) -> f64 {
        f64::from(self.nodes[token][label])
    }

    /// Computes log Z and all marginals.
    #[allow(clippy::cast_possible_truncation, reason = "marginals are f32 from here on")]
    pub(super) fn marginals(&self) -> LogSpace {
        let (len, n) = (self.nodes.len(), self.n_labels);
        let mut alpha = vec![0.0; len * n];
        let mut beta = vec![0.0; len * n];
        for (label, first) in alpha[..n].iter_mut().enumerate() {
            *first = self.node(0, label);
        }
        for i in 1..len {
            for label in 0..n {
                let terms = (0..n).map(|p| alpha[(i - 1) * n + p] + self.edge(i, p, label));
                alpha[i * n + label] = self.node(i, label) + log_sum_exp(terms);
            }
        }
        for i in (0..len - 1).rev() {
            for previous in 0..n {
                let terms = (0..n).map(|y| {
                    self.edge(i + 1, previous, y) + self.node(i + 1, y) + beta[(i + 1) * n + y]
                });
                beta[i * n + previous] = log_sum_exp(terms);
            }
        }
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

fn log_sum_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return largest;
    }
    largest + terms.map(|term| (term - largest).exp()).sum::<f64>().ln()
}
