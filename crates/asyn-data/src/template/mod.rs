//! The template language of CRF++: which attributes a token has.
//!
//! Every line of a template makes at most one attribute a token.
//!
//! | Line             | Meaning                                                                    |
//! | ---------------- | -------------------------------------------------------------------------- |
//! | `U01:%x[-1,0]`   | node attribute: the text of the line with the cell one token back, column 0 |
//! | `B01:%x[0,1]`    | edge attribute: the same, for a pair of neighbouring labels                |
//! | `B`              | transitions: one weight for every pair of neighbouring labels              |
//! | `# …` or nothing | comment                                                                    |
//!
//! `%x[row,column]` may stand any number of times in a line, among any other
//! text. Rows count from the token, columns from 0. Outside of the sentence a
//! cell reads `_B-1`, `_B-2`, … before it and `_B+1`, `_B+2`, … behind it.
//!
//! CRF++ has `%x` alone. The other macros read
//!
//! | Macro                                | Reads                                                       |
//! | ------------------------------------ | ----------------------------------------------------------- |
//! | `%prefix[r,c,n]`, `%suffix[r,c,n]`   | the first or last `n` characters                            |
//! | `%lower[r,c]`                        | the cell in lower case                                      |
//! | `%shape[r,c]`, `%short[r,c]`         | `A`, `a`, `x`, `0` for letters and numbers; runs written once |
//! | `%type[r,c]`                         | the class of the first character                            |
//! | `%has[r,c,property]`                 | a test: the name of the property                            |
//! | `%same[r1,r2,c]`                     | a test: `same` where both cells are equal                   |
//! | `%word[r1,r2]`, `%known[r1,r2]`      | a test: the word that the tokens are in the dictionary, or `known` |
//!
//! A line with a test makes an attribute only where the test holds, which is
//! never so outside of the sentence.
//!
//! Two attributes are the same when their lines have the same text around the
//! references and the same cells in them: `U:%x[-1,0]` and `U:%x[0,0]` share
//! their weights, `U01:%x[-1,0]` and `U02:%x[0,0]` do not. CRF++ compares the
//! finished strings instead, which differs only where a cell contains the text
//! between two references.

mod function;
mod reference;

use crate::error::{Error, Result, TemplateFault};
pub(crate) use function::Function;
pub(crate) use reference::{Reference, Source, macro_names};

/// The farthest row that a reference may name.
pub const MAX_ROW: i32 = 64;

/// A template that was parsed.
///
/// ```
/// use asyn_data::Template;
///
/// let template = Template::parse("mine", "U01:%x[0,0]\nU02:%x[-1,0]/%x[0,0]\nB\n")?;
/// assert!(template.lint(2)?.is_empty());
/// assert!(template.has_transitions());
/// # Ok::<(), asyn_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    name: String,
    text: String,
    lines: Vec<Line>,
    shapes: Vec<Shape>,
    has_transitions: bool,
}

/// Something in a template that is allowed and probably not meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// A line stands twice, so that its attributes count double.
    #[error("{name}:{line}: the same line as line {first}: its attributes count double")]
    RepeatedLine {
        /// The template.
        name: String,
        /// The line, counted from 1.
        line: usize,
        /// The earlier line.
        first: usize,
    },
    /// Two lines that differ begin with the same identifier.
    #[error("{name}:{line}: line {first} is also called {id:?}{}", if *.shared { ": they share their weights" } else { "" })]
    DuplicateId {
        /// The template.
        name: String,
        /// The line, counted from 1.
        line: usize,
        /// The earlier line.
        first: usize,
        /// The text before the colon.
        id: String,
        /// Whether equal cells give both lines the same attribute.
        shared: bool,
    },
    /// No line looks at two neighbouring labels.
    #[error("{name}: no line begins with B: neighbouring labels do not see each other")]
    NoTransitions {
        /// The template.
        name: String,
    },
}

/// A line that makes attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The place in the text, counted from 1.
    number: usize,
    /// The cells it reads, from left to right.
    pub(crate) references: Vec<Reference>,
    /// The index of its shape.
    pub(crate) shape: usize,
}

