//! The formats of corpora, by name and by the ending of a file's name.

use std::io::BufRead;
use std::path::Path;

use crate::conllu::{Conllu, Field};
use crate::corpus::Corpus;
use crate::crfsuite::read_attributes;
use crate::error::Result;
use crate::reader::{open, read_columns};
use crate::scheme::Scheme;
use crate::segmented::{read_plain, read_segmented};
use crate::trees::read_trees;

/// How a corpus is written down.
///
/// | Format      | A token is                 | Columns                    | File names   |
/// | ----------- | -------------------------- | -------------------------- | ------------ |
/// | `Columns`   | a line                     | those of the file          |              |
/// | `Conllu`    | a line with a word         | the fields that are chosen | `*.conllu`   |
/// | `Segmented` | a character                | character, label           |              |
/// | `Text`      | what white space surrounds | word                       |              |
/// | `Crfsuite`  | a line                     | attributes, label          | `*.crfsuite` |
/// | `Trees`     | a bracket (tag word)       | word, tag                  | `*.mrg`      |
///
/// `.gz` may stand behind the ending of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Columns, as in the CoNLL shared tasks.
    Columns,
    /// CoNLL-U.
    Conllu,
    /// Words with white space between them, as characters with labels.
    Segmented,
    /// Words with white space between them.
    Text,
    /// Labels and attributes, as CRFsuite reads them.
    Crfsuite,
    /// Bracketed trees, as the Penn Treebank has them.
    Trees,
}

/// What reading and writing depend on beside the format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatOptions {
    /// The fields of CoNLL-U that are the columns, the label last.
    pub fields: Vec<Field>,
    /// The labels of the characters of segmented text.
    pub scheme: Scheme,
    /// The columns of an attribute file; as many as its widest token needs without it.
    pub n_columns: Option<usize>,
}

impl Default for FormatOptions {
    fn default() -> Self {
        Self { fields: vec![Field::Form, Field::Upos], scheme: Scheme::Bmes, n_columns: None }
    }
}

impl Format {
    /// Returns the format that the ending of a name tells, if it tells one.
    pub fn of_path(path: &Path) -> Option<Self> {
        let name = path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().to_ascii_lowercase());
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.') {
            Some((_, "conllu")) => Some(Self::Conllu),
            Some((_, "crfsuite")) => Some(Self::Crfsuite),
            Some((_, "mrg")) => Some(Self::Trees),
            _ => None,
        }
    }

    /// Reads a corpus from its path, or standard input where the path is `-`.
    ///
    /// # Errors
    ///
    /// As [`Format::read`], and [`Error::Io`](crate::Error::Io) when the file cannot be opened.
    pub fn open(self, path: impl AsRef<Path>, options: &FormatOptions) -> Result<Corpus> {
        open(path.as_ref(), |name, input| self.read(name, input, options))
    }

    /// Returns whether a sentence is a line, and not what blank lines surround.
    pub fn has_line_sentences(self) -> bool {
        matches!(self, Self::Segmented | Self::Text)
    }

    /// Reads a corpus; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// As [`read_columns`], [`Conllu::read`], [`read_segmented`], [`read_plain`],
    /// [`read_attributes`] and [`read_trees`].
    pub fn read(self, name: &str, input: impl BufRead, options: &FormatOptions) -> Result<Corpus> {
        match self {
            Self::Columns => read_columns(name, input),
            Self::Conllu => Conllu::read(name, input)?.corpus(&options.fields),
            Self::Segmented => read_segmented(name, input, options.scheme),
            Self::Text => read_plain(name, input),
            Self::Crfsuite => read_attributes(name, input, options.n_columns),
            Self::Trees => read_trees(name, input),
        }
    }
}
