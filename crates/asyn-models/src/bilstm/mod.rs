//! Bidirectional long short-term memory for labelling tokens.
//!
//! ```text
//! x[t] = [ E₁[id₁] ; E₂[id₂] ; … ; characters ]                        input
//! h→ = LSTM(x, first to last),   h← = LSTM(x, last to first)            layer by layer
//! s[t] = V [ h→[t] ; h←[t] ] + b                                        scores of labels
//! loss = Σ − log softmax(s[t])[gold],  or that of a linear chain with s as node scores
//! ```
//!
//! | Tensor                                   | Stored as | File           |
//! | ---------------------------------------- | --------- | -------------- |
//! | `column.0`, …: vectors of ids            | rows      | `input.rs`     |
//! | `characters`: vectors of characters      | rows      | `characters.rs` |
//! | `characters.…`, `layer.0.…`, …           | panels and bias | `layer.rs` |
//! | `output`, `output.bias`, `transitions`   | panels, dense | `output.rs` |
//!
//! All sentences of a batch are computed at once: they are packed step after step
//! (`packing.rs`), so that the product of a step takes the states of all sentences as rows.
//! Weights are read where they are, and the gradients of matrices stay in their factors.
//!
//! Vectors and units are padded to whole vectors of the processor. The weights of the padding are
//! 0, and so are their gradients.
//!
//! Hochreiter and Schmidhuber (1997); as a tagger, Graves and Schmidhuber (2005); with the
//! dimensions of Sun (COLING 2016, table 2); with a CRF output, Huang, Xu and Yu (2015).

mod characters;
mod decode;
mod dropout;
mod gradient;
mod initial;
mod input;
mod layer;
mod output;
mod packing;
mod product;
mod spec;

use asyn_core::{Layout, SharedWeights};
use asyn_data::Grammar;

pub use spec::{BiLstmSpec, Characters, Column, Initial, OutputLayer};

use crate::error::Result;
use crate::kernel::Aligned;
use dropout::Dropout;
use input::{Input, InputSpace};
use layer::{Layer, Scratch, States};
use output::{Output, OutputSpace};
use packing::Packing;

/// A bidirectional LSTM that labels tokens.
///
/// ```
/// use asyn_core::{Adam, Model, Schedule, Trainer, Worker};
/// use asyn_data::TokenIds;
/// use asyn_models::{BiLstm, BiLstmSpec, Column, Initial, OutputLayer};
///
/// // The label of a word is whether the next one is word 2.
/// let sentence = |words: &[u32]| TokenIds {
///     ids: words.to_vec(),
///     characters: Vec::new(),
///     offsets: vec![0; words.len() + 1],
///     labels: (0..words.len()).map(|i| u16::from(words.get(i + 1) == Some(&2))).collect(),
/// };
/// let train = [sentence(&[1, 2, 1, 1]), sentence(&[1, 1, 2]), sentence(&[2, 1, 2, 2])];
///
/// let model = BiLstm::new(&BiLstmSpec {
///     columns: vec![Column { rows: 3, width: 8, first_rare: 3 }],
///     characters: None,
///     hidden: 8,
///     layers: 1,
///     labels: 2,
///     output: OutputLayer::Softmax,
///     dropout: 0.0,
///     unknown: 0.0,
///     initial: Initial::Orthogonal,
/// })?;
/// let mut weights = model.initial_weights(1);
/// let adam = Adam { schedule: Schedule::Constant { rate: 1e-2 }, ..Adam::default() };
/// let trainer = Trainer::builder().update(adam).passes(60).build()?;
/// trainer.fit(&model, &train, &mut weights, &mut ())?;
///
/// let reader = Worker::reader(model.layout(), &weights);
/// let mut labels = Vec::new();
/// model.label(&reader, &train, &mut model.workspace(), &mut labels);
/// assert_eq!(labels, train.map(|sentence| sentence.labels));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct BiLstm {
    spec: BiLstmSpec,
    layout: Layout,
    input: Input,
    layers: Vec<Layer>,
    output: Output,
    dropout: Option<Dropout>,
    grammar: Option<Grammar>,
}

