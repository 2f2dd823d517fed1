//! Amounts of memory, in the notation of Kubernetes quantities.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Suffix and factor, as <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/> has them
/// (whole numbers only: half a byte of a limit helps nobody). Largest binary unit first, for printing.
const UNITS: [(&str, u64); 8] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
];

/// A number of bytes: `16Mi`, `1Gi`, `500k` or a plain number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemoryBytes(pub u64);

impl FromStr for MemoryBytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no amount of memory: write a whole number with Ki, Mi or Gi, such as \"16Mi\"");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = text.strip_prefix(digits).unwrap_or_default();
        let factor = match unit {
            "" => 1,
            _ => UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor).ok_or_else(bad)?,
        };
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let number: u64 = digits.parse().map_err(|_| bad())?;
        number.checked_mul(factor).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for MemoryBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().take(4).find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for MemoryBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for MemoryBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MemoryBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = MemoryBytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of memory such as \"16Mi\"")
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<MemoryBytes, E> {
                Ok(MemoryBytes(bytes))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<MemoryBytes, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for MemoryBytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MemoryBytes".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "x-kubernetes-int-or-string": true,
            "pattern": "^[0-9]+(Ki|Mi|Gi|Ti|k|M|G|T)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_mean_what_kubernetes_says() {
        for (text, bytes) in
            [("0", 0), ("17", 17), ("2k", 2_000), ("3Ki", 3_072), ("16Mi", 16 << 20), ("4Gi", 4 << 30), ("1M", 1_000_000)]
        {
            assert_eq!(text.parse(), Ok(MemoryBytes(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_an_example() {
        for text in
            ["", "Mi", "16MB", "16mi", "-1", "+1", "1.5Gi", "16 Mi", "1e3", "99999999999999999999", "18446744073709551615Ki", "é"]
        {
            let error = text.parse::<MemoryBytes>().unwrap_err();
            assert!(error.contains("16Mi"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_amount_survives_printing(bytes: u64) {
            prop_assert_eq!(MemoryBytes(bytes).to_string().parse(), Ok(MemoryBytes(bytes)));
        }
    }
}
