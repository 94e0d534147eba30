//! Awkward inputs: each is read or refused, and none panics.
//!
//! The folders are the seeds of the fuzz targets of the same names.

use std::fs;
use std::path::Path;

use asyn_data::{Encoder, ModelFile, Template, VocabularyOptions, read_columns};

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
