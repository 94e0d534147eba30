//! A column file in blocks of whole sentences, so that a stream of any length needs little memory.
//!
//! A block ends with the last blank line that has been read so far. What comes through a pipe is
//! therefore passed on as soon as a sentence is whole.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use asyn::data::{Error, Format};
use flate2::read::MultiGzDecoder;

/// How many bytes are asked for at a time.
const BYTES_AT_A_TIME: usize = 1 << 18;

/// The first two bytes of every gzip file (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads a file block by block.
pub(crate) struct Blocks {
    name: String,
    input: Box<dyn Read + Send>,
    is_gzip: bool,
    /// What was read and is not yet part of a block.
    rest: Vec<u8>,
    /// The number of the first line of `rest`, counted from 1.
    line: u64,
    format: Format,
    is_done: bool,
}

/// Whole sentences, as bytes.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) bytes: Vec<u8>,
    /// The number of the first line, counted from 1.
    pub(crate) line: u64,
}

impl Blocks {
    /// Opens a file, or standard input where the path is `-`, whose sentences end as `format` says.
    pub(crate) fn open(path: &Path, format: Format) -> Result<Self, Error> {
        let (name, file): (String, Box<dyn Read + Send>) = if path == Path::new("-") {
            ("standard input".to_owned(), Box::new(io::stdin()))
        } else {
            let name = path.display().to_string();
            match File::open(path) {
                Ok(file) => (name, Box::new(file)),
                Err(source) => return Err(Error::Io { action: "open", name, source }),
            }
        };
        let mut file = BufReader::with_capacity(BYTES_AT_A_TIME, file);
        let is_gzip = match file.fill_buf() {
            Ok(start) => start.starts_with(&GZIP_MAGIC),
            Err(source) => return Err(Error::Io { action: "read", name, source }),
        };
        let input: Box<dyn Read + Send> =
            if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        Ok(Self { name, input, is_gzip, rest: Vec::new(), line: 1, format, is_done: false })
    }

    /// Returns what errors call the file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Reads until a sentence is whole, and returns all that are.
    fn read(&mut self) -> Result<Option<Block>, Error> {
        while !self.is_done {
            let before = self.rest.len();
            self.rest.resize(before + BYTES_AT_A_TIME, 0);
            let result = self.input.read(&mut self.rest[before..]);
            self.rest.truncate(before + result.as_ref().map_or(0, |&n_bytes| n_bytes));
            let end = match result {
                Ok(0) => {
                    self.is_done = true;
                    Some(self.rest.len())
                }
                Ok(_) if self.format.has_line_sentences() => line_end(&self.rest, before),
                // Blank lines may stand anywhere in trees.
                Ok(_) if self.format == Format::Trees => None,
                Ok(_) => sentence_end(&self.rest, before),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
                Err(source) => {
                    self.is_done = true;
                    return Err(self.error(source));
                }
            };
            if let Some(end) = end.filter(|&end| end > 0) {
                let rest = self.rest.split_off(end);
                let bytes = std::mem::replace(&mut self.rest, rest);
                let line = self.line;
                self.line += bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
                return Ok(Some(Block { bytes, line }));
            }
        }
        Ok(None)
    }

    fn error(&self, source: io::Error) -> Error {
        let name = self.name.clone();
        if self.is_gzip {
            Error::Gzip { name, source }
        } else {
            Error::Io { action: "read", name, source }
        }
    }
}

impl Iterator for Blocks {
    type Item = Result<Block, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

impl Block {
    /// Reads the sentences with `read`; nothing where there is no token.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&[u8]) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match read(&self.bytes) {
            Ok(content) => Ok(Some(content)),
            Err(Error::Empty { .. }) => Ok(None),
            // Lines were counted from the start of the block.
            Err(error) => Err(error.shifted(self.line - 1)),
        }
    }
}

/// Returns where the last line ends, if there is an end behind `from`.
fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    let last = bytes[from..].iter().rposition(|&byte| byte == b'\n');
    last.map(|at| from + at + 1)
}

/// Returns where the last blank line ends, if there is one behind the line that `from` is in.
fn sentence_end(bytes: &[u8], from: usize) -> Option<usize> {
    let is_line_feed = |&byte: &u8| byte == b'\n';
    let start = bytes[..from].iter().rposition(is_line_feed).unwrap_or(0);
    let mut line_end = None;
    let mut end = bytes.len();
    while let Some(at) = bytes[start..end].iter().rposition(is_line_feed) {
        let at = start + at;
        if let Some(line_end) = line_end
            && bytes[at..line_end].iter().all(u8::is_ascii_whitespace)
        {
            return Some(line_end + 1);
        }
        line_end = Some(at);
        end = at;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n_bytes = self.1.min(self.0.len()).min(buffer.len());
            buffer[..n_bytes].copy_from_slice(&self.0[..n_bytes]);
            self.0 = &self.0[n_bytes..];
            Ok(n_bytes)
        }
    }

    fn blocks(text: &'static str, step: usize, format: Format) -> Vec<(u64, String)> {
        let blocks = Blocks {
            name: "test".to_owned(),
            input: Box::new(Drip(text.as_bytes(), step)),
            is_gzip: false,
            rest: Vec::new(),
            line: 1,
            format,
            is_done: false,
        };
        let text = |block: Block| (block.line, String::from_utf8(block.bytes).unwrap());
        blocks.map(|block| text(block.unwrap())).collect()
    }

    #[test]
    fn blocks_are_whole_sentences_however_the_bytes_come() {
        let text = "a\nb\n\nc\n \t\r\nd\r\n\r\n\ne";
        for step in 1..=text.len() {
            let blocks = blocks(text, step, Format::Columns);
            let joined: String = blocks.iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(joined, text);
            let mut line = 1;
            for (first_line, text) in &blocks {
                assert_eq!(*first_line, line);
                line += text.matches('\n').count() as u64;
            }
            for (_, text) in &blocks[..blocks.len() - 1] {
                let last = text.trim_end_matches('\n').rsplit('\n').next().unwrap();
                assert!(text.ends_with("\n\n") || last.trim().is_empty(), "{text:?}");
            }
        }
        assert_eq!(blocks(text, 1, Format::Columns)[0], (1, "a\nb\n\n".to_owned()));
        assert_eq!(blocks(text, 1, Format::Trees), [(1, text.to_owned())]);
        let lines = [(1, "a\n"), (2, "b\n"), (3, "\n"), (4, "c")];
        let found = blocks("a\nb\n\nc", 1, Format::Text);
        assert_eq!(found, lines.map(|(line, text)| (line, text.to_owned())));
    }
}
