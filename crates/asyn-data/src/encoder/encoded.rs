//! Sentences as numbers: what a model is trained on.

use std::collections::BTreeMap;

/// The label id of a label that the training corpus does not have.
pub const UNKNOWN_LABEL: u16 = u16::MAX;

/// A sentence as numbers.
///
/// | Field        | Shape               | Meaning                                               |
/// | ------------ | ------------------- | ----------------------------------------------------- |
/// | `attributes` | all of the sentence | attribute ids, token after token, ascending in each   |
/// | `offsets`    | `n_tokens + 1`      | where the attributes of each token begin              |
/// | `labels`     | `n_tokens` or 0     | gold label ids; empty where the labels were not asked |
///
/// An attribute that several lines of a template make for one token is listed as often.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Attribute ids of all the tokens.
    pub attributes: Vec<u32>,
    /// The first attribute of each token, and the end of the last one.
    pub offsets: Vec<u32>,
    /// Label ids, or [`UNKNOWN_LABEL`].
    pub labels: Vec<u16>,
}

/// A corpus as numbers, with what its labels lacked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedCorpus {
    /// One entry a sentence, in the order of the corpus.
    pub sentences: Vec<Encoded>,
    /// How often each label occurs that the training corpus does not have.
    pub unknown_labels: BTreeMap<String, u64>,
}

impl Encoded {
    /// Returns the number of tokens.
    pub fn n_tokens(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Returns the attribute ids of token `token`, ascending: frequent ones first.
    ///
    /// # Panics
    ///
    /// If there is no such token.
    pub fn attributes_of(&self, token: usize) -> &[u32] {
        &self.attributes[self.offsets[token] as usize..self.offsets[token + 1] as usize]
    }

    /// Cuts the sentence into as few pieces as have at most `longest` tokens each, of about the same
    /// length, in order.
    ///
    /// Attributes that look at neighbours still look beyond the borders, since they were made before.
    ///
    /// # Panics
    ///
    /// If `longest` is 0.
    #[must_use]
    pub fn into_pieces(self, longest: usize) -> Vec<Self> {
        let n = self.n_tokens();
        let n_pieces = n.div_ceil(longest);
        if n_pieces <= 1 {
            return vec![self];
        }
        let piece = |i: usize| {
            let (start, end) = (i * n / n_pieces, (i + 1) * n / n_pieces);
            let first = self.offsets[start];
            Self {
                attributes: self.attributes[first as usize..self.offsets[end] as usize].to_vec(),
                offsets: self.offsets[start..=end].iter().map(|offset| offset - first).collect(),
                labels: self.labels.get(start..end).unwrap_or_default().to_vec(),
            }
        };
        (0..n_pieces).map(piece).collect()
    }

    /// Empties the sentence and keeps its memory.
    pub fn clear(&mut self) {
        self.attributes.clear();
        self.offsets.clear();
        self.labels.clear();
    }
}
