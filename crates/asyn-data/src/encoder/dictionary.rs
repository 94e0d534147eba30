//! The words that the macros `%word` and `%known` look up.
//!
//! A word is the text of one chunk of the training labels, its cells of column
//! 0 joined: with labels for segmentation a word, with others a phrase or a
//! name. Labels are a prefix alone or a prefix, a hyphen and a type. The words
//! of a sentence are in the dictionary while a model is trained on it and need
//! not be when it is used; so only words that occur more than twice are kept
//! (Sun, Wang and Li, ACL 2012, section 5). A user may add words, without that
//! gate.

use crate::corpus::{Corpus, Sentence};
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

/// Where in a chunk a label says that its token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Begin,
    Inside,
    End,
    Single,
    Outside,
}

impl Dictionary {
    /// Collects the words of the training labels and those of `lexicon`, one a line.
    pub(super) fn new(corpus: &Corpus, lexicon: &str) -> Self {
        let mut chunks = Strings::default();
        let mut counts: Vec<u32> = Vec::new();
        let places: Vec<(Place, &str)> = corpus.values.iter().map(place).collect();
        let mut joined = Joined::default();
        for bounds in corpus.starts.windows(2) {
            let rows = &corpus.cells[bounds[0] * corpus.n_columns..bounds[1] * corpus.n_columns];
            joined.fill(rows.chunks_exact(corpus.n_columns).map(|row| corpus.values.get(row[0])));
            let labels = rows.chunks_exact(corpus.n_columns).map(|row| row[corpus.n_columns - 1]);
            chunks_of(labels.map(|label| places[label as usize]), |start, end| {
                let id = chunks.intern(&joined.text[joined.starts[start]..joined.starts[end]]);
                counts.resize(chunks.len(), 0);
                counts[id as usize] += 1;
            });
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

/// Takes a label apart.
fn place(label: &str) -> (Place, &str) {
    let (prefix, kind) = label.split_once('-').unwrap_or((label, ""));
    let place = match prefix {
        "B" => Place::Begin,
        "I" | "M" => Place::Inside,
        "E" | "L" => Place::End,
        "S" | "U" => Place::Single,
        _ => Place::Outside,
    };
    (place, kind)
}

/// Calls `found` with the first token of every chunk and the one behind its last.
fn chunks_of<'l>(
    labels: impl Iterator<Item = (Place, &'l str)>,
    mut found: impl FnMut(usize, usize),
) {
    // The chunk that goes on: its first token and its type.
    let mut open: Option<(usize, &str)> = None;
    let mut n_tokens = 0;
    for (token, (place, kind)) in labels.enumerate() {
        n_tokens = token + 1;
        let goes_on =
            matches!(place, Place::Inside | Place::End) && open.is_some_and(|(_, of)| of == kind);
        if !goes_on {
            if let Some((start, _)) = open.take() {
                found(start, token);
            }
            open = (place != Place::Outside).then_some((token, kind));
        }
        if let (Place::End | Place::Single, Some((start, _))) = (place, open) {
            found(start, n_tokens);
            open = None;
        }
    }
    if let Some((start, _)) = open {
        found(start, n_tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(labels: &str) -> Vec<(usize, usize)> {
        let mut chunks = Vec::new();
        chunks_of(labels.split(' ').map(place), |start, end| chunks.push((start, end)));
        chunks
    }

    #[test]
    fn chunks_are_those_of_all_schemes() {
        assert_eq!(chunks("B M E S S B E"), [(0, 3), (3, 4), (4, 5), (5, 7)]);
        assert_eq!(chunks("B-X I-X B-X O I-Y I-X"), [(0, 2), (2, 3), (4, 5), (5, 6)]);
        assert_eq!(chunks("U-X B-Y L-Y I-Y"), [(0, 1), (1, 3), (3, 4)]);
        assert_eq!(chunks("NN O"), []);
    }
}
