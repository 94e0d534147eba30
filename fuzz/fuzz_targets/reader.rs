//! Any bytes are a corpus or an error.
//!
//! ```text
//! cargo +nightly fuzz run reader fuzz/corpus/reader crates/asyn-data/tests/fuzz_corpus/reader
//! ```

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(corpus) = asyn_data::read_columns("fuzz", bytes) {
        corpus.write(std::io::sink()).expect("a sink takes everything");
    }
});
