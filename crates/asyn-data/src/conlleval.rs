//! Chunk scores as the classic scorer of the CoNLL shared tasks computes and prints them.
//!
//! A tag is `O`, or a prefix and a type around the first hyphen: `B-NP`, `I-B-C`. Between two
//! neighbouring tags, where the ends of a sentence count as `O`:
//!
//! - a chunk **begins** at a tag other than `O` if the type changes, if the tag is `B` behind `B`,
//!   `I` or `O`, if the tag is `I` or `E` behind `E` or `O`;
//! - a chunk **ends** before the next tag, if the type changes, if that tag is `B` or `O` behind
//!   `B` or `I`, if it is `E`, `I` or `O` behind `E`.
//!
//! So an `I-NP` behind `O` or another type begins a chunk. Other prefixes, such as `S`, matter only
//! where the type changes; this and the silence about `B` behind `E` are those of the original,
//! which knows IOB tags best. A predicted chunk is correct when it begins and ends where a gold
//! chunk of its type does. With counts of chunks,
//!
//! ```text
//! precision = correct / predicted    recall = correct / gold    F1 = 2 P R / (P + R)
//! ```
//!
//! each 0 where it is undefined, and accuracy is the share of tokens whose tags are equal.
//!
//! The state machine works on label ids; strings are taken apart once a distinct tag.

use std::collections::BTreeMap;
use std::fmt;

use crate::encoder::UNKNOWN_LABEL;
use crate::strings::Strings;

/// Counts of tokens and chunks, to be added to sentence by sentence.
///
/// ```
/// use asyn_data::conlleval::Counts;
///
/// let mut counts = Counts::default();
/// counts.add(["B-NP", "I-NP", "O", "B-VP"], ["B-NP", "I-VP", "O", "B-VP"]);
/// let score = counts.score();
/// assert_eq!((score.overall.correct, score.overall.predicted, score.overall.gold), (1, 3, 2));
/// println!("{score}");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Counts {
    tags: Strings,
    /// For each of `tags`.
    parsed: Vec<Tag>,
    /// For each label id.
    labels: Vec<Tag>,
    kinds: Strings,
    n_tokens: u64,
    n_correct_tags: u64,
    /// For each type.
    chunks: Vec<Chunks>,
}

/// How many chunks there are and how many were found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chunks {
    /// The chunks of the gold tags.
    pub gold: u64,
    /// The chunks of the predicted tags.
    pub predicted: u64,
    /// The chunks that are in both.
    pub correct: u64,
}

/// What the counts come to; prints as the classic scorer does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Score {
    /// The number of tokens.
    pub n_tokens: u64,
    /// The number of tokens whose tags are equal.
    pub n_correct_tags: u64,
    /// The chunks of all types.
    pub overall: Chunks,
    /// The chunks of each type that occurs.
    pub by_type: BTreeMap<String, Chunks>,
}

/// A tag that was taken apart.
#[derive(Debug, Clone, Copy)]
struct Tag {
    id: u32,
    prefix: Prefix,
    kind: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    Begin,
    Inside,
    End,
    Outside,
    Other,
}

/// What is remembered from one token of a sentence to the next.
#[derive(Debug)]
struct State {
    gold: Tag,
    predicted: Tag,
    /// Whether a gold and a predicted chunk of one type began together and both go on.
    is_correct: bool,
    /// The chunks of the sentence so far.
    chunks: Chunks,
}

impl Chunks {
    /// Returns the share of predicted chunks that are correct, in percent.
    pub fn precision(&self) -> f64 {
        percent(self.correct, self.predicted)
    }

    /// Returns the share of gold chunks that were found, in percent.
    pub fn recall(&self) -> f64 {
        percent(self.correct, self.gold)
    }

    /// Returns the harmonic mean of precision and recall, in percent.
    pub fn f1(&self) -> f64 {
        let (precision, recall) = (self.precision(), self.recall());
        if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 }
    }

    /// Adds what another count has.
    pub fn add(&mut self, other: Self) {
        self.gold += other.gold;
        self.predicted += other.predicted;
        self.correct += other.correct;
    }
}

impl Score {
    /// Returns precision over all types, in percent.
    pub fn precision(&self) -> f64 {
        self.overall.precision()
    }

    /// Returns recall over all types, in percent.
    pub fn recall(&self) -> f64 {
        self.overall.recall()
    }

    /// Returns F1 over all types, in percent.
    pub fn f1(&self) -> f64 {
        self.overall.f1()
    }

