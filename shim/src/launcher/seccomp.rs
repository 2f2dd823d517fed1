//! A seccomp profile of the OCI specification as filters of the kernel. Pure, but for [`install`].
//!
//! `seccompiler` makes filters that know one action besides their default. A profile with more is a stack of them, since
//! the kernel obeys the strictest of their answers:
//!
//! ```text
//! profile                          filters
//! default ERRNO(1)                 1: the allowed ones and clone3 -> ALLOW, others -> ERRNO(1)
//!   ALLOW read, write, ...         2: clone3 -> ERRNO(38), others -> ALLOW
//!   ERRNO(38) clone3
//! ```

use std::{collections::BTreeMap, str::FromStr};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use syscalls::Sysno;

use super::{plan::Unsupported, spec, sys};

/// Most instructions of one filter that the kernel takes.
const MAX_INSTRUCTIONS: usize = 4096;
/// What a call that is refused without a number of its own fails with.
const DEFAULT_ERRNO: u32 = libc::EPERM.cast_unsigned();

/// The filters of a profile, the first to be installed first.
#[derive(Debug)]
pub(super) struct Filters {
    programs: Vec<BpfProgram>,
    flags: libc::c_ulong,
}

/// For each call, the conditions under which a rule holds; none of them: always.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

pub(super) fn compile(profile: &spec::Seccomp) -> Result<Filters, Unsupported> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(unsupported)?;
    let default = action(&profile.default_action, profile.default_errno_ret)?;
    if !profile.architectures.is_empty() && !profile.architectures.iter().any(|name| name == own_architecture()) {
        return Err(Unsupported::new(format!("seccomp: {} is not among the architectures", own_architecture())));
    }
    // One group for each action, in the order in which they come.
    let mut groups: Vec<(SeccompAction, Rules)> = Vec::new();
    for rule in &profile.syscalls {
        let action = action(&rule.action, rule.errno_ret)?;
        if action == default {
            // Says no more than the default does, and runc leaves it out as well.
            continue;
        }
        if !groups.iter().any(|(known, _)| *known == action) {
            groups.push((action.clone(), Rules::new()));
        }
        let Some((_, rules)) = groups.iter_mut().find(|(known, _)| *known == action) else { continue };
        add(rules, rule)?;
    }
    refuse_conflicts(&groups)?;
    let mut programs = Vec::new();
    if default != SeccompAction::Allow {
        // What another group decides must pass the first filter under the same conditions.
        let mut passing = Rules::new();
        groups.iter().for_each(|(_, rules)| passing.extend(rules.clone()));
        if passing.is_empty() {
            return Err(Unsupported::new("seccomp: a profile that allows nothing".to_owned()));
        }
        programs.push(program(passing, default.clone(), SeccompAction::Allow, arch)?);
    }
    for (action, rules) in groups {
        // Of a group whose calls this machine does not have, nothing is left.
        if action != SeccompAction::Allow && !rules.is_empty() {
            programs.push(program(rules, SeccompAction::Allow, action, arch)?);
        }
    }
    if programs.is_empty() {
        return Err(Unsupported::new("seccomp: a profile that allows everything".to_owned()));
    }
    Ok(Filters { programs, flags: flags(&profile.flags)? })
}

/// Puts the process under the filters. Without `no_new_privs` it needs CAP_SYS_ADMIN.
pub(super) fn install(filters: &Filters) -> std::io::Result<()> {
    filters.programs.iter().try_for_each(|program| sys::install_seccomp(program, filters.flags))
}

fn program(rules: Rules, otherwise: SeccompAction, matched: SeccompAction, arch: TargetArch) -> Result<BpfProgram, Unsupported> {
    let filter = SeccompFilter::new(rules, otherwise, matched, arch).map_err(unsupported)?;
    let program: BpfProgram = filter.try_into().map_err(unsupported)?;
    if program.len() > MAX_INSTRUCTIONS {
        return Err(Unsupported::new(format!("seccomp: a filter of {} instructions", program.len())));
    }
    Ok(program)
}

fn add(rules: &mut Rules, rule: &spec::SyscallRule) -> Result<(), Unsupported> {
    let conditions = rule.args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
    let mut indexes: Vec<u8> = rule.args.iter().map(|argument| argument.index).collect();
    indexes.sort_unstable();
    if indexes.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Unsupported::new(format!("seccomp: two conditions on one argument of {}", rule.names.join(", "))));
    }
    // A call that this machine does not have cannot be made.
    for number in rule.names.iter().filter_map(|name| Sysno::from_str(name).ok()) {
        let number = i64::from(number.id());
        if conditions.is_empty() {
            rules.insert(number, Vec::new());
            continue;
        }
        match rules.get_mut(&number) {
            // Holds always already.
            Some(known) if known.is_empty() => {}
            known => {
                let rule = SeccompRule::new(conditions.clone()).map_err(unsupported)?;
                match known {
                    Some(known) => known.push(rule),
                    None => drop(rules.insert(number, vec![rule])),
                }
            }
        }
    }
    Ok(())
}

