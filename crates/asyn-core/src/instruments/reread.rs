//! What changed between the first read of a step and the end of its gradient.

/// What a second reading of the touched blocks found, over the sampled steps.
///
/// Over-counts: changes after a step's last use of a weight. Under-counts: changes before the
/// first use that leave a gradient with values of different times, and values that changed and
/// changed back.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Changes {
    /// The sampled steps.
    pub steps: u64,
    /// Those in which a weight changed.
    pub changed_steps: u64,
    /// The weights that were read twice, a block once a step.
    pub weights: u64,
    /// Those that changed in any bit.
    pub changed: u64,
    /// The sum over steps of `‖Δw‖₂`, the distance that the weights moved.
    pub distance: f64,
}

impl Changes {
    /// Returns the share of weights that changed, from 0 to 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub fn rate(&self) -> f64 {
        self.changed as f64 / self.weights.max(1) as f64
    }

    /// Returns the mean over sampled steps of `‖Δw‖₂`.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub fn mean_distance(&self) -> f64 {
        self.distance / self.steps.max(1) as f64
    }

    /// Notes a step whose weights were first and then again these, in parts; what is stored
    /// times `scale` is a weight.
    pub(super) fn record<'v>(
        &mut self,
        scale: f32,
        parts: impl Iterator<Item = (&'v [f32], &'v [f32])>,
    ) {
        let before = self.changed;
        let mut square = 0.0;
        for (first, again) in parts {
            self.weights += first.len() as u64;
            for (first, again) in first.iter().zip(again) {
                if first.to_bits() != again.to_bits() {
                    self.changed += 1;
                    square += (f64::from(*again) - f64::from(*first)).powi(2);
                }
            }
        }
        self.steps += 1;
        self.changed_steps += u64::from(self.changed > before);
        self.distance += f64::from(scale.abs()) * square.sqrt();
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.changed_steps += other.changed_steps;
        self.weights += other.weights;
        self.changed += other.changed;
        self.distance += other.distance;
    }
}
