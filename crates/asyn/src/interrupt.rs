//! Ctrl-C and requests to end: the first is noted, the second ends the process at once.

use std::process::exit;
use std::sync::mpsc::{Receiver, channel};

/// The status of a process that was interrupted, as shells give it.
const INTERRUPTED: i32 = 130;

/// Knows whether the user wants the run to end.
#[derive(Debug)]
pub(crate) struct Interrupt {
    asked: Option<Receiver<()>>,
}

impl Interrupt {
    /// Starts listening. Where the system offers nothing to listen to, nothing is ever asked.
    pub(crate) fn listen() -> Self {
        let (sender, asked) = channel();
        let mut is_first = true;
        let handler = move || {
            if !std::mem::take(&mut is_first) {
                exit(INTERRUPTED);
            }
            // The run may have ended meanwhile, and then nobody needs to know.
            let _ = sender.send(());
        };
        Self { asked: ctrlc::set_handler(handler).ok().map(|()| asked) }
    }

    /// Returns whether the run was asked to end since the last call.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.try_recv().is_ok())
    }
}
