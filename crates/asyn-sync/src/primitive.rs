//! Lock, condition variable and atomics: real ones, or those of the model checker loom.
//!
//! `RUSTFLAGS="--cfg asyn_loom"` chooses loom, which then tries all interleavings. The real
//! ones wait in virtual time where the worker is simulated.

/// The pauses between two looks, about 0.25 µs.
const PAUSES: u32 = 4;

/// Passes the time between two looks at what another worker is to change.
pub(crate) fn pause() {
    (0..PAUSES).for_each(|_| std::hint::spin_loop());
}

#[cfg(not(asyn_loom))]
mod real {
    use std::ops::{Deref, DerefMut};
    pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

    use asyn_core::simulate;
    use parking_lot as lock;

    use super::pause;

    /// How often a worker tries to lock before it sleeps: for about 50 µs. Locks are held for
    /// a few microseconds; to sleep and be woken takes ten times that.
    const LOOKS: u32 = 200;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(lock::Mutex<T>);

    /// Releases the lock when dropped.
    #[derive(Debug)]
    pub(crate) struct Guard<'a, T> {
        mutex: &'a Mutex<T>,
        /// Empty only while the guard is dropped.
        held: Option<lock::MutexGuard<'a, T>>,
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(lock::Condvar);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(lock::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            let mut looks = 0;
            let held = loop {
                if let Some(held) = self.0.try_lock() {
                    break held;
                }
                if simulate::is_simulated() {
                    simulate::wait(key(self));
                } else if looks == LOOKS {
                    break self.0.lock();
                } else {
                    looks += 1;
                    pause();
                }
            };
            Guard { mutex: self, held: Some(held) }
        }
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.held.as_ref().expect("a guard that is not dropped holds the lock")
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.held.as_mut().expect("a guard that is not dropped holds the lock")
        }
    }

    impl<T> Drop for Guard<'_, T> {
        fn drop(&mut self) {
            drop(self.held.take());
            simulate::wake_all(key(self.mutex));
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(lock::Condvar::new())
        }

        pub(crate) fn wait<'a, T>(&self, mut guard: Guard<'a, T>) -> Guard<'a, T> {
            if simulate::is_simulated() {
                let mutex = guard.mutex;
                drop(guard);
                simulate::wait(key(self));
                mutex.lock()
            } else {
                let held = guard.held.as_mut().expect("a guard that is not dropped holds the lock");
                self.0.wait(held);
                guard
            }
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
            simulate::wake_all(key(self));
        }
    }

    /// Returns what tells a lock or a condition variable from others in a simulation.
    fn key<T>(primitive: &T) -> usize {
        std::ptr::from_ref(primitive).addr()
    }
}

#[cfg(asyn_loom)]
mod real {
    use loom::sync as lock;
    pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

    #[derive(Debug)]
    pub(crate) struct Mutex<T>(lock::Mutex<T>);

    pub(crate) type Guard<'a, T> = lock::MutexGuard<'a, T>;

    #[derive(Debug)]
    pub(crate) struct Condvar(lock::Condvar);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(lock::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            self.0.lock().expect("loom ends at the first panic")
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(lock::Condvar::new())
        }

        pub(crate) fn wait<'a, T>(&self, guard: Guard<'a, T>) -> Guard<'a, T> {
            self.0.wait(guard).expect("loom ends at the first panic")
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}

pub(crate) use real::{AtomicU64, AtomicUsize, Condvar, Mutex, Ordering, fence};
