//! `asyn measure`: a training run with all instruments, and what they saw as a table.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use asyn_report::{Run, races_table};

use crate::args::CrfArgs;
use crate::choice::InstrumentsChoice;
use crate::failure::Failure;
use crate::progress::Talk;
use crate::run_folder::RunFolder;
use crate::train;

/// Trains a CRF in a run folder and prints what its races did.
pub(crate) fn run(args: &CrfArgs, talk: Talk, started: Instant) -> Result<(), Failure> {
    let mut args = args.clone();
    match args.advanced.instruments {
        Some(InstrumentsChoice::Off) => {
            let problem = "--instruments off leaves nothing to measure: default or full";
            return Err(Failure::Usage(problem.to_owned()));
        }
        Some(InstrumentsChoice::Default | InstrumentsChoice::Full) => {}
        None => args.advanced.instruments = Some(InstrumentsChoice::Full),
    }
    let folder = match args.run.as_ref().or(args.resume.as_ref()) {
        Some(folder) => folder.clone(),
        None => args.run.insert(default_folder(&args)).clone(),
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
fn default_folder(args: &CrfArgs) -> PathBuf {
    args.model.as_ref().map_or_else(|| PathBuf::from("measure"), |m| m.with_extension("measure"))
}
