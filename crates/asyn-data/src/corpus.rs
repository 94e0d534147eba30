//! A corpus in memory: sentences of tokens, each token a row of columns.
//!
//! | Field    | Shape                       | Meaning                                |
//! | -------- | --------------------------- | -------------------------------------- |
//! | `cells`  | `n_tokens × n_columns`      | the number of each cell's string       |
//! | `starts` | `n_sentences + 1`           | the first token of each sentence       |
//! | `lines`  | `n_tokens`                  | the line of each token in the source   |
//! | `values` | one entry a distinct string | the strings, shared by all the columns |
//!
//! A cell costs four bytes however long its string is. Nothing here knows what
//! a column means, except that the last one is the label wherever a label is
//! spoken of.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::error::{Error, Result};
use crate::random::Random;
use crate::strings::Strings;

/// Sentences of tokens in columns.
///
/// ```
/// let text = "He PRP B-NP\nran VBD B-VP\n\nYes UH O\n";
/// let corpus = asyn_data::read_columns("example", text.as_bytes())?;
/// assert_eq!((corpus.n_sentences(), corpus.n_tokens(), corpus.n_columns()), (2, 3, 3));
/// assert_eq!(corpus.sentence(0).column(1, 0), "ran");
/// # Ok::<(), asyn_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Corpus {
    pub(crate) name: String,
    pub(crate) n_columns: usize,
    pub(crate) separator: char,
    pub(crate) values: Strings,
    pub(crate) cells: Vec<u32>,
    pub(crate) starts: Vec<usize>,
    lines: Vec<u32>,
}

/// One sentence of a [`Corpus`].
#[derive(Debug, Clone, Copy)]
pub struct Sentence<'a> {
    corpus: &'a Corpus,
    start: usize,
    end: usize,
}

impl Corpus {
    /// Starts a corpus of a text whose lines and whose distinct strings 32 bits can count.
    ///
    /// # Errors
    ///
    /// [`Error::TooMany`] when the text passes 4 GiB.
    pub(crate) fn of_text(
        name: &str,
        text: &str,
        n_columns: usize,
        separator: char,
    ) -> Result<Self> {
        if u32::try_from(text.len()).is_err() {
            return Err(Error::TooMany {
                name: name.to_owned(),
                what: "bytes of text",
                limit: u64::from(u32::MAX),
                actual: text.len() as u64,
            });
        }
        Ok(Self {
            name: name.to_owned(),
            n_columns,
            separator,
            values: Strings::default(),
            cells: Vec::new(),
            starts: vec![0],
            lines: Vec::new(),
        })
    }

