//! Up to which step each block of a table was brought.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// A number of steps for each block, which only grows while workers share it.
///
/// ```
/// use asyn_core::shared::Stamps;
///
/// let stamps = Stamps::new(2);
/// assert_eq!(stamps.raise(1, 7), 0);
/// assert_eq!(stamps.raise(1, 5), 7); // somebody was further already
/// assert_eq!(stamps.get(1), 7);
/// ```
#[derive(Debug)]
pub struct Stamps(Box<[AtomicU32]>);

impl Stamps {
    /// Makes `n_blocks` stamps of 0.
    #[must_use]
    pub fn new(n_blocks: usize) -> Self {
        Self((0..n_blocks).map(|_| AtomicU32::new(0)).collect())
    }

    /// Returns the stamp of a block.
    ///
    /// # Panics
    ///
    /// If there is no such block.
    #[must_use]
    pub fn get(&self, block: usize) -> u32 {
        self.0[block].load(Relaxed)
    }

    /// Raises the stamp of a block to `to`, if it is lower, and returns what it was: of all
    /// workers that raise it at once, each step from the old stamp to the new one is told to
    /// exactly one.
    ///
    /// # Panics
    ///
    /// If there is no such block.
    pub fn raise(&self, block: usize, to: u32) -> u32 {
        self.0[block].fetch_max(to, Relaxed)
    }

    /// Sets the stamp of a block.
    ///
    /// # Panics
    ///
    /// If there is no such block.
    pub fn set(&mut self, block: usize, to: u32) {
        *self.0[block].get_mut() = to;
    }
}
