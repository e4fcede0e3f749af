//! Where experiments come from: those built in, a folder of files, or one file.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::definition::{Definition, Method};
use crate::error::{At, Error, Result};

/// The methods that every experiment can name in its `common`, as `udas compare --show methods` prints them.
pub const METHODS: &str = include_str!("../methods.toml");

/// What stands for all experiments that have a preset.
pub const ALL: &str = "all";

/// Name and text of each experiment that is built in.
const STOCK: [(&str, &str); 6] = [
    ("brain_t1", include_str!("../experiments/brain_t1.toml")),
    ("brain_t1_back", include_str!("../experiments/brain_t1_back.toml")),
    ("cc359", include_str!("../experiments/cc359.toml")),
    ("mnms", include_str!("../experiments/mnms.toml")),
    ("mnms_ab", include_str!("../experiments/mnms_ab.toml")),
    ("two-scanners", include_str!("../experiments/two-scanners.toml")),
];

/// A collection of experiments by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Catalogue {
    /// Those built in.
    #[default]
    Stock,
    /// The `.toml` files of a folder.
    Folder(PathBuf),
}

impl Catalogue {
    /// The names, sorted.
    ///
    /// # Errors
    /// [`Error::Read`] for a folder that cannot be listed.
    pub fn names(&self) -> Result<Vec<String>> {
        let mut names = match self {
            Self::Stock => STOCK.iter().map(|(name, _)| name.to_string()).collect(),
            Self::Folder(folder) => names_in(folder)?,
        };
        names.sort();
        Ok(names)
    }

    /// The text of an experiment's file.
    ///
    /// # Errors
    /// [`Error::Request`] where there is none of that name, with those that there are.
    pub fn text(&self, name: &str) -> Result<String> {
        let found = match self {
            Self::Stock => {
                STOCK.iter().find(|(known, _)| *known == name).map(|(_, text)| text.to_string())
            }
            Self::Folder(folder) => fs::read_to_string(folder.join(format!("{name}.toml"))).ok(),
        };
        match found {
            Some(text) => Ok(text),
            None => {
                let known = self.names()?.join(", ");
                Err(Error::Request(format!(
                    "no experiment `{name}`; there are {known}, or name a file that ends in .toml"
                )))
            }
        }
    }

    /// Reads and checks an experiment: a file that ends in `.toml`, or one of this collection.
    ///
    /// # Errors
    /// [`Error::Request`] where there is none, [`Error::Definition`] where it is wrong.
    pub fn load(&self, which: &str) -> Result<Definition> {
        let path = Path::new(which);
        if path.extension().is_some_and(|ending| ending == "toml") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            return parse(&name, &fs::read_to_string(path).reading(path)?, which);
        }
        let place = match self {
            Self::Stock => format!("experiment {which}"),
            Self::Folder(folder) => folder.join(format!("{which}.toml")).display().to_string(),
        };
        parse(which, &self.text(which)?, &place)
    }

    /// The experiments asked for: one, or [`ALL`] that have the preset.
    ///
    /// # Errors
    /// As of [`load`](Self::load); [`Error::Request`] where none has the preset.
    pub fn choose(&self, which: &str, preset: &str) -> Result<Vec<Definition>> {
        if which != ALL {
            return Ok(vec![self.load(which)?]);
        }
        let names = self.names()?;
        let mut all = names.iter().map(|name| self.load(name)).collect::<Result<Vec<_>>>()?;
        all.retain(|definition| definition.presets.contains_key(preset));
        if all.is_empty() {
            return Err(Error::Request(format!(
                "no experiment has a preset `{preset}`; `udas compare --list` says which there are"
            )));
        }
        Ok(all)
    }
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).reading(folder)? {
        let path = entry.reading(folder)?.path();
        if path.extension().is_some_and(|extension| extension == "toml")
            && let Some(stem) = path.file_stem()
        {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// Reads and checks the text of an experiment's file.
fn parse(name: &str, text: &str, place: &str) -> Result<Definition> {
    let wrong = |problem: String| Error::definition(place, problem);
    let mut definition: Definition =
        toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    definition.name = name.to_string();
    add_common(&mut definition).map_err(wrong)?;
    if !text.starts_with("# Gives: ") {
        return Err(wrong(
            "its first line says what the experiment gives, after `# Gives: `".into(),
        ));
    }
    definition.check().map_err(wrong)?;
    Ok(definition)
}

/// The methods that every experiment can name.
///
/// # Errors
/// [`Error::Definition`] where this build's own list is wrong.
pub fn common_methods() -> Result<Vec<Method>> {
    #[derive(Deserialize)]
    struct Common {
        methods: Vec<Method>,
    }
    let common: Common = toml::from_str(METHODS)
        .map_err(|error| Error::definition("the methods that are built in", error.to_string()))?;
    Ok(common.methods)
}

/// Puts the common methods that it names before its own.
fn add_common(definition: &mut Definition) -> Result<(), String> {
    let known = common_methods().map_err(|error| error.to_string())?;
    let find = |name: &String| {
        let found = known.iter().find(|method| method.name == *name).cloned();
        found.ok_or_else(|| {
            format!("common: no method `{name}` is built in; `udas compare --list` names them")
        })
    };
    let mut methods = definition.common.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    methods.append(&mut definition.methods);
    definition.methods = methods;
    Ok(())
}