/// The text of a line around its references: lines of one shape share their weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Invariant: one more than there are references.
    pub(crate) literals: Vec<String>,
    /// Whether the line begins with B.
    pub(crate) is_edge: bool,
}

impl Shape {
    /// Returns the number of references.
    pub(crate) fn n_references(&self) -> usize {
        self.literals.len() - 1
    }
}

impl Template {
    /// Parses the text of a template; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] for the first line that cannot be understood.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mut template = Self {
            name: name.to_owned(),
            text: text.to_owned(),
            lines: Vec::new(),
            shapes: Vec::new(),
            has_transitions: false,
        };
        for (line, number) in text.lines().zip(1..) {
            template
                .add_line(line.trim(), number)
                .map_err(|fault| template.error(number, fault))?;
        }
        Ok(template)
    }

    /// Returns a template that comes with the crate.
    ///
    /// | Name       | Columns          | Attributes                                                          |
    /// | ---------- | ---------------- | ------------------------------------------------------------------- |
    /// | `word`     | word, label      | words −2 to +2, the two pairs with the word                         |
    /// | `chunking` | word, tag, label | the same and tags −2 to +2, their 4 pairs, their 3 triples          |
    /// | `np`       | word, tag, label | the same with tags −1 to +1: base noun phrases (Sun et al., 2008)   |
    /// | `chunking-rich` | word, tag, label | as `chunking`, pairs of words and tags, affixes, shapes        |
    /// | `pos`      | word, label      | words, affixes of 1 to 4 characters, lower case, shapes             |
    /// | `seg`      | character, label | characters, classes, repetition, words of the dictionary (Sun, Wang and Li, 2012) |
    /// | `ner`      | word, label      | words, lower case, affixes, shapes of the word and its neighbours   |
    ///
    /// | `words`    | word, label      | columns of a network: the word in lower case, its shape             |
    /// | `words-tags` | word, tag, label | the same and the tag                                              |
    /// | `characters` | character, label | the character, its pairs with both neighbours, its class          |
    ///
    /// All but the last three have transitions. `chunking` is the set that CRF++ and CRFsuite bring as their example.
    #[allow(clippy::missing_panics_doc, reason = "the texts are constants, and tests parse them")]
    pub fn builtin(name: &str) -> Option<Self> {
        let text = match name {
            "word" => include_str!("../../templates/word.template"),
            "chunking" => include_str!("../../templates/chunking.template"),
            "np" => include_str!("../../templates/np.template"),
            "chunking-rich" => include_str!("../../templates/chunking-rich.template"),
            "pos" => include_str!("../../templates/pos.template"),
            "seg" => include_str!("../../templates/seg.template"),
            "ner" => include_str!("../../templates/ner.template"),
            "words" => include_str!("../../templates/words.template"),
            "words-tags" => include_str!("../../templates/words-tags.template"),
            "characters" => include_str!("../../templates/characters.template"),
            _ => return None,
        };
        Some(Self::parse(name, text).expect("the templates of the crate can be parsed"))
    }

    /// Returns the template of attribute files of `n_columns` columns, the last of which is the label:
    /// every cell that is not empty is an attribute, whichever column it is in.
    #[allow(clippy::missing_panics_doc, reason = "the lines are those of a template")]
    pub fn attributes(n_columns: usize) -> Self {
        let lines = (1..n_columns).map(|column| format!("U:%filled[0,{}]\n", column - 1));
        let text: String = lines.chain(["B\n".to_owned()]).collect();
        Self::parse("attributes", &text).expect("the lines are those of a template")
    }

    /// Returns the names that [`Template::builtin`] knows.
    pub fn builtin_names() -> [&'static str; 10] {
        [
            "word",
            "chunking",
            "np",
            "chunking-rich",
            "pos",
            "seg",
            "ner",
            "words",
            "words-tags",
            "characters",
        ]
    }

    /// Checks the template against data of `n_columns` columns, the last of which is the label.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] when a line reads a column that the data do not have, or the label.
    pub fn lint(&self, n_columns: usize) -> Result<Vec<Warning>> {
        self.check_columns(n_columns)?;
        let mut warnings = Vec::new();
        for (later, line) in self.lines.iter().enumerate() {
            let twin = self.lines[..later]
                .iter()
                .find(|other| other.shape == line.shape && other.references == line.references);
            if let Some(twin) = twin {
                warnings.push(Warning::RepeatedLine {
                    name: self.name.clone(),
                    line: line.number,
                    first: twin.number,
                });
                continue;
            }
            let namesake = self.lines[..later].iter().find(|other| self.id(other) == self.id(line));
            if let Some(namesake) = namesake {
                warnings.push(Warning::DuplicateId {
                    name: self.name.clone(),
                    line: line.number,
                    first: namesake.number,
                    id: self.id(line).to_owned(),
                    shared: namesake.shape == line.shape,
                });
            }
        }
        if !self.has_transitions && !self.shapes.iter().any(|shape| shape.is_edge) {
            warnings.push(Warning::NoTransitions { name: self.name.clone() });
        }
        Ok(warnings)
    }

    /// Returns the name that errors use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether a line `B` without a reference asks for plain transitions.
    pub fn has_transitions(&self) -> bool {
        self.has_transitions
    }

    /// Returns the lines that begin with `B` and have no reference: those that ask for plain
    /// transitions.
    pub(crate) fn plain_edges(&self) -> impl Iterator<Item = &str> {
        let lines = self.text.lines().map(str::trim);
        lines.filter(|line| line.starts_with('B') && !line.contains('%'))
    }

    /// Returns whether a line looks words up in the dictionary.
    pub fn uses_dictionary(&self) -> bool {
        let mut references = self.lines.iter().flat_map(|line| &line.references);
        references.any(|reference| reference.source.uses_dictionary())
    }

    /// Returns the number of lines that make attributes: the most that a token can have.
    pub fn n_lines(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    pub(crate) fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// Refuses references to the label or to a column that does not exist.
    pub(crate) fn check_columns(&self, n_columns: usize) -> Result<()> {
        for line in &self.lines {
            for reference in &line.references {
                let column = reference.source.column();
                if column >= n_columns.saturating_sub(1) {
                    let fault = TemplateFault::Column {
                        column,
                        last: n_columns.saturating_sub(2),
                        n_columns,
                    };
                    return Err(self.error(line.number, fault));
                }
            }
        }
        Ok(())
    }

    fn error(&self, line: usize, fault: TemplateFault) -> Error {
        Error::Template { name: self.name.clone(), line, fault }
    }

    /// Returns what stands before the first colon, or before the first reference.
    fn id(&self, line: &Line) -> &str {
        let literal = &self.shapes[line.shape].literals[0];
        literal.split(':').next().unwrap_or(literal)
    }

    fn add_line(&mut self, line: &str, number: usize) -> Result<(), TemplateFault> {
        let is_edge = match line.chars().next() {
            None | Some('#') => return Ok(()),
            Some('U') => false,
            Some('B') => true,
            Some(other) => return Err(TemplateFault::Kind(other)),
        };
        let mut literals = Vec::new();
        let mut references = Vec::new();
        let mut rest = line;
        while let Some((literal, text)) = rest.split_once('%') {
            let (reference, behind) = reference::parse(text)?;
            literals.push(literal.to_owned());
            references.push(reference);
            rest = behind;
        }
        literals.push(rest.to_owned());
        if is_edge && references.is_empty() {
            self.has_transitions = true;
            return Ok(());
        }
        let shape = Shape { literals, is_edge };
        let shape_idx = self.shapes.iter().position(|other| *other == shape);
        let shape_idx = shape_idx.unwrap_or_else(|| {
            self.shapes.push(shape);
            self.shapes.len() - 1
        });
        self.lines.push(Line { number, references, shape: shape_idx });
        Ok(())
    }
}
