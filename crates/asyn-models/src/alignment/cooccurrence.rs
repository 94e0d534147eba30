//! Which words ever stand opposite which, and the places of their counts.
//!
//! Row 0 is the empty word, which stands opposite all words; row `e + 1` is word `e` of the source
//! side. Counts lie row after row, and within a row by target word:
//!
//! | Field     | Shape          | Meaning                                    |
//! | --------- | -------------- | ------------------------------------------ |
//! | `starts`  | `n_rows + 1`   | where the counts of each row begin         |
//! | `targets` | one for each count | the target word, ascending within a row |
//!
//! The pattern is built once, so nothing is inserted while counts are trained. One place more than
//! there are counts, and one row more, stand for what was never seen together: nothing is ever
//! added there.

use std::sync::Arc;

use crate::error::{Error, Result};

/// The pattern of words that stand opposite each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooccurrences {
    starts: Arc<[u32]>,
    targets: Vec<u32>,
    n_targets: usize,
}

/// A pair of sentences as places of counts.
///
/// | Field   | Shape                   | Meaning                                        |
/// | ------- | ----------------------- | ---------------------------------------------- |
/// | `rows`  | `l + 1`                 | the row of each source word, the empty one first |
/// | `cells` | `(l + 1) × J`           | the place of the count of each pair of words   |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlignmentPair {
    pub(super) rows: Box<[u32]>,
    pub(super) cells: Box<[u32]>,
}

impl AlignmentPair {
    /// Returns the number of source words, without the empty one.
    #[must_use]
    pub fn n_source(&self) -> usize {
        self.rows.len() - 1
    }

    /// Returns the number of target words.
    #[must_use]
    pub fn n_target(&self) -> usize {
        self.cells.len() / self.rows.len()
    }
}

impl Cooccurrences {
    /// Finds the pattern of `n_pairs` pairs, given as source and target words by `pair`, and the
    /// places of each.
    ///
    /// # Errors
    ///
    /// [`Error::Counts`] if there are 2³² counts or more.
    ///
    /// # Panics
    ///
    /// Panics if a word is not below the number of words of its side.
    pub fn build<'p>(
        n_words: (usize, usize),
        n_pairs: usize,
        pair: impl Fn(usize) -> (&'p [u32], &'p [u32]),
    ) -> Result<(Self, Vec<AlignmentPair>)> {
        let (n_source, n_target) = n_words;
        let mut pairs: Vec<AlignmentPair> = (0..n_pairs)
            .map(|at| {
                let (source, target) = pair(at);
                let rows = std::iter::once(0).chain(source.iter().map(|&word| word + 1)).collect();
                // The row of the empty word holds all words in order, so a word is its place.
                let mut cells = vec![0; (source.len() + 1) * target.len()].into_boxed_slice();
                cells[..target.len()].copy_from_slice(target);
                AlignmentPair { rows, cells }
            })
            .collect();
        let (starts_of_places, places) = places_of_words(n_source, &pairs);
        let (mut starts, mut targets) = (vec![0], Vec::new());
        let limit = Self::limit;
        targets.extend(0..limit(n_target)?);
        starts.push(limit(targets.len())?);
        let mut seen_in = vec![u32::MAX; n_target];
        let mut place_of = vec![0; n_target];
        for word in 0..n_source {
            let mine = &places[starts_of_places[word]..starts_of_places[word + 1]];
            let start = targets.len();
            let number = limit(word)?;
            for &(at, _) in mine {
                for &target in pair(at as usize).1 {
                    if std::mem::replace(&mut seen_in[target as usize], number) != number {
                        targets.push(target);
                    }
                }
            }
            targets[start..].sort_unstable();
            for (place, &target) in (limit(start)?..).zip(&targets[start..]) {
                place_of[target as usize] = place;
            }
            starts.push(limit(targets.len() + 1)? - 1);
            for &(at, row) in mine {
                let target = pair(at as usize).1;
                let cells = &mut pairs[at as usize].cells[row as usize * target.len()..];
                for (cell, &target) in cells.iter_mut().zip(target) {
                    *cell = place_of[target as usize];
                }
            }
        }
        targets.shrink_to_fit();
        Ok((Self { starts: starts.into(), targets, n_targets: n_target }, pairs))
    }

    /// Makes a pattern of its parts: where rows start, the first one that of the empty word, and the
    /// target words of all rows.
    ///
    /// # Errors
    ///
    /// [`Error::Counts`] if the parts do not fit together.
    pub fn from_parts(starts: Vec<u32>, targets: Vec<u32>, n_targets: usize) -> Result<Self> {
        let unfit = Error::Counts { actual: targets.len() };
        let ends = starts.first() == Some(&0)
            && starts.last().is_some_and(|&end| end as usize == targets.len())
            && starts.get(1).is_some_and(|&end| end as usize == n_targets);
        if !ends || !starts.is_sorted() {
            return Err(unfit);
        }
        let ascends = |row: &[u32]| row.is_sorted_by(|a, b| a < b);
        let is_row = |ends: &[u32]| ascends(&targets[ends[0] as usize..ends[1] as usize]);
        let in_range = targets.iter().all(|&target| (target as usize) < n_targets);
        if !in_range || !starts.windows(2).all(is_row) {
            return Err(unfit);
        }
        Ok(Self { starts: starts.into(), targets, n_targets })
    }

    /// Returns counts to start from: how often the words of each stand opposite each other in `pairs`,
    /// where a target word counts once for all its source words together.
    ///
    /// These are the expected counts of Model 1 where all words are translations of each other alike.
    ///
    /// # Panics
    ///
    /// Panics if the pairs are not of this pattern.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "sentences are short")]
    pub fn even_counts(&self, pairs: &[AlignmentPair]) -> Vec<f32> {
        let mut counts = vec![0.0; self.targets.len()];
        for pair in pairs {
            let share = 1.0 / pair.rows.len() as f32;
            pair.cells.iter().for_each(|&cell| counts[cell as usize] += share);
        }
        counts
    }

    /// Returns a number of counts as places have it.
    pub(super) fn limit(n: usize) -> Result<u32> {
        u32::try_from(n).map_err(|_| Error::Counts { actual: n })
    }

    /// Returns where the counts of each row begin, and the last ones end.
    #[must_use]
    pub fn starts(&self) -> &Arc<[u32]> {
        &self.starts
    }

    /// Returns the target word of each count.
    #[must_use]
    pub fn targets(&self) -> &[u32] {
        &self.targets
    }

    /// Returns the number of rows, that of the empty word included.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Returns the number of target words.
    #[must_use]
    pub fn n_targets(&self) -> usize {
        self.n_targets
    }

    /// Finds the places of a pair of any words; `None` is a word that no row or column is for.
    #[must_use]
    pub fn pair(&self, source: &[Option<u32>], target: &[Option<u32>]) -> AlignmentPair {
        let known = |word: &Option<u32>| word.map(|word| word + 1);
        let rows: Box<[u32]> = std::iter::once(Some(0))
            .chain(source.iter().map(known))
            .map(|row| row.unwrap_or(self.no_row()))
            .collect();
        let cells = rows
            .iter()
            .flat_map(|&row| target.iter().map(move |&target| self.place(row, target)))
            .collect();
        AlignmentPair { rows, cells }
    }

    /// Returns the place of the count of a row and a target word.
    fn place(&self, row: u32, target: Option<u32>) -> u32 {
        let nowhere = *self.starts.last().expect("there is a row");
        let (Some(target), true) = (target, row < self.no_row()) else { return nowhere };
        let (start, end) = (self.starts[row as usize], self.starts[row as usize + 1]);
        let found = self.targets[start as usize..end as usize].binary_search(&target);
        found.map_or(nowhere, |at| start + u32::try_from(at).expect("places are counted by u32"))
    }

    /// Returns the row of words that were never seen.
    fn no_row(&self) -> u32 {
        u32::try_from(self.n_rows()).expect("rows are counted by u32")
    }
}

