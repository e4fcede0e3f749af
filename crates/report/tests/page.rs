//! The page as text: what comes first, what it links to, and that it depends on nothing but its inputs.
mod sample;

use sample::Pairs;
use udas_record::{Better, Class, MethodKind, ScoreColumn};
use udas_report::{Experiment, Pictures, html};

fn page() -> String {
    let experiment = sample::experiment(Pairs::OneSource, 2, 10);
    html(&experiment, &sample::pictures(&experiment))
}

/// Where words stand in the page.
fn position(page: &str, words: &str) -> usize {
    page.find(words).unwrap_or_else(|| panic!("the page says {words:?}"))
}

#[test]
fn the_answer_comes_first() {
    let page = page();
    let parts = [
        "<h1>",
        "class=\"question\"",
        "class=\"headline\"",
        "id=\"methods\"",
        "id=\"subjects\"",
        "id=\"cases\"",
        "id=\"verdicts\"",
        "id=\"course\"",
        "id=\"intensities\"",
        "id=\"volumes\"",
        "id=\"statistics\"",
        "id=\"provenance\"",
    ];
    let positions = parts.map(|part| position(&page, part));
    assert!(positions.is_sorted(), "{positions:?}");
}

#[test]
fn nothing_is_linked_to_and_nothing_is_left_to_chance() {
    let page = page();
    for word in ["http://", "https://", "url(", "@import", "<iframe", "<object", "fetch("] {
        assert!(!page.contains(word), "{word}");
    }
    let sources = page.match_indices("src=\"").map(|(at, _)| &page[at + 5..at + 15]);
    assert!(sources.into_iter().all(|source| source == "data:image"));
    assert_eq!(page, self::page(), "the same inputs, the same bytes");
}

#[test]
fn names_from_outside_are_escaped() {
    let (experiment, _) = sample::hostile();
    let page = html(&experiment, &Pictures::default());
    assert!(!page.contains("<script>alert") && !page.contains("<img src=x"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert_eq!(page.matches("<script>").count(), 1);
}

#[test]
fn the_verdict_of_the_page_follows_the_numbers() {
    let headline = |change: &dyn Fn(&mut Experiment)| {
        let mut experiment = sample::experiment(Pairs::OneSource, 1, 10);
        change(&mut experiment);
        let page = html(&experiment, &Pictures::default());
        let start = position(&page, "Answer</span>") + "Answer</span>".len();
        page[start..].split("</p>").next().unwrap_or_default().to_owned()
    };
    let focus = |name: &'static str| move |e: &mut Experiment| e.focus = Some(name.into());
    assert_eq!(headline(&focus("augmented")), "Yes: it helped.");
    assert_eq!(headline(&focus("tent")), "No: it did harm.");
    assert_eq!(headline(&focus("source-only")), "This is the source model; nothing was adapted.");
    let distances = |e: &mut Experiment| {
        e.focus = Some("augmented".into());
        e.metrics.swap(0, 1);
        assert_eq!(e.metrics[0].better, Better::Lower);
    };
    assert_eq!(headline(&distances), "Yes: it helped.");
    let unlabelled = |e: &mut Experiment| e.outcomes.iter_mut().for_each(|o| o.scores.clear());
    assert_eq!(headline(&unlabelled), "Not known: there are no labels to measure with.");
    let few = |e: &mut Experiment| {
        for outcome in &mut e.outcomes {
            outcome.subjects.truncate(3);
            for column in &mut outcome.scores {
                column.before.truncate(3);
                column.after.truncate(3);
            }
        }
        e.outcomes.retain(|outcome| outcome.target == "GE 1.5 T");
    };
    assert_eq!(headline(&few), "Too few subjects to say.");
}

#[test]
fn every_class_and_metric_has_its_row_and_their_mean_too() {
    let mut experiment = sample::experiment(Pairs::OneSource, 1, 7);
    experiment.data.classes.push(Class { label: "2".into(), name: "cerebellum".into() });
    for outcome in &mut experiment.outcomes {
        let second: Vec<ScoreColumn> = outcome.scores.clone();
        outcome.scores.extend(second.into_iter().map(|c| ScoreColumn { class: "2".into(), ..c }));
    }
    let page = html(&experiment, &Pictures::default());
    let table = &page[position(&page, "id=\"statistics\"")..];
    // Five targets, nine methods, two metrics, two classes and their mean.
    assert!(table.contains("<caption>270 comparisons</caption>"));
    assert!(table.contains("<td>cerebellum</td>") && table.contains("<td>mean of classes</td>"));
}

#[test]
fn undefined_scores_are_counted_and_nothing_at_all_makes_a_page() {
    let mut experiment = sample::experiment(Pairs::OneSource, 1, 9);
    for outcome in &mut experiment.outcomes {
        for column in &mut outcome.scores {
            column.after[0] = None;
            column.after[1] = Some(f64::INFINITY);
        }
    }
    let page = html(&experiment, &Pictures::default());
    assert!(
        page.contains("10 pairs with an undefined or infinite surface Dice at 1 mm are left out.")
    );
    let empty = html(&Experiment::default(), &Pictures::default());
    assert!(empty.contains("No outcome to report."));
    let mut unscored = sample::experiment(Pairs::OneSource, 1, 1);
    unscored.methods.retain(|method| method.kind == MethodKind::Baseline);
    unscored.outcomes.clear();
    assert!(html(&unscored, &Pictures::default()).contains("Not known"));
}
