//! What theory says of a racy run, and how its constants are measured.
//!
//! | Part                                 | Answers                                               |
//! | ------------------------------------ | ----------------------------------------------------- |
//! | [`theorem_1`], [`tight`], …          | which step size, and how many updates, reach a target |
//! | [`trajectory`], [`tau`], [`rho`], …  | the constants of a run, from what was recorded        |
//! | [`FullObjective`]                    | the objective over all examples, with its gradient    |
//! | [`Lbfgs`]                            | the minimum `w*` to which the constants refer         |
//!
//! All of it is about the *mean* objective over `m` examples,
//!
//! ```text
//! f(w) = 1/m Σᵢ ℓᵢ(w) + λ/2m ‖w‖²
//! ```
//!
//! A step of [`Sgd`](crate::Sgd), `w ← (1 − γ λ/m) w − γ ∇ℓᵢ(w)`, is one step of size γ on an
//! unbiased estimate of its gradient. All numbers are `f64`.

mod bounds;
mod estimate;
mod full;
mod lbfgs;

pub use bounds::{
    Bound, BoundError, Constants, c_rho, delay_limit, lost_updates_factor, relative_error,
    rho_threshold, stale, theorem_1, tight,
};
pub use estimate::{
    GradientPair, Interval, Optimum, Point, Trajectory, rho, staleness_quantile, tau, trajectory,
};
pub use full::FullObjective;
pub use lbfgs::{Lbfgs, Minimum, Stop};

/// Returns the inner product of two vectors of one length.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
