//! Which devices a cgroup of version 2 may use: a program of the kernel's BPF, which it runs each time that a device is made or
//! opened. Made of the rules, and attached to the cgroup.

use std::{io, os::fd::AsFd, path::Path};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::{
    devices::{Allowed, DeviceRules, Number},
    sys::{self, Instruction},
};

/// Instructions that are used, by their names in `linux/bpf.h`: classes, modes and operations in one byte.
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xbf;
const MOVE_VALUE: u8 = 0xb7;
const AND_VALUE: u8 = 0x57;
const SHIFT_RIGHT_VALUE: u8 = 0x77;
const JUMP_UNLESS_WORD_IS: u8 = 0x56;
const EXIT: u8 = 0x95;

/// Registers. The first holds what the program answers; in the second the kernel gives the address of what is asked.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

/// `struct bpf_cgroup_dev_ctx`: access in the upper half of the first word and the kind in the lower, then the numbers.
const KIND_BITS: i32 = 0xffff;
const ACCESS_SHIFT: i32 = 16;
const MAJOR_OFFSET: i16 = 4;
const MINOR_OFFSET: i16 = 8;
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

/// Lets the processes of the cgroup use what the rules allow, and nothing else.
pub(super) fn attach(folder: &Path, rules: &DeviceRules) -> io::Result<()> {
    let DeviceRules::Only(allowed) = rules else { return Ok(()) };
    let program = sys::load_device_program(&compile(allowed))?;
    let cgroup = openat(CWD, folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    sys::attach_device_program(cgroup.as_fd(), program.as_fd())
}

fn compile(allowed: &[Allowed]) -> Vec<Instruction> {
    let mut program = vec![
        load(KIND, 0),
        Instruction { code: MOVE, registers: KIND << 4 | ACCESS, offset: 0, value: 0 },
        with_value(AND_VALUE, KIND, KIND_BITS),
        with_value(SHIFT_RIGHT_VALUE, ACCESS, ACCESS_SHIFT),
        load(MAJOR, MAJOR_OFFSET),
        load(MINOR, MINOR_OFFSET),
    ];
    for (one, access) in merge(allowed) {
        program.extend(allow(one, access));
    }
    program.extend(answer(0));
    program
}

/// Two rules for the same devices allow together what they allow apart, as in version 1 and with runc: to open for reading and
/// writing asks for both at once.
fn merge(allowed: &[Allowed]) -> Vec<(&Allowed, i32)> {
    let mut merged: Vec<(&Allowed, i32)> = Vec::new();
    for one in allowed {
        let same = |(other, _): &&mut (&Allowed, i32)| (other.kind, other.major, other.minor) == (one.kind, one.major, one.minor);
        match merged.iter_mut().find(same) {
            Some((_, access)) => *access |= bits(&one.access),
            None => merged.push((one, bits(&one.access))),
        }
    }
    merged
}

fn bits(access: &str) -> i32 {
    access.bytes().fold(0, |bits, one| {
        bits | match one {
            b'm' => 1,
            b'r' => 2,
            _ => 4,
        }
    })
}

/// Answers yes where all that is asked is allowed by this rule, and goes on behind it otherwise.
fn allow(one: &Allowed, access: i32) -> Vec<Instruction> {
    let kind = if one.kind == 'b' { BLOCK } else { CHARACTER };
    let mut checks = vec![
        vec![with_value(JUMP_UNLESS_WORD_IS, KIND, kind)],
        vec![
            Instruction { code: MOVE, registers: ACCESS << 4 | SCRATCH, offset: 0, value: 0 },
            with_value(AND_VALUE, SCRATCH, !access),
            with_value(JUMP_UNLESS_WORD_IS, SCRATCH, 0),
        ],
    ];
    for (register, number) in [(MAJOR, one.major), (MINOR, one.minor)] {
        if let Number::Is(number) = number {
            checks.push(vec![with_value(JUMP_UNLESS_WORD_IS, register, number.cast_signed())]);
        }
    }
    let mut block: Vec<Instruction> = checks.into_iter().flatten().chain(answer(1)).collect();
    let behind = i16::try_from(block.len()).unwrap_or(i16::MAX);
    for (place, instruction) in (1..).zip(&mut block) {
        if instruction.code == JUMP_UNLESS_WORD_IS {
            // Counted from the next instruction.
            instruction.offset = behind - place;
        }
    }
    block
}

fn answer(value: i32) -> [Instruction; 2] {
    [with_value(MOVE_VALUE, ANSWER, value), Instruction { code: EXIT, registers: 0, offset: 0, value: 0 }]
}

fn load(register: u8, offset: i16) -> Instruction {
    Instruction { code: LOAD_WORD, registers: CONTEXT << 4 | register, offset, value: 0 }
}

fn with_value(code: u8, register: u8, value: i32) -> Instruction {
    Instruction { code, registers: register, offset: 0, value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launcher::spec;

    /// The few instructions as the kernel runs them.
    fn run(program: &[Instruction], context: [u32; 3]) -> u64 {
        let (mut registers, mut at) = ([0u64; 16], 0usize);
        loop {
            let one = program[at];
            at += 1;
            let (to, from) = (usize::from(one.registers & 15), usize::from(one.registers >> 4));
            let value = i64::from(one.value).cast_unsigned();
            match one.code {
                LOAD_WORD => registers[to] = u64::from(context[usize::try_from(one.offset).unwrap() / 4]),
                MOVE => registers[to] = registers[from],
                MOVE_VALUE => registers[to] = value,
                AND_VALUE => registers[to] &= value,
                SHIFT_RIGHT_VALUE => registers[to] >>= value,
                JUMP_UNLESS_WORD_IS if registers[to] & 0xffff_ffff != value & 0xffff_ffff => {
                    at += usize::try_from(one.offset).unwrap();
                }
                JUMP_UNLESS_WORD_IS => {}
                EXIT => return registers[0],
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    fn program(rules: &str) -> Vec<Instruction> {
        let rules: Vec<spec::DeviceRule> = serde_json::from_str(rules).unwrap();
        let DeviceRules::Only(allowed) = DeviceRules::of(&rules).unwrap() else { panic!("all") };
        compile(&allowed)
    }

    fn allows(program: &[Instruction], kind: char, major: u32, minor: u32, access: &str) -> bool {
        let kind = if kind == 'b' { BLOCK } else { CHARACTER };
        run(program, [(bits(access) << ACCESS_SHIFT | kind).cast_unsigned(), major, minor]) == 1
    }

    #[test]
    fn a_container_uses_the_standard_devices_and_those_that_are_allowed() {
        let program = program(
            r#"[{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "r" },
                { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "w" },
                { "allow": true, "type": "b", "major": 8, "access": "r" }]"#,
        );
        for (kind, major, minor, access, expected) in [
            ('c', 1, 3, "rw", true),
            ('c', 1, 3, "rwm", true),
            ('b', 1, 3, "r", false),
            ('c', 1, 1, "r", false),
            ('c', 1, 1, "m", true),
            ('b', 7, 0, "m", true),
            ('b', 7, 0, "mr", false),
            ('c', 136, 12, "rw", true),
            ('c', 10, 229, "rw", true),
            ('c', 10, 229, "rwm", false),
            ('c', 10, 228, "r", false),
            ('b', 8, 99, "r", true),
            ('b', 8, 99, "w", false),
        ] {
            assert_eq!(allows(&program, kind, major, minor, access), expected, "{kind} {major}:{minor} {access}");
        }
    }

    #[test]
    fn the_largest_numbers_are_numbers() {
        let largest = r#"[{ "allow": true, "type": "c", "major": 4294967295, "minor": 4294967294, "access": "rwm" }]"#;
        assert!(allows(&program(largest), 'c', u32::MAX, u32::MAX - 1, "rw"));
        assert!(!allows(&program(largest), 'c', u32::MAX, u32::MAX, "rw"));
    }

    #[test]
    fn the_kernel_takes_the_program() {
        // Its verifier reads all of it. As root, as all that makes containers.
        if rustix::process::geteuid().is_root() {
            sys::load_device_program(&program("[]")).unwrap();
        }
    }
}
