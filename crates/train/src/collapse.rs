//! Collapse: a training that ends by predicting one thing everywhere, which its own score may well reward.
use serde::{Deserialize, Serialize};
use std::fmt;

/// Foreground (or background) shrunk to less than this share of what it was counts as gone.
const REMAINDER: f64 = 0.01;

/// What a collapsed network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Collapse {
    /// Next to no pixel is foreground.
    AllBackground,
    /// Next to no pixel is background.
    AllForeground,
}

impl Collapse {
    /// Judges the share of foreground pixels after a training by that before it: gone is what is exactly
    /// zero, or less than a hundredth of what it was. What was not there before cannot go.
    ///
    /// ```
    /// use udas_train::Collapse;
    /// assert_eq!(Collapse::of(0.2, 0.0001), Some(Collapse::AllBackground));
    /// assert_eq!(Collapse::of(0.2, 0.999), Some(Collapse::AllForeground));
    /// assert_eq!(Collapse::of(0.2, 0.1), None);
    /// assert_eq!(Collapse::of(0.0, 0.0), None);
    /// ```
    pub fn of(before: f64, after: f64) -> Option<Self> {
        if before > 0.0 && after <= REMAINDER * before {
            Some(Self::AllBackground)
        } else if before < 1.0 && 1.0 - after <= REMAINDER * (1.0 - before) {
            Some(Self::AllForeground)
        } else {
            None
        }
    }
}

/// A sentence.
impl fmt::Display for Collapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AllBackground => "the network has collapsed: it predicts background everywhere",
            Self::AllForeground => "the network has collapsed: it predicts foreground everywhere",
        })
    }
}
