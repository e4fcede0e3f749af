//! Which subjects of a domain: names and places, or a share of however many there are.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Which subjects of a domain, in name order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subjects {
    /// Names, and places from 1, as the program's `--subjects` takes them: `1-16,20`.
    Listed(String),
    /// From one percentage of them to another: `50%-100%` is the later half.
    Share {
        /// In percent.
        from: u8,
        /// In percent, larger.
        to: u8,
    },
}

impl FromStr for Subjects {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "`{text}` names no subjects: give places such as 1-16,20, or a share such as 50%-100%"
            )
        };
        if !text.contains('%') {
            let named = text.split(',').any(|item| !item.trim().is_empty());
            return if named { Ok(Self::Listed(text.into())) } else { Err(refuse()) };
        }
        let percent = |part: &str| part.trim().strip_suffix('%')?.parse::<u8>().ok();
        let parts =
            text.split_once('-').and_then(|(from, to)| Some((percent(from)?, percent(to)?)));
        match parts {
            Some((from, to)) if from < to && to <= 100 => Ok(Self::Share { from, to }),
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for Subjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(list) => f.write_str(list),
            Self::Share { from, to } => write!(f, "{from}%-{to}%"),
        }
    }
}

impl Subjects {
    /// As the program takes them, for a domain of so many.
    pub(crate) fn list(&self, of: usize) -> String {
        match self {
            Self::Listed(list) => list.clone(),
            Self::Share { from, to } => {
                let places = places(*from, *to, of);
                let (first, last) = (places.start(), places.end());
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            }
        }
    }

    /// The places, from 0, of those chosen among subjects of these names.
    ///
    /// # Errors
    /// What they lack, in words.
    pub(crate) fn choose(&self, names: &[&str]) -> Result<Vec<usize>, String> {
        let of = names.len();
        let mut chosen = Vec::new();
        for item in self.list(of).split(',').map(str::trim).filter(|item| !item.is_empty()) {
            match names.iter().position(|name| *name == item) {
                Some(place) => chosen.push(place),
                None => chosen.extend(range(item, of).ok_or_else(|| {
                    let are = if of == 1 { "is" } else { "are" };
                    format!("there {are} {of}, and --subjects {self} are asked for")
                })?),
            }
        }
        chosen.sort_unstable();
        chosen.dedup();
        Ok(chosen)
    }
}

/// Places from 0 that an item such as `3` or `1-16` stands for, if there are so many.
fn range(item: &str, of: usize) -> Option<std::ops::Range<usize>> {
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    let (first, last) = (first.trim().parse::<usize>().ok()?, last.trim().parse::<usize>().ok()?);
    ((1..=last).contains(&first) && last <= of).then(|| first - 1..last)
}

/// Places from 1. Where two parts of a domain meet at one percentage, neither is empty if there are two subjects.
fn places(from: u8, to: u8, of: usize) -> RangeInclusive<usize> {
    let bound = |percent: u8| match percent {
        0 => 0,
        100 => of,
        _ => ((usize::from(percent) * of + 50) / 100).clamp(1, of.saturating_sub(1).max(1)),
    };
    bound(from) + 1..=bound(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str, names: &[&str]) -> Result<Vec<usize>, String> {
        text.parse::<Subjects>()?.choose(names)
    }

    #[test]
    fn names_places_and_shares_are_understood() {
        let names = ["a", "b", "c", "d"];
        assert_eq!(chosen("2-3, d,2", &names), Ok(vec![1, 2, 3]));
        assert_eq!(chosen("0%-75%", &names), Ok(vec![0, 1, 2]));
        assert_eq!(chosen("75%-100%", &names), Ok(vec![3]));
        for bad in ["", ",", "50%", "50%-50%", "0%-101%", "5-6", "0-2", "e", "3-2"] {
            assert!(chosen(bad, &names).is_err(), "{bad}");
        }
        let error = chosen("1-16", &names).unwrap_err();
        assert!(error.contains("there are 4") && error.contains("1-16"), "{error}");
    }

    #[test]
    fn two_shares_divide_any_number_from_two_on() {
        for of in 2..40 {
            for percent in 1..100 {
                let (first, second) = (places(0, percent, of), places(percent, 100, of));
                assert_eq!((*first.start(), *second.end()), (1, of));
                assert_eq!(*second.start(), *first.end() + 1);
                assert!(!first.is_empty() && !second.is_empty(), "{percent} % of {of}");
            }
        }
        assert!(chosen("50%-100%", &["a"]).is_err(), "one subject cannot be divided");
    }
}
