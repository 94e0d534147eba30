//! Step sizes and numbers of updates that are proven to reach a target.
//!
//! Stochastic gradient descent with erroneous gradients takes steps
//! `w_{t+1} = w_t − γ s_z(w_t)`, where `s_z` is what a worker applied for example `z`, and
//! `s(w)` is its mean over examples. With `a_t = E ‖w_t − w*‖²`, each bound below rests on a
//! recursion `a_{t+1} ≤ (1 − x) a_t + y`, whose floor is `y / x`, and on smoothness,
//! `f(w) − f* ≤ q/2 ‖w − w*‖²`: the floor and what is left of `a_0` get half of the target each.
//!
//! | Bound              | Error of the gradient                      | Floor of the accuracy |
//! | ------------------ | ------------------------------------------ | --------------------- |
//! | [`theorem_1`]      | `(∇f(w) − s(w))ᵀ(w − w*) ≤ τ`              | `2τq/c`               |
//! | [`tight`]          | the same                                   | `τq/c`                |
//! | [`relative_error`] | `‖s(w) − ∇f(w)‖ ≤ ρ ‖∇f(w)‖`               | none                  |
//! | [`stale`]          | weights are up to `T` updates old, or torn | none                  |
//!
//! Sun ("Asynchronous Parallel Learning for Neural Networks and Structured Models with Dense
//! Features", COLING 2016) proves Theorem 1. It supposes that `z_t` is independent of `w_t`
//! and that `w_t` is a well-defined sequence; a race breaks both a little, so on real threads
//! the bounds are a yardstick and not a guarantee.

use std::f64::consts::PI;

/// The constants of an objective and of a run, all for the *mean* objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constants {
    /// The modulus of strong convexity, above 0, in units of `f` per squared length of `w`.
    /// With L2, λ/m is a lower bound of it.
    pub c: f64,
    /// The Lipschitz constant of the gradient, above 0 and at least `c`, in the units of `c`.
    pub q: f64,
    /// A bound on the norm of the applied vectors `s_z(w)`, errors and regulariser included;
    /// above 0, in units of `f` per length of `w`. All but [`stale`] need no more than
    /// `E ‖s_z(w)‖² ≤ κ²`.
    pub kappa: f64,
    /// The bound τ of the error `(∇f(w) − s(w))ᵀ(w − w*)`, in units of `f`. An error that helps
    /// has a τ below 0 and is counted as 0.
    pub tau: f64,
    /// The target: `E f(w_t) − f* ≤ ε`; above 0, in units of `f`.
    pub epsilon: f64,
    /// `‖w_0 − w*‖²`, at least 0, in squared lengths of `w`.
    pub a_0: f64,
    /// How many times smaller than the largest one the step size is to be; at least 1.
    pub beta: f64,
}

/// A step size, and the number of updates after which the target is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// The step size γ, in squared lengths of `w` per unit of the mean objective.
    pub gamma: f64,
    /// The number of updates `t`; 0 if `q a_0 ≤ ε`, at most [`u64::MAX`].
    pub updates: u64,
}

/// Why a bound says nothing.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BoundError {
    /// A constant is out of its range, or not finite.
    #[error("{name} must be {expected}, not {actual}")]
    Constant {
        /// The name of the constant.
        name: &'static str,
        /// The values that are allowed.
        expected: &'static str,
        /// The value that was given.
        actual: f64,
    },
    /// The error of the gradient is so large that no step size reaches the target.
    #[error("tau is {tau}, and the target is reached only with a tau below {limit}")]
    Tau {
        /// The τ that was given.
        tau: f64,
        /// The value that it must stay below.
        limit: f64,
    },
    /// The step size is too large for its recursion to contract.
    #[error("the step size is too large; try a beta above {beta}")]
    StepSize {
        /// The β above which the step size is small enough.
        beta: f64,
    },
}

/// Returns the step size and the number of updates of Theorem 1 of Sun (2016).
///
/// ```text
/// γ = (cε − 2τq) / (βqκ²)        t = ⌈ βqκ² log(q a_0/ε) / (c (cε − 2τq)) ⌉
/// ```
///
/// # Errors
///
/// [`BoundError::Constant`]; [`BoundError::Tau`] if `τ ≥ cε/2q`, where the paper's condition
/// (11) allows equality, though the step size is then 0; [`BoundError::StepSize`] if `γc ≥ 1`.
///
/// # Examples
///
/// ```
/// use asyn_core::theory::{Constants, theorem_1, tight};
///
/// let constants =
///     Constants { c: 0.1, q: 1.0, kappa: 1.0, tau: 0.001, epsilon: 0.1, a_0: 10.0, beta: 1.0 };
/// assert_eq!(theorem_1(&constants)?.updates, 5757);
/// assert_eq!(tight(&constants)?.updates, 1280);
/// # Ok::<(), asyn_core::theory::BoundError>(())
/// ```
pub fn theorem_1(constants: &Constants) -> Result<Bound, BoundError> {
    let &Constants { c, q, kappa, epsilon, beta, .. } = check(constants)?;
    let tau = below(constants.tau, c * epsilon / (2.0 * q))?;
    let gamma = (c * epsilon - 2.0 * tau * q) / (beta * q * kappa * kappa);
    bound(constants, gamma, c * gamma)
}

