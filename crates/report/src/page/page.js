// Sorting and filtering of tables. Without this script the tables are plain and whole.
"use strict";
const collator = new Intl.Collator(undefined, {numeric: true});
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const order = [...body.rows];
  const texts = new Map(order.map(row => [row, [...row.cells].map(cell => cell.textContent.trim())]));
  const number = text => {
    const found = /^[▲▼◦\s]*([+\-\u2212]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)/.exec(text.replace(/^<\s*/, ""));
    return found ? Number(found[1].replace("\u2212", "-")) : NaN;
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const sign = falling ? -1 : 1;
      const keys = order.map(row => texts.get(row)[column] ?? ""), numbers = keys.map(number);
      const numeric = numbers.some(value => !isNaN(value));
      const missing = index => numeric ? isNaN(numbers[index]) : keys[index] === "";
      const compare = numeric
        ? (a, b) => numbers[a] - numbers[b]
        : (a, b) => collator.compare(keys[a], keys[b]);
      const sorted = [...order.keys()].sort((a, b) =>
        missing(a) - missing(b) || (missing(a) ? 0 : sign * compare(a, b))).map(index => order[index]);
      body.append(...sorted);
    });
  });
  if (order.length < 12) continue;
  const tools = document.createElement("div"), status = document.createElement("output");
  tools.className = "tools";
  const name = table.caption ? table.caption.textContent : "table";
  const labelled = (text, control) => {
    const label = document.createElement("label");
    control.setAttribute("aria-label", text + ", " + name);
    label.append(text, control);
    tools.append(label);
    // Some browsers tell of a choice by one of these only.
    for (const event of ["input", "change"]) control.addEventListener(event, apply);
    return control;
  };
  const search = document.createElement("input");
  search.type = "search";
  labelled("Filter rows", search);
  const choices = heads.map((head, column) => {
    if (!("choose" in head.dataset)) return null;
    const select = document.createElement("select");
    select.add(new Option("all", ""));
    const values = new Set(order.map(row => texts.get(row)[column]));
    if (values.size < 2) return null;
    for (const value of values) select.add(new Option(value, value));
    return labelled(head.textContent, select);
  });
  function apply() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of order) {
      const cells = texts.get(row), text = cells.join(" ").toLowerCase();
      const fits = words.every(word => text.includes(word)) &&
        choices.every((choice, column) => !choice || !choice.value || cells[column] === choice.value);
      row.hidden = !fits;
      shown += fits;
    }
    status.textContent = shown + " of " + order.length + " rows";
  }
  tools.append(status);
  apply();
  table.closest(".scroll").before(tools);
}