    /// Returns the share of tokens whose tags are equal, in percent.
    pub fn accuracy(&self) -> f64 {
        percent(self.n_correct_tags, self.n_tokens)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Chunks { gold, predicted, correct } = self.overall;
        writeln!(
            f,
            "processed {} tokens with {gold} phrases; found: {predicted} phrases; correct: {correct}.",
            self.n_tokens
        )?;
        if self.n_tokens > 0 {
            write!(f, "accuracy: {:6.2}%; ", self.accuracy())?;
            write_rates(f, &self.overall)?;
            writeln!(f)?;
        }
        for (kind, chunks) in &self.by_type {
            write!(f, "{kind:>17}: ")?;
            write_rates(f, chunks)?;
            writeln!(f, "  {}", chunks.predicted)?;
        }
        Ok(())
    }
}

impl Counts {
    /// Starts counting for label ids: label `i` is `labels[i]`.
    pub fn with_labels<S: AsRef<str>>(labels: &[S]) -> Self {
        let mut counts = Self::default();
        for label in labels {
            let tag = counts.tag(label.as_ref());
            counts.labels.push(tag);
        }
        counts
    }

    /// Adds a sentence given as tags, and returns its own chunks.
    ///
    /// # Panics
    ///
    /// If one of the two sequences ends before the other.
    pub fn add<'a>(
        &mut self,
        gold: impl IntoIterator<Item = &'a str>,
        predicted: impl IntoIterator<Item = &'a str>,
    ) -> Chunks {
        let mut state = self.state();
        let mut predicted = predicted.into_iter();
        for gold in gold {
            let predicted = predicted.next().expect("every gold tag has a predicted one");
            let (gold, predicted) = (self.tag(gold), self.tag(predicted));
            self.token(&mut state, gold, predicted);
        }
        assert!(predicted.next().is_none(), "every predicted tag has a gold one");
        self.end(&mut state);
        state.chunks
    }

    /// Adds a sentence given as label ids, for counts that were made [`with_labels`](Self::with_labels),
    /// and returns its own chunks.
    ///
    /// [`UNKNOWN_LABEL`] is a chunk of one token that no prediction can equal, counted under the type `?`.
    /// Where gold labels can be unknown and their types matter, [`Counts::add`] is exact.
    ///
    /// # Panics
    ///
    /// If the two slices differ in length, or an id is neither below the number of labels nor
    /// [`UNKNOWN_LABEL`].
    pub fn add_ids(&mut self, gold: &[u16], predicted: &[u16]) -> Chunks {
        assert_eq!(gold.len(), predicted.len(), "gold and predicted labels");
        let mut state = self.state();
        for (&gold, &predicted) in gold.iter().zip(predicted) {
            let (gold, predicted) = (self.labelled(gold), self.labelled(predicted));
            self.token(&mut state, gold, predicted);
        }
        self.end(&mut state);
        state.chunks
    }

    /// Adds what another count has, for instance one of another thread.
    pub fn merge(&mut self, other: &Self) {
        self.n_tokens += other.n_tokens;
        self.n_correct_tags += other.n_correct_tags;
        for (kind, chunks) in other.kinds.iter().zip(&other.chunks) {
            let kind = self.kind(kind);
            self.chunks[kind as usize].add(*chunks);
        }
    }

    /// Returns the score of all that was added.
    pub fn score(&self) -> Score {
        let mut score = Score {
            n_tokens: self.n_tokens,
            n_correct_tags: self.n_correct_tags,
            ..Score::default()
        };
        for (kind, chunks) in self.kinds.iter().zip(&self.chunks) {
            score.overall.add(*chunks);
            if chunks.gold + chunks.predicted > 0 {
                score.by_type.insert(kind.to_owned(), *chunks);
            }
        }
        score
    }

    /// Takes a tag apart, once for each distinct tag.
    fn tag(&mut self, tag: &str) -> Tag {
        let id = self.tags.intern(tag);
        if id as usize == self.parsed.len() {
            let (prefix, kind) = tag.split_once('-').unwrap_or((tag, ""));
            let kind = self.kind(kind);
            self.parsed.push(Tag { id, prefix: Prefix::of(prefix), kind });
        }
        self.parsed[id as usize]
    }

    fn kind(&mut self, kind: &str) -> u32 {
        let kind = self.kinds.intern(kind);
        if kind as usize == self.chunks.len() {
            self.chunks.push(Chunks::default());
        }
        kind
    }

    fn labelled(&mut self, label: u16) -> Tag {
        if label == UNKNOWN_LABEL {
            return self.tag("B-?");
        }
        self.labels[usize::from(label)]
    }

    /// Returns the state before a sentence.
    fn state(&mut self) -> State {
        let outside = self.tag("O");
        State { gold: outside, predicted: outside, is_correct: false, chunks: Chunks::default() }
    }

    fn token(&mut self, state: &mut State, gold: Tag, predicted: Tag) {
        self.boundary(state, gold, predicted);
        self.n_tokens += 1;
        self.n_correct_tags += u64::from(gold.id == predicted.id);
    }

    fn end(&mut self, state: &mut State) {
        let outside = self.tag("O");
        self.boundary(state, outside, outside);
    }

    /// Ends and begins chunks between the last tags and the next.
    fn boundary(&mut self, state: &mut State, gold: Tag, predicted: Tag) {
        let gold_ends = ends(state.gold, gold);
        let predicted_ends = ends(state.predicted, predicted);
        if state.is_correct {
            if gold_ends && predicted_ends {
                self.chunks[state.gold.kind as usize].correct += 1;
                state.chunks.correct += 1;
            }
            let both_go_on = !gold_ends && !predicted_ends;
            state.is_correct = both_go_on && gold.kind == predicted.kind;
        }
        let gold_begins = begins(state.gold, gold);
        let predicted_begins = begins(state.predicted, predicted);
        if gold_begins {
            self.chunks[gold.kind as usize].gold += 1;
            state.chunks.gold += 1;
        }
        if predicted_begins {
            self.chunks[predicted.kind as usize].predicted += 1;
            state.chunks.predicted += 1;
        }
        state.is_correct |= gold_begins && predicted_begins && gold.kind == predicted.kind;
        state.gold = gold;
        state.predicted = predicted;
    }
}