/// Returns the step size and the number of updates of Theorem 1 with tight constants.
///
/// The proof of Theorem 1 uses `(w − w*)ᵀ∇f(w) ≥ c/2 ‖w − w*‖²`. Adding the inequality of
/// strong convexity at `(w, w*)` to that at `(w*, w)` gives `c` for `c/2`, from which follow
///
/// ```text
/// γ = 2 (cε − τq) / (βqκ²)       t = ⌈ βqκ² log(q a_0/ε) / (4c (cε − τq)) ⌉
/// ```
///
/// Without errors that is a quarter of the updates, and twice the error is allowed. Only
/// inequalities between visited points and `w*` are used, so `c` and `q` may be those of
/// [`trajectory`](super::trajectory).
///
/// # Errors
///
/// [`BoundError::Constant`]; [`BoundError::Tau`] if `τ ≥ cε/q`; [`BoundError::StepSize`] if
/// `2γc ≥ 1`.
pub fn tight(constants: &Constants) -> Result<Bound, BoundError> {
    let &Constants { c, q, kappa, epsilon, beta, .. } = check(constants)?;
    let tau = below(constants.tau, c * epsilon / q)?;
    let gamma = 2.0 * (c * epsilon - tau * q) / (beta * q * kappa * kappa);
    bound(constants, gamma, 2.0 * c * gamma)
}

/// Returns the modulus with which the *distance* to `w*` contracts under relative errors.
///
/// If `‖s(w) − ∇f(w)‖ ≤ ρ ‖∇f(w)‖`, co-coercivity of the gradient gives
///
/// ```text
/// (w − w*)ᵀ s(w) ≥ c_ρ ‖w − w*‖²,       c_ρ = cq/(c + q) − ρ² (c + q)/4
/// ```
///
/// which is below 0 from [`rho_threshold`] on. For quadratics in two dimensions it is tight
/// if `2c/(c + q) ≤ ρ ≤ 2q/(c + q)`.
///
/// # Errors
///
/// [`BoundError::Constant`] if `c` or `q` is not above 0, or `rho` is below 0.
pub fn c_rho(c: f64, q: f64, rho: f64) -> Result<f64, BoundError> {
    let (c, q, rho) = (positive("c", c)?, positive("q", q)?, not_negative("rho", rho)?);
    Ok(c * q / (c + q) - rho * rho * (c + q) / 4.0)
}

/// Returns the relative error up to which every small step brings `w` nearer to `w*`.
///
/// It is `2√Q / (1 + Q)` with `Q = q/c`. Beyond it and below 1, there are directions in which
/// an adversary can make a step lead away from `w*`; the objective falls all the same, see
/// [`relative_error`].
///
/// # Errors
///
/// [`BoundError::Constant`] if `c` or `q` is not above 0.
pub fn rho_threshold(c: f64, q: f64) -> Result<f64, BoundError> {
    let condition = positive("q", q)? / positive("c", c)?;
    Ok(2.0 * condition.sqrt() / (1.0 + condition))
}

/// Returns the step size and the number of updates under errors relative to the gradient,
/// `‖s(w) − ∇f(w)‖ ≤ ρ ‖∇f(w)‖` with `ρ < 1`. [`Constants::tau`] is not used.
///
/// Smoothness, `∇f(w)ᵀ s(w) ≥ (1 − ρ) ‖∇f(w)‖²` and `‖∇f(w)‖² ≥ 2c (f(w) − f*)` give for
/// `δ_t = E f(w_t) − f*`
///
/// ```text
/// δ_{t+1} ≤ (1 − 2c (1 − ρ) γ) δ_t + qγ²κ²/2
/// ```
///
/// which are step size and number of updates of [`tight`] with `c (1 − ρ)` for `c` and no τ.
/// `c (1 − ρ) − c_ρ = (c + q)/4 (ρ − 2c/(c + q))²`, so this is never worse than a bound by way
/// of [`c_rho`], and it has no threshold below 1. ρ belongs to the mean error: errors of single
/// examples that cancel only enlarge κ. `c` and `q` must hold everywhere; those of
/// [`trajectory`](super::trajectory) do not do.
///
/// # Errors
///
/// [`BoundError::Constant`], also for a `rho` outside `0..1`; [`BoundError::StepSize`] if
/// `2γc (1 − ρ) ≥ 1`.
pub fn relative_error(constants: &Constants, rho: f64) -> Result<Bound, BoundError> {
    in_range("rho", "at least 0 and below 1", rho, (0.0..1.0).contains(&rho))?;
    tight(&Constants { c: check(constants)?.c * (1.0 - rho), tau: 0.0, ..*constants })
}

