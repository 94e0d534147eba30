//! Expectation maximisation followed through a run: what the weights are worth now and then, with
//! the clock of training stopped.
//!
//! ```text
//! cargo run --release -p asyn --example em -- align left.txt right.txt --gold gold.a
//! cargo run --release -p asyn --example em -- hmm words.txt --states 45 --strategy asyngrad -t 2
//! cargo run --release -p asyn --example em -- plant folder
//! ```
//!
//! `align` trains IBM Model 1 in both directions, one after the other, and joins their links by
//! grow-diag-final; gold links are those of the first pairs of the text. `hmm` trains a hidden
//! Markov model on the first column and scores its states against the last one. Log-likelihoods are
//! those of the whole text at weights that stand still. `--json` writes all that is printed.

#![allow(clippy::print_stdout, reason = "an example reports to its reader")]
#![allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]

mod align;
mod follow;
mod hmm;
mod planted;

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use asyn::core::shared::isa;
use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::follow::{How, Moment};

/// Follows expectation maximisation through a run.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Trains a word aligner.
    Align {
        #[command(flatten)]
        text: align::Text,
        #[command(flatten)]
        how: How,
        /// Writes what is printed as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Trains a hidden Markov model.
    Hmm {
        #[command(flatten)]
        text: hmm::Text,
        #[command(flatten)]
        how: How,
        /// Writes what is printed as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Writes planted parallel text with its links: planted.left, planted.right and planted.links.
    Plant(planted::Size),
}

/// Everything, as it is written.
#[derive(Debug, Serialize)]
struct Everything {
    kernels: String,
    version: &'static str,
    n_examples: usize,
    /// What a pass works through: pairs of words in both directions, or tokens.
    n_units: u64,
    moments: Vec<Moment>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (n_examples, n_units, moments, json) = match Args::parse().what {
        What::Plant(size) => return Ok(planted::write(&size)?),
        What::Align { text, how, json } => {
            let (n_examples, n_units, moments) = align::run(&text, &how)?;
            (n_examples, n_units, moments, json)
        }
        What::Hmm { text, how, json } => {
            let (n_examples, n_units, moments) = hmm::run(&text, &how)?;
            (n_examples, n_units, moments, json)
        }
    };
    println!("passes  seconds   log-likelihood  score");
    for moment in &moments {
        let score = moment.score.map_or(String::new(), |score| format!("{score:.2}"));
        let v_measure = moment.v_measure.map_or(String::new(), |v| format!(" {v:.2}"));
        println!(
            "{:6.2}  {:8.4}  {:14.1}  {score}{v_measure}",
            moment.passes, moment.seconds, moment.log_likelihood
        );
    }
    if let Some(path) = json {
        let (kernels, version) = (isa().to_string(), env!("CARGO_PKG_VERSION"));
        let everything = Everything { kernels, version, n_examples, n_units, moments };
        serde_json::to_writer(BufWriter::new(File::create(path)?), &everything)?;
    }
    Ok(())
}
