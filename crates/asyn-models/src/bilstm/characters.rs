//! A bidirectional layer over the characters of each token.
//!
//! What a token gets are the last states of both directions: of the forward one after the last
//! character, of the backward one after the first. A token without characters gets zeros.
//! Ling and others (EMNLP 2015), without the projection.

use asyn_core::{Gradient, Layout, TensorId, Worker};
use asyn_data::TokenIds;

use super::Characters;
use super::layer::{Layer, Scratch, States, padded_inputs};
use super::packing::Packing;
use crate::kernel::Aligned;

/// The layer and the vectors of its characters.
#[derive(Debug, Clone)]
pub(super) struct CharacterLayer {
    pub(super) table: TensorId,
    pub(super) width: usize,
    stride: usize,
    pub(super) layer: Layer,
}

/// The scratch memory.
#[derive(Debug)]
pub(super) struct CharacterSpace {
    /// Tokens as sequences of characters, in the order of the sentences.
    packing: Packing,
    /// The row of each token in the input of the model.
    rows: Vec<usize>,
    lengths: Vec<usize>,
    /// Character ids, token after token, and in packed order.
    in_order: Vec<u32>,
    ids: Vec<u32>,
    x: Aligned,
    states: [States; 2],
    outputs: Aligned,
    errors: Aligned,
}

impl CharacterLayer {
    /// Adds the tensors to a layout.
    pub(super) fn new(layout: &mut Layout, characters: &Characters) -> Self {
        let Characters { rows, width, hidden } = *characters;
        let table = layout.rows("characters", rows, width);
        let positions = (0..width).collect();
        let stride = layout.tensor(table).stored_len() / rows;
        let inputs = padded_inputs(stride);
        let layer = Layer::new(layout, "characters", inputs, positions, hidden);
        Self { table, width, stride, layer }
    }

    /// Computes what each token gets and puts it at `start` of its row of `x`, rows of `len` floats.
    pub(super) fn forward(
        &self,
        worker: &Worker<'_>,
        space: &mut CharacterSpace,
        scratch: &mut Scratch,
        x: &mut [f32],
        len: usize,
        start: usize,
    ) {
        let CharacterSpace { packing, rows, lengths, in_order, ids, .. } = space;
        packing.pack(lengths.iter().copied());
        let n = packing.n_rows();
        ids.resize(n, 0);
        let mut id = in_order.iter();
        for token in 0..packing.n_sequences() {
            for (row, &id) in packing.rows_of(token).zip(&mut id) {
                ids[row] = id;
            }
        }
        let (inputs, units, outputs) = (self.layer.inputs, self.layer.units, self.layer.outputs());
        space.x.grow(n * inputs);
        space.outputs.grow(n * outputs);
        for (vector, &id) in space.x.chunks_exact_mut(inputs).zip(&*ids) {
            worker.row(self.table, id).read_into(&mut vector[..self.stride]);
        }
        super::product::apply_scale(worker, &mut space.x[..n * inputs]);
        let (vectors, found) = (&space.x[..n * inputs], &mut space.outputs[..n * outputs]);
        self.layer.forward(worker, packing, vectors, &mut space.states, scratch, found);
        for (token, row) in rows.iter().enumerate() {
            let out = &mut x[row * len + start..][..2 * units];
            match packing.ends_of(token) {
                Some((first, last)) => {
                    out[..units].copy_from_slice(&found[last * outputs..][..units]);
                    out[units..].copy_from_slice(&found[first * outputs + units..][..units]);
                }
                None => out.fill(0.0),
            }
        }
    }

    /// Adds the gradient, given the errors of what each token got, placed as there.
    #[allow(clippy::too_many_arguments, reason = "as the forward pass, and what it is about")]
    pub(super) fn backward(
        &self,
        worker: &Worker<'_>,
        space: &mut CharacterSpace,
        scratch: &mut Scratch,
        errors: &[f32],
        len: usize,
        start: usize,
        gradient: &mut Gradient,
    ) {
        let packing = &space.packing;
        let n = packing.n_rows();
        let (inputs, units, outputs) = (self.layer.inputs, self.layer.units, self.layer.outputs());
        let found = &mut space.outputs[..n * outputs];
        found.fill(0.0);
        for (token, row) in space.rows.iter().enumerate() {
            let Some((first, last)) = packing.ends_of(token) else { continue };
            let errors = &errors[row * len + start..][..2 * units];
            found[last * outputs..][..units].copy_from_slice(&errors[..units]);
            found[first * outputs + units..][..units].copy_from_slice(&errors[units..]);
        }
        space.errors.grow(n * inputs);
        let vectors = &mut space.errors[..n * inputs];
        let (x, states) = (&space.x[..n * inputs], &mut space.states);
        self.layer.backward(worker, packing, x, states, scratch, found, vectors, gradient);
        for (&id, errors) in space.ids.iter().zip(vectors.chunks_exact(inputs)) {
            gradient.add_rows(self.table, &[id], &errors[..self.stride]);
        }
    }
}

impl CharacterSpace {
    pub(super) fn new() -> Self {
        let [x, outputs, errors] = [0; 3].map(Aligned::zeroed);
        Self {
            packing: Packing::default(),
            rows: Vec::new(),
            lengths: Vec::new(),
            in_order: Vec::new(),
            ids: Vec::new(),
            x,
            states: [States::new(), States::new()],
            outputs,
            errors,
        }
    }

    /// Forgets all sentences.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.lengths.clear();
        self.in_order.clear();
    }

    /// Adds the characters of a sentence whose tokens are `rows`.
    pub(super) fn add(&mut self, sentence: &TokenIds, rows: impl Iterator<Item = usize>) {
        self.in_order.extend_from_slice(&sentence.characters);
        self.lengths.extend(sentence.offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize));
        self.rows.extend(rows);
    }
}
