//! A model that labels tokens together with the encoder that its numbers belong to.
//!
//! | Part of the model file | Content                                                      |
//! | ---------------------- | ------------------------------------------------------------ |
//! | `node`, `edge`, `rich` | the tensors of a CRF, row-major, without padding             |
//! | `column.0`, …          | those of a Bi-LSTM, as its own files name them, row-major    |
//! | `encoder.*`            | the encoder, as `asyn-data` writes it                        |
//! | `bilstm.*`             | what a Bi-LSTM looks like, beside what its encoder says      |
//! | string map             | whatever the caller wants to say about the model             |
//!
//! Nothing is stored twice: the shape of a CRF follows from the encoder.

use std::collections::BTreeMap;
use std::path::Path;

use asyn_core::theory::Minimum;
use asyn_core::{
    BatchTrainer, Checkpoint, Layout, Observer, Outcome, Shape, SharedWeights, Strategy, Tensor,
    Trainer, Update,
};
use asyn_data::{
    Encoded, Encoder, Grammar, Imported, LentTensor, ModelFault, ModelFile, Renumbering,
    TokenEncoder, Visit, WordVectors,
};
use asyn_models::{BiLstmSpec, Characters, Crf, CrfShape, Initial, OutputLayer, Pieces};

use crate::error::Result;
use crate::labeller::Labeller;
use crate::sequence_model::{MISMATCH, SequenceExample, SequenceModel, shape_of};

/// The kind of model file that holds a [`Tagger`] with a CRF.
pub const KIND: &str = "crf";

/// The kind of model file that holds a [`Tagger`] with a Bi-LSTM.
pub const BILSTM_KIND: &str = "bilstm";

/// How many rows are copied at a time between weights and files.
const ROWS_AT_A_TIME: usize = 256;

/// A model that labels tokens, its weights, and the encoder that gave attributes and labels their
/// numbers.
#[derive(Debug)]
pub struct Tagger {
    encoder: Encoder,
    model: SequenceModel,
    weights: SharedWeights,
}

impl Tagger {
    /// Makes a CRF whose weights are those that training starts from.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if there are too many labels.
    pub fn untrained(encoder: Encoder) -> Result<Self> {
        let model = SequenceModel::crf_of(&encoder)?;
        Ok(Self::new(encoder, model, 0))
    }

    /// Makes a tagger of a model and its encoder, whose weights are those that training with `seed`
    /// starts from.
    pub fn new(encoder: Encoder, model: SequenceModel, seed: u64) -> Self {
        let weights = model.initial_weights(seed);
        Self { encoder, model, weights }
    }

    /// Returns how large the CRF of an encoder is.
    pub fn shape_of(encoder: &Encoder) -> CrfShape {
        shape_of(encoder)
    }

    /// Takes over what `before` knows: the encoder joins an encoder of new data with that of
    /// `before`, as `places` says. What `before` does not have keeps the weights that it has.
    ///
    /// # Panics
    ///
    /// If the models are of different kinds or sizes.
    #[must_use]
    pub fn continuing(mut self, before: &Self, places: &Renumbering) -> Self {
        let labels = |label: usize| usize::from(places.other_labels[label]);
        let attributes = |id: usize| places.other_attributes[id] as usize;
        match &before.model {
            SequenceModel::Crf(_) => self.copy_weights(before, attributes, labels),
            SequenceModel::BiLstm(_, columns) => {
                self.copy_vectors(before, columns, places, labels);
            }
        }
        self
    }

    /// Makes a tagger of a model of another program.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if there are too many labels.
    ///
    /// # Panics
    ///
    /// If a score is of an attribute or label that the encoder does not have.
    pub fn imported(model: Imported) -> Result<Self> {
        let Imported { encoder, nodes, edges, rich } = model;
        let mut tagger = Self::untrained(encoder)?;
        let n_labels = tagger.encoder.labels().len();
        let pair =
            |previous: u16, label: u16| usize::from(previous) * n_labels + usize::from(label);
        let layout = tagger.model.layout();
        for id in layout.ids() {
            let mut weights = layout.export(&tagger.weights, id);
            match layout.tensor(id).name.as_str() {
                "node" => nodes.iter().for_each(|&(attribute, label, score)| {
                    weights[(attribute as usize, usize::from(label))] += score;
                }),
                "edge" => edges.iter().for_each(|&(previous, label, score)| {
                    weights[(usize::from(previous), usize::from(label))] += score;
                }),
                _ => rich.iter().for_each(|&(attribute, previous, label, score)| {
                    weights[(attribute as usize, pair(previous, label))] += score;
                }),
            }
            layout.import(&mut tagger.weights, id, &weights);
        }
        Ok(tagger)
    }

