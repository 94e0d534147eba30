//! Pairs of sentences that are translations of each other, as word ids.
//!
//! | Field    | Shape          | Meaning                                     |
//! | -------- | -------------- | ------------------------------------------- |
//! | `ids`    | words of a side | the number of each word in its vocabulary  |
//! | `starts` | `n_pairs + 1`  | where the words of each sentence begin      |
//!
//! A pair is a line of both sides; lines are kept even where a side is empty, so that what is said
//! of pair `n` stands in line `n`.

use std::ops::Range;
use std::path::Path;

use crate::error::{Error, Result};
use crate::reader::open_text;
use crate::strings::{NONE, Strings};

/// What stands between the two sides of a line.
const SEPARATOR: &str = "|||";

/// The distinct words of a language.
#[derive(Debug, Clone, Default)]
pub struct Words(Strings);

/// One side of a [`Bitext`].
#[derive(Debug, Clone)]
pub struct Side {
    words: Words,
    ids: Vec<u32>,
    starts: Vec<usize>,
}

/// Pairs of sentences.
///
/// ```
/// use asyn_data::Bitext;
///
/// let text = "la maison ||| the house\nla fleur ||| the flower\n";
/// let bitext = Bitext::read_lines("example", text)?;
/// assert_eq!(bitext.n_pairs(), 2);
/// let (left, right) = (bitext.left(), bitext.right());
/// assert_eq!(left.words().get(left.sentence(1)[0]), "la");
/// assert_eq!(right.words().find("flower"), Some(right.sentence(1)[1]));
/// # Ok::<(), asyn_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Bitext {
    left: Side,
    right: Side,
}

impl Words {
    /// Makes a vocabulary of words, numbered in their order.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        Self(words.into_iter().collect())
    }

    /// Returns the number of words.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there are no words.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// Returns word `id`.
    ///
    /// # Panics
    ///
    /// If there is no such word.
    pub fn get(&self, id: u32) -> &str {
        self.0.get(id)
    }

    /// Returns the number of a word, if it is there.
    pub fn find(&self, word: &str) -> Option<u32> {
        Some(self.0.find(word)).filter(|&id| id != NONE)
    }

    /// Returns the number of a word, which is added where it is new.
    ///
    /// # Panics
    ///
    /// If all words together pass 4 GiB.
    pub fn learn(&mut self, word: &str) -> u32 {
        self.0.intern(word)
    }

    /// Returns the words as a text, one a line, as model files hold them.
    pub fn to_lines(&self) -> Vec<u8> {
        self.iter().flat_map(|word| word.bytes().chain([b'\n'])).collect()
    }

    /// Makes a vocabulary of what [`Words::to_lines`] returned, if it is that.
    pub fn from_lines(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let words = Self::new(text.split_terminator('\n'));
        (words.len() == text.split_terminator('\n').count()).then_some(words)
    }

    /// Iterates over the words in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter()
    }
}

impl Side {
    /// Reads the words of lines, numbered from the most frequent on, by first occurrence where two
    /// are as frequent.
    ///
    /// # Errors
    ///
    /// [`Error::TooMany`] when the text passes 4 GiB.
    fn of_lines<'a>(
        name: &str,
        n_bytes: usize,
        lines: impl Iterator<Item = &'a str>,
    ) -> Result<Self> {
        if u32::try_from(n_bytes).is_err() {
            let (what, limit) = ("bytes of text", u64::from(u32::MAX));
            let (name, actual) = (name.to_owned(), n_bytes as u64);
            return Err(Error::TooMany { name, what, limit, actual });
        }
        let mut seen = Strings::default();
        let mut counts: Vec<u32> = Vec::new();
        let (mut ids, mut starts) = (Vec::new(), vec![0]);
        for line in lines {
            for word in line.split_whitespace() {
                let id = seen.intern(word);
                if id as usize == counts.len() {
                    counts.push(0);
                }
                counts[id as usize] += 1;
                ids.push(id);
            }
            starts.push(ids.len());
        }
        let mut order: Vec<u32> = (0..).take(counts.len()).collect();
        order.sort_by_key(|&id| std::cmp::Reverse(counts[id as usize]));
        let mut places = vec![0; order.len()];
        for (place, &id) in (0..).zip(&order) {
            places[id as usize] = place;
        }
        ids.iter_mut().for_each(|id| *id = places[*id as usize]);
        let words = Words(order.iter().map(|&id| seen.get(id)).collect());
        Ok(Self { words, ids, starts })
    }

    /// Returns the vocabulary.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// Returns the number of words of all sentences.
    pub fn n_tokens(&self) -> usize {
        self.ids.len()
    }

    /// Returns the word ids of a sentence.
    ///
    /// # Panics
    ///
    /// If there is no such sentence.
    pub fn sentence(&self, pair: usize) -> &[u32] {
        &self.ids[self.range(pair)]
    }

    /// Returns the word ids of all sentences, one after another.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Returns where a sentence lies among all [`ids`](Self::ids).
    ///
    /// # Panics
    ///
    /// If there is no such sentence.
    pub fn range(&self, pair: usize) -> Range<usize> {
        self.starts[pair]..self.starts[pair + 1]
    }

    fn n_lines(&self) -> usize {
        self.starts.len() - 1
    }
}

