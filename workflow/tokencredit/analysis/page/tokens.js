// The token viewer. Every text of a model or a data set is set as text, never read as markup.

const DATA = JSON.parse(document.getElementById("token-data").textContent);
const [STEP, PROBLEM, SIDE, COLOUR] = ["step", "problem", "side", "colour"].map((name) => document.getElementById(`token-${name}`));
const CHOICES = document.getElementById("token-methods");
let picked = []; // boxes of methods that are to be side by side

// The ground that colours are mixed with, and the colours themselves, so that a token's text can be read on each.
const DARK = window.matchMedia("(prefers-color-scheme: dark)");
const PAINT = {
  light: { ground: [255, 255, 255], amber: [243, 156, 67], orange: [241, 163, 64], purple: [153, 142, 195] },
  dark: { ground: [33, 38, 45], amber: [150, 84, 10], orange: [150, 84, 10], purple: [98, 82, 160] },
};
const QUADRANTS = ["quadrant-phr", "quadrant-plr", "quadrant-nhr", "quadrant-nlr"];

// A token as a method saw it: `shown` is the method's part of a view, `response` the response that it is about.
const responseOf = (shown) => DATA.responses[shown.response];
const kept = (shown, index) => !shown.kept || shown.kept[index] === 1;
const advantage = (shown, index) => (Array.isArray(shown.advantage) ? shown.advantage[index] : shown.advantage);
const credit = (shown, index) => (kept(shown, index) ? advantage(shown, index) : 0);
const share = (shown, index) => (shown.whole === 0 ? Number(kept(shown, index)) : credit(shown, index) / shown.whole);
const measured = (name) => (shown, index) => (responseOf(shown)[name] ? responseOf(shown)[name][index] : null);
const EVERY = DATA.views.flatMap((view) => Object.values(view.shown).flat());
const everywhere = (value, list = EVERY) =>
  list.flatMap((shown) => responseOf(shown).token.map((_, index) => value(shown, index)).filter((found) => found !== null));

