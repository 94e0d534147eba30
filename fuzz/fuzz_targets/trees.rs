//! Any bytes are trees or an error.
//!
//! ```text
//! cargo +nightly fuzz run trees fuzz/corpus/trees crates/asyn-data/tests/fuzz_corpus/trees
//! ```

#![no_main]

use asyn_data::read_trees;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(corpus) = read_trees("fuzz", bytes) {
        assert!(corpus.n_tokens() > 0);
    }
});
