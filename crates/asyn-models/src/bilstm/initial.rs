//! The weights that training starts from.
//!
//! Padding starts at 0 and stays there: what it is multiplied by is 0.

use asyn_core::{Purpose, Shape, SharedWeights, SplitMix64, TensorId};

use super::layer::{Direction, Layer};
use super::{BiLstm, Initial};
use crate::kernel::cell::BLOCK;

/// The gates in the order in which a block of units has them.
const N_GATES: usize = 4;

/// The forget gate.
const FORGET: usize = 1;

impl BiLstm {
    /// Fills weights that are all 0.
    pub(super) fn fill_initial(&self, seed: u64, weights: &mut SharedWeights) {
        let mut fill = Fill { model: self, seed, weights };
        let vectors = self.input.columns.iter().map(|column| (column.table, column.width));
        let characters = self.input.characters.as_ref();
        let characters = characters.map(|it| (it.table, it.width));
        for (table, width) in vectors.chain(characters) {
            fill.vectors(table, width);
        }
        if let Some((table, width)) = characters {
            // No training character is the unknown one, so nothing is learned about it.
            fill.stored(table)[..width].fill(0.0);
        }
        let layers = self.input.characters.iter().map(|characters| &characters.layer);
        for layer in layers.chain(&self.layers) {
            fill.layer(layer);
        }
        fill.output();
    }
}

/// Fills tensors one by one, each from a stream of its own.
struct Fill<'a> {
    model: &'a BiLstm,
    seed: u64,
    weights: &'a mut SharedWeights,
}

impl Fill<'_> {
    fn random(&self, tensor: TensorId) -> SplitMix64 {
        SplitMix64::stream(self.seed, Purpose::InitialWeights, tensor.index() as u64, 0)
    }

    fn stored(&mut self, tensor: TensorId) -> &mut [f32] {
        let tensor = self.model.layout.tensor(tensor);
        &mut self.weights.as_mut_slice()[tensor.start..][..tensor.stored_len()]
    }

    fn vectors(&mut self, table: TensorId, width: usize) {
        let bound = (3.0 / width as f32).sqrt();
        let mut random = self.random(table);
        let Shape::Rows { stride, .. } = self.model.layout.tensor(table).shape else { return };
        for row in self.stored(table).chunks_exact_mut(stride) {
            row[..width].fill_with(|| uniform(&mut random, bound));
        }
    }

    fn layer(&mut self, layer: &Layer) {
        let all: Vec<usize> = (0..layer.hidden).collect();
        for Direction { input, recurrent, bias } in layer.directions {
            let initial = self.model.spec.initial;
            self.gates(
                input,
                layer.inputs,
                &layer.positions,
                layer.hidden,
                match initial {
                    Initial::Orthogonal => Initial::Xavier,
                    other => other,
                },
            );
            self.gates(recurrent, layer.stride, &all, layer.hidden, initial);
            let stored = self.stored(bias);
            for unit in 0..layer.hidden {
                stored[column(unit, FORGET)] = 1.0;
            }
        }
    }

    /// Fills the part of a matrix in panels that leads from `positions` to the gates.
    fn gates(
        &mut self,
        tensor: TensorId,
        inputs: usize,
        positions: &[usize],
        hidden: usize,
        initial: Initial,
    ) {
        let mut random = self.random(tensor);
        for gate in 0..N_GATES {
            let matrix = block(&mut random, positions.len(), hidden, initial);
            let stored = self.stored(tensor);
            for (row, &position) in matrix.chunks_exact(hidden).zip(positions) {
                for (unit, &value) in row.iter().enumerate() {
                    stored[in_panels(inputs, position, column(unit, gate))] = value;
                }
            }
        }
    }

    fn output(&mut self) {
        let output = &self.model.output;
        let (tensor, labels) = (output.scores, output.labels);
        let last = &self.model.layers[self.model.layers.len() - 1];
        let positions: Vec<usize> = last.output_positions().collect();
        let inputs = last.outputs();
        let matrix = block(&mut self.random(tensor), positions.len(), labels, Initial::Xavier);
        let stored = self.stored(tensor);
        for (row, &position) in matrix.chunks_exact(labels).zip(&positions) {
            for (label, &value) in row.iter().enumerate() {
                stored[in_panels(inputs, position, label)] = value;
            }
        }
    }
}

/// Returns the column of a gate of a unit.
fn column(unit: usize, gate: usize) -> usize {
    (unit / BLOCK * N_GATES + gate) * BLOCK + unit % BLOCK
}

/// Returns where a matrix in panels has a weight.
fn in_panels(inputs: usize, row: usize, column: usize) -> usize {
    (column / 16 * inputs + row) * 16 + column % 16
}

/// Draws a row-major matrix.
#[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
fn block(random: &mut SplitMix64, rows: usize, columns: usize, initial: Initial) -> Vec<f32> {
    let mut matrix = vec![0.0; rows * columns];
    match initial {
        Initial::DiagNormal(s) => {
            for i in 0..rows.min(columns) {
                matrix[i * columns + i] = s * normal(random) as f32;
            }
        }
        Initial::Xavier => {
            let bound = (6.0 / (rows + columns) as f32).sqrt();
            matrix.fill_with(|| uniform(random, bound));
        }
        Initial::Orthogonal => {
            let exact = orthogonal(random, columns);
            matrix.iter_mut().zip(exact).for_each(|(value, exact)| *value = exact as f32);
        }
    }
    matrix
}

/// Draws a square orthogonal matrix: normal rows, made orthogonal one after another (Gram and
/// Schmidt), each against what is left of it.
fn orthogonal(random: &mut SplitMix64, n: usize) -> Vec<f64> {
    let mut matrix: Vec<f64> = std::iter::repeat_with(|| normal(random)).take(n * n).collect();
    for i in 0..n {
        let (done, rest) = matrix.split_at_mut(i * n);
        let row = &mut rest[..n];
        for other in done.chunks_exact(n) {
            let dot: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
        }
        let norm = row.iter().map(|a| a * a).sum::<f64>().sqrt();
        row.iter_mut().for_each(|a| *a /= norm);
    }
    matrix
}

fn uniform(random: &mut SplitMix64, bound: f32) -> f32 {
    bound * (2.0 * random.unit() - 1.0)
}

/// Draws from the standard normal distribution (Box and Muller, 1958).
fn normal(random: &mut SplitMix64) -> f64 {
    let radius = (-2.0 * (1.0 - f64::from(random.unit())).ln()).sqrt();
    radius * (std::f64::consts::TAU * f64::from(random.unit())).cos()
}