    /// Appends a token of line `line`, counted from 1, and returns its number of columns; without
    /// any, nothing is appended.
    ///
    /// The caller sees to it that all tokens have as many columns.
    #[inline]
    pub(crate) fn push<'a>(
        &mut self,
        cells: impl IntoIterator<Item = &'a str>,
        line: u64,
    ) -> usize {
        let before = self.cells.len();
        for cell in cells {
            self.cells.push(self.values.intern(cell));
        }
        let n_cells = self.cells.len() - before;
        if n_cells > 0 {
            self.lines.push(u32::try_from(line).expect("a text has fewer lines than bytes"));
        }
        n_cells
    }

    /// Ends a sentence, if there are tokens since the last one ended.
    #[inline]
    pub(crate) fn end_sentence(&mut self) {
        if self.starts.last() != Some(&self.lines.len()) {
            self.starts.push(self.lines.len());
        }
    }

    /// Returns the corpus, or refuses it where it has no token.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`].
    pub(crate) fn finish(mut self) -> Result<Self> {
        self.end_sentence();
        if self.lines.is_empty() {
            return Err(Error::Empty { name: self.name });
        }
        Ok(self)
    }

    /// Replaces the last column by the labels of all tokens in order.
    pub(crate) fn set_labels<'a>(&mut self, labels: impl IntoIterator<Item = &'a str>) {
        let last = self.n_columns - 1;
        for (row, label) in self.cells.chunks_exact_mut(self.n_columns).zip(labels) {
            row[last] = self.values.intern(label);
        }
    }

    /// Returns the name of the source, as it appears in errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of sentences.
    pub fn n_sentences(&self) -> usize {
        self.starts.len() - 1
    }

    /// Returns the number of tokens of all sentences together.
    pub fn n_tokens(&self) -> usize {
        self.starts[self.n_sentences()]
    }

    /// Returns the number of columns of every token.
    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// Returns the character between the first two cells of the source: a space or a tab.
    pub fn separator(&self) -> char {
        self.separator
    }

    /// Returns sentence `sentence_idx`.
    ///
    /// # Panics
    ///
    /// If there is no such sentence.
    pub fn sentence(&self, sentence_idx: usize) -> Sentence<'_> {
        Sentence {
            corpus: self,
            start: self.starts[sentence_idx],
            end: self.starts[sentence_idx + 1],
        }
    }

    /// Iterates over the sentences.
    pub fn sentences(&self) -> impl ExactSizeIterator<Item = Sentence<'_>> {
        (0..self.n_sentences()).map(|sentence_idx| self.sentence(sentence_idx))
    }

    /// Divides the corpus into the larger part, to train on, and a held-out part.
    ///
    /// `fraction` of the sentences, rounded, are drawn with `seed` and held out. Both parts keep
    /// the order of the corpus. The same corpus, fraction and seed give the same parts everywhere.
    ///
    /// # Panics
    ///
    /// If `fraction` is not between 0 and 1.
    pub fn split(&self, fraction: f64, seed: u64) -> (Self, Self) {
        let n_held_out = self.share(fraction);
        let mut order: Vec<usize> = (0..self.n_sentences()).collect();
        Random::new(seed).shuffle(&mut order);
        let (held_out, kept) = order.split_at_mut(n_held_out);
        held_out.sort_unstable();
        kept.sort_unstable();
        (self.select(kept), self.select(held_out))
    }

    /// Cuts the corpus in two: the first `fraction` of the sentences, rounded, and the others.
    ///
    /// # Panics
    ///
    /// If `fraction` is not between 0 and 1.
    pub fn cut(&self, fraction: f64) -> (Self, Self) {
        let order: Vec<usize> = (0..self.n_sentences()).collect();
        let (first, rest) = order.split_at(self.share(fraction));
        (self.select(first), self.select(rest))
    }

    /// Divides the corpus into `n_folds` parts that differ by at most one sentence, drawn with
    /// `seed`, and returns for each the sentences of the others, to train on, and its own.
    ///
    /// All parts keep the order of the corpus. The same corpus, number and seed give the same parts
    /// everywhere.
    ///
    /// # Panics
    ///
    /// If there are fewer than two parts, or fewer sentences than parts.
    pub fn folds(&self, n_folds: usize, seed: u64) -> impl Iterator<Item = (Self, Self)> {
        let n_sentences = self.n_sentences();
        assert!(
            (2..=n_sentences).contains(&n_folds),
            "{n_sentences} sentences cannot be divided into {n_folds} parts"
        );
        let mut order: Vec<usize> = (0..n_sentences).collect();
        Random::new(seed).shuffle(&mut order);
        let mut fold_of = vec![0; n_sentences];
        for (place, sentence_idx) in order.into_iter().enumerate() {
            fold_of[sentence_idx] = place % n_folds;
        }
        (0..n_folds).map(move |fold| {
            let (held_out, kept): (Vec<usize>, Vec<usize>) =
                (0..n_sentences).partition(|&sentence_idx| fold_of[sentence_idx] == fold);
            (self.select(&kept), self.select(&held_out))
        })
    }

    /// Keeps one type of chunk: in the last column every label `prefix-other` becomes `O`.
    ///
    /// With `"NP"` an all-type chunking corpus becomes one of base noun phrases.
    pub fn only_type(&mut self, kind: &str) {
        let outside = self.values.intern("O");
        let mut replacements = BTreeMap::new();
        for (id, value) in (0_u32..).zip(self.values.iter()) {
            if value.split_once('-').is_some_and(|(_, other)| other != kind) {
                replacements.insert(id, outside);
            }
        }
        for row in self.cells.chunks_exact_mut(self.n_columns) {
            let label = &mut row[self.n_columns - 1];
            *label = replacements.get(label).copied().unwrap_or(*label);
        }
    }

    /// Checks that the first `n_columns` columns can be written with characters for which `is_blank`
    /// is true between them.
    ///
    /// # Errors
    ///
    /// [`Error::Cell`] for the first cell that is empty or holds such a character.
    pub fn check_cells(&self, n_columns: usize, is_blank: fn(char) -> bool) -> Result<()> {
        for sentence in self.sentences() {
            for token in 0..sentence.len() {
                let mut cells = sentence.token(token).take(n_columns);
                if let Some(cell) = cells.find(|cell| cell.is_empty() || cell.contains(is_blank)) {
                    let (name, cell) = (self.name.clone(), cell.to_owned());
                    return Err(Error::Cell { name, line: sentence.line(token), cell });
                }
            }
        }
        Ok(())
    }

    /// Writes the corpus in the format it is read from, a blank line after every sentence.
    ///
    /// # Errors
    ///
    /// Whatever `output` answers.
    pub fn write(&self, mut output: impl Write) -> io::Result<()> {
        let mut separator = [0; 4];
        let separator = self.separator.encode_utf8(&mut separator).as_bytes();
        for sentence in self.sentences() {
            for token in 0..sentence.len() {
                for (column, cell) in sentence.token(token).enumerate() {
                    if column > 0 {
                        output.write_all(separator)?;
                    }
                    output.write_all(cell.as_bytes())?;
                }
                output.write_all(b"\n")?;
            }
            output.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Returns how many sentences a fraction of all is.
    fn share(&self, fraction: f64) -> usize {
        assert!(
            (0.0..=1.0).contains(&fraction),
            "a fraction must be between 0 and 1, not {fraction}"
        );
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a fraction of a length is a length"
        )]
        let n = (fraction * self.n_sentences() as f64).round() as usize;
        n
    }

    fn select(&self, sentences: &[usize]) -> Self {
        let mut cells = Vec::new();
        let mut lines = Vec::new();
        let mut starts = vec![0];
        for &sentence_idx in sentences {
            let tokens = self.starts[sentence_idx]..self.starts[sentence_idx + 1];
            cells.extend_from_slice(
                &self.cells[tokens.start * self.n_columns..tokens.end * self.n_columns],
            );
            lines.extend_from_slice(&self.lines[tokens]);
            starts.push(lines.len());
        }
        Self {
            name: self.name.clone(),
            n_columns: self.n_columns,
            separator: self.separator,
            values: self.values.clone(),
            cells,
            starts,
            lines,
        }
    }
}

