//! Scores a column file whose last two columns are gold and predicted tags.
//!
//! ```text
//! cargo run --release -p asyn-data --example conlleval -- tagged.txt
//! ```

#![allow(clippy::print_stdout, reason = "an example reports to its reader")]

use asyn_data::conlleval::Counts;
use asyn_data::{Error, Result, open_columns};

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "-".to_owned());
    let corpus = open_columns(path)?;
    let Some(gold) = corpus.n_columns().checked_sub(2) else {
        let name = corpus.name().to_owned();
        return Err(Error::Columns { name, expected: 2, actual: corpus.n_columns() });
    };
    let mut counts = Counts::default();
    for sentence in corpus.sentences() {
        let tags = (0..sentence.len()).map(|token| sentence.column(token, gold));
        counts.add(tags, sentence.labels());
    }
    print!("{}", counts.score());
    Ok(())
}
