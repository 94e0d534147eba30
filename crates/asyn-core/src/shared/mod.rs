//! Shared weights and every access to them.
