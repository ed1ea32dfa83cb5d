//! The process as the system sees it, under the names that
//! [all Prometheus clients](https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics) give it.
//!
//! Guarantees: what the system does not tell is left out, never made up. Other systems than Linux tell nothing here but
//! the start.

use std::fs;

use super::families::Families;
use crate::ports::Timestamp;

/// In which `/proc/self/stat` counts processor time: `USER_HZ`, 100 a second on every processor that Linux runs on
/// today ([proc_pid_stat(5)](https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html)).
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn collect(families: &mut Families, started_at: Timestamp) {
    let started_at = started_at.millis() as f64 / 1000.0;
    families.gauge("process_start_time_seconds", "When the process started, seconds since the Unix epoch.", started_at);
    if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| processor_seconds(&stat)) {
        families.counter("process_cpu_seconds_total", "Processor time used, in user space and kernel.", seconds);
    }
    if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().and_then(|status| resident_bytes(&status)) {
        families.gauge("process_resident_memory_bytes", "Memory in use that is not swapped out.", bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The folder itself is open while it is read.
        let open = open.count().saturating_sub(1);
        families.gauge("process_open_fds", "Open files and sockets.", open as f64);
    }
    if let Some(most) = fs::read_to_string("/proc/self/limits").ok().and_then(|limits| most_open(&limits)) {
        families.gauge("process_max_fds", "How many files and sockets may be open.", most);
    }
}

/// The fields 14 and 15, counted from behind the name, which may hold anything.
fn processor_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<f64>().ok()?, fields.next()?.parse::<f64>().ok()?);
    Some((user + system) / TICKS_PER_SECOND)
}

fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0)
}

/// The soft limit; `None` for none.
fn most_open(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_is_read_whatever_the_name_of_the_process() {
        let stat = "7 (a) b ) (c) S 1 2 3 0 -1 4194560 100 0 0 0 250 50 9 9 20 0 4 0 12345 1 2";
        assert_eq!(processor_seconds(stat), Some(3.0));
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t   2048 kB\nVmData: 1 kB\n"), Some(2_097_152.0));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024  4096  files\n";
        assert_eq!(most_open(limits), Some(1024.0));
    }

    #[test]
    fn what_can_not_be_read_is_left_out() {
        for text in ["", "7 (a", "7 (a) S 1 2", "VmRSS:", "VmRSS: x kB", "Max open files  unlimited unlimited files"] {
            assert_eq!((processor_seconds(text), resident_bytes(text), most_open(text)), (None, None, None), "{text}");
        }
    }
}
