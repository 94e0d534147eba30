//! The reader of column files, the format of the CoNLL shared tasks and of CRF++.
//!
//! A line is a token, a blank line ends a sentence. Columns are separated by
//! runs of spaces or tabs; every line has as many columns as the first one.
//! Lines end in LF or CRLF, a byte order mark is skipped, and gzip is
//! recognised by its first two bytes (RFC 1952, section 2.3.1), whatever the
//! file is called. A line whose first cell is
//! `-DOCSTART-`, as between the documents of CoNLL-2003, ends a sentence and is no token, except for
//! the classic scorer, which counts it.
//!
//! The whole text is in memory while it is read, and is dropped afterwards.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::corpus::Corpus;
use crate::error::{Error, Result};

/// The first two bytes of every gzip file.
pub(crate) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The first cell of what stands between two documents.
const DOCUMENT: &str = "-DOCSTART-";

/// What some editors put before a text.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads a column file from its path, or standard input where the path is `-`.
///
/// # Errors
///
/// As [`read_columns`], and [`Error::Io`] when the file cannot be opened.
pub fn open_columns(path: impl AsRef<Path>) -> Result<Corpus> {
    open(path.as_ref(), |name, input| read_columns(name, input))
}

/// Reads a column file to be scored from its path, or standard input where the path is `-`: lines
/// between documents are tokens, as the classic scorer takes them.
///
/// # Errors
///
/// As [`open_columns`].
pub fn open_scored(path: impl AsRef<Path>) -> Result<Corpus> {
    open(path.as_ref(), |name, input| parse(name, &read_text(name, input)?, None))
}

/// Reads a text, plain or gzipped and without a byte order mark, from its path, or standard input
/// where the path is `-`.
///
/// # Errors
///
/// [`Error::Io`], [`Error::Gzip`] and [`Error::Utf8`].
pub fn open_text(path: impl AsRef<Path>) -> Result<String> {
    let text = open(path.as_ref(), |name, input| read_text(name, input))?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).map(str::to_owned).unwrap_or(text))
}

/// Opens a file, or standard input where the path is `-`, and reads it with `read`.
pub(crate) fn open<T>(
    path: &Path,
    read: impl FnOnce(&str, &mut dyn BufRead) -> Result<T>,
) -> Result<T> {
    if path == Path::new("-") {
        return read("standard input", &mut io::stdin().lock());
    }
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => read(&name, &mut BufReader::new(file)),
        Err(source) => Err(Error::Io { action: "open", name, source }),
    }
}

/// Reads a column file; `name` is what errors call it.
///
/// # Errors
///
/// [`Error::Io`] and [`Error::Gzip`] when the bytes cannot be had, [`Error::Utf8`] when they are
/// not text, [`Error::Ragged`] when a line has another width than the first, [`Error::Empty`] when
/// there is no token, and [`Error::TooMany`] when the text passes 4 GiB.
pub fn read_columns(name: &str, input: impl BufRead) -> Result<Corpus> {
    parse(name, &read_text(name, input)?, Some(DOCUMENT))
}

/// Reads a text, which may be gzipped, with the byte order mark if it has one.
///
/// # Errors
///
/// [`Error::Io`], [`Error::Gzip`] and [`Error::Utf8`].
pub(crate) fn read_text(name: &str, input: impl BufRead) -> Result<String> {
    let bytes = read_bytes(name, input)?;
    String::from_utf8(bytes).map_err(|error| Error::Utf8 {
        name: name.to_owned(),
        line: line_of(error.as_bytes(), error.utf8_error().valid_up_to()),
    })
}

fn read_bytes(name: &str, mut input: impl BufRead) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(|source| Error::Io {
        action: "read",
        name: name.to_owned(),
        source,
    })?;
    if !bytes.starts_with(&GZIP_MAGIC) {
        return Ok(bytes);
    }
    let mut text = Vec::new();
    MultiGzDecoder::new(&bytes[..])
        .read_to_end(&mut text)
        .map_err(|source| Error::Gzip { name: name.to_owned(), source })?;
    Ok(text)
}

/// Parses columns; a line whose first cell is `boundary` is no token.
fn parse(name: &str, text: &str, boundary: Option<&str>) -> Result<Corpus> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut corpus = Corpus::of_text(name, text, 0, ' ')?;
    for (line, number) in text.lines().zip(1_u64..) {
        // `lines` leaves the carriage return of a last line without a line feed.
        let line = line.strip_suffix('\r').unwrap_or(line);
        if boundary.is_some() && cells(line).next() == boundary {
            corpus.end_sentence();
            continue;
        }
        let n_columns = corpus.push(cells(line), number);
        if n_columns == 0 {
            corpus.end_sentence();
        } else if corpus.n_columns == 0 {
            corpus.n_columns = n_columns;
            corpus.separator = separator(line);
        } else if n_columns != corpus.n_columns {
            return Err(Error::Ragged {
                name: name.to_owned(),
                line: number,
                expected: corpus.n_columns,
                actual: n_columns,
            });
        }
    }
    corpus.finish()
}

/// Iterates over the cells of a line: what lies between runs of spaces and tabs.
fn cells(line: &str) -> impl Iterator<Item = &str> {
    let is_blank = |&byte: &u8| byte == b' ' || byte == b'\t';
    let bytes = line.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes[at..].iter().position(|byte| !is_blank(byte))?;
        let length = bytes[start..].iter().position(is_blank);
        at = length.map_or(bytes.len(), |length| start + length);
        Some(&line[start..at])
    })
}

/// Returns what stands between the first two cells of a line.
fn separator(line: &str) -> char {
    let blank = [' ', '\t'];
    let found = line.trim_matches(blank).find(blank);
    found.map_or(' ', |at| char::from(line.trim_matches(blank).as_bytes()[at]))
}

fn line_of(bytes: &[u8], at: usize) -> u64 {
    1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count() as u64
}
