//! Lock and condition variable: real ones, or those of the model checker loom.
//!
//! `RUSTFLAGS="--cfg asyn_loom"` chooses loom, which then tries all interleavings.

#[cfg(not(asyn_loom))]
mod real {
    use parking_lot as lock;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(lock::Mutex<T>);

    pub(crate) type Guard<'a, T> = lock::MutexGuard<'a, T>;

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(lock::Condvar);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(lock::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            self.0.lock()
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(lock::Condvar::new())
        }

        pub(crate) fn wait<'a, T>(&self, mut guard: Guard<'a, T>) -> Guard<'a, T> {
            self.0.wait(&mut guard);
            guard
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}

#[cfg(asyn_loom)]
mod real {
    use loom::sync as lock;

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

pub(crate) use real::{Condvar, Mutex};
