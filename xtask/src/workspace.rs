//! Where the workspace is, and how programs are started in it.
//!
//! Every program runs in the root folder, and sees `ASYN_DATA` as an absolute
//! path: tests and benches run in the folder of their crate, where a relative
//! path would mean another place.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, path};

use crate::error::{Error, Result};

/// The name of the variable that says where the corpora are.
pub(crate) const DATA_VARIABLE: &str = "ASYN_DATA";

/// The root folder, and the folder of the corpora where one is set.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    data: Option<PathBuf>,
}

impl Workspace {
    /// Finds the workspace that this program belongs to.
    pub(crate) fn find() -> Result<Self> {
        // Cargo sets the variable for `cargo run`, the only documented way in.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .expect("the manifest of xtask lies one folder below the root")
            .to_owned();
        let data = match env::var_os(DATA_VARIABLE).filter(|value| !value.is_empty()) {
            Some(value) => {
                let folder = root.join(value);
                Some(path::absolute(&folder).map_err(Error::file("resolve", &folder))?)
            }
            None => None,
        };
        Ok(Self { root, data })
    }

    /// Returns the root folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the folder of the corpora, absolute, where `ASYN_DATA` names one.
    pub(crate) fn data(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// Returns a command that will run `program` in the root folder.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        if let Some(data) = &self.data {
            command.env(DATA_VARIABLE, data);
        }
        command
    }

    /// Returns a command that will run the same cargo that started this program.
    pub(crate) fn cargo<I, S>(&self, args: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(args);
        command
    }
}

/// Runs `command`, showing it and its output.
///
/// # Errors
///
/// [`Error::Start`] when the program cannot be started, [`Error::Command`]
/// when it reports failure.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    eprintln!("$ {shown}");
    let status =
        command.status().map_err(|source| Error::Start { command: shown.clone(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Command { command: shown, status }) }
}

/// Runs `command` and returns what it wrote to standard output.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output =
        command.output().map_err(|source| Error::Start { command: shown.clone(), source })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(Error::Command { command: shown, status: output.status })
    }
}

/// Returns `command` as a person would type it: the program without its
/// folder, then the arguments, quoted where they hold a space.
pub(crate) fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut shown =
        program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    for arg in command.get_args() {
        let arg = arg.to_string_lossy();
        shown.push(' ');
        if arg.contains(' ') {
            shown.push_str(&format!("'{arg}'"));
        } else {
            shown.push_str(&arg);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new(Path::new("bin").join("cargo"));
        command.args(["test", "--", "two words"]);
        assert_eq!(show(&command), "cargo test -- 'two words'");
    }

    #[test]
    fn failure_names_the_command() {
        let workspace = Workspace::find().unwrap();
        let error = output(&mut workspace.cargo(["no-such-subcommand"])).unwrap_err();
        assert!(error.to_string().contains("cargo no-such-subcommand"));
    }
}
