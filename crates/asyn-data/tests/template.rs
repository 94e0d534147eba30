//! The template language: what is understood, what is refused and what is warned of.

use asyn_data::{Error, Template, TemplateFault, Warning};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(17),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_text_is_parsed_or_refused(text in "([UB#x ]|%(x|has|same|word)|[\\[\\],:/0-9\n%-]|%(x|type|same|word)\\[-?[0-9]{1,3},[0-9](,[0-9])?\\]){0,30}") {
        if let Ok(template) = Template::parse("t", &text) {
            let _ = template.lint(3);
            prop_assert_eq!(Template::parse("t", template.text()).unwrap(), template);
        }
    }
}

fn fault(text: &str) -> (usize, TemplateFault) {
    match Template::parse("t", text).unwrap_err() {
        Error::Template { line, fault, .. } => (line, fault),
        other => panic!("{other}"),
    }
}

fn warnings(text: &str) -> Vec<String> {
    let template = Template::parse("t", text).unwrap();
    template.lint(3).unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn syntax_errors_name_the_line_and_the_cause() {
    assert_eq!(fault("# fine\n\nX1:%x[0,0]\n"), (3, TemplateFault::Kind('X')));
    assert_eq!(fault("U1:%t[0,0,\"a\"]"), (1, TemplateFault::Macro("%t[0,0,\"a\"]".into())));
    assert_eq!(fault("U1:%x[0,0"), (1, TemplateFault::Macro("%x[0,0".into())));
    assert_eq!(fault("U1:100%"), (1, TemplateFault::Macro("%".into())));
    for (found, usage) in [
        ("%x[0]", "%x[row,column]"),
        ("%x[a,0]", "%x[row,column]"),
        ("%x[0,-1]", "%x[row,column]"),
        ("%x[0,0,1]", "%x[row,column]"),
        ("%prefix[0,0]", "%prefix[row,column,length]"),
        ("%prefix[0,0,0]", "%prefix[row,column,length]"),
        ("%suffix[0,0,65]", "%suffix[row,column,length]"),
        ("%has[0,0,größe]", "%has[row,column,digit|hyphen|punctuation|upper|capital|caps]"),
        ("%same[0,0,0]", "%same[row,later row,column]"),
        ("%same[1,0,0]", "%same[row,later row,column]"),
        ("%word[0,-1]", "%word[row,last row]"),
        ("%known[]", "%known[row,last row]"),
    ] {
        let expected = TemplateFault::Arguments { usage, found: found.into() };
        assert_eq!(fault(&format!("U1:{found}")), (1, expected));
    }
    let limit = i64::from(asyn_data::MAX_ROW);
    for row in [limit + 1, -limit - 1, i64::from(i32::MIN), i64::MAX] {
        let expected = TemplateFault::Row { row, limit };
        assert_eq!(fault(&format!("U1:%x[{row},0]")), (1, expected));
    }
    assert!(matches!(fault("U1:%word[0,65]"), (1, TemplateFault::Row { row: 65, .. })));
    let error = Template::parse("my.template", "U:%stem[0,0]").unwrap_err();
    assert_eq!(
        error.to_string(),
        "my.template:1: expected %x[row,column] or another macro, found \"%stem[0,0]\"; the macros \
         are x, filled, prefix, suffix, shape, short, lower, type, has, same, word, known"
    );
    let error = Template::parse("my.template", "U:%suffix[0,0]").unwrap_err();
    assert_eq!(
        error.to_string(),
        "my.template:1: expected %suffix[row,column,length], found \"%suffix[0,0]\""
    );
    let error = Template::parse("my.template", "\nW").unwrap_err();
    assert_eq!(
        error.to_string(),
        "my.template:2: expected a line that begins with U, B or #, found 'W'"
    );
}

#[test]
fn columns_that_are_missing_or_the_label_are_refused() {
    let template = Template::parse("t", "U0:%x[0,0]\nU1:%x[0,2]\nB").unwrap();
    assert!(template.lint(4).is_ok());
    let error = template.lint(3).unwrap_err().to_string();
    assert_eq!(
        error,
        "t:2: expected a column from 0 to 1, found 2: the data have 3 columns, the last one is the label"
    );
    assert!(template.lint(0).is_err());
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    assert_eq!(
        warnings(
            "U0:%x[0,0]\nU1:%x[0,1]\nU0:%x[1,0]\nU1:%x[0,1]\nU1/%x[0,0]\nU1:%x[0,0]%x[0,1]\nB\n"
        ),
        [
            "t:3: line 1 is also called \"U0\": they share their weights",
            "t:4: the same line as line 2: its attributes count double",
            "t:6: line 2 is also called \"U1\"",
        ]
    );
    assert_eq!(
        warnings("U0:%x[0,0]\n"),
        ["t: no line begins with B: neighbouring labels do not see each other"]
    );
    assert!(warnings("U0:%x[0,0]\nB0:%x[0,0]\n").is_empty());
}

#[test]
fn templates_of_the_crate_have_nothing_to_warn_of() {
    let n_lines: Vec<usize> = Template::builtin_names()
        .into_iter()
        .map(|name| {
            let template = Template::builtin(name).unwrap();
            let has_tags = ["chunking", "chunking-rich", "np", "words-tags"].contains(&name);
            let n_columns = if has_tags { 3 } else { 2 };
            let of_network = ["words", "words-tags", "characters"].contains(&name);
            let warnings = template.lint(n_columns).unwrap();
            let lacks = |warning: &Warning| matches!(warning, Warning::NoTransitions { .. });
            assert!(warnings.iter().all(|warning| of_network && lacks(warning)), "{warnings:?}");
            assert_eq!(template.has_transitions(), !of_network);
            template.n_lines()
        })
        .collect();
    assert_eq!(n_lines[..3], [7, 19, 17]);
    assert_eq!(Template::builtin("other"), None);
}

#[test]
fn parsing_the_text_again_gives_the_same_template() {
    let text = "# a comment\r\n U0:%x[ -1 , 0 ]x \n\nB\n";
    let template = Template::parse("t", text).unwrap();
    assert_eq!(template.text(), text);
    assert_eq!(Template::parse("t", template.text()).unwrap(), template);
}
