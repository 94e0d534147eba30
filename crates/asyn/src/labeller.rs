//! Labelling sentences with a trained tagger.

use asyn_core::{Decode, Worker};
use asyn_data::{Corpus, EncodeScratch, Encoded, Sentence, TokenIds};
use asyn_models::{Constraints, Contribution, Crf, CrfWorkspace, Lattice, Marginals};

use crate::sequence_model::{Examples, SequenceModel, Workspace};
use crate::tagger::Tagger;

/// What is asked of a Bi-LSTM and has no answer there.
const NO_LATTICE: &str = "a CRF: a Bi-LSTM answers with labels alone";

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
    workspace: Workspace,
    scratch: EncodeScratch,
    encoded: Encoded,
    ids: TokenIds,
    labels: Vec<u16>,
    batch: Vec<Vec<u16>>,
    marginals: Marginals,
    confidences: Vec<f32>,
    lattice: Lattice,
}

impl<'t> Labeller<'t> {
    pub(crate) fn new(tagger: &'t Tagger) -> Self {
        let model = tagger.model();
        Self {
            tagger,
            worker: Worker::reader(model.layout(), tagger.weights()),
            workspace: model.workspace(),
            scratch: EncodeScratch::default(),
            encoded: Encoded::default(),
            ids: TokenIds::default(),
            labels: Vec::new(),
            batch: Vec::new(),
            marginals: Marginals::default(),
            confidences: Vec::new(),
            lattice: Lattice::default(),
        }
    }

    /// Returns whether more can be asked of the model than the most probable labels: whether it is a
    /// CRF.
    pub fn has_lattice(&self) -> bool {
        self.tagger.crf().is_some()
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
        let Self { tagger, worker, workspace, scratch, encoded, ids, labels, .. } = self;
        let encoder = tagger.encoder();
        match (tagger.model(), workspace) {
            (SequenceModel::Crf(crf), Workspace::Crf(workspace)) => {
                encoder.encode_sentence(sentence, scratch, encoded);
                crf.decode(worker, encoded, workspace, labels);
            }
            (SequenceModel::BiLstm(model, columns), Workspace::BiLstm(workspace)) => {
                columns.encode_sentence(encoder, sentence, (scratch, encoded), ids);
                model.decode(worker, ids, workspace, labels);
            }
            _ => unreachable!("the workspace is that of the model"),
        }
        labels
    }

    /// Returns the label ids of all sentences of a corpus, as [`label`](Self::label) of each; a
    /// Bi-LSTM labels sentences of similar length together, which is several times as fast.
    ///
    /// # Panics
    ///
    /// As [`label`](Self::label).
    pub fn label_all(&mut self, corpus: &Corpus) -> &[Vec<u16>] {
        if self.has_lattice() {
            self.batch.resize_with(corpus.n_sentences(), Vec::new);
            for (at, sentence) in corpus.sentences().enumerate() {
                self.label(&sentence);
                self.batch[at].clone_from(&self.labels);
            }
            return &self.batch;
        }
        let Self { tagger, worker, workspace, scratch, encoded, batch, .. } = self;
        let (_, columns) = tagger.model().bilstm().expect("it is no CRF");
        let encode = |sentence: Sentence<'_>| {
            let mut ids = TokenIds::default();
            columns.encode_sentence(tagger.encoder(), &sentence, (scratch, encoded), &mut ids);
            ids
        };
        let examples = Examples::Ids(corpus.sentences().map(encode).collect());
        tagger.model().label(worker, &examples, 0..examples.len(), workspace, batch);
        batch
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
        let (crf, workspace) = parts(tagger, workspace);
        crf.marginals(worker, encoded, constraints, workspace, marginals);
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
    /// As [`label`](Self::label), if the model is no CRF, and if the constraints are for another number of labels or tokens.
    pub fn label_within(
        &mut self,
        sentence: &Sentence<'_>,
        constraints: Constraints<'_>,
    ) -> Option<&[u16]> {
        let Self { tagger, worker, workspace, scratch, encoded, labels, .. } = self;
        tagger.encoder().encode_sentence(sentence, scratch, encoded);
        let (crf, workspace) = parts(tagger, workspace);
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
        let (crf, workspace) = parts(tagger, workspace);
        crf.lattice(worker, encoded, constraints, workspace, lattice);
        lattice
    }

    /// Returns for each token the weights that `labels` have there, the largest in size first; all
    /// together they sum to the score of the labels.
    ///
    /// # Panics
    ///
    /// As [`label`](Self::label), if the model is no CRF, and if there are not as many labels as tokens.
    pub fn explain(&mut self, sentence: &Sentence<'_>, labels: &[u16]) -> Vec<Vec<Contribution>> {
        let Self { tagger, worker, workspace, scratch, encoded, .. } = self;
        tagger.encoder().encode_sentence(sentence, scratch, encoded);
        let (crf, workspace) = parts(tagger, workspace);
        let tokens = 0..encoded.n_tokens();
        tokens.map(|token| crf.explain(worker, encoded, labels, token, workspace)).collect()
    }
}

/// Returns the CRF of a tagger, and the memory for it.
fn parts<'a>(tagger: &'a Tagger, workspace: &'a mut Workspace) -> (&'a Crf, &'a mut CrfWorkspace) {
    match (tagger.crf(), workspace) {
        (Some(crf), Workspace::Crf(workspace)) => (crf, workspace),
        _ => panic!("{NO_LATTICE}"),
    }
}
