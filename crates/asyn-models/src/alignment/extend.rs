//! Patterns that grow by those of further text, and shrink to their largest counts.

use super::cooccurrence::{AlignmentPair, Cooccurrences};
use super::{Aligner, Tensors};
use crate::error::Result;

use asyn_core::{Layout, Real, SharedWeights};

/// The share of the total of a word that its new pairs start with together.
const NEW_SHARE: Real = 0.01;

impl Cooccurrences {
    /// Returns the pattern of what either has, and the places there of the counts of `self` and of
    /// `other`.
    ///
    /// # Errors
    ///
    /// [`Error::Counts`](crate::Error::Counts) if there are 2³² counts or more.
    fn merge(&self, other: &Self) -> Result<(Self, Vec<u32>, Vec<u32>)> {
        let (mut starts, mut targets) = (vec![0], Vec::new());
        let both = [self, other];
        let mut places = both.map(|table| Vec::with_capacity(table.targets().len()));
        for row in 0..self.n_rows().max(other.n_rows()) {
            let mut rows = both.map(|table| table.row(row));
            while let Some(&target) = rows.iter().filter_map(|row| row.first()).min() {
                let place = Self::limit(targets.len())?;
                for (row, places) in rows.iter_mut().zip(&mut places) {
                    if let Some(rest) = row.strip_prefix(&[target]) {
                        *row = rest;
                        places.push(place);
                    }
                }
                targets.push(target);
            }
            starts.push(Self::limit(targets.len() + 1)? - 1);
        }
        targets.shrink_to_fit();
        let n_targets = self.n_targets().max(other.n_targets());
        let table = Self::from_parts(starts, targets, n_targets)?;
        let [mine, others] = places;
        Ok((table, mine, others))
    }

    /// Returns the target words of a row; a row that is not there has none.
    fn row(&self, row: usize) -> &[u32] {
        match self.starts().get(row..row + 2) {
            Some(ends) => &self.targets()[ends[0] as usize..ends[1] as usize],
            None => &[],
        }
    }
}

impl Aligner {
    /// Goes on with the pairs of further text: `fresh` is the pattern of these alone, with all words
    /// of `self` under the same numbers. Returns the aligner of all, counts for it, and the pairs in
    /// its places.
    ///
    /// Counts of words that are there stay, and their new pairs start with a hundredth of their total
    /// together; those of new words are as in [`Model::initial_weights`](asyn_core::Model).
    ///
    /// # Errors
    ///
    /// [`Error::Counts`](crate::Error::Counts) if there are 2³² counts or more.
    pub fn extend(
        &self,
        weights: &SharedWeights,
        fresh: &Cooccurrences,
        mut pairs: Vec<AlignmentPair>,
    ) -> Result<(Self, SharedWeights, Vec<AlignmentPair>)> {
        let (table, mine, places) = self.table.merge(fresh)?;
        for pair in &mut pairs {
            pair.cells.iter_mut().for_each(|cell| *cell = places[*cell as usize]);
        }
        let old = self.export(weights);
        // No count is negative, so this says that there is none.
        let mut counts = vec![-1.0; table.targets().len()];
        mine.iter().zip(&old).for_each(|(&place, &count)| counts[place as usize] = count);
        for ends in table.starts().windows(2) {
            let row = &mut counts[ends[0] as usize..ends[1] as usize];
            let total: Real = row.iter().filter(|&&count| count >= 0.0).sum();
            let n_new = row.iter().filter(|&&count| count < 0.0).count();
            let all = if total > 0.0 { NEW_SHARE * total } else { 1.0 };
            #[allow(clippy::cast_precision_loss, reason = "a mean that need not be exact")]
            let share = all / n_new.max(1) as Real;
            row.iter_mut().filter(|count| **count < 0.0).for_each(|count| *count = share);
        }
        let (aligner, weights) = self.with_counts(weights, table, &counts);
        Ok((aligner, weights, pairs))
    }

