//! Masks that set a share of the inputs of a layer to 0 (Srivastava and others, 2014).

use asyn_core::SplitMix64;

/// The steps of 16 bits, in which a rate is expressed.
const STEPS: f32 = 65536.0;

/// How masks are drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dropout {
    /// Inputs whose 16 bits are below this become 0.
    threshold: u16,
    /// The factor of the others, so that the expected input stays what it is.
    kept: f32,
}

impl Dropout {
    /// Returns what draws masks with this rate, or `None` if nothing is to be dropped.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are below 1")]
    pub(super) fn new(rate: f32) -> Option<Self> {
        let threshold = (rate * STEPS).round().min(STEPS - 1.0) as u16;
        (threshold > 0).then(|| Self { threshold, kept: STEPS / (STEPS - f32::from(threshold)) })
    }

    /// Draws the factors of a vector: 64 random bits for four of them, the lowest first.
    pub(super) fn draw(self, random: &mut SplitMix64, mask: &mut [f32]) {
        for four in mask.chunks_mut(4) {
            let bits = random.next_u64();
            for (i, factor) in (0..).zip(four) {
                #[allow(clippy::cast_possible_truncation, reason = "the low bits are meant")]
                let piece = (bits >> (16 * i)) as u16;
                *factor = if piece < self.threshold { 0.0 } else { self.kept };
            }
        }
    }
}

/// Multiplies values by their factors.
pub(super) fn apply(mask: &[f32], values: &mut [f32]) {
    values.iter_mut().zip(mask).for_each(|(value, factor)| *value *= factor);
}
