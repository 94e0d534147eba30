//! Scores of typed spans, in any of the tag schemes.
//!
//! Tags are read by the rule of [`Scheme`](crate::Scheme), whatever their scheme. A tag that is of no
//! scheme goes on with the span before it, if that is of the same type. These are the rules of the
//! classic scorer, except that it does not know `E`, `S`, `L` and `U` as well. A predicted span is
//! correct when a gold span has the same first and last token and the same type.

use std::collections::BTreeMap;

use crate::conlleval::{Chunks, Score};
use crate::scheme::{self, Place, Tag, is_boundary};

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
    let mut last: Option<Tag<'_>> = None;
    for (token, tag) in tags.into_iter().enumerate() {
        let tag = parse(tag);
        match found.last_mut() {
            Some(span) if last.is_some_and(|last| !is_boundary(last, tag)) => span.end = token + 1,
            _ if tag.place == Place::Outside => {}
            _ => found.push(Span { start: token, end: token + 1, kind: tag.kind }),
        }
        last = Some(tag);
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
        let tags: Vec<Tag<'_>> = labels.iter().map(|label| parse(label.as_ref())).collect();
        let is_inside = |tag: &&Tag<'_>| tag.place != Place::Outside;
        let mut kinds: Vec<String> =
            tags.iter().filter(is_inside).map(|tag| tag.kind.to_owned()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let kind_of = |tag: &Tag<'_>| kinds.partition_point(|kind| kind.as_str() < tag.kind);
        let kind_of = tags.iter().map(|tag| is_inside(&tag).then(|| kind_of(tag))).collect();
        let pairs = tags.iter().flat_map(|&last| tags.iter().map(move |&tag| (last, tag)));
        let joins = pairs.map(|(last, tag)| !is_boundary(last, tag)).collect();
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

/// Takes a tag apart, of whatever scheme.
fn parse(tag: &str) -> Tag<'_> {
    scheme::parse(tag).unwrap_or(Tag { place: Place::Inside, kind: scheme::split(tag).1 })
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
