//! What a figure should reach.

use serde::{Deserialize, Serialize};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Better {
    Higher,
    Lower,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Target {
    /// This much, or better.
    Value(f64),
    /// So many times as good as the peer in the same run, or better.
    Peer(f64),
}

impl Target {
    /// How many times as good as the target: 1 is at the target. None without the peer that it names.
    pub(super) fn reached(self, better: Better, value: f64, peer: Option<f64>) -> Option<f64> {
        match self {
            Self::Value(target) => Some(better.ratio(value, target)),
            Self::Peer(ratio) => Some(better.ratio(value, peer?) / ratio),
        }
    }
}

impl Better {
    /// How many times as good as `other` a value is.
    pub(super) fn ratio(self, value: f64, other: f64) -> f64 {
        match self {
            Self::Higher => value / other,
            Self::Lower => other / value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(value: Option<f64>, wanted: f64) -> bool {
        value.is_some_and(|value| (value - wanted).abs() < 1e-9)
    }

    #[test]
    fn twice_as_good_as_the_target_is_two_whichever_way_is_better() {
        assert!(is(Target::Value(100.0).reached(Better::Higher, 200.0, None), 2.0));
        assert!(is(Target::Value(10.0).reached(Better::Lower, 5.0, None), 2.0));
        assert!(is(Target::Peer(1.0).reached(Better::Lower, 0.5, Some(1.0)), 2.0));
        assert!(is(Target::Peer(0.95).reached(Better::Higher, 95.0, Some(100.0)), 1.0));
        assert_eq!(Target::Peer(1.0).reached(Better::Higher, 1.0, None), None, "nothing to compare with");
    }
}
