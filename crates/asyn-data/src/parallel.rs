//! Independent items of work, divided over the cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Calls `work` on every index below `n_items` and returns the results in order.
///
/// Up to `threads` threads, the caller among them, take the items one after the other; each makes
/// one `scratch` for all its items. A panic of `work` ends in the caller.
pub(crate) fn map<S, T: Send>(
    threads: usize,
    n_items: usize,
    scratch: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let take_items = || {
        let mut scratch = scratch();
        let mut done = Vec::new();
        loop {
            // Only the number itself is shared: what was computed is handed over by joining.
            let item = next.fetch_add(1, Ordering::Relaxed);
            if item >= n_items {
                return done;
            }
            done.push((item, work(&mut scratch, item)));
        }
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(n_items)).map(|_| scope.spawn(take_items)).collect();
        let mut done = take_items();
        for other in others {
            match other.join() {
                Ok(items) => done.extend(items),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|&(item, _)| item);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        let squares: Vec<usize> = (0..100).map(|i| i * i).collect();
        for threads in [0, 1, 2, 5, 200] {
            assert_eq!(map(threads, 100, || (), |(), i| i * i), squares);
        }
        assert!(map(2, 0, || (), |(), i| i).is_empty());
    }
}
