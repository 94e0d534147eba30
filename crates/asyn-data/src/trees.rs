//! Bracketed trees, as the Penn Treebank has them in its `.mrg` files.
//!
//! ```text
//! ( (S
//!     (NP-SBJ-1 (DT The) (NN deficit) )
//!     (VP (VBZ narrows)
//!       (S (-NONE- *-1) ))
//!     (. .) ))
//! ```
//!
//! A tree is a sentence; `(tag word)` is a token of two columns, the word and its part of speech, which
//! is the label. What is tagged `-NONE-` stands for something that was moved or left out and is no
//! token. The rest of the tree is read past. Words are those of the file: a bracket is `-LRB-` there.

use std::io::BufRead;

use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::reader::{BYTE_ORDER_MARK, read_text};

/// The tag of what is not in the text.
const EMPTY: &str = "-NONE-";

/// A bracket that is open.
#[derive(Debug, Default)]
struct Bracket<'t> {
    atoms: Vec<&'t str>,
    has_brackets: bool,
}

/// Reads trees as words and parts of speech; `name` is what errors call them.
///
/// ```
/// let text = "( (S (NP (PRP He)) (VP (VBD ran) (-NONE- *T*-1)) (. .)))";
/// let corpus = asyn_data::read_trees("example", text.as_bytes())?;
/// let words: Vec<_> = corpus.sentence(0).token(1).collect();
/// assert_eq!((corpus.n_tokens(), words), (3, vec!["ran", "VBD"]));
/// # Ok::<(), asyn_data::Error>(())
/// ```
///
/// # Errors
///
/// As [`read_columns`](crate::read_columns), and [`Error::Text`] where the brackets are not those of
/// trees.
pub fn read_trees(name: &str, input: impl BufRead) -> Result<Corpus> {
    let text = read_text(name, input)?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let mut corpus = Corpus::of_text(name, text, 2, '\t')?;
    let fault = |line, expected| Error::Text { name: name.to_owned(), line, expected };
    let mut open: Vec<Bracket<'_>> = Vec::new();
    let mut last_line = 1;
    for (line, number) in text.lines().zip(1_u64..) {
        last_line = number;
        for item in items(line) {
            match (item, open.last_mut()) {
                ("(", around) => {
                    if let Some(around) = around {
                        around.has_brackets = true;
                    }
                    open.push(Bracket::default());
                }
                (_, None) => return Err(fault(number, "( where a tree begins")),
                (")", Some(_)) => {
                    let bracket = open.pop().unwrap_or_default();
                    match bracket.atoms[..] {
                        [tag, word] if !bracket.has_brackets => {
                            if tag != EMPTY {
                                corpus.push([word, tag], number);
                            }
                        }
                        [] | [_] if bracket.has_brackets => {}
                        _ => return Err(fault(number, "(TAG WORD), or brackets in a bracket")),
                    }
                    if open.is_empty() {
                        corpus.end_sentence();
                    }
                }
                (atom, Some(bracket)) => bracket.atoms.push(atom),
            }
        }
    }
    if open.is_empty() { corpus.finish() } else { Err(fault(last_line, ") where a tree ends")) }
}

/// Iterates over the brackets of a line and what stands between them and white space.
fn items(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace().flat_map(|word| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let end = match rest.find(['(', ')'])? {
                0 => 1,
                end => end,
            };
            let (item, behind) = rest.split_at(end);
            rest = behind;
            Some(item)
        })
        .chain(word.rsplit(['(', ')']).next().filter(|last| !last.is_empty()))
    })
}
