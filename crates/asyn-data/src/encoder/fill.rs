//! Filling windows: what the sources of a template read in a corpus or in a sentence.
//!
//! A whole corpus is filled from the numbers of its cells, and a function of a
//! cell is computed once a distinct cell. A sentence that comes later is filled
//! from its strings, which are looked up.

use super::dictionary::{Dictionary, Joined};
use super::window::{Plan, Window};
use super::{EncodeScratch, Encoder};
use crate::corpus::{Corpus, Sentence};
use crate::strings::{NONE, Strings};
use crate::template::{Function, Source};

/// What `%same` reads where it holds.
const SAME: &str = "same";
/// What `%known` reads where it holds.
const KNOWN: &str = "known";

/// What sources read outside of the sentence.
#[derive(Debug, Clone, Default)]
pub(super) struct Padding {
    before: Vec<u32>,
    after: Vec<u32>,
    /// No test holds there.
    absent: Vec<u32>,
}

impl Padding {
    /// Makes `pad` cells for each end, with the numbers that `id` gives to strings.
    pub(super) fn new(pad: usize, mut id: impl FnMut(&str) -> u32) -> Self {
        Self {
            before: (1..=pad).rev().map(|distance| id(&format!("_B-{distance}"))).collect(),
            after: (1..=pad).map(|distance| id(&format!("_B+{distance}"))).collect(),
            absent: vec![NONE; pad],
        }
    }

    /// Returns the cells before the sentence, from far to near, and those behind it, from near to far.
    fn of(&self, source: Source) -> (&[u32], &[u32]) {
        if source.is_test() { (&self.absent, &self.absent) } else { (&self.before, &self.after) }
    }
}

/// Puts a corpus into one window, and returns the strings that its cells are numbers of.
pub(super) fn whole_corpus(
    corpus: &Corpus,
    plan: &Plan,
    dictionary: &Dictionary,
) -> (Strings, Window) {
    let mut values = corpus.values.clone();
    let padding = Padding::new(plan.pad, |cell| values.intern(cell));
    let mut window = Window::default();
    window.clear(plan.sources.len());
    let mut joined = Joined::default();
    for (source_idx, &source) in plan.sources.iter().enumerate() {
        let (before, after) = padding.of(source);
        let n_columns = corpus.n_columns;
        let sentences = corpus.starts.windows(2).map(|bounds| {
            corpus.cells[bounds[0] * n_columns..bounds[1] * n_columns].chunks_exact(n_columns)
        });
        match source {
            Source::Cell { column, function } => {
                let made = match function {
                    Function::Itself => Vec::new(),
                    _ => of_values(function, corpus, column, &mut values),
                };
                for rows in sentences {
                    let cells = rows.map(|row| row[column]);
                    if function == Function::Itself {
                        window.push(source_idx, before, cells, after);
                    } else {
                        window.push(source_idx, before, cells.map(|id| made[id as usize]), after);
                    }
                }
            }
            Source::Same { column, distance } => {
                let same = values.intern(SAME);
                for rows in sentences {
                    let later = rows.clone().skip(distance).map(|row| Some(row[column]));
                    let later = later.chain(std::iter::repeat(None));
                    let cells = rows
                        .zip(later)
                        .map(|(row, later)| if later == Some(row[column]) { same } else { NONE });
                    window.push(source_idx, before, cells, after);
                }
            }
            Source::Word { length } | Source::Known { length } => {
                let known = match source {
                    Source::Known { .. } => Some(values.intern(KNOWN)),
                    _ => None,
                };
                for rows in sentences {
                    joined.fill(rows.clone().map(|row| corpus.values.get(row[0])));
                    let cells = (0..rows.len()).map(|token| {
                        let word = dictionary.word(&joined, token, length);
                        word.map_or(NONE, |word| known.unwrap_or_else(|| values.intern(word)))
                    });
                    window.push(source_idx, before, cells, after);
                }
            }
        }
    }
    (values, window)
}

/// Returns for each number of a string what the function makes of it, if it occurs in the column.
fn of_values(function: Function, corpus: &Corpus, column: usize, values: &mut Strings) -> Vec<u32> {
    let mut is_made = vec![false; corpus.values.len()];
    let mut made = vec![NONE; corpus.values.len()];
    let mut memory = String::new();
    for row in corpus.cells.chunks_exact(corpus.n_columns) {
        let cell = row[column] as usize;
        if !std::mem::replace(&mut is_made[cell], true) {
            let result = function.of(corpus.values.get(row[column]), &mut memory);
            made[cell] = result.map_or(NONE, |result| values.intern(result));
        }
    }
    made
}

impl Encoder {
    /// Fills the window of `scratch` with a sentence.
    pub(super) fn fill_window(&self, sentence: &Sentence<'_>, scratch: &mut EncodeScratch) {
        let EncodeScratch { window, joined, memory, .. } = scratch;
        let values = &self.vocabulary.values;
        let tokens = 0..sentence.len();
        if self.template.uses_dictionary() {
            joined.fill_with(sentence);
        }
        window.clear(self.plan.sources.len());
        for (source_idx, &source) in self.plan.sources.iter().enumerate() {
            let (before, after) = self.padding.of(source);
            match source {
                Source::Cell { column, function } => {
                    let cells = tokens.clone().map(|token| {
                        let made = function.of(sentence.column(token, column), memory);
                        made.map_or(NONE, |made| values.find(made))
                    });
                    window.push(source_idx, before, cells, after);
                }
                Source::Same { column, distance } => {
                    let same = values.find(SAME);
                    let cells = tokens.clone().map(|token| {
                        let later = token + distance;
                        let is_same = later < tokens.end
                            && sentence.column(token, column) == sentence.column(later, column);
                        if is_same { same } else { NONE }
                    });
                    window.push(source_idx, before, cells, after);
                }
                Source::Word { length } => {
                    let cells = tokens.clone().map(|token| {
                        let word = self.dictionary.word(joined, token, length);
                        word.map_or(NONE, |word| values.find(word))
                    });
                    window.push(source_idx, before, cells, after);
                }
                Source::Known { length } => {
                    let known = values.find(KNOWN);
                    let cells = tokens.clone().map(|token| {
                        let word = self.dictionary.word(joined, token, length);
                        word.map_or(NONE, |_| known)
                    });
                    window.push(source_idx, before, cells, after);
                }
            }
        }
    }
}
