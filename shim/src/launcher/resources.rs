//! Limits of the OCI specification as files of cgroups. Pure.

use super::spec::{Cpu, Memory, Resources};

/// Where version 2 limits swap.
pub(super) const SWAP_2: &str = "memory.swap.max";

/// A value for one file of a controller.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// Of version 1 only: in version 2, all files are in one folder.
    pub(super) controller: &'static str,
    pub(super) file: String,
    pub(super) value: String,
}

fn setting(controller: &'static str, file: impl Into<String>, value: impl ToString) -> Setting {
    Setting { controller, file: file.into(), value: value.to_string() }
}

/// For version 1. `memory_now` is the present limit: the kernel refuses a limit of memory above that of memory and swap,
/// so the one that grows comes first or last.
pub(super) fn version_1(resources: &Resources, memory_now: u64) -> Vec<Setting> {
    let mut settings = Vec::new();
    let cpu = &resources.cpu;
    let mut add = |controller, file: &str, value: Option<String>| {
        settings.extend(value.map(|value| setting(controller, file, value)));
    };
    add("cpuset", "cpuset.cpus", text(&cpu.cpus));
    add("cpuset", "cpuset.mems", text(&cpu.mems));
    add("cpu", "cpu.shares", positive(cpu.shares));
    add("cpu", "cpu.idle", cpu.idle.map(|idle| idle.to_string()));
    add("cpu", "cpu.cfs_period_us", positive(cpu.period));
    add("cpu", "cpu.cfs_quota_us", cpu.quota.filter(|quota| *quota != 0).map(|quota| quota.to_string()));
    add("cpu", "cpu.cfs_burst_us", cpu.burst.map(|burst| burst.to_string()));
    settings.extend(memory_1(&resources.memory, memory_now));
    settings.extend(pids(resources));
    for huge in &resources.hugepage_limits {
        settings.push(setting("hugetlb", format!("hugetlb.{}.limit_in_bytes", huge.page_size), huge.limit));
    }
    settings
}

fn memory_1(memory: &Memory, now: u64) -> Vec<Setting> {
    let limit = memory.limit.filter(|limit| *limit != 0);
    // No limit of memory is none of both.
    let swap = memory.swap.filter(|swap| *swap != 0).or(limit.filter(|limit| *limit == -1));
    let mut settings = Vec::new();
    settings.extend(limit.map(|limit| setting("memory", "memory.limit_in_bytes", limit)));
    settings.extend(swap.map(|swap| setting("memory", "memory.memsw.limit_in_bytes", swap)));
    let grows = swap.is_some_and(|swap| u64::try_from(swap).is_ok_and(|swap| now < swap) || swap == -1);
    if grows {
        settings.reverse();
    }
    let reservation = memory.reservation.filter(|reservation| *reservation != 0);
    settings.extend(reservation.map(|reservation| setting("memory", "memory.soft_limit_in_bytes", reservation)));
    settings.extend(memory.swappiness.map(|swappiness| setting("memory", "memory.swappiness", swappiness)));
    if memory.disable_oom_killer {
        settings.push(setting("memory", "memory.oom_control", 1));
    }
    settings
}

fn pids(resources: &Resources) -> Option<Setting> {
    let limit = resources.pids.limit.filter(|limit| *limit != 0)?;
    Some(setting("pids", "pids.max", if limit > 0 { limit.to_string() } else { "max".to_owned() }))
}

/// For version 2.
pub(super) fn version_2(resources: &Resources) -> Vec<Setting> {
    let mut settings = Vec::new();
    let cpu = &resources.cpu;
    settings.extend(text(&cpu.cpus).map(|cpus| setting("cpuset", "cpuset.cpus", cpus)));
    settings.extend(text(&cpu.mems).map(|mems| setting("cpuset", "cpuset.mems", mems)));
    settings.extend(cpu.idle.map(|idle| setting("cpu", "cpu.idle", idle)));
    settings.extend(cpu.shares.and_then(weight).map(|weight| setting("cpu", "cpu.weight", weight)));
    settings.extend(cpu_max(cpu).map(|max| setting("cpu", "cpu.max", max)));
    settings.extend(cpu.burst.map(|burst| setting("cpu", "cpu.max.burst", burst)));
    settings.extend(memory_2(&resources.memory));
    settings.extend(pids(resources));
    for huge in &resources.hugepage_limits {
        settings.push(setting("hugetlb", format!("hugetlb.{}.max", huge.page_size), huge.limit));
    }
    // Whatever else version 2 has, by the names of its files; the kubelet sets memory.oom.group.
    settings.extend(resources.unified.iter().map(|(file, value)| setting("", file.clone(), value)));
    settings
}

