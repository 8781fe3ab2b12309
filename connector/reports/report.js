"use strict";
const field = (id) => document.getElementById(id);
const rows = Array.from(document.querySelectorAll("#findings tbody tr"));
const texts = rows.map((row) => row.textContent.toLowerCase());
const names = ["text", "severity", "country", "prerequisite"];

function filter() {
  const wanted = Object.fromEntries(names.map((name) => [name, field(name).value]));
  const words = wanted.text.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  rows.forEach((row, position) => {
    const fits = ["severity", "country", "prerequisite"].every((name) => !wanted[name] || row.dataset[name] === wanted[name])
      && words.every((word) => texts[position].includes(word));
    row.hidden = !fits;
    shown += fits;
  });
  field("shown").textContent = `${shown} of ${rows.length} shown`;
}

// A link may carry a filter: report.html#severity=error&country=DK
const given = new URLSearchParams(location.hash.slice(1));
names.forEach((name) => {
  if (given.has(name)) field(name).value = given.get(name);
  field(name).addEventListener("input", filter);
});
filter();
