//! The models that label the tokens of a sentence, and sentences encoded for them.

use std::ops::Range;

use asyn_core::{Decode, Layout, Model, SharedWeights, Worker};
use asyn_data::{ColumnSize, Corpus, Encoded, Encoder, Error, Grammar, TokenEncoder, TokenIds};
use asyn_models::{
    BiLstm, BiLstmSpec, BiLstmWorkspace, Characters, Column, Crf, CrfShape, CrfWorkspace,
};

use crate::error::Result;

/// What the examples of another model are answered with.
pub(crate) const MISMATCH: &str = "examples of this model";

/// A model that labels tokens.
///
/// ```
/// use asyn::core::{Adam, AsynGrad, Schedule, Trainer};
/// use asyn::data::{Encoder, Template, TokenEncoder, VocabularyOptions, planted};
/// use asyn::models::{BiLstmSpec, Initial, OutputLayer};
/// use asyn::{Examples, HeldOut, SequenceModel, Tagger};
///
/// let corpus = planted::chunking(60, 17).corpus();
/// let template = Template::builtin("words-tags").expect("it comes with the crate");
/// let (encoder, _) = Encoder::build(&corpus, template, &VocabularyOptions::default())?;
/// let columns = TokenEncoder::new(&encoder, &corpus, false);
/// // Columns, characters and labels have their numbers from the encoder.
/// let spec = BiLstmSpec {
///     columns: Vec::new(),
///     characters: None,
///     hidden: 16,
///     layers: 1,
///     labels: 0,
///     output: OutputLayer::Softmax,
///     dropout: 0.0,
///     unknown: 0.5,
///     initial: Initial::Orthogonal,
/// };
/// let model = SequenceModel::bilstm_of(&encoder, columns, &[16, 8, 8], spec)?;
/// let examples = model.encode(&encoder, &corpus, 2)?;
/// let mut tagger = Tagger::new(encoder, model, 1);
///
/// let adam = Adam { schedule: Schedule::Constant { rate: 0.01 }, ..Adam::default() };
/// let trainer = Trainer::builder().strategy(AsynGrad).update(adam).threads(2).passes(5).build()?;
/// let Examples::Ids(sentences) = examples else { unreachable!("a Bi-LSTM reads ids") };
/// tagger.fit(&trainer, &sentences, &mut ())?;
/// let held_out = HeldOut::new(tagger.encoder(), tagger.model(), &corpus, 2)?;
/// assert!(held_out.score(tagger.model(), tagger.weights(), 2).f1() > 50.0);
/// assert_eq!(tagger.labeller().label_all(&corpus).len(), 60);
/// # Ok::<(), asyn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub enum SequenceModel {
    /// A linear-chain conditional random field over attributes.
    Crf(Crf),
    /// A bidirectional LSTM, and the columns whose vectors it reads.
    BiLstm(Box<BiLstm>, TokenEncoder),
}

/// Sentences, encoded for a [`SequenceModel`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Examples {
    /// The attributes of each token, for a CRF.
    Attributes(Vec<Encoded>),
    /// The ids of each token, for a Bi-LSTM.
    Ids(Vec<TokenIds>),
}

/// The scratch memory of one thread that labels.
#[derive(Debug)]
pub(crate) enum Workspace {
    Crf(Box<CrfWorkspace>),
    BiLstm(Box<BiLstmWorkspace>),
}

impl SequenceModel {
    /// Makes the CRF of an encoder.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if there are too many labels.
    pub fn crf_of(encoder: &Encoder) -> Result<Self> {
        Ok(Self::Crf(Crf::new(shape_of(encoder))?.with_grammar(encoder.grammar())))
    }

    /// Makes the Bi-LSTM of an encoder and its columns, whose vectors have the lengths `widths`;
    /// the columns, characters and labels of `spec` have their numbers from the encoder.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if a number of `spec` is out of range, or if there are
    /// not as many widths as columns.
    pub fn bilstm_of(
        encoder: &Encoder,
        columns: TokenEncoder,
        widths: &[usize],
        spec: BiLstmSpec,
    ) -> Result<Self> {
        if widths.len() != columns.columns().len() {
            return Err(asyn_models::Error::Widths {
                columns: columns.columns().len(),
                actual: widths.len(),
            }
            .into());
        }
        let column = |(size, &width): (ColumnSize, &usize)| Column {
            rows: size.n_ids as usize,
            width,
            first_rare: size.first_rare,
        };
        let n_characters = columns.n_characters().unwrap_or(0);
        let spec = BiLstmSpec {
            columns: columns.columns().zip(widths).map(column).collect(),
            characters: spec.characters.map(|it| Characters { rows: n_characters, ..it }),
            labels: encoder.labels().len(),
            ..spec
        };
        let model = BiLstm::new(&spec)?.with_grammar(encoder.grammar());
        Ok(Self::BiLstm(Box::new(model), columns))
    }