// How tokens are coloured: a value, where its colours end, and how it is written. Scales run over all methods but the share's, which runs
// over those that are shown: EAPO moves credit by a tenth, and a quadrant run takes all of it away.
const SCALES = {
  credit: {
    title: "credit given: the advantage",
    value: credit,
    ends: () => around(0, everywhere(credit)),
    colour: (value, ends) => diverging(value, ends),
    text: (value) => signed(value),
  },
  share: {
    title: "credit given, relative to its response",
    value: share,
    ends: (list) => around(1, everywhere(share, list)),
    colour: (value, ends) => diverging(value, ends),
    text: (value) => `${value.toFixed(3)} ×`,
  },
  mask: { title: "mask: kept in the loss or left out", classes: (shown, index) => (kept(shown, index) ? "mask-kept" : "mask-out"), keys: [["mask-kept", "kept in the loss"], ["mask-out", "left out"]] },
  entropy: {
    title: "entropy",
    value: (shown, index) => responseOf(shown).entropy[index],
    ends: () => [0, highest(everywhere(SCALES.entropy.value))],
    colour: (value, [, high]) => mixed("amber", value / high),
    text: (value) => `${value.toFixed(3)} nats`,
  },
  quadrant: { title: "quadrant", classes: (shown, index) => QUADRANTS[responseOf(shown).quadrant[index]], keys: QUADRANTS.map((name, index) => [name, DATA.quadrants[index]]) },
  // At the first step of studies with an oracle. The token taken may be no more than usual where the others are worth much: hence both.
  advantage: {
    title: "credit measured: Q − V of the token",
    value: measured("measured_advantage"),
    ends: () => around(0, everywhere(SCALES.advantage.value)),
    colour: (value, ends) => diverging(value, ends),
    text: (value) => signed(value),
  },
  information: {
    title: "credit measured: I(token; reward)",
    value: measured("information"),
    ends: () => [0, highest(everywhere(SCALES.information.value))],
    colour: (value, [, high]) => mixed("amber", value / high),
    text: (value) => `${(1000 * value).toFixed(1).replace("-", "−")} mnat`,
  },
};
if (!everywhere(SCALES.information.value).length) {
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

function mixed(name, part) {
  const { ground, [name]: colour } = DARK.matches ? PAINT.dark : PAINT.light;
  const bounded = Math.min(1, Math.max(0, part));
  return `rgb(${ground.map((from, index) => Math.round(from + bounded * (colour[index] - from))).join(", ")})`;
}

function diverging(value, [low, high]) {
  const place = (2 * value - low - high) / (high - low);
  return mixed(place < 0 ? "purple" : "orange", Math.abs(place));
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
}

function given(shown, index) {
  return kept(shown, index) ? `${signed(advantage(shown, index))} (${share(shown, index).toFixed(3)} × its response's)` : "left out of the loss";
}

function described(shown, index) {
  const response = responseOf(shown);
  const parts = [
    `“${response.token[index]}”, token ${index + 1} of ${response.length}`,
    `entropy ${SCALES.entropy.text(response.entropy[index])}`,
    DATA.quadrants[response.quadrant[index]],
    ...["advantage", "information"].flatMap((name) => {
      const value = SCALES[name] && SCALES[name].value(shown, index);
      return typeof value === "number" ? [`measured ${name === "advantage" ? "Q − V" : "I"} ${SCALES[name].text(value)}`] : [];
    }),
  ];
  return parts.join("; ");
}

// The token's values, with the credit of every method that is shown on the same response.
function detail(shown, index, cards) {
  const same = cards.filter((card) => card.shown && card.shown.response === shown.response);
  return `${described(shown, index)}; credit: ${same.map((card) => `${card.title} ${given(card.shown, index)}`).join(", ")}`;
}

function token(card, index, scale, ends, cards) {
  const { shown, title } = card;
  const text = `${described(shown, index)}; ${title} ${given(shown, index)}`;
  const made = element("span", responseOf(shown).token[index], { role: "option", tabindex: index ? "-1" : "0", "aria-label": text, "aria-selected": "false" });
  made.className = `token ${kept(shown, index) ? "" : "left-out"}`;
  const value = scale.colour && scale.value(shown, index);
  if (value === null) made.classList.add("unknown");
  else if (scale.colour) made.style.backgroundColor = scale.colour(value, ends);
  else made.classList.add(scale.classes(shown, index));
  for (const event of ["focus", "mouseenter", "click"]) {
    made.addEventListener(event, () => {
      document.getElementById("token-detail").textContent = detail(shown, index, cards);
      document.querySelectorAll(".token.same").forEach((other) => other.classList.remove("same"));
      document.querySelectorAll(`.tokens[data-response="${shown.response}"]`).forEach((list) => list.querySelectorAll(".token")[index].classList.add("same"));
    });
  }
  return made;
}

function shownCard(card, scale, ends, cards) {
  const box = element("div", "", { class: "card" });
  box.append(element("h3", card.title));
  if (!card.shown) {
    box.append(element("p", "No such response of this problem is stored at this step.", { class: "note" }));
    return box;
  }
  const response = responseOf(card.shown);
  const cut = response.token.length < response.length ? `, the first ${response.token.length} here` : "";
  const first = cards.find((other) => other.shown && other.shown.response === card.shown.response);
  const same = first === card ? "" : `; the response of ${first.title}`;
  box.append(element("p", `Advantage ${signed(card.shown.whole)}; ${response.length} tokens${cut}${same}`, { class: "note" }));
  const list = element("div", "", { role: "listbox", "aria-label": `${card.title}: tokens`, "aria-orientation": "horizontal", class: "tokens", "data-response": card.shown.response });
  response.token.forEach((text, index) => {
    list.append(token(card, index, scale, ends, cards));
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

function legend(scale, ends, cards) {
  const box = document.getElementById("token-legend");
  box.replaceChildren();
  const list = cards.flatMap((card) => card.shown || []);
  if (scale.colour) {
    const bar = element("span", "", { class: "bar", "aria-hidden": "true" });
    for (let part = 0; part <= 24; part += 1) {
      const piece = element("span", "");
      piece.style.backgroundColor = scale.colour(ends[0] + (part / 24) * (ends[1] - ends[0]), ends);
      bar.append(piece);
    }
    const over = [SCALES.entropy, SCALES.information].includes(scale) ? " and above" : "";
    box.append(element("span", scale.text(ends[0])), bar, element("span", scale.text(ends[1]) + over));
    if (list.some((shown) => responseOf(shown).token.some((_, index) => scale.value(shown, index) === null))) {
      box.append(element("span", "not measured, or a single next token", { class: "token unknown" }));
    }
  } else {
    scale.keys.forEach(([name, title]) => box.append(element("span", title, { class: `token ${name}` })));
  }
  if (scale !== SCALES.mask && list.some((shown) => shown.kept)) box.append(element("span", "left out of the loss", { class: "token left-out" }));
}

// The boxes of methods that the page shows. Few methods are side by side without being asked for; of many, those that were chosen.
function offer() {
  const boxes = [...CHOICES.querySelectorAll("input")];
  const there = boxes.filter((_, index) => isShown(DATA.names[index]));
  const own = there.filter((box) => picked.includes(box));
  const chosen = own.length && there.length > DATA.start.length ? own : there.slice(0, DATA.start.length);
  boxes.forEach((box) => {
    box.checked = chosen.includes(box);
    box.parentElement.hidden = !there.includes(box);
  });
  show();
}

function show() {
  const view = DATA.views[PROBLEM.value];
  const right = SIDE.value === "right";
  const boxes = [...CHOICES.querySelectorAll("input")];
  const chosen = boxes.flatMap((box, index) => (box.checked ? [index] : []));
  const cards = chosen.map((index) => ({
    title: DATA.methods[index],
    shown: (view.shown[index] || []).find((shown) => responseOf(shown).right === right),
  }));
  const scale = SCALES[COLOUR.value];
  const ends = scale.ends && scale.ends(cards.flatMap((card) => card.shown || []));
  const known = DATA.problems[view.problem];
  document.getElementById("token-text").textContent = known
    ? `${known.problem} (Answer: ${known.answer})`
    : `Problem ${view.problem}; its text is not among the stored data.`;
  document.getElementById("token-detail").textContent = "Point at a token, tap it, or go to it by keyboard, to read its values.";
  document.getElementById("token-count").textContent = `${chosen.length} of ${boxes.filter((box) => !box.parentElement.hidden).length}`;
  legend(scale, ends, cards);
  document.getElementById("token-responses").replaceChildren(...cards.map((card) => shownCard(card, scale, ends, cards)));
}

// The problems of the step that the slider is at.
function listProblems() {
  const step = DATA.steps[STEP.value];
  document.getElementById("token-step-text").textContent = `${step}`;
  STEP.setAttribute("aria-valuetext", `step ${step}`);
  const options = DATA.views.flatMap((view, index) => (view.step === step ? [element("option", view.problem, { value: index })] : []));
  PROBLEM.replaceChildren(...options);
}

STEP.max = DATA.steps.length - 1;
DATA.methods.forEach((title, index) => {
  const label = element("label", "");
  const box = element("input", "", { type: "checkbox" });
  if (DATA.start.includes(index)) picked.push(box);
  label.append(box, title);
  CHOICES.append(label);
});
Object.entries(SCALES).forEach(([name, scale]) => COLOUR.append(element("option", scale.title, { value: name })));
COLOUR.value = "share";
STEP.addEventListener("input", () => { listProblems(); show(); });
[PROBLEM, SIDE, COLOUR].forEach((control) => control.addEventListener("change", show));
CHOICES.addEventListener("change", () => {
  picked = [...CHOICES.querySelectorAll("input:checked")];
  show();
});
DARK.addEventListener("change", show);
document.addEventListener("methods", offer);
document.getElementById("token-form").hidden = false;
listProblems();
offer();
