//! A dense-CRF in double precision, for tests to compare with.

#![allow(clippy::cast_possible_truncation, reason = "lengths and labels of tests are small")]

use asyn_core::{Model, Purpose, SplitMix64, Tensor};
use asyn_data::Encoded;
use asyn_models::Crf;
use asyn_testing::chain::Chain;

/// The attributes of [`sentence`].
pub(crate) const N_ATTRIBUTES: usize = 12;

/// Returns where a weight of a model lies: of `tensor`, in row `row`, at `column`.
///
/// Rows are padded to eight floats, a dense matrix only as a whole.
pub(crate) fn place(tensor: &Tensor, row: usize, column: usize) -> usize {
    let columns = tensor.dim().1;
    let stride = if tensor.name == "edge" { columns } else { columns.next_multiple_of(8) };
    tensor.start + row * stride + column
}

/// Returns the tensor of that name, if the model has it.
pub(crate) fn tensor<'a>(crf: &'a Crf, name: &str) -> Option<&'a Tensor> {
    crf.layout().tensors().iter().find(|tensor| tensor.name == name)
}

/// Returns the scores of a sentence, for weights that are laid out as those of `crf`.
pub(crate) fn chain(crf: &Crf, weights: &[f64], sentence: &Encoded) -> Chain {
    let n = crf.shape().n_labels;
    let (node, edge) = (tensor(crf, "node").unwrap(), tensor(crf, "edge").unwrap());
    let len = sentence.n_tokens();
    let attributes = |token: usize| sentence.attributes_of(token).iter().map(|&a| a as usize);
    let node_score =
        |t: usize, y: usize| attributes(t).map(|a| weights[place(node, a, y)]).sum::<f64>();
    let nodes = (0..len).map(|t| (0..n).map(|y| node_score(t, y)).collect()).collect();
    let edge_score = |t: usize, p: usize, y: usize| {
        let rich: f64 = tensor(crf, "rich").map_or(0.0, |rich| {
            let active = attributes(t).filter(|&a| a < crf.shape().n_rich);
            active.map(|a| weights[place(rich, a, p * n + y)]).sum()
        });
        weights[place(edge, p, y)] + rich
    };
    let edges = (0..len)
        .map(|t| (0..n).map(|p| (0..n).map(|y| edge_score(t, p, y)).collect()).collect())
        .collect();
    Chain { nodes, edges }
}

/// Returns the gold labels of a sentence.
pub(crate) fn gold(sentence: &Encoded) -> Vec<usize> {
    sentence.labels.iter().map(|&label| usize::from(label)).collect()
}

/// Returns a random sentence; attributes ascending, sometimes twice in a token, sometimes none.
pub(crate) fn sentence(len: usize, n_labels: usize, seed: u64) -> Encoded {
    let mut random = SplitMix64::stream(seed, Purpose::Calibration, 0, 0);
    let mut encoded = Encoded { attributes: vec![], offsets: vec![0], labels: vec![] };
    for _ in 0..len {
        let mut attributes: Vec<u32> =
            (0..random.below(6)).map(|_| random.below(N_ATTRIBUTES as u64) as u32).collect();
        attributes.sort_unstable();
        encoded.attributes.extend(attributes);
        encoded.offsets.push(encoded.attributes.len() as u32);
        encoded.labels.push(random.below(n_labels as u64) as u16);
    }
    encoded
}
