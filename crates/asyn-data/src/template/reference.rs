//! The macros of the template language, as they are written and as they are read.
//!
//! A macro that looks at one row reads a [`Source`] there. A macro that looks
//! at two rows reads a source at the first of them, which looks ahead as far
//! as the second. So whatever is read depends on the place in the sentence
//! alone, and a window has one array a source.

use super::MAX_ROW;
use super::function::{Function, Property};
use crate::error::TemplateFault;

/// The longest affix.
const MAX_AFFIX: usize = 64;

/// The macros, each with its arguments.
const MACROS: [(&str, &str); 12] = [
    ("x", "%x[row,column]"),
    ("filled", "%filled[row,column]"),
    ("prefix", "%prefix[row,column,length]"),
    ("suffix", "%suffix[row,column,length]"),
    ("shape", "%shape[row,column]"),
    ("short", "%short[row,column]"),
    ("lower", "%lower[row,column]"),
    ("type", "%type[row,column]"),
    ("has", "%has[row,column,digit|hyphen|punctuation|upper|capital|caps]"),
    ("same", "%same[row,later row,column]"),
    ("word", "%word[row,last row]"),
    ("known", "%known[row,last row]"),
];

/// Something that a line reads, seen from a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) row: i32,
    pub(crate) source: Source,
}

/// What can be read at a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A function of the token's cell in a column.
    Cell { column: usize, function: Function },
    /// A test: `same` where the cell equals the one so many rows later.
    Same { column: usize, distance: usize },
    /// A test: the word of the dictionary that so many tokens from this one on are in column 0.
    Word { length: usize },
    /// A test: `known` where they are such a word.
    Known { length: usize },
}

impl Source {
    /// Returns the column that is read.
    pub(crate) fn column(self) -> usize {
        match self {
            Self::Cell { column, .. } | Self::Same { column, .. } => column,
            Self::Word { .. } | Self::Known { .. } => 0,
        }
    }

    /// Returns whether a line with it makes an attribute only where something holds.
    pub(crate) fn is_test(self) -> bool {
        match self {
            Self::Cell { function, .. } => matches!(function, Function::Filled | Function::Has(_)),
            _ => true,
        }
    }

    /// Returns whether it looks words up in the dictionary.
    pub(crate) fn uses_dictionary(self) -> bool {
        matches!(self, Self::Word { .. } | Self::Known { .. })
    }
}

/// Reads a macro behind its percent sign, and returns it with what stands behind it.
pub(super) fn parse(text: &str) -> Result<(Reference, &str), TemplateFault> {
    let unknown = || TemplateFault::Macro(format!("%{text}"));
    let (name, behind) = text.split_once('[').ok_or_else(unknown)?;
    let (inside, behind) = behind.split_once(']').ok_or_else(unknown)?;
    let &(_, usage) = MACROS.iter().find(|&&(known, _)| known == name).ok_or_else(unknown)?;
    let unfit = || TemplateFault::Arguments { usage, found: format!("%{name}[{inside}]") };
    let arguments: Vec<&str> = inside.split(',').map(str::trim).collect();
    let whole = |argument: &str| argument.parse::<usize>().map_err(|_| unfit());
    let row = |argument: &str| {
        let limit = i64::from(MAX_ROW);
        match argument.parse::<i64>() {
            Ok(row) if (-limit..=limit).contains(&row) => Ok(row),
            Ok(row) => Err(TemplateFault::Row { row, limit }),
            Err(_) => Err(unfit()),
        }
    };
    let affix = |argument: &str| match argument.parse() {
        Ok(length) if (1..=MAX_AFFIX).contains(&length) => Ok(length),
        _ => Err(unfit()),
    };
    // The rows from the first to the last one.
    let rows = |last: &str| usize::try_from(row(last)? - row(arguments[0])?).map_err(|_| unfit());
    let cell = |column: &str, function| Ok(Source::Cell { column: whole(column)?, function });
    let source = match (name, &arguments[1..]) {
        ("x", [column]) => cell(column, Function::Itself),
        ("filled", [column]) => cell(column, Function::Filled),
        ("prefix", [column, length]) => cell(column, Function::Prefix(affix(length)?)),
        ("suffix", [column, length]) => cell(column, Function::Suffix(affix(length)?)),
        ("shape", [column]) => cell(column, Function::Shape),
        ("short", [column]) => cell(column, Function::Short),
        ("lower", [column]) => cell(column, Function::Lower),
        ("type", [column]) => cell(column, Function::Type),
        ("has", [column, property]) => {
            let known = Property::ALL.into_iter().find(|known| known.name() == *property);
            cell(column, Function::Has(known.ok_or_else(unfit)?))
        }
        ("same", [later, column]) => match rows(later)? {
            0 => Err(unfit()),
            distance => Ok(Source::Same { column: whole(column)?, distance }),
        },
        ("word", [last]) => Ok(Source::Word { length: rows(last)? + 1 }),
        ("known", [last]) => Ok(Source::Known { length: rows(last)? + 1 }),
        _ => Err(unfit()),
    }?;
    let row = i32::try_from(row(arguments[0])?).map_err(|_| unfit())?;
    Ok((Reference { row, source }, behind))
}

/// Returns the names of all macros.
pub(crate) fn macro_names() -> String {
    MACROS.map(|(name, _)| name).join(", ")
}
