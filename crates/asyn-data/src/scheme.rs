//! Tag schemes: how labels spell the chunks of a sentence.
//!
//! A label is `O`, or a letter and a type around the first hyphen; without a hyphen the type is
//! empty, as in word segmentation. A chunk of one, two and four tokens, and a second one of the same
//! type right behind the first, in the schemes known here:
//!
//! | Scheme  | One | Two   | Four      | Right behind a chunk of its type    |
//! | ------- | --- | ----- | --------- | ----------------------------------- |
//! | `iob1`  | `I` | `I I` | `I I I I` | begins with `B`                     |
//! | `iob2`  | `B` | `B I` | `B I I I` | the same                            |
//! | `iobes` | `S` | `B E` | `B I I E` | the same                            |
//! | `bilou` | `U` | `B L` | `B I I L` | the same                            |
//! | `bmes`  | `S` | `B E` | `B M M E` | the same                            |
//!
//! No letter means different things in two schemes, so all are read by one rule: there is a
//! boundary between two neighbouring tokens if either is outside, if their types differ, if the first
//! ends a chunk (`E`, `L`, `S`, `U`) or the second begins one (`B`, `S`, `U`). As in
//! [`conlleval`](crate::conlleval), an `I` behind `O` or another type begins a chunk; where that
//! scorer is silent, as about `B` behind `E`, the rule speaks. A scheme then spells the chunks in its
//! own way. What it would have spelt otherwise than the file does is a *repair*.

use std::fmt;

use rustc_hash::FxHashSet;

use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::spans::Span;

/// A way to spell chunks.
///
/// ```
/// use asyn_data::Scheme;
///
/// let labels = ["I-NP", "I-NP", "B-NP", "O"];
/// let spelt = Scheme::Iobes.respell(&labels).expect("labels of chunks");
/// assert_eq!(spelt, ["B-NP", "E-NP", "S-NP", "O"]);
/// assert!(!Scheme::Iobes.allows(Some("B-NP"), Some("O")));
/// assert!(!Scheme::Iob2.allows(None, Some("I-NP")));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// `I`, and `B` where a chunk follows one of its type (Ramshaw and Marcus, 1995).
    Iob1,
    /// `B` for the first token of every chunk, `I` for the others; also called BIO.
    Iob2,
    /// `S` for a chunk of one token, otherwise `B`, `I` and `E`; also called BIOES.
    Iobes,
    /// As [`Scheme::Iobes`] with `L` and `U` in place of `E` and `S`.
    Bilou,
    /// As [`Scheme::Iobes`] with `M` in place of `I`: the labels of word segmentation.
    Bmes,
}

/// A label that its scheme would have spelt otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The line in the source, counted from 1.
    pub line: u64,
    /// The label in the source.
    pub found: String,
    /// How the scheme spells the chunk that was read.
    pub meant: String,
}

/// What a label says of its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Outside,
    Begin,
    Inside,
    End,
    Single,
}

/// A label that was taken apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tag<'a> {
    pub(crate) place: Place,
    pub(crate) kind: &'a str,
}

/// What the ends of a sentence count as.
const OUTSIDE: Tag<'static> = Tag { place: Place::Outside, kind: "" };

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, found, meant } = self;
        write!(f, "{line}: {found} is read as {meant}")
    }
}

impl Scheme {
    /// All schemes; where a choice is open, the earlier one is taken.
    pub const ALL: [Self; 5] = [Self::Iob2, Self::Iob1, Self::Iobes, Self::Bilou, Self::Bmes];

