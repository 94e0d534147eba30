//! `cargo xtask ci`: everything that a change must pass.
//!
//! Each step is a program that a person could run by hand; it is shown before
//! it runs. A step that this machine cannot run is skipped, and says why. The
//! rows of `docs/open.md` are printed at the end, so that what is known to be
//! open is seen beside what passed.

use crate::error::Result;
use crate::step::{self, Outcome, Step};
use crate::tidy;
use crate::workspace::{Workspace, output, run as run_command};

mod conll2000;
mod open;

/// The other architecture whose kernels must at least compile.
const AARCH64: &str = "aarch64-unknown-linux-gnu";

const STEPS: &[Step] = &[
    Step::new("fmt", "the formatting is rustfmt's", fmt),
    Step::new("tidy", "the house rules hold", tidy),
    Step::new("clippy", "no warning from the compiler or clippy", clippy),
    Step::new("test", "unit, integration and doc tests", test),
    Step::new("doc", "the documentation builds without a warning", doc),
    Step::new("aarch64", "the libraries compile for aarch64", aarch64),
    Step::new("portable", "the core passes its tests without assembly", portable),
    Step::new("avx2", "the core passes its tests on the AVX2 kernels", avx2),
    Step::new("loom", "turns and barriers hold in every interleaving", loom),
    Step::new(
        "conll2000",
        "a short run on CoNLL-2000 reaches its floor",
        conll2000::reaches_its_floor,
    ),
];

/// What `cargo xtask ci` was asked to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Prints the steps and runs none.
    #[arg(long)]
    list: bool,
    /// Runs this step and no other; may be given several times.
    #[arg(long, value_name = "STEP", value_parser = step_names())]
    only: Vec<String>,
    /// Leaves this step out; may be given several times.
    #[arg(long, value_name = "STEP", value_parser = step_names())]
    skip: Vec<String>,
}

fn step_names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

/// Runs the steps that `args` selects.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let steps = select(&args.only, &args.skip);
    if args.list {
        step::list(&steps);
        return Ok(());
    }
    step::run_all(workspace, &steps)?;
    open::print(workspace)
}

fn select(only: &[String], skip: &[String]) -> Vec<Step> {
    let names = |list: &[String], step: &Step| list.iter().any(|name| name == step.name);
    STEPS
        .iter()
        .filter(|step| (only.is_empty() || names(only, step)) && !names(skip, step))
        .copied()
        .collect()
}

fn fmt(workspace: &Workspace) -> Result<Outcome> {
    run_command(&mut workspace.cargo(["fmt", "--all", "--check"]))?;
    Ok(Outcome::Passed)
}

fn tidy(workspace: &Workspace) -> Result<Outcome> {
    tidy::run(workspace)?;
    Ok(Outcome::Passed)
}

fn clippy(workspace: &Workspace) -> Result<Outcome> {
    let args = ["clippy", "--workspace", "--all-targets"];
    run_command(workspace.cargo(args).args(["--", "-D", "warnings"]))?;
    Ok(Outcome::Passed)
}

fn test(workspace: &Workspace) -> Result<Outcome> {
    run_command(&mut workspace.cargo(["test", "--workspace"]))?;
    Ok(Outcome::Passed)
}

fn doc(workspace: &Workspace) -> Result<Outcome> {
    let mut command = workspace.cargo(["doc", "--workspace", "--no-deps"]);
    run_command(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Passed)
}

fn aarch64(workspace: &Workspace) -> Result<Outcome> {
    if let Err(why) = ensure_target(workspace, AARCH64) {
        return Ok(Outcome::Skipped(format!("no standard library for {AARCH64}: {why}")));
    }
    let mut command = workspace.cargo(["check", "--target", AARCH64]);
    for name in ["asyn-core", "asyn-sync", "asyn-data", "asyn-models"] {
        command.args(["-p", name]);
    }
    run_command(&mut command)?;
    Ok(Outcome::Passed)
}

/// Installs the standard library of `target` where it is missing.
fn ensure_target(workspace: &Workspace, target: &str) -> Result<()> {
    let installed = output(workspace.command("rustup").args(["target", "list", "--installed"]))?;
    if installed.lines().any(|line| line == target) {
        return Ok(());
    }
    run_command(workspace.command("rustup").args(["target", "add", target]))
}

fn portable(workspace: &Workspace) -> Result<Outcome> {
    run_command(&mut workspace.cargo(["test", "-p", "asyn-core", "--features", "portable"]))?;
    Ok(Outcome::Passed)
}

fn avx2(workspace: &Workspace) -> Result<Outcome> {
    if !has_avx2() {
        return Ok(Outcome::Skipped("this CPU has no AVX2 with FMA".into()));
    }
    let mut command = workspace.cargo(["test", "-p", "asyn-core"]);
    run_command(command.env("ASYN_KERNELS", "avx2"))?;
    Ok(Outcome::Passed)
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}

/// Runs the loom tests, which lie beside what they test.
pub(crate) fn loom(workspace: &Workspace) -> Result<Outcome> {
    let mut command = workspace.cargo([
        "test",
        "-p",
        "asyn-core",
        "-p",
        "asyn-sync",
        "--release",
        "--lib",
        "loom",
    ]);
    // Other flags would make the crates of every other build stale, so they get a folder
    // of their own.
    command.arg("--target-dir").arg(workspace.root().join("target/loom"));
    run_command(command.env("RUSTFLAGS", "--cfg asyn_loom"))?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(steps: &[Step]) -> Vec<&str> {
        steps.iter().map(|step| step.name).collect()
    }

    #[test]
    fn only_and_skip_select_steps_in_their_order() {
        let list = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&select(&[], &[])), step_names());
        assert_eq!(names(&select(&list(&["doc", "fmt"]), &[])), ["fmt", "doc"]);
        assert!(!names(&select(&[], &list(&["test"]))).contains(&"test"));
        assert!(select(&list(&["doc"]), &list(&["doc"])).is_empty());
    }
}
