//! The binary model of CRFsuite.
//!
//! Numbers are little-endian. The file begins with a header of 48 bytes:
//!
//! | Bytes  | Content                                                                       |
//! | ------ | ----------------------------------------------------------------------------- |
//! | 0..4   | `lCRF`                                                                        |
//! | 4..8   | the size of the file                                                          |
//! | 8..16  | `FOMC`, and 100, the version                                                  |
//! | 16..28 | the numbers of features (0 in practice), of labels and of attributes          |
//! | 28..48 | where features, labels, attributes, and what refers to features of each begin |
//!
//! Features are a chunk `FEAT`: its size and the number of features, then 20 bytes for each: 0 for a
//! score of an attribute and a label and 1 for one of two labels, both numbers, and the score as `f64`.
//! So what refers to features need not be read.
//!
//! Labels and attributes are chunks `CQDB`, which are tables from strings to numbers. Their header of 24
//! bytes has the size, flags, a check of the order of bytes, and the number and place of the entries of
//! a table from numbers to records: the number, the length of the string, and the string with a zero
//! behind it. Places are counted from the beginning of the chunk.
//!
//! Source: `crf1d_model.c` and `cqdb.c` of CRFsuite 0.12.

use std::collections::BTreeSet;

use super::Imported;
use crate::encoder::{Encoder, UNKNOWN_LABEL};
use crate::error::{Error, Result};
use crate::strings::Strings;
use crate::template::Template;

const HEADER_LEN: usize = 48;
const VERSION: u32 = 100;
const CHUNK_LEN: usize = 12;
const FEATURE_LEN: usize = 20;
const BYTE_ORDER: u32 = 0x6244_5371;

/// The bytes of a file.
#[derive(Debug, Clone, Copy)]
struct Bytes<'a> {
    name: &'a str,
    bytes: &'a [u8],
}

/// Reads a model of CRFsuite; `name` is what errors call it.
///
/// The encoder reads attribute files whose tokens have at most `most_attributes` attributes, of which
/// at least one is assumed.
///
/// # Errors
///
/// [`Error::Foreign`] with the place where something else was expected, as it is in files that are cut
/// short or damaged, and [`Error::TooMany`] for 65,535 labels or more.
pub fn import_crfsuite(name: &str, bytes: &[u8], most_attributes: usize) -> Result<Imported> {
    let file = Bytes { name, bytes };
    file.expect(0, b"lCRF", "a model of CRFsuite, which begins with lCRF")?;
    if bytes.len() < HEADER_LEN || file.number(4)? as usize != bytes.len() {
        return Err(file.fault(4, "the size of the file"));
    }
    file.expect(8, b"FOMC", "a first-order CRF, FOMC")?;
    if file.number(12)? != VERSION {
        return Err(file.fault(12, "version 100"));
    }
    let labels = file.strings(file.place(32)?, file.place(20)?)?;
    let attributes = file.strings(file.place(36)?, file.place(24)?)?;
    let label_ids: Strings = labels.iter().copied().collect();
    if labels.len() >= usize::from(UNKNOWN_LABEL) {
        let (limit, actual) = (u64::from(UNKNOWN_LABEL) - 1, labels.len() as u64);
        return Err(Error::TooMany { name: name.to_owned(), what: "labels", limit, actual });
    }
    if labels.is_empty() || label_ids.len() < labels.len() {
        return Err(file.fault(file.place(32)?, "labels that differ"));
    }
    // An empty attribute cannot be written in an attribute file, so nothing has it.
    let is_known = |&id: &usize| !attributes[id].is_empty();
    let known: Vec<usize> = (0..attributes.len()).filter(is_known).collect();
    let mut ids = vec![None; attributes.len()];
    for (id, &known) in (0..).zip(&known) {
        ids[known] = Some(id);
    }

    let (mut nodes, mut edges) = (Vec::new(), Vec::new());
    let start = file.place(28)?;
    file.expect(start, b"FEAT", "the features, FEAT")?;
    let n_features = file.number(start + 8)? as usize;
    let fits = n_features.checked_mul(FEATURE_LEN).is_some_and(|len| len <= bytes.len());
    if !fits {
        return Err(file.fault(start + 8, "as many features as the file has room for"));
    }
    for feature in 0..n_features {
        let at = start + CHUNK_LEN + feature * FEATURE_LEN;
        let [kind, from, label] = [0, 4, 8].map(|shift| file.number(at + shift));
        let (kind, from, label) = (kind?, from? as usize, label? as usize);
        let score = f64::from_le_bytes(file.array(at + 12)?);
        let label_id = |label: usize| u16::try_from(label).ok().filter(|_| label < labels.len());
        let to = label_id(label).ok_or_else(|| file.fault(at + 8, "the number of a label"))?;
        #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
        let score = score as f32;
        if !score.is_finite() {
            return Err(file.fault(at + 12, "a finite score"));
        }
        match (kind, ids.get(from), label_id(from)) {
            (0, Some(id), _) => nodes.extend(id.map(|id| (id, to, score))),
            (1, _, Some(previous)) => edges.push((previous, to, score)),
            (0 | 1, ..) => return Err(file.fault(at + 4, "the number of what a feature is of")),
            _ => return Err(file.fault(at, "the kind of a feature, 0 or 1")),
        }
    }
    let template = Template::attributes(1 + most_attributes.max(1));
    let given = known.iter().map(|&id| (0, vec![attributes[id]]));
    let encoder = Encoder::of_attributes(template, label_ids, given, 0, 1 + most_attributes.max(1));
    let encoder = encoder.ok_or_else(|| file.fault(36, "attributes that differ"))?;
    Ok(Imported { encoder, nodes, edges, rich: Vec::new() })
}

