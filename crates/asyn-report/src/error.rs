//! What can go wrong in this crate.

use std::io;
use std::path::PathBuf;

/// The result of reading events or making a page.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Events that cannot be understood, or a page that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line is not an event.
    #[error("line {line} of the metrics is not an event")]
    Event {
        /// The line, counted from 1.
        line: usize,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// There is no event that says what was run.
    #[error("the metrics have no start event")]
    NoStart,
    /// A chart could not be drawn.
    #[error("cannot draw the figure {title:?}")]
    Draw {
        /// The title of the figure.
        title: String,
        /// What the drawing library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The page could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
