//! `udas methods`: the registry.
use crate::console::Console;
use crate::settings;
use anyhow::Result;
use clap::Args;
use serde_json::json;
use udas_adapt::{METHODS, Method};
use udas_run::MethodSettings;

/// Lists the methods of adaptation, a line each
///
/// Example: udas methods --verbose
#[derive(Args)]
pub struct MethodsArgs {
    /// Only this one, in full
    name: Option<String>,
}

pub fn run(args: &MethodsArgs, console: &Console) -> Result<()> {
    if let Some(name) = &args.name {
        let method = udas_adapt::find(name).ok_or_else(|| {
            crate::failure::usage(&format!(
                "there is no method {name:?}; `udas methods` lists them"
            ))
        })?;
        return console.result(in_full(method)?, &describe(method));
    }
    let width = METHODS.iter().map(|method| method.name().len()).max().unwrap_or(0);
    let lines: Vec<_> = METHODS
        .iter()
        .map(|method| {
            let about = method.about();
            let first = about.idea.split(". ").next().unwrap_or_default();
            format!(
                "{:width$}  {} [needs {}]",
                method.name(),
                first.trim_end_matches('.'),
                needs(about.needs)
            )
        })
        .collect();
    let values: Vec<_> = METHODS.iter().map(|method| describe(*method)).collect();
    console.result(lines.join("\n"), &values)
}

/// All that there is to say of a method.
fn in_full(method: &dyn Method) -> Result<String> {
    let about = method.about();
    let defaults = settings::to_text(&MethodSettings::of(&method.options()))?;
    Ok(format!(
        "{}\n  idea      {}\n  equation  {}\n  source    {}\n  moves     {}\n  needs     {}\n  fails     {}\n  defaults  {}",
        method.name(),
        about.idea,
        about.equation,
        about.source,
        method.recipe().moves.words(),
        needs(about.needs),
        about.failure,
        defaults.trim_end().replace('\n', ", "),
    ))
}

fn needs(needs: &[udas_adapt::Requirement]) -> String {
    if needs.is_empty() {
        return "target images only".into();
    }
    let words: Vec<_> = needs.iter().map(|need| need.words()).collect();
    words.join(", ")
}

fn describe(method: &dyn Method) -> serde_json::Value {
    let about = method.about();
    json!({
        "name": method.name(),
        "idea": about.idea,
        "equation": about.equation,
        "source": about.source,
        "moves": method.recipe().moves.words(),
        "needs": about.needs.iter().map(|need| need.words()).collect::<Vec<_>>(),
        "failure": about.failure,
        "options": method.options(),
    })
}