    /// Returns the name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iob1 => "iob1",
            Self::Iob2 => "iob2",
            Self::Iobes => "iobes",
            Self::Bilou => "bilou",
            Self::Bmes => "bmes",
        }
    }

    /// Guesses the scheme of a set of labels, or returns `None` where it is not one of chunk labels
    /// of one scheme.
    ///
    /// IOB1 and IOB2 use the same letters; IOB1 is guessed only if a type has an `I` and no `B`.
    /// [`Scheme::of_corpus`] looks at the order of the labels and tells the two apart.
    pub fn guess<S: AsRef<str>>(labels: &[S]) -> Option<Self> {
        let tags: Option<Vec<Tag<'_>>> = labels.iter().map(|label| parse(label.as_ref())).collect();
        let tags = tags?;
        let has_letters_of =
            |scheme: &Self| labels.iter().all(|label| scheme.has_letter_of(label.as_ref()));
        let scheme = Self::ALL.into_iter().find(has_letters_of)?;
        let kinds = |place| tags.iter().filter(move |tag| tag.place == place).map(|tag| tag.kind);
        let lacks_begin = |kind| !kinds(Place::Begin).any(|other| other == kind);
        let is_iob1 = scheme == Self::Iob2 && kinds(Place::Inside).any(lacks_begin);
        Some(if is_iob1 { Self::Iob1 } else { scheme })
    }

    /// Returns the scheme that needs the fewest repairs for the last column of a corpus, or `None`
    /// where that column holds something else than labels of chunks.
    pub fn of_corpus(corpus: &Corpus) -> Option<Self> {
        let mut n_repairs = [0_u64; Self::ALL.len()];
        let mut tags = Vec::new();
        for sentence in corpus.sentences() {
            tags.clear();
            for label in sentence.labels() {
                tags.push(parse(label)?);
            }
            for (token, label) in sentence.labels().enumerate() {
                for (scheme, n_repairs) in Self::ALL.iter().zip(&mut n_repairs) {
                    *n_repairs += u64::from(first_letter(label) != scheme.letter(&tags, token));
                }
            }
        }
        let fewest = *n_repairs.iter().min()?;
        let found = Self::ALL.iter().zip(n_repairs).find(|&(_, n_repairs)| n_repairs == fewest);
        found.map(|(&scheme, _)| scheme)
    }

    /// Returns the scheme that allows every one of these sequences of label ids, or `None` where there
    /// is none or a label is not one of chunks.
    ///
    /// Of schemes that allow all of them the first of [`Scheme::ALL`] is taken.
    pub(crate) fn of_sequences<'a>(
        labels: &[String],
        sequences: impl Iterator<Item = &'a [u16]>,
    ) -> Option<Self> {
        labels.iter().map(|label| parse(label)).collect::<Option<Vec<_>>>()?;
        let label = |id: u16| labels.get(usize::from(id)).map(String::as_str);
        // There is no label of this number: it stands for the ends of a sentence.
        let end = u16::MAX;
        let mut pairs = FxHashSet::default();
        for sequence in sequences {
            let mut last = end;
            for &id in sequence.iter().chain([&end]) {
                pairs.insert((last, id));
                last = id;
            }
        }
        let allows_all = |scheme: &Self| {
            pairs.iter().all(|&(last, next)| scheme.allows(label(last), label(next)))
        };
        Self::ALL.into_iter().find(allows_all)
    }

    /// Returns whether label `next` may stand behind label `last`; `None` is an end of the sentence.
    ///
    /// A sequence of labels needs no repair if and only if the scheme allows each pair of neighbours,
    /// the ends included. A label that is not one of the scheme is never allowed.
    pub fn allows(self, last: Option<&str>, next: Option<&str>) -> bool {
        let (Some(last), Some(next)) = (self.tag(last), self.tag(next)) else {
            return false;
        };
        let is_boundary = is_boundary(last, next);
        let goes_on = matches!(last.place, Place::Begin | Place::Inside);
        let continues = matches!(next.place, Place::Inside | Place::End);
        match self {
            Self::Iob2 => !(continues && is_boundary),
            Self::Iob1 => next.place != Place::Begin || follows_its_kind(last, next),
            Self::Iobes | Self::Bilou | Self::Bmes => {
                goes_on != is_boundary && continues != is_boundary
            }
        }
    }

    /// Returns the labels of the same chunks in this scheme, or `None` where something else than the
    /// label of a chunk, in any scheme, is among `labels`.
    pub fn respell<S: AsRef<str>>(self, labels: &[S]) -> Option<Vec<String>> {
        let tags: Option<Vec<Tag<'_>>> = labels.iter().map(|label| parse(label.as_ref())).collect();
        let tags = tags?;
        Some((0..tags.len()).map(|token| self.spell(&tags, token)).collect())
    }

    /// Returns for each label whether a chunk begins at its token, or the token is outside of all or
    /// comes behind one that is; `None` as [`Scheme::respell`].
    pub fn begins(labels: &[&str]) -> Option<Vec<bool>> {
        let tags: Option<Vec<Tag<'_>>> = labels.iter().map(|label| parse(label)).collect();
        let tags = tags?;
        let before = std::iter::once(&OUTSIDE).chain(&tags);
        Some(before.zip(&tags).map(|(&last, &tag)| is_boundary(last, tag)).collect())
    }

    /// Returns the labels of `n_tokens` tokens with these spans, which [`spans`](crate::spans::spans)
    /// finds again.
    ///
    /// # Panics
    ///
    /// If a span reaches beyond the tokens.
    pub fn labels<'a>(
        self,
        spans: impl IntoIterator<Item = Span<'a>>,
        n_tokens: usize,
    ) -> Vec<String> {
        let mut tags = vec![OUTSIDE; n_tokens];
        for Span { start, end, kind } in spans {
            let mut place = Place::Begin;
            for tag in &mut tags[start..end] {
                *tag = Tag { place, kind };
                place = Place::Inside;
            }
        }
        (0..n_tokens).map(|token| self.spell(&tags, token)).collect()
    }

    /// Returns the labels in the last column of a corpus that this scheme would have spelt otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::Label`] for the first that is not the label of a chunk in any scheme.
    pub fn repairs(self, corpus: &Corpus) -> Result<Vec<Repair>> {
        let mut repairs = Vec::new();
        for sentence in corpus.sentences() {
            let labels: Vec<&str> = sentence.labels().collect();
            let spelt = self.respell(&labels).ok_or_else(|| not_a_chunk(corpus, sentence))?;
            for (token, (found, meant)) in labels.into_iter().zip(spelt).enumerate() {
                if found != meant {
                    let line = sentence.line(token);
                    repairs.push(Repair { line, found: found.to_owned(), meant });
                }
            }
        }
        Ok(repairs)
    }

    /// Spells the chunks in the last column of a corpus in this scheme.
    ///
    /// # Errors
    ///
    /// [`Error::Label`] for the first label that is not that of a chunk in any scheme.
    pub fn convert(self, corpus: &mut Corpus) -> Result<()> {
        let mut labels = Vec::with_capacity(corpus.n_tokens());
        for sentence in corpus.sentences() {
            let found: Vec<&str> = sentence.labels().collect();
            let spelt = self.respell(&found).ok_or_else(|| not_a_chunk(corpus, sentence))?;
            labels.extend(spelt);
        }
        corpus.set_labels(labels.iter().map(String::as_str));
        Ok(())
    }

    fn spell(self, tags: &[Tag<'_>], token: usize) -> String {
        with_kind(self.letter(tags, token), tags[token].kind)
    }

    /// Writes the label of a token of which it is known whether a chunk begins there, behind one of
    /// its own type or not, and whether it ends there.
    pub(crate) fn write(self, tag: Tag<'_>, begins: bool, follows: bool, ends: bool) -> String {
        with_kind(self.letter_of(tag, begins, follows, ends), tag.kind)
    }

    /// Returns the letter of a token.
    fn letter(self, tags: &[Tag<'_>], token: usize) -> &'static str {
        let tag = tags[token];
        let last = token.checked_sub(1).map_or(OUTSIDE, |last| tags[last]);
        let next = tags.get(token + 1).copied().unwrap_or(OUTSIDE);
        let follows = follows_its_kind(last, tag);
        self.letter_of(tag, is_boundary(last, tag), follows, is_boundary(tag, next))
    }

    fn letter_of(self, tag: Tag<'_>, begins: bool, follows: bool, ends: bool) -> &'static str {
        if tag.place == Place::Outside {
            return "O";
        }
        match (self, begins, ends) {
            (Self::Iob1, true, _) if follows => "B",
            (Self::Iob1, ..) | (Self::Iob2, false, _) => "I",
            (Self::Bmes, false, false) => "M",
            (Self::Bilou, false, true) => "L",
            (Self::Bilou, true, true) => "U",
            (Self::Iobes | Self::Bilou, false, false) => "I",
            (Self::Iobes | Self::Bmes, false, true) => "E",
            (Self::Iobes | Self::Bmes, true, true) => "S",
            (Self::Iob2, true, _) | (_, true, false) => "B",
        }
    }

    /// Takes a label of this scheme apart; an end of the sentence counts as outside.
    fn tag(self, label: Option<&str>) -> Option<Tag<'_>> {
        match label {
            None => Some(OUTSIDE),
            Some(label) => parse(label).filter(|_| self.has_letter_of(label)),
        }
    }

    fn has_letter_of(self, label: &str) -> bool {
        let letters = match self {
            Self::Iob1 | Self::Iob2 => "BI",
            Self::Iobes => "BIES",
            Self::Bilou => "BILU",
            Self::Bmes => "BMES",
        };
        parse(label)
            .is_some_and(|tag| tag.place == Place::Outside || letters.contains(first_letter(label)))
    }
}

/// Returns whether no chunk holds both of two neighbouring tokens.
pub(crate) fn is_boundary(last: Tag<'_>, next: Tag<'_>) -> bool {
    last.kind != next.kind
        || matches!(last.place, Place::Outside | Place::End | Place::Single)
        || matches!(next.place, Place::Outside | Place::Begin | Place::Single)
}

/// Returns whether a chunk is followed by one of its own type.
pub(crate) fn follows_its_kind(last: Tag<'_>, next: Tag<'_>) -> bool {
    last.place != Place::Outside && last.kind == next.kind
}

/// Takes a label apart, or returns `None` where it is not the label of a chunk.
pub(crate) fn parse(label: &str) -> Option<Tag<'_>> {
    let (letter, kind) = split(label);
    let place = match letter {
        "O" if label == "O" => Place::Outside,
        "B" => Place::Begin,
        "I" | "M" => Place::Inside,
        "E" | "L" => Place::End,
        "S" | "U" => Place::Single,
        _ => return None,
    };
    Some(Tag { place, kind })
}

fn with_kind(letter: &str, kind: &str) -> String {
    if kind.is_empty() { letter.to_owned() } else { format!("{letter}-{kind}") }
}

pub(crate) fn split(label: &str) -> (&str, &str) {
    label.split_once('-').unwrap_or((label, ""))
}

fn first_letter(label: &str) -> &str {
    split(label).0
}

/// Returns the error about the first label of a sentence that is not one of a chunk.
fn not_a_chunk(corpus: &Corpus, sentence: crate::Sentence<'_>) -> Error {
    let token = sentence.labels().position(|label| parse(label).is_none()).unwrap_or(0);
    let label = sentence.column(token, sentence.n_columns() - 1).to_owned();
    Error::Label { name: corpus.name().to_owned(), line: sentence.line(token), label }
}
