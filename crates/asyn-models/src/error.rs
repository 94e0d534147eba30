//! What can go wrong in this crate.

/// A model that cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The number of labels is not supported.
    #[error("a model needs between 1 and {most} labels, not {actual}")]
    Labels {
        /// The most labels that are supported.
        most: usize,
        /// The number that was asked for.
        actual: usize,
    },
    /// More attributes have rich edges than there are attributes.
    #[error("{rich} attributes cannot have rich edges: there are only {attributes}")]
    RichEdges {
        /// The attributes with rich edges.
        rich: usize,
        /// All attributes.
        attributes: usize,
    },
    /// There are not as many lengths of vectors as columns.
    #[error("a model of {columns} columns needs as many lengths of vectors, not {actual}")]
    Widths {
        /// The columns.
        columns: usize,
        /// The lengths that were given.
        actual: usize,
    },
    /// There are more pairs of words than 32 bits can count, or their table is not one.
    #[error("{actual} pairs of words cannot be counted")]
    Counts {
        /// The number of pairs.
        actual: usize,
    },
    /// A number is out of range.
    #[error("{what} must be {range}, not {actual}")]
    Setting {
        /// What the number says.
        what: &'static str,
        /// What is allowed.
        range: &'static str,
        /// The number that was asked for.
        actual: f32,
    },
}

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
