//! CoNLL-U, the format of Universal Dependencies, read without loss.
//!
//! A line is a word of ten fields with tabs between them, a blank line ends a sentence. The first
//! field is the number of the word in its sentence. Lines of three other kinds are kept and are no
//! tokens: comments, which begin with `#`; ranges such as `3-4`, the written form of several words;
//! and empty nodes such as `5.1`.
//!
//! The text stays in memory as it was read, byte order mark and ends of lines included, with the
//! place of every word in it. So what is written is what was read, except for the field that gets
//! other labels. Heads and relations are not looked into.
//!
//! Source: <https://universaldependencies.org/format.html>.

use std::fmt;
use std::io::{self, BufRead, Write};
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use crate::corpus::Corpus;
use crate::error::{ConlluFault, Error, Result};
use crate::reader::{BYTE_ORDER_MARK, open, read_text};

/// The number of fields of a word.
const N_FIELDS: usize = 10;

/// A field of a word, all but its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The word.
    Form = 1,
    /// Its lemma.
    Lemma,
    /// The universal part of speech.
    Upos,
    /// The part of speech of the language.
    Xpos,
    /// Morphological features.
    Feats,
    /// The number of the head.
    Head,
    /// The relation to the head.
    Deprel,
    /// The enhanced relations.
    Deps,
    /// Anything else.
    Misc,
}

/// A CoNLL-U text.
///
/// ```
/// use asyn_data::{Conllu, Field};
///
/// let text = "# text = Go\n1\tGo\tgo\tVERB\t_\t_\t0\troot\t_\t_\n\n";
/// let conllu = Conllu::read("example", text.as_bytes())?;
/// let corpus = conllu.corpus(&[Field::Form, Field::Upos])?;
/// assert_eq!(corpus.sentence(0).token(0).collect::<Vec<_>>(), ["Go", "VERB"]);
///
/// let mut written = Vec::new();
/// conllu.write_with(Field::Upos, ["NOUN"], &mut written).expect("memory takes it");
/// assert_eq!(written, text.replace("VERB", "NOUN").as_bytes());
/// # Ok::<(), asyn_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Conllu {
    name: String,
    text: String,
    words: Vec<Word>,
    /// The first word of each sentence, and the number of words.
    starts: Vec<usize>,
}

/// A line that is a word.
#[derive(Debug, Clone, Copy)]
struct Word {
    start: usize,
    end: usize,
    line: u64,
}

/// What a sentence has shown so far.
#[derive(Debug, Default)]
struct Numbers {
    n_words: u32,
    /// Empty nodes behind the last word.
    n_empty: u32,
    /// The last range: where it ends, and its line.
    range: Option<(u32, u64)>,
}

impl Field {
    /// All fields, in order.
    pub const ALL: [Self; N_FIELDS - 1] = [
        Self::Form,
        Self::Lemma,
        Self::Upos,
        Self::Xpos,
        Self::Feats,
        Self::Head,
        Self::Deprel,
        Self::Deps,
        Self::Misc,
    ];

    /// Returns the name, in upper case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Form => "FORM",
            Self::Lemma => "LEMMA",
            Self::Upos => "UPOS",
            Self::Xpos => "XPOS",
            Self::Feats => "FEATS",
            Self::Head => "HEAD",
            Self::Deprel => "DEPREL",
            Self::Deps => "DEPS",
            Self::Misc => "MISC",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Field {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|field| field.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|field| field.name()).collect();
            format!("{name} is not one of {}", names.join(", "))
        })
    }
}

