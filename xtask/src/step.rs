//! A list of named steps, run in order until one fails.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::workspace::Workspace;

/// One step of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// What the command line calls it.
    pub(crate) name: &'static str,
    /// What it checks, in a few words.
    about: &'static str,
    /// The check itself.
    run: fn(&Workspace) -> Result<Outcome>,
}

impl Step {
    /// Makes a step.
    pub(crate) const fn new(
        name: &'static str,
        about: &'static str,
        run: fn(&Workspace) -> Result<Outcome>,
    ) -> Self {
        Self { name, about, run }
    }
}

/// How a step ended that did not fail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran and passed.
    Passed,
    /// It could not run here, for the reason given.
    Skipped(String),
}

/// Runs `steps` in order and prints a table of how each ended and how long it
/// took. Stops at the first failure.
///
/// # Errors
///
/// [`Error::Step`], which names the step that failed.
pub(crate) fn run_all(workspace: &Workspace, steps: &[Step]) -> Result<()> {
    let mut rows = Vec::new();
    let mut failure = None;
    for step in steps {
        if failure.is_some() {
            rows.push(row(step.name, None, "not run"));
            continue;
        }
        eprintln!("== {}: {}", step.name, step.about);
        let start = Instant::now();
        let result = (step.run)(workspace);
        let time = Some(start.elapsed());
        match result {
            Ok(Outcome::Passed) => rows.push(row(step.name, time, "passed")),
            Ok(Outcome::Skipped(why)) => {
                rows.push(row(step.name, time, &format!("skipped: {why}")));
            }
            Err(error) => {
                rows.push(row(step.name, time, "FAILED"));
                failure = Some(Error::Step { name: step.name, source: Box::new(error) });
            }
        }
    }
    println!("\n{}", rows.join("\n"));
    failure.map_or(Ok(()), Err)
}

/// Prints the name of each step and what it checks.
pub(crate) fn list(steps: &[Step]) {
    for step in steps {
        println!("{:<10} {}", step.name, step.about);
    }
}

fn row(name: &str, time: Option<Duration>, ending: &str) -> String {
    let time = time.map_or_else(|| "-".to_owned(), |t| format!("{:.1} s", t.as_secs_f64()));
    format!("{name:<10} {time:>9}  {ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_stops_the_list_and_is_named() {
        let steps = [
            Step::new("first", "", |_| Ok(Outcome::Passed)),
            Step::new("second", "", |_| Err(Error::Untidy { n_findings: 1 })),
            Step::new("third", "", |_| unreachable!("the second step failed")),
        ];
        let error = run_all(&Workspace::find().unwrap(), &steps).unwrap_err();
        assert_eq!(error.to_string(), "step `second` failed");
    }

    #[test]
    fn a_skipped_step_is_no_failure() {
        let steps = [Step::new("only", "", |_| Ok(Outcome::Skipped("no reason".into())))];
        run_all(&Workspace::find().unwrap(), &steps).unwrap();
    }
}
