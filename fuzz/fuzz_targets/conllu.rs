//! Any bytes are CoNLL-U that comes back byte for byte, or an error.
//!
//! ```text
//! cargo +nightly fuzz run conllu fuzz/corpus/conllu crates/asyn-data/tests/fuzz_corpus/conllu
//! ```

#![no_main]

use asyn_data::{Conllu, Field};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(conllu) = Conllu::read("fuzz", bytes) else { return };
    let Ok(corpus) = conllu.corpus(&[Field::Form, Field::Upos]) else { return };
    let labels = corpus.sentences().flat_map(|sentence| sentence.labels());
    let mut written = Vec::new();
    conllu.write_with(Field::Upos, labels, &mut written).expect("memory takes everything");
    // What was gzipped comes back unpacked.
    assert!(written == bytes || bytes.starts_with(&[0x1f, 0x8b]));
});
