//! Models of other programs, which have to label as those programs do.

use std::fs;
use std::path::Path;

use crate::place::{Place, assert_fails, errors};

/// A model that CRF++ could have written, small enough to compute its answers by hand.
const CRFPP: &str = "version: 100\ncost-factor: 1\nmaxid: 18\nxsize: 1\n\n\
B\nO\n\n\
U:%x[-1,0]\nU:%x[0,0]\nU2:%x[0,0]/%x[1,0]\nB\nB1:%x[0,0]\n\n\
0 B\n4 B1:b\n8 U:_B-1\n10 U:a\n12 U:b\n16 U2:a/b/c\n14 U2:b/_B+1\n\n\
-1.0\n0.25\n0.5\n0.0\n\
2.0\n0.0\n0.0\n0.125\n\
0.25\n0.0\n\
0.5\n-0.5\n\
-1.0\n0.75\n\
1.5\n0.0\n\
0.0\n4.0\n";

/// Returns the bytes of a golden file; `tests/import/crfsuite.py` made them.
fn golden(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import").join(name)).unwrap()
}

#[test]
fn a_model_of_crfsuite_labels_as_crfsuite_does() {
    let place = Place::new();
    place.write("old", golden("planted.crfsuite"));
    place.write("input.txt", golden("input.txt"));
    let said = errors(&place.run("import --from crfsuite old -o m"));
    assert_eq!(said, "m: 4 labels, 25 attributes\n");
    // Labels, and their marginal probabilities to four digits.
    let tagged = place.succeed("tag -q -m m --marginals input.txt");
    assert_eq!(tagged, String::from_utf8(golden("golden.txt")).unwrap());
    assert!(place.succeed("info m").contains("by CRFsuite, imported from old"));

    place.succeed("import -q --from crfsuite old -o narrow --attributes 3");
    let failed = place.run("tag -q -m narrow input.txt");
    assert_fails(&failed, 65, "expected at most 3 attributes, as the model takes, found 4");
}

#[test]
fn a_model_of_crfsuite_that_is_cut_short_or_damaged_is_refused() {
    let place = Place::new();
    let whole = golden("planted.crfsuite");
    for n_bytes in [0, 3, 40, 47, 60, 1000, whole.len() - 1] {
        place.write("cut", &whole[..n_bytes]);
        let failed = place.run("import --from crfsuite cut -o m");
        assert_fails(&failed, 65, "the file is cut short, damaged or of another kind");
    }
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    // The number of attributes, the place of features, the label of the first feature.
    for (at, expected) in [(26, "where the numbers of strings stand"), (31, "the features, FEAT")] {
        place.write("damaged", with(at, 0x7f));
        let failed = place.run("import --from crfsuite damaged -o m");
        assert_fails(&failed, 65, &format!("damaged: expected {expected} at byte"));
    }
    place.write("text", "B-NP\tw=a\n");
    let failed = place.run("import --from crfsuite text -o m");
    assert_fails(&failed, 65, "text: expected a model of CRFsuite, which begins with lCRF");
    assert_fails(&place.run("import --from crfsuite missing -o m"), 66, "missing");
    assert!(!place.names().contains(&"m".to_owned()));
}

/// Scores of `a b`, previous label first, with the attributes `U:_B-1` and `U:a` at the first token,
/// `U:a`, `U:b` and `U2:b/_B+1` at the second, and `B` and `B1:b` between them:
///
/// ```text
/// B B   (0.25 + 0.5) + (0.5 - 1 + 1.5) + (-1 + 2)        = 2.75
/// B O   (0.25 + 0.5) + (-0.5 + 0.75 + 0) + (0.25 + 0)    = 1.25
/// O B   (0 - 0.5) + (0.5 - 1 + 1.5) + (0.5 + 0)          = 1
/// O O   (0 - 0.5) + (-0.5 + 0.75 + 0) + (0 + 0.125)      = -0.125
/// ```
///
/// so the probability of the first is e^2.75 / (e^2.75 + e^1.25 + e + e^-0.125) = 0.688080.
///
/// `U2:a/b/c` stands for `a` before `b/c` and for `a/b` before `c`. With `a b/c` the best is `O B`:
/// (0 - 0.5 + 4) + 0.5 + 0.5 = 4.5, and with `a/b c` too: (0 + 4) + 0 + 0.5 = 4.5.
#[test]
fn a_text_model_of_crfpp_labels_as_computed_by_hand() {
    let place = Place::new();
    place.write("model.txt", CRFPP);
    place.succeed("import -q --from crf++ model.txt -o m");
    place.write("input", "a\nb\n\na\nb/c\n\na/b\nc\n");
    assert_eq!(place.succeed("tag -q -m m input"), "a B\nb B\n\na O\nb/c B\n\na/b O\nc B\n\n");
    let scores = |model: &str| {
        let explained = place.succeed(&format!("tag -q -m {model} --explain input"));
        let scores = explained.lines().filter_map(|line| line.strip_prefix("# score "));
        scores.map(str::to_owned).collect::<Vec<_>>()
    };
    let found = scores("m");
    assert_eq!(found[0], "2.750000, probability 0.688080");
    assert!(found[1..].iter().all(|score| score.starts_with("4.500000,")), "{found:?}");
    // Scores are weights times the cost factor.
    place.write("factor.txt", CRFPP.replace("cost-factor: 1", "cost-factor: 2"));
    place.succeed("import -q --from crf++ factor.txt -o twice");
    assert!(scores("twice")[0].starts_with("5.500000,"));
}

#[test]
fn text_models_of_crfpp_that_are_not_whole_are_refused_with_a_line() {
    let place = Place::new();
    let fails = |text: &str, cause: &str| {
        place.write("bad", text);
        assert_fails(&place.run("import --from crf++ bad -o m"), 65, cause);
    };
    fails("", "bad:1: expected a text model of CRF++");
    fails("hello\n", "bad:1: expected a text model of CRF++");
    fails("version: 100\n\n", "bad:2: expected maxid: and xsize:");
    let lines: Vec<&str> = CRFPP.lines().collect();
    for n_lines in 0..lines.len() {
        fails(&(lines[..n_lines].join("\n") + "\n"), "bad:");
    }
    fails(&CRFPP.replace("4.0\n", ""), "bad:40: expected as many weights as maxid: says");
    fails(&CRFPP.replace("4.0\n", "nan\n"), "expected a weight");
    fails(&CRFPP.replace("16 U2:", "17 U2:"), "bad:20: expected a place among the weights");
    fails(&CRFPP.replace("16 U2:", "16 U7:"), "bad:20: expected an attribute of the template");
    fails(&CRFPP.replace("B\nO\n\n", "B\nB\n\n"), "expected some labels that differ");
    fails(&CRFPP.replace("xsize: 1", "xsize: 0"), "crf++:1: expected a column");
    fails(&CRFPP.replace("U:%x[0,0]", "X:%x[0,0]"), "crf++:2: expected a line that begins with U");
}
