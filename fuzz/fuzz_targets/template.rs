//! Any text is a template or an error, and a template that passes the lint can be used.
//!
//! ```text
//! cargo +nightly fuzz run template fuzz/corpus/template crates/asyn-data/tests/fuzz_corpus/template
//! ```

#![no_main]

use asyn_data::{Encoder, Template, VocabularyOptions, read_columns};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(template) = Template::parse("fuzz", text) else { return };
    let corpus = read_columns("corpus", &b"a b O\nc d O\n"[..]).expect("it has two tokens");
    let fits = template.lint(3).is_ok();
    let built = Encoder::build(&corpus, template, &VocabularyOptions::default());
    assert_eq!(built.is_ok(), fits);
});
