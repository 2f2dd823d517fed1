//! When an actor that the app declares is started again, in Erlang's terms
//! (<https://www.erlang.org/doc/system/sup_princ.html#maximum-restart-intensity>).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Which ends call for a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RestartPolicy {
    /// Started again whatever way it ended: for services.
    #[default]
    Permanent,
    /// Started again unless it ended normally (it returned, or exited with 0): for jobs that must succeed.
    Transient,
    /// Never started again.
    Temporary,
}

/// Which declared actors are started again with one that is: Erlang's strategies of a supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Strategy {
    /// That one alone.
    #[default]
    OneForOne,
    /// That one, and those that were started after it: for chains in which each needs the ones before.
    RestForOne,
    /// All of the app: for actors that make no sense without each other.
    OneForAll,
}

impl Strategy {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Restart policy and intensity of one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Restart {
    /// Which ends call for a restart: Permanent (any), Transient (failures only) or Temporary (none).
    pub policy: RestartPolicy,
    /// Restarts within `window` that are allowed; one more ends the app.
    pub max_restarts: u32,
    /// The time over which restarts are counted, such as 10s. Who ran that long starts again without having to wait more.
    pub window: Window,
    /// The wait before the first restart; it doubles with each further one.
    #[serde(skip_serializing_if = "is_default_backoff")]
    pub backoff: Window,
    /// The longest that it gets.
    #[serde(skip_serializing_if = "is_default_max_backoff")]
    pub max_backoff: Window,
}

/// Long enough for what was in the way to go, short enough to be no outage.
const DEFAULT_BACKOFF: Window = Window(Duration::from_millis(100));
const DEFAULT_MAX_BACKOFF: Window = Window(Duration::from_secs(10));

fn is_default_backoff(backoff: &Window) -> bool {
    *backoff == DEFAULT_BACKOFF
}
fn is_default_max_backoff(backoff: &Window) -> bool {
    *backoff == DEFAULT_MAX_BACKOFF
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: RestartPolicy::default(),
            max_restarts: 3,
            window: Window(Duration::from_secs(10)),
            backoff: DEFAULT_BACKOFF,
            max_backoff: DEFAULT_MAX_BACKOFF,
        }
    }
}

/// A span of time: `500ms`, `10s`, `5m` or `1h`, with millisecond precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window(pub Duration);

/// Unit and its milliseconds, largest first, for printing.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no span of time: write a whole number with ms, s, m or h, such as \"10s\"");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = text.strip_prefix(digits).unwrap_or_default();
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let number: u64 = digits.parse().map_err(|_| bad())?;
        number.checked_mul(*factor).filter(|ms| *ms > 0).map(|ms| Self(Duration::from_millis(ms))).ok_or_else(bad)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        match UNITS.iter().find(|(_, factor)| ms.is_multiple_of(u128::from(*factor))) {
            Some((unit, factor)) => write!(f, "{}{unit}", ms / u128::from(*factor)),
            None => write!(f, "{ms}ms"),
        }
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Window {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Window".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_span_is_refused_with_an_example() {
        for text in ["", "10", "10sec", "-1s", "1.5s", "0s", "s", "18446744073709551615h"] {
            let error = text.parse::<Window>().unwrap_err();
            assert!(error.contains("10s"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_span_survives_printing(ms in 1u64..u64::MAX / 3_600_000) {
            let window = Window(Duration::from_millis(ms));
            prop_assert_eq!(window.to_string().parse(), Ok(window));
        }
    }
}