    /// Drops the attributes of a CRF whose weights, rich edges included, have absolute values that sum to
    /// at most `least`, with tables built by `threads` threads; returns how many they are.
    ///
    /// No score of a token changes by more than `least` for each of its attributes.
    ///
    /// # Panics
    ///
    /// If the model is no CRF, or has more than 2³² attributes.
    pub fn prune(&mut self, least: f32, threads: usize) -> usize {
        let n = u32::try_from(self.encoder.n_attributes()).expect("attribute ids are u32");
        let kept: Vec<u32> = (0..n).filter(|&id| self.sum_of_weights(id) > least).collect();
        let encoder = self.encoder.select(&kept, threads);
        let mut pruned = Self::untrained(encoder).expect("the labels are those of this model");
        let place = |id: usize| {
            let id = u32::try_from(id).expect("attribute ids are u32");
            kept.binary_search(&id).unwrap_or(usize::MAX)
        };
        pruned.copy_weights(self, place, |label| label);
        let n_dropped = self.encoder.n_attributes() - kept.len();
        *self = pruned;
        n_dropped
    }

    /// Returns the sum of the absolute weights of an attribute.
    fn sum_of_weights(&self, id: u32) -> f32 {
        let rows = |tensor: &&asyn_core::Tensor| matches!(tensor.shape, Shape::Rows { rows, .. } if (id as usize) < rows);
        let mut row = Vec::new();
        let mut sum = 0.0;
        for tensor in self.model.layout().tensors().iter().filter(rows) {
            row.resize(tensor.dim().1, 0.0);
            let stride = stride(tensor.shape).expect("a CRF has no panels");
            let start = tensor.start + id as usize * stride;
            self.weights.view(start, row.len()).read_into(&mut row);
            sum += row.iter().map(|weight| weight.abs()).sum::<f32>();
        }
        sum
    }

    /// Copies the weights of another tagger, whose attributes and labels have other numbers here;
    /// an attribute that is not here has a number out of range.
    fn copy_weights(
        &mut self,
        other: &Self,
        attributes: impl Fn(usize) -> usize,
        labels: impl Fn(usize) -> usize,
    ) {
        let (n_there, n_here) = (other.encoder.labels().len(), self.encoder.labels().len());
        let pair = |pair: usize| labels(pair / n_there) * n_here + labels(pair % n_there);
        for id in other.model.layout().ids() {
            let from = other.model.layout().export(&other.weights, id);
            let name = &other.model.layout().tensor(id).name;
            let Some(to) =
                self.model.layout().ids().find(|&id| self.model.layout().tensor(id).name == *name)
            else {
                continue;
            };
            let mut into = self.model.layout().export(&self.weights, to);
            for ((row, column), &weight) in from.indexed_iter() {
                let (row, column) = match name.as_str() {
                    "edge" => (labels(row), labels(column)),
                    "rich" => (attributes(row), pair(column)),
                    _ => (attributes(row), labels(column)),
                };
                if let Some(place) = into.get_mut((row, column)) {
                    *place = weight;
                }
            }
            self.model.layout().import(&mut self.weights, to, &into);
        }
    }

