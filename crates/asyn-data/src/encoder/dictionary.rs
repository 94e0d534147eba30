//! The words that the macros `%word` and `%known` look up.
//!
//! A word is the text of one chunk of the training labels, its cells of column
//! 0 joined: with labels for segmentation a word, with others a phrase or a
//! name. The words
//! of a sentence are in the dictionary while a model is trained on it and need
//! not be when it is used; so only words that occur more than twice are kept
//! (Sun, Wang and Li, ACL 2012, section 5). A user may add words, without that
//! gate.

use crate::corpus::{Corpus, Sentence};
use crate::spans::{Span, spans};
use crate::strings::{NONE, Strings};

/// How often a chunk must occur to be a word: more than twice.
const MIN_FREQ: u32 = 3;

/// Words to look up.
#[derive(Debug, Clone, Default)]
pub(super) struct Dictionary {
    pub(super) words: Strings,
}

/// The tokens of a sentence as one text in which stretches of tokens can be read.
#[derive(Debug, Clone, Default)]
pub(super) struct Joined {
    text: String,
    /// `n_tokens + 1` places in `text`.
    starts: Vec<usize>,
}

impl Dictionary {
    /// Collects the words of the training labels and those of `lexicon`, one a line.
    pub(super) fn new(corpus: &Corpus, lexicon: &str) -> Self {
        let mut chunks = Strings::default();
        let mut counts: Vec<u32> = Vec::new();
        let mut joined = Joined::default();
        for sentence in corpus.sentences() {
            joined.fill_with(&sentence);
            for Span { start, end, .. } in spans(sentence.labels()) {
                let id = chunks.intern(&joined.text[joined.starts[start]..joined.starts[end]]);
                counts.resize(chunks.len(), 0);
                counts[id as usize] += 1;
            }
        }
        let frequent = chunks.iter().zip(&counts).filter(|&(_, &count)| count >= MIN_FREQ);
        let mut words: Strings = frequent.map(|(chunk, _)| chunk).collect();
        let mut word = String::new();
        for line in lexicon.lines() {
            word.clear();
            word.extend(line.split_whitespace());
            if !word.is_empty() {
                words.intern(&word);
            }
        }
        Self { words }
    }

    /// Returns the text of `length` tokens from `token` on, where it is a word.
    pub(super) fn word<'a>(
        &self,
        joined: &'a Joined,
        token: usize,
        length: usize,
    ) -> Option<&'a str> {
        let end = *joined.starts.get(token + length)?;
        let text = &joined.text[joined.starts[token]..end];
        (self.words.find(text) != NONE).then_some(text)
    }
}

impl Joined {
    /// Takes the cells of another sentence in.
    pub(super) fn fill<'c>(&mut self, cells: impl Iterator<Item = &'c str>) {
        self.text.clear();
        self.starts.clear();
        self.starts.push(0);
        for cell in cells {
            self.text.push_str(cell);
            self.starts.push(self.text.len());
        }
    }

    /// Takes the cells of column 0 of a sentence in.
    pub(super) fn fill_with(&mut self, sentence: &Sentence<'_>) {
        self.fill((0..sentence.len()).map(|token| sentence.column(token, 0)));
    }
}
