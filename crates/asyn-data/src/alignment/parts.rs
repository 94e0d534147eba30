//! Parallel text in parts, so that a text of any length needs little memory.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::bitext::Bitext;
use crate::error::{Error, Result};
use crate::reader::{BYTE_ORDER_MARK, GZIP_MAGIC};

/// How many bytes are asked for at a time.
const BYTES_AT_A_TIME: usize = 1 << 18;

/// Reads a [`Bitext`] part by part, from one file or two.
///
/// ```
/// use asyn_data::{Bitext, BitextParts};
///
/// let mut parts = BitextParts::read("example", &b"a b ||| x y\nc ||| z\n"[..])?;
/// // A pair of two and two words is enough for four pairs of words.
/// assert_eq!(parts.next(4, true)?.map(|part| part.n_pairs()), Some(1));
/// assert_eq!(parts.next(4, true)?.map(|part| part.n_pairs()), Some(1));
/// assert!(parts.next(4, true)?.is_none());
/// # Ok::<(), asyn_data::Error>(())
/// ```
pub struct BitextParts {
    left: Lines,
    /// The other side, if it has a file of its own.
    right: Option<Lines>,
}

impl fmt::Debug for BitextParts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = (&self.left.name, self.right.as_ref().map(|right| &right.name));
        formatter.debug_tuple("BitextParts").field(&names).finish()
    }
}

/// The lines of a file.
struct Lines {
    name: String,
    input: BufReader<Box<dyn Read + Send>>,
    is_gzip: bool,
    n_read: u64,
    bytes: Vec<u8>,
}

impl BitextParts {
    /// Opens a file with `|||` in each line, or standard input where the path is `-`; it may be
    /// gzipped.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Gzip`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { left: Lines::open(path.as_ref())?, right: None })
    }

    /// Opens a file for each side.
    ///
    /// # Errors
    ///
    /// As [`BitextParts::open`].
    pub fn open_pair(left: impl AsRef<Path>, right: impl AsRef<Path>) -> Result<Self> {
        let (left, right) = (Lines::open(left.as_ref())?, Lines::open(right.as_ref())?);
        Ok(Self { left, right: Some(right) })
    }

    /// Reads from any input with `|||` in each line; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// As [`BitextParts::open`].
    pub fn read(name: &str, input: impl Read + Send + 'static) -> Result<Self> {
        Ok(Self { left: Lines::new(name.to_owned(), Box::new(input))?, right: None })
    }

    /// Reads pairs until all have `n_cells` pairs of words or more. Unless it `waits`, a part ends
    /// before a line that would have to be waited for. Returns nothing at the end.
    ///
    /// # Errors
    ///
    /// As [`Bitext::open`] and [`Bitext::open_pair`], with lines counted from the start of the file.
    pub fn next(&mut self, n_cells: usize, waits: bool) -> Result<Option<Bitext>> {
        let n_before = self.left.n_read;
        let mut sides = [String::new(), String::new()];
        let mut n_seen = 0;
        while n_seen < n_cells {
            if self.left.n_read > n_before && !waits && !self.has_line() {
                break;
            }
            let [left_text, right_text] = &mut sides;
            let left = self.left.next(left_text)?;
            let Some(right_lines) = &mut self.right else {
                let Some(n_words) = left else { break };
                // Both sides together have at most the square of half the words.
                n_seen += n_words.saturating_sub(1).pow(2) / 4;
                continue;
            };
            match (left, right_lines.next(right_text)?) {
                (None, None) => break,
                (Some(left), Some(right)) => n_seen += left * right,
                (None, Some(_)) => return Err(unpaired(right_lines, &self.left)),
                (Some(_), None) => return Err(unpaired(&self.left, right_lines)),
            }
        }
        match self.left.n_read {
            0 => return Err(Error::Empty { name: self.left.name.clone() }),
            n_read if n_read == n_before => return Ok(None),
            _ => {}
        }
        let part = match &self.right {
            Some(right) => {
                let texts = [sides[0].as_str(), sides[1].as_str()];
                Bitext::read_pair([&self.left.name, &right.name], texts)
            }
            None => Bitext::read_lines(&self.left.name, &sides[0]),
        };
        part.map(Some).map_err(|error| error.shifted(n_before))
    }

    /// Returns whether a line of each file is there already.
    fn has_line(&self) -> bool {
        self.left.has_line() && self.right.as_ref().is_none_or(Lines::has_line)
    }
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Self::new("standard input".to_owned(), Box::new(io::stdin()));
        }
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::new(name, Box::new(file)),
            Err(source) => Err(Error::Io { action: "open", name, source }),
        }
    }

    fn new(name: String, input: Box<dyn Read + Send>) -> Result<Self> {
        let mut input = BufReader::with_capacity(BYTES_AT_A_TIME, input);
        let is_gzip = match input.fill_buf() {
            Ok(start) => start.starts_with(&GZIP_MAGIC),
            Err(source) => return Err(Error::Io { action: "read", name, source }),
        };
        if is_gzip {
            let decoder: Box<dyn Read + Send> = Box::new(MultiGzDecoder::new(input));
            input = BufReader::with_capacity(BYTES_AT_A_TIME, decoder);
        }
        Ok(Self { name, input, is_gzip, n_read: 0, bytes: Vec::new() })
    }

    /// Adds the next line to a text, and returns the number of its words.
    fn next(&mut self, text: &mut String) -> Result<Option<usize>> {
        self.bytes.clear();
        let read = self.input.read_until(b'\n', &mut self.bytes);
        let n_bytes = read.map_err(|source| {
            let name = self.name.clone();
            match self.is_gzip {
                true => Error::Gzip { name, source },
                false => Error::Io { action: "read", name, source },
            }
        })?;
        if n_bytes == 0 {
            return Ok(None);
        }
        self.n_read += 1;
        let Ok(line) = std::str::from_utf8(&self.bytes) else {
            return Err(Error::Utf8 { name: self.name.clone(), line: self.n_read });
        };
        let line = if self.n_read == 1 {
            line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
        } else {
            line
        };
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push('\n');
        }
        Ok(Some(line.split_whitespace().count()))
    }

    fn has_line(&self) -> bool {
        self.input.buffer().contains(&b'\n')
    }
}

