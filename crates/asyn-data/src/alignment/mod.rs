//! Parallel text, word alignments, and their score.
//!
//! | File           | What it holds                                                       |
//! | -------------- | ------------------------------------------------------------------- |
//! | `bitext`       | pairs of sentences as word ids, from two files or one               |
//! | `parts`        | the same part by part, from texts of any length                     |
//! | `links`        | links between the words of a pair, in the format of Pharaoh         |
//! | `gold`         | sure and possible links, in two formats                             |
//! | `aer`          | alignment error rate                                                |
//! | `symmetry`     | one alignment of the two directions                                 |
//!
//! The left side of a pair is the first file, or what stands before `|||`; a link `i-j` joins word
//! `i` on the left with word `j` on the right, both counted from 0.

mod aer;
mod bitext;
mod gold;
mod links;
mod parts;
mod symmetry;

pub use aer::AlignmentScore;
pub use bitext::{Bitext, Side, Words};
pub use gold::{GoldLinks, read_gold};
pub use links::{Link, Links, read_links};
pub use parts::BitextParts;
pub use symmetry::Symmetry;
