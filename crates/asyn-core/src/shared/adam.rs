//! The numbers of a step of Adam, and of steps that a row missed.

/// The numbers of one step of Adam (Kingma and Ba, ICLR 2015).
///
/// With the gradient `g`, for each weight on its own,
///
/// ```text
/// m ← β₁ m + (1 − β₁) c g      v ← β₂ v + (1 − β₂) (c g)²      w ← w − α m / (√v + ε)
/// ```
///
/// where `m / (√v + ε)` is moved into `[−limit, limit]`: exact arithmetic never leaves it, but
/// an `m` and a `v` of different moments may. Moments that would be denormal numbers become 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// α, the step size with the correction for the bias of this step,
    /// `√(1 − β₂ᵗ) / (1 − β₁ᵗ)` times the one that is meant.
    pub rate: f32,
    /// β₁, at least 0 and below 1.
    pub beta_1: f32,
    /// β₂, at least 0 and at most 1.
    pub beta_2: f32,
    /// ε, above 0.
    pub epsilon: f32,
    /// The largest magnitude of `m / (√v + ε)`, above 0; infinite for none.
    pub limit: f32,
    /// `c`, the factor of the gradient: less than 1 where its norm is clipped.
    pub scale: f32,
}

/// Steps of Adam without a gradient, which a row of weights missed and catches up on.
///
/// After `j` such steps `m` is `β₁ʲ m` and `√v` is `β₂^(j/2) √v`, so the row has to move by
///
/// ```text
/// w ← w − m Σⱼ aⱼ / (bⱼ √v + ε),      m ← keep₁ m,      v ← keep₂ v
/// ```
///
/// The sum may run over fewer terms than steps, as a quadrature of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MissedSteps<'a> {
    /// The terms, as `[aⱼ, bⱼ]`.
    pub terms: &'a [[f32; 2]],
    /// ε, above 0.
    pub epsilon: f32,
    /// The largest magnitude of `m / (√v + ε)`, above 0; beyond it `m` is cut.
    pub limit: f32,
    /// By what the moments are multiplied.
    pub keep: [f32; 2],
}
