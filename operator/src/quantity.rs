//! Kubernetes quantities as a person may write them in `resources` (`1.5Gi`, `500M`, `1e9`), in whole bytes.
//!
//! `perigee_spec::MemoryBytes` is stricter on purpose (our own fields); this one reads what the API server accepts:
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.

/// Most digits before the suffix: all that 64 bits of bytes need, and little enough that 128 bits never overflow below.
const MAX_DIGITS: usize = 20;

/// Suffix with the powers of 2 and of 10 that it stands for.
const SUFFIXES: [(&str, u32, i32); 16] = [
    ("", 0, 0),
    ("Ki", 10, 0),
    ("Mi", 20, 0),
    ("Gi", 30, 0),
    ("Ti", 40, 0),
    ("Pi", 50, 0),
    ("Ei", 60, 0),
    ("n", 0, -9),
    ("u", 0, -6),
    ("m", 0, -3),
    ("k", 0, 3),
    ("M", 0, 6),
    ("G", 0, 9),
    ("T", 0, 12),
    ("P", 0, 15),
    ("E", 0, 18),
];

/// Bytes of a quantity, rounded up, and at most `u64::MAX`. `None` when it is none, or negative.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > MAX_DIGITS || fraction.contains('.') {
        return None;
    }
    let (twos, tens) = scale(suffix)?;
    let tens = tens.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let mantissa: u128 = digits.parse().ok()?;
    if mantissa == 0 {
        return Some(0);
    }
    let power = 10_u128.checked_pow(tens.unsigned_abs().min(38)).expect("10^38 is below 2^127");
    let scaled = mantissa.saturating_mul(1 << twos);
    let bytes = if tens < 0 { scaled.div_ceil(power) } else { scaled.saturating_mul(power) };
    Some(u64::try_from(bytes).unwrap_or(u64::MAX))
}

fn scale(suffix: &str) -> Option<(u32, i32)> {
    if let Some((_, twos, tens)) = SUFFIXES.iter().find(|(name, ..)| *name == suffix) {
        return Some((*twos, *tens));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    exponent.parse().ok().map(|tens| (0, tens))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_notation_of_the_api_server_is_read() {
        for (text, expected) in [
            ("0", 0),
            ("128974848", 128_974_848),
            ("129e6", 129_000_000),
            ("129M", 129_000_000),
            ("128974848000m", 128_974_848),
            ("123Mi", 123 << 20),
            ("1.5Gi", 1536 << 20),
            (".5Ki", 512),
            ("5.Ki", 5120),
            ("+2k", 2000),
            ("1E3", 1000),
            ("1E", 1_000_000_000_000_000_000),
            ("1e-3", 1),
            ("1m", 1),
            ("9000Ei", u64::MAX),
            ("1e99", u64::MAX),
            ("1e-99", 1),
        ] {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in ["", "Mi", "-1", "1.2.3", "16MB", "1 Mi", "1e", "1ee3", "0x10", ".", "123456789012345678901", "é"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_the_specification_prints_is_read_alike(amount: u64) {
            prop_assert_eq!(bytes(&perigee_spec::MemoryBytes(amount).to_string()), Some(amount));
        }

        #[test]
        fn no_text_panics(text in "[0-9.]{0,25}[a-zA-Z+-]{0,3}[0-9]{0,12}") {
            bytes(&text);
        }
    }
}
