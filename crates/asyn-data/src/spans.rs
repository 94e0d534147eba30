//! Scores of typed spans, in any of the tag schemes.
//!
//! A tag is `O`, or a prefix and a type around the first hyphen. Prefixes are those of IOB1, IOB2,
//! IOBES, BILOU and BMES: `B` begins a span, `E` and `L` end one, `S` and `U` are one of a single
//! token, all others go on. Between two neighbouring tags, where the ends of a sentence count as `O`,
//!
//! - a span **ends** if the first is not `O` and the second is `O`, has another type or begins a span,
//!   or the first ends one;
//! - a span **begins** if the second is not `O` and the first is `O`, has another type or ends a span,
//!   or the second begins one.
//!
//! These are the rules of the classic scorer, except that it does not know `E`, `S`, `L` and `U` as
//! well as this does. A predicted span is correct when a gold span has the same first and last token
//! and the same type.

use std::collections::BTreeMap;

use crate::conlleval::{Chunks, Score};

/// A span of tokens with its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span<'a> {
    /// The first token.
    pub start: usize,
    /// The token behind the last one.
    pub end: usize,
    /// What stands behind the hyphen; nothing where there is none.
    pub kind: &'a str,
}

/// Returns the spans of a sentence, in order.
///
/// ```
/// use asyn_data::spans::{Span, spans};
///
/// let found = spans(["S-PER", "S-PER", "O", "I-LOC", "I-LOC"]);
/// assert_eq!(found.len(), 3);
/// assert_eq!(found[2], Span { start: 3, end: 5, kind: "LOC" });
/// ```
pub fn spans<'a>(tags: impl IntoIterator<Item = &'a str>) -> Vec<Span<'a>> {
    let mut found: Vec<Span<'a>> = Vec::new();
    let mut last = None;
    for (token, tag) in tags.into_iter().enumerate() {
        let tag = Tag::parse(tag);
        if let Some(tag) = tag {
            match found.last_mut() {
                Some(span) if last.is_some_and(|last| tag.joins(last)) => span.end = token + 1,
                _ => found.push(Span { start: token, end: token + 1, kind: tag.kind }),
            }
        }
        last = tag;
    }
    found
}

/// What the labels of a model say about spans.
///
/// ```
/// use asyn_data::spans::SpanLabels;
///
/// let labels = SpanLabels::new(&["O", "B-X", "I-X", "I-Y"]);
/// assert_eq!(labels.kinds(), ["X", "Y"]);
/// assert_eq!((labels.kind(0), labels.kind(3)), (None, Some(1)));
/// assert!(labels.joins(1, 2) && !labels.joins(2, 1) && !labels.joins(2, 3));
/// ```
#[derive(Debug, Clone)]
pub struct SpanLabels {
    kinds: Vec<String>,
    /// For each label.
    kind_of: Vec<Option<usize>>,
    /// `Y × Y`, by previous label and label.
    joins: Vec<bool>,
}

impl SpanLabels {
    /// Takes labels apart; label `i` is `labels[i]`.
    pub fn new<S: AsRef<str>>(labels: &[S]) -> Self {
        let tags: Vec<Option<Tag<'_>>> =
            labels.iter().map(|label| Tag::parse(label.as_ref())).collect();
        let mut kinds: Vec<String> = tags.iter().flatten().map(|tag| tag.kind.to_owned()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let kind_of = tags
            .iter()
            .map(|tag| tag.map(|tag| kinds.partition_point(|kind| kind.as_str() < tag.kind)))
            .collect();
        let joins = tags
            .iter()
            .flat_map(|last| tags.iter().map(move |tag| tag.zip(*last)))
            .map(|pair| pair.is_some_and(|(tag, last)| tag.joins(last)))
            .collect();
        Self { kinds, kind_of, joins }
    }

    /// Returns the number of labels.
    pub fn n_labels(&self) -> usize {
        self.kind_of.len()
    }

    /// Returns the types of spans, in alphabetical order.
    pub fn kinds(&self) -> &[String] {
        &self.kinds
    }

    /// Returns the number of the type of `label` in [`kinds`](Self::kinds), or nothing if it is
    /// outside of spans.
    ///
    /// # Panics
    ///
    /// If there is no such label.
    pub fn kind(&self, label: usize) -> Option<usize> {
        self.kind_of[label]
    }

    /// Returns whether the span that `previous` belongs to goes on at `label`.
    ///
    /// # Panics
    ///
    /// If there is no such label.
    pub fn joins(&self, previous: usize, label: usize) -> bool {
        self.joins[previous * self.n_labels() + label]
    }
}

/// Counts of tokens and spans, to be added to sentence by sentence.
///
/// ```
/// use asyn_data::spans::Counts;
///
/// let mut counts = Counts::default();
/// counts.add(&["S-PER", "S-PER", "O"], &["S-PER", "B-PER", "E-PER"]);
/// let score = counts.score();
/// assert_eq!((score.overall.correct, score.overall.predicted, score.overall.gold), (1, 2, 2));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Counts {
    score: Score,
}

