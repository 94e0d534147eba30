//! Tasks of the workspace, run as `cargo xtask VERB`.
//!
//! | Verb        | What it does                                              |
//! | ----------- | --------------------------------------------------------- |
//! | `ci`        | everything that a change must pass, in one list of steps  |
//! | `tidy`      | the house rules that a program can check                  |
//! | `race`      | the tools that look for races, those that are installed   |
//! | `data`      | the corpora, which are not in the repository              |
//! | `reproduce` | trains with every strategy; writes a table and a page     |
//! | `peers`     | trains what users would pick instead, on the same file    |
//!
//! The exit code is 0 when the task is done, 1 when it failed and 2 when the
//! command line was wrong. Standard output carries the result; progress and
//! errors go to standard error.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is how a task reports to the person who started it"
)]

use std::error::Error as _;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::error::Result;
use crate::workspace::Workspace;

mod ci;
mod data;
mod error;
mod peers;
mod race;
mod reproduce;
mod step;
mod tidy;
mod workspace;

/// Tasks of the workspace.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs every check that a change must pass.
    Ci(ci::Args),
    /// Checks the house rules that a program can check.
    Tidy,
    /// Runs the tools that look for races, those that are installed.
    Race,
    /// Lists, fetches and verifies the corpora.
    #[command(subcommand)]
    Data(data::Args),
    /// Trains a chunker with every strategy; writes a table and a page.
    Reproduce(reproduce::Args),
    /// Trains CRFsuite and asyn on the same file; writes a table.
    Peers(peers::Args),
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::find()?;
    match &args.verb {
        Verb::Ci(args) => ci::run(&workspace, args),
        Verb::Tidy => tidy::run(&workspace),
        Verb::Race => race::run(&workspace),
        Verb::Data(args) => data::run(&workspace, args),
        Verb::Reproduce(args) => reproduce::run(&workspace, args),
        Verb::Peers(args) => peers::run(&workspace, args),
    }
}

/// Returns the names of the verbs.
fn verbs() -> Vec<String> {
    let command = Args::command();
    let names = command.get_subcommands().map(clap::Command::get_name);
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }
}
