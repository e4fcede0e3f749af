//! `udas completions`, `udas man`: what a shell and a reader of manuals know of the program.
use crate::args;
use crate::console::Console;
use crate::out_file;
use crate::settings::needed;
use anyhow::{Context, Result};
use clap::Args;
use clap_complete::Shell;
use std::path::PathBuf;

/// Prints completions of commands, options and their values for a shell
///
/// Example: udas completions bash > ~/.local/share/bash-completion/completions/udas
#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes manual pages, one a command
///
/// Example: udas man ~/.local/share/man/man1
#[derive(Args)]
pub struct ManArgs {
    /// Folder of the pages
    #[arg(value_name = "DIR", required_unless_present = "out")]
    folder: Option<PathBuf>,
    /// The same, as other commands name it
    #[arg(short, long, value_name = "DIR", conflicts_with = "folder")]
    out: Option<PathBuf>,
}

pub fn completions(args: &CompletionsArgs, console: &Console) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "udas", &mut script);
    let script = String::from_utf8(script).context("completions are no text")?;
    console.result(&script, &script)
}

pub fn man(args: &ManArgs, console: &Console) -> Result<()> {
    let folder = needed(args.folder.as_ref().or(args.out.as_ref()), "DIR")?;
    let shown = folder.display();
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{shown}: cannot be made; choose another folder"))?;
    let program = args::command().disable_help_subcommand(true);
    let mut pages = vec![(program.clone(), "udas".to_owned())];
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("udas-{}", command.get_name());
        pages.push((command.clone().bin_name(name.replacen('-', " ", 1)), name));
    }
    for (command, name) in &pages {
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone()).title(name).render(&mut page)?;
        out_file::write(&folder.join(format!("{name}.1")), &page)?;
    }
    let text = format!("{} pages in {shown}", pages.len());
    console.result(text, &serde_json::json!({ "folder": shown.to_string(), "pages": pages.len() }))
}
