//! A bidirectional layer: two recurrences over the same input.
//!
//! For `N` packed items with `D` inputs and `H` units in each direction, padded to 16:
//!
//! | Tensor      | Shape          | Meaning                                        |
//! | ----------- | -------------- | ---------------------------------------------- |
//! | `input`     | `D × 4H` panels | from the input to the gates, `W`              |
//! | `recurrent` | `H × 4H` panels | from the units of the step before to the gates, `U` |
//! | `bias`      | `4H`           | of the gates                                   |
//!
//! Forward: `A = X W` for all items at once, then at each step `A += H' U` for all sequences at
//! once, and the cells. Backward: at each step the cells and `dH' = Δ Uᵀ`, then `dX = Δ Wᵀ` for all
//! items at once. The gradients of `W` and `U` stay in their factors, the rows of `X`, `H'` and `Δ`.
//! Backpropagation through time: Werbos (1990).

use std::ops::Range;

use asyn_core::{Gradient, Layout, TensorId, Touched, Worker};

use super::packing::Packing;
use super::product;
use crate::kernel::{Aligned, cell, dispatch};

/// A bidirectional layer.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// The positions of an input vector that are no padding.
    pub(super) positions: Vec<usize>,
    /// `D`.
    pub(super) inputs: usize,
    /// The units in each direction, without padding.
    pub(super) hidden: usize,
    /// `H`.
    pub(super) units: usize,
    /// The floats from one vector of states of the units to the next.
    pub(super) stride: usize,
    /// First to last, and last to first.
    pub(super) directions: [Direction; 2],
}

/// The tensors of one direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direction {
    pub(super) input: TensorId,
    pub(super) recurrent: TensorId,
    pub(super) bias: TensorId,
}

/// What the backward pass of one direction needs of the forward pass.
#[derive(Debug)]
pub(super) struct States {
    /// `N × 4H`: the activations of the gates, then the errors at their sums.
    gates: Aligned,
    /// `N × H`: `c` and `tanh(c)`.
    cells: Aligned,
    squashed: Aligned,
    /// `N × stride`: `h`, and zeros.
    hidden: Aligned,
}

/// Memory that no result is left in.
#[derive(Debug)]
pub(super) struct Scratch {
    bias: Vec<f32>,
    /// The errors that a step hands to the one before, for each sequence.
    hidden: Aligned,
    cells: Aligned,
    /// The errors of the input through the second direction.
    inputs: Aligned,
    scaled: Aligned,
}

impl Layer {
    /// Adds the tensors of a layer to a layout.
    pub(super) fn new(
        layout: &mut Layout,
        name: &str,
        inputs: usize,
        positions: Vec<usize>,
        hidden: usize,
    ) -> Self {
        let units = hidden.next_multiple_of(cell::BLOCK);
        let stride = padded_inputs(units);
        let directions = ["forward", "backward"].map(|direction| {
            let name = |part: &str| format!("{name}.{direction}.{part}");
            Direction {
                input: layout.panels(&name("input"), inputs, 4 * units),
                recurrent: layout.panels(&name("recurrent"), stride, 4 * units),
                bias: layout.dense(&name("bias"), 1, 4 * units),
            }
        });
        Self { positions, inputs, hidden, units, stride, directions }
    }

    /// Returns the length of an output vector: the units of both directions, each padded, and
    /// padding behind them.
    pub(super) fn outputs(&self) -> usize {
        padded_inputs(2 * self.units)
    }

    /// Returns the positions of an output vector that are no padding.
    pub(super) fn output_positions(&self) -> impl Iterator<Item = usize> + use<> {
        let (hidden, units) = (self.hidden, self.units);
        (0..hidden).chain(units..units + hidden)
    }

    pub(super) fn touch(&self, out: &mut Touched) {
        for Direction { input, recurrent, bias } in self.directions {
            [input, recurrent, bias].into_iter().for_each(|tensor| out.add_whole(tensor));
        }
    }

    /// Computes `output`, `N × 2H`, from `x`, `N × D`.
    pub(super) fn forward(
        &self,
        worker: &Worker<'_>,
        packing: &Packing,
        x: &[f32],
        states: &mut [States; 2],
        scratch: &mut Scratch,
        output: &mut [f32],
    ) {
        let (n, units, stride) = (packing.n_rows(), self.units, self.stride);
        for (at, (direction, states)) in self.directions.iter().zip(states).enumerate() {
            states.grow(n, units, stride);
            scratch.read_bias(worker, direction.bias, units);
            let States { gates, cells, squashed, hidden } = states;
            product::gemm(worker, direction.input, x, n, &mut gates[..n * 4 * units]);
            for step in packing.steps(at == 1) {
                let gates = &mut gates[floats(&step.rows, 4 * units)];
                let (hidden, before) =
                    step_and_previous(hidden, &step.rows, &step.previous, stride);
                if !step.previous.is_empty() {
                    let m = step.previous.len();
                    let gates = &mut gates[..m * 4 * units];
                    let scaled = &mut scratch.scaled;
                    product::gemm_add(worker, direction.recurrent, before, m, gates, scaled);
                }
                let (cells, previous) = step_and_previous(cells, &step.rows, &step.previous, units);
                dispatch(cell::Forward {
                    gates,
                    bias: &scratch.bias,
                    previous,
                    cells,
                    squashed: &mut squashed[floats(&step.rows, units)],
                    hidden,
                    hidden_stride: stride,
                    output: &mut output[step.rows.start * self.outputs() + at * units..],
                    output_stride: self.outputs(),
                });
            }
        }
    }