    /// Labels with sequences that a grammar allows, where it allows one, in place of those of the
    /// tag scheme of the encoder.
    ///
    /// # Panics
    ///
    /// If the grammar is one of another number of labels.
    #[must_use]
    pub fn with_grammar(self, grammar: Option<Grammar>) -> Self {
        match self {
            Self::Crf(crf) => Self::Crf(crf.with_grammar(grammar)),
            Self::BiLstm(model, columns) => {
                Self::BiLstm(Box::new(model.with_grammar(grammar)), columns)
            }
        }
    }

    /// Returns the kind of the model, as its file calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Crf(_) => crate::KIND,
            Self::BiLstm(..) => crate::BILSTM_KIND,
        }
    }

    /// Returns the CRF, if it is one.
    pub fn crf(&self) -> Option<&Crf> {
        match self {
            Self::Crf(crf) => Some(crf),
            Self::BiLstm(..) => None,
        }
    }

    /// Returns the Bi-LSTM and its columns, if it is one.
    pub fn bilstm(&self) -> Option<(&BiLstm, &TokenEncoder)> {
        match self {
            Self::Crf(_) => None,
            Self::BiLstm(model, columns) => Some((model, columns)),
        }
    }

    /// Returns the places of the weights.
    pub fn layout(&self) -> &Layout {
        match self {
            Self::Crf(crf) => crf.layout(),
            Self::BiLstm(model, _) => model.layout(),
        }
    }

    /// Returns the weights that training starts from.
    pub fn initial_weights(&self, seed: u64) -> SharedWeights {
        match self {
            Self::Crf(crf) => crf.initial_weights(seed),
            Self::BiLstm(model, _) => model.initial_weights(seed),
        }
    }

    /// Encodes a corpus with labels for this model, whose encoder it is, on `threads` threads.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if the corpus has other columns than the training corpus.
    pub fn encode(&self, encoder: &Encoder, corpus: &Corpus, threads: usize) -> Result<Examples> {
        match self {
            Self::Crf(_) => Ok(Examples::Attributes(encoder.encode(corpus, threads)?.sentences)),
            Self::BiLstm(_, columns) => {
                if corpus.n_columns() != encoder.n_columns() {
                    let name = corpus.name().to_owned();
                    let (expected, actual) = (encoder.n_columns(), corpus.n_columns());
                    return Err(Error::Columns { name, expected, actual }.into());
                }
                Ok(Examples::Ids(columns.encode(encoder, corpus, threads)))
            }
        }
    }

    pub(crate) fn workspace(&self) -> Workspace {
        match self {
            Self::Crf(crf) => Workspace::Crf(Box::new(crf.workspace())),
            Self::BiLstm(model, _) => Workspace::BiLstm(Box::new(model.workspace())),
        }
    }

    /// Labels the examples of a range, each into its own list of `out`.
    pub(crate) fn label(
        &self,
        worker: &Worker<'_>,
        examples: &Examples,
        range: Range<usize>,
        workspace: &mut Workspace,
        out: &mut Vec<Vec<u16>>,
    ) {
        match (self, examples, workspace) {
            (Self::Crf(crf), Examples::Attributes(sentences), Workspace::Crf(workspace)) => {
                out.resize_with(range.len(), Vec::new);
                for (sentence, labels) in sentences[range].iter().zip(out) {
                    crf.decode(worker, sentence, workspace, labels);
                }
            }
            (Self::BiLstm(model, _), Examples::Ids(sentences), Workspace::BiLstm(workspace)) => {
                model.label(worker, &sentences[range], workspace, out);
            }
            _ => panic!("{MISMATCH}"),
        }
    }
}

impl Examples {
    /// Returns the number of sentences.
    pub fn len(&self) -> usize {
        match self {
            Self::Attributes(sentences) => sentences.len(),
            Self::Ids(sentences) => sentences.len(),
        }
    }

    /// Returns true if there is no sentence.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A sentence, encoded for one kind of model.
pub trait SequenceExample: Sized + Sync {
    /// The kind of model.
    type Model: Model<Example = Self>;

    /// Returns the model, if it is of this kind.
    fn model(model: &SequenceModel) -> Option<&Self::Model>;

    /// Returns the sentences, if they are of this kind.
    fn slice(examples: &Examples) -> Option<&[Self]>;
}

impl SequenceExample for Encoded {
    type Model = Crf;

    fn model(model: &SequenceModel) -> Option<&Crf> {
        model.crf()
    }

    fn slice(examples: &Examples) -> Option<&[Self]> {
        match examples {
            Examples::Attributes(sentences) => Some(sentences),
            Examples::Ids(_) => None,
        }
    }
}

impl SequenceExample for TokenIds {
    type Model = BiLstm;

    fn model(model: &SequenceModel) -> Option<&BiLstm> {
        model.bilstm().map(|(model, _)| model)
    }

    fn slice(examples: &Examples) -> Option<&[Self]> {
        match examples {
            Examples::Attributes(_) => None,
            Examples::Ids(sentences) => Some(sentences),
        }
    }
}

/// Returns how large the CRF of an encoder is.
pub(crate) fn shape_of(encoder: &Encoder) -> CrfShape {
    CrfShape {
        n_labels: encoder.labels().len(),
        n_attributes: encoder.n_attributes(),
        n_rich: encoder.n_rich(),
        transitions: encoder.has_transitions(),
    }
}
