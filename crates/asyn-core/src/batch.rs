//! What a worker is given for one step: examples, and the numbers that make it repeatable.

use crate::seed::{Purpose, SplitMix64};

/// The examples of one step.
///
/// Carries seed, pass and example ids, so that whatever a model draws for an
/// example (dropout, unknown words) is a function of these and can be replayed.
#[derive(Debug)]
pub struct Batch<'a, E> {
    /// The pass, counted from 0.
    pub pass: u32,
    /// The seed of the run.
    pub seed: u64,
    ids: &'a [u32],
    upcoming: &'a [u32],
    examples: &'a [E],
}

// Derived impls would ask for `E: Copy`, though only references are copied.
impl<E> Clone for Batch<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Batch<'_, E> {}

impl<'a, E> Batch<'a, E> {
    /// Makes a batch of the examples `ids` of `examples`.
    #[must_use]
    pub fn new(pass: u32, seed: u64, ids: &'a [u32], examples: &'a [E]) -> Self {
        Self { pass, seed, ids, upcoming: &[], examples }
    }

    /// Adds the ids that the same worker is likely to be given next.
    #[must_use]
    pub fn followed_by(mut self, upcoming: &'a [u32]) -> Self {
        self.upcoming = upcoming;
        self
    }

    /// Returns the example that follows the last one of this batch, if it is known: a model may
    /// bring near what it will read.
    #[must_use]
    pub fn upcoming(&self) -> Option<&'a E> {
        self.upcoming.first().map(|&id| &self.examples[id as usize])
    }

    /// Returns the number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns true if there are no examples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the examples' ids, positions in the training set.
    #[must_use]
    pub fn ids(&self) -> &'a [u32] {
        self.ids
    }

    /// Returns the examples.
    pub fn examples(&self) -> impl Iterator<Item = &'a E> + '_ {
        self.ids.iter().map(|&id| &self.examples[id as usize])
    }

    /// Returns each example as a batch of its own, with its id.
    pub(crate) fn singly(&self) -> impl Iterator<Item = (u32, Self)> + '_ {
        self.ids.chunks(1).map(|id| (id[0], Self { ids: id, upcoming: &[], ..*self }))
    }

    /// Returns the random stream of example `id` in this pass, for the model's own use.
    #[must_use]
    pub fn random(&self, id: u32) -> SplitMix64 {
        SplitMix64::stream(self.seed, Purpose::Model, u64::from(self.pass), u64::from(id))
    }
}
