//! The runs behind the panel on theory: the optimum of a CRF, and how far the errors of gradients
//! point away from it, pass by pass.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::program::Program;
use crate::error::{Error, Result};
use crate::workspace::output;

/// One run, with so many workers.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Followed {
    pub(super) workers: u32,
    pub(super) is_simulated: bool,
    pub(super) moments: Vec<Moment>,
}

/// What the example `theory` says of the end of a pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Moment {
    pub(super) pass: u32,
    /// The measured τ and its 95 % interval, if steps were probed.
    pub(super) tau: Option<[f64; 3]>,
    /// The τ up to which Theorem 1 allows the accuracy of this pass, and its tight version.
    pub(super) tau_limit: f64,
    pub(super) tau_limit_tight: f64,
}

/// The part of what the example writes that is read here.
#[derive(Deserialize)]
struct Answer {
    passes: Vec<Moment>,
}

/// Follows a run on `train`.
pub(super) fn follow(
    example: &Program<'_>,
    train: &Path,
    folder: &Path,
    (workers, is_simulated): (u32, bool),
    passes: u32,
) -> Result<Followed> {
    let kind = if is_simulated { "simulated workers" } else { "threads" };
    eprintln!("  theory, {workers} {kind}");
    let answer = folder.join(format!("theory-{workers}-{}.json", kind.replace(' ', "-")));
    let mut command = example.command();
    command.arg("--train").arg(train).arg("--json").arg(&answer);
    command.args(["--threads", &workers.to_string(), "--passes", &passes.to_string()]);
    if is_simulated {
        command.arg("--simulate");
    }
    output(&mut command)?;
    let text = fs::read_to_string(&answer).map_err(Error::file("read", &answer))?;
    let Answer { passes: moments } = serde_json::from_str(&text)
        .map_err(|source| Error::Answer { command: "theory".to_owned(), source })?;
    Ok(Followed { workers, is_simulated, moments })
}
