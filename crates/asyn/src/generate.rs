//! `asyn gen`.

use std::io::{Write, stdout};
use std::path::Path;

use asyn::data::planted;

use crate::args::ChunkingArgs;
use crate::failure::Failure;
use crate::progress::Talk;
use crate::run_folder::write_whole;

/// Writes a planted chunking corpus, and says what its best possible score is.
pub(crate) fn run(args: &ChunkingArgs, talk: Talk) -> Result<(), Failure> {
    let planted = planted::chunking(args.sentences.get(), args.seed);
    let text = planted.text().as_bytes();
    if args.out == Path::new("-") {
        stdout().write_all(text).map_err(|source| Failure::Output { source })?;
    } else {
        write_whole(&args.out, text)?;
    }
    if talk != Talk::Quiet {
        let corpus = planted.corpus();
        let best = planted.best_score(&corpus);
        talk.say(&format!(
            "{} sentences, {} tokens; best possible F1 {:.2}",
            corpus.n_sentences(),
            corpus.n_tokens(),
            best.f1()
        ));
    }
    Ok(())
}
