//! The process itself, under the names that every client of Prometheus has for it. Linux only; elsewhere nothing is
//! told.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Linux tells times in hundredths of a second (proc_pid_stat(5), USER_HZ).
const TICKS: f64 = 100.0;

/// Reads what Linux tells of this process, when it is asked for.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (second, byte) = (Unit::Seconds, Unit::Bytes);
        if let Some(used) = processor_seconds() {
            let help = "Processor time that the process has used.";
            let metric = encoder.encode_descriptor("process_cpu", help, Some(&second), MetricType::Counter)?;
            ConstCounter::new(used).encode(metric)?;
        }
        if let Some(started) = start() {
            let help = "When the process started, in Unix time.";
            let metric = encoder.encode_descriptor("process_start_time", help, Some(&second), MetricType::Gauge)?;
            ConstGauge::new(started).encode(metric)?;
        }
        if let Some(held) = resident() {
            let help = "Memory that the process holds.";
            let metric = encoder.encode_descriptor("process_resident_memory", help, Some(&byte), MetricType::Gauge)?;
            ConstGauge::new(held).encode(metric)?;
        }
        if let Some(open) = open_files() {
            let help = "Files and connections that the process has open.";
            let metric = encoder.encode_descriptor("process_open_fds", help, None, MetricType::Gauge)?;
            ConstGauge::new(open).encode(metric)?;
        }
        Ok(())
    }
}

/// A field of `/proc/self/stat` by its number in proc_pid_stat(5); the second one, the name, may hold anything.
fn field(number: usize) -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn processor_seconds() -> Option<f64> {
    Some((field(14)? + field(15)?) / TICKS)
}

fn start() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let booted: f64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(booted + field(22)? / TICKS)
}

fn resident() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?;
    kibibytes.parse::<i64>().ok()?.checked_mul(1024)
}

fn open_files() -> Option<i64> {
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_all_of_it() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - start().unwrap();
        assert!((-2.0..86_400.0).contains(&age), "{age}");
        assert!(processor_seconds().unwrap() < 86_400.0);
        assert!(resident().unwrap() > 1 << 20);
        assert!(open_files().unwrap() > 2);
    }
}