/// A call in two groups would need one filter to look past the conditions of the other.
fn refuse_conflicts(groups: &[(SeccompAction, Rules)]) -> Result<(), Unsupported> {
    let mut seen = std::collections::BTreeSet::new();
    match groups.iter().flat_map(|(_, rules)| rules.keys()).find(|number| !seen.insert(**number)) {
        Some(number) => Err(Unsupported::new(format!("seccomp: two actions for the system call {number}"))),
        None => Ok(()),
    }
}

fn condition(argument: &spec::SyscallArgument) -> Result<SeccompCondition, Unsupported> {
    let (operator, value) = match argument.op.as_str() {
        "SCMP_CMP_NE" => (SeccompCmpOp::Ne, argument.value),
        "SCMP_CMP_LT" => (SeccompCmpOp::Lt, argument.value),
        "SCMP_CMP_LE" => (SeccompCmpOp::Le, argument.value),
        "SCMP_CMP_EQ" => (SeccompCmpOp::Eq, argument.value),
        "SCMP_CMP_GE" => (SeccompCmpOp::Ge, argument.value),
        "SCMP_CMP_GT" => (SeccompCmpOp::Gt, argument.value),
        "SCMP_CMP_MASKED_EQ" => (SeccompCmpOp::MaskedEq(argument.value), argument.value_two),
        other => return Err(Unsupported::new(format!("seccomp: comparison {other:?}"))),
    };
    SeccompCondition::new(argument.index, SeccompCmpArgLen::Qword, operator, value).map_err(unsupported)
}

fn action(name: &str, errno: Option<u32>) -> Result<SeccompAction, Unsupported> {
    Ok(match name {
        "SCMP_ACT_ALLOW" => SeccompAction::Allow,
        "SCMP_ACT_ERRNO" => SeccompAction::Errno(errno.unwrap_or(DEFAULT_ERRNO)),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => SeccompAction::KillThread,
        "SCMP_ACT_KILL_PROCESS" => SeccompAction::KillProcess,
        "SCMP_ACT_TRAP" => SeccompAction::Trap,
        "SCMP_ACT_LOG" => SeccompAction::Log,
        other => return Err(Unsupported::new(format!("seccomp: action {other:?}"))),
    })
}

fn flags(names: &[String]) -> Result<libc::c_ulong, Unsupported> {
    names.iter().try_fold(0, |flags, name| match name.as_str() {
        // One thread: there is nobody to synchronise with.
        "SECCOMP_FILTER_FLAG_TSYNC" => Ok(flags),
        "SECCOMP_FILTER_FLAG_LOG" => Ok(flags | libc::SECCOMP_FILTER_FLAG_LOG),
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Ok(flags | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW),
        other => Err(Unsupported::new(format!("seccomp: flag {other:?}"))),
    })
}

fn own_architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "SCMP_ARCH_AARCH64" } else { "SCMP_ARCH_X86_64" }
}

fn unsupported(error: impl std::fmt::Display) -> Unsupported {
    Unsupported::new(format!("seccomp: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(json: &str) -> Result<Filters, String> {
        compile(&serde_json::from_str(json).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_profile_with_two_errors_becomes_two_filters() {
        let filters = profile(
            r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"], "syscalls": [
                { "names": ["read", "write", "no_such_call"], "action": "SCMP_ACT_ALLOW" },
                { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 38, "op": "SCMP_CMP_LT" }] },
                { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }
            ] }"#,
        );
        assert_eq!(filters.unwrap().programs.len(), 2);
    }

    #[test]
    fn a_list_of_what_is_denied_needs_no_filter_of_what_is_allowed() {
        let filters = profile(
            r#"{ "defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                "syscalls": [{ "names": ["mount"], "action": "SCMP_ACT_KILL_PROCESS" }] }"#,
        )
        .unwrap();
        assert_eq!((filters.programs.len(), filters.flags), (1, libc::SECCOMP_FILTER_FLAG_LOG));
    }

    #[test]
    fn what_cannot_be_expressed_is_named() {
        let rule =
            |rule: &str| profile(&format!(r#"{{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{rule}] }}"#)).unwrap_err();
        let allow = r#"{ "names": ["read"], "action": "SCMP_ACT_ALLOW" }"#;
        let twice = rule(&format!(r#"{allow}, {{ "names": ["read"], "action": "SCMP_ACT_LOG" }}"#));
        assert!(twice.contains("two actions for the system call"), "{twice}");
        let notify = rule(r#"{ "names": ["read"], "action": "SCMP_ACT_NOTIFY" }"#);
        assert!(notify.contains("SCMP_ACT_NOTIFY"), "{notify}");
        let same = rule(
            r#"{ "names": ["read"], "action": "SCMP_ACT_ALLOW",
                "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_GT" }, { "index": 0, "value": 9, "op": "SCMP_CMP_LT" }] }"#,
        );
        assert!(same.contains("two conditions on one argument of read"), "{same}");
        assert!(rule("").contains("allows nothing"));
    }
}
