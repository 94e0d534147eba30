//! The encoder in a model file.
//!
//! | Name                    | Content                                                            |
//! | ----------------------- | ------------------------------------------------------------------ |
//! | `encoder.template`      | the text of the template                                           |
//! | `encoder.labels`        | the labels, each ended by a line feed, in the order of their ids   |
//! | `encoder.values`        | the strings in cells of attributes, each ended by a line feed      |
//! | `encoder.attributes`    | little-endian `u32`: for each id the shape, then its cells, as line numbers of `encoder.values` from 0 |
//! | `encoder.dictionary`    | the words that are looked up, each ended by a line feed; only where the template looks words up |
//! | `encoder.n_rich`        | in the string map: the number of rich attributes                   |
//! | `encoder.n_columns`     | in the string map: the columns of the training corpus              |
//! | `encoder.scheme`        | in the string map, where there is one: the tag scheme that all label sequences of training keep to |
//! | `encoder.written`       | in the string map, where it is another: the tag scheme that labels are written in |
//! | `encoder.template_name` | in the string map: what errors call the template                   |
//!
//! Shapes are numbered in the order in which the template first uses them; a
//! shape is the text of a line around its references.

use super::Encoder;
use super::dictionary::Dictionary;
use super::vocabulary::Vocabulary;
use crate::error::{Error, ModelFault, Result};
use crate::model_file::ModelFile;
use crate::scheme::Scheme;
use crate::strings::Strings;
use crate::template::Template;

const TEMPLATE: &str = "encoder.template";
const LABELS: &str = "encoder.labels";
const VALUES: &str = "encoder.values";
const ATTRIBUTES: &str = "encoder.attributes";
const DICTIONARY: &str = "encoder.dictionary";
const SCHEME: &str = "encoder.scheme";
const WRITTEN: &str = "encoder.written";
const N_RICH: &str = "encoder.n_rich";
const N_COLUMNS: &str = "encoder.n_columns";
const TEMPLATE_NAME: &str = "encoder.template_name";

impl Encoder {
    /// Puts the encoder into a model file, under names that begin with `encoder.`.
    pub fn to_tensors(&self, model: &mut ModelFile) {
        let attributes = &self.vocabulary.attributes;
        let mut put = |name: &str, bytes| model.blobs.insert(name.to_owned(), bytes);
        put(TEMPLATE, self.template.text().as_bytes().to_vec());
        put(LABELS, lines(&self.label_ids));
        put(VALUES, lines(&self.vocabulary.values));
        put(ATTRIBUTES, attributes.iter().flat_map(|number| number.to_le_bytes()).collect());
        if self.template.uses_dictionary() {
            put(DICTIONARY, lines(&self.dictionary.words));
        }
        let mut note = |name: &str, value| model.metadata.insert(name.to_owned(), value);
        note(N_RICH, self.n_rich.to_string());
        note(N_COLUMNS, self.n_columns.to_string());
        note(TEMPLATE_NAME, self.template.name().to_owned());
        for (name, scheme) in [(SCHEME, self.scheme), (WRITTEN, self.written_scheme())] {
            if let Some(scheme) = scheme {
                note(name, scheme.name().to_owned());
            }
        }
    }

    /// Takes the encoder out of a model file, with tables built by `threads` threads.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] when a part is missing or does not fit the others.
    pub fn from_tensors(model: &ModelFile, threads: usize) -> Result<Self> {
        read(model, threads).map_err(|fault| Error::Model {
            name: format!("the encoder of a {} model", model.kind),
            fault,
        })
    }
}

fn read(model: &ModelFile, threads: usize) -> Result<Encoder, ModelFault> {
    let unfit = |name| ModelFault::Content { name };
    let template = Template::parse(note(model, TEMPLATE_NAME)?, text(model, TEMPLATE)?)
        .map_err(|_| unfit(TEMPLATE))?;
    let labels = strings(model, LABELS)?;
    let values = strings(model, VALUES)?;
    let numbers = blob(model, ATTRIBUTES)?.as_chunks::<4>();
    if !numbers.1.is_empty() {
        return Err(unfit(ATTRIBUTES));
    }
    let attributes = numbers.0.iter().map(|&number| u32::from_le_bytes(number)).collect();
    let vocabulary =
        Vocabulary::new(&template, values, attributes, threads).ok_or_else(|| unfit(ATTRIBUTES))?;
    let n_rich = note(model, N_RICH)?.parse().map_err(|_| unfit(N_RICH))?;
    if n_rich > vocabulary.n_attributes() {
        return Err(unfit(N_RICH));
    }
    let n_columns = note(model, N_COLUMNS)?.parse().map_err(|_| unfit(N_COLUMNS))?;
    template.check_columns(n_columns).map_err(|_| unfit(N_COLUMNS))?;
    let words =
        if template.uses_dictionary() { strings(model, DICTIONARY)? } else { Strings::default() };
    let dictionary = Dictionary { words };
    let encoder = Encoder::assemble(template, vocabulary, dictionary, labels, n_rich, n_columns);
    Ok(encoder.with_scheme(scheme(model, SCHEME)?, scheme(model, WRITTEN)?))
}

/// Reads a tag scheme, where there is one; files of earlier versions have none.
fn scheme(model: &ModelFile, name: &'static str) -> Result<Option<Scheme>, ModelFault> {
    let Some(found) = model.metadata.get(name) else { return Ok(None) };
    let scheme = Scheme::ALL.into_iter().find(|scheme| scheme.name() == found);
    scheme.map(Some).ok_or(ModelFault::Content { name })
}

fn blob<'a>(model: &'a ModelFile, name: &'static str) -> Result<&'a [u8], ModelFault> {
    let found = model.blobs.get(name).map(Vec::as_slice);
    found.ok_or(ModelFault::Missing { name })
}

fn text<'a>(model: &'a ModelFile, name: &'static str) -> Result<&'a str, ModelFault> {
    std::str::from_utf8(blob(model, name)?).map_err(|_| ModelFault::Content { name })
}

fn note<'a>(model: &'a ModelFile, name: &'static str) -> Result<&'a str, ModelFault> {
    let found = model.metadata.get(name).map(String::as_str);
    found.ok_or(ModelFault::Missing { name })
}

/// Reads strings that are ended by line feeds and differ from each other.
fn strings(model: &ModelFile, name: &'static str) -> Result<Strings, ModelFault> {
    let lines = text(model, name)?.split_terminator('\n');
    let strings: Strings = lines.clone().collect();
    if strings.len() == lines.count() { Ok(strings) } else { Err(ModelFault::Content { name }) }
}

fn lines(strings: &Strings) -> Vec<u8> {
    let mut text = String::new();
    for string in strings.iter() {
        text.push_str(string);
        text.push('\n');
    }
    text.into_bytes()
}