impl Bitext {
    /// Reads the two sides from a file each, or from standard input where a path is `-`; either may
    /// be gzipped.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Gzip`] and [`Error::Utf8`]; [`Error::Unpaired`] with the first line
    /// that has no other side; [`Error::Empty`] where there is no line at all.
    pub fn open_pair(left: impl AsRef<Path>, right: impl AsRef<Path>) -> Result<Self> {
        let (left, right) = (left.as_ref(), right.as_ref());
        let names = [left, right].map(|path| path.display().to_string());
        Self::read_pair([&names[0], &names[1]], [&open_text(left)?, &open_text(right)?])
    }

    /// Reads both sides from one file, or from standard input where the path is `-`: a pair a line,
    /// with `|||` between its sides.
    ///
    /// # Errors
    ///
    /// As [`Bitext::open_pair`], and [`Error::Text`] for a line without `|||`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::read_lines(&path.display().to_string(), &open_text(path)?)
    }

    /// Reads the two sides from texts; `names` is what errors call them.
    ///
    /// # Errors
    ///
    /// [`Error::Unpaired`], [`Error::Empty`], and [`Error::TooMany`] when a text passes 4 GiB.
    pub fn read_pair(names: [&str; 2], texts: [&str; 2]) -> Result<Self> {
        let side = |at: usize| Side::of_lines(names[at], texts[at].len(), texts[at].lines());
        let (left, right) = (side(0)?, side(1)?);
        let counts = [left.n_lines(), right.n_lines()];
        if counts[0] != counts[1] {
            let short = usize::from(counts[1] < counts[0]);
            return Err(Error::Unpaired {
                name: names[1 - short].to_owned(),
                line: counts[short] as u64 + 1,
                other: names[short].to_owned(),
                n_lines: counts[short] as u64,
            });
        }
        Self { left, right }.not_empty(names[0])
    }

    /// Reads a text with `|||` in each line; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`Error::Text`], [`Error::Empty`], and [`Error::TooMany`] when the text passes 4 GiB.
    pub fn read_lines(name: &str, text: &str) -> Result<Self> {
        for (line, number) in text.lines().zip(1..) {
            if line.split_whitespace().filter(|&word| word == SEPARATOR).count() != 1 {
                let expected = "two sentences with one ||| between them";
                return Err(Error::Text { name: name.to_owned(), line: number, expected });
            }
        }
        // The separator is a word: three bars within a word are part of it.
        let cut = |line: &'_ str| {
            let word = line.split_whitespace().find(|&word| word == SEPARATOR);
            let at = word.map_or(0, |word| word.as_ptr() as usize - line.as_ptr() as usize);
            (at, at + SEPARATOR.len())
        };
        let left = text.lines().map(|line| &line[..cut(line).0]);
        let right = text.lines().map(|line| &line[cut(line).1..]);
        let left = Side::of_lines(name, text.len(), left)?;
        let right = Side::of_lines(name, text.len(), right)?;
        Self { left, right }.not_empty(name)
    }

    fn not_empty(self, name: &str) -> Result<Self> {
        match self.n_pairs() {
            0 => Err(Error::Empty { name: name.to_owned() }),
            _ => Ok(self),
        }
    }

    /// Returns the number of pairs, those with an empty side included.
    pub fn n_pairs(&self) -> usize {
        self.left.n_lines()
    }

    /// Returns the left side.
    pub fn left(&self) -> &Side {
        &self.left
    }

    /// Returns the right side.
    pub fn right(&self) -> &Side {
        &self.right
    }

    /// Returns the numbers of words of a pair, left and right.
    ///
    /// # Panics
    ///
    /// If there is no such pair.
    pub fn lengths(&self, pair: usize) -> (usize, usize) {
        (self.left.sentence(pair).len(), self.right.sentence(pair).len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_numbered_by_frequency_and_sides_by_the_bars() {
        let text = "b a a ||| x\n ||| y|||z y|||z\nc b ||| \n";
        let bitext = Bitext::read_lines("t", text).unwrap();
        assert_eq!(bitext.left().words().iter().collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(bitext.right().words().iter().collect::<Vec<_>>(), ["y|||z", "x"]);
        let lengths: Vec<_> = (0..3).map(|pair| bitext.lengths(pair)).collect();
        assert_eq!(lengths, [(3, 1), (0, 2), (2, 0)]);
        assert_eq!(bitext.left().sentence(2), [2, 0]);
        assert_eq!((bitext.left().n_tokens(), bitext.right().words().find("w")), (5, None));
    }

    #[test]
    fn what_does_not_pair_up_is_told_with_its_line() {
        let pair = |texts| Bitext::read_pair(["a", "b"], texts).unwrap_err().to_string();
        assert_eq!(
            pair(["x\ny\nz", "x"]),
            "a:2: expected as many lines as in b, which ends after 1"
        );
        assert_eq!(
            pair(["x\n", "x\ny\n"]),
            "b:2: expected as many lines as in a, which ends after 1"
        );
        let lines = |text| Bitext::read_lines("c", text).unwrap_err().to_string();
        assert_eq!(
            lines("a ||| b\na b\n"),
            "c:2: expected two sentences with one ||| between them"
        );
        assert_eq!(lines("a ||| b ||| c"), "c:1: expected two sentences with one ||| between them");
        assert!(matches!(Bitext::read_lines("d", ""), Err(Error::Empty { .. })));
    }
}
