//! Why the command ends without having done its task, and with which status.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

/// Statuses follow `sysexits.h` where it has one.
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const SCORE: u8 = 3;
const DATA: u8 = 65;
const NO_INPUT: u8 = 66;
const IO: u8 = 74;
const STOPPED: u8 = 75;

/// Why a task was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The library could not do its part.
    #[error(transparent)]
    Asyn(#[from] asyn::Error),
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// Standard output could not be written.
    #[error("cannot write standard output")]
    Output { source: io::Error },
    /// Settings that were typed do not fit together or do not fit the data.
    #[error("{0}")]
    Usage(String),
    /// The settings of a run directory cannot be understood.
    #[error("{}: expected the settings of a run", path.display())]
    Settings { path: PathBuf, source: toml::de::Error },
    /// A run directory or a recording holds the run of another model.
    #[error("{}: the run is of another model: {what} {there}, not {here}", run.display())]
    OtherModel { run: PathBuf, what: &'static str, there: String, here: String },
    /// A recording cannot be replayed.
    #[error("{}: {fault}", path.display())]
    Recording { path: PathBuf, fault: String },
    /// A replay did not end as the run did, though it should have.
    #[error("the recording does not lead to the end of its run")]
    Strayed,
    /// The page of a run could not be made.
    #[error(transparent)]
    Report(#[from] asyn_report::Error),
    /// Data that were read do not fit together.
    #[error("{0}")]
    Data(String),
    /// A score is below what was asked for.
    #[error("{name} is {actual:.2}, at least {least:.2} was asked for")]
    Score { name: &'static str, actual: f64, least: f64 },
    /// Training diverged, and what it was before is saved.
    #[error("{0}")]
    Diverged(String),
    /// The run was interrupted after everything was saved.
    #[error("{0}")]
    Stopped(String),
}

impl Failure {
    /// Returns a function that makes a failure of a system error.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }

    /// Returns the exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Asyn(asyn::Error::Data(error)) => data_status(error),
            Self::Asyn(asyn::Error::Model(_))
            | Self::Settings { .. }
            | Self::Recording { .. }
            | Self::Data(_)
            | Self::Strayed => DATA,
            Self::Asyn(asyn::Error::Training(error)) => match error {
                asyn::core::Error::Setting { .. } | asyn::core::Error::Conflict { .. } => USAGE,
                _ => FAILED,
            },
            Self::Asyn(_) | Self::Report(_) | Self::Diverged(_) => FAILED,
            Self::Io { action, source, .. } => io_status(action, source),
            Self::Output { .. } => IO,
            Self::Usage(_) | Self::OtherModel { .. } => USAGE,
            Self::Score { .. } => SCORE,
            Self::Stopped(_) => STOPPED,
        }
    }

    /// Returns whether the reader of standard output went away, which is no error of ours.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output { source } if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Returns the message and its causes, in one line.
    pub(crate) fn line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            line.push_str(": ");
            // TOML errors draw the place under the text, on lines of their own.
            line.push_str(&error.to_string().split_whitespace().collect::<Vec<_>>().join(" "));
            cause = error.source();
        }
        line
    }
}

impl From<asyn::data::Error> for Failure {
    fn from(error: asyn::data::Error) -> Self {
        Self::Asyn(error.into())
    }
}

fn data_status(error: &asyn::data::Error) -> u8 {
    match error {
        asyn::data::Error::Io { action, source, .. } => io_status(action, source),
        _ => DATA,
    }
}

fn io_status(action: &str, error: &io::Error) -> u8 {
    let reads = action.starts_with("open") || action.starts_with("read");
    if reads && error.kind() == io::ErrorKind::NotFound { NO_INPUT } else { IO }
}
