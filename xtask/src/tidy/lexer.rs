//! Splits Rust source into code and comments, line by line.
//!
//! [`lines`] blanks what is neither: the contents of string and character
//! literals become spaces. A rule can then look for a word in the code and know
//! that it is not part of a message or a remark.
//!
//! Literals follow the Rust reference, section "Tokens". Nothing else of the
//! language is understood.

/// One line of source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// The code, with the contents of literals and comments blanked.
    pub(super) code: String,
    /// The comments, doc comments included.
    pub(super) comment: String,
}

impl Line {
    /// Returns the words of the code: identifiers, keywords and numbers.
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.code.split(|c: char| !is_word(c)).filter(|word| !word.is_empty())
    }
}

/// Says whether `c` can be part of an identifier.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What the next character belongs to.
#[derive(Clone, Copy)]
enum State {
    Code,
    LineComment,
    /// A block comment; they nest.
    BlockComment {
        depth: usize,
    },
    /// A string that knows escapes.
    String,
    /// A raw string that ends at a quote and this many `#`.
    RawString {
        n_hashes: usize,
    },
}

/// Splits `text` into lines of code and comment.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let chars: Vec<char> = text.chars().collect();
    let mut lines = vec![Line::default()];
    let mut state = State::Code;
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        if rest[0] == '\n' {
            if matches!(state, State::LineComment) {
                state = State::Code;
            }
            lines.push(Line::default());
            at += 1;
            continue;
        }
        let line = lines.last_mut().expect("there is always a current line");
        let n_taken = match state {
            State::Code => {
                let before = line.code.chars().next_back();
                let (next, n_taken, is_comment) = start_of(rest, before);
                state = next;
                let target = if is_comment { &mut line.comment } else { &mut line.code };
                push(target, &rest[..n_taken], !is_comment && n_taken > 1);
                n_taken
            }
            State::LineComment => {
                line.comment.push(rest[0]);
                1
            }
            State::BlockComment { depth } => {
                let (depth, n_taken) = match rest {
                    ['/', '*', ..] => (depth + 1, 2),
                    ['*', '/', ..] => (depth - 1, 2),
                    _ => (depth, 1),
                };
                state = match depth {
                    0 => State::Code,
                    _ => State::BlockComment { depth },
                };
                push(&mut line.comment, &rest[..n_taken], false);
                n_taken
            }
            State::String => match rest {
                ['\\', c, ..] if *c != '\n' => {
                    line.code.push_str("  ");
                    2
                }
                ['"', ..] => {
                    state = State::Code;
                    line.code.push('"');
                    1
                }
                _ => {
                    line.code.push(' ');
                    1
                }
            },
            State::RawString { n_hashes } => {
                if rest[0] == '"' && rest[1..].iter().take_while(|c| **c == '#').count() >= n_hashes
                {
                    state = State::Code;
                    line.code.push('"');
                    1 + n_hashes
                } else {
                    line.code.push(' ');
                    1
                }
            }
        };
        at += n_taken;
    }
    lines
}

/// Appends `chars` to `target`, or as many spaces when `blank` is set.
fn push(target: &mut String, chars: &[char], blank: bool) {
    target.extend(chars.iter().map(|&c| if blank { ' ' } else { c }));
}

/// Looks at the start of `rest`, which is code and follows the character
/// `before`: returns the next state, how many characters lead to it, and
/// whether they belong to a comment.
fn start_of(rest: &[char], before: Option<char>) -> (State, usize, bool) {
    match rest {
        ['/', '/', ..] => (State::LineComment, 2, true),
        ['/', '*', ..] => (State::BlockComment { depth: 1 }, 2, true),
        ['"', ..] => (State::String, 1, false),
        ['r', ..] if !before.is_some_and(|c| is_word(c) && c != 'b' && c != 'c') => {
            let n_hashes = rest[1..].iter().take_while(|c| **c == '#').count();
            match rest.get(1 + n_hashes) {
                Some('"') => (State::RawString { n_hashes }, 2 + n_hashes, false),
                _ => (State::Code, 1, false),
            }
        }
        // A character literal; a lifetime has no quote two places on.
        ['\'', '\\', _, tail @ ..] => {
            let n_tail = tail.iter().take_while(|c| **c != '\'').count();
            (State::Code, n_tail + 4, false)
        }
        ['\'', _, '\'', ..] => (State::Code, 3, false),
        _ => (State::Code, 1, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<String> {
        let trim = |line: Line| line.code.trim_end().to_owned();
        lines(text).into_iter().map(trim).collect()
    }

    #[test]
    fn comments_are_told_from_code() {
        let found = lines("let x = 1; // SAFETY: y\n/* a /* b */\nc */ f();");
        assert_eq!(found[0].code.trim_end(), "let x = 1;");
        assert_eq!(found[0].comment, "// SAFETY: y");
        assert_eq!(found[1].code, "");
        assert_eq!(found[2].comment, "c */");
        assert_eq!(found[2].code.trim(), "f();");
    }

    #[test]
    fn the_contents_of_literals_are_blank() {
        assert_eq!(code(r#"f("a \" b"); g()"#), [r#"f("      "); g()"#]);
        assert_eq!(code(r##"f(r#"x" y"#); g()"##).len(), 1);
        assert!(code(r##"f(r#"x" y"#); g()"##)[0].ends_with("); g()"));
        assert!(!code(r##"f(br#"x" y"#); g()"##)[0].contains('y'));
        assert_eq!(code("\"a\nb\"; c"), ["\"", " \"; c"]);
    }

    #[test]
    fn a_quote_character_opens_no_string() {
        assert!(code("f('\"'); g()")[0].ends_with("); g()"));
        assert!(code(r"f('\''); g()")[0].ends_with("); g()"));
        assert!(code(r"f('\u{22}'); g()")[0].ends_with("); g()"));
        assert_eq!(code("fn f<'a>(x: &'a str)"), ["fn f<'a>(x: &'a str)"]);
    }

    #[test]
    fn words_are_identifiers() {
        let line = &lines("a::b_c(1)")[0];
        assert_eq!(line.words().collect::<Vec<_>>(), ["a", "b_c", "1"]);
    }
}
