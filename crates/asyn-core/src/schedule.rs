//! Step sizes over time.

use std::fmt;

use crate::Real;
use crate::error::Result;
use crate::update::{check_factor, check_positive};

/// The step size as a function of how much was trained.
///
/// Time is measured in passes, as a real number: 2.5 is the middle of the third pass.
/// All strategies read the same schedule from the ticket of an example, so no
/// shared scalar is ever written.
///
/// ```
/// use asyn_core::Schedule;
///
/// let schedule = Schedule::Exponential { rate: 0.1, factor: 0.5 };
/// assert_eq!(schedule.rate(0.0), 0.1);
/// assert_eq!(schedule.rate(1.9), 0.05);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// The same step size throughout.
    Constant {
        /// The step size.
        rate: Real,
    },
    /// Constant within a pass, multiplied by `factor` from pass to pass.
    Exponential {
        /// The step size of the first pass.
        rate: Real,
        /// The multiplier a pass, in `(0, 1]`.
        factor: Real,
    },
    /// `rate / (1 + t / half_life)` with `t` in passes: the step of Bottou's SGD,
    /// `1 / (λ (t + t₀))`, when `rate = 1 / (λ t₀)` and `half_life = t₀`.
    InverseTime {
        /// The step size at the start.
        rate: Real,
        /// After how many passes the step size has halved.
        half_life: Real,
    },
}

impl Schedule {
    /// Returns the step size after `passes` passes.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "a step size needs no more than f32")]
    pub fn rate(&self, passes: f64) -> Real {
        match *self {
            Self::Constant { rate } => rate,
            Self::Exponential { rate, factor } => {
                (f64::from(rate) * f64::from(factor).powf(passes.floor())) as Real
            }
            Self::InverseTime { rate, half_life } => {
                (f64::from(rate) / (1.0 + passes / f64::from(half_life))) as Real
            }
        }
    }

    /// Returns the schedule of Bottou's SGD for λ = `l2`, `1 / (λ (t + t₀))` with `t` in passes:
    /// `t₀`, and with it the half-life, follows from the step size at the start.
    ///
    /// ```
    /// use asyn_core::Schedule;
    ///
    /// let schedule = Schedule::bottou(0.2, 0.5);
    /// assert_eq!(schedule, Schedule::InverseTime { rate: 0.2, half_life: 10.0 });
    /// assert_eq!(schedule.rate(10.0), 0.1);
    /// ```
    #[must_use]
    pub fn bottou(rate: Real, l2: Real) -> Self {
        Self::InverseTime { rate, half_life: 1.0 / (l2 * rate) }
    }

    /// Returns the same schedule with another step size at its start.
    #[must_use]
    pub fn starting_at(&self, rate: Real) -> Self {
        match *self {
            Self::Constant { .. } => Self::Constant { rate },
            Self::Exponential { factor, .. } => Self::Exponential { rate, factor },
            Self::InverseTime { half_life, .. } => Self::InverseTime { rate, half_life },
        }
    }
}

impl Schedule {
    /// Checks that all step sizes are positive and none grows.
    pub(crate) fn check(&self) -> Result<()> {
        match *self {
            Self::Constant { rate } => check_positive("rate", rate),
            Self::Exponential { rate, factor } => {
                check_positive("rate", rate)?;
                check_factor("factor", factor)
            }
            Self::InverseTime { rate, half_life } => {
                check_positive("rate", rate)?;
                check_positive("half-life", half_life)
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant { rate } => write!(f, "constant {rate}"),
            Self::Exponential { rate, factor } => write!(f, "{rate} x {factor} a pass"),
            Self::InverseTime { rate, half_life } => {
                write!(f, "{rate} / (1 + t / {half_life} passes)")
            }
        }
    }
}
