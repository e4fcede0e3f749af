//! Where the results come from and how to make them again.
use std::collections::BTreeSet;

use super::Section;
use crate::Overview;
use crate::markup::{Text, date};

pub(super) fn section(overview: &Overview) -> Section {
    let provenance = &overview.experiment.provenance;
    let mut rows = String::new();
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            rows += &format!("<dt>{}</dt><dd>{}</dd>\n", Text(name), Text(value));
        }
    };
    let commit = provenance.commit.as_ref().map_or_else(String::new, |c| format!(", commit {c}"));
    row("Program", &format!("udas {}{commit}", provenance.version));
    row("Finished", &provenance.finished_unix.map_or_else(String::new, date));
    if let Some(machine) = &provenance.machine {
        row(
            "Machine",
            &format!(
                "{}, {}, {} threads, {}",
                machine.platform, machine.instruction_set, machine.threads, machine.device
            ),
        );
    }
    let seeds: BTreeSet<u64> = overview.experiment.outcomes.iter().map(|o| o.seed).collect();
    row("Seeds", &seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
    for (name, value) in &provenance.settings {
        row(name, value);
    }
    let commands: String = provenance.commands.iter().map(|c| format!("{}\n", Text(c))).collect();
    let commands = if commands.is_empty() {
        String::new()
    } else {
        format!("<h3>Commands</h3>\n<pre tabindex=\"0\"><code>{commands}</code></pre>\n")
    };
    let configuration = provenance.configuration.as_ref().map_or_else(String::new, |text| {
        let text = format!("<pre tabindex=\"0\"><code>{}</code></pre>", Text(text));
        super::folded("Configuration", &text, false)
    });
    let body = format!("<dl>{rows}</dl>\n{commands}{configuration}{}", inputs(overview));
    Section { id: "provenance", short: "Provenance", title: "Provenance", body }
}

fn inputs(overview: &Overview) -> String {
    let inputs = &overview.experiment.provenance.inputs;
    if inputs.is_empty() {
        return String::new();
    }
    let row = |input: &udas_record::Input| {
        format!(
            "<tr><td>{}</td><td class=\"words\">{}</td><td><code>{}</code></td></tr>\n",
            Text(&input.role),
            Text(&input.path),
            Text(&input.sha256)
        )
    };
    let rows: String = inputs.iter().map(row).collect();
    let table = format!(
        "<table><caption>Files read, with their SHA-256</caption><thead><tr><th scope=\"col\">Role</th>\
         <th scope=\"col\">Path</th><th scope=\"col\">SHA-256</th></tr></thead><tbody>{rows}</tbody></table>"
    );
    super::scrolling("Files read", "", &table)
}