    /// Copies the weights of another Bi-LSTM, whose ids, characters and labels have other numbers
    /// here.
    fn copy_vectors(
        &mut self,
        other: &Self,
        there: &TokenEncoder,
        places: &Renumbering,
        labels: impl Fn(usize) -> usize,
    ) {
        let (_, here) = self.model.bilstm().expect(MISMATCH);
        // Id 0, what is unknown, is the same everywhere.
        let mut ids: Vec<Vec<usize>> =
            there.columns().map(|column| vec![0; column.n_ids as usize]).collect();
        for (id, &place) in (0..).zip(&places.other_attributes) {
            let (column, id) = there.place(id);
            ids[column][id as usize] = here.place(place).1 as usize;
        }
        let numbers: BTreeMap<char, u32> = here.characters().collect();
        let mut characters = vec![0; there.n_characters().unwrap_or(0)];
        for (c, id) in there.characters() {
            characters[id as usize] = numbers[&c] as usize;
        }
        let layout = self.model.layout().clone();
        for (to, from) in layout.ids().zip(other.model.layout().ids()) {
            let name = layout.tensor(to).name.as_str();
            let column: Option<usize> =
                name.strip_prefix("column.").and_then(|column| column.parse().ok());
            let values = other.model.layout().export(&other.weights, from);
            let mut into = layout.export(&self.weights, to);
            for ((row, column_of_row), &value) in values.indexed_iter() {
                let place = match (name, column) {
                    (_, Some(column)) => (ids[column][row], column_of_row),
                    ("characters", _) => (characters[row], column_of_row),
                    ("output" | "output.bias", _) => (row, labels(column_of_row)),
                    ("transitions", _) => (labels(row), labels(column_of_row)),
                    _ => (row, column_of_row),
                };
                into[place] = value;
            }
            layout.import(&mut self.weights, to, &into);
        }
    }

    /// Gives values of the first column of a Bi-LSTM vectors that were learned elsewhere, those of
    /// [`TokenEncoder::values`].
    ///
    /// # Panics
    ///
    /// If the model is a CRF, or the vectors are of another length.
    pub fn set_vectors(&mut self, vectors: &WordVectors) {
        let (model, _) = self.model.bilstm().expect("a Bi-LSTM");
        for (&word, vector) in vectors.ids.iter().zip(vectors.values.chunks_exact(vectors.width)) {
            model.set_vector(&mut self.weights, 0, word + 1, vector);
        }
    }

    /// Cuts sentences for training a CRF: structure regularisation. Labelling never cuts.
    #[must_use]
    pub fn with_pieces(self, pieces: Pieces) -> Self {
        let model = match self.model {
            SequenceModel::Crf(crf) => SequenceModel::Crf(crf.with_pieces(pieces)),
            model @ SequenceModel::BiLstm(..) => model,
        };
        Self { model, ..self }
    }

    /// Labels with sequences that a grammar allows, as [`SequenceModel::with_grammar`] says.
    ///
    /// # Panics
    ///
    /// If the grammar is one of another number of labels.
    #[must_use]
    pub fn with_grammar(self, grammar: Option<Grammar>) -> Self {
        Self { model: self.model.with_grammar(grammar), ..self }
    }

    /// Trains on examples of this tagger's encoder.
    ///
    /// # Errors
    ///
    /// [`Error::Training`](crate::Error::Training), as [`Trainer::fit`].
    ///
    /// # Panics
    ///
    /// Propagates the panic of a worker, and panics if the examples are of another model.
    pub fn fit<S: Strategy, U: Update, E: SequenceExample>(
        &mut self,
        trainer: &Trainer<S, U>,
        examples: &[E],
        observer: &mut impl Observer,
    ) -> Result<Outcome> {
        let model = E::model(&self.model).expect(MISMATCH);
        Ok(trainer.fit(model, examples, &mut self.weights, observer)?)
    }

    /// Goes on from a checkpoint of a run with the same examples and settings.
    ///
    /// # Errors
    ///
    /// [`Error::Training`](crate::Error::Training), as [`Trainer::resume`].
    ///
    /// # Panics
    ///
    /// Propagates the panic of a worker, and panics if the examples are of another model.
    pub fn resume<S: Strategy, U: Update, E: SequenceExample>(
        &mut self,
        trainer: &Trainer<S, U>,
        examples: &[E],
        checkpoint: &Checkpoint,
        observer: &mut impl Observer,
    ) -> Result<Outcome> {
        let model = E::model(&self.model).expect(MISMATCH);
        Ok(trainer.resume(model, examples, &mut self.weights, checkpoint, observer)?)
    }

    /// Trains a CRF by L-BFGS on examples of this tagger's encoder, or goes on from a checkpoint.
    ///
    /// # Errors
    ///
    /// [`Error::Training`](crate::Error::Training), as [`BatchTrainer::fit`].
    ///
    /// # Panics
    ///
    /// Propagates the panic of a thread, and panics if the model is no CRF.
    pub fn fit_batch(
        &mut self,
        trainer: &BatchTrainer,
        examples: &[Encoded],
        checkpoint: Option<&Checkpoint>,
        observer: &mut impl Observer,
    ) -> Result<(Outcome, Minimum)> {
        let crf = self.model.crf().expect(MISMATCH);
        Ok(trainer.fit(crf, examples, &mut self.weights, checkpoint, observer)?)
    }

