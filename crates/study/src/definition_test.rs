//! The experiments that are built in are sound; mistakes in others are named.

use super::*;
use crate::catalogue::Catalogue;

fn load(name: &str) -> Definition {
    Catalogue::Stock.load(name).unwrap()
}

#[test]
fn the_experiments_that_are_built_in_are_sound() {
    let found = Catalogue::Stock.names().unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    assert_eq!(found, Catalogue::Folder(folder).names().unwrap(), "a file is not built in");
    for name in found {
        let definition = load(&name);
        let without_data = ["quick", "paper"]
            .map(|preset| definition.presets.get(preset).is_some_and(|p| p.phantom.is_some()));
        assert_eq!(without_data, [["cc359", "mnms"].contains(&name.as_str()); 2], "{name}");
        for preset in definition.presets.values() {
            let methods = definition.methods_of(preset);
            assert!(methods.iter().any(|method| method.kind == MethodKind::Baseline));
            assert!(methods.len() > 1, "{name} compares the source model with nothing");
        }
        let asks = |preset: &Preset| {
            definition.methods_of(preset).iter().any(|method| method.name == definition.focus)
        };
        assert!(definition.presets.values().any(asks), "{name}: no preset answers its question");
        let known = |name: &String| definition.methods.iter().any(|method| method.name == *name);
        for row in &definition.published {
            assert!(definition.targets.contains(&row.target), "{}", row.target);
            assert!(row.values.keys().all(known), "{:?}", row.values);
        }
    }
}

#[test]
fn methods_are_chosen_by_name() {
    let mut definition = load("cc359");
    let names = ["tent", "fine-tune-all"].map(String::from);
    definition.restrict("quick", &names).unwrap();
    let chosen = definition.methods_of(definition.preset("quick").unwrap());
    let chosen: Vec<&str> = chosen.iter().map(|method| method.name.as_str()).collect();
    assert_eq!(chosen, ["source-only", "tent", "fine-tune-all"]);
    assert_eq!(definition.focus, "tent");
    // The source model as it is asks no question.
    let mut other = load("cc359");
    other.restrict("quick", &["source-only", "tent"].map(String::from)).unwrap();
    assert_eq!(other.focus, "tent");
    assert!(other.question.contains("TENT"), "{}", other.question);
    let error = definition.restrict("quick", &["tnet".into()]).unwrap_err().to_string();
    assert!(error.contains("no method `tnet`") && error.contains("tent"), "{error}");
    let lone = definition.restrict("quick", &["ensemble-distillation".into()]);
    assert!(lone.unwrap_err().to_string().contains("one seed"));
    assert!(definition.restrict("qiuck", &names).unwrap_err().to_string().contains("quick"));
}

#[test]
fn another_way_between_domains_can_be_taken() {
    let mut definition = load("cc359");
    definition.go_between(None, &["Siemens_3".into()]).unwrap();
    assert_eq!(definition.domains(), ["GE_3", "Siemens_3"]);
    assert!(!definition.published.is_empty());
    definition.go_between(Some("Siemens_3"), &[]).unwrap();
    assert_eq!(definition.domains(), ["Siemens_3", "GE_3"]);
    assert!(definition.published.is_empty(), "the literature's figures are of another source");
    definition.go_between(Some("scanner A (old)"), &["Gerät".into()]).unwrap();
    for (source, target, reason) in
        [("a", "a", "is a target too"), ("a/b", "c", "not fit"), ("..", "c", "not fit")]
    {
        let error = definition.go_between(Some(source), &[target.into()]).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn mistakes_are_named() {
    let good = Catalogue::Stock.text("cc359").unwrap();
    let check = |from: &str, to: &str, reason: &str| {
        let folder = tempfile::tempdir().unwrap();
        assert!(good.contains(from), "{from}");
        let path = folder.path().join("x.toml");
        std::fs::write(&path, good.replacen(from, to, 1)).unwrap();
        let error = Catalogue::Stock.load(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains("x.toml"), "{error}");
    };
    check("# Gives: ", "# ", "first line");
    check("focus = \"", "focus = \"un", "is no method");
    check("source = \"GE_3\"", "source = \"../GE_3\"", "not fit for a folder");
    check("source = \"GE_3\"", "source = \"GE_15\"", "is a target too");
    check("seeds = ", "sedes = ", "sedes");
    check("common = [", "common = [\"tnet\", ", "no method `tnet`");
    check("common = [", "common = [\"published\", ", "no method `published`");
    check("name = \"published\"", "name = \"tent\"", "stands twice");
    check("head = 0\n", "head = 0\ntrain = [\"--augment\", \"none\"]\n", "is not adapted");
    check("task = \"head\"\n", "", "says no task");
    check("[\"--augment\", \"none\"", "[\"augment\", \"none\"", "`augment` is no option");
    check("[\"--augment\", \"none\"", "[\"--seed\", \"1\"", "by the experiment itself");
}