    /// Adds the gradient of all tensors, given the errors of the output, `N × 2H`, and what
    /// [`Layer::forward`] left. Computes the errors of the input, `N × D`.
    #[allow(clippy::too_many_arguments, reason = "as the forward pass, and what it is about")]
    pub(super) fn backward(
        &self,
        worker: &Worker<'_>,
        packing: &Packing,
        x: &[f32],
        states: &mut [States; 2],
        scratch: &mut Scratch,
        output: &[f32],
        inputs: &mut [f32],
        gradient: &mut Gradient,
    ) {
        let (n, units, stride) = (packing.n_rows(), self.units, self.stride);
        let n_floats = packing.n_first() * stride;
        for (at, (direction, states)) in self.directions.iter().zip(states).enumerate() {
            let States { gates, cells, squashed, hidden } = states;
            let bias = gradient.sum(worker.layout(), direction.bias);
            for carried in [&mut scratch.hidden, &mut scratch.cells] {
                carried.grow(n_floats);
                carried[..n_floats].fill(0.0);
            }
            for step in packing.steps(at == 1).rev() {
                let gates = &mut gates[floats(&step.rows, 4 * units)];
                dispatch(cell::Backward {
                    gates,
                    previous: &cells[floats(&step.previous, units)],
                    squashed: &squashed[floats(&step.rows, units)],
                    output: &output[step.rows.start * self.outputs() + at * units..],
                    output_stride: self.outputs(),
                    hidden: &scratch.hidden[..step.rows.len() * stride],
                    hidden_stride: stride,
                    cells: &mut scratch.cells[..step.rows.len() * units],
                    bias,
                });
                let m = step.previous.len();
                let errors = &mut scratch.hidden[..m * stride];
                product::gemm_t(worker, direction.recurrent, &gates[..m * 4 * units], m, errors);
            }
            for step in packing.steps(at == 1) {
                let m = step.previous.len();
                let errors = &gates[floats(&step.rows, 4 * units)][..m * 4 * units];
                let before = &hidden[floats(&step.previous, stride)];
                gradient.add_outer(direction.recurrent, before, errors, m);
            }
            let errors = &gates[..n * 4 * units];
            gradient.add_outer(direction.input, x, errors, n);
            if at == 0 {
                product::gemm_t(worker, direction.input, errors, n, inputs);
            } else {
                scratch.inputs.grow(inputs.len());
                let second = &mut scratch.inputs[..inputs.len()];
                product::gemm_t(worker, direction.input, errors, n, second);
                inputs.iter_mut().zip(&*second).for_each(|(sum, error)| *sum += error);
            }
        }
    }
}

impl States {
    pub(super) fn new() -> Self {
        let [gates, cells, squashed, hidden] = [0; 4].map(Aligned::zeroed);
        Self { gates, cells, squashed, hidden }
    }

    fn grow(&mut self, n: usize, units: usize, stride: usize) {
        self.gates.grow(n * 4 * units);
        self.cells.grow(n * units);
        self.squashed.grow(n * units);
        self.hidden.grow(n * stride);
    }
}

impl Scratch {
    pub(super) fn new() -> Self {
        let [hidden, cells, inputs, scaled] = [0; 4].map(Aligned::zeroed);
        Self { bias: Vec::new(), hidden, cells, inputs, scaled }
    }

    fn read_bias(&mut self, worker: &Worker<'_>, bias: TensorId, units: usize) {
        self.bias.resize(4 * units, 0.0);
        worker.read_whole(bias, &mut self.bias);
    }
}

/// Returns the number of inputs that a matrix has in the place of `n`: an odd multiple of 8.
///
/// In panels, 16 floats of an input are `64 n` bytes apart. Were `n` a multiple of 16, they would
/// meet in a few sets of the first-level cache, and the product with the transposed matrix would
/// take up to 1.5 times as long.
pub(super) fn padded_inputs(n: usize) -> usize {
    n.next_multiple_of(8) | 8
}

/// Returns where `rows` of `width` floats lie.
fn floats(rows: &Range<usize>, width: usize) -> Range<usize> {
    rows.start * width..rows.end * width
}

/// Returns the rows of a step, to be written, and those of the step before.
fn step_and_previous<'a>(
    buffer: &'a mut [f32],
    rows: &Range<usize>,
    previous: &Range<usize>,
    width: usize,
) -> (&'a mut [f32], &'a [f32]) {
    if previous.is_empty() {
        return (&mut buffer[floats(rows, width)], &[]);
    }
    if previous.start < rows.start {
        let (before, after) = buffer.split_at_mut(rows.start * width);
        (&mut after[..rows.len() * width], &before[floats(previous, width)])
    } else {
        let (before, after) = buffer.split_at_mut(previous.start * width);
        (&mut before[floats(rows, width)], &after[..previous.len() * width])
    }
}
