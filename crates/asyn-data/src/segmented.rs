//! Texts of words with white space between them, one sentence a line.
//!
//! Such a text is read in two ways. As *plain text* a token is a word. As *segmented text* a token is
//! a character, a Unicode scalar value, and its label says where it stands in its word: that is what a
//! segmenter learns. Labels are those of a [`Scheme`] without a type, such as `B M E S` or `B I`.
//!
//! White space is what Unicode calls so, the ideographic space among it. Everything else comes back
//! when the characters are joined again: a word then ends where a chunk does, a character outside of
//! all chunks is a word of its own, and words have one space between them. Blank lines are no
//! sentences.

use std::io::{self, BufRead, Write};

use crate::corpus::{Corpus, Sentence};
use crate::error::Result;
use crate::reader::{BYTE_ORDER_MARK, read_text};
use crate::scheme::Scheme;
use crate::spans::Span;

/// Reads plain text: one column, the words.
///
/// ```
/// let corpus = asyn_data::read_plain("example", "He ran .\n\nYes !\n".as_bytes())?;
/// assert_eq!((corpus.n_sentences(), corpus.n_tokens(), corpus.n_columns()), (2, 5, 1));
/// # Ok::<(), asyn_data::Error>(())
/// ```
///
/// # Errors
///
/// As [`read_columns`](crate::read_columns); no line is ragged.
pub fn read_plain(name: &str, input: impl BufRead) -> Result<Corpus> {
    let text = read_text(name, input)?;
    let mut corpus = Corpus::of_text(name, &text, 1, ' ')?;
    for (line, number) in lines(&text) {
        for word in line.split_whitespace() {
            corpus.push([word], number);
        }
        corpus.end_sentence();
    }
    corpus.finish()
}

/// Reads segmented text: two columns, the characters and their labels.
///
/// ```
/// use asyn_data::{Scheme, read_segmented};
///
/// let corpus = read_segmented("example", "春风 拂面 而".as_bytes(), Scheme::Bmes)?;
/// let labels: Vec<&str> = corpus.sentence(0).labels().collect();
/// assert_eq!(labels, ["B", "E", "B", "E", "S"]);
/// # Ok::<(), asyn_data::Error>(())
/// ```
///
/// # Errors
///
/// As [`read_columns`](crate::read_columns); no line is ragged.
pub fn read_segmented(name: &str, input: impl BufRead, scheme: Scheme) -> Result<Corpus> {
    let text = read_text(name, input)?;
    let mut corpus = Corpus::of_text(name, &text, 2, ' ')?;
    let mut buffer = [0; 4];
    for (line, number) in lines(&text) {
        let mut end = 0;
        let words = line.split_whitespace().map(|word| {
            let start = end;
            end += word.chars().count();
            Span { start, end, kind: "" }
        });
        let words: Vec<_> = words.collect();
        let labels = scheme.labels(words, end);
        let characters = line.split_whitespace().flat_map(str::chars);
        for (character, label) in characters.zip(&labels) {
            corpus.push([&*character.encode_utf8(&mut buffer), label.as_str()], number);
        }
        corpus.end_sentence();
    }
    corpus.finish()
}

/// Writes the first column of a corpus with spaces between the cells, one sentence a line.
///
/// # Errors
///
/// Whatever `output` answers.
pub fn write_plain(corpus: &Corpus, mut output: impl Write) -> io::Result<()> {
    for sentence in corpus.sentences() {
        for token in 0..sentence.len() {
            if token > 0 {
                output.write_all(b" ")?;
            }
            output.write_all(sentence.column(token, 0).as_bytes())?;
        }
        output.write_all(b"\n")?;
    }
    Ok(())
}

/// Appends the cells of the first column to `joined`, with a space before every word but the first;
/// `begins` tells for each token whether a word begins there.
///
/// # Panics
///
/// If `begins` has not as many entries as there are tokens.
pub fn join_words(sentence: &Sentence<'_>, begins: &[bool], joined: &mut String) {
    assert_eq!(begins.len(), sentence.len(), "an entry a token");
    for (token, &begins) in begins.iter().enumerate() {
        if begins && token > 0 {
            joined.push(' ');
        }
        joined.push_str(sentence.column(token, 0));
    }
}

/// Writes the words that the last column spells of the first one, one sentence a line.
///
/// # Errors
///
/// Whatever `output` answers.
///
/// # Panics
///
/// If a label is not that of a chunk in any scheme, which [`Scheme::repairs`] finds out.
pub fn write_segmented(corpus: &Corpus, mut output: impl Write) -> io::Result<()> {
    let mut joined = String::new();
    for sentence in corpus.sentences() {
        let labels: Vec<&str> = sentence.labels().collect();
        let begins = Scheme::begins(&labels).expect("labels of words");
        joined.clear();
        join_words(&sentence, &begins, &mut joined);
        joined.push('\n');
        output.write_all(joined.as_bytes())?;
    }
    Ok(())
}

/// Iterates over the lines of a text with their numbers, counted from 1.
fn lines(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).lines().zip(1..)
}