impl<'a> Sentence<'a> {
    /// Returns the number of tokens.
    #[allow(clippy::len_without_is_empty, reason = "a sentence that was read is never empty")]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Returns the number of columns of every token.
    pub fn n_columns(&self) -> usize {
        self.corpus.n_columns
    }

    /// Returns the cell of token `token` in column `column`.
    ///
    /// # Panics
    ///
    /// If there is no such token or column.
    pub fn column(&self, token: usize, column: usize) -> &'a str {
        self.corpus.values.get(self.row(token)[column])
    }

    /// Iterates over the cells of token `token`.
    ///
    /// # Panics
    ///
    /// If there is no such token.
    pub fn token(&self, token: usize) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let values = &self.corpus.values;
        self.row(token).iter().map(|&id| values.get(id))
    }

    /// Returns the line of token `token` in the source, counted from 1.
    ///
    /// # Panics
    ///
    /// If there is no such token.
    pub fn line(&self, token: usize) -> u64 {
        assert!(token < self.len(), "token {token} of {}", self.len());
        u64::from(self.corpus.lines[self.start + token])
    }

    /// Iterates over the labels, which are the cells of the last column.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let sentence = *self;
        let last = sentence.n_columns() - 1;
        (0..sentence.len()).map(move |token| sentence.column(token, last))
    }

    fn row(&self, token: usize) -> &'a [u32] {
        assert!(token < self.len(), "token {token} of {}", self.len());
        let row = (self.start + token) * self.corpus.n_columns;
        &self.corpus.cells[row..row + self.corpus.n_columns]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_columns;

    fn numbered(n_sentences: usize) -> Corpus {
        let text: String = (0..n_sentences).map(|i| format!("w{i} O\n\n")).collect();
        read_columns("test", text.as_bytes()).unwrap()
    }

    fn words(corpus: &Corpus) -> Vec<&str> {
        corpus.sentences().map(|s| s.column(0, 0)).collect()
    }

    #[test]
    fn the_parts_of_a_split_hold_every_sentence_once_and_in_order() {
        let corpus = numbered(50);
        let (train, held_out) = corpus.split(0.3, 7);
        assert_eq!((train.n_sentences(), held_out.n_sentences()), (35, 15));
        let position = |word: &str| word[1..].parse::<usize>().unwrap();
        let mut all: Vec<usize> = words(&train).into_iter().map(position).collect();
        assert!(all.is_sorted());
        all.extend(words(&held_out).into_iter().map(position));
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
        assert_eq!(words(&corpus.split(0.3, 7).1), words(&held_out));
        assert_ne!(words(&corpus.split(0.3, 8).1), words(&held_out));
    }

    #[test]
    fn every_sentence_is_in_one_fold_and_trains_the_others() {
        let corpus = numbered(11);
        let folds: Vec<(Corpus, Corpus)> = corpus.folds(3, 5).collect();
        let sizes = folds.iter().map(|(train, test)| (train.n_sentences(), test.n_sentences()));
        assert_eq!(sizes.collect::<Vec<_>>(), [(7, 4), (7, 4), (8, 3)]);
        let mut all: Vec<&str> = folds.iter().flat_map(|(_, test)| words(test)).collect();
        all.sort_unstable();
        let mut expected = words(&corpus);
        expected.sort_unstable();
        assert_eq!(all, expected);
        for (train, test) in &folds {
            assert!(words(train).iter().all(|word| !words(test).contains(word)));
        }
        assert_ne!(words(&folds[0].1), words(&corpus.folds(3, 6).next().unwrap().1));
    }

    #[test]
    fn other_types_become_outside() {
        let text = "a B-NP\nb I-NP\nc B-VP\nd B-B-NP\nB-VP O\n";
        let mut corpus = read_columns("test", text.as_bytes()).unwrap();
        corpus.only_type("NP");
        let sentence = corpus.sentence(0);
        assert_eq!(sentence.labels().collect::<Vec<_>>(), ["B-NP", "I-NP", "O", "O", "O"]);
        assert_eq!(sentence.column(4, 0), "B-VP");
    }
}
