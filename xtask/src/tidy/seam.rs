//! The seam between networks and the rest: no crate but the paper's network knows that network by name.

use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::Findings;

/// The crate of the network, and the list of families with its one line.
const HOMES: [&str; 2] = ["crates/unet", "crates/model/src/families.rs"];
/// Its types.
const TYPES: [&str; 2] = ["UNet", "ResidualUNet"];
/// Beginnings of the names of its entries.
const ENTRIES: [&str; 2] = ["init_path", "out_path"];

/// Checks a source file; tests may build networks, and documentation may show them.
pub fn check(name: &Path, tokens: TokenStream, findings: &mut Findings) {
    let shown = name.to_string_lossy();
    let is_source =
        shown.starts_with("crates/cli/") || shown.starts_with("crates/") && shown.contains("/src/");
    if is_source && !HOMES.iter().any(|home| shown.starts_with(home)) {
        look(tokens, &shown, findings);
    }
}

fn look(tokens: TokenStream, file: &str, findings: &mut Findings) {
    let mut tokens = tokens.into_iter().peekable();
    let mut of_tests = false;
    while let Some(token) = tokens.next() {
        let (word, line) = match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                // An attribute, documentation among them.
                let attribute = tokens.next_if(|next| matches!(next, TokenTree::Group(_)));
                of_tests |= attribute.is_some_and(|tokens| tokens.to_string() == "[cfg (test)]");
                continue;
            }
            TokenTree::Group(group) => {
                let is_body = group.delimiter() == Delimiter::Brace;
                if !(of_tests && is_body) {
                    look(group.stream(), file, findings);
                }
                of_tests &= !is_body;
                continue;
            }
            TokenTree::Ident(word) => (word.to_string(), word.span().start().line),
            TokenTree::Literal(text) => (text.to_string(), text.span().start().line),
            TokenTree::Punct(_) => continue,
        };
        let entry = ENTRIES.iter().any(|entry| word.trim_start_matches('"').starts_with(entry));
        if entry || TYPES.contains(&word.as_str()) {
            let problem =
                format!("{file}:{line}: `{word}` is of one network; ask `network::Network`");
            findings.errors.push(problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(name: &str, text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check(Path::new(name), text.parse().unwrap(), &mut findings);
        findings.errors
    }

    #[test]
    fn names_of_the_paper_s_network_stay_at_home() {
        let entry = "fn f() { g(\"out_path.2.weight\") }";
        for text in [entry, "use udas_unet::UNet;"] {
            assert_eq!(errors("crates/adapt/src/a.rs", text).len(), 1, "{text}");
            assert_eq!(errors("crates/cli/a.rs", text).len(), 1, "{text}");
            for fine in ["crates/unet/src/a.rs", "crates/adapt/tests/a.rs", "xtask/src/a.rs"] {
                assert!(errors(fine, text).is_empty(), "{fine}: {text}");
            }
        }
    }

    #[test]
    fn tests_and_documentation_may_show_it() {
        let text = "/// `UNet`, \"init_path\"\nfn f() {}\n#[cfg(test)]\nmod tests { fn g() { UNet::new() } }\n";
        assert!(errors("crates/adapt/src/a.rs", text).is_empty());
        let after = format!("{text}fn h() {{ UNet::new() }}\n");
        assert_eq!(errors("crates/adapt/src/a.rs", &after).len(), 1);
    }
}
