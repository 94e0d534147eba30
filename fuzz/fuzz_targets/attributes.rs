//! Any bytes are an attribute file of CRFsuite or an error.
//!
//! ```text
//! cargo +nightly fuzz run attributes fuzz/corpus/attributes crates/asyn-data/tests/fuzz_corpus/attributes
//! ```

#![no_main]

use asyn_data::read_attributes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(corpus) = read_attributes("fuzz", bytes, None) {
        corpus.write(std::io::sink()).expect("a sink takes everything");
    }
});
