//! Ctrl-C and requests to end: the first is noted, the second ends the process at once.

use std::process::exit;
use std::sync::{Once, OnceLock};

/// The status of a process that was interrupted, as shells give it.
const INTERRUPTED: i32 = 130;

/// Set once the user wants the process to end.
static IS_ASKED: OnceLock<()> = OnceLock::new();
static LISTENS: Once = Once::new();

/// Knows whether the user wants the run to end.
#[derive(Debug)]
pub(crate) struct Interrupt;

impl Interrupt {
    /// Starts listening, if nobody does yet. Where the system offers nothing to listen to, nothing
    /// is ever asked.
    pub(crate) fn listen() -> Self {
        LISTENS.call_once(|| {
            let handler = || {
                if IS_ASKED.set(()).is_err() {
                    exit(INTERRUPTED);
                }
            };
            // Without a handler the first request ends the process, as it would anyway.
            let _ = ctrlc::set_handler(handler);
        });
        Self
    }

    /// Returns whether the process was asked to end.
    #[allow(clippy::unused_self, reason = "only who listens may ask")]
    pub(crate) fn is_asked(&self) -> bool {
        IS_ASKED.get().is_some()
    }
}
