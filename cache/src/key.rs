//! What an entry is named by.

use std::fmt;
use std::hash::Hasher;

use sha2::{Digest as _, Sha256};

/// A SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; Self::BYTES]);

impl Digest {
    pub(crate) const BYTES: usize = 32;

    /// Of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// From the text that [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::BYTES];
        if text.len() != 2 * Self::BYTES || !text.is_ascii() {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl From<[u8; Digest::BYTES]> for Digest {
    fn from(bytes: [u8; Digest::BYTES]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// Makes a [`Digest`] of what comes piece by piece. As a [`Hasher`] it takes whatever is `Hash`.
#[derive(Clone, Default)]
pub struct Digester(Sha256);

impl Digester {
    /// The digest of all that was written.
    #[must_use]
    pub fn digest(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl Hasher for Digester {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The trait wants one; the digest is what counts.
    fn finish(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.clone().digest().0;
        u64::from_ne_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Which code is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Of the WebAssembly module.
    pub module: Digest,
    /// Of everything on which its code depends besides: version, configuration, processor.
    pub engine: Digest,
}

impl Key {
    /// Characters of the fingerprint in a name; the entry has it in full.
    const SHOWN: usize = 16;

    pub(crate) fn file_name(&self) -> String {
        format!("{}-{:.*}", self.module, Self::SHOWN, self.engine.to_string())
    }

    /// The module's digest, where `name` is the name of an entry.
    pub(crate) fn module_of(name: &str) -> Option<Digest> {
        let (module, engine) = name.split_once('-')?;
        let hexadecimal = engine.len() == Self::SHOWN && engine.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hexadecimal { Digest::parse(module) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_what_it_is_written_as() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        for text in ["", "ba", &"é".repeat(32), &"g".repeat(64)] {
            assert_eq!(Digest::parse(text), None, "{text}");
        }
        let mut digester = Digester::default();
        digester.write(b"a");
        digester.write(b"bc");
        assert_eq!(digester.digest(), digest);
    }

    #[test]
    fn the_name_of_an_entry_is_known_as_one() {
        let key = Key { module: Digest::of(b"module"), engine: Digest::of(b"engine") };
        assert_eq!(Key::module_of(&key.file_name()), Some(key.module));
        for name in ["worker", "new-1-2", &format!("{}.lock", key.file_name()), &key.module.to_string()] {
            assert_eq!(Key::module_of(name), None, "{name}");
        }
    }
}