fn unpaired(long: &Lines, short: &Lines) -> Error {
    Error::Unpaired {
        name: long.name.clone(),
        line: long.n_read,
        other: short.name.clone(),
        n_lines: short.n_read,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn all(mut parts: BitextParts, n_cells: usize) -> Result<Vec<usize>> {
        let mut sizes = Vec::new();
        while let Some(part) = parts.next(n_cells, true)? {
            sizes.push(part.n_pairs());
        }
        Ok(sizes)
    }

    fn pair(left: &'static str, right: &'static str) -> BitextParts {
        let lines = |name: &str, text: &'static str| {
            Lines::new(name.to_owned(), Box::new(text.as_bytes())).unwrap()
        };
        BitextParts { left: lines("a", left), right: Some(lines("b", right)) }
    }

    #[test]
    fn parts_are_bounded_and_gzip_is_read() {
        let text = "a b c ||| x y z\n\u{20}||| \na b ||| x y\r\nc ||| z";
        let parts = |bytes: Vec<u8>| BitextParts::read("t", io::Cursor::new(bytes)).unwrap();
        assert_eq!(all(parts(text.into()), 9).unwrap(), [1, 3]);
        assert_eq!(all(parts(text.into()), 1000).unwrap(), [4]);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        let bytes = encoder.finish().unwrap();
        assert_eq!(all(parts(bytes.clone()), 1).unwrap(), [1, 2, 1]);
        let cut = all(parts(bytes[..bytes.len() / 2].to_vec()), 1).unwrap_err();
        assert!(matches!(cut, Error::Gzip { .. }), "{cut}");
        assert_eq!(all(pair("a b\n\nc\n", "x y\n\nz"), 4).unwrap(), [1, 2]);
    }

    #[test]
    fn lines_are_counted_from_the_start_of_the_file() {
        let fault = |parts, n_cells| all(parts, n_cells).unwrap_err().to_string();
        let text = &b"a ||| b\na ||| b\na b\n"[..];
        let parts = BitextParts::read("c", text).unwrap();
        assert_eq!(fault(parts, 1), "c:3: expected two sentences with one ||| between them");
        let parts = BitextParts::read("c", &b"a ||| b\n\xff ||| b\n"[..]).unwrap();
        assert!(fault(parts, 1).starts_with("c:2: "));
        let long = pair("x\nx\n", "x\n");
        assert_eq!(fault(long, 1), "a:2: expected as many lines as in b, which ends after 1");
        let short = pair("x\n", "x\nx\nx\n");
        assert_eq!(fault(short, 9), "b:2: expected as many lines as in a, which ends after 1");
        assert!(matches!(all(pair("", ""), 9), Err(Error::Empty { .. })));
    }
}
