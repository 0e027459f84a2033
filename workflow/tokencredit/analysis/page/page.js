"use strict";
// Details of single numbers, sorting of tables, which chart is shown, and folded parts that a link leads into.
// Which methods are shown, and the token viewer, follow.

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// The details of a number: beside it while it is pointed at, has the focus or was tapped.
const TIP = document.getElementById("tip");

function tell(number) {
  TIP.textContent = number.dataset.detail;
  TIP.hidden = false;
  number.setAttribute("aria-describedby", "tip");
  const box = number.getBoundingClientRect();
  const left = Math.min(box.left, document.documentElement.clientWidth - TIP.offsetWidth - 8);
  TIP.style.left = `${Math.max(8, left) + window.scrollX}px`;
  TIP.style.top = `${box.bottom + 6 + window.scrollY}px`;
}

function hush() {
  TIP.hidden = true;
  document.querySelectorAll("[aria-describedby=tip]").forEach((number) => number.removeAttribute("aria-describedby"));
}

document.querySelectorAll("[data-detail]").forEach((number) => {
  number.addEventListener("mouseenter", () => tell(number));
  number.addEventListener("focus", () => tell(number));
  number.addEventListener("click", () => tell(number));
  number.addEventListener("mouseleave", hush);
  number.addEventListener("blur", hush);
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hush(); });

// A table is sorted by a column: its heading is a button. Numbers begin with the highest, names with A; once more turns the order round.
// Cells without a number stay last.
function sorted(button) {
  const heading = button.closest("th");
  const table = button.closest("table");
  const column = [...heading.parentElement.children].indexOf(heading);
  const rows = [...table.tBodies[0].rows];
  const texts = new Map(rows.map((row) => [row, row.cells[column].textContent.trim()]));
  const values = new Map(rows.map((row) => [row, parseFloat(texts.get(row).replace("−", "-").replace(/[+×,<]/g, ""))]));
  const lettered = rows.every((row) => Number.isNaN(values.get(row)));
  const [first, second] = lettered ? ["ascending", "descending"] : ["descending", "ascending"];
  const order = heading.getAttribute("aria-sort") === first ? second : first;
  table.querySelectorAll("th[aria-sort]").forEach((other) => other.setAttribute("aria-sort", "none"));
  heading.setAttribute("aria-sort", order);
  const way = order === "ascending" ? 1 : -1;
  rows.sort((one, other) => {
    if (lettered) return way * texts.get(one).localeCompare(texts.get(other));
    const missing = Number.isNaN(values.get(one)) - Number.isNaN(values.get(other));
    return missing || way * (values.get(one) - values.get(other));
  });
  table.tBodies[0].append(...rows);
}

document.querySelectorAll("th[aria-sort] button").forEach((button) => button.addEventListener("click", () => sorted(button)));

// Of several charts one is shown; without scripts all are.
document.querySelectorAll("[data-charts]").forEach((group) => {
  const charts = [...group.querySelectorAll("[data-chart]")];
  const choice = group.querySelector("select");
  const chosen = () => charts.forEach((chart) => { chart.hidden = chart.dataset.chart !== choice.value; });
  choice.addEventListener("change", chosen);
  choice.closest("form").hidden = false;
  chosen();
});

// The part of the page that the address names, beside the methods that are shown.
function place() {
  return window.location.hash.replace(/^#(methods=[^&]*(&at=)?)?/, "");
}

function unfold() {
  const target = document.getElementById(decodeURIComponent(place()));
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  if (target) target.scrollIntoView();
}

window.addEventListener("hashchange", unfold);
window.addEventListener("load", unfold); // when everything has its height