impl Conllu {
    /// Reads a file, or standard input where the path is `-`.
    ///
    /// # Errors
    ///
    /// As [`Conllu::read`], and [`Error::Io`] when the file cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        open(path.as_ref(), |name, input| Self::read(name, input))
    }

    /// Reads a text, which may be gzipped; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Gzip`] and [`Error::Utf8`] when the text cannot be had,
    /// [`Error::Conllu`] for the first line that is not as the format says, and [`Error::Empty`]
    /// when there is no word.
    pub fn read(name: &str, input: impl BufRead) -> Result<Self> {
        let text = read_text(name, input)?;
        let mut words = Vec::new();
        let mut starts = vec![0];
        let mut numbers = Numbers::default();
        let refuse = |line, fault| Error::Conllu { name: name.to_owned(), line, fault };
        let mut start =
            if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        let mut line = 0;
        while start < text.len() {
            line += 1;
            let length = text[start..].find('\n').map_or(text.len() - start, |length| length + 1);
            let content = text[start..start + length].trim_end_matches(['\r', '\n']);
            let end = start + content.len();
            if content.trim().is_empty() {
                numbers.check_end().map_err(|(line, fault)| refuse(line, fault))?;
                numbers = Numbers::default();
                if starts.last() != Some(&words.len()) {
                    starts.push(words.len());
                }
            } else if !content.starts_with('#') {
                let is_word = numbers.add(content, line).map_err(|fault| refuse(line, fault))?;
                if is_word {
                    words.push(Word { start, end, line });
                }
            }
            start += length;
        }
        numbers.check_end().map_err(|(line, fault)| refuse(line, fault))?;
        if starts.last() != Some(&words.len()) {
            starts.push(words.len());
        }
        if words.is_empty() {
            return Err(Error::Empty { name: name.to_owned() });
        }
        Ok(Self { name: name.to_owned(), text, words, starts })
    }

    /// Returns the words with some of their fields as columns, in the order given.
    ///
    /// # Errors
    ///
    /// [`Error::TooMany`] when the text passes 4 GiB.
    ///
    /// # Panics
    ///
    /// If `fields` is empty.
    pub fn corpus(&self, fields: &[Field]) -> Result<Corpus> {
        assert!(!fields.is_empty(), "a corpus has columns");
        let mut corpus = Corpus::of_text(&self.name, &self.text, fields.len(), '\t')?;
        for bounds in self.starts.windows(2) {
            for &word in &self.words[bounds[0]..bounds[1]] {
                let values: Vec<&str> = self.text[word.start..word.end].split('\t').collect();
                corpus.push(fields.iter().map(|&field| values[field as usize]), word.line);
            }
            corpus.end_sentence();
        }
        corpus.finish()
    }

    /// Writes the text with other values in one field of its words.
    ///
    /// # Errors
    ///
    /// Whatever `output` answers.
    ///
    /// # Panics
    ///
    /// If there are fewer values than words.
    pub fn write_with<'a>(
        &self,
        field: Field,
        values: impl IntoIterator<Item = &'a str>,
        mut output: impl Write,
    ) -> io::Result<()> {
        let mut values = values.into_iter();
        let mut written = 0;
        for &word in &self.words {
            let place = self.place(word, field);
            let value = values.next().expect("every word has a value");
            output.write_all(&self.text.as_bytes()[written..place.start])?;
            output.write_all(value.as_bytes())?;
            written = place.end;
        }
        output.write_all(&self.text.as_bytes()[written..])
    }

    /// Returns where a field of a word stands in the text.
    fn place(&self, word: Word, field: Field) -> Range<usize> {
        let mut start = word.start;
        let mut values = self.text[word.start..word.end].split('\t');
        for value in values.by_ref().take(field as usize) {
            start += value.len() + 1;
        }
        start..start + values.next().map_or(0, str::len)
    }
}

impl Numbers {
    /// Checks a line that is no comment, and returns whether it is a word.
    fn add(&mut self, content: &str, line: u64) -> Result<bool, ConlluFault> {
        let n_fields = content.split('\t').count();
        if n_fields != N_FIELDS {
            return Err(ConlluFault::Fields { expected: N_FIELDS, actual: n_fields });
        }
        if let Some(empty) = content.split('\t').position(str::is_empty) {
            return Err(ConlluFault::EmptyField { field: empty + 1 });
        }
        let id = content.split('\t').next().unwrap_or_default();
        let unreadable = || ConlluFault::Number(id.to_owned());
        let expected = self.n_words + 1;
        if let Some((first, last)) = id.split_once('-') {
            let first = number(first).ok_or_else(unreadable)?;
            let last = number(last).ok_or_else(unreadable)?;
            let overlaps = self.range.is_some_and(|(end, _)| end >= first);
            if first != expected || last < first || overlaps {
                return Err(ConlluFault::Range { range: id.to_owned(), expected });
            }
            self.range = Some((last, line));
            return Ok(false);
        }
        if let Some((word, place)) = id.split_once('.') {
            let word = number(word).ok_or_else(unreadable)?;
            let place = number(place).ok_or_else(unreadable)?;
            if (word, place) != (self.n_words, self.n_empty + 1) {
                let expected = format!("{}.{}", self.n_words, self.n_empty + 1);
                return Err(ConlluFault::Order { expected, actual: id.to_owned() });
            }
            self.n_empty += 1;
            return Ok(false);
        }
        if number(id).ok_or_else(unreadable)? != expected {
            return Err(ConlluFault::Order {
                expected: expected.to_string(),
                actual: id.to_owned(),
            });
        }
        self.n_words += 1;
        self.n_empty = 0;
        Ok(true)
    }

    /// Refuses a sentence whose last range reaches beyond it, with the line of the range.
    fn check_end(&self) -> Result<(), (u64, ConlluFault)> {
        match self.range {
            Some((end, line)) if end > self.n_words => {
                Err((line, ConlluFault::RangeEnd { end, n_words: self.n_words }))
            }
            _ => Ok(()),
        }
    }
}

/// Reads a number of digits alone.
fn number(digits: &str) -> Option<u32> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Writes a corpus as CoNLL-U; column `i` goes into field `fields[i]`, the others are `_`.
///
/// # Errors
///
/// Whatever `output` answers.
///
/// # Panics
///
/// If the corpus has more columns than there are `fields`.
pub fn write_conllu(corpus: &Corpus, fields: &[Field], mut output: impl Write) -> io::Result<()> {
    for sentence in corpus.sentences() {
        for token in 0..sentence.len() {
            let mut values = ["_"; N_FIELDS];
            for (column, cell) in sentence.token(token).enumerate() {
                values[fields[column] as usize] = cell;
            }
            writeln!(output, "{}\t{}", token + 1, values[1..].join("\t"))?;
        }
        output.write_all(b"\n")?;
    }
    Ok(())
}
