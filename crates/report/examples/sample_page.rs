//! Makes a page and figures from invented results: `cargo run -p udas-report --example sample_page -- DIR`.
//! With a second word, `all`, every ordered pair of six domains with 60 subjects each.
use std::path::PathBuf;

#[path = "../tests/sample/mod.rs"]
mod sample;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "sample-page".into()));
    let experiment = match arguments.next().as_deref() {
        Some("all") => sample::experiment(sample::Pairs::All, 3, 60),
        _ => sample::experiment(sample::Pairs::OneSource, 3, 24),
    };
    let pictures = sample::pictures(&experiment);
    let files = udas_report::figures(&experiment, &pictures, &folder.join("figures"))?;
    let page = udas_report::write_page(&experiment, &pictures, &folder)?;
    let bytes = std::fs::metadata(&page)?.len();
    println!("{}: {bytes} bytes; {} figures", page.display(), files.len());
    Ok(())
}
