//! `udas compare` for a user with the installed program alone: two domain folders, an empty folder, a plan, a page.
mod common;

use common::Bench;
use std::fs;
use std::path::Path;

/// A folder with `brains/scannerA` and `brains/scannerB`, three subjects each: a phantom's, as a user would lay them out.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 Siemens_15 --subjects 3 --matrix 32");
    for (site, domain) in [("GE_3", "scannerA"), ("Siemens_15", "scannerB")] {
        for (kind, name) in [("Original", "images"), ("Silver-standard", "masks")] {
            let to = bench.path("brains").join(domain).join(name);
            fs::create_dir_all(&to).unwrap();
            for file in fs::read_dir(bench.path("ph").join(kind).join(site)).unwrap() {
                let file = file.unwrap().path();
                let named = file.file_name().unwrap().to_str().unwrap().replace("_ss.", ".");
                fs::copy(&file, to.join(named)).unwrap();
            }
        }
    }
    bench
}

/// The stock experiment as a user edits it: a small network and short trainings, one seed, two methods.
fn small(bench: &Bench) {
    let text = bench.succeed("compare --show two-scanners");
    let edits = [
        ("seeds = ", "seeds = [0]\nmethods = [\"source-only\", \"match-source\", \"tent\"]"),
        (
            "train = [",
            "train = [\"--augment\", \"none\", \"--filters\", \"2\", \"--epochs\", \"2\", \"--subjects\", \"0%-75%\"]",
        ),
        ("calibrate = [", ""),
        ("focus = ", "focus = \"tent\""),
    ];
    for (start, _) in edits {
        assert!(text.lines().any(|line| line.starts_with(start)), "no {start} in\n{text}");
    }
    let edited = |line: &str| {
        let edit = edits.iter().find(|(start, _)| line.starts_with(start));
        edit.map_or(line, |(_, edited)| *edited).to_owned() + "\n"
    };
    let small: String = text.lines().map(edited).collect();
    fs::write(bench.path("mine.toml"), small).unwrap();
}

const MINE: &str = "compare mine.toml --data brains --out results --threads 2";

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn two_scanners_of_a_user_give_a_plan_a_table_and_a_page() {
    let bench = bench();
    small(&bench);
    let plan = bench.succeed(&format!("{MINE} --dry-run"));
    assert!(plan.contains("to run    mine/source/seed-0") && plan.contains("plan: "), "{plan}");
    // Shares of three subjects: two train, one is adapted to, one scored.
    assert!(plan.contains("--epochs 2 --subjects 1-2"), "{plan}");
    assert!(!bench.path("results").exists(), "a dry run wrote something");

    let shown = bench.succeed(MINE);
    let folder = bench.path("results/mine");
    for name in ["table.txt", "report/index.html", "results.json", "results.csv"] {
        assert!(folder.join(name).is_file(), "{name}");
        assert!(shown.contains(&folder.join(name).display().to_string()), "no {name} in\n{shown}");
    }
    let table = read(&folder.join("table.txt"));
    assert!(table.contains("scannerA to") && table.contains("TENT"), "{table}");
    assert!(read(&folder.join("report/index.html")).contains("brains"), "the data set's name");

    let again = bench.run(MINE);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        again.status.success() && said.contains("6 finished") && !said.contains("start "),
        "{said}"
    );
    assert_eq!(read(&folder.join("table.txt")), table);
}

#[test]
fn the_stock_experiment_takes_the_domains_from_the_command_line() {
    let bench = bench();
    let line = "compare two-scanners --data brains --source scannerB --target scannerA --dry-run";
    let plan = bench.succeed(line);
    assert!(plan.contains("runs/converged") && plan.contains("--domain scannerB"), "{plan}");
    let trained = plan.lines().find(|line| line.contains("udas train")).unwrap();
    for setting in ["--augment none", "--batch-size 4", "--subjects 1-2", "--domain scannerB"] {
        assert!(trained.contains(setting), "no {setting} in {trained}");
    }
    let scored = plan.lines().find(|line| line.contains("udas evaluate")).unwrap();
    assert!(scored.contains("--domain scannerA") && scored.ends_with("--subjects 3"), "{scored}");
}

#[test]
fn what_the_data_or_the_program_lack_is_told_before_anything_runs() {
    let bench = bench();
    small(&bench);
    let missing = "compare two-scanners --data brains --source scannerA --target scannerC --out r";
    bench.fail(missing, 3, &["no domain scannerC", "scannerA, scannerB", "--target"]);
    let vendors = "compare mnms --data brains --out r";
    bench.fail(vendors, 3, &["no domain B, A, C, D", "scannerA, scannerB"]);
    fs::remove_file(bench.path("brains/scannerB/masks").join(first(&bench))).unwrap();
    bench.fail(
        "compare mine.toml --data brains --source scannerB --target scannerA --out r",
        3,
        &["has no mask", "scannerB"],
    );
    let text = read(&bench.path("mine.toml"));
    let edited = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        fs::write(bench.path("edited.toml"), text.replacen(from, to, 1)).unwrap();
    };
    let line = "compare edited.toml --data brains --out r";
    edited("\"--filters\"", "\"--filtres\"");
    bench.fail(line, 2, &["edited/source/seed-0", "--filtres"]);
    edited("\"--augment\"", "\"augment\"");
    bench.fail(line, 3, &["edited.toml", "`augment` is no option"]);
    bench.fail("compare", 2, &["EXPERIMENT"]);
    bench.fail("compare nothing --data brains", 2, &["no experiment `nothing`", "two-scanners"]);
    bench.fail("compare brain_t1 --data brains", 2, &["--preset is missing: brain_t1 has "]);
    assert!(!bench.path("r").exists());
}

fn first(bench: &Bench) -> String {
    let masks = fs::read_dir(bench.path("brains/scannerB/masks")).unwrap();
    let mut names: Vec<_> = masks.map(|mask| mask.unwrap().file_name()).collect();
    names.sort();
    names.remove(0).into_string().unwrap()
}

#[test]
fn what_is_built_in_is_listed_and_shown() {
    let bench = Bench::new();
    let list = bench.succeed("compare --list");
    for name in ["two-scanners", "cc359", "converged", "ensemble-distillation"] {
        assert!(list.contains(name), "no {name} in\n{list}");
    }
    let listed: serde_json::Value =
        serde_json::from_str(&bench.succeed("compare --list --json")).unwrap();
    assert!(listed["experiments"].as_array().unwrap().len() >= 6, "{listed}");
    assert!(bench.succeed("compare --show methods").contains("[[methods]]"));
    bench.fail("compare --show none", 2, &["no experiment `none`", "cc359"]);
}
