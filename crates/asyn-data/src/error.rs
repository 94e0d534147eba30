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
    /// A token has more attributes than a model takes.
    #[error(
        "{name}:{line}: expected at most {limit} attributes, as the model takes, found {actual}"
    )]
    TooWide {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// The most attributes of a token of the training file.
        limit: usize,
        /// The number of attributes of the line.
        actual: usize,
    },
    /// An attribute has another value than 1.
    #[error("{name}:{line}: expected attributes without a value or with 1, found {item:?}")]
    Value {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// The attribute with its value.
        item: String,
    },
    /// A cell is empty or has white space in it, which a format cannot hold.
    #[error("{name}:{line}: expected a cell with text and without white space, found {cell:?}")]
    Cell {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// The cell.
        cell: String,
    },
    /// A label is not that of a chunk in any tag scheme.
    #[error(
        "{name}:{line}: expected O or a letter of a tag scheme with a type, such as B-NP, found {label}"
    )]
    Label {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// The label.
        label: String,
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
    /// A line of a CoNLL-U file is not as the format says.
    #[error("{name}:{line}: {fault}")]
    Conllu {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with the line.
        fault: ConlluFault,
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
    /// A line of a text is not as its format says.
    #[error("{name}:{line}: expected {expected}")]
    Text {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// What the format has there.
        expected: &'static str,
    },
    /// A line has no other side: the other file has fewer lines, or more.
    #[error("{name}:{line}: expected as many lines as in {other}, which ends after {n_lines}")]
    Unpaired {
        /// The file.
        name: String,
        /// The first line that is too much or missing, counted from 1.
        line: u64,
        /// What it is compared with.
        other: String,
        /// How many lines that has.
        n_lines: u64,
    },
    /// A link is from or to a word that its pair of sentences does not have.
    #[error(
        "{name}:{line}: expected links of a pair of {} and {} words, found {link}",
        lengths.0,
        lengths.1
    )]
    Link {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// The link, its words counted from 0.
        link: String,
        /// The numbers of words, left and right.
        lengths: (usize, usize),
    },
    /// A line of a file of word vectors is none.
    #[error("{name}:{line}: expected {expected}")]
    Vector {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// What was expected, and what was found.
        expected: String,
    },
    /// A model of another program is cut short, damaged, or something else.
    #[error(
        "{name}: expected {expected} at byte {at}: the file is cut short, damaged or of another kind"
    )]
    Foreign {
        /// The file.
        name: String,
        /// The place in the file.
        at: u64,
        /// What such files have there.
        expected: &'static str,
    },
    /// A model file is refused.
    #[error("{name}: {fault}")]
    Model {
        /// The file.
        name: String,
        /// Why it is refused.
        fault: ModelFault,
    },
}

impl Error {
    /// Returns the same error about a text before which there are `n_lines` lines.
    pub fn shifted(mut self, n_lines: u64) -> Self {
        match &mut self {
            Self::Utf8 { line, .. }
            | Self::Ragged { line, .. }
            | Self::TooWide { line, .. }
            | Self::Conllu { line, .. }
            | Self::Value { line, .. }
            | Self::Cell { line, .. }
            | Self::Text { line, .. }
            | Self::Label { line, .. } => *line += n_lines,
            _ => {}
        }
        self
    }
}

/// What is wrong with one line of a CoNLL-U file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConlluFault {
    /// A line has more or fewer fields than the format.
    #[error("expected {expected} fields with tabs between them, found {actual}")]
    Fields {
        /// The number of fields of the format.
        expected: usize,
        /// The number of fields of the line.
        actual: usize,
    },
    /// A field holds nothing.
    #[error("expected _ where field {field} is empty")]
    EmptyField {
        /// The field, counted from 1.
        field: usize,
    },
    /// The first field is not a number of any kind.
    #[error("expected a number such as 3, 3-4 or 3.1, found {0:?}")]
    Number(String),
    /// A word or an empty node has another number than the next.
    #[error("expected number {expected}, found {actual}")]
    Order {
        /// The next number.
        expected: String,
        /// The number of the line.
        actual: String,
    },
    /// A range does not begin at the next word, ends before it begins, or overlaps another.
    #[error(
        "expected a range that begins at word {expected}, ends later and overlaps no other, found {range}"
    )]
    Range {
        /// The range.
        range: String,
        /// The number of the next word.
        expected: u32,
    },
    /// A range ends behind the last word of its sentence.
    #[error("the range ends at word {end}, and its sentence has {n_words}")]
    RangeEnd {
        /// Where the range ends.
        end: u32,
        /// The number of words of the sentence.
        n_words: u32,
    },
}

