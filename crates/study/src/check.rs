//! Whether an experiment's file makes sense, checked once where it is read.

use std::collections::BTreeSet;

use crate::definition::{Definition, Method, Preset};

impl Definition {
    /// What is wrong with it, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.knows(&self.focus) {
            return Err(format!("focus `{}` is no method", self.focus));
        }
        if self.metrics.is_empty() {
            return Err("it has no metric".into());
        }
        self.check_domains()?;
        self.check_methods()?;
        for (name, preset) in &self.presets {
            self.check_preset(preset).map_err(|problem| format!("preset {name}: {problem}"))?;
            self.check_teachers(name, preset)?;
        }
        let names = std::iter::once(&self.name).chain(self.methods.iter().map(|m| &m.name));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        refuse_unfit(names, plain)
    }

    fn knows(&self, name: &String) -> bool {
        self.methods.iter().any(|method| method.name == *name)
    }

    /// Domains are parts of paths; they come from folders, so that they may hold letters of any script and spaces.
    pub(crate) fn check_domains(&self) -> Result<(), String> {
        if self.targets.contains(&self.source) {
            return Err(format!("source {} is a target too", self.source));
        }
        if self.targets.is_empty() {
            return Err("it has no target".into());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.targets.iter().find(|target| !seen.insert(*target)) {
            return Err(format!("target {twice} stands twice"));
        }
        let domains = std::iter::once(&self.source).chain(&self.targets);
        refuse_unfit(domains, |c| c.is_alphanumeric() || "-_. ()".contains(c))
    }

    fn check_methods(&self) -> Result<(), String> {
        for (place, method) in self.methods.iter().enumerate() {
            let Method { name, train, options, head, .. } = method;
            if self.methods.iter().take(place).any(|other| other.name == *name) {
                return Err(format!("method `{name}` stands twice"));
            }
            if !train.is_empty() && (!options.is_empty() || head.is_some()) {
                return Err(format!(
                    "method `{name}` has a source model of its own (train), which is not adapted: it has no options \
                     and no head"
                ));
            }
        }
        Ok(())
    }

    fn check_preset(&self, preset: &Preset) -> Result<(), String> {
        if preset.seeds.is_empty() {
            return Err("it has no seeds".into());
        }
        if matches!(preset.folds, Some(0 | 1)) {
            return Err("folds < 2".into());
        }
        let trainings = [&preset.options.train, &preset.options.head];
        if preset.folds.is_some() && trainings.iter().any(|options| options.subjects.is_some()) {
            return Err("it has folds, and --subjects of train or head; keep one of them".into());
        }
        if preset.cost.threads == 0 {
            return Err("a job has at least one thread".into());
        }
        if preset.phantom.is_some() && self.task.is_none() {
            return Err("it has a phantom, and the experiment says no task".into());
        }
        match preset.methods.iter().find(|name| !self.knows(name)) {
            Some(unknown) => Err(format!("`{unknown}` is no method")),
            None => Ok(()),
        }
    }

    /// Whether there are other source models for a method that learns from them.
    pub(crate) fn check_teachers(&self, name: &str, preset: &Preset) -> Result<(), String> {
        let learns = self.methods_of(preset).into_iter().find(|method| method.teachers);
        match learns.filter(|_| preset.seeds.len() < 2) {
            Some(Method { name: method, .. }) => Err(format!(
                "preset {name} has one seed, and `{method}` learns from the models of others: give it more seeds, \
                 or name its methods without this one"
            )),
            None => Ok(()),
        }
    }
}

fn refuse_unfit<'a>(
    mut names: impl Iterator<Item = &'a String>,
    plain: impl Fn(char) -> bool,
) -> Result<(), String> {
    let fit = |name: &String| {
        name.chars().all(&plain)
            && !name.starts_with('.')
            && name.trim() == name
            && !name.is_empty()
    };
    match names.find(|name| !fit(name)) {
        Some(name) => Err(format!("`{name}` is not fit for a folder's name")),
        None => Ok(()),
    }
}
