//! Random streams that are the same on every machine and in every release.
//!
//! All randomness of a run comes from one `u64`. A *stream* is named by a
//! purpose and up to two numbers (a pass, an example), so that what happens to
//! an example does not depend on which worker draws it, and can be replayed.
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, "Fast Splittable
//! Pseudorandom Number Generators", OOPSLA 2014): one addition and one mixing
//! function a number, any seed allowed.

use ndarray_rand::rand::RngCore;

/// What a random stream is used for; streams of different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// The order in which examples are visited in a pass.
    Order = 1,
    /// Initial weights.
    InitialWeights = 2,
    /// Which small gradients are written, and which are skipped.
    SparseWrites = 3,
    /// Whatever a model draws for itself, for example dropout masks.
    Model = 4,
    /// Samples for calibration.
    Calibration = 5,
    /// Which steps sleep, and for how long.
    Delays = 6,
}

/// A SplitMix64 generator.
///
/// ```
/// use asyn_core::{Purpose, SplitMix64};
///
/// let mut a = SplitMix64::stream(17, Purpose::Order, 3, 0);
/// let mut b = SplitMix64::stream(17, Purpose::Order, 3, 0);
/// assert_eq!(a.next_u64(), b.next_u64());
/// assert!(a.below(10) < 10);
/// assert!((0.0..1.0).contains(&a.unit()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// Starts a generator at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Starts the stream of `purpose` with the numbers `a` and `b`, for example pass and example.
    #[must_use]
    pub fn stream(seed: u64, purpose: Purpose, a: u64, b: u64) -> Self {
        let state = [purpose as u64, a, b]
            .into_iter()
            .fold(mix(seed), |state, part| mix(state ^ mix(part.wrapping_add(GOLDEN_GAMMA))));
        Self { state }
    }

    /// Returns the next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// Returns a number drawn uniformly from `0..bound`.
    ///
    /// The multiplication method of Lemire ("Fast Random Integer Generation in
    /// an Interval", 2019) with rejection, so that the draw is exact.
    ///
    /// # Panics
    ///
    /// Panics if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is no number below 0");
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            #[allow(clippy::cast_possible_truncation, reason = "the low half is what is compared")]
            let low = product as u64;
            if low >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// Returns a number drawn uniformly from `0.0..1.0` with 24 random bits.
    #[inline]
    #[allow(clippy::cast_precision_loss, reason = "24 bits fit an f32 exactly")]
    pub fn unit(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 * (1.0 / (1u32 << 24) as f32)
    }

    /// Puts `items` into a uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            #[allow(clippy::cast_possible_truncation, reason = "the draw is at most `last`")]
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

/// The generator serves the distributions of `ndarray-rand`.
impl RngCore for SplitMix64 {
    #[allow(clippy::cast_possible_truncation, reason = "the upper half is kept on purpose")]
    fn next_u32(&mut self) -> u32 {
        (SplitMix64::next_u64(self) >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        SplitMix64::next_u64(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let random = SplitMix64::next_u64(self).to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}

/// The increment of SplitMix64: the odd integer nearest to 2⁶⁴ divided by the golden ratio.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64 (variant 13 of Stafford's mixers).
#[inline]
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // The first outputs of SplitMix64 from seed 1234567, as in the reference
        // implementation by Vigna.
        let mut generator = SplitMix64::new(1_234_567);
        assert_eq!(generator.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(generator.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn streams_differ_by_purpose_and_numbers() {
        let first = |purpose, a, b| SplitMix64::stream(1, purpose, a, b).next_u64();
        let all = [
            first(Purpose::Order, 0, 0),
            first(Purpose::Order, 1, 0),
            first(Purpose::Order, 0, 1),
            first(Purpose::SparseWrites, 0, 0),
        ];
        for (at, value) in all.iter().enumerate() {
            assert!(!all[..at].contains(value));
        }
    }

    #[test]
    fn a_shuffle_is_a_permutation_and_reaches_every_order() {
        let mut generator = SplitMix64::new(5);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let mut items = [0, 1, 2];
            generator.shuffle(&mut items);
            let mut sorted = items;
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
            seen.insert(items);
        }
        assert_eq!(seen.len(), 6);
    }
}
