//! The page in headless Chromium: opened from disk, used, printed. Screenshots stay in the target folder.
mod sample;
mod webdriver;

use std::path::{Path, PathBuf};
use std::time::Instant;

use sample::Pairs;
use serde_json::{Value, json};
use udas_report::{Experiment, Pictures, write_page};
use webdriver::Browser;

/// A browser with a page; the folder holds the page and nothing else.
struct Opened {
    browser: Browser,
    folder: tempfile::TempDir,
    page: PathBuf,
}

fn open(experiment: &Experiment, pictures: &Pictures) -> Option<Opened> {
    let browser = Browser::start()?;
    let folder = tempfile::tempdir().expect("a folder");
    let page = write_page(experiment, pictures, folder.path()).expect("a page");
    browser.open(&page);
    Some(Opened { browser, folder, page })
}

fn open_sample() -> Option<Opened> {
    let experiment = sample::experiment(Pairs::OneSource, 3, 24);
    open(&experiment, &sample::pictures(&experiment))
}

fn keep(name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).expect("the target folder can be written");
}

/// Nothing was logged, and nothing but the page was asked for.
fn check_quiet(opened: &Opened) {
    assert_eq!(opened.browser.console(), [""; 0], "the console is empty");
    let page = format!("file://{}", opened.page.display());
    let foreign: Vec<String> = opened.browser.requests();
    let foreign = foreign.iter().filter(|url| **url != page && !url.starts_with("data:"));
    assert_eq!(foreign.collect::<Vec<_>>(), [""; 0], "no request beside the page");
}

/// Text of a column's cells in the rows shown, from top to bottom.
fn column(browser: &Browser, table: &str, column: usize) -> Vec<String> {
    let script = format!(
        "return [...document.querySelectorAll('{table} tbody tr')].filter(row => !row.hidden)\
         .map(row => row.cells[{column}].textContent.trim())"
    );
    serde_json::from_value(browser.run(&script)).expect("texts")
}

fn numbers(texts: &[String]) -> Vec<f64> {
    texts.iter().map(|text| text.replace('\u{2212}', "-").parse().expect("a number")).collect()
}

#[test]
fn opens_from_disk_without_a_message_or_a_request() {
    let Some(opened) = open_sample() else { return };
    let browser = &opened.browser;
    keep("light.png", &browser.screenshot());
    browser.prefer("dark");
    keep("dark.png", &browser.screenshot());
    let colours = browser.run(
        "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]",
    );
    assert_eq!(colours, json!(["rgb(230, 234, 239)", "rgb(18, 22, 27)"]), "dark is dark");
    // Closed parts are opened, so that everything is laid out once.
    browser.run("document.querySelectorAll('details').forEach(part => part.open = true)");
    browser.run("window.scrollTo(0, document.body.scrollHeight)");
    let pictures = browser
        .run("return [...document.images].map(image => image.complete && image.naturalWidth > 0)");
    assert_eq!(pictures, json!(vec![true; 6]), "the worst five and the best are drawn");
    check_quiet(&opened);
    assert_eq!(std::fs::read_dir(opened.folder.path()).expect("a folder").count(), 1);
}

#[test]
fn tables_sort_and_filter() {
    let Some(opened) = open_sample() else { return };
    let browser = &opened.browser;
    let table = "#statistics table";
    let all = column(browser, table, 10).len();
    let head = format!("{table} thead th:nth-child(11)");
    browser.click(&format!("{head} button"));
    let sorted = numbers(&shown(browser, table, 10));
    assert!(sorted.is_sorted() && sorted.len() > 50, "rising: {sorted:?}");
    browser.click(&format!("{head} button"));
    let sorted = numbers(&shown(browser, table, 10));
    assert!(sorted.is_sorted_by(|a, b| a >= b), "falling: {sorted:?}");
    let direction = format!("return document.querySelector('{head}').getAttribute('aria-sort')");
    assert_eq!(browser.run(&direction), json!("descending"));
    let tools = "#statistics .tools";
    browser.type_into(&format!("{tools} input"), "tent siemens");
    let methods = column(browser, table, 1);
    assert!(!methods.is_empty() && methods.iter().all(|name| name == "TENT"), "{methods:?}");
    let status =
        browser.run(&format!("return document.querySelector('{tools} output').textContent"));
    assert_eq!(status, json!(format!("{} of {all} rows", methods.len())));
    browser.click(&format!("{tools} select option[value='Siemens 3 T']"));
    let targets = column(browser, table, 0);
    assert!(targets.iter().all(|name| name == "Siemens 3 T"), "{targets:?}");
    assert!((1..methods.len()).contains(&targets.len()), "{targets:?}");
    check_quiet(&opened);
}

/// Cells of a column that hold something; empty ones are sorted to the end.
fn shown(browser: &Browser, table: &str, index: usize) -> Vec<String> {
    let texts = column(browser, table, index);
    let full = texts.iter().take_while(|text| !text.is_empty()).count();
    assert!(texts[full..].iter().all(String::is_empty), "empty cells come last");
    texts[..full].to_vec()
}

#[test]
fn fits_a_phone() {
    let Some(opened) = open_sample() else { return };
    let browser = &opened.browser;
    browser.become_phone(390, 844);
    browser.run("document.querySelectorAll('details').forEach(part => part.open = true)");
    let width = browser.run("return document.documentElement.scrollWidth");
    assert_eq!(width, json!(390), "nothing is wider than the phone");
    let size = browser.run("return parseFloat(getComputedStyle(document.body).fontSize)");
    assert!(size.as_f64() >= Some(15.0), "letters are large enough: {size}");
    for part in ["", "methods", "subjects", "cases", "course", "statistics"] {
        let target = if part.is_empty() { "header".into() } else { format!("#{part}") };
        browser.run(&format!("document.querySelector('{target}').scrollIntoView()"));
        keep(&format!("phone-{part}.png"), &browser.screenshot());
    }
    check_quiet(&opened);
}

