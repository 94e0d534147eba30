//! A watcher of accesses to shared weights, one a thread: the seam of the simulator.

use std::cell::RefCell;
use std::sync::atomic::AtomicU32;

use super::LINE;

/// What an access does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Load,
    Store,
    /// Loads and stores at once, so that no store of another thread is lost.
    Exchange,
}

/// Is told the cache line, counted from address 0, before it is accessed.
pub(crate) type Watcher = Box<dyn FnMut(usize, Kind)>;

thread_local! {
    static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
}

/// Replaces the watcher of this thread. It is told of accesses to weights that are traced, and
/// must not itself access any.
pub(crate) fn watch(watcher: Option<Watcher>) {
    WATCHER.set(watcher);
}

/// Tells the watcher of this thread, if there is one, of an access that comes next.
pub(super) fn point(cell: *const AtomicU32, kind: Kind) {
    WATCHER.with_borrow_mut(|watcher| {
        if let Some(watcher) = watcher {
            watcher(cell as usize / (LINE * size_of::<f32>()), kind);
        }
    });
}
