//! The formats beside columns: what comes back is what was read, and errors say where.

#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::io::Write;

use asyn_data::{
    Conllu, Corpus, Encoded, Encoder, Field, Format, FormatOptions, Scheme, Template,
    VocabularyOptions, join_words, read_attributes, read_plain, read_segmented, write_attributes,
    write_conllu, write_plain, write_segmented,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Everything that CoNLL-U allows and that is easily lost: a byte order mark, both ends of lines,
/// comments, ranges, empty nodes before, between and behind words, forms with spaces, blank lines
/// with blanks in them, and a last line without an end.
const ODD: &str = "\u{feff}# newdoc\r\n# text = Vámonos al mar\n\
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_\n\
1\tVamos\tir\tVERB\t_\t_\t0\troot\t_\t_\n\
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_\n\
2.1\tø\t_\t_\t_\t_\t_\t_\t1:dep\t_\n\
2.2\tø\t_\t_\t_\t_\t_\t_\t1:dep\t_\n\
3-4\tal\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No\n\
3\ta\ta\tADP\t_\t_\t5\tcase\t_\t_\n\
4\tel\tel\tDET\t_\t_\t5\tdet\t_\t_\r\n\
5\tmar azul\tmar\tNOUN\t_\t_\t1\tobl\t_\t_\n\
 \t\n\n# nothing but a comment\n\n\
0.1\tø\t_\t_\t_\t_\t_\t_\t_\t_\n\
1\t#\t#\tSYM\t_\t_\t0\troot\t_\t_";

fn fields() -> Vec<Field> {
    vec![Field::Form, Field::Upos]
}

fn rows(corpus: &Corpus) -> Vec<Vec<Vec<&str>>> {
    corpus.sentences().map(|s| (0..s.len()).map(|t| s.token(t).collect()).collect()).collect()
}

/// Writes a CoNLL-U text with the values that it has already.
fn rewritten(conllu: &Conllu, field: Field) -> Vec<u8> {
    let corpus = conllu.corpus(&[field]).unwrap();
    let values: Vec<&str> = corpus.sentences().flat_map(|s| s.labels()).collect();
    let mut written = Vec::new();
    conllu.write_with(field, values, &mut written).unwrap();
    written
}

#[test]
fn conllu_comes_back_byte_for_byte() {
    let conllu = Conllu::read("odd", ODD.as_bytes()).unwrap();
    for field in Field::ALL {
        assert_eq!(rewritten(&conllu, field), ODD.as_bytes(), "{field}");
    }
    let mut compressed = GzEncoder::new(Vec::new(), Compression::fast());
    compressed.write_all(ODD.as_bytes()).unwrap();
    let unpacked = Conllu::read("odd", &compressed.finish().unwrap()[..]).unwrap();
    assert_eq!(rewritten(&unpacked, Field::Form), ODD.as_bytes());
}

#[test]
fn the_words_of_conllu_are_tokens_and_nothing_else_is() {
    let conllu = Conllu::read("odd", ODD.as_bytes()).unwrap();
    let corpus = conllu.corpus(&[Field::Form, Field::Lemma, Field::Upos]).unwrap();
    let expected = [
        vec![
            ["Vamos", "ir", "VERB"],
            ["nos", "nosotros", "PRON"],
            ["a", "a", "ADP"],
            ["el", "el", "DET"],
            ["mar azul", "mar", "NOUN"],
        ],
        vec![["#", "#", "SYM"]],
    ];
    assert_eq!(rows(&corpus), expected);
    assert_eq!((corpus.sentence(0).line(4), corpus.sentence(1).line(0)), (11, 17));
    let refused = corpus.check_cells(1, |c| c == ' ').unwrap_err().to_string();
    assert_eq!(
        refused,
        "odd:11: expected a cell with text and without white space, found \"mar azul\""
    );
}

#[test]
fn other_labels_change_one_field_of_the_words_alone() {
    let conllu = Conllu::read("odd", ODD.as_bytes()).unwrap();
    let mut written = Vec::new();
    conllu.write_with(Field::Upos, ["A", "B", "C", "D", "", "F"], &mut written).unwrap();
    let mut expected = ODD.to_owned();
    for (old, new) in
        [("VERB", "A"), ("PRON", "B"), ("ADP", "C"), ("DET", "D"), ("NOUN", ""), ("SYM", "F")]
    {
        expected = expected.replace(old, new);
    }
    assert_eq!(String::from_utf8(written).unwrap(), expected);
}

#[test]
fn broken_conllu_is_refused_with_its_line() {
    let word = |id: &str| format!("{id}\ta\t_\tX\t_\t_\t_\t_\t_\t_\n");
    let text = |ids: &[&str]| -> String {
        let lines: String =
            ids.iter().map(|id| if id.is_empty() { "\n".to_owned() } else { word(id) }).collect();
        format!("# a comment\n{lines}")
    };
    for (ids, cause) in [
        (&["1", "3"][..], "3: expected number 2, found 3"),
        (&["1", "2", "", "2"], "5: expected number 1, found 2"),
        (&["1-3", "1", "2", "", "1"], "2: the range ends at word 3, and its sentence has 2"),
        (&["1-3", "1", "2"], "2: the range ends at word 3, and its sentence has 2"),
        (&["2-1", "1"], "2: expected a range that begins at word 1"),
        (&["1", "2", "1-2"], "4: expected a range that begins at word 3"),
        (
            &["1-2", "1", "2-3", "2", "3"],
            "4: expected a range that begins at word 2, ends later and overlaps no other, found 2-3",
        ),
        (&["1-2", "1-2", "1", "2"], "3: expected a range that begins at word 1"),
        (&["1-", "1"], "2: expected a number such as 3, 3-4 or 3.1, found \"1-\""),
        (&["+1"], "2: expected a number"),
        (&["99999999999"], "2: expected a number"),
        (&["1", "1.2"], "3: expected number 1.1, found 1.2"),
        (&["1", "2.1"], "3: expected number 1.1, found 2.1"),
    ] {
        let error = Conllu::read("file", text(ids).as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("file:{cause}")), "{ids:?}: {error}");
    }
    for (text, cause) in [
        ("1\ta\n", "file:1: expected 10 fields with tabs between them, found 2"),
        ("1 a _ X _ _ _ _ _ _\n", "file:1: expected 10 fields with tabs between them, found 1"),
        ("1\ta\t\tX\t_\t_\t_\t_\t_\t_\n", "file:1: expected _ where field 3 is empty"),
        ("# only\n\n", "file: expected lines of columns, found no token"),
    ] {
        assert_eq!(Conllu::read("file", text.as_bytes()).unwrap_err().to_string(), cause);
    }
}