#[test]
fn prints_on_paper() {
    let Some(opened) = open_sample() else { return };
    // A browser in dark mode must still print black on white.
    opened.browser.become_paper("dark");
    let colours = opened.browser.run(
        "const style = getComputedStyle(document.body); \
         return [style.color, style.backgroundColor, getComputedStyle(document.querySelector('nav')).display]",
    );
    assert_eq!(colours, json!(["rgb(26, 31, 38)", "rgb(255, 255, 255)", "none"]));
    let pdf = opened.browser.print();
    keep("page.pdf", &pdf);
    assert!(pdf.starts_with(b"%PDF-"), "a PDF file");
    let pages = pdf.windows(11).filter(|bytes| bytes == b"/Type /Page").count()
        - pdf.windows(12).filter(|bytes| bytes == b"/Type /Pages").count();
    assert!((3..30).contains(&pages), "{pages} pages");
    check_quiet(&opened);
}

/// What a screen reader needs, as the browser's own accessibility tree has it.
#[test]
fn speaks_to_a_screen_reader() {
    let Some(opened) = open_sample() else { return };
    let browser = &opened.browser;
    browser.run("document.querySelectorAll('details').forEach(part => part.open = true)");
    browser.press_tab();
    let first = browser.run("return document.activeElement.textContent");
    assert_eq!(first, json!("Skip to the results"), "the first stop of the keyboard");
    let tree = browser.devtools("Accessibility.getFullAXTree", json!({}));
    let nodes = tree["nodes"].as_array().expect("nodes");
    let of_role = |role: &str| -> Vec<&Value> {
        let has_role = |node: &&Value| node["role"]["value"] == role && node["ignored"] != true;
        nodes.iter().filter(has_role).collect()
    };
    let name = |node: &Value| node["name"]["value"].as_str().unwrap_or_default().to_owned();
    for role in ["image", "table", "region", "button", "combobox", "searchbox", "navigation"] {
        let found = of_role(role);
        assert!(!found.is_empty(), "there is a {role}");
        found.iter().for_each(|node| assert!(!name(node).trim().is_empty(), "{role}: {node}"));
    }
    let described =
        |node: &&Value| node["description"]["value"].as_str().is_some_and(|d| d.len() > 20);
    let pictures = of_role("image").len();
    assert!(of_role("image").iter().filter(|node| described(node)).count() > pictures / 2);
    let headings: Vec<String> = of_role("heading").iter().map(|node| name(node)).collect();
    assert!(headings.iter().any(|text| text == "Methods by targets"), "{headings:?}");
    let heads = browser.run("return document.querySelectorAll('th:not([scope])').length");
    assert_eq!(heads, json!(0), "every head of a row or column says which");
    assert_eq!(browser.run("return document.querySelectorAll('h1').length"), json!(1));
    assert_eq!(browser.run("return document.documentElement.lang"), json!("en"));
}

#[test]
fn names_from_outside_stay_text() {
    let (experiment, cases) = sample::hostile();
    let mut pictures = Pictures::default();
    for case in cases {
        pictures.insert(case, &sample::picture(1)).expect("a picture");
    }
    let Some(opened) = open(&experiment, &pictures) else { return };
    let browser = &opened.browser;
    let injected =
        browser.run("return document.querySelectorAll('img[src=x], body script ~ script').length");
    assert_eq!(injected, json!(0));
    let title = browser.run("return document.querySelector('h1').textContent");
    assert_eq!(title.as_str(), Some(experiment.title.as_str()));
    check_quiet(&opened);
}

/// Every ordered pair of six domains, nine methods, three seeds, sixty subjects.
#[test]
fn a_large_experiment_stays_small_and_quick() {
    let experiment = sample::experiment(Pairs::All, 3, 60);
    let pictures = sample::pictures(&experiment);
    let clock = Instant::now();
    let size = udas_report::html(&experiment, &pictures).len();
    eprintln!("{size} bytes in {:.1} s", clock.elapsed().as_secs_f64());
    assert!(size < 20_000_000, "{size} bytes");
    let Some(opened) = open(&experiment, &pictures) else { return };
    let browser = &opened.browser;
    let milliseconds = |script: &str| {
        let timed = format!(
            "const start = performance.now(); {script}; document.body.offsetHeight; \
             return performance.now() - start"
        );
        browser.run(&timed).as_f64().expect("a time")
    };
    let table = "#subjects table";
    // What the browser alone needs to lay the rows out anew, on a machine as busy as it is now.
    let layout = milliseconds(&format!(
        "const body = document.querySelector('{table}').tBodies[0]; body.append(...[...body.rows].reverse())"
    ));
    let sort = milliseconds(&format!(
        "document.querySelector('{table} thead th:nth-child(4) button').click()"
    ));
    let filter = milliseconds(
        "const input = document.querySelector('#subjects .tools input'); \
         input.value = 'siemens'; input.dispatchEvent(new Event('input'))",
    );
    eprintln!("laid out in {layout:.0} ms, sorted in {sort:.0} ms, filtered in {filter:.0} ms");
    assert!(sort < 1000.0 + 8.0 * layout, "sorting {sort} ms, layout {layout} ms");
    assert!(filter < 1000.0 + 8.0 * layout, "filtering {filter} ms, layout {layout} ms");
    assert_eq!(column(browser, table, 1).len(), 1080, "pairs with a Siemens scanner");
    keep("large.png", &browser.screenshot());
    check_quiet(&opened);
}
