//! Any bytes are segmented text or an error, and its words can be written.
//!
//! ```text
//! cargo +nightly fuzz run segmented fuzz/corpus/segmented crates/asyn-data/tests/fuzz_corpus/segmented
//! ```

#![no_main]

use asyn_data::{Scheme, read_segmented, write_segmented};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for scheme in Scheme::ALL {
        let Ok(corpus) = read_segmented("fuzz", bytes, scheme) else { return };
        write_segmented(&corpus, std::io::sink()).expect("a sink takes everything");
    }
});
