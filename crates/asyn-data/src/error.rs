//! What can go wrong in this crate.

use std::io;

/// A file that cannot be read, understood or written, or data that do not fit together.
///
/// Whatever comes from a file names the file, and the line where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("cannot {action} {name}")]
    Io {
        /// What was tried: open, read, write or replace.
        action: &'static str,
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A compressed file is cut short or damaged.
    #[error("{name}: expected gzip data that are whole")]
    Gzip {
        /// The file.
        name: String,
        /// What the decompressor said.
        source: io::Error,
    },
    /// A file holds no token.
    #[error("{name}: expected lines of columns, found no token")]
    Empty {
        /// The file.
        name: String,
    },
    /// A file is not UTF-8 text.
    #[error("{name}:{line}: expected UTF-8 text, found an invalid byte")]
    Utf8 {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
    },
    /// A line is wider or narrower than the first one.
    #[error("{name}:{line}: expected {expected} columns as in the first line, found {actual}")]
    Ragged {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// The number of columns of the first line.
        expected: usize,
        /// The number of columns of this line.
        actual: usize,
    },
    /// A file as a whole has the wrong number of columns.
    #[error("{name}: expected {expected} columns, found {actual}")]
    Columns {
        /// The file.
        name: String,
        /// The number of columns that are needed.
        expected: usize,
        /// The number of columns of the file.
        actual: usize,
    },
    /// A corpus has more characters, tokens or labels than its numbers can count.
    #[error("{name}: expected at most {limit} {what}, found {actual}")]
    TooMany {
        /// The file.
        name: String,
        /// What there is too much of.
        what: &'static str,
        /// The most that is allowed.
        limit: u64,
        /// How many there are.
        actual: u64,
    },
    /// A line of a template cannot be understood.
    #[error("{name}:{line}: {fault}")]
    Template {
        /// The template.
        name: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with the line.
        fault: TemplateFault,
    },
}

/// What is wrong with one line of a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateFault {
    /// The line begins with none of the letters that have a meaning.
    #[error("expected a line that begins with U, B or #, found {0:?}")]
    Kind(char),
    /// A percent sign is not followed by `x[`.
    #[error("expected %x[row,column], found {0:?}")]
    Macro(String),
    /// The numbers between the brackets cannot be read.
    #[error("expected two whole numbers, row and column, in {0:?}")]
    Reference(String),
    /// A row lies too far from the token.
    #[error("expected a row from -{limit} to {limit}, found {row}")]
    Row {
        /// The row of the reference.
        row: i64,
        /// The farthest row that is allowed.
        limit: i64,
    },
    /// A column does not exist in the data.
    #[error(
        "expected a column from 0 to {last}, found {column}: the data have {n_columns} columns, the last one is the label"
    )]
    Column {
        /// The column of the reference.
        column: usize,
        /// The last column that may be read.
        last: usize,
        /// The number of columns of the data, the label included.
        n_columns: usize,
    },
}

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
