//! What the macros of the template language make of one cell.
//!
//! Characters are those of Unicode, never bytes. Letters, cases and numbers
//! are as the Unicode tables of the standard library have them; scripts are
//! told apart by the blocks of Unicode that hold nearly all their characters.

/// A function of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Function {
    /// The cell as it is.
    Itself,
    /// A test: the cell where it is not empty, as some of attribute files are.
    Filled,
    /// Its first characters, or all where there are fewer.
    Prefix(usize),
    /// Its last characters, or all where there are fewer.
    Suffix(usize),
    /// Every character replaced by its sort: `A`, `a`, `0`, `x`, or itself.
    Shape,
    /// The same with runs of one sort written once.
    Short,
    /// In lower case.
    Lower,
    /// The class of its first character.
    Type,
    /// A test: the name of the property where the cell has it, and nothing elsewhere.
    Has(Property),
}

/// What a cell may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Property {
    Digit,
    Hyphen,
    Punctuation,
    Upper,
    /// An upper-case letter at the beginning.
    Capital,
    /// Upper-case letters and none in lower case.
    Caps,
}

impl Property {
    pub(crate) const ALL: [Self; 6] =
        [Self::Digit, Self::Hyphen, Self::Punctuation, Self::Upper, Self::Capital, Self::Caps];

    /// Returns what templates call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Digit => "digit",
            Self::Hyphen => "hyphen",
            Self::Punctuation => "punctuation",
            Self::Upper => "upper",
            Self::Capital => "capital",
            Self::Caps => "caps",
        }
    }

    fn is_of(self, cell: &str) -> bool {
        match self {
            Self::Digit => cell.contains(char::is_numeric),
            Self::Hyphen => cell.contains(['-', '\u{2010}', '\u{2011}']),
            Self::Punctuation => cell.contains(|c: char| !c.is_alphanumeric()),
            Self::Upper => cell.contains(char::is_uppercase),
            Self::Capital => cell.starts_with(char::is_uppercase),
            Self::Caps => cell.contains(char::is_uppercase) && !cell.contains(char::is_lowercase),
        }
    }
}

impl Function {
    /// Returns what the function makes of a cell, with `memory` to write it in; nothing where a
    /// test does not hold.
    pub(crate) fn of<'a>(self, cell: &'a str, memory: &'a mut String) -> Option<&'a str> {
        memory.clear();
        match self {
            Self::Itself => return Some(cell),
            Self::Filled => return (!cell.is_empty()).then_some(cell),
            Self::Prefix(length) => {
                let end = cell.char_indices().nth(length).map_or(cell.len(), |(at, _)| at);
                return Some(&cell[..end]);
            }
            Self::Suffix(length) => {
                let start = cell.char_indices().rev().nth(length - 1).map_or(0, |(at, _)| at);
                return Some(&cell[start..]);
            }
            Self::Shape => memory.extend(cell.chars().map(sort)),
            Self::Short => {
                for sort in cell.chars().map(sort) {
                    if !memory.ends_with(sort) {
                        memory.push(sort);
                    }
                }
            }
            Self::Lower => memory.extend(cell.chars().flat_map(char::to_lowercase)),
            Self::Type => return Some(cell.chars().next().map_or("other", class)),
            Self::Has(property) => return property.is_of(cell).then(|| property.name()),
        }
        Some(memory)
    }
}

/// Returns the sort of a character in a shape.
fn sort(c: char) -> char {
    if c.is_uppercase() {
        'A'
    } else if c.is_lowercase() {
        'a'
    } else if c.is_numeric() {
        '0'
    } else if c.is_alphabetic() {
        'x'
    } else {
        c
    }
}

/// Returns the class of a character.
fn class(c: char) -> &'static str {
    match c {
        // Iteration mark, the unified ideographs with their extensions, compatibility ideographs.
        '\u{3005}'
        | '\u{3400}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}' => "han",
        _ if c.is_numeric() => "digit",
        // Basic Latin to Latin Extended-B, Latin Extended Additional, the full-width letters.
        '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{ff21}'..='\u{ff5a}'
            if c.is_alphabetic() =>
        {
            "latin"
        }
        _ if c.is_alphanumeric() => "other",
        _ => "punctuation",
    }
}
