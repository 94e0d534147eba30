//! The formats of corpora and the tag schemes, as they are typed and kept.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use asyn::data::{Field, Format, FormatOptions, Scheme};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use serde::{Deserialize, Serialize};

/// How a corpus is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FormatChoice {
    /// A token a line, in columns, the last one the label.
    Columns,
    /// CoNLL-U.
    Conllu,
    /// Words with spaces between them, read as characters with labels.
    Segmented,
    /// Words with spaces between them.
    Text,
    /// Label and attributes, with tabs between them.
    Crfsuite,
    /// Bracketed trees, whose words and parts of speech are read.
    Trees,
}

impl From<FormatChoice> for Format {
    fn from(choice: FormatChoice) -> Self {
        match choice {
            FormatChoice::Columns => Self::Columns,
            FormatChoice::Conllu => Self::Conllu,
            FormatChoice::Segmented => Self::Segmented,
            FormatChoice::Text => Self::Text,
            FormatChoice::Crfsuite => Self::Crfsuite,
            FormatChoice::Trees => Self::Trees,
        }
    }
}

/// How labels spell chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SchemeChoice {
    /// B for the first token of every chunk, I for the others.
    #[value(alias = "bio")]
    Iob2,
    /// I, and B right behind a chunk of the same type.
    Iob1,
    /// B, I and E, and S for a single token.
    #[value(alias = "bioes")]
    Iobes,
    /// B, I and L, and U for a single token.
    #[value(alias = "bioul")]
    Bilou,
    /// B, M and E, and S for a single token.
    Bmes,
}

impl From<SchemeChoice> for Scheme {
    fn from(choice: SchemeChoice) -> Self {
        match choice {
            SchemeChoice::Iob2 => Self::Iob2,
            SchemeChoice::Iob1 => Self::Iob1,
            SchemeChoice::Iobes => Self::Iobes,
            SchemeChoice::Bilou => Self::Bilou,
            SchemeChoice::Bmes => Self::Bmes,
        }
    }
}

/// Which sequences of labels are allowed: those of a tag scheme, or any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValidChoice {
    Off,
    Scheme(SchemeChoice),
}

impl ValueEnum for ValidChoice {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Off,
            Self::Scheme(SchemeChoice::Iob2),
            Self::Scheme(SchemeChoice::Iob1),
            Self::Scheme(SchemeChoice::Iobes),
            Self::Scheme(SchemeChoice::Bilou),
            Self::Scheme(SchemeChoice::Bmes),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Off => Some(PossibleValue::new("off").help("Any sequence")),
            Self::Scheme(scheme) => scheme.to_possible_value(),
        }
    }
}

/// The fields of CoNLL-U that are the columns of a corpus; written as `FORM,UPOS`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Fields(pub(crate) Vec<Field>);

impl FromStr for Fields {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fields = text.split(',').map(str::parse).collect::<Result<Vec<Field>, String>>()?;
        match (1..fields.len()).find(|&later| fields[..later].contains(&fields[later])) {
            Some(twice) => Err(format!("{} is named twice", fields[twice])),
            None => Ok(Self(fields)),
        }
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|field| field.name()).collect();
        f.write_str(&names.join(","))
    }
}

impl From<Fields> for String {
    fn from(fields: Fields) -> Self {
        fields.to_string()
    }
}

impl TryFrom<String> for Fields {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Returns the format that was asked for, or that the name of the file tells, or columns.
pub(crate) fn format_of(path: &Path, asked: Option<FormatChoice>) -> Format {
    asked.map(Format::from).or_else(|| Format::of_path(path)).unwrap_or(Format::Columns)
}

/// Returns how a format is read where these fields are asked for.
pub(crate) fn options_of(fields: Option<&Fields>) -> FormatOptions {
    let mut options = FormatOptions::default();
    if let Some(Fields(fields)) = fields {
        options.fields.clone_from(fields);
    }
    options
}
