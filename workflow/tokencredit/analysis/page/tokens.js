"use strict";
// The token viewer. Every text of a model or a data set is set as text, never read as markup.

const DATA = JSON.parse(document.getElementById("token-data").textContent);
const [METHOD, PROBLEM, COLOUR] = ["method", "problem", "colour"].map((name) => document.getElementById(`token-${name}`));

const WHITE = [255, 255, 255];
const AMBER = [243, 156, 67];
const ORANGE = [241, 163, 64];
const PURPLE = [153, 142, 195];
const QUADRANTS = ["quadrant-phr", "quadrant-plr", "quadrant-nhr", "quadrant-nlr"];

const share = (response, index) =>
  response.response_advantage === 0 ? 1 : response.advantage[index] / response.response_advantage;
const everywhere = (value) => (methods) =>
  methods.flatMap((method) => method.views.flatMap((view) => view.responses.flatMap((response) =>
    response.token.map((_, index) => value(response, index)).filter((found) => found !== null))));
const measured = (name) => (response, index) => (response[name] ? response[name][index] : null);

// How tokens are coloured: a value, where its colours end, and how it is written. Scales run over all methods but the share's, which runs
// over the method that is shown: EAPO moves credit by a tenth, and a quadrant run takes all of it away.
const SCALES = {
  entropy: {
    title: "entropy",
    value: (response, index) => response.entropy[index],
    ends: () => [0, highest(everywhere(SCALES.entropy.value)(DATA.methods))],
    colour: (value, [, high]) => mixed(AMBER, value / high),
    text: (value) => `${value.toFixed(3)} nats`,
  },
  credit: {
    title: "credit: the advantage",
    value: (response, index) => (response.kept[index] ? response.advantage[index] : 0),
    ends: () => around(0, everywhere(SCALES.credit.value)(DATA.methods)),
    colour: (value, ends) => diverging(value, ends),
    text: (value) => signed(value),
  },
  share: {
    title: "credit, relative to its response",
    value: (response, index) => (response.kept[index] ? share(response, index) : 0),
    ends: (method) => around(1, everywhere(SCALES.share.value)([method])),
    colour: (value, ends) => diverging(value, ends),
    text: (value) => `${value.toFixed(3)} ×`,
  },
  quadrant: { title: "quadrant" },
  // At the first step of studies with an oracle. The token taken may be no more than usual where the others are worth much: hence both.
  advantage: {
    title: "measured credit: Q − V of the token",
    value: measured("measured_advantage"),
    ends: () => around(0, everywhere(SCALES.advantage.value)(DATA.methods)),
    colour: (value, ends) => diverging(value, ends),
    text: (value) => signed(value),
  },
  information: {
    title: "measured credit: I(token; reward)",
    value: measured("information"),
    ends: () => [0, highest(everywhere(SCALES.information.value)(DATA.methods))],
    colour: (value, [, high]) => mixed(AMBER, value / high),
    text: (value) => `${(1000 * value).toFixed(1).replace("-", "−")} mnat`,
  },
};
if (!everywhere(SCALES.information.value)(DATA.methods).length) {
  delete SCALES.advantage;
  delete SCALES.information;
}

// Nearly: a single token must not make all others pale.
function highest(values) {
  const sorted = [...values].sort((one, other) => one - other);
  return Math.max(0.01, sorted[Math.ceil(0.98 * sorted.length) - 1]);
}

function around(middle, values) {
  const reach = values.reduce((most, value) => Math.max(most, Math.abs(value - middle)), 0.01);
  return [middle - reach, middle + reach];
}

function mixed(colour, part) {
  const bounded = Math.min(1, Math.max(0, part));
  return `rgb(${WHITE.map((white, index) => Math.round(white + bounded * (colour[index] - white))).join(", ")})`;
}