#[test]
fn columns_become_conllu() {
    let corpus = asyn_data::read_columns("file", "a X\nb Y\n\nc Z\n".as_bytes()).unwrap();
    let mut written = Vec::new();
    write_conllu(&corpus, &fields(), &mut written).unwrap();
    let conllu = Conllu::read("written", &written[..]).unwrap();
    assert_eq!(rows(&conllu.corpus(&fields()).unwrap()), rows(&corpus));
}

#[test]
fn segmented_text_is_characters_with_labels() {
    let text = "\u{feff}春风\u{3000} 拂面 而\r\n\n a\u{301}b 12\n";
    let corpus = read_segmented("file", text.as_bytes(), Scheme::Bmes).unwrap();
    let expected = [
        vec![["春", "B"], ["风", "E"], ["拂", "B"], ["面", "E"], ["而", "S"]],
        vec![["a", "B"], ["\u{301}", "M"], ["b", "E"], ["1", "B"], ["2", "E"]],
    ];
    assert_eq!(rows(&corpus), expected);
    assert_eq!(corpus.sentence(1).line(0), 3);
    let mut written = Vec::new();
    write_segmented(&corpus, &mut written).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), "春风 拂面 而\na\u{301}b 12\n");
    let labels = read_segmented("file", "ab c".as_bytes(), Scheme::Iob2).unwrap();
    assert_eq!(rows(&labels), [[["a", "B"], ["b", "I"], ["c", "B"]]]);
    for blank in ["", " \n\u{3000}\n"] {
        let error = read_segmented("file", blank.as_bytes(), Scheme::Bmes).unwrap_err();
        assert_eq!(error.to_string(), "file: expected lines of columns, found no token");
    }
}

