//! Awkward inputs: each is read or refused, and none panics.
//!
//! The folders are the seeds of the fuzz targets of the same names.

use std::fs;
use std::path::Path;

use asyn_data::{
    Conllu, Encoder, Field, Format, FormatOptions, ModelFile, Scheme, Template, VocabularyOptions,
    import_crfpp, import_crfsuite, read_columns, write_attributes, write_segmented,
};

/// Calls `check` on every file of a folder.
fn on_each(folder: &str, check: impl Fn(&str, &[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz_corpus");
    let mut n_files = 0;
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let path = entry.unwrap().path();
        check(&path.display().to_string(), &fs::read(&path).unwrap());
        n_files += 1;
    }
    assert!(n_files > 0, "{folder} is empty");
}

#[test]
fn the_reader_reads_or_refuses() {
    on_each("reader", |name, bytes| {
        let Ok(corpus) = read_columns(name, bytes) else { return };
        assert!(corpus.n_tokens() > 0);
        corpus.write(std::io::sink()).unwrap();
        if corpus.n_columns() > 1 {
            let options = VocabularyOptions::default();
            let template = Template::builtin("word").unwrap();
            let (_, examples) = Encoder::build(&corpus, template, &options).unwrap();
            assert_eq!(examples.len(), corpus.n_sentences());
        }
    });
}

#[test]
fn templates_are_parsed_or_refused() {
    let corpus = read_columns("corpus", "a b O\nc d O\n".as_bytes()).unwrap();
    on_each("template", |name, bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(template) = Template::parse(name, &text) else { return };
        let fits = template.lint(3).is_ok();
        let built = Encoder::build(&corpus, template, &VocabularyOptions::default());
        assert_eq!(built.is_ok(), fits, "{name}");
    });
}

#[test]
fn model_files_are_loaded_or_refused() {
    on_each("model", |name, bytes| {
        let Ok(model) = ModelFile::from_bytes(name, bytes, "crf") else { return };
        let is_whole = Path::new(name).ends_with("encoder");
        assert_eq!(Encoder::from_tensors(&model, 1).is_ok(), is_whole, "{name}");
    });
}

#[test]
fn conllu_is_refused_or_comes_back_byte_for_byte() {
    on_each("conllu", |name, bytes| {
        let Ok(conllu) = Conllu::read(name, bytes) else { return };
        let Ok(corpus) = conllu.corpus(&[Field::Form, Field::Upos]) else { return };
        let mut written = Vec::new();
        let labels = corpus.sentences().flat_map(|sentence| sentence.labels());
        conllu.write_with(Field::Upos, labels, &mut written).unwrap();
        assert_eq!(written, bytes, "{name}");
    });
}

#[test]
fn segmented_text_is_refused_or_keeps_its_words() {
    on_each("segmented", |name, bytes| {
        for scheme in Scheme::ALL {
            let options = FormatOptions { scheme, ..FormatOptions::default() };
            let Ok(corpus) = Format::Segmented.read(name, bytes, &options) else { return };
            let mut written = Vec::new();
            write_segmented(&corpus, &mut written).unwrap();
            let words = |bytes: &[u8]| {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                let text = text.trim_start_matches('\u{feff}');
                text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(words(&written), words(bytes), "{name}");
        }
    });
}

#[test]
fn attribute_files_are_refused_or_come_back() {
    on_each("attributes", |name, bytes| {
        let options = FormatOptions::default();
        let Ok(corpus) = Format::Crfsuite.read(name, bytes, &options) else { return };
        let mut written = Vec::new();
        for sentence in corpus.sentences() {
            for (token, label) in sentence.labels().enumerate() {
                let cells = sentence.token(token).take(corpus.n_columns() - 1);
                let attributes = cells.filter(|cell| !cell.is_empty());
                write_attributes(label, attributes, &mut written).unwrap();
            }
            written.push(b'\n');
        }
        let again = Format::Crfsuite.read(name, &written[..], &options).unwrap();
        assert_eq!(again.n_tokens(), corpus.n_tokens(), "{name}");
    });
}

#[test]
fn trees_are_read_or_refused() {
    on_each("trees", |name, bytes| {
        let Ok(corpus) = Format::Trees.read(name, bytes, &FormatOptions::default()) else { return };
        assert!(corpus.n_tokens() > 0 && corpus.n_columns() == 2, "{name}");
    });
}

#[test]
fn models_of_crfsuite_are_imported_or_refused_whatever_byte_is_changed() {
    on_each("crfsuite_model", |name, bytes| {
        let is_whole = Path::new(name).ends_with("planted");
        assert_eq!(import_crfsuite(name, bytes, 4).is_ok(), is_whole, "{name}");
        let mut changed = bytes.to_vec();
        for at in 0..bytes.len() {
            for byte in [0, 1, 0x80, 0xff] {
                changed[at] = byte;
                if let Ok(model) = import_crfsuite(name, &changed, 4) {
                    let n_labels = model.encoder.labels().len();
                    assert!(model.edges.iter().all(|edge| usize::from(edge.1) < n_labels));
                }
            }
            changed[at] = bytes[at];
        }
    });
}

#[test]
fn models_of_crfpp_are_imported_or_refused() {
    on_each("crfpp_model", |name, bytes| {
        let text = String::from_utf8_lossy(bytes);
        let is_whole = Path::new(name).ends_with("whole");
        assert_eq!(import_crfpp(name, &text).is_ok(), is_whole, "{name}");
    });
}
