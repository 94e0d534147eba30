//! What development data have in common with the training data, and what they alone have.

use std::collections::{BTreeMap, BTreeSet};

use asyn::data::{Corpus, Sentence};
use serde::Serialize;

use super::data::{listed, percent};

/// Development data beside training data.
#[derive(Debug, Serialize)]
pub(super) struct Overlap {
    sentences: usize,
    /// The sentences that are in the training data, whatever their labels.
    in_training: usize,
    /// Those that are there with the same labels.
    in_training_with_labels: usize,
    /// The labels that the training data lack, with the number of their tokens.
    unknown_labels: BTreeMap<String, usize>,
}

impl Overlap {
    pub(super) fn new(train: &[Corpus], dev: &Corpus) -> Self {
        let mut known: BTreeMap<String, BTreeSet<Vec<&str>>> = BTreeMap::new();
        let mut labels = BTreeSet::new();
        for sentence in train.iter().flat_map(Corpus::sentences) {
            labels.extend(sentence.labels());
            known.entry(text_of(&sentence)).or_default().insert(sentence.labels().collect());
        }
        let mut overlap = Self {
            sentences: dev.n_sentences(),
            in_training: 0,
            in_training_with_labels: 0,
            unknown_labels: BTreeMap::new(),
        };
        for sentence in dev.sentences() {
            let gold: Vec<&str> = sentence.labels().collect();
            if let Some(there) = known.get(&text_of(&sentence)) {
                overlap.in_training += 1;
                overlap.in_training_with_labels += usize::from(there.contains(&gold));
            }
            for label in gold.into_iter().filter(|label| !labels.contains(label)) {
                *overlap.unknown_labels.entry(label.to_owned()).or_default() += 1;
            }
        }
        overlap
    }

    /// Returns what is odd, in sentences.
    pub(super) fn sentences(&self, file: &str) -> Vec<String> {
        let mut lines = Vec::new();
        if self.in_training > 0 {
            let n = self.in_training;
            let s = if n == 1 { " is" } else { "s are" };
            lines.push(format!(
                "{file}: {n} sentence{s} in the training data too ({:.1} %), {} of them with the \
                 same labels: scores on them say little of new text.",
                percent(n, self.sentences),
                self.in_training_with_labels
            ));
        }
        if !self.unknown_labels.is_empty() {
            let n = self.unknown_labels.len();
            let s = if n == 1 { " is" } else { "s are" };
            let all = self.unknown_labels.iter().map(|(label, n)| format!("{label} ({n})"));
            lines.push(format!(
                "{file}: {n} label{s} not in the training data and cannot be learned: {}.",
                listed(all)
            ));
        }
        lines
    }
}

/// Returns all of a sentence but its labels, as one text.
pub(super) fn text_of(sentence: &Sentence<'_>) -> String {
    let mut text = String::new();
    for token in 0..sentence.len() {
        for cell in sentence.token(token).take(sentence.n_columns() - 1) {
            text.push_str(cell);
            text.push('\t');
        }
        text.push('\n');
    }
    text
}
