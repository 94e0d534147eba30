//! Attribute files of CRFsuite: tokens whose attributes were made by another program.
//!
//! ```text
//! B-NP    w[0]=He         pos[0]=PRP    __BOS__
//! B-VP    w[0]=reckons    pos[0]=VBZ
//! ```
//!
//! A line is a token: its label, then its attributes, each behind a tab. A blank line ends a sentence.
//! `\:` stands for a colon and `\\` for a backslash. A colon that stands alone comes before the value
//! of an attribute, which has to be 1, or nothing: attributes are there or not.
//!
//! In a corpus the attributes are the first columns, in their order, and the label is the last one.
//! A token with fewer attributes than another has empty cells behind them, which
//! [`Template::attributes`](crate::Template::attributes) passes over.
//!
//! Source: the manual of CRFsuite, "Data format".

use std::io::{self, BufRead, Write};

use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::reader::{BYTE_ORDER_MARK, read_text};

/// The most cells of a corpus.
const MAX_CELLS: usize = 1 << 30;

/// Reads an attribute file; `name` is what errors call it.
///
/// The corpus has `n_columns` columns, the label included, or as many as the widest token needs.
///
/// ```
/// let text = "B-NP\tw=He\tbos\nB-VP\tw=a\\:b:1.0\n";
/// let corpus = asyn_data::read_attributes("example", text.as_bytes(), None)?;
/// let sentence = corpus.sentence(0);
/// assert_eq!(sentence.token(0).collect::<Vec<_>>(), ["w=He", "bos", "B-NP"]);
/// assert_eq!(sentence.token(1).collect::<Vec<_>>(), ["w=a:b", "", "B-VP"]);
/// # Ok::<(), asyn_data::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Io`], [`Error::Gzip`] and [`Error::Utf8`] when the text cannot be had, [`Error::Value`]
/// for an attribute that has another value than 1, [`Error::TooWide`] for a token that `n_columns`
/// are too few for, [`Error::Empty`] when there is no token, and [`Error::TooMany`] when the text
/// passes 4 GiB or all tokens are 2^30 cells wide.
pub fn read_attributes(
    name: &str,
    input: impl BufRead,
    n_columns: Option<usize>,
) -> Result<Corpus> {
    let text = read_text(name, input)?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let lines = || text.lines().map(|line| line.strip_suffix('\r').unwrap_or(line));
    // The label counts as one.
    let widest = || lines().map(|line| line.split('\t').count()).max().unwrap_or(0);
    let n_columns = n_columns.unwrap_or_else(widest);
    let n_cells = lines().count().saturating_mul(n_columns);
    if n_cells > MAX_CELLS {
        return Err(Error::TooMany {
            name: name.to_owned(),
            what: "cells, of which every token has as many as the widest one",
            limit: MAX_CELLS as u64,
            actual: n_cells as u64,
        });
    }
    let mut corpus = Corpus::of_text(name, text, n_columns, '\t')?;
    let mut cells = Vec::new();
    for (line, number) in lines().zip(1_u64..) {
        if line.trim().is_empty() {
            corpus.end_sentence();
            continue;
        }
        cells.clear();
        for item in line.split('\t') {
            let (text, value) = unescape(item);
            if value.is_some_and(|value| !value.is_empty() && value.parse() != Ok(1.0)) {
                let (name, item) = (name.to_owned(), item.to_owned());
                return Err(Error::Value { name, line: number, item });
            }
            cells.push(text);
        }
        let label = cells.remove(0);
        // Two tabs in a row, or one at the end of a line, have no attribute between them.
        cells.retain(|cell| !cell.is_empty());
        let (limit, actual) = (n_columns - 1, cells.len());
        if actual > limit {
            return Err(Error::TooWide { name: name.to_owned(), line: number, limit, actual });
        }
        cells.resize(limit, String::new());
        cells.push(label);
        corpus.push(cells.iter().map(String::as_str), number);
    }
    corpus.finish()
}

/// Writes a token with its attributes.
///
/// # Errors
///
/// Whatever `output` answers.
pub fn write_attributes<'a>(
    label: &str,
    attributes: impl IntoIterator<Item = &'a str>,
    mut output: impl Write,
) -> io::Result<()> {
    write_escaped(label, &mut output)?;
    for attribute in attributes {
        output.write_all(b"\t")?;
        write_escaped(attribute, &mut output)?;
    }
    output.write_all(b"\n")
}

fn write_escaped(text: &str, output: &mut impl Write) -> io::Result<()> {
    for part in text.split_inclusive(['\\', ':']) {
        let plain = part.trim_end_matches(['\\', ':']);
        output.write_all(plain.as_bytes())?;
        if plain.len() < part.len() {
            output.write_all(b"\\")?;
            output.write_all(&part.as_bytes()[plain.len()..])?;
        }
    }
    Ok(())
}

/// Returns the text of a label or an attribute, and its value if there is one.
fn unescape(item: &str) -> (String, Option<&str>) {
    let mut text = String::with_capacity(item.len());
    let mut characters = item.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            ':' => return (text, Some(&item[at + 1..])),
            '\\' => match characters.next() {
                Some((_, escaped @ (':' | '\\'))) => text.push(escaped),
                Some((_, other)) => text.extend(['\\', other]),
                None => text.push('\\'),
            },
            other => text.push(other),
        }
    }
    (text, None)
}
