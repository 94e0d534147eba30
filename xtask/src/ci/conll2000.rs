//! A short run on CoNLL-2000 with a floor under its F1.
//!
//! The command is driven as a user would: train, tag the test set, score what
//! was tagged. A slow decline of the model shows here and in no unit test.

use std::env;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use crate::error::{Error, Result};
use crate::step::Outcome;
use crate::workspace::{DATA_VARIABLE, Workspace, run};

/// The F1 that four passes must reach, in percent.
const FLOOR: &str = "93.0";

/// Trains four passes, tags the test set and asks for the floor.
pub(super) fn reaches_its_floor(workspace: &Workspace) -> Result<Outcome> {
    if !workspace.root().join("crates/asyn/src/main.rs").exists() {
        return Ok(Outcome::Skipped("there is no command `asyn`".into()));
    }
    let Some(data) = workspace.data() else {
        return Ok(Outcome::Skipped(format!("{DATA_VARIABLE} is not set")));
    };
    let corpus = data.join("conll2000");
    let (train, test) = (corpus.join("train.txt.gz"), corpus.join("test.txt"));
    for file in [&train, &test] {
        if !file.exists() {
            return Ok(Outcome::Skipped(format!("no file {}", file.display())));
        }
    }
    let scratch =
        tempfile::tempdir().map_err(Error::file("create a folder in", env::temp_dir()))?;
    let model = scratch.path().join("model.safetensors");
    let tagged = scratch.path().join("tagged.txt");

    let asyn = || workspace.cargo(["run", "--release", "-q", "-p", "asyn", "--bin", "asyn", "--"]);
    run(asyn()
        .args(["train", "crf", "--template", "chunking"])
        .args(["--passes", "4", "--seed", "1"])
        .args([Path::new("--train"), &train, Path::new("--dev"), &test])
        .args([Path::new("--model"), &model]))?;
    let file = File::create(&tagged).map_err(Error::file("create", &tagged))?;
    run(asyn().args([Path::new("tag"), Path::new("--model"), &model, &test]).stdout(file))?;
    let file = File::open(&tagged).map_err(Error::file("open", &tagged))?;
    run(asyn().args(["eval", "--min-f1", FLOOR]).stdin(Stdio::from(file)))?;
    Ok(Outcome::Passed)
}
