//! When, where and with what a reproduction was made.

use std::time::{SystemTime, UNIX_EPOCH};

use asyn_report::Run;
use serde::Serialize;

use crate::workspace::{Workspace, output};

/// The circumstances of a reproduction.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Host {
    pub(crate) date: String,
    pub(crate) cpu: String,
    pub(crate) cores: u64,
    pub(crate) kernels: String,
    pub(crate) version: String,
    /// The commit of the sources, where they are in git.
    pub(crate) commit: Option<String>,
    pub(crate) command: String,
}

impl Host {
    /// Describes this machine; what the command knows itself is taken from a run.
    pub(crate) fn new(workspace: &Workspace, run: &Run, command: &str) -> Self {
        let machine = &run.start.machine;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            date: date(now.map_or(0, |time| time.as_secs() / 86_400)),
            cpu: machine.cpu.clone().unwrap_or_else(|| "unknown".to_owned()),
            cores: machine.cores,
            kernels: run.start.kernels.clone(),
            version: run.start.version.clone(),
            commit: commit(workspace),
            command: command.to_owned(),
        }
    }
}

/// Returns the commit, and whether there are changes on top of it.
fn commit(workspace: &Workspace) -> Option<String> {
    let git = |args: &[&str]| output(workspace.command("git").args(args)).ok();
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let is_clean = git(&["status", "--porcelain"])?.trim().is_empty();
    Some(format!("{}{}", commit.trim(), if is_clean { "" } else { ", with changes" }))
}

/// Returns the date `days` after 1 January 1970, as year, month and day.
fn date(days: u64) -> String {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut rest) = (1970, days);
    while rest >= 365 + u64::from(is_leap(year)) {
        rest -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(20_453), "2025-12-31");
    }
}
