//! What callgrind writes (<https://valgrind.org/docs/manual/cl-format.html>), as far as it is needed here.

use std::collections::HashSet;

use anyhow::Context as _;

/// The functions of the C library, and those of mimalloc that Rust calls, that give memory out.
const ALLOCATING: [&str; 10] = [
    "malloc",
    "calloc",
    "realloc",
    "posix_memalign",
    "aligned_alloc",
    "mi_malloc",
    "mi_zalloc",
    "mi_malloc_aligned",
    "mi_zalloc_aligned",
    "mi_realloc_aligned",
];

/// What Wasmtime makes a memory with that is from no pool.
const WITHOUT_POOL: &str = "DefaultMemoryCreator as";

/// What one run did.
#[derive(Debug, PartialEq)]
pub(super) struct Profile {
    pub(super) instructions: u64,
    pub(super) allocations: u64,
    /// Whether all memories of guests came from the pool, as they do outside of valgrind.
    pub(super) pooled: bool,
}

impl Profile {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let (mut names, mut instructions, mut allocations) = (Names::default(), None, 0);
        // Of the function whose lines these are, and of the one that it calls.
        let (mut within, mut called) = (false, false);
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                within = names.allocates(name);
            } else if let Some(name) = line.strip_prefix("cfn=") {
                called = names.allocates(name);
            } else if let Some(calls) = line.strip_prefix("calls=") {
                // One that calls another gives memory out once.
                if called && !within {
                    let count = calls.split_whitespace().next().context("calls without a number")?;
                    allocations += count.parse::<u64>().with_context(|| format!("calls={calls}"))?;
                }
            } else if let Some(total) = line.strip_prefix("summary: ") {
                instructions = Some(total.trim().parse().with_context(|| format!("summary: {total}"))?);
            }
        }
        let instructions = instructions.context("it has no line `summary`")?;
        Ok(Self { instructions, allocations, pooled: !text.contains(WITHOUT_POOL) })
    }
}

/// Names are numbered: `(7) malloc` where it comes first, then `(7)`.
#[derive(Default)]
struct Names<'a>(HashSet<&'a str>);

impl<'a> Names<'a> {
    fn allocates(&mut self, name: &'a str) -> bool {
        let (number, name) = name.split_once(' ').unwrap_or((name, ""));
        if ALLOCATING.contains(&name) {
            self.0.insert(number);
        }
        self.0.contains(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_what_gives_memory_out_are_counted_once() {
        let text = "\
            events: Ir\n\
            fn=(1) main\n1 10\ncfn=(2) malloc\ncalls=3 0\n1 30\ncfn=(3) free\ncalls=9 0\n1 9\n\
            fn=(4) calloc\n1 5\ncfn=(2)\ncalls=2 0\n1 20\n\
            fn=(5) other\ncfn=(4)\ncalls=2 0\n1 20\ncfn=(2)\ncalls=1 0\n1 10\n\
            summary: 1234\n";
        assert_eq!(Profile::parse(text).unwrap(), Profile { instructions: 1234, allocations: 3 + 2 + 1, pooled: true });
        assert!(Profile::parse("fn=(1) main\n").is_err(), "without a sum it is no whole profile");
        assert!(Profile::parse("cfn=(1) malloc\ncalls=many 0\nsummary: 1\n").is_err());
    }

    #[test]
    fn a_memory_from_outside_of_the_pool_is_noticed() {
        let text =
            "fn=(9) <wasmtime::x::DefaultMemoryCreator as wasmtime::y::RuntimeMemoryCreator>::new_memory\n1 5\nsummary: 5\n";
        assert!(!Profile::parse(text).unwrap().pooled);
    }
}
