//! Corpora whose best possible score is known, because their model is known.
//!
//! [`chunking`] writes `word tag chunk` lines of a made-up language that is
//! about as hard as the CoNLL-2000 chunking task. It is a hidden Markov model:
//!
//! ```text
//! P(words, tags, chunks) = Π_t P(s_t | s_{t-1}) · P(w_t | s_t)       s_t = (chunk label, tag)
//! ```
//!
//! The tag of a state is written in the second column, so what is hidden is the
//! chunk label. A state either goes on inside of its chunk or ends it and
//! begins another; which words a state likes is in the lexicon. The number of
//! tokens of a sentence is 2 more than a negative binomial number (4 successes
//! of probability 5/32), so a sentence has 23.6 on average; the last token is
//! a full stop.
//!
//! Given words and tags the chunk labels are a linear chain, so the Viterbi
//! algorithm with the true parameters finds the most probable labels, and their
//! score is what a learner can hope for. Up to the words' preferences, the
//! model is a conditional random field with edge features on pairs of tags.
//!
//! Drawing is integer arithmetic: a seed gives the same bytes on every machine.
//! The language itself does not depend on the seed, so corpora of different
//! seeds can be trained and tested on.

mod grammar;
mod language;
mod lexicon;

use crate::conlleval::{Counts, Score};
use crate::corpus::{Corpus, Sentence};
use crate::random::Random;
use crate::reader::read_columns;
use grammar::Grammar;
use language::Language;

/// A corpus of a planted language.
///
/// ```
/// let train = asyn_data::planted::chunking(40, 1);
/// assert_eq!(train.corpus().n_sentences(), 40);
/// assert_eq!(train.text(), asyn_data::planted::chunking(40, 1).text());
/// let best = train.best_score(&train.corpus());
/// assert!(best.f1() > 90.0);
/// ```
#[derive(Debug, Clone)]
pub struct Planted {
    language: Language,
    text: String,
}

/// Writes `n_sentences` sentences of the chunking language.
#[allow(clippy::missing_panics_doc, reason = "the grammar is a constant, and tests parse it")]
pub fn chunking(n_sentences: usize, seed: u64) -> Planted {
    let grammar = Grammar::parse(include_str!("chunking.grammar"));
    let language = Language::new(&grammar.expect("the grammar can be parsed"));
    let mut random = Random::new(seed);
    let mut text = String::new();
    for _ in 0..n_sentences {
        language.write_sentence(&mut random, &mut text);
    }
    Planted { language, text }
}

impl Planted {
    /// Returns the text of the corpus, in columns.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the corpus.
    ///
    /// # Panics
    ///
    /// If it was made with no sentences.
    pub fn corpus(&self) -> Corpus {
        read_columns("planted", self.text.as_bytes()).expect("a planted corpus has a sentence")
    }

    /// Returns the most probable labels of a sentence, under the model that wrote the corpus.
    ///
    /// Words and tags that the language does not have say nothing.
    ///
    /// # Panics
    ///
    /// If the sentence has fewer than two columns.
    pub fn best_labels(&self, sentence: &Sentence<'_>) -> Vec<&str> {
        self.language.decode(sentence)
    }

    /// Returns the score of the most probable labels on a corpus of the language.
    ///
    /// # Panics
    ///
    /// If the corpus has fewer than three columns.
    pub fn best_score(&self, corpus: &Corpus) -> Score {
        assert!(corpus.n_columns() >= 3, "word, tag and label, not {}", corpus.n_columns());
        let mut counts = Counts::default();
        for sentence in corpus.sentences() {
            counts.add(sentence.labels(), self.best_labels(&sentence));
        }
        counts.score()
    }
}
