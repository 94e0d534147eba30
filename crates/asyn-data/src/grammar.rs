//! Which label sequences a tag scheme allows.
//!
//! A scheme such as IOB2 says which labels may stand side by side; a grammar is that as tables over
//! the label ids of a model, for decoding. IOB1 and IOB2 use the same letters, and IOB1 allows nearly
//! everything: the labels alone do not tell which of them a corpus has.

use crate::scheme::Scheme;

/// Which labels may begin a sentence, follow each other, and end a sentence.
///
/// ```
/// use asyn_data::{Grammar, Scheme};
///
/// let grammar = Grammar::of_scheme(Scheme::Iob2, &["O", "B-X", "I-X", "B-Y"]);
/// assert!(grammar.allows(&[1, 2, 0, 3]));
/// assert!(!grammar.allows(&[0, 2]) && !grammar.allows(&[3, 2]) && !grammar.allows(&[2]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grammar {
    starts: Vec<bool>,
    /// `Y × Y`, by previous label and label.
    transitions: Vec<bool>,
    ends: Vec<bool>,
}

impl Grammar {
    /// Makes a grammar of `n_labels` labels from a rule for each of its tables; `follows` takes the
    /// previous label and the label.
    pub fn new(
        n_labels: usize,
        starts: impl Fn(usize) -> bool,
        follows: impl Fn(usize, usize) -> bool,
        ends: impl Fn(usize) -> bool,
    ) -> Self {
        let follows = &follows;
        let pairs = (0..n_labels).flat_map(|p| (0..n_labels).map(move |y| follows(p, y)));
        Self {
            starts: (0..n_labels).map(starts).collect(),
            transitions: pairs.collect(),
            ends: (0..n_labels).map(ends).collect(),
        }
    }

    /// Returns what a scheme allows to labels; those that are not of the scheme are never allowed.
    pub fn of_scheme<S: AsRef<str>>(scheme: Scheme, labels: &[S]) -> Self {
        let label = |id: usize| Some(labels[id].as_ref());
        Self::new(
            labels.len(),
            |first| scheme.allows(None, label(first)),
            |previous, next| scheme.allows(label(previous), label(next)),
            |last| scheme.allows(label(last), None),
        )
    }

    /// Returns the number of labels.
    pub fn n_labels(&self) -> usize {
        self.starts.len()
    }

    /// Returns, for each label, whether a sentence may begin with it.
    pub fn starts(&self) -> &[bool] {
        &self.starts
    }

    /// Returns, for each previous label and each label, `Y × Y`, whether one may follow the other.
    pub fn transitions(&self) -> &[bool] {
        &self.transitions
    }

    /// Returns, for each label, whether a sentence may end with it.
    pub fn ends(&self) -> &[bool] {
        &self.ends
    }

    /// Returns whether a label sequence is allowed; an empty one is.
    ///
    /// # Panics
    ///
    /// If there is no such label.
    pub fn allows(&self, labels: &[u16]) -> bool {
        let (Some(&first), Some(&last)) = (labels.first(), labels.last()) else { return true };
        let follows = |pair: &[u16]| {
            self.transitions[usize::from(pair[0]) * self.n_labels() + usize::from(pair[1])]
        };
        self.starts[usize::from(first)]
            && labels.windows(2).all(follows)
            && self.ends[usize::from(last)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the allowed sequences of `len` labels.
    fn n_allowed(labels: &[&str], len: u32) -> usize {
        let grammar = Grammar::of_scheme(Scheme::guess(labels).unwrap(), labels);
        let n = labels.len();
        (0..n.pow(len))
            .filter(|number| {
                let label = |at: u32| u16::try_from(number / n.pow(at) % n).unwrap();
                grammar.allows(&(0..len).map(label).collect::<Vec<_>>())
            })
            .count()
    }

    /// Counts the ways to cut `len` tokens into spans of `n_kinds` types and single tokens outside
    /// of spans, where `outside` says whether there are such.
    fn n_cuts(len: u32, n_kinds: usize, outside: bool) -> usize {
        if len == 0 {
            return 1;
        }
        let spans = (1..=len).map(|first| n_kinds * n_cuts(len - first, n_kinds, outside));
        spans.sum::<usize>() + if outside { n_cuts(len - 1, n_kinds, outside) } else { 0 }
    }

    #[test]
    fn sequences_are_one_to_one_with_cuts_into_spans() {
        for len in 1..6 {
            let two_kinds = n_cuts(len, 2, true);
            assert_eq!(n_allowed(&["O", "B-X", "I-X", "I-Y", "B-Y"], len), two_kinds);
            let iobes = ["B-X", "I-X", "E-X", "S-X", "O", "S-Y", "E-Y", "I-Y", "B-Y"];
            if len < 5 {
                assert_eq!(n_allowed(&iobes, len), two_kinds);
            }
            assert_eq!(n_allowed(&["O", "U-X", "B-X", "L-X", "I-X"], len), n_cuts(len, 1, true));
            assert_eq!(n_allowed(&["B", "M", "E", "S"], len), n_cuts(len, 1, false));
        }
    }
}
