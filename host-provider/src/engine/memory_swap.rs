//! Whether memory of this process can be swapped out.
//!
//! It matters for one engine setting only: a scan for resident pages misses a dirty page that was swapped out, which
//! would then not be reset before the next instance.

use std::fs;
use std::path::{Path, PathBuf};

/// Whether swap is possible, and the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Swap {
    /// No memory of this process can be swapped out, for this reason.
    Off(String),
    /// Memory could be swapped out, for this reason.
    Possible(String),
}

impl Swap {
    /// Reads `/proc/swaps`, and the `memory.swap.max` of this process's control groups.
    pub(crate) fn of_this_process() -> Self {
        Self::read(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
    }

    fn read(proc: &Path, cgroups: &Path) -> Self {
        match fs::read_to_string(proc.join("swaps")) {
            Err(error) => return Self::Possible(format!("/proc/swaps cannot be read: {error}")),
            Ok(swaps) if count_devices(&swaps) == 0 => return Self::Off("no swap device is active".into()),
            Ok(_) => {}
        }
        let own = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
        match forbidding_group(&own, cgroups) {
            Some(group) => Self::Off(format!("memory.swap.max is 0 in {}", group.display())),
            None => Self::Possible("a swap device is active".into()),
        }
    }
}

/// The first line of `/proc/swaps` is a heading.
fn count_devices(swaps: &str) -> usize {
    swaps.lines().skip(1).filter(|line| !line.trim().is_empty()).count()
}

/// The control group, this process's or one above it, that allows no swap.
fn forbidding_group(own: &str, cgroups: &Path) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let leaf = cgroups.join(path);
    leaf.ancestors()
        .take_while(|group| group.starts_with(cgroups))
        .find(|group| fs::read_to_string(group.join("memory.swap.max")).is_ok_and(|max| max.trim() == "0"))
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

    fn machine(swaps: Option<&str>, limits: &[(&str, &str)]) -> Swap {
        let root = tempfile::tempdir().unwrap();
        let (proc, cgroups) = (root.path().join("proc"), root.path().join("cgroup"));
        fs::create_dir_all(proc.join("self")).unwrap();
        fs::create_dir_all(cgroups.join("a/b")).unwrap();
        fs::write(proc.join("self/cgroup"), "0::/a/b\n").unwrap();
        if let Some(swaps) = swaps {
            fs::write(proc.join("swaps"), format!("{HEADING}{swaps}")).unwrap();
        }
        for (group, limit) in limits {
            fs::write(cgroups.join(group).join("memory.swap.max"), limit).unwrap();
        }
        Swap::read(&proc, &cgroups)
    }

    #[test]
    fn without_a_device_swap_is_off() {
        assert_eq!(machine(Some(""), &[]), Swap::Off("no swap device is active".into()));
    }

    #[test]
    fn with_a_device_swap_is_possible() {
        assert!(matches!(machine(Some("/dev/vdb partition 1 0 -2\n"), &[]), Swap::Possible(_)));
        assert!(matches!(
            machine(Some("/dev/vdb partition 1 0 -2\n"), &[("a/b", "max\n")]),
            Swap::Possible(_)
        ));
    }

    #[test]
    fn a_control_group_can_forbid_swap() {
        assert!(matches!(machine(Some("/dev/vdb partition 1 0 -2\n"), &[("a", "0\n")]), Swap::Off(_)));
    }

    #[test]
    fn an_unreadable_file_counts_as_possible() {
        assert!(matches!(machine(None, &[("a", "0\n")]), Swap::Possible(_)));
    }
}
