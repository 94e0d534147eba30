//! What the machine says about itself; nothing where it does not say it in the way of Linux.

use std::fs;

/// Returns the name of the processor.
pub(crate) fn cpu() -> Option<String> {
    value_of("/proc/cpuinfo", "model name")
}

/// Returns the most memory that this process has held so far.
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    let kibibytes = value_of("/proc/self/status", "VmHWM")?;
    let kibibytes: u64 = kibibytes.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Returns how many programs wanted to run in the last minute, on average.
pub(crate) fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// Finds the first line `name : value` of a file.
fn value_of(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}
