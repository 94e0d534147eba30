//! What can go wrong in a task.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::workspace::DATA_VARIABLE;

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
    File { act: &'static str, path: PathBuf, source: io::Error },
    /// A manifest is not valid TOML.
    #[error("{path} is not valid TOML")]
    Manifest { path: String, source: toml::de::Error },
    /// A step of a list failed.
    #[error("step `{name}` failed")]
    Step { name: &'static str, source: Box<Error> },
    /// House rules are broken.
    #[error("{n_findings} broken house rules, listed above")]
    Untidy { n_findings: usize },
    /// Nobody said where the corpora are.
    #[error("{DATA_VARIABLE} is not set: it names the folder of the corpora")]
    DataUnset,
    /// A corpus of an experiment is not there.
    #[error("{} is not there: docs/reproduce.md says where corpora are from", path.display())]
    NoCorpus { path: PathBuf },
    /// A corpus has no files that can be downloaded as they are.
    #[error("the files of {name} cannot be downloaded one by one: see {home}, or use --mirror")]
    NoDownload { name: &'static str, home: &'static str },
    /// A download was asked for without a word on the terms.
    #[error("the terms of {name} are above: say --accept-terms if you accept them")]
    TermsNotAccepted { name: &'static str },
    /// A file is not the one that its name promises.
    #[error("{path} is another text: its SHA-256 is {actual}, expected {expected}")]
    Checksum { path: &'static str, expected: &'static str, actual: String },
    /// The report of a run could not be read or written.
    #[error("cannot report on {what}")]
    Report { what: String, source: asyn_report::Error },
    /// A program answered with something that is not the JSON that it promises.
    #[error("`{command}` did not answer with the JSON that it promises")]
    Answer { command: String, source: serde_json::Error },
    /// A run has no score or no pass.
    #[error("the run {name} has no {lacks}")]
    Incomplete { name: String, lacks: &'static str },
    /// Corpus files are missing or damaged.
    #[error("{n_files} corpus files are missing or damaged, listed above")]
    Corpora { n_files: usize },
}

impl Error {
    /// Says whether an experiment cannot be run here for lack of its corpus.
    pub(crate) fn is_lack_of_data(&self) -> bool {
        matches!(self, Self::DataUnset | Self::NoCorpus { .. })
    }

    /// Returns a closure that says which file an I/O error came from.
    pub(crate) fn file(
        act: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { act, path, source }
    }
}