function diverging(value, [low, high]) {
  const place = (2 * value - low - high) / (high - low);
  return mixed(place < 0 ? PURPLE : ORANGE, Math.abs(place));
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function described(response, index) {
  const parts = [
    `“${response.token[index]}”, token ${index + 1} of ${response.length}`,
    `entropy ${SCALES.entropy.text(response.entropy[index])}`,
    `advantage ${signed(response.advantage[index])}, ${SCALES.share.text(share(response, index))} its response's`,
    DATA.quadrants[response.quadrant[index]],
    ...["advantage", "information"].flatMap((name) => {
      const value = SCALES[name] && SCALES[name].value(response, index);
      return typeof value === "number" ? [`measured ${name === "advantage" ? "Q − V" : "I"} ${SCALES[name].text(value)}`] : [];
    }),
  ];
  return [...parts, ...(response.kept[index] ? [] : ["left out of the loss"])].join("; ");
}

function token(response, index, scale, ends) {
  const text = described(response, index);
  const made = element("span", response.token[index], { role: "option", tabindex: index ? "-1" : "0", title: text, "aria-label": text });
  made.className = `token ${response.kept[index] ? "" : "left-out"}`;
  const value = scale.colour && scale.value(response, index);
  if (value === null) made.classList.add("unknown");
  else if (scale.colour) made.style.backgroundColor = scale.colour(value, ends);
  else made.classList.add(QUADRANTS[response.quadrant[index]]);
  for (const event of ["focus", "mouseenter"]) {
    made.addEventListener(event, () => { document.getElementById("token-detail").textContent = text; });
  }
  return made;
}

function shownResponse(response, scale, ends) {
  const box = element("div", "");
  const answer = response.right ? "Right" : "Wrong";
  box.append(element("h3", `${answer} response`));
  const cut = response.token.length < response.length ? `, the first ${response.token.length} here` : "";
  box.append(element("p", `Advantage ${signed(response.response_advantage)}; ${response.length} tokens${cut}`, { class: "note" }));
  const list = element("div", "", { role: "listbox", "aria-label": `Tokens of the ${answer.toLowerCase()} response`, "aria-orientation": "horizontal", class: "tokens" });
  response.token.forEach((text, index) => {
    list.append(token(response, index, scale, ends));
    if (text.includes("⏎")) list.append(document.createElement("br"));
  });
  list.addEventListener("keydown", moved);
  box.append(list);
  return box;
}

// One stop of the tab key for each response; arrows, Home and End go on from there.
function moved(event) {
  const options = [...event.currentTarget.querySelectorAll("[role=option]")];
  const here = options.indexOf(document.activeElement);
  const steps = { ArrowLeft: here - 1, ArrowUp: here - 1, ArrowRight: here + 1, ArrowDown: here + 1, Home: 0, End: options.length - 1 };
  const next = options[steps[event.key]];
  if (!next) return;
  event.preventDefault();
  options.forEach((option) => { option.tabIndex = option === next ? 0 : -1; });
  next.focus();
}

function legend(scale, ends) {
  const box = document.getElementById("token-legend");
  box.replaceChildren();
  if (scale.colour) {
    const bar = element("span", "", { class: "bar", "aria-hidden": "true" });
    for (let part = 0; part <= 24; part += 1) {
      const piece = element("span", "");
      piece.style.backgroundColor = scale.colour(ends[0] + (part / 24) * (ends[1] - ends[0]), ends);
      bar.append(piece);
    }
    const over = [SCALES.entropy, SCALES.information].includes(scale) ? " and above" : "";
    box.append(element("span", scale.text(ends[0])), bar, element("span", scale.text(ends[1]) + over));
    const shown = DATA.methods[METHOD.value].views[PROBLEM.value].responses;
    if (shown.some((response) => response.token.some((_, index) => scale.value(response, index) === null))) {
      box.append(element("span", "not measured, or a single next token", { class: "token unknown" }));
    }
  } else {
    DATA.quadrants.forEach((title, index) => box.append(element("span", title, { class: `token ${QUADRANTS[index]}` })));
  }
  if (DATA.methods[METHOD.value].views.some((view) => view.responses.some((response) => response.kept.includes(0)))) {
    box.append(element("span", "left out of the loss", { class: "token left-out" }));
  }
}

function show() {
  const method = DATA.methods[METHOD.value];
  const view = method.views[PROBLEM.value];
  const scale = SCALES[COLOUR.value];
  const ends = scale.ends && scale.ends(method);
  const known = DATA.problems[view.problem];
  document.getElementById("token-text").textContent = known
    ? `${known.problem} (Answer: ${known.answer})`
    : `Problem ${view.problem}; its text is not among the stored data.`;
  document.getElementById("token-detail").textContent = "Point at a token, or go to it by keyboard, to read its values.";
  legend(scale, ends);
  document.getElementById("token-responses").replaceChildren(...view.responses.map((response) => shownResponse(response, scale, ends)));
}

// The problems of a method. The one that was shown stays where the method has it.
function listProblems(kept) {
  const views = DATA.methods[METHOD.value].views;
  PROBLEM.replaceChildren(...views.map((view, index) => element("option", `Step ${view.step}: ${view.problem}`, { value: index })));
  const same = views.findIndex((view) => kept && view.problem === kept.problem && view.step === kept.step);
  PROBLEM.value = Math.max(0, same);
}

DATA.methods.forEach((method, index) => METHOD.append(element("option", method.title, { value: index })));
Object.entries(SCALES).forEach(([name, scale]) => COLOUR.append(element("option", scale.title, { value: name })));
METHOD.value = DATA.start;
let chosen = null;
METHOD.addEventListener("change", () => { listProblems(chosen); show(); });
PROBLEM.addEventListener("change", () => { chosen = DATA.methods[METHOD.value].views[PROBLEM.value]; show(); });
COLOUR.addEventListener("change", show);
document.getElementById("token-form").hidden = false;
listProblems(null);
chosen = DATA.methods[METHOD.value].views[PROBLEM.value];
show();
