//! What can go wrong when the parts work together.

/// Whatever one of the crates below answers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or its content is not as it should be.
    #[error(transparent)]
    Data(#[from] asyn_data::Error),
    /// A model cannot be built.
    #[error(transparent)]
    Model(#[from] asyn_models::Error),
    /// A run cannot start, or had to end.
    #[error(transparent)]
    Training(#[from] asyn_core::Error),
}

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