/// Returns the step size and the number of updates if each gradient is exact for weights that
/// are out of date: every weight has some value that it had during the last `overlap` updates.
///
/// Such reads may be torn. They are within `γκT` of `w`, for `T` = `overlap`, hence
///
/// ```text
/// a_{t+1} ≤ (1 − cγ) a_t + γ²κ² (1 + γq²T²/c)
/// γ = min{ cε/(2qκ²), c/(q²T²) } / β        t = ⌈ log(q a_0/ε) / (cγ) ⌉
/// ```
///
/// `T` bounds the step size only where the target is loose: for small ε, asynchrony is free.
/// [`Constants::tau`] is not used; κ must bound every applied vector, not only their mean square.
///
/// # Errors
///
/// [`BoundError::Constant`], also for an `overlap` below 0; [`BoundError::StepSize`] if `γc ≥ 1`.
pub fn stale(constants: &Constants, overlap: f64) -> Result<Bound, BoundError> {
    let &Constants { c, q, kappa, epsilon, beta, .. } = check(constants)?;
    let delay = q * not_negative("overlap", overlap)?;
    // Without overlap the second limit is infinite.
    let gamma = (c * epsilon / (2.0 * q * kappa * kappa)).min(c / (delay * delay)) / beta;
    bound(constants, gamma, c * gamma)
}

/// Returns by which factor the rate of convergence falls, at least, if each weight's addition
/// is lost with a probability of up to `p`, independently of the example.
///
/// The mean step is then `(I − P)∇f`: losses slow a run down, and do not move where it ends. In
/// the norm weighted by `(I − P)⁻¹` the modulus is `c (1 − p)`.
///
/// # Errors
///
/// [`BoundError::Constant`] if `p` is outside `0..1`.
pub fn lost_updates_factor(p: f64) -> Result<f64, BoundError> {
    in_range("p", "at least 0 and below 1", p, (0.0..1.0).contains(&p)).map(|p| 1.0 - p)
}

/// Returns the step size below which gradient descent on a quadratic is stable if gradients
/// arrive `delay` updates late: `w_{t+1} = w_t − γ ∇f(w_{t−T})`.
///
/// The condition is exact, `γq < 2 sin(π / (2 (2T + 1)))`; it is that for which all roots of
/// `z^{T+1} = z^T − γq` lie within the unit circle.
///
/// # Errors
///
/// [`BoundError::Constant`] if `q` is not above 0.
pub fn delay_limit(q: f64, delay: u32) -> Result<f64, BoundError> {
    let angle = PI / (2.0 * (2.0 * f64::from(delay) + 1.0));
    positive("q", q).map(|q| 2.0 * angle.sin() / q)
}

/// Returns the bound of a recursion that contracts by `rate` = `x` of `1 − x` an update.
fn bound(constants: &Constants, gamma: f64, rate: f64) -> Result<Bound, BoundError> {
    let &Constants { q, epsilon, a_0, beta, .. } = constants;
    if rate >= 1.0 {
        return Err(BoundError::StepSize { beta: beta * rate });
    }
    let updates = ((q * a_0 / epsilon).ln() / rate).ceil().max(0.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    Ok(Bound { gamma, updates: updates as u64 })
}

fn check(constants: &Constants) -> Result<&Constants, BoundError> {
    let &Constants { c, q, kappa, tau, epsilon, a_0, beta } = constants;
    for (name, value) in [("c", c), ("q", q), ("kappa", kappa), ("epsilon", epsilon)] {
        positive(name, value)?;
    }
    in_range("tau", "finite", tau, true)?;
    not_negative("a_0", a_0)?;
    in_range("beta", "at least 1 and finite", beta, beta >= 1.0)?;
    Ok(constants)
}

/// Returns the τ to count with, if it is below its limit.
fn below(tau: f64, limit: f64) -> Result<f64, BoundError> {
    let tau = tau.max(0.0);
    if tau < limit { Ok(tau) } else { Err(BoundError::Tau { tau, limit }) }
}

fn positive(name: &'static str, value: f64) -> Result<f64, BoundError> {
    in_range(name, "above 0 and finite", value, value > 0.0)
}

fn not_negative(name: &'static str, value: f64) -> Result<f64, BoundError> {
    in_range(name, "at least 0 and finite", value, value >= 0.0)
}

fn in_range(
    name: &'static str,
    expected: &'static str,
    actual: f64,
    holds: bool,
) -> Result<f64, BoundError> {
    let error = BoundError::Constant { name, expected, actual };
    if holds && actual.is_finite() { Ok(actual) } else { Err(error) }
}
