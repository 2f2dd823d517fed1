//! Values as guests of the crate `lunatic-sqlite-api` 0.13 pass them: serde's types in bincode 1, which is little-endian, with
//! 8 bytes for lengths and 4 for the number of a variant.

use wasmtime::{Result, bail};

use super::connection::Column;

/// Which parameter a value is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Key<'a> {
    /// The next one.
    None,
    /// By position, from 1.
    Numeric(u64),
    Name(&'a str),
}

/// A value for a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Blob(&'a [u8]),
    Text(&'a str),
    Double(f64),
    Integer(i64),
}

/// A list of keys and values, read one by one: what a guest says of its length is not believed.
pub(crate) struct Pairs<'a> {
    rest: &'a [u8],
    left: u64,
}

impl<'a> Pairs<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self> {
        let mut pairs = Self { rest: bytes, left: 0 };
        pairs.left = pairs.u64()?;
        Ok(pairs)
    }

    /// The next pair; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(Key<'a>, Value<'a>)>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let key = match self.variant()? {
            0 => Key::None,
            1 => Key::Numeric(self.u64()?),
            2 => Key::Name(self.text()?),
            other => bail!("a key of the unknown kind {other}"),
        };
        let value = match self.variant()? {
            0 => Value::Null,
            1 => Value::Blob(self.bytes()?),
            2 => Value::Text(self.text()?),
            3 => Value::Double(f64::from_le_bytes(self.array()?)),
            4 => Value::Integer(i32::from_le_bytes(self.array()?).into()),
            5 => Value::Integer(i64::from_le_bytes(self.array()?)),
            other => bail!("a value of the unknown kind {other}"),
        };
        Ok(Some((key, value)))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => bail!("the list of values ends in the middle of one"),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into()?)
    }

    fn variant(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.u64()?;
        self.take(usize::try_from(len)?)
    }

    fn text(&mut self) -> Result<&'a str> {
        Ok(std::str::from_utf8(self.bytes()?)?)
    }
}

/// Where an encoded value goes: something that counts, then the guest's memory.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]) -> Result<()>;
}

/// Counts what would be written.
#[derive(Default)]
pub(crate) struct Count(pub(crate) u64);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.0 = self.0.saturating_add(u64::try_from(bytes.len())?);
        Ok(())
    }
}

impl Sink for &mut [u8] {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        match std::mem::take(self).split_at_mut_checked(bytes.len()) {
            Some((place, rest)) => {
                place.copy_from_slice(bytes);
                *self = rest;
                Ok(())
            }
            None => bail!("the value grew while room was made for it"),
        }
    }
}

pub(crate) fn put_len(sink: &mut dyn Sink, len: usize) -> Result<()> {
    sink.put(&u64::try_from(len)?.to_le_bytes())
}

pub(crate) fn put_text(sink: &mut dyn Sink, text: &str) -> Result<()> {
    put_len(sink, text.len())?;
    sink.put(text.as_bytes())
}

/// What went wrong, with its code and text if anything did.
pub(crate) fn put_error(sink: &mut dyn Sink, error: Option<&(u32, String)>) -> Result<()> {
    let Some((code, text)) = error else { return sink.put(&[0, 0]) };
    sink.put(&[1])?;
    sink.put(&code.to_le_bytes())?;
    sink.put(&[1])?;
    put_text(sink, text)
}

pub(crate) fn put_column(sink: &mut dyn Sink, column: Column<'_>) -> Result<()> {
    match column {
        Column::Null => sink.put(&0u32.to_le_bytes()),
        Column::Blob(bytes) => {
            sink.put(&1u32.to_le_bytes())?;
            put_len(sink, bytes.len())?;
            sink.put(bytes)
        }
        Column::Text(text) => {
            sink.put(&2u32.to_le_bytes())?;
            put_text(sink, text)
        }
        Column::Double(value) => {
            sink.put(&3u32.to_le_bytes())?;
            sink.put(&value.to_le_bytes())
        }
        Column::Integer(value) => {
            sink.put(&4u32.to_le_bytes())?;
            sink.put(&value.to_le_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A list of three pairs, as bincode writes it.
    fn list() -> Vec<u8> {
        let mut bytes = 3u64.to_le_bytes().to_vec();
        bytes.extend([1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        bytes.extend([2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'k', 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, b'h', b'i']);
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<(Key<'_>, Value<'_>)>> {
        let (mut pairs, mut all) = (Pairs::new(bytes)?, Vec::new());
        while let Some(pair) = pairs.next()? {
            all.push(pair);
        }
        Ok(all)
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let expected = [(Key::Numeric(7), Value::Integer(-1)), (Key::Name("k"), Value::Text("hi")), (Key::None, Value::Null)];
        assert_eq!(read(&list()).unwrap(), expected);
    }

    #[test]
    fn a_list_that_is_cut_anywhere_is_an_error() {
        let list = list();
        for len in 0..list.len() {
            assert!(read(list.get(..len).unwrap()).is_err(), "{len} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in proptest::collection::vec(0u8..8, 0..200)) {
            if let Ok(pairs) = read(&bytes) {
                prop_assert!(pairs.len() <= bytes.len(), "each takes bytes");
            }
        }
    }

    #[test]
    fn a_row_is_written_as_bincode_does() {
        let mut bytes = [0xee; 64];
        let mut rest = bytes.as_mut_slice();
        put_len(&mut rest, 2).unwrap();
        put_column(&mut rest, Column::Text("hi")).unwrap();
        put_column(&mut rest, Column::Integer(-2)).unwrap();
        let left = rest.len();
        assert_eq!(left, 64 - 8 - 14 - 12);
        assert_eq!(bytes.get(8..22).unwrap(), [2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, b'h', b'i']);
        assert_eq!(bytes.get(22..34).unwrap(), [4, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        let mut count = Count::default();
        put_error(&mut count, Some(&(5, "busy".to_owned()))).unwrap();
        assert_eq!(count.0, 1 + 4 + 1 + 8 + 4);
        let mut small = bytes.get_mut(..3).unwrap();
        assert!(small.put(&[0; 4]).is_err());
    }
}