impl Prefix {
    fn of(prefix: &str) -> Self {
        match prefix {
            "B" => Self::Begin,
            "I" => Self::Inside,
            "E" => Self::End,
            "O" => Self::Outside,
            _ => Self::Other,
        }
    }
}

/// Returns whether a chunk that `last` belongs to ends before `next`.
fn ends(last: Tag, next: Tag) -> bool {
    use Prefix::{Begin, End, Inside, Outside};
    (last.prefix != Outside && last.kind != next.kind)
        || matches!(
            (last.prefix, next.prefix),
            (Begin | Inside, Begin | Outside) | (End, End | Inside | Outside)
        )
}

/// Returns whether a chunk begins at `next`.
fn begins(last: Tag, next: Tag) -> bool {
    use Prefix::{Begin, End, Inside, Outside};
    (next.prefix != Outside && last.kind != next.kind)
        || matches!(
            (last.prefix, next.prefix),
            (Begin | Inside | Outside, Begin) | (End | Outside, Inside | End)
        )
}

pub(crate) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    100.0 * part as f64 / whole as f64
}

pub(crate) fn write_rates(f: &mut fmt::Formatter<'_>, chunks: &Chunks) -> fmt::Result {
    let (precision, recall, f1) = (chunks.precision(), chunks.recall(), chunks.f1());
    write!(f, "precision: {precision:6.2}%; recall: {recall:6.2}%; FB1: {f1:6.2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLD: [&str; 4] = ["B-NP", "I-NP", "O", "B-VP"];

    #[track_caller]
    fn check(predicted: [&str; 4], correct: u64, n_predicted: u64) {
        let expected = Chunks { gold: 2, predicted: n_predicted, correct };
        let mut counts = Counts::default();
        counts.add(GOLD, predicted);
        assert_eq!(counts.score().overall, expected);
        assert_eq!(counts.score().n_tokens, 4);

        let labels = ["O", "B-NP", "I-VP", "I-NP", "B-VP"];
        let id = |tag: &str| u16::try_from(labels.iter().position(|l| *l == tag).unwrap()).unwrap();
        let mut by_id = Counts::with_labels(&labels);
        by_id.add_ids(&GOLD.map(id), &predicted.map(id));
        assert_eq!(by_id.score(), counts.score());
    }

    #[test]
    fn chunks_are_correct_when_begin_end_and_type_are() {
        check(GOLD, 2, 2);
        check(["B-NP", "I-VP", "O", "B-VP"], 1, 3);
        check(["I-NP", "I-NP", "O", "B-VP"], 2, 2);
        check(["B-NP", "B-NP", "O", "I-VP"], 1, 3);
    }

    #[test]
    fn counts_of_parts_add_up() {
        let predicted = [["B-NP", "I-NP", "B-VP", "O"], ["I-PP", "I-NP", "O", "B-VP"]];
        let mut whole = Counts::default();
        let mut merged = Counts::default();
        let mut sum = Chunks::default();
        for predicted in predicted {
            sum.add(whole.add(GOLD, predicted));
            let mut part = Counts::default();
            part.add(GOLD, predicted);
            merged.merge(&part);
        }
        assert_eq!(merged.score(), whole.score());
        assert_eq!(sum, whole.score().overall);
    }

    #[test]
    fn an_unknown_gold_label_is_never_found() {
        let mut counts = Counts::with_labels(&["O", "B-NP"]);
        counts.add_ids(&[UNKNOWN_LABEL, 1, 0], &[1, 1, 0]);
        let score = counts.score();
        assert_eq!(score.overall, Chunks { gold: 2, predicted: 2, correct: 1 });
        assert_eq!(score.by_type["?"].gold, 1);
        assert_eq!(score.n_correct_tags, 2);
    }
}
