//! `cargo xtask race`: the tools that look for races.
//!
//! | Step   | What it sees                                     | Needs                  |
//! | ------ | ------------------------------------------------ | ---------------------- |
//! | `loom` | every interleaving of turns and barriers         | stable Rust            |
//! | `miri` | undefined behaviour in the portable kernels      | nightly, with Miri     |
//! | `tsan` | data races between real threads, portable kernels | nightly, with rust-src |
//!
//! Miri checks the shared folder and its kernels against Stacked Borrows, with many seeds
//! where threads race, and whole runs against Tree Borrows: the pool of rayon, which mini-batches
//! use, is written for the latter (crossbeam-epoch), and is not freed at the end.
//!
//! Neither Miri nor ThreadSanitizer sees assembly, so both run on the portable
//! kernels: what they show is that the code around the kernels is sound. A tool
//! that is not installed is skipped and named in the table at the end.

use std::process::Command;

use crate::ci;
use crate::error::Result;
use crate::step::{self, Outcome, Step};
use crate::workspace::{Workspace, output, run as run_command};

const STEPS: &[Step] = &[
    Step::new("loom", "turns and barriers in every interleaving", ci::loom),
    Step::new("miri", "undefined behaviour in the core", miri),
    Step::new("tsan", "data races between real threads", tsan),
];

/// Runs every tool that is installed.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    step::run_all(workspace, STEPS)
}

fn miri(workspace: &Workspace) -> Result<Outcome> {
    if output(nightly(workspace, "cargo").args(["miri", "--version"])).is_err() {
        let why = "no nightly toolchain with the component miri";
        return Ok(Outcome::Skipped(why.into()));
    }
    // The trainer reads clocks, which isolation forbids.
    const STACKED: &str = "-Zmiri-disable-isolation";
    const SEEDS: &str = "-Zmiri-disable-isolation -Zmiri-many-seeds=0..8";
    // Miri rounds exponentials at random, and tests compare runs bit by bit.
    const TREE: &str = "-Zmiri-disable-isolation -Zmiri-tree-borrows -Zmiri-ignore-leaks \
                        -Zmiri-deterministic-floats";
    for (flags, tests) in [
        (STACKED, ["--lib"].as_slice()),
        (SEEDS, &["--test", "kernel_races"]),
        (TREE, &["--test", "access", "--test", "instruments", "--test", "balance"]),
        (TREE, &["--test", "simulate", "--test", "replay", "--test", "trainer"]),
    ] {
        let mut command = nightly(workspace, "cargo");
        command.args(["miri", "test", "-p", "asyn-core", "--features", "portable"]).args(tests);
        run_command(command.env("MIRIFLAGS", flags))?;
    }
    Ok(Outcome::Passed)
}

fn tsan(workspace: &Workspace) -> Result<Outcome> {
    // A standard library that is not instrumented reports races of its own, so
    // it is built from source.
    let mut list = workspace.command("rustup");
    list.args(["component", "list", "--toolchain", "nightly", "--installed"]);
    let has_source = output(&mut list).is_ok_and(|list| list.lines().any(|it| it == "rust-src"));
    if !has_source {
        let why = "no nightly toolchain with the component rust-src";
        return Ok(Outcome::Skipped(why.into()));
    }
    let about = output(nightly(workspace, "rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.expect("`rustc -vV` names the host");
    let mut command = nightly(workspace, "cargo");
    command.args(["test", "-Zbuild-std", "--target", host]);
    command.args(["-p", "asyn-core", "-p", "asyn-sync", "--lib", "--tests"]);
    command.args(["--features", "asyn-core/portable"]);
    run_command(command.env("RUSTFLAGS", "-Zsanitizer=thread"))?;
    Ok(Outcome::Passed)
}

/// Returns a command that will run `program` of the nightly toolchain.
fn nightly(workspace: &Workspace, program: &str) -> Command {
    let mut command = workspace.command("rustup");
    command.args(["run", "nightly", program]);
    command
}
