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
    fn any_text_is_parsed_or_refused(text in "([UB#x ]|%x|[\\[\\],:/0-9\n%-]|%x\\[-?[0-9]{1,3},[0-9]\\]){0,30}") {
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
    assert_eq!(fault("U1:%x[0]"), (1, TemplateFault::Reference("0".into())));
    assert_eq!(fault("U1:%x[a,0]"), (1, TemplateFault::Reference("a,0".into())));
    assert_eq!(fault("U1:%x[0,-1]"), (1, TemplateFault::Reference("0,-1".into())));
    let limit = i64::from(asyn_data::MAX_ROW);
    for row in [limit + 1, -limit - 1, i64::from(i32::MIN), i64::MAX] {
        let expected = TemplateFault::Row { row, limit };
        assert_eq!(fault(&format!("U1:%x[{row},0]")), (1, expected));
    }
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
            let n_columns = if name == "word" { 2 } else { 3 };
            assert_eq!(template.lint(n_columns).unwrap(), Vec::<Warning>::new());
            assert!(template.has_transitions());
            template.n_lines()
        })
        .collect();
    assert_eq!(n_lines, [7, 19, 17]);
    assert_eq!(Template::builtin("other"), None);
}

#[test]
fn parsing_the_text_again_gives_the_same_template() {
    let text = "# a comment\r\n U0:%x[ -1 , 0 ]x \n\nB\n";
    let template = Template::parse("t", text).unwrap();
    assert_eq!(template.text(), text);
    assert_eq!(Template::parse("t", template.text()).unwrap(), template);
}
