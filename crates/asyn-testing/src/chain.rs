//! Linear chains the slow way, in double precision: by enumeration of every label
//! sequence, and by forward-backward in log space where there are too many.

/// The scores of a small chain, in double precision.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// `T` rows of `Y` scores.
    pub nodes: Vec<Vec<f64>>,
    /// `T` matrices of `Y × Y` scores by previous label and label; the first is not used.
    pub edges: Vec<Vec<Vec<f64>>>,
}

/// What enumeration finds; forward-backward leaves `best` empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Enumeration {
    /// log Z.
    pub log_z: f64,
    /// `T` rows of `Y` marginals.
    pub nodes: Vec<Vec<f64>>,
    /// `T` matrices of `Y × Y` pair marginals; the first is 0.
    pub edges: Vec<Vec<Vec<f64>>>,
    /// The best sequence; of equal ones, the one that Viterbi with ties to the smaller
    /// label from the last token backwards finds.
    pub best: Vec<usize>,
}

impl Chain {
    /// Returns the score of a label sequence.
    #[must_use]
    pub fn score(&self, labels: &[usize]) -> f64 {
        let nodes: f64 = labels.iter().zip(&self.nodes).map(|(&y, node)| node[y]).sum();
        let edges: f64 = (1..labels.len()).map(|i| self.edges[i][labels[i - 1]][labels[i]]).sum();
        nodes + edges
    }

    /// Returns log Z and the marginals of nodes and edges, by forward-backward in log space.
    #[must_use]
    pub fn forward_backward(&self) -> Enumeration {
        let (len, n) = (self.nodes.len(), self.nodes[0].len());
        let mut alpha = vec![self.nodes[0].clone()];
        for i in 1..len {
            let next = (0..n).map(|y| {
                self.nodes[i][y]
                    + log_sum_exp((0..n).map(|p| alpha[i - 1][p] + self.edges[i][p][y]))
            });
            alpha.push(next.collect());
        }
        let mut beta = vec![vec![0.0; n]; len];
        for i in (1..len).rev() {
            for p in 0..n {
                beta[i - 1][p] = log_sum_exp(
                    (0..n).map(|y| self.edges[i][p][y] + self.nodes[i][y] + beta[i][y]),
                );
            }
        }
        let log_z = log_sum_exp(alpha[len - 1].iter().copied());
        let nodes = (0..len)
            .map(|i| (0..n).map(|y| (alpha[i][y] + beta[i][y] - log_z).exp()).collect())
            .collect();
        let pair = |i: usize, p: usize, y: usize| {
            (alpha[i - 1][p] + self.edges[i][p][y] + self.nodes[i][y] + beta[i][y] - log_z).exp()
        };
        let mut edges = vec![vec![vec![0.0; n]; n]];
        for i in 1..len {
            edges.push((0..n).map(|p| (0..n).map(|y| pair(i, p, y)).collect()).collect());
        }
        Enumeration { log_z, nodes, edges, best: Vec::new() }
    }

    /// Visits every label sequence.
    ///
    /// # Panics
    ///
    /// Panics if a score is not a number.
    #[must_use]
    pub fn enumerate(&self) -> Enumeration {
        let (len, n) = (self.nodes.len(), self.nodes[0].len());
        let sequences = all_sequences(len, n);
        let scores: Vec<f64> = sequences.iter().map(|labels| self.score(labels)).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_z = largest + scores.iter().map(|s| (s - largest).exp()).sum::<f64>().ln();
        let mut nodes = vec![vec![0.0; n]; len];
        let mut edges = vec![vec![vec![0.0; n]; n]; len];
        for (labels, score) in sequences.iter().zip(&scores) {
            let p = (score - log_z).exp();
            for i in 0..len {
                nodes[i][labels[i]] += p;
                if i > 0 {
                    edges[i][labels[i - 1]][labels[i]] += p;
                }
            }
        }
        let best = sequences
            .iter()
            .zip(&scores)
            .filter(|(_, score)| (**score - largest).abs() < 1e-9)
            .map(|(labels, _)| labels)
            .min_by_key(|labels| labels.iter().rev().copied().collect::<Vec<_>>())
            .expect("there is a best sequence")
            .clone();
        Enumeration { log_z, nodes, edges, best }
    }
}

fn log_sum_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    largest + terms.map(|term| (term - largest).exp()).sum::<f64>().ln()
}

fn all_sequences(len: usize, n: usize) -> Vec<Vec<usize>> {
    (0..len).fold(vec![Vec::new()], |shorter, _| {
        shorter
            .iter()
            .flat_map(|labels| {
                (0..n).map(move |y| {
                    let mut longer = labels.clone();
                    longer.push(y);
                    longer
                })
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_scores_give_uniform_marginals() {
        let chain = Chain { nodes: vec![vec![0.5; 3]; 4], edges: vec![vec![vec![-1.0; 3]; 3]; 4] };
        let found = chain.enumerate();
        assert!((found.log_z - (81f64.ln() + 4.0 * 0.5 - 3.0)).abs() < 1e-12);
        assert!(found.nodes.iter().flatten().all(|p| (p - 1.0 / 3.0).abs() < 1e-12));
        assert_eq!(found.best, [0, 0, 0, 0]);
    }
}
