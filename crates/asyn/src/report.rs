//! The page of a run.

use std::fs;

use crate::failure::Failure;
use crate::run_folder::{RunFolder, write_whole};

/// Writes `report.html` into a run directory, from its events.
pub(crate) fn write_report(folder: &RunFolder) -> Result<(), Failure> {
    let path = folder.metrics();
    let metrics = fs::read_to_string(&path).map_err(Failure::io("read", &path))?;
    let page = asyn_report::run_report(&metrics)?.html()?;
    write_whole(&folder.report(), page.as_bytes())
}