impl Counts {
    /// Adds a sentence, and returns its own spans.
    ///
    /// # Panics
    ///
    /// If there are more gold tags than predicted ones, or fewer.
    pub fn add(&mut self, gold: &[&str], predicted: &[&str]) -> Chunks {
        assert_eq!(gold.len(), predicted.len(), "gold and predicted tags");
        self.score.n_tokens += gold.len() as u64;
        let n_correct_tags = gold.iter().zip(predicted).filter(|(g, p)| g == p).count();
        self.score.n_correct_tags += n_correct_tags as u64;
        let gold = spans(gold.iter().copied());
        let predicted = spans(predicted.iter().copied());
        let mut sentence = Chunks::default();
        let by_type = &mut self.score.by_type;
        let mut count = |span: &Span<'_>, chunks: Chunks| {
            sentence.add(chunks);
            kind(by_type, span.kind).add(chunks);
        };
        for span in &gold {
            // Both lists are ascending, since the spans of a sentence do not overlap.
            let correct = u64::from(predicted.binary_search(span).is_ok());
            count(span, Chunks { gold: 1, predicted: 0, correct });
        }
        for span in &predicted {
            count(span, Chunks { gold: 0, predicted: 1, correct: 0 });
        }
        self.score.overall.add(sentence);
        sentence
    }

    /// Returns the score of all that was added.
    pub fn score(&self) -> &Score {
        &self.score
    }
}

/// A tag other than `O`, taken apart.
#[derive(Debug, Clone, Copy)]
struct Tag<'a> {
    prefix: &'a str,
    kind: &'a str,
}

impl<'a> Tag<'a> {
    fn parse(tag: &'a str) -> Option<Self> {
        let (prefix, kind) = tag.split_once('-').unwrap_or((tag, ""));
        (tag != "O").then_some(Self { prefix, kind })
    }

    /// Returns whether this tag goes on with the span of the one before.
    fn joins(self, last: Self) -> bool {
        self.kind == last.kind
            && !matches!(self.prefix, "B" | "S" | "U")
            && !matches!(last.prefix, "E" | "L" | "S" | "U")
    }
}

fn kind<'m>(by_type: &'m mut BTreeMap<String, Chunks>, kind: &str) -> &'m mut Chunks {
    if !by_type.contains_key(kind) {
        by_type.insert(kind.to_owned(), Chunks::default());
    }
    by_type.get_mut(kind).expect("it was put there")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conlleval;
    use crate::random::Random;

    #[track_caller]
    fn check(tags: &[&str], expected: &[(usize, usize, &str)]) {
        let found = spans(tags.iter().copied());
        let found: Vec<_> = found.iter().map(|span| (span.start, span.end, span.kind)).collect();
        assert_eq!(found, expected, "{tags:?}");
    }

    #[test]
    fn every_scheme_writes_the_same_spans() {
        let expected = [(0, 2, "X"), (2, 3, "X"), (4, 7, "Y")];
        check(&["I-X", "I-X", "B-X", "O", "I-Y", "I-Y", "I-Y"], &expected);
        check(&["B-X", "I-X", "B-X", "O", "B-Y", "I-Y", "I-Y"], &expected);
        check(&["B-X", "E-X", "S-X", "O", "B-Y", "I-Y", "E-Y"], &expected);
        check(&["B-X", "L-X", "U-X", "O", "B-Y", "I-Y", "L-Y"], &expected);
        check(&["B", "M", "E", "S", "B", "E"], &[(0, 3, ""), (3, 4, ""), (4, 6, "")]);
        check(&["B-X", "I-Y", "E-Y", "I-Y"], &[(0, 1, "X"), (1, 3, "Y"), (3, 4, "Y")]);
    }

    #[test]
    fn iob_tags_score_as_in_the_classic_scorer() {
        let tags = ["O", "B-X", "I-X", "B-Y", "I-Y"];
        let mut random = Random::new(7);
        for _ in 0..300 {
            let mut draw = || {
                (0..9)
                    .map(|_| tags[usize::try_from(random.below(5)).unwrap()])
                    .collect::<Vec<&str>>()
            };
            let (gold, predicted) = (draw(), draw());
            let (mut strict, mut classic) = (Counts::default(), conlleval::Counts::default());
            let sentence = strict.add(&gold, &predicted);
            assert_eq!(sentence, classic.add(gold.iter().copied(), predicted.iter().copied()));
            assert_eq!(*strict.score(), classic.score());
        }
    }
}