fn cpu_max(cpu: &Cpu) -> Option<String> {
    let period = cpu.period.filter(|period| *period != 0);
    let quota = cpu.quota.filter(|quota| *quota != 0);
    let amount = match quota {
        Some(quota) if quota > 0 => quota.to_string(),
        Some(_) => "max".to_owned(),
        None => period.map(|_| "max".to_owned())?,
    };
    Some(format!("{amount} {}", period.unwrap_or(100_000)))
}

/// From shares (2 to 262,144) to the weight (1 to 10,000) of version 2, as Kubernetes and runc convert it.
fn weight(shares: u64) -> Option<u64> {
    (shares != 0).then(|| 1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142)
}

fn memory_2(memory: &Memory) -> Vec<Setting> {
    let amount = |bytes: i64| if bytes == -1 { "max".to_owned() } else { bytes.to_string() };
    let limit = memory.limit.filter(|limit| *limit != 0);
    let mut settings = Vec::new();
    // Version 2 counts swap alone.
    let swap = match (memory.swap.filter(|swap| *swap != 0), limit) {
        (Some(-1), _) | (None, Some(-1)) => Some(-1),
        (Some(swap), Some(limit)) if limit > 0 => Some((swap - limit).max(0)),
        _ => None,
    };
    settings.extend(swap.map(|swap| setting("memory", SWAP_2, amount(swap))));
    settings.extend(limit.map(|limit| setting("memory", "memory.max", amount(limit))));
    let reservation = memory.reservation.filter(|reservation| *reservation != 0);
    settings.extend(reservation.map(|reservation| setting("memory", "memory.low", amount(reservation))));
    settings
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn positive(number: Option<u64>) -> Option<String> {
    number.filter(|number| *number != 0).map(|number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(settings: &[Setting]) -> Vec<String> {
        settings.iter().map(|one| format!("{} {}", one.file, one.value)).collect()
    }

    fn resources(json: &str) -> Resources {
        serde_json::from_str(json).unwrap()
    }

    const KUBELETS: &str = r#"{ "memory": { "limit": 67108864, "swap": 67108864 }, "pids": { "limit": 100 },
        "cpu": { "shares": 102, "quota": 10000, "period": 100000, "cpus": "0-1" }, "hugepageLimits": [{ "pageSize": "2MB", "limit": 0 }] }"#;

    #[test]
    fn the_kubelets_limits_become_files_of_version_1() {
        assert_eq!(
            lines(&version_1(&resources(KUBELETS), u64::MAX)),
            [
                "cpuset.cpus 0-1",
                "cpu.shares 102",
                "cpu.cfs_period_us 100000",
                "cpu.cfs_quota_us 10000",
                "memory.limit_in_bytes 67108864",
                "memory.memsw.limit_in_bytes 67108864",
                "pids.max 100",
                "hugetlb.2MB.limit_in_bytes 0",
            ]
        );
    }

    #[test]
    fn the_kubelets_limits_become_files_of_version_2() {
        assert_eq!(
            lines(&version_2(&resources(KUBELETS))),
            [
                "cpuset.cpus 0-1",
                "cpu.weight 4",
                "cpu.max 10000 100000",
                "memory.swap.max 0",
                "memory.max 67108864",
                "pids.max 100",
                "hugetlb.2MB.max 0",
            ]
        );
    }

    #[test]
    fn files_of_version_2_are_set_last_by_their_names() {
        let unified = resources(r#"{ "unified": { "memory.oom.group": "1", "memory.high": "5" }, "memory": { "limit": 7 } }"#);
        assert_eq!(lines(&version_2(&unified)), ["memory.max 7", "memory.high 5", "memory.oom.group 1"]);
    }

    #[test]
    fn a_limit_that_grows_lets_swap_grow_first() {
        let grown = resources(r#"{ "memory": { "limit": 200, "swap": 200 } }"#);
        assert_eq!(lines(&version_1(&grown, 100)), ["memory.memsw.limit_in_bytes 200", "memory.limit_in_bytes 200"]);
        assert_eq!(lines(&version_1(&grown, 300)), ["memory.limit_in_bytes 200", "memory.memsw.limit_in_bytes 200"]);
    }

    #[test]
    fn no_limit_is_none_of_memory_and_swap() {
        let none = resources(r#"{ "memory": { "limit": -1 }, "pids": { "limit": -1 }, "cpu": { "quota": -1 } }"#);
        assert_eq!(
            lines(&version_1(&none, 100)),
            ["cpu.cfs_quota_us -1", "memory.memsw.limit_in_bytes -1", "memory.limit_in_bytes -1", "pids.max max"]
        );
        assert_eq!(lines(&version_2(&none)), ["cpu.max max 100000", "memory.swap.max max", "memory.max max", "pids.max max"]);
    }

    #[test]
    fn weights_span_their_range() {
        assert_eq!(
            [0, 1, 2, 1024, 262_144, u64::MAX].map(weight),
            [None, Some(1), Some(1), Some(39), Some(10_000), Some(10_000)]
        );
    }
}
