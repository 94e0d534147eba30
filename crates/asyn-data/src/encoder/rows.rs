//! The attribute ids of a sentence, first as the lines of the template make them, then in order.
//!
//! | Field | Shape               | Meaning                                             |
//! | ----- | ------------------- | --------------------------------------------------- |
//! | `ids` | `n_tokens × stride` | a row a token; `NONE` where a line has no attribute |
//!
//! `stride` is the number of lines, rounded up to whole lanes. Rows are filled
//! one line of the template after the other, because then one table at a time
//! has to be in cache, and the look-ups of neighbouring tokens overlap.

use super::encoded::Encoded;
use crate::strings::NONE;

/// The ids that are compared at once.
const LANES: usize = 8;

/// The widest row whose order is found by comparing all pairs.
const MAX_RANKED: usize = 32;

/// The attribute ids of one sentence.
#[derive(Debug, Default)]
pub(super) struct Rows {
    ids: Vec<u32>,
    stride: usize,
    n_tokens: usize,
}

impl Rows {
    /// Makes room for a sentence without attributes.
    pub(super) fn clear(&mut self, n_tokens: usize, n_lines: usize) {
        self.n_tokens = n_tokens;
        self.stride = n_lines.next_multiple_of(LANES);
        self.ids.clear();
        self.ids.resize(n_tokens * self.stride, NONE);
    }

    /// Puts in what line `line_idx` of the template makes for each token.
    #[inline]
    pub(super) fn fill(&mut self, line_idx: usize, ids: impl Iterator<Item = u32>) {
        if let Some(column) = self.ids.get_mut(line_idx..) {
            for (cell, id) in column.iter_mut().step_by(self.stride).zip(ids) {
                *cell = id;
            }
        }
    }

    /// Writes the attributes of every token in ascending order; labels are left empty.
    pub(super) fn write(&self, encoded: &mut Encoded) {
        encoded.clear();
        let n_known = count(&self.ids, |id| id != NONE);
        encoded.attributes.reserve(n_known + self.stride);
        encoded.offsets.reserve(self.n_tokens + 1);
        encoded.offsets.push(0);
        for token in 0..self.n_tokens {
            let row = &self.ids[token * self.stride..(token + 1) * self.stride];
            if self.stride <= MAX_RANKED {
                push_ranked(row, &mut encoded.attributes);
            } else {
                push_sorted(row, &mut encoded.attributes);
            }
            let end = u32::try_from(encoded.attributes.len());
            encoded.offsets.push(end.expect("a sentence has far fewer than 2^32 attributes"));
        }
    }
}

fn push_sorted(row: &[u32], attributes: &mut Vec<u32>) {
    let start = attributes.len();
    attributes.extend(row.iter().filter(|&&id| id != NONE));
    attributes[start..].sort_unstable();
}

/// Appends the ids of a row in ascending order, without a branch that depends on them.
///
/// The place of an id is the number of ids below it. Of equal ids all find the same place and
/// leave the following ones at 0, so a running maximum fills these; `NONE` sorts last and is cut.
fn push_ranked(row: &[u32], attributes: &mut Vec<u32>) {
    let start = attributes.len();
    attributes.resize(start + row.len(), 0);
    let sorted = &mut attributes[start..];
    for &id in row {
        sorted[count(row, |other| other < id)] = id;
    }
    let mut largest = 0;
    for id in sorted {
        largest = largest.max(*id);
        *id = largest;
    }
    attributes.truncate(start + count(row, |id| id != NONE));
}

/// Counts the ids of a row of whole lanes that pass a test.
#[inline]
fn count(row: &[u32], test: impl Fn(u32) -> bool) -> usize {
    let mut counts = [0_u32; LANES];
    for ids in row.as_chunks::<LANES>().0 {
        for (count, &id) in counts.iter_mut().zip(ids) {
            *count += u32::from(test(id));
        }
    }
    counts.iter().sum::<u32>() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn ranking_sorts_and_keeps_duplicates() {
        let mut random = Random::new(3);
        for n_lines in [0, 1, 7, 8, 19, 32, 33, 50] {
            for bound in [3, 40, 1 << 32] {
                let n_tokens = 5;
                let mut rows = Rows::default();
                rows.clear(n_tokens, n_lines);
                let mut expected = vec![Vec::new(); n_tokens];
                for line_idx in 0..n_lines {
                    let mut draw = || u32::try_from(random.below(bound)).unwrap();
                    let ids: Vec<u32> = (0..n_tokens).map(|_| draw()).collect();
                    // Every third line has no attribute for the first token.
                    let known = |token: usize| token > 0 || line_idx % 3 > 0;
                    rows.fill(
                        line_idx,
                        (0..n_tokens).map(|t| if known(t) { ids[t] } else { NONE }),
                    );
                    for token in (0..n_tokens).filter(|&token| known(token)) {
                        expected[token].push(ids[token]);
                    }
                }
                let mut encoded = Encoded::default();
                rows.write(&mut encoded);
                assert_eq!(encoded.n_tokens(), n_tokens);
                for (token, mut ids) in expected.into_iter().enumerate() {
                    ids.sort_unstable();
                    assert_eq!(encoded.attributes_of(token), ids);
                }
            }
        }
    }
}
