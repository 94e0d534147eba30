//! The size of the pages that memory is made of.

/// The bytes of a large page on the processors that have kernels here.
#[cfg(all(target_os = "linux", not(miri)))]
const LARGE_PAGE: usize = 2 * 1024 * 1024;

/// Asks the system to back the whole large pages within a block by large pages.
///
/// A vector of weights of some megabytes is touched all over, in no order, from the
/// first pass on. With pages of 4 KB the first touches cost a fault each, about a third of
/// the first pass of a chunker. The system may refuse: nothing but speed depends on it.
///
/// # Safety
///
/// The block of `n_bytes` from `start` is owned by the caller.
#[cfg(all(target_os = "linux", not(miri)))]
pub(super) unsafe fn prefer_large(start: *mut u8, n_bytes: usize) {
    let before = start.align_offset(LARGE_PAGE);
    let n_bytes = n_bytes.saturating_sub(before) / LARGE_PAGE * LARGE_PAGE;
    if n_bytes > 0 {
        // SAFETY: the range lies in a block of the caller, and the advice changes
        // neither the contents of memory nor who may use it.
        let _ = unsafe { libc::madvise(start.add(before).cast(), n_bytes, libc::MADV_HUGEPAGE) };
    }
}

/// Other systems choose the size of pages themselves.
///
/// # Safety
///
/// None is needed; the signature is that of Linux.
#[cfg(not(all(target_os = "linux", not(miri))))]
pub(super) unsafe fn prefer_large(_: *mut u8, _: usize) {}
