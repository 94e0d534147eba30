//! Bidirectional LSTMs the slow way, in double precision: one token, one unit after another.

use crate::chain::Chain;

/// A row-major matrix.
pub type Matrix = Vec<Vec<f64>>;

/// One direction of a layer with `D` inputs and `H` units.
///
/// Columns are ordered by gate, `i f g o`, and by unit in each.
#[derive(Debug, Clone, PartialEq)]
pub struct Recurrence {
    /// `D × 4H`.
    pub input: Matrix,
    /// `H × 4H`.
    pub recurrent: Matrix,
    /// `4H`.
    pub bias: Vec<f64>,
}

/// Both directions of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// From the first item to the last.
    pub forward: Recurrence,
    /// From the last item to the first.
    pub backward: Recurrence,
}

/// Layers, and scores of labels from the outputs of the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Tagger {
    /// The layers, the first one first.
    pub layers: Vec<Layer>,
    /// `2H × Y`.
    pub output: Matrix,
    /// `Y`.
    pub bias: Vec<f64>,
    /// `Y × Y`, by previous label and label; without it, labels are independent.
    pub transitions: Option<Matrix>,
}

impl Recurrence {
    /// Returns the state of the units after each of `items`, in the order in which they are given.
    fn run<'a>(&self, items: impl Iterator<Item = &'a Vec<f64>>) -> Matrix {
        let n = self.recurrent.len();
        let (mut cells, mut hidden) = (vec![0.0; n], vec![0.0; n]);
        let mut states = Vec::new();
        for x in items {
            let mut sums = self.bias.clone();
            for (value, row) in x.iter().zip(&self.input).chain(hidden.iter().zip(&self.recurrent))
            {
                sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += value * weight);
            }
            for unit in 0..n {
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| sums[gate * n + unit]);
                cells[unit] = sigmoid(f) * cells[unit] + sigmoid(i) * g.tanh();
                hidden[unit] = sigmoid(o) * cells[unit].tanh();
            }
            states.push(hidden.clone());
        }
        states
    }
}

impl Layer {
    /// Returns the states of both directions at each item, one behind the other.
    #[must_use]
    pub fn run(&self, items: &Matrix) -> Matrix {
        let mut states = self.forward.run(items.iter());
        let backward = self.backward.run(items.iter().rev());
        for (state, other) in states.iter_mut().zip(backward.into_iter().rev()) {
            state.extend(other);
        }
        states
    }

    /// Returns the last states of both directions, one behind the other; 0 for no items.
    #[must_use]
    pub fn last_states(&self, items: &Matrix) -> Vec<f64> {
        let zeros = vec![0.0; self.forward.recurrent.len()];
        let forward = self.forward.run(items.iter()).pop().unwrap_or_else(|| zeros.clone());
        let backward = self.backward.run(items.iter().rev()).pop().unwrap_or(zeros);
        [forward, backward].concat()
    }
}

impl Tagger {
    /// Returns the scores of labels.
    ///
    /// `masks` are factors of the inputs of each layer and of the output layer, or empty.
    #[must_use]
    pub fn scores(&self, items: &Matrix, masks: &[Matrix]) -> Matrix {
        let masked = |items: &Matrix, at: usize| match masks.get(at) {
            None => items.clone(),
            Some(masks) => {
                let rows = items.iter().zip(masks);
                rows.map(|(row, mask)| row.iter().zip(mask).map(|(x, m)| x * m).collect()).collect()
            }
        };
        let mut items = items.clone();
        for (at, layer) in self.layers.iter().enumerate() {
            items = layer.run(&masked(&items, at));
        }
        let score = |item: &Vec<f64>| {
            let mut scores = self.bias.clone();
            for (value, row) in item.iter().zip(&self.output) {
                scores.iter_mut().zip(row).for_each(|(score, weight)| *score += value * weight);
            }
            scores
        };
        masked(&items, self.layers.len()).iter().map(score).collect()
    }

    /// Returns the negative log-likelihood of the labels `gold`, at least one.
    #[must_use]
    pub fn loss(&self, items: &Matrix, masks: &[Matrix], gold: &[usize]) -> f64 {
        let chain = self.chain(self.scores(items, masks));
        chain.forward_backward().log_z - chain.score(gold)
    }

    /// Returns a linear chain with these node scores.
    #[must_use]
    pub fn chain(&self, scores: Matrix) -> Chain {
        let n = self.bias.len();
        let edges = self.transitions.clone().unwrap_or_else(|| vec![vec![0.0; n]; n]);
        Chain { edges: vec![edges; scores.len()], nodes: scores }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_is_open_and_remembers_sums_up() {
        // Gates of one unit, saturated by their biases; the candidate is tanh(x).
        let one = Recurrence {
            input: vec![vec![0.0, 0.0, 1.0, 0.0]],
            recurrent: vec![vec![0.0; 4]],
            bias: vec![100.0, 100.0, 0.0, 100.0],
        };
        let layer = Layer { forward: one.clone(), backward: one };
        let items = vec![vec![0.1], vec![0.2], vec![0.3]];
        let sum = |values: &[f64]| values.iter().map(|x: &f64| x.tanh()).sum::<f64>().tanh();
        let states = layer.run(&items);
        assert!((states[1][0] - sum(&[0.1, 0.2])).abs() < 1e-12);
        assert!((states[1][1] - sum(&[0.2, 0.3])).abs() < 1e-12);
        assert_eq!(layer.last_states(&items), [states[2][0], states[0][1]]);
        assert_eq!(layer.last_states(&Vec::new()), [0.0, 0.0]);
    }
}