    /// Returns the encoder.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Returns the model.
    pub fn model(&self) -> &SequenceModel {
        &self.model
    }

    /// Returns the model, if it is a CRF.
    pub fn crf(&self) -> Option<&Crf> {
        self.model.crf()
    }

    /// Returns the weights.
    pub fn weights(&self) -> &SharedWeights {
        &self.weights
    }

    /// Returns the weights for replacement, for instance by those of the best pass.
    pub fn weights_mut(&mut self) -> &mut SharedWeights {
        &mut self.weights
    }

    /// Returns what one thread needs to label sentences.
    pub fn labeller(&self) -> Labeller<'_> {
        Labeller::new(self)
    }

    /// Writes a model file; what was at `path` stays there until everything is written.
    ///
    /// `about` goes into the file as strings, under keys that do not begin with `asyn.`,
    /// `encoder.` or `bilstm.`.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data), as [`ModelFile::save`].
    pub fn save(&self, path: impl AsRef<Path>, about: BTreeMap<String, String>) -> Result<()> {
        self.save_as(path.as_ref(), about, false)
    }

    fn save_as(&self, path: &Path, about: BTreeMap<String, String>, half: bool) -> Result<()> {
        let mut file = ModelFile::new(self.model.kind());
        file.metadata = about;
        self.encoder.to_tensors(&mut file);
        if let Some((model, columns)) = self.model.bilstm() {
            columns.to_tensors(&mut file);
            describe(model.spec(), &mut file);
        }
        file.half = half;
        Ok(file.save_with(path, &lend(self.model.layout(), &self.weights))?)
    }

    /// Writes as [`Tagger::save`] does, with weights in 16 bits: a file of about half the size.
    ///
    /// # Errors
    ///
    /// As [`Tagger::save`], also if a weight is 65,520 or more.
    pub fn save_f16(&self, path: impl AsRef<Path>, about: BTreeMap<String, String>) -> Result<()> {
        self.save_as(path.as_ref(), about, true)
    }

    /// Reads a model file, with tables built by `threads` threads, and what it says about the model.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if the file cannot be read or is refused.
    pub fn load(
        path: impl AsRef<Path>,
        threads: usize,
    ) -> Result<(Self, BTreeMap<String, String>)> {
        let path = path.as_ref();
        let mut file = ModelFile::load_one_of(path, &[KIND, BILSTM_KIND])?;
        let refused = |fault| asyn_data::Error::Model { name: path.display().to_string(), fault };
        let encoder = Encoder::from_tensors(&file, threads)?;
        let model = if file.kind == KIND {
            SequenceModel::crf_of(&encoder)?
        } else {
            let columns = TokenEncoder::from_tensors(&encoder, &file)?;
            let (widths, spec) = described(&file).map_err(refused)?;
            SequenceModel::bilstm_of(&encoder, columns, &widths, spec)?
        };
        let weights = import(model.layout(), &file).map_err(refused)?;
        let tagger = Self { encoder, model, weights };
        let is_of_model = |key: &str| key.starts_with("encoder.") || key.starts_with("bilstm.");
        file.metadata.retain(|key, _| !is_of_model(key));
        Ok((tagger, file.metadata))
    }
}

/// Says in a file what a Bi-LSTM looks like.
fn describe(spec: &BiLstmSpec, file: &mut ModelFile) {
    let mut note = |name: &str, value: String| file.metadata.insert(name.to_owned(), value);
    let widths: Vec<String> = spec.columns.iter().map(|column| column.width.to_string()).collect();
    note("bilstm.widths", widths.join(","));
    note("bilstm.hidden", spec.hidden.to_string());
    note("bilstm.layers", spec.layers.to_string());
    if let Some(Characters { width, hidden, .. }) = spec.characters {
        note("bilstm.characters", format!("{width},{hidden}"));
    }
    let output = match spec.output {
        OutputLayer::Softmax => "softmax",
        OutputLayer::Crf => "crf",
    };
    note("bilstm.output", output.to_owned());
}

