//! What can go wrong in a task.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// The result of a task or a part of one.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// A task that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A program could not be started.
    #[error("cannot start `{command}`")]
    Start { command: String, source: io::Error },
    /// A program ran and reported failure.
    #[error("`{command}` failed: {status}")]
    Command { command: String, status: ExitStatus },
    /// A file or folder could not be read or written.
    #[error("cannot {act} {}", path.display())]
    File {
        act: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A manifest is not valid TOML.
    #[error("{path} is not valid TOML")]
    Manifest {
        path: String,
        source: toml::de::Error,
    },
    /// A step of a list failed.
    #[error("step `{name}` failed")]
    Step {
        name: &'static str,
        source: Box<Error>,
    },
    /// House rules are broken.
    #[error("{n_findings} broken house rules, listed above")]
    Untidy { n_findings: usize },
}

impl Error {
    /// Returns a closure that says which file an I/O error came from.
    pub(crate) fn file(
        act: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { act, path, source }
    }
}
