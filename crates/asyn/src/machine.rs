//! What the machine says about itself; nothing where it does not say it in the way of Linux.

use std::fs;

/// Returns the name of the processor.
pub(crate) fn cpu() -> Option<String> {
    value_of("/proc/cpuinfo", "model name")
}

/// Returns the most memory that this process has held so far.
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    bytes_of("/proc/self/status", "VmHWM")
}

/// Returns the memory that this process holds now.
pub(crate) fn memory_bytes() -> Option<u64> {
    bytes_of("/proc/self/status", "VmRSS")
}

/// Returns how much more memory this process can have without swapping, and within the limit on
/// its addresses, if it has one.
pub(crate) fn available_memory_bytes() -> Option<u64> {
    let free = bytes_of("/proc/meminfo", "MemAvailable")?;
    let limits = fs::read_to_string("/proc/self/limits").ok();
    let limit = limits.as_deref().and_then(address_limit);
    let addresses = limit.zip(bytes_of("/proc/self/status", "VmSize"));
    Some(addresses.map_or(free, |(limit, taken)| free.min(limit.saturating_sub(taken))))
}

/// Returns the soft limit in bytes on the addresses of a process, if it has one.
fn address_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Returns how many programs wanted to run in the last minute, on average.
pub(crate) fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// Finds the first line `name : value kB` of a file.
fn bytes_of(path: &str, name: &str) -> Option<u64> {
    let kibibytes: u64 = value_of(path, name)?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Finds the first line `name : value` of a file.
fn value_of(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}
