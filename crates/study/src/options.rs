//! Options of one command of the program as data: which subjects, and flags with their values.

use serde::Deserialize;

use crate::subjects::Subjects;

/// Options of one command, read from a list of words such as `["--epochs", "20", "--subjects", "1-16"]`.
///
/// What the engine itself says to each command (its data, its folder, its seed) cannot stand here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct CommandOptions {
    /// Which subjects of the domain the command is about; none: all, or whoever more general options name.
    pub subjects: Option<Subjects>,
    /// Everything else, in the order in which it was written.
    flags: Vec<Flag>,
}

/// A flag with its values; a switch has none.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Flag {
    name: String,
    values: Vec<String>,
}

/// Said to each command by the engine.
const RESERVED: [&str; 7] =
    ["--data", "--domain", "--model", "--out", "--resume", "--seed", "--threads"];

/// The flag that has a field of its own.
const SUBJECTS: &str = "--subjects";

impl TryFrom<Vec<String>> for CommandOptions {
    type Error = String;

    fn try_from(words: Vec<String>) -> Result<Self, String> {
        let mut options = Self::default();
        for word in words {
            if let Some(name) = word.strip_prefix("--") {
                check_name(name, &word)?;
                if options.flags.iter().any(|flag| flag.name == word) {
                    return Err(format!("option {word} stands twice"));
                }
                options.flags.push(Flag { name: word, values: Vec::new() });
            } else if let Some(flag) = options.flags.last_mut() {
                flag.values.push(word);
            } else {
                return Err(format!(
                    "`{word}` is no option: each begins with --, its values after it, a word each"
                ));
            }
        }
        options.take_subjects()?;
        Ok(options)
    }
}

fn check_name(name: &str, word: &str) -> Result<(), String> {
    if let Some((flag, value)) = word.split_once('=') {
        return Err(format!("`{word}`: write two words, \"{flag}\", \"{value}\""));
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !starts || !name.chars().all(plain) {
        return Err(format!(
            "`{word}` is no option: two dashes and small letters, such as --batch-size"
        ));
    }
    if RESERVED.contains(&word) {
        return Err(format!("option {word} is given by the experiment itself; leave it out"));
    }
    Ok(())
}

impl CommandOptions {
    fn take_subjects(&mut self) -> Result<(), String> {
        let Some(place) = self.flags.iter().position(|flag| flag.name == SUBJECTS) else {
            return Ok(());
        };
        self.subjects = match self.flags.remove(place).values.as_slice() {
            [list] => Some(list.parse()?),
            _ => return Err(format!("{SUBJECTS} takes one list, such as 1-16,20 or 50%-100%")),
        };
        Ok(())
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty() && self.subjects.is_none()
    }

    /// With a flag of these values more, in place of one of that name.
    pub(crate) fn with(mut self, name: &str, values: &[&str]) -> Self {
        self.flags.retain(|flag| flag.name != name);
        let values = values.iter().map(|value| value.to_string()).collect();
        self.flags.push(Flag { name: name.into(), values });
        self
    }

    /// These options, and of the more general ones those that say nothing about the same.
    pub(crate) fn over(&self, general: &Self) -> Self {
        let own = |flag: &&Flag| self.flags.iter().all(|own| own.name != flag.name);
        let flags = general.flags.iter().filter(own).chain(&self.flags).cloned().collect();
        Self { subjects: self.subjects.clone().or_else(|| general.subjects.clone()), flags }
    }

    /// As the program reads them, for a domain of so many subjects, whom it names last.
    pub(crate) fn words(&self, of: usize) -> Vec<String> {
        let flags = self.flags.iter();
        let words = flags.flat_map(|flag| std::iter::once(&flag.name).chain(&flag.values)).cloned();
        let subjects = self.subjects.iter().flat_map(|chosen| [SUBJECTS.into(), chosen.list(of)]);
        words.chain(subjects).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Result<CommandOptions, String> {
        text.split_whitespace().map(String::from).collect::<Vec<_>>().try_into()
    }

    #[test]
    fn a_methods_options_stand_in_for_the_presets() {
        let common = options("--epochs 2 --subjects 1-8 --batch-size 20 --dry").unwrap();
        let own = options("--method tent --batch-size 4 --subjects 1").unwrap();
        let words = |options: &CommandOptions| options.words(9).join(" ");
        let expected = "--epochs 2 --dry --method tent --batch-size 4 --subjects 1";
        assert_eq!(words(&own.over(&common)), expected);
        let all = "--epochs 2 --batch-size 20 --dry --subjects 1-8";
        assert_eq!(words(&CommandOptions::default().over(&common)), all);
        assert_eq!(
            words(&common.over(&own).with("--dry", &["a", "b"])).matches("--dry").count(),
            1
        );
    }

    #[test]
    fn values_may_begin_with_a_dash_and_be_several() {
        let options = options("--range -1 2 --method tent").unwrap();
        assert_eq!(options.words(1).join(" "), "--range -1 2 --method tent");
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for (text, reason) in [
            ("epochs 2", "`epochs` is no option"),
            ("--epochs=2", "\"--epochs\", \"2\""),
            ("--", "no option"),
            ("--Epochs 2", "small letters"),
            ("--epochs 2 --epochs 3", "twice"),
            ("--subjects", "takes one list"),
            ("--subjects 1 2", "takes one list"),
            ("--subjects 60%-50%", "60%-50%"),
            ("--seed 3", "by the experiment itself"),
        ] {
            let error = options(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
