//! Private buffers that start on a cache line.
//!
//! A vector load that straddles two lines costs two; in matrices of a few vectors a row
//! that would be every load.

use std::ops::{Deref, DerefMut};

/// The floats in a cache line.
const LINE: usize = 16;

/// Floats that start on a cache line. Grows, but keeps nothing when it does.
#[derive(Debug)]
pub(crate) struct Aligned {
    buffer: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// Returns `len` zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        let buffer = vec![0.0f32; len + LINE];
        let bytes = buffer.as_ptr().addr().wrapping_neg() % (4 * LINE);
        Self { buffer, start: bytes / 4, len }
    }

    /// Makes sure that there are `len` floats; if there were fewer, all become 0.
    pub(crate) fn grow(&mut self, len: usize) {
        if self.len < len {
            *self = Self::zeroed(len.next_power_of_two());
        }
    }
}

/// A copy may start elsewhere in its buffer, so it is made anew.
impl Clone for Aligned {
    fn clone(&self) -> Self {
        let mut copy = Self::zeroed(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Aligned {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        &self.buffer[self.start..self.start + self.len]
    }
}

impl DerefMut for Aligned {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_and_their_copies_start_on_a_line() {
        for len in [1, 16, 100, 5000] {
            let mut buffer = Aligned::zeroed(len);
            buffer[len - 1] = 1.0;
            let copy = buffer.clone();
            for buffer in [&buffer, &copy] {
                assert_eq!(buffer.as_ptr().addr() % 64, 0);
                assert_eq!((buffer.len(), buffer[len - 1]), (len, 1.0));
            }
        }
    }
}