/// Returns what a file says that a Bi-LSTM looks like: the lengths of the vectors of its columns,
/// and the rest but for what its encoder knows.
fn described(file: &ModelFile) -> Result<(Vec<usize>, BiLstmSpec), ModelFault> {
    let note = |name: &'static str| {
        file.metadata.get(name).map(String::as_str).ok_or(ModelFault::Missing { name })
    };
    let numbers = |name: &'static str| -> Result<Vec<usize>, ModelFault> {
        let numbers: Result<_, _> = note(name)?.split(',').map(str::parse).collect();
        numbers.map_err(|_| ModelFault::Content { name })
    };
    let number = |name: &'static str| match numbers(name)?[..] {
        [number] => Ok(number),
        _ => Err(ModelFault::Content { name }),
    };
    let characters = match file.metadata.get("bilstm.characters") {
        None => None,
        Some(_) => match numbers("bilstm.characters")?[..] {
            [width, hidden] => Some(Characters { rows: 0, width, hidden }),
            _ => return Err(ModelFault::Content { name: "bilstm.characters" }),
        },
    };
    let spec = BiLstmSpec {
        columns: Vec::new(),
        characters,
        hidden: number("bilstm.hidden")?,
        layers: number("bilstm.layers")?,
        labels: 0,
        output: match note("bilstm.output")? {
            "softmax" => OutputLayer::Softmax,
            "crf" => OutputLayer::Crf,
            _ => return Err(ModelFault::Content { name: "bilstm.output" }),
        },
        dropout: 0.0,
        unknown: 0.0,
        initial: Initial::default(),
    };
    Ok((numbers("bilstm.widths")?, spec))
}

/// Lends every tensor of `layout` to a file, without its padding.
pub(crate) fn lend<'w>(
    layout: &'w Layout,
    weights: &'w SharedWeights,
) -> BTreeMap<String, LentTensor<'w>> {
    let lent = layout.ids().zip(layout.tensors()).map(|(id, tensor)| {
        let (rows, columns) = tensor.dim();
        let visit: Box<Visit<'w>> = match stride(tensor.shape) {
            None => Box::new(move |take| {
                let values: Vec<f32> = layout.export(weights, id).into_iter().collect();
                take(&values)
            }),
            Some(stride) => Box::new(move |take| {
                let mut part = Vec::new();
                for first in (0..rows).step_by(ROWS_AT_A_TIME) {
                    let n_rows = ROWS_AT_A_TIME.min(rows - first);
                    part.resize(n_rows * stride, 0.0);
                    weights.view(tensor.start + first * stride, part.len()).read_into(&mut part);
                    for row in 1..n_rows {
                        part.copy_within(row * stride..row * stride + columns, row * columns);
                    }
                    take(&part[..n_rows * columns])?;
                }
                Ok(())
            }),
        };
        (tensor.name.clone(), LentTensor { shape: vec![rows, columns], visit })
    });
    lent.collect()
}

/// Copies every tensor of `layout` out of a file. All are looked for before memory is taken for any.
pub(crate) fn import(layout: &Layout, file: &ModelFile) -> Result<SharedWeights, ModelFault> {
    let find = |tensor: &Tensor| {
        let (rows, columns) = tensor.dim();
        let found = file.tensors.get(&tensor.name);
        found.filter(|found| found.shape == [rows, columns]).ok_or_else(|| ModelFault::Shape {
            tensor: tensor.name.clone(),
            shape: vec![rows, columns],
            actual: found.map_or(0, |found| found.values.len()),
        })
    };
    let all = layout.tensors().iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let mut weights = SharedWeights::zeroed(layout.len());
    for ((id, tensor), found) in layout.ids().zip(layout.tensors()).zip(all) {
        let (_, columns) = tensor.dim();
        let Some(stride) = stride(tensor.shape) else {
            let mut matrix = layout.export(&weights, id);
            matrix.iter_mut().zip(&found.values).for_each(|(place, &value)| *place = value);
            layout.import(&mut weights, id, &matrix);
            continue;
        };
        let stored = weights.as_mut_slice()[tensor.start..].chunks_exact_mut(stride);
        for (stored, row) in stored.zip(found.values.chunks_exact(columns)) {
            stored[..columns].copy_from_slice(row);
        }
    }
    Ok(weights)
}

/// Returns the floats from one row to the next, where rows lie one after another.
fn stride(shape: Shape) -> Option<usize> {
    match shape {
        Shape::Rows { stride, .. } => Some(stride),
        Shape::Dense { columns, .. } => Some(columns),
        Shape::Panels { .. } => None,
    }
}
