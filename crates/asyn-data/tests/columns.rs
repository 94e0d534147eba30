//! The reader of column files: what is read is what was written, and errors say where.

use std::io::{BufReader, Write};

use asyn_data::{Corpus, Error, open_columns, read_columns};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn rows(corpus: &Corpus) -> Vec<Vec<Vec<String>>> {
    let tokens = |sentence: asyn_data::Sentence<'_>| {
        (0..sentence.len()).map(|t| sentence.token(t).map(str::to_owned).collect()).collect()
    };
    corpus.sentences().map(tokens).collect()
}

fn read(text: &[u8]) -> Result<Corpus, String> {
    read_columns("file", text).map_err(|error| error.to_string())
}

/// Sentences of tokens of one width; cells are anything without blanks and ends of lines.
fn sentences() -> impl Strategy<Value = Vec<Vec<Vec<String>>>> {
    (1_usize..5).prop_flat_map(|n_columns| {
        let token = vec("[^ \t\r\n\u{feff}]{1,6}", n_columns);
        vec(vec(token, 1..6), 1..6)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(17),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_written_is_read_again(
        sentences in sentences(),
        blank in "[ \t]{1,3}",
        end in "\r?\n",
        gap in 1_usize..3,
    ) {
        let mut text = String::from("\u{feff}");
        for sentence in &sentences {
            for token in sentence {
                text += &token.join(&blank);
                text += &end;
            }
            text += &end.repeat(gap);
        }
        let corpus = read_columns("generated", text.as_bytes()).unwrap();
        prop_assert_eq!(rows(&corpus), sentences);
        if corpus.n_columns() > 1 {
            prop_assert_eq!(corpus.separator(), blank.chars().next().unwrap());
        }
        let mut written = Vec::new();
        corpus.write(&mut written).unwrap();
        let again = read_columns("written", &written[..]).unwrap();
        prop_assert_eq!(rows(&again), rows(&corpus));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let _ = read_columns("bytes", &bytes[..]);
    }
}

#[test]
fn the_last_sentence_needs_no_end() {
    for text in ["a b\nc d", "a b\nc d\r", "\n\n a\tb \r\n\tc  d\r\n \t \r\n\r\n"] {
        let corpus = read(text.as_bytes()).unwrap();
        assert_eq!(rows(&corpus), [[["a", "b"], ["c", "d"]]], "{text:?}");
    }
}

#[test]
fn gzip_is_recognised_by_its_content_even_in_parts_and_in_small_pieces() {
    let compress = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let bytes = [compress("a b\n\n"), compress("c d\n")].concat();
    let corpus = read_columns("file", BufReader::with_capacity(1, &bytes[..])).unwrap();
    assert_eq!(rows(&corpus), [[["a", "b"]], [["c", "d"]]]);
    let cut = read_columns("file", &bytes[..bytes.len() - 3]).unwrap_err();
    assert!(matches!(cut, Error::Gzip { .. }), "{cut}");
}

#[test]
fn errors_name_the_file_the_line_and_what_was_expected() {
    let refused = |text: &[u8]| read(text).unwrap_err();
    assert_eq!(refused(b""), "file: expected lines of columns, found no token");
    assert_eq!(refused(b"\n \r\n\n"), "file: expected lines of columns, found no token");
    assert_eq!(
        refused(b"a b\n\nc d e\n"),
        "file:3: expected 2 columns as in the first line, found 3"
    );
    assert_eq!(refused(b"a b\nc\n"), "file:2: expected 2 columns as in the first line, found 1");
    assert_eq!(refused(b"a b\nc \xff\n"), "file:2: expected UTF-8 text, found an invalid byte");
}

#[test]
fn a_missing_file_is_told_from_one_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent");
    match open_columns(&path).unwrap_err() {
        Error::Io { name, source, .. } => {
            assert!(name.ends_with("absent"));
            assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        }
        other => panic!("{other}"),
    }
    assert!(matches!(open_columns(folder.path()), Err(Error::Io { .. })));
}
