//! What `/proc` tells of a process.

use std::time::Duration;

/// The processor time that a process has used so far, where `/proc` tells.
#[must_use]
pub fn processor_time(process: &str) -> Option<Duration> {
    // Linux counts in hundredths of a second (proc_pid_stat(5)): utime and stime, counted from after the name.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields = stat.rsplit(')').next()?.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 10))
}

/// A figure of `/proc/<process>/status`, where there is one; memory is in KiB.
#[must_use]
pub fn status(process: &str, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}

/// The processes that a process with one thread has started, and that still run.
#[must_use]
pub fn children(process: &str) -> Vec<String> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    children.split_whitespace().map(str::to_owned).collect()
}
