//! Labelling sentences with a trained tagger.

use asyn_core::{Decode, Model, Worker};
use asyn_data::{EncodeScratch, Encoded, Sentence};
use asyn_models::{Constraints, Contribution, CrfWorkspace, Lattice, Marginals};

use crate::tagger::Tagger;

/// One thread's memory for labelling with a [`Tagger`]; nothing is allocated once it has met a
/// sentence of some length.
///
/// ```
/// # use asyn::Tagger;
/// # use asyn::data::{Encoder, Template, VocabularyOptions, read_columns};
/// let corpus = read_columns("example", "He PRP B-NP\nran VBD B-VP\n".as_bytes())?;
/// # let template = Template::builtin("chunking").expect("it comes with the crate");
/// # let (encoder, _) = Encoder::build(&corpus, template, &VocabularyOptions::default())?;
/// # let tagger = Tagger::untrained(encoder)?;
/// let mut labeller = tagger.labeller();
/// for sentence in corpus.sentences() {
///     let labels = labeller.label(&sentence);
///     assert_eq!(labels.len(), sentence.len());
/// }
/// # Ok::<(), asyn::Error>(())
/// ```
#[derive(Debug)]
pub struct Labeller<'t> {
    tagger: &'t Tagger,
    worker: Worker<'t>,
    workspace: CrfWorkspace,
    scratch: EncodeScratch,
    encoded: Encoded,
    labels: Vec<u16>,
    marginals: Marginals,
    confidences: Vec<f32>,
    lattice: Lattice,
}

impl<'t> Labeller<'t> {
    pub(crate) fn new(tagger: &'t Tagger) -> Self {
        let crf = tagger.crf();
        Self {
            tagger,
            worker: Worker::reader(crf.layout(), tagger.weights()),
            workspace: crf.workspace(),
            scratch: EncodeScratch::default(),
            encoded: Encoded::default(),
            labels: Vec::new(),
            marginals: Marginals::default(),
            confidences: Vec::new(),
            lattice: Lattice::default(),
        }
    }

    /// Returns the label ids of the most probable labels of a sentence, of those sequences that the
    /// tag scheme of the model allows, where it has one.
    ///
    /// [`Encoder::spell`](asyn_data::Encoder::spell) says how they are written, where a model learned
    /// other labels than its files have.
    ///
    /// # Panics
    ///
    /// If [`check_columns`](asyn_data::Encoder::check_columns) refuses the sentence's corpus.
    pub fn label(&mut self, sentence: &Sentence<'_>) -> &[u16] {
        let Self { tagger, worker, workspace, scratch, encoded, labels, .. } = self;
        tagger.encoder().encode_sentence(sentence, scratch, encoded);
        tagger.crf().decode(worker, encoded, workspace, labels);
        labels
    }

    /// Returns the same as [`label_within`](Self::label_within), and for each token the marginal
    /// probability of its label among the sequences that are allowed.
    ///
    /// # Panics
    ///
    /// As [`label_within`](Self::label_within).
    pub fn label_with_confidence(
        &mut self,
        sentence: &Sentence<'_>,
        constraints: Constraints<'_>,
    ) -> Option<(&[u16], &[f32])> {
        self.label_within(sentence, constraints)?;
        let Self { tagger, worker, workspace, encoded, labels, marginals, confidences, .. } = self;
        tagger.crf().marginals(worker, encoded, constraints, workspace, marginals);
        let n_labels = tagger.encoder().labels().len();
        confidences.clear();
        let tokens = marginals.labels.chunks_exact(n_labels).zip(&*labels);
        confidences.extend(tokens.map(|(token, &label)| token[usize::from(label)]));
        Some((labels, confidences))
    }

    /// Returns the label ids of the most probable labels that `constraints` allow, or nothing where
    /// they allow none.
    ///
    /// # Panics
    ///
    /// As [`label`](Self::label), and if the constraints are for another number of labels or tokens.
    pub fn label_within(
        &mut self,
        sentence: &Sentence<'_>,
        constraints: Constraints<'_>,
    ) -> Option<&[u16]> {
        let Self { tagger, worker, workspace, scratch, encoded, labels, .. } = self;
        tagger.encoder().encode_sentence(sentence, scratch, encoded);
        let crf = tagger.crf();
        crf.decode_within(worker, encoded, constraints, workspace, labels).then_some(&**labels)
    }

    /// Returns all label sequences that `constraints` allow, for n-best lists and for the
    /// probabilities of labels and spans.
    ///
    /// # Panics
    ///
    /// As [`label_within`](Self::label_within).
    pub fn lattice(&mut self, sentence: &Sentence<'_>, constraints: Constraints<'_>) -> &Lattice {
        let Self { tagger, worker, workspace, scratch, encoded, lattice, .. } = self;
        tagger.encoder().encode_sentence(sentence, scratch, encoded);
        tagger.crf().lattice(worker, encoded, constraints, workspace, lattice);
        lattice
    }

    /// Returns for each token the weights that `labels` have there, the largest in size first; all
    /// together they sum to the score of the labels.
    ///
    /// # Panics
    ///
    /// As [`label`](Self::label), and if there are not as many labels as tokens.
    pub fn explain(&mut self, sentence: &Sentence<'_>, labels: &[u16]) -> Vec<Vec<Contribution>> {
        let Self { tagger, worker, workspace, scratch, encoded, .. } = self;
        tagger.encoder().encode_sentence(sentence, scratch, encoded);
        let tokens = 0..encoded.n_tokens();
        tokens
            .map(|token| tagger.crf().explain(worker, encoded, labels, token, workspace))
            .collect()
    }
}