    /// Drops the smallest counts, but none of the empty word, until there are at most `most`, if
    /// there are more; returns how many were dropped.
    ///
    /// # Panics
    ///
    /// Panics if the weights are not those of this aligner.
    pub fn prune(
        &self,
        weights: &SharedWeights,
        most: usize,
    ) -> Option<(Self, SharedWeights, usize)> {
        let table = &self.table;
        let n_dropped = table.targets().len().saturating_sub(most);
        let counts = self.export(weights);
        let first = table.row(0).len();
        let n_dropped = n_dropped.min(counts.len() - first);
        if n_dropped == 0 {
            return None;
        }
        let mut order: Vec<Real> = counts[first..].to_vec();
        let (_, &mut limit, _) = order.select_nth_unstable_by(n_dropped - 1, Real::total_cmp);
        // Of those that are as large as the largest that goes, the first ones go.
        let below = order.iter().filter(|&&count| count < limit).count();
        drop(order);
        let mut n_ties = n_dropped - below;
        let mut keeps = |place: usize, count: Real| {
            let ties = place >= first && count == limit && n_ties > 0;
            n_ties -= usize::from(ties);
            place < first || (count >= limit && !ties)
        };
        let (mut starts, mut targets, mut kept) = (vec![0], Vec::new(), Vec::new());
        for ends in table.starts().windows(2) {
            let row = ends[0] as usize..ends[1] as usize;
            let places = row.clone().zip(&counts[row.clone()]).zip(&table.targets()[row]);
            for ((place, &count), &target) in places {
                if keeps(place, count) {
                    targets.push(target);
                    kept.push(count);
                }
            }
            starts.push(u32::try_from(targets.len()).expect("fewer than there were"));
        }
        let table = Cooccurrences::from_parts(starts, targets, table.n_targets())
            .expect("a part of a pattern is one");
        let (aligner, weights) = self.with_counts(weights, table, &kept);
        Some((aligner, weights, n_dropped))
    }

    /// Returns the same aligner with another pattern and its counts.
    fn with_counts(
        &self,
        weights: &SharedWeights,
        table: Cooccurrences,
        counts: &[Real],
    ) -> (Self, SharedWeights) {
        let jumps = self.export_jumps(weights);
        let mut layout = Layout::default();
        let tensors = Tensors::place(&table, &mut layout, "");
        let Self { distortion, prior, n_pairs, .. } = *self;
        let aligner = Self { table, distortion, prior, n_pairs, layout, tensors };
        let mut weights = aligner.import(counts);
        aligner.import_jumps(&mut weights, &jumps).expect("they are of an aligner");
        (aligner, weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alignment::Distortion;

    fn aligner() -> (Aligner, SharedWeights) {
        let texts: [(&[u32], &[u32]); 2] = [(&[0, 1], &[1, 0]), (&[1], &[1])];
        let (table, _) = Cooccurrences::build((2, 2), 2, |at| texts[at]).unwrap();
        let aligner = Aligner::new(table, Distortion::Uniform);
        // The empty word, word 0 and word 1, each with target words 0 and 1.
        let weights = aligner.import(&[1.0, 2.0, 3.0, 4.0, 0.5, 6.0]);
        (aligner, weights)
    }

    #[test]
    fn counts_stay_where_a_pattern_grows() {
        let (aligner, weights) = aligner();
        let text: [(&[u32], &[u32]); 1] = [(&[0, 2], &[0, 2])];
        let (fresh, pairs) = Cooccurrences::build((3, 3), 1, |at| text[at]).unwrap();
        let (more, weights, pairs) = aligner.extend(&weights, &fresh, pairs).unwrap();
        assert_eq!(more.table().starts()[..], [0, 3, 6, 8, 10]);
        assert_eq!(more.table().targets(), [0, 1, 2, 0, 1, 2, 0, 1, 0, 2]);
        let counts = more.export(&weights);
        let expected = [1.0, 2.0, 0.03, 3.0, 4.0, 0.07, 0.5, 6.0, 0.5, 0.5];
        assert!(counts.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{counts:?}");
        let again = more.table().pair(&[Some(0), Some(2)], &[Some(0), Some(2)]);
        assert_eq!(pairs, [again]);
    }

    #[test]
    fn the_smallest_counts_are_dropped() {
        let (aligner, weights) = aligner();
        assert!(aligner.prune(&weights, 6).is_none());
        let (fewer, weights, n_dropped) = aligner.prune(&weights, 4).unwrap();
        assert_eq!((n_dropped, fewer.export(&weights)), (2, vec![1.0, 2.0, 4.0, 6.0]));
        assert_eq!(fewer.table().targets(), [0, 1, 1, 1]);
        // Counts of the empty word are kept even if that is too many.
        let (fewer, weights, n_dropped) = fewer.prune(&weights, 0).unwrap();
        assert_eq!((n_dropped, fewer.export(&weights)), (2, vec![1.0, 2.0]));
    }
}
