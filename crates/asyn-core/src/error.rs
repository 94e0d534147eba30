//! What can go wrong in this crate.

/// A run that cannot start, or that had to end.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its range.
    #[error("{setting} must be {expected}, not {actual}")]
    Setting {
        /// The name of the setting.
        setting: &'static str,
        /// The values that are allowed.
        expected: &'static str,
        /// The value that was given.
        actual: String,
    },
    /// Two settings exclude each other.
    #[error("{first} and {second} exclude each other: {reason}")]
    Conflict {
        /// The first setting.
        first: &'static str,
        /// The second setting.
        second: &'static str,
        /// Why they cannot stand together.
        reason: &'static str,
    },
    /// There is nothing to train on.
    #[error("there are no training examples")]
    NoExamples,
    /// A buffer does not fit the model's layout.
    #[error("{what} has {actual} weights, the model's layout has {expected}")]
    Length {
        /// What was given: weights, or a table of a checkpoint.
        what: &'static str,
        /// The number of weights in the layout.
        expected: usize,
        /// The number that was given.
        actual: usize,
    },
    /// The loss stopped being finite.
    #[error("training diverged in pass {pass}: the loss is not finite; try a smaller step size")]
    Diverged {
        /// The pass, counted from 1.
        pass: u32,
        /// The last pass that ended well, whose weights are left, or those of the checkpoint that
        /// the run goes on from. If there is none it is 0, and the weights that training started
        /// from are left, or the model's initial ones from a trainer that keeps no good ones.
        good: u32,
    },
}

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