/// Lists for each source word the pairs and rows in which it stands: where the list of each word
/// starts, and all lists.
fn places_of_words(n_source: usize, pairs: &[AlignmentPair]) -> (Vec<usize>, Vec<(u32, u32)>) {
    let mut starts = vec![0; n_source + 1];
    let words = |pair: &'_ AlignmentPair| pair.rows.len();
    for pair in pairs {
        pair.rows[1..].iter().for_each(|&row| starts[row as usize] += 1);
    }
    for word in 0..n_source {
        starts[word + 1] += starts[word];
    }
    let mut places = vec![(0, 0); starts[n_source]];
    let mut next = starts.clone();
    for (at, pair) in (0..).zip(pairs) {
        for (row, &word) in (1..).zip(&pair.rows[1..words(pair)]) {
            let next = &mut next[word as usize - 1];
            places[*next] = (at, row);
            *next += 1;
        }
    }
    (starts, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_of_words_has_one_place() {
        let texts: [(&[u32], &[u32]); 3] = [(&[0, 1], &[2, 0]), (&[0, 0], &[1]), (&[], &[2])];
        let (table, pairs) = Cooccurrences::build((2, 3), 3, |at| texts[at]).unwrap();
        assert_eq!(table.starts()[..], [0, 3, 6, 8]);
        assert_eq!(table.targets(), [0, 1, 2, 0, 1, 2, 0, 2]);
        assert_eq!(pairs[0].cells[..], [2, 0, 5, 3, 7, 6]);
        assert_eq!(pairs[1].cells[..], [1, 4, 4]);
        assert_eq!((pairs[2].n_source(), pairs[2].n_target()), (0, 1));
        for (pair, (source, target)) in pairs.iter().zip(texts) {
            let some = |words: &[u32]| words.iter().map(|&word| Some(word)).collect::<Vec<_>>();
            assert_eq!(table.pair(&some(source), &some(target)), *pair);
        }
        let third = 1.0 / 3.0;
        let expected = [third, third, third + 1.0, third, 2.0 * third, third, third, third];
        let even = table.even_counts(&pairs);
        assert!(even.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{even:?}");
        let strange = table.pair(&[Some(1), None], &[Some(1), None]);
        assert_eq!(strange.rows[..], [0, 2, 3]);
        assert_eq!(strange.cells[..], [1, 8, 8, 8, 8, 8]);
        let again = Cooccurrences::from_parts(
            table.starts().to_vec(),
            table.targets().to_vec(),
            table.n_targets(),
        );
        assert_eq!(again.unwrap(), table);
        assert!(Cooccurrences::from_parts(vec![0, 2], vec![1, 0], 2).is_err());
    }
}
