//! The best labels of sentences, one at a time or many.

use asyn_core::{Decode, Worker};
use asyn_data::TokenIds;

use super::{BiLstm, BiLstmWorkspace};

/// The tokens that are labelled at once: enough to use each weight many times, and so few
/// that what is computed of them stays in the second-level cache.
const TOKENS: usize = 256;

impl Decode for BiLstm {
    /// The label of each token.
    type Output = Vec<u16>;

    /// Computes the best labels: of each token, or of the sentence with a CRF output, of those
    /// sequences that the grammar of the model allows where there are any. Ties go to the smaller
    /// label.
    fn decode(
        &self,
        worker: &Worker<'_>,
        sentence: &TokenIds,
        workspace: &mut BiLstmWorkspace,
        out: &mut Vec<u16>,
    ) {
        self.decode_group(worker, &[sentence], workspace, |_, labels| {
            out.clear();
            out.extend_from_slice(labels);
        });
    }
}

impl BiLstm {
    /// Computes the best labels of many sentences, as [`Decode::decode`] does of each, several
    /// times as fast: sentences of similar length are taken together.
    ///
    /// Sets `out` to one list of labels for each sentence.
    pub fn label(
        &self,
        worker: &Worker<'_>,
        sentences: &[TokenIds],
        workspace: &mut BiLstmWorkspace,
        out: &mut Vec<Vec<u16>>,
    ) {
        out.resize_with(sentences.len(), Vec::new);
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        order.sort_unstable_by_key(|&i| (sentences[i].n_tokens(), i));
        let mut group = Vec::new();
        let mut rest = &order[..];
        while !rest.is_empty() {
            // In ascending order, so the last of a group is its longest.
            let fits = |&(at, &i): &(usize, &usize)| (at + 1) * sentences[i].n_tokens() <= TOKENS;
            let n = rest.iter().enumerate().take_while(fits).count().max(1);
            let (indices, others) = rest.split_at(n);
            group.clear();
            group.extend(indices.iter().map(|&i| &sentences[i]));
            self.decode_group(worker, &group, workspace, |at, labels| {
                let out = &mut out[indices[at]];
                out.clear();
                out.extend_from_slice(labels);
            });
            rest = others;
        }
    }

    fn decode_group(
        &self,
        worker: &Worker<'_>,
        sentences: &[&TokenIds],
        workspace: &mut BiLstmWorkspace,
        take: impl FnMut(usize, &[u16]),
    ) {
        self.start(sentences.iter().copied(), workspace);
        for (i, sentence) in sentences.iter().enumerate() {
            let rows = workspace.packing.rows_of(i);
            self.input.add(sentence, rows, None, &mut workspace.input);
        }
        self.forward(worker, false, workspace);
        let BiLstmWorkspace { packing, inputs, output, .. } = workspace;
        let last = self.layers.len();
        let x = &inputs[last][..packing.n_rows() * self.width(last)];
        self.output.decode(worker, packing, x, self.grammar.as_ref(), output, take);
    }
}
