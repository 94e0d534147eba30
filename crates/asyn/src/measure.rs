//! `asyn measure`: a training run with all instruments, and what they saw as a table.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use asyn_report::{Run, races_table};

use crate::choice::InstrumentsChoice;
use crate::failure::Failure;
use crate::progress::Talk;
use crate::run_folder::RunFolder;
use crate::train;
use crate::train_args::{CommonArgs, ModelArgs};

/// Trains a model in a run folder and prints what its races did.
pub(crate) fn run(args: &impl ModelArgs, talk: Talk, started: Instant) -> Result<(), Failure> {
    let mut args = args.clone();
    let common = args.common_mut();
    match common.advanced.instruments {
        Some(InstrumentsChoice::Off) => {
            let problem = "--instruments off leaves nothing to measure: default or full";
            return Err(Failure::Usage(problem.to_owned()));
        }
        Some(InstrumentsChoice::Default | InstrumentsChoice::Full) => {}
        None => common.advanced.instruments = Some(InstrumentsChoice::Full),
    }
    let folder = match common.run.as_ref().or(common.resume.as_ref()) {
        Some(folder) => folder.clone(),
        None => {
            let folder = default_folder(common);
            common.run.insert(folder).clone()
        }
    };
    train::run(&args, talk, started)?;
    let folder = RunFolder::of_run(&folder);
    let metrics = folder.metrics();
    let events = fs::read_to_string(&metrics).map_err(Failure::io("read", &metrics))?;
    print!("{}", races_table(&Run::parse(&events)?));
    talk.say(&format!("the figures: {}", folder.report().display()));
    Ok(())
}

/// Returns the model's name with `.measure` in place of its ending, or `measure` without a model.
fn default_folder(args: &CommonArgs) -> PathBuf {
    args.model.as_ref().map_or_else(|| PathBuf::from("measure"), |m| m.with_extension("measure"))
}
