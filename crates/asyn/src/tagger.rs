//! A dense-CRF together with the encoder that its numbers belong to.
//!
//! | Part of the model file | Content                                                  |
//! | ---------------------- | -------------------------------------------------------- |
//! | `node`, `edge`, `rich` | the tensors of the CRF, row-major, without padding       |
//! | `encoder.*`            | the encoder, as `asyn-data` writes it                    |
//! | string map             | whatever the caller wants to say about the model         |
//!
//! Nothing is stored twice: the shape of the model follows from the encoder.

use std::collections::BTreeMap;
use std::path::Path;

use asyn_core::theory::Minimum;
use asyn_core::{
    BatchTrainer, Checkpoint, Layout, Model, Observer, Outcome, Shape, SharedWeights, Strategy,
    Trainer, Update,
};
use asyn_data::{Encoded, Encoder, Imported, ModelFault, ModelFile, Renumbering, Tensor};
use asyn_models::{Crf, CrfShape, Pieces};

use crate::error::Result;
use crate::labeller::Labeller;

/// The kind of model file that holds a [`Tagger`].
pub const KIND: &str = "crf";

/// How many rows are copied at a time between weights and files.
const ROWS_AT_A_TIME: usize = 256;

/// A dense-CRF, its weights, and the encoder that gave its attributes and labels their numbers.
#[derive(Debug)]
pub struct Tagger {
    encoder: Encoder,
    crf: Crf,
    weights: SharedWeights,
}

impl Tagger {
    /// Makes a tagger whose weights are those that training starts from.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if there are too many labels.
    pub fn untrained(encoder: Encoder) -> Result<Self> {
        let crf = Crf::new(Self::shape_of(&encoder))?.with_grammar(encoder.grammar());
        let weights = SharedWeights::zeroed(crf.layout().len());
        Ok(Self { encoder, crf, weights })
    }

    /// Returns how large the model of an encoder is.
    pub fn shape_of(encoder: &Encoder) -> CrfShape {
        CrfShape {
            n_labels: encoder.labels().len(),
            n_attributes: encoder.n_attributes(),
            n_rich: encoder.n_rich(),
            transitions: encoder.has_transitions(),
        }
    }

