//! Sequences of unequal length as one matrix.
//!
//! Sequences are sorted by falling length and their items are stored step after step: the rows of
//! step `t` are the items `t` of all sequences that are longer than `t`, the longest first.
//! So the sequences that take part in a step are rows that follow on each other, and those of a
//! neighbouring step are the first of them, or these and more.

use std::ops::Range;

/// Where the items of sequences lie.
#[derive(Debug, Default)]
pub(super) struct Packing {
    /// The length of each sequence.
    lengths: Vec<u32>,
    /// Sequences, the longest first; among equals, the first first.
    order: Vec<u32>,
    /// The position in `order` of each sequence.
    ranks: Vec<u32>,
    /// The first row of each step, and the end of the last one.
    offsets: Vec<usize>,
}

/// The rows of one step of a recurrence.
pub(super) struct Step {
    /// The rows.
    pub(super) rows: Range<usize>,
    /// The rows of the step before that have a successor in `rows`: the successors of these are
    /// the first of `rows`, the others start a sequence.
    pub(super) previous: Range<usize>,
}

impl Packing {
    /// Packs sequences of these lengths.
    pub(super) fn pack(&mut self, lengths: impl Iterator<Item = usize>) {
        self.lengths.clear();
        self.lengths.extend(lengths.map(|len| u32::try_from(len).expect("a sequence is short")));
        let lengths = &self.lengths;
        self.order.clear();
        self.order.extend((0..).take(lengths.len()));
        self.order.sort_unstable_by_key(|&i| (u32::MAX - lengths[i as usize], i));
        self.ranks.clear();
        self.ranks.resize(lengths.len(), 0);
        for (rank, &sequence) in (0..).zip(&self.order) {
            self.ranks[sequence as usize] = rank;
        }
        self.offsets.clear();
        self.offsets.push(0);
        let mut n_active = lengths.len();
        let mut end = 0;
        for t in 0.. {
            while n_active > 0 && lengths[self.order[n_active - 1] as usize] <= t {
                n_active -= 1;
            }
            if n_active == 0 {
                break;
            }
            end += n_active;
            self.offsets.push(end);
        }
    }

    /// Returns the number of items of all sequences.
    pub(super) fn n_rows(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// Returns the length of the longest sequence.
    pub(super) fn n_steps(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Returns the number of sequences that are not empty.
    pub(super) fn n_first(&self) -> usize {
        self.offsets.get(1).copied().unwrap_or(0)
    }

    /// Returns the number of sequences.
    pub(super) fn n_sequences(&self) -> usize {
        self.lengths.len()
    }

    /// Returns the length of a sequence.
    pub(super) fn len_of(&self, sequence: usize) -> usize {
        self.lengths[sequence] as usize
    }

    /// Returns the rows of the first and the last item of a sequence, if it has any.
    pub(super) fn ends_of(&self, sequence: usize) -> Option<(usize, usize)> {
        let rank = self.ranks[sequence] as usize;
        let last = self.len_of(sequence).checked_sub(1)?;
        Some((rank, self.offsets[last] + rank))
    }

    /// Returns the rows of a sequence, from its first item to its last.
    pub(super) fn rows_of(&self, sequence: usize) -> impl Iterator<Item = usize> + Clone + '_ {
        let rank = self.ranks[sequence] as usize;
        self.offsets[..self.len_of(sequence)].iter().map(move |&first| first + rank)
    }

    /// Returns the steps of a recurrence from first to last item, or `reversed`.
    pub(super) fn steps(&self, reversed: bool) -> impl DoubleEndedIterator<Item = Step> + '_ {
        let len = self.n_steps();
        let rows = |t: usize| self.offsets[t]..self.offsets[t + 1];
        (0..len).map(move |i| {
            let t = if reversed { len - 1 - i } else { i };
            let previous = match (i, reversed) {
                (0, _) => 0..0,
                (_, true) => rows(t + 1),
                (_, false) => self.offsets[t - 1]..self.offsets[t - 1] + rows(t).len(),
            };
            Step { rows: rows(t), previous }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_connect_the_items_of_each_sequence() {
        let mut packing = Packing::default();
        for lengths in [vec![2, 5, 0, 3, 5], vec![1], vec![0], vec![], vec![3, 3]] {
            packing.pack(lengths.iter().copied());
            assert_eq!(packing.n_rows(), lengths.iter().sum::<usize>());
            assert_eq!(packing.n_sequences(), lengths.len());
            let mut owner = vec![None; packing.n_rows()];
            for (sequence, &len) in lengths.iter().enumerate() {
                assert_eq!(packing.rows_of(sequence).count(), len);
                for (item, row) in packing.rows_of(sequence).enumerate() {
                    assert_eq!(owner[row], None);
                    owner[row] = Some((sequence, item));
                }
            }
            for reversed in [false, true] {
                let mut n_rows = 0;
                for step in packing.steps(reversed) {
                    n_rows += step.rows.len();
                    for (i, row) in step.rows.clone().enumerate() {
                        let (sequence, item) = owner[row].expect("every row has an item");
                        let before = if reversed { item + 1 } else { item.wrapping_sub(1) };
                        let expected = (before < lengths[sequence]).then_some((sequence, before));
                        let row = step.previous.clone().nth(i);
                        assert_eq!(row.and_then(|row| owner[row]), expected);
                    }
                }
                assert_eq!(n_rows, packing.n_rows());
            }
        }
    }
}