#[test]
fn labels_that_break_their_scheme_still_join_all_characters() {
    let corpus = read_plain("file", "a b c d e\n".as_bytes()).unwrap();
    for (labels, words) in [
        (["E", "M", "O", "B", "B"], "a b c d e"),
        (["M", "M", "I", "S", "I"], "abc d e"),
        (["O", "O", "E", "L", "U"], "a b c d e"),
    ] {
        let mut joined = String::new();
        join_words(&corpus.sentence(0), &Scheme::begins(&labels).unwrap(), &mut joined);
        assert_eq!(joined, words);
    }
}

#[test]
fn attributes_are_unescaped_and_escaped() {
    let text = "B\\:X\ta\\:b:1\tc\\\\d\t\te:1.0\tf:\n\nO\n";
    let corpus = read_attributes("file", text.as_bytes(), None).unwrap();
    assert_eq!(
        rows(&corpus),
        [vec![vec!["a:b", "c\\d", "e", "f", "", "B:X"]], vec![vec!["", "", "", "", "", "O"]]]
    );
    let mut written = Vec::new();
    write_attributes("B:X", ["a:b", "c\\d", "::", "e"], &mut written).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), "B\\:X\ta\\:b\tc\\\\d\t\\:\\:\te\n");
    for value in ["a:2", "a:0", "a:x", "a:1:1", "a:nan"] {
        let error =
            read_attributes("file", format!("O\tb\nO\t{value}\n").as_bytes(), None).unwrap_err();
        let expected =
            format!("file:2: expected attributes without a value or with 1, found {value:?}");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn the_attributes_of_a_file_are_those_that_are_learnt() {
    let text = "X\ta\tb\tb\nY\tb\n\nX\nY\tc\ta\n";
    let corpus = read_attributes("file", text.as_bytes(), None).unwrap();
    let template = Template::attributes(corpus.n_columns());
    let options = VocabularyOptions::default();
    let (encoder, examples) = Encoder::build(&corpus, template, &options).unwrap();
    let names = |token: usize, example: &Encoded| -> Vec<String> {
        example.attributes_of(token).iter().map(|&id| encoder.attribute(id)).collect()
    };
    assert_eq!(names(0, &examples[0]), ["U:b", "U:b", "U:a"]);
    assert_eq!(names(1, &examples[0]), ["U:b"]);
    assert_eq!(names(0, &examples[1]), [""; 0]);
    assert_eq!(names(1, &examples[1]), ["U:a", "U:c"]);
    let n_columns = Some(corpus.n_columns());
    let other = read_attributes("other", "X\tc\td\n".as_bytes(), n_columns).unwrap();
    let encoded = encoder.encode(&other, 1).unwrap();
    assert_eq!(names(0, &encoded.sentences[0]), ["U:c"]);
    let wide = read_attributes("wide", "X\nX\ta\tb\tc\td\n".as_bytes(), n_columns);
    let expected = "wide:2: expected at most 3 attributes, as the model takes, found 4";
    assert_eq!(wide.unwrap_err().to_string(), expected);
}

#[test]
fn the_ending_of_a_name_tells_the_format_where_it_can() {
    for (name, format) in [
        ("en-ud-dev.conllu", Some(Format::Conllu)),
        ("a/B.CONLLU.gz", Some(Format::Conllu)),
        ("x.crfsuite", Some(Format::Crfsuite)),
        ("train.txt", None),
        ("conllu", None),
        ("-", None),
    ] {
        assert_eq!(Format::of_path(name.as_ref()), format, "{name}");
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(29),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn segmented_text_comes_back_without_its_white_space(text in "[a-z风拂 \t\u{3000}\n]{0,60}") {
        let normal: String = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|line| !line.is_empty())
            .map(|line| line + "\n")
            .collect();
        for scheme in Scheme::ALL {
            let mut written = Vec::new();
            match read_segmented("file", text.as_bytes(), scheme) {
                Ok(corpus) => write_segmented(&corpus, &mut written).unwrap(),
                Err(error) => {
                    let is_empty = matches!(error, asyn_data::Error::Empty { .. });
                    prop_assert!(is_empty, "{}", error);
                }
            }
            prop_assert_eq!(String::from_utf8(written).unwrap(), normal.clone());
        }
        let mut written = Vec::new();
        if let Ok(corpus) = read_plain("file", text.as_bytes()) {
            write_plain(&corpus, &mut written).unwrap();
        }
        prop_assert_eq!(String::from_utf8(written).unwrap(), normal);
    }

    #[test]
    fn any_attributes_are_read_again(cells in prop::collection::vec("[a:\\\\ é]{1,5}", 1..6)) {
        let mut written = Vec::new();
        let attributes = cells[1..].iter().map(String::as_str);
        // A line of blanks alone ends a sentence.
        prop_assume!(!cells.concat().trim().is_empty());
        write_attributes(&cells[0], attributes, &mut written).unwrap();
        let corpus = read_attributes("file", &written[..], None).unwrap();
        let read: Vec<&str> = corpus.sentence(0).token(0).collect();
        prop_assert_eq!(read[..read.len() - 1].to_vec(), cells[1..].to_vec());
        prop_assert_eq!(read[read.len() - 1], &cells[0]);
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        text in "[ab\t\n\r _.#:\\\\0-3é-]{0,80}",
        bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let input = [text.as_bytes(), &bytes].concat();
        for format in [Format::Conllu, Format::Segmented, Format::Text, Format::Crfsuite] {
            let _ = format.read("bytes", text.as_bytes(), &FormatOptions::default());
            let _ = format.read("bytes", &input[..], &FormatOptions::default());
        }
    }
}

#[test]
fn real_texts_come_back() {
    let Some(data) = std::env::var_os("ASYN_DATA") else {
        println!("skipped: ASYN_DATA is not set");
        return;
    };
    let data = std::path::Path::new(&data);
    for (part, n_sentences, n_words) in
        [("train", 12_544, 204_577), ("dev", 2_001, 25_147), ("test", 2_077, 25_094)]
    {
        let path = data.join(format!("ud-english-ewt/en_ewt-ud-{part}.conllu.gz"));
        let mut text = Vec::new();
        let file = std::fs::File::open(&path).unwrap();
        std::io::copy(&mut flate2::read::MultiGzDecoder::new(file), &mut text).unwrap();
        let conllu = Conllu::open(&path).unwrap();
        let corpus = conllu.corpus(&fields()).unwrap();
        assert_eq!((corpus.n_sentences(), corpus.n_tokens()), (n_sentences, n_words));
        assert!(rewritten(&conllu, Field::Upos) == text, "{part}");
    }
    for (file, n_sentences) in [
        ("msr_train-sample.utf8", 3_999),
        ("msr_test_gold.utf8", 3_985),
        ("msr_train-last10pct.norm.utf8", 8_693),
    ] {
        let path = data.join("sighan2005-msr-part").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let corpus = Format::Segmented.open(&path, &FormatOptions::default()).unwrap();
        assert_eq!(corpus.n_sentences(), n_sentences);
        let mut written = Vec::new();
        write_segmented(&corpus, &mut written).unwrap();
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(std::str::from_utf8(&written).unwrap()), words(&text), "{file}");
    }
    let columns =
        Format::Columns.open(data.join("ud-chinese-gsd/zh_gsd-dev.tsv"), &FormatOptions::default());
    let columns = columns.unwrap();
    let mut written = Vec::new();
    write_conllu(&columns, &[Field::Form, Field::Upos, Field::Xpos], &mut written).unwrap();
    let conllu = Conllu::read("written", &written[..]).unwrap();
    let again = conllu.corpus(&[Field::Form, Field::Upos, Field::Xpos]).unwrap();
    assert_eq!(rows(&again), rows(&columns));
}