/// What is wrong with one line of a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateFault {
    /// The line begins with none of the letters that have a meaning.
    #[error("expected a line that begins with U, B or #, found {0:?}")]
    Kind(char),
    /// A percent sign does not begin a macro.
    #[error("expected %x[row,column] or another macro, found {0:?}; the macros are {macros}", macros = crate::template::macro_names())]
    Macro(String),
    /// What stands between the brackets of a macro does not fit it.
    #[error("expected {usage}, found {found:?}")]
    Arguments {
        /// The macro with the names of its arguments.
        usage: &'static str,
        /// The macro as it stands in the line.
        found: String,
    },
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

/// Why a model file is refused, or cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelFault {
    /// The file is shorter or longer than its header says.
    #[error("expected a whole model file, found {actual} bytes that are cut short or too many")]
    Length {
        /// The number of bytes that were found.
        actual: usize,
    },
    /// The header cannot be read.
    #[error("expected a safetensors header: {0}")]
    Header(safetensors::SafeTensorError),
    /// The file is a safetensors file, and not one of asyn.
    #[error("expected a model of asyn: the header has no {key}")]
    Foreign {
        /// The key that is missing.
        key: &'static str,
    },
    /// The file has another version of the layout.
    #[error("expected version {expected} of the model file, found {actual:?}")]
    Version {
        /// The version that can be read.
        expected: &'static str,
        /// The version of the file.
        actual: String,
    },
    /// The file holds another sort of model.
    #[error("expected a model of kind {expected}, found {actual:?}")]
    Kind {
        /// The kinds that are needed, quoted.
        expected: String,
        /// The kind of the file.
        actual: String,
    },
    /// The file was changed after it was written.
    #[error("the file is damaged: its checksum is {actual}, and {expected} was written")]
    Checksum {
        /// The checksum in the header.
        expected: String,
        /// The checksum of the content.
        actual: String,
    },
    /// A tensor holds something that is not a number.
    #[error("expected finite numbers, found {value} in tensor {tensor:?} at {idx}")]
    NotFinite {
        /// The name of the tensor.
        tensor: String,
        /// The place in the tensor.
        idx: usize,
        /// What stands there.
        value: f32,
    },
    /// A tensor has a type that model files do not use.
    #[error("expected tensors of F32 or U8, found {actual} in tensor {tensor:?}")]
    Type {
        /// The name of the tensor.
        tensor: String,
        /// Its type.
        actual: String,
    },
    /// A tensor has more or fewer numbers than its shape.
    #[error(
        "expected as many numbers as the shape {shape:?} has, found {actual} in tensor {tensor:?}"
    )]
    Shape {
        /// The name of the tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The number of its values.
        actual: usize,
    },
    /// A name belongs to the container.
    #[error("the name {name:?} is reserved")]
    ReservedName {
        /// The name.
        name: String,
    },
    /// A tensor and a byte tensor have the same name.
    #[error("the name {name:?} is used twice")]
    NameTwice {
        /// The name.
        name: String,
    },
    /// A part that the model needs is not there.
    #[error("expected {name}, which is missing")]
    Missing {
        /// The part.
        name: &'static str,
    },
    /// A part of the model does not fit the others.
    #[error("the content of {name} does not fit the other parts")]
    Content {
        /// The part.
        name: &'static str,
    },
}

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
