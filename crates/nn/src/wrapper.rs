//! What other makers put around a network's tensors: dicts in a `.pth` file, and a prefix of every name.

use crate::StateDict;
use std::collections::{BTreeMap, BTreeSet};

/// What was taken of a file, and what was left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The keys that led to the tensors, outermost first; none where they lay at the top.
    pub wrapper: Vec<String>,
    /// What stood before every name, such as `module.`.
    pub prefix: String,
    /// What stood within names, such as `_orig_mod.`.
    pub infix: Vec<String>,
    /// Keys and names that were left.
    pub left: Vec<String>,
}

impl Taken {
    /// Whether the file was the tensors and nothing else.
    pub fn is_whole(&self) -> bool {
        self.wrapper.is_empty()
            && self.prefix.is_empty()
            && self.infix.is_empty()
            && self.left.is_empty()
    }
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 6;
        f.write_str("taken are the tensors")?;
        if !self.wrapper.is_empty() {
            write!(f, " under `{}`", self.wrapper.join("`, `"))?;
        }
        if !self.prefix.is_empty() {
            write!(f, " whose names begin with `{}`, without it", self.prefix)?;
        }
        if !self.infix.is_empty() {
            write!(f, ", without `{}` in their names", self.infix.join("`, `"))?;
        }
        if !self.left.is_empty() {
            let shown = self.left.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
            write!(f, "; {} other entries are left ({shown}", self.left.len())?;
            f.write_str(if self.left.len() > SHOWN { ", ...)" } else { ")" })?;
        }
        Ok(())
    }
}

/// Keys under which state dicts are usual, the likeliest first; averaged copies are not among them.
const USUAL: [&str; 9] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "network_weights",
    "model",
    "network",
    "net",
    "weights",
    "module",
];

/// Which of several dicts of names holds the network: the only one with the first of the `marks` that is found, else the one under the most
/// usual key, else the largest. The error names those that are as likely.
pub(crate) fn choose(dicts: &[(Vec<String>, Vec<&str>)], marks: &[&str]) -> Result<usize, String> {
    let marked = |mark: &&str| -> Vec<usize> {
        let is_marked = |&i: &usize| dicts[i].1.iter().any(|name| prefix(name, mark).is_some());
        (0..dicts.len()).filter(is_marked).collect()
    };
    let mut likely = marks.iter().map(marked).find(|found| !found.is_empty()).unwrap_or_default();
    if likely.is_empty() {
        let largest = dicts.iter().map(|(_, names)| names.len()).max().unwrap_or(0);
        likely = (0..dicts.len()).filter(|&i| dicts[i].1.len() == largest).collect();
    }
    let rank = |&i: &usize| {
        let key = dicts[i].0.last();
        key.map_or(Some(0), |key| USUAL.iter().position(|usual| usual == key))
            .unwrap_or(USUAL.len())
    };
    let best = likely.iter().map(rank).min().unwrap_or(0);
    let best: Vec<usize> = likely.into_iter().filter(|i| rank(i) == best).collect();
    match best[..] {
        [one] => Ok(one),
        _ => {
            let names: Vec<String> = best.iter().map(|&i| dicts[i].0.join("/")).collect();
            Err(format!("it holds several networks, under `{}`", names.join("`, `")))
        }
    }
}

/// What stands before a mark in a name: nothing, or a prefix that ends in a dot or a slash.
fn prefix<'a>(name: &'a str, mark: &str) -> Option<&'a str> {
    name.strip_suffix(mark).filter(|prefix| prefix.is_empty() || prefix.ends_with(['.', '/']))
}

/// What wrappers of single modules put into names: `torch.compile`, FSDP, activation checkpointing.
const INFIXES: [&str; 3] = ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."];

/// The entries without [`INFIXES`] in the midst of their names; as they are where two would have one name.
fn without_infixes(state: StateDict, taken: &mut Taken) -> StateDict {
    let within = |name: &str, infix: &str| name.contains(&format!(".{infix}"));
    let found: Vec<&str> =
        INFIXES.into_iter().filter(|infix| state.keys().any(|name| within(name, infix))).collect();
    let plain = |name: &str| {
        found.iter().fold(name.to_owned(), |name, infix| name.replace(&format!(".{infix}"), "."))
    };
    let names: BTreeSet<String> = state.keys().map(|name| plain(name)).collect();
    if found.is_empty() || names.len() < state.len() {
        return state;
    }
    taken.infix = found.iter().map(|infix| (*infix).to_owned()).collect();
    state.into_iter().map(|(name, tensor)| (plain(&name), tensor)).collect()
}

/// The entries under the one prefix before the first of the `marks` that names have, such as `module.` before
/// `init_path.0.weight`, without what wrappers put into names; as they are where there is none. `taken` is told of it. The
/// error names the prefixes where there are several.
pub fn without_prefix(
    state: StateDict,
    marks: &[&str],
    taken: &mut Taken,
) -> Result<StateDict, String> {
    let is_marked = |mark: &&str| state.keys().any(|name| prefix(name, mark).is_some());
    let state = if marks.iter().any(is_marked) { state } else { without_infixes(state, taken) };
    let prefixes = |mark: &str| -> BTreeSet<String> {
        state.keys().filter_map(|name| Some(prefix(name, mark)?.to_owned())).collect()
    };
    let found = marks.iter().enumerate().map(|(place, mark)| (place, prefixes(mark)));
    let Some((place, found)) = found.into_iter().find(|(_, prefixes)| !prefixes.is_empty()) else {
        return Ok(state);
    };
    // Later marks are names that layers of other networks have too.
    if found.contains("") || (found.len() > 1 && place > 0) {
        return Ok(without_infixes(state, taken));
    }
    if found.len() > 1 {
        let found: Vec<String> = found.into_iter().collect();
        let names = found.join("`, `");
        return Err(format!("it holds several networks, whose names begin with `{names}`"));
    }
    let one = found.into_iter().next().unwrap_or_default();
    let (mut kept, mut left) = (BTreeMap::new(), Vec::new());
    for (name, tensor) in state {
        match name.strip_prefix(&one) {
            Some(name) => drop(kept.insert(name.to_owned(), tensor)),
            None => left.push(name),
        }
    }
    taken.prefix = one;
    taken.left.extend(left);
    Ok(without_infixes(kept, taken))
}
