//! A hidden Markov model with the words that it knows, and its model file.
//!
//! | Part of the model file | Content                                              |
//! | ---------------------- | ---------------------------------------------------- |
//! | `words`                | the words, one a line                                |
//! | `emissions`, …         | the expected counts, row-major, without padding      |
//! | string map             | whatever the caller wants to say about the model     |

use std::collections::BTreeMap;
use std::path::Path;

use asyn_core::{
    Decode, Model, Observer, Outcome, SharedWeights, Strategy, Trainer, Update, Worker,
};
use asyn_data::{Corpus, ModelFault, ModelFile, Words};
use asyn_models::Hmm;

use crate::error::Result;
use crate::tagger::{import, lend};

/// The kind of model file that holds a [`StateTagger`].
pub const HMM_KIND: &str = "hmm";

/// A model that gives each word of a sentence a state, found without labels.
///
/// ```
/// use asyn::StateTagger;
/// use asyn::core::{StepwiseEm, Trainer};
/// use asyn::data::planted;
///
/// let corpus = planted::chunking(100, 17).corpus();
/// let mut tagger = StateTagger::untrained(&corpus, 10, 1)?;
/// let update = StepwiseEm { multinomials: tagger.hmm().multinomials(), ..Default::default() };
/// let trainer = Trainer::builder().update(update).accumulate(4).passes(2).build()?;
/// let sentences = tagger.encode(&corpus);
/// tagger.fit(&trainer, &sentences, &mut ())?;
/// assert_eq!(tagger.states(&sentences[..1])[0].len(), corpus.sentence(0).len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StateTagger {
    words: Words,
    hmm: Hmm,
    weights: SharedWeights,
}

impl StateTagger {
    /// Makes a tagger of the words in the first column of a corpus, with so many states, whose counts
    /// are those that training with `seed` starts from.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if there are no states, or too many.
    pub fn untrained(corpus: &Corpus, n_states: usize, seed: u64) -> Result<Self> {
        let sentences = corpus.sentences();
        let words =
            Words::new(sentences.flat_map(|sentence| {
                (0..sentence.len()).map(move |token| sentence.column(token, 0))
            }));
        let hmm = Hmm::new(n_states, words.len())?;
        let weights = hmm.initial_weights(seed);
        Ok(Self { words, hmm, weights })
    }

    /// Returns the words in the first column as numbers; a word that the tagger does not know is one
    /// that no word has.
    pub fn encode(&self, corpus: &Corpus) -> Vec<Box<[u32]>> {
        let number = |word: &str| self.words.find(word).unwrap_or(u32::MAX);
        corpus
            .sentences()
            .map(|sentence| {
                (0..sentence.len()).map(|token| number(sentence.column(token, 0))).collect()
            })
            .collect()
    }

    /// Trains on encoded sentences of known words.
    ///
    /// # Errors
    ///
    /// [`Error::Training`](crate::Error::Training), as [`Trainer::fit`].
    ///
    /// # Panics
    ///
    /// Propagates the panic of a worker, and panics over a word that is not known.
    pub fn fit<S: Strategy, U: Update>(
        &mut self,
        trainer: &Trainer<S, U>,
        sentences: &[Box<[u32]>],
        observer: &mut impl Observer,
    ) -> Result<Outcome> {
        Ok(trainer.fit(&self.hmm, sentences, &mut self.weights, observer)?)
    }

    /// Returns the most probable state of each word.
    pub fn states(&self, sentences: &[Box<[u32]>]) -> Vec<Vec<u16>> {
        let worker = Worker::reader(self.hmm.layout(), &self.weights);
        let mut workspace = self.hmm.workspace();
        let decode = |words| {
            let mut states = Vec::new();
            self.hmm.decode(&worker, words, &mut workspace, &mut states);
            states
        };
        sentences.iter().map(decode).collect()
    }

    /// Returns the model.
    pub fn hmm(&self) -> &Hmm {
        &self.hmm
    }

    /// Writes a model file; what was at `path` stays there until everything is written.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data), as [`ModelFile::save`].
    pub fn save(&self, path: impl AsRef<Path>, about: BTreeMap<String, String>) -> Result<()> {
        let mut file = ModelFile::new(HMM_KIND);
        file.metadata = about;
        file.blobs.insert("words".to_owned(), self.words.to_lines());
        Ok(file.save_with(path, &lend(self.hmm.layout(), &self.weights))?)
    }

    /// Reads a model file.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if the file cannot be read, is damaged, or holds another
    /// kind of model.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let name = path.as_ref().display().to_string();
        let file = ModelFile::load(path, HMM_KIND)?;
        let fault = |fault| asyn_data::Error::Model { name: name.clone(), fault };
        let words = file.blobs.get("words").and_then(|bytes| Words::from_lines(bytes));
        let words = words.ok_or(fault(ModelFault::Missing { name: "the words" }))?;
        let n_states = file.tensors.get("totals").map_or(0, |totals| totals.values.len());
        let hmm = Hmm::new(n_states, words.len())?;
        let weights = import(hmm.layout(), &file).map_err(fault)?;
        Ok(Self { words, hmm, weights })
    }
}
