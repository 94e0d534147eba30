//! An encoder of a vocabulary that is known beforehand, such as that of another program's model.

use super::Encoder;
use super::dictionary::Dictionary;
use super::vocabulary::Vocabulary;
use crate::strings::Strings;
use crate::template::Template;

impl Encoder {
    /// Makes an encoder of the attributes with the ids 0, 1, …: each the index of its shape of the
    /// template, and its cells. The first `n_rich` are rich.
    ///
    /// Returns `None` where an attribute is there twice, or where their cells are 2^32 or more.
    pub(crate) fn of_attributes<'a>(
        template: Template,
        labels: Strings,
        attributes: impl Iterator<Item = (usize, Vec<&'a str>)>,
        n_rich: usize,
        n_columns: usize,
    ) -> Option<Self> {
        let mut values = Strings::default();
        let mut numbers = Vec::new();
        for (shape_idx, cells) in attributes {
            numbers.push(u32::try_from(shape_idx).ok()?);
            numbers.extend(cells.iter().map(|cell| values.intern(cell)));
        }
        let vocabulary = Vocabulary::new(&template, values, numbers, 1)?;
        let dictionary = Dictionary::default();
        Some(Self::assemble(template, vocabulary, dictionary, labels, n_rich, n_columns))
    }
}
