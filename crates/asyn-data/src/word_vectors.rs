//! Vectors of words that were learned elsewhere, in text.
//!
//! A line is a word and its numbers, separated by single spaces: the formats of GloVe and of the
//! `.vec` files of word2vec and fastText, which have the numbers of words and of floats in a first
//! line of their own. A file may be gzipped. It is read line by line, and what is not asked for is
//! not kept, so that a file may be larger than memory.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use rustc_hash::FxHashMap;

use crate::error::{Error, Result};
use crate::reader::{GZIP_MAGIC, open};

/// The vectors of some words.
///
/// | Field    | Shape           | Meaning                                                  |
/// | -------- | --------------- | -------------------------------------------------------- |
/// | `width`  |                 | the length of a vector                                   |
/// | `ids`    | vectors         | the position, among the words that were asked for, of each |
/// | `values` | vectors × width | the vectors, in the order of the file                    |
///
/// ```
/// use asyn_data::WordVectors;
///
/// let words = ["bank", "river"].map(str::to_owned);
/// let vectors = WordVectors::read("glove", "the 0.5 1\nriver 2 -3\n".as_bytes(), &words)?;
/// assert_eq!((vectors.width, vectors.ids), (2, vec![1]));
/// assert_eq!(vectors.values, [2.0, -3.0]);
/// # Ok::<(), asyn_data::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WordVectors {
    /// The length of a vector.
    pub width: usize,
    /// The positions of the words that were found.
    pub ids: Vec<u32>,
    /// Their vectors.
    pub values: Vec<f32>,
}

impl WordVectors {
    /// Reads the vectors of `words` from a file; of a word that stands there twice, the first.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Gzip`], [`Error::Utf8`]; [`Error::Vector`] for a line of another
    /// length than the first, or whose numbers are none or not finite, and where there is no vector.
    pub fn open(path: impl AsRef<Path>, words: &[String]) -> Result<Self> {
        open(path.as_ref(), |name, input| Self::read(name, input, words))
    }

    /// Reads the vectors of `words`; `name` is what errors call the file.
    ///
    /// # Errors
    ///
    /// As [`WordVectors::open`].
    pub fn read(name: &str, mut input: impl BufRead, words: &[String]) -> Result<Self> {
        let failed = |source| Error::Io { action: "read", name: name.to_owned(), source };
        if input.fill_buf().map_err(failed)?.starts_with(&GZIP_MAGIC) {
            let text = BufReader::new(MultiGzDecoder::new(input));
            let failed = |source| Error::Gzip { name: name.to_owned(), source };
            return Lines { name, text, failed }.read(words);
        }
        Lines { name, text: input, failed }.read(words)
    }
}

/// The lines of a file, and what a failure to read them is called.
struct Lines<'n, T, F> {
    name: &'n str,
    text: T,
    failed: F,
}

impl<T: BufRead, F: Fn(io::Error) -> Error> Lines<'_, T, F> {
    fn read(mut self, words: &[String]) -> Result<WordVectors> {
        let mut wanted: FxHashMap<&str, u32> = words.iter().map(String::as_str).zip(0..).collect();
        let mut vectors = WordVectors::default();
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            if self.text.read_until(b'\n', &mut bytes).map_err(&self.failed)? == 0 {
                break;
            }
            let line = std::str::from_utf8(&bytes)
                .map_err(|_| Error::Utf8 { name: self.name.to_owned(), line: number })?;
            let line = line.trim_end_matches(['\n', '\r', ' ', '\t']);
            let is_head = number == 1 && is_head(line);
            if line.is_empty() || is_head {
                continue;
            }
            let refused = |expected: String| Error::Vector {
                name: self.name.to_owned(),
                line: number,
                expected,
            };
            let cells: Vec<&str> = line.split([' ', '\t']).collect();
            let n_floats = cells.len() - 1;
            if vectors.width == 0 {
                vectors.width = n_floats;
            }
            let width = vectors.width;
            // Some words of GloVe hold spaces.
            let n_more = n_floats
                .checked_sub(width)
                .filter(|&n_more| width > 0 && (n_more == 0 || cells[1].parse::<f32>().is_err()));
            let n_more = n_more.ok_or_else(|| {
                refused(format!("a word and {} numbers, found {n_floats}", width.max(1)))
            })?;
            let Some(id) = wanted.remove(&*cells[..=n_more].join(" ")) else { continue };
            for cell in &cells[n_more + 1..] {
                let value = cell.parse().ok().filter(|value: &f32| value.is_finite());
                let value =
                    value.ok_or_else(|| refused(format!("a finite number, found {cell:?}")));
                vectors.values.push(value?);
            }
            vectors.ids.push(id);
        }
        if vectors.width == 0 {
            let expected = "a word and its numbers".to_owned();
            return Err(Error::Vector { name: self.name.to_owned(), line: 1, expected });
        }
        Ok(vectors)
    }
}

/// Returns whether a first line says how many words and floats there are.
fn is_head(line: &str) -> bool {
    let mut cells = line.split(' ');
    let is_count = |cell: Option<&str>| cell.is_some_and(|cell| cell.parse::<u64>().is_ok());
    is_count(cells.next()) && is_count(cells.next()) && cells.next().is_none()
}
