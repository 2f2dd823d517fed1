//! A guest's table of one kind of host resource. Ids count up from 0 and are never used again, as guests of the Lunatic
//! ABI rely on.

use crate::actor::NumberMap;

/// Entries that one guest may hold of one kind: far beyond what a program uses, far below what would hurt the host.
const MAX_ENTRIES: usize = 16_384;

/// A table.
#[derive(Debug)]
pub(crate) struct Table<T> {
    entries: NumberMap<u64, T>,
    next: u64,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: NumberMap::default(), next: 0 }
    }
}

impl<T> Table<T> {
    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an entry; returns its id.
    pub(crate) fn add(&mut self, entry: T) -> wasmtime::Result<u64> {
        if self.entries.len() >= MAX_ENTRIES {
            wasmtime::bail!("the guest holds {MAX_ENTRIES} of these already: it never drops them");
        }
        let id = self.next;
        self.next += 1;
        self.entries.insert(id, entry);
        Ok(id)
    }

    /// The entry of that id.
    pub(crate) fn get(&self, id: u64) -> wasmtime::Result<&T> {
        self.entries.get(&id).ok_or_else(|| unknown(id))
    }

    /// The entry of that id.
    pub(crate) fn get_mut(&mut self, id: u64) -> wasmtime::Result<&mut T> {
        self.entries.get_mut(&id).ok_or_else(|| unknown(id))
    }

    /// Takes the entry of that id out.
    pub(crate) fn remove(&mut self, id: u64) -> wasmtime::Result<T> {
        self.entries.remove(&id).ok_or_else(|| unknown(id))
    }
}

fn unknown(id: u64) -> wasmtime::Error {
    wasmtime::format_err!("the guest has no resource {id} of this kind")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_never_used_again() {
        let mut table = Table::default();
        assert_eq!((table.add('a').unwrap(), table.add('b').unwrap()), (0, 1));
        assert_eq!(table.remove(1).unwrap(), 'b');
        assert!(table.remove(1).is_err());
        assert_eq!(table.add('c').unwrap(), 2);
    }

    #[test]
    fn a_full_table_takes_no_more() {
        let mut table = Table::default();
        for _ in 0..MAX_ENTRIES {
            table.add(()).unwrap();
        }
        assert!(table.add(()).is_err());
        table.remove(0).unwrap();
        assert!(table.add(()).is_ok());
    }
}
