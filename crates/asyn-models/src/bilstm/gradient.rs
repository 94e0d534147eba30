//! The gradient of the loss of a batch, all sentences at once.
//!
//! What is random is drawn from the stream of each example: one number for each rare id, token
//! after token and in the order of the columns, and then, if inputs are dropped, the masks: for each
//! layer, the output layer last, those of one token after another, each as long as the padded
//! input of the layer.

use asyn_core::{Batch, Gradient, Layout, Model, SharedWeights, Touched, Worker};
use asyn_data::TokenIds;

use super::{BiLstm, BiLstmWorkspace, dropout};

impl Model for BiLstm {
    type Example = TokenIds;
    type Workspace = BiLstmWorkspace;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn workspace(&self) -> BiLstmWorkspace {
        self.new_workspace()
    }

    fn touched(&self, batch: &Batch<'_, TokenIds>, _: &mut BiLstmWorkspace, out: &mut Touched) {
        for (&id, sentence) in batch.ids().iter().zip(batch.examples()) {
            self.input.touch(sentence, &mut batch.random(id), out);
        }
        let characters = self.input.characters.iter().map(|characters| &characters.layer);
        characters.chain(&self.layers).for_each(|layer| layer.touch(out));
        self.output.touch(out);
    }

    fn gradient(
        &self,
        worker: &Worker<'_>,
        batch: &Batch<'_, TokenIds>,
        workspace: &mut BiLstmWorkspace,
        gradient: &mut Gradient,
    ) -> f64 {
        self.start(batch.examples(), workspace);
        if workspace.packing.n_rows() == 0 {
            return 0.0;
        }
        for (i, (&id, sentence)) in batch.ids().iter().zip(batch.examples()).enumerate() {
            let BiLstmWorkspace { packing, input, masks, output, .. } = workspace;
            let rows = packing.rows_of(i);
            let mut random = batch.random(id);
            self.input.add(sentence, rows.clone(), Some(&mut random), input);
            self.output.add(&sentence.labels, rows.clone(), output);
            let Some(dropout) = self.dropout else { continue };
            for (mask, width) in masks.iter_mut().zip(self.widths()) {
                for row in rows.clone() {
                    dropout.draw(&mut random, &mut mask[row * width..][..width]);
                }
            }
        }
        self.forward(worker, self.dropout.is_some(), workspace);
        self.backward(worker, workspace, gradient)
    }

    /// Draws the weights as [`Initial`](super::Initial) says.
    fn initial_weights(&self, seed: u64) -> SharedWeights {
        let mut weights = SharedWeights::zeroed(self.layout.len());
        self.fill_initial(seed, &mut weights);
        weights
    }
}

impl BiLstm {
    /// Gets ready for sentences, each of which is added next.
    pub(super) fn start<'s>(
        &self,
        sentences: impl Iterator<Item = &'s TokenIds>,
        workspace: &mut BiLstmWorkspace,
    ) {
        let BiLstmWorkspace { packing, input, output, inputs, masks, .. } = workspace;
        packing.pack(sentences.map(TokenIds::n_tokens));
        self.input.start(packing, input);
        self.output.start(packing, output);
        for ((inputs, mask), width) in inputs.iter_mut().zip(masks).zip(self.widths()) {
            inputs.grow(packing.n_rows() * width);
            if self.dropout.is_some() {
                mask.grow(packing.n_rows() * width);
            }
        }
    }

    /// Computes the inputs of all layers, of which the last is the output layer.
    pub(super) fn forward(
        &self,
        worker: &Worker<'_>,
        masked: bool,
        workspace: &mut BiLstmWorkspace,
    ) {
        let BiLstmWorkspace { packing, input, inputs, masks, states, scratch, .. } = workspace;
        let n = packing.n_rows();
        let len = |layer: usize| n * self.width(layer);
        self.input.forward(worker, input, scratch, &mut inputs[0][..len(0)]);
        for (at, (layer, states)) in self.layers.iter().zip(states).enumerate() {
            let (before, after) = inputs.split_at_mut(at + 1);
            let (x, output) = (&mut before[at][..len(at)], &mut after[0][..len(at + 1)]);
            if masked {
                dropout::apply(&masks[at], x);
            }
            layer.forward(worker, packing, x, states, scratch, output);
        }
        if masked {
            let last = self.layers.len();
            dropout::apply(&masks[last], &mut inputs[last][..len(last)]);
        }
    }

    /// Adds the gradient of all tensors and returns the loss.
    fn backward(
        &self,
        worker: &Worker<'_>,
        workspace: &mut BiLstmWorkspace,
        gradient: &mut Gradient,
    ) -> f64 {
        let BiLstmWorkspace { packing, input, inputs, masks, states, scratch, output, errors } =
            workspace;
        let n = packing.n_rows();
        let len = |layer: usize| n * self.width(layer);
        let last = self.layers.len();
        errors.iter_mut().for_each(|errors| {
            errors.grow(self.widths().max().map_or(0, |width| n * width));
        });
        let [current, next] = errors;
        let (mut current, mut next) = (current, next);
        let x = &inputs[last][..len(last)];
        let outputs = &mut current[..len(last)];
        let loss = self.output.gradient(worker, packing, x, output, outputs, gradient);
        for at in (0..last).rev() {
            if self.dropout.is_some() {
                dropout::apply(&masks[at + 1], &mut current[..len(at + 1)]);
            }
            let (x, outputs) = (&inputs[at][..len(at)], &current[..len(at + 1)]);
            let (states, layer) = (&mut states[at], &self.layers[at]);
            let inputs = &mut next[..len(at)];
            layer.backward(worker, packing, x, states, scratch, outputs, inputs, gradient);
            std::mem::swap(&mut current, &mut next);
        }
        if self.dropout.is_some() {
            dropout::apply(&masks[0], &mut current[..len(0)]);
        }
        self.input.backward(worker, input, scratch, &current[..len(0)], gradient);
        loss
    }
}
