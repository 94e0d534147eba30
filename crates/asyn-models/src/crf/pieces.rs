//! Structure regularisation: sentences that are trained in pieces.
//!
//! Sun, "Structure Regularization for Structured Prediction", NIPS 2014. A sentence of `n` tokens
//! is cut at `α − 1` of its `n − 1` borders between tokens, drawn anew in each pass, and its loss
//! is the sum of those of its `α` pieces. Only the chain of labels is cut: attributes were made on
//! the whole sentence, so they still look across borders, while the edge into the first token of
//! a piece is gone from the score and from log Z, rich edges included. With `α = 1` this is plain
//! training, with `α = n` each token is on its own.
//!
//! In the source the pieces of all sentences are visited in random order; here those of a
//! sentence make one step, which reads and writes the shared weights once. Nothing is copied:
//! a [`Piece`] is a range of an encoded sentence. Labelling never cuts.

use std::num::NonZeroU32;
use std::ops::Range;

use asyn_core::SplitMix64;
use asyn_core::shared::Lists;
use asyn_data::Encoded;

/// Into how many pieces a sentence is cut for training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pieces {
    /// One: the sentence as it is.
    #[default]
    Whole,
    /// So many, or one a token in sentences that are shorter.
    Number(NonZeroU32),
    /// As many as have this length on average, or somewhat less: `⌈n / length⌉`.
    Length(NonZeroU32),
}

impl Pieces {
    /// Returns the number of pieces of a sentence of `n_tokens`: at least 1.
    fn of(self, n_tokens: usize) -> usize {
        let number = match self {
            Self::Whole => 1,
            Self::Number(number) => (number.get() as usize).min(n_tokens),
            Self::Length(length) => n_tokens.div_ceil(length.get() as usize),
        };
        number.max(1)
    }

    /// Cuts a sentence at borders that are drawn from `random`.
    pub(super) fn cut(self, sentence: &Encoded, random: SplitMix64) -> Cut<'_> {
        let n_cuts = self.of(sentence.n_tokens()) - 1;
        Cut { sentence, start: 0, n_cuts, random }
    }
}

/// The pieces of a sentence, from the first to the last.
#[derive(Debug)]
pub(super) struct Cut<'a> {
    sentence: &'a Encoded,
    /// Where the next piece starts.
    start: usize,
    /// How many cuts are still to be drawn, all after `start`.
    n_cuts: usize,
    random: SplitMix64,
}

impl<'a> Iterator for Cut<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let (start, len) = (self.start, self.sentence.n_tokens());
        if start == len {
            return None;
        }
        let mut end = if self.n_cuts == 0 { len } else { start + 1 };
        // Each border is a cut with the share of cuts among the borders left, so that every
        // choice of borders is as likely as any other (Knuth, volume 2, algorithm 3.4.2 S).
        while end < len {
            if self.random.below((len - end) as u64) < self.n_cuts as u64 {
                self.n_cuts -= 1;
                break;
            }
            end += 1;
        }
        self.start = end;
        Some(Piece { sentence: self.sentence, tokens: start..end })
    }
}

/// Neighbouring tokens of a sentence, at least one, with their gold labels. Tokens are counted
/// from the start of the piece.
#[derive(Debug, Clone)]
pub(super) struct Piece<'a> {
    sentence: &'a Encoded,
    tokens: Range<usize>,
}

impl<'a> Piece<'a> {
    /// Makes a piece of all tokens.
    pub(super) fn whole(sentence: &'a Encoded) -> Self {
        Self { sentence, tokens: 0..sentence.n_tokens() }
    }

    pub(super) fn n_tokens(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn labels(&self) -> &'a [u16] {
        &self.sentence.labels[self.tokens.clone()]
    }

    pub(super) fn attributes_of(&self, token: usize) -> &'a [u32] {
        self.sentence.attributes_of(self.tokens.start + token)
    }

    /// Returns the attributes of each token.
    pub(super) fn lists(&self) -> Lists<'a> {
        let offsets = &self.sentence.offsets[self.tokens.start..=self.tokens.end];
        Lists::new(&self.sentence.attributes, offsets)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sentence(n_tokens: u32) -> Encoded {
        Encoded { offsets: vec![0; n_tokens as usize + 1], ..Encoded::default() }
    }

    fn ranges(pieces: Pieces, n_tokens: u32, seed: u64) -> Vec<Range<usize>> {
        let sentence = sentence(n_tokens);
        pieces.cut(&sentence, SplitMix64::new(seed)).map(|piece| piece.tokens).collect()
    }

    fn number(n: u32) -> Pieces {
        Pieces::Number(NonZeroU32::new(n).unwrap())
    }

    fn length(n: u32) -> Pieces {
        Pieces::Length(NonZeroU32::new(n).unwrap())
    }

    #[test]
    fn pieces_follow_on_each_other_and_cover_the_sentence() {
        for (pieces, n_tokens, expected) in [
            (Pieces::Whole, 7, 1),
            (number(3), 7, 3),
            (number(9), 7, 7),
            (number(2), 1, 1),
            (length(1), 7, 7),
            (length(2), 7, 4),
            (length(7), 7, 1),
            (length(8), 7, 1),
        ] {
            for seed in 0..20 {
                let ranges = ranges(pieces, n_tokens, seed);
                assert_eq!(ranges.len(), expected, "{pieces:?} of {n_tokens}");
                assert!(ranges.iter().all(|range| !range.is_empty()));
                assert_eq!(ranges[0].start, 0);
                assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
                assert_eq!(ranges[expected - 1].end, n_tokens as usize);
            }
        }
        assert!(ranges(number(3), 0, 1).is_empty());
    }

    #[test]
    fn every_choice_of_borders_is_equally_likely() {
        // Two of five borders: ten choices.
        let mut counts = BTreeMap::new();
        for seed in 0..10_000 {
            let ends: Vec<usize> =
                ranges(number(3), 6, seed).iter().map(|range| range.end).collect();
            *counts.entry(ends).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 10);
        // A standard deviation is 30.
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