impl<'a> Bytes<'a> {
    fn fault(&self, at: usize, expected: &'static str) -> Error {
        Error::Foreign { name: self.name.to_owned(), at: at as u64, expected }
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        let found = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
        found.copied().ok_or_else(|| self.fault(at, "more bytes"))
    }

    fn number(&self, at: usize) -> Result<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn place(&self, at: usize) -> Result<usize> {
        self.number(at).map(|number| number as usize)
    }

    fn expect(&self, at: usize, mark: &[u8], expected: &'static str) -> Result<()> {
        let found = self.bytes.get(at..).is_some_and(|rest| rest.starts_with(mark));
        if found { Ok(()) } else { Err(self.fault(at, expected)) }
    }

    /// Reads the strings with the numbers 0 to `n - 1` of the table that begins at `start`.
    fn strings(&self, start: usize, n: usize) -> Result<Vec<&'a str>> {
        self.expect(start, b"CQDB", "a table of strings, CQDB")?;
        if self.number(start + 12)? != BYTE_ORDER {
            return Err(self.fault(start + 12, "numbers whose first byte is the smallest"));
        }
        let entries = start + self.place(start + 20)?;
        if self.bytes.len().saturating_sub(entries) / 4 < n {
            return Err(self.fault(start + 20, "where the numbers of strings stand"));
        }
        let mut found = Vec::with_capacity(n);
        let mut places = BTreeSet::new();
        for number in 0..n {
            let at = start + self.place(entries + 4 * number)?;
            // A record for each number, so that a small file cannot ask for much memory.
            if self.place(at)? != number || !places.insert(at) {
                return Err(self.fault(at, "the record of a string"));
            }
            let len = self.place(at + 4)?;
            let text = self.bytes.get(at + 8..).and_then(|rest| rest.get(..len));
            let text = text.and_then(<[u8]>::split_last).filter(|(zero, _)| **zero == 0);
            let text = text.and_then(|(_, text)| std::str::from_utf8(text).ok());
            let is_line = |text: &&str| !text.contains(['\n', '\0']);
            let expected = "a string of UTF-8 without a line feed, and a zero";
            found.push(text.filter(is_line).ok_or_else(|| self.fault(at + 8, expected))?);
        }
        Ok(found)
    }
}