/// The scratch memory of one worker.
#[derive(Debug)]
pub struct BiLstmWorkspace {
    packing: Packing,
    input: InputSpace,
    /// The input of each layer and of the output layer, and the factors that masks apply to it.
    inputs: Vec<Aligned>,
    masks: Vec<Aligned>,
    states: Vec<[States; 2]>,
    scratch: Scratch,
    output: OutputSpace,
    /// The errors of the output and of the input of the layer that is computed.
    errors: [Aligned; 2],
}

impl BiLstm {
    /// Makes a model.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`](crate::Error::Labels) if there is no label or more than 4096, and
    /// [`Error::Setting`](crate::Error::Setting) if another number is out of range.
    pub fn new(spec: &BiLstmSpec) -> Result<Self> {
        spec.check()?;
        let mut layout = Layout::default();
        let input = Input::new(&mut layout, spec);
        let mut layers: Vec<Layer> = Vec::new();
        for at in 0..spec.layers {
            let (inputs, positions) = match layers.last() {
                None => (input.len, input.positions()),
                Some(below) => (below.outputs(), below.output_positions().collect()),
            };
            let name = format!("layer.{at}");
            layers.push(Layer::new(&mut layout, &name, inputs, positions, spec.hidden));
        }
        let inputs = layers[spec.layers - 1].outputs();
        let output = Output::new(&mut layout, inputs, spec.labels, spec.output);
        let dropout = Dropout::new(spec.dropout);
        Ok(Self { spec: spec.clone(), layout, input, layers, output, dropout, grammar: None })
    }

    /// Decodes sequences that a grammar allows, where it allows one; training takes no notice.
    ///
    /// # Panics
    ///
    /// If the grammar is one of another number of labels.
    #[must_use]
    pub fn with_grammar(self, grammar: Option<Grammar>) -> Self {
        if let Some(grammar) = &grammar {
            assert_eq!(grammar.n_labels(), self.spec.labels, "labels of the grammar");
        }
        Self { grammar, ..self }
    }

    /// Returns what the model looks like.
    #[must_use]
    pub fn spec(&self) -> &BiLstmSpec {
        &self.spec
    }

    /// Sets the vector of an id of a column, for example to one that was learned elsewhere.
    ///
    /// # Panics
    ///
    /// If there is no such column or id, or the vector has another length than those of the
    /// column.
    pub fn set_vector(&self, weights: &mut SharedWeights, column: usize, id: u32, vector: &[f32]) {
        let column = &self.input.columns[column];
        assert_eq!(vector.len(), column.width, "the length of a vector of the column");
        let tensor = self.layout.tensor(column.table);
        let (rows, width) = tensor.dim();
        assert!((id as usize) < rows, "id {id} of {rows}");
        let stride = tensor.stored_len() / rows;
        weights.as_mut_slice()[tensor.start + id as usize * stride..][..width]
            .copy_from_slice(vector);
    }

    /// Returns the length of the input of a layer, or of the output layer behind the last.
    fn width(&self, layer: usize) -> usize {
        if layer == 0 { self.input.len } else { self.layers[layer - 1].outputs() }
    }

    /// Returns the lengths of the inputs of all layers and of the output layer.
    fn widths(&self) -> impl Iterator<Item = usize> + '_ {
        (0..=self.layers.len()).map(|layer| self.width(layer))
    }

    fn new_workspace(&self) -> BiLstmWorkspace {
        let buffers = || self.widths().map(|_| Aligned::zeroed(0)).collect();
        BiLstmWorkspace {
            packing: Packing::default(),
            input: InputSpace::new(),
            inputs: buffers(),
            masks: buffers(),
            states: self.layers.iter().map(|_| [States::new(), States::new()]).collect(),
            scratch: Scratch::new(),
            output: self.output.space(&self.layout),
            errors: [Aligned::zeroed(0), Aligned::zeroed(0)],
        }
    }
}