    /// Makes a tagger that knows what `before` knows: `encoder` joins an encoder of new data with
    /// that of `before`, as `places` says. The weights of `before` are kept, new ones are 0.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if there are too many labels.
    pub fn continuing(encoder: Encoder, before: &Self, places: &Renumbering) -> Result<Self> {
        let mut tagger = Self::untrained(encoder)?;
        let labels = |label: usize| usize::from(places.other_labels[label]);
        let attributes = |id: usize| places.other_attributes[id] as usize;
        tagger.copy_weights(before, attributes, labels);
        Ok(tagger)
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
        let layout = tagger.crf.layout();
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

    /// Drops the attributes whose weights, rich edges included, have absolute values that sum to
    /// at most `least`, with tables built by `threads` threads; returns how many they are.
    ///
    /// No score of a token changes by more than `least` for each of its attributes.
    ///
    /// # Panics
    ///
    /// If the model has more than 2³² attributes.
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
        for tensor in self.crf.layout().tensors().iter().filter(rows) {
            row.resize(tensor.dim().1, 0.0);
            let start = tensor.start + id as usize * stride(tensor.shape);
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
        for id in other.crf.layout().ids() {
            let from = other.crf.layout().export(&other.weights, id);
            let name = &other.crf.layout().tensor(id).name;
            let Some(to) =
                self.crf.layout().ids().find(|&id| self.crf.layout().tensor(id).name == *name)
            else {
                continue;
            };
            let mut into = self.crf.layout().export(&self.weights, to);
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
            self.crf.layout().import(&mut self.weights, to, &into);
        }
    }

    /// Cuts sentences for training: structure regularisation. Labelling never cuts.
    #[must_use]
    pub fn with_pieces(self, pieces: Pieces) -> Self {
        Self { crf: self.crf.with_pieces(pieces), ..self }
    }

    /// Trains on examples of this tagger's encoder.
    ///
    /// # Errors
    ///
    /// [`Error::Training`](crate::Error::Training), as [`Trainer::fit`].
    ///
    /// # Panics
    ///
    /// Propagates the panic of a worker.
    pub fn fit<S: Strategy, U: Update>(
        &mut self,
        trainer: &Trainer<S, U>,
        examples: &[Encoded],
        observer: &mut impl Observer,
    ) -> Result<Outcome> {
        Ok(trainer.fit(&self.crf, examples, &mut self.weights, observer)?)
    }

    /// Goes on from a checkpoint of a run with the same examples and settings.
    ///
    /// # Errors
    ///
    /// [`Error::Training`](crate::Error::Training), as [`Trainer::resume`].
    ///
    /// # Panics
    ///
    /// Propagates the panic of a worker.
    pub fn resume<S: Strategy, U: Update>(
        &mut self,
        trainer: &Trainer<S, U>,
        examples: &[Encoded],
        checkpoint: &Checkpoint,
        observer: &mut impl Observer,
    ) -> Result<Outcome> {
        Ok(trainer.resume(&self.crf, examples, &mut self.weights, checkpoint, observer)?)
    }

    /// Trains by L-BFGS on examples of this tagger's encoder, or goes on from a checkpoint.
    ///
    /// # Errors
    ///
    /// [`Error::Training`](crate::Error::Training), as [`BatchTrainer::fit`].
    ///
    /// # Panics
    ///
    /// Propagates the panic of a thread.
    pub fn fit_batch(
        &mut self,
        trainer: &BatchTrainer,
        examples: &[Encoded],
        checkpoint: Option<&Checkpoint>,
        observer: &mut impl Observer,
    ) -> Result<(Outcome, Minimum)> {
        Ok(trainer.fit(&self.crf, examples, &mut self.weights, checkpoint, observer)?)
    }

    /// Returns the encoder.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Returns the model.
    pub fn crf(&self) -> &Crf {
        &self.crf
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
    /// `about` goes into the file as strings, under keys that do not begin with `asyn.` or `encoder.`.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data), as [`ModelFile::save`].
    pub fn save(&self, path: impl AsRef<Path>, about: BTreeMap<String, String>) -> Result<()> {
        Ok(self.to_file(about).save(path)?)
    }

    fn to_file(&self, about: BTreeMap<String, String>) -> ModelFile {
        let mut file = ModelFile::new(KIND);
        file.metadata = about;
        self.encoder.to_tensors(&mut file);
        export(self.crf.layout(), &self.weights, &mut file);
        file
    }

    /// Writes as [`Tagger::save`] does, with weights in 16 bits: a file of about half the size.
    ///
    /// # Errors
    ///
    /// As [`Tagger::save`], also if a weight is 65,520 or more.
    pub fn save_f16(&self, path: impl AsRef<Path>, about: BTreeMap<String, String>) -> Result<()> {
        let mut file = self.to_file(about);
        file.half = true;
        Ok(file.save(path)?)
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
        let mut file = ModelFile::load(path, KIND)?;
        let encoder = Encoder::from_tensors(&file, threads)?;
        let mut tagger = Self::untrained(encoder)?;
        import(tagger.crf.layout(), &mut tagger.weights, &file)
            .map_err(|fault| asyn_data::Error::Model { name: path.display().to_string(), fault })?;
        file.metadata.retain(|key, _| !key.starts_with("encoder."));
        Ok((tagger, file.metadata))
    }
}

/// Copies every tensor of `layout` into a file, without its padding.
fn export(layout: &Layout, weights: &SharedWeights, file: &mut ModelFile) {
    let mut part = Vec::new();
    for tensor in layout.tensors() {
        let (rows, columns) = tensor.dim();
        let stride = stride(tensor.shape);
        let mut values = Vec::with_capacity(rows * columns);
        for first in (0..rows).step_by(ROWS_AT_A_TIME) {
            let n_rows = ROWS_AT_A_TIME.min(rows - first);
            part.resize(n_rows * stride, 0.0);
            weights.view(tensor.start + first * stride, part.len()).read_into(&mut part);
            for row in part.chunks_exact(stride) {
                values.extend_from_slice(&row[..columns]);
            }
        }
        file.tensors.insert(tensor.name.clone(), Tensor::new(&[rows, columns], values));
    }
}

/// Copies every tensor of `layout` out of a file.
fn import(
    layout: &Layout,
    weights: &mut SharedWeights,
    file: &ModelFile,
) -> Result<(), ModelFault> {
    let weights = weights.as_mut_slice();
    for tensor in layout.tensors() {
        let (rows, columns) = tensor.dim();
        let found = file.tensors.get(&tensor.name).filter(|found| found.shape == [rows, columns]);
        let found = found.ok_or_else(|| ModelFault::Shape {
            tensor: tensor.name.clone(),
            shape: vec![rows, columns],
            actual: file.tensors.get(&tensor.name).map_or(0, |found| found.values.len()),
        })?;
        let stored = weights[tensor.start..].chunks_exact_mut(stride(tensor.shape));
        for (stored, row) in stored.zip(found.values.chunks_exact(columns)) {
            stored[..columns].copy_from_slice(row);
        }
    }
    Ok(())
}

/// Returns the floats from one row to the next.
fn stride(shape: Shape) -> usize {
    match shape {
        Shape::Rows { stride, .. } => stride,
        Shape::Dense { columns, .. } => columns,
        Shape::Panels { .. } => unreachable!("a CRF has no panels"),
    }
}
