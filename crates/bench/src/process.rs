//! What the system knows about a process: its memory, its CPU time.

use std::{fs, time::Duration};

use anyhow::Context;

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident.
    pub(crate) rss_kib: u64,
    /// Resident, with what is shared divided among those that share it.
    pub(crate) pss_kib: u64,
}

/// Reads the memory of a process.
pub(crate) fn memory(pid: u32) -> anyhow::Result<Memory> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    parse_memory(&text).with_context(|| format!("{path} is not as expected"))
}

fn parse_memory(text: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(Memory { rss_kib: field("Rss:")?, pss_kib: field("Pss:")? })
}

/// The most resident memory that a process ever had, in KiB.
pub(crate) fn peak_kib(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    parse_peak(&text).with_context(|| format!("{path} is not as expected"))
}

fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// CPU time of a process, user and system, of all its threads. Exact to 10 ms.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    ticks(pid, OWN)
}

/// The same of its children that have ended and were waited for.
pub(crate) fn children_cpu(pid: u32) -> anyhow::Result<Duration> {
    ticks(pid, OF_CHILDREN)
}

/// Where, behind the name, the fields 14 and 15 are (utime, stime), and 16 and 17 (cutime, cstime).
const OWN: usize = 11;
const OF_CHILDREN: usize = 13;

fn ticks(pid: u32, fields: usize) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let ticks = parse_ticks(&text, fields).with_context(|| format!("{path} is not as expected"))?;
    let second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / second as f64))
}

/// The sum of two fields. The name may hold spaces, but ends with the last parenthesis.
fn parse_ticks(stat: &str, fields: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(fields).map(str::parse::<u64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

/// CPU time that the whole machine has spent on something, on all cores.
pub(crate) fn machine_cpu() -> anyhow::Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let ticks = parse_busy(&text).context("/proc/stat is not as expected")?;
    let second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / second as f64))
}

/// The fields are user, nice, system, idle, iowait, irq, softirq, steal.
fn parse_busy(stat: &str) -> Option<u64> {
    let fields = stat.lines().find_map(|line| line.strip_prefix("cpu "))?.split_whitespace();
    let fields: Vec<u64> = fields.map_while(|field| field.parse().ok()).take(8).collect();
    (fields.len() == 8).then(|| fields.iter().sum::<u64>() - fields[3] - fields[4])
}

/// Lets this process, and the server it starts, hold as many connections as the system allows.
pub(crate) fn raise_open_files_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // At the lower limit fewer sessions can be opened, which then says so itself.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read() {
        let rollup =
            "5581-7ffd ---p 00000000 00:00 0 [rollup]\nRss:   2048 kB\nPss:    1024 kB\nPss_Dirty: 9 kB\n";
        assert_eq!(parse_memory(rollup), Some(Memory { rss_kib: 2048, pss_kib: 1024 }));
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 500 0 0 0 17 25 3 4 20 0 3 0 100 1 1";
        assert_eq!(parse_ticks(stat, OWN), Some(42));
        assert_eq!(parse_ticks(stat, OF_CHILDREN), Some(7));
        assert_eq!(parse_peak("VmPeak:\t 9 kB\nVmHWM:\t    1234 kB\n"), Some(1234));
        assert_eq!(parse_busy("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1\n"), Some(27));
        assert!(memory(std::process::id()).unwrap().rss_kib > 0);
        assert!(cpu(std::process::id()).is_ok());
    }
}
