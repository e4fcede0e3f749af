//! What the settings of a run have in common: they are kept in its folder, lead to files that may have moved, and stay
//! as they are when the run goes on, but for a few.
use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use udas_record::StartRecord;

/// The settings of a command that makes a run, one serialised struct each.
pub trait Settings: Clone + Serialize + DeserializeOwned {
    /// Shows `visit` every path that leads to something read, with the name that the setting has in a file.
    fn each_path(&mut self, visit: &mut dyn FnMut(&'static str, &mut PathBuf));

    /// Takes from `begun` where things are and how much memory there is: of any run these may be otherwise when it is
    /// called again.
    fn take_places(&mut self, begun: &Self);

    /// Takes from `begun` what decides how long a run goes on, and what becomes of its result: these may be otherwise as
    /// long as it is not done.
    fn take_ends(&mut self, begun: &Self);

    /// How many epochs are asked for; none where a rule decides.
    fn epochs(&self) -> Option<usize>;

    /// Lets the paths of a run that has begun lead to where they led then.
    fn locate(&mut self, begun: &StartRecord) {
        self.each_path(&mut |_, path| *path = begun.locate(path));
    }
}

/// What a run's settings begin with: the folder that relative paths in them count from, wherever the file is copied to.
const COUNTED_FROM: &str = "# Relative paths count from ";

/// The settings as a run keeps them in its folder; paths count from `directory`.
///
/// # Errors
/// As of [`to_text`].
pub fn to_file<S: Serialize>(settings: &S, directory: &str) -> Result<String> {
    let text = to_text(settings)?;
    // A name with a line break in it would end the comment.
    let is_plain = !directory.is_empty() && !directory.contains(char::is_control);
    Ok(if is_plain { format!("{COUNTED_FROM}{directory}\n{text}") } else { text })
}

/// The folder that paths in a file of settings count from, where it says so.
pub fn counted_from(text: &str) -> Option<&str> {
    text.lines().next()?.strip_prefix(COUNTED_FROM)
}

/// A setting that must be given.
///
/// # Errors
/// [`Error::Usage`] with the flag's name where it is not.
pub fn needed<'a, T>(value: Option<&'a T>, flag: &str) -> Result<&'a T> {
    let missing = || Error::usage(format!("{flag} is missing: neither given nor in a --config"));
    value.ok_or_else(missing)
}

/// The settings as a run keeps them, TOML.
///
/// # Errors
/// [`Error::Settings`] where TOML cannot hold them, such as a seed beyond 63 bits.
pub fn to_text<S: Serialize>(settings: &S) -> Result<String> {
    Ok(toml::to_string(settings)?)
}
