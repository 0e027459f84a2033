// Which methods are shown, in every panel: a toggle for each. The address keeps them, "#methods=grpo,eapo", with "&at=" and a place where a
// link of the page was followed. What is about no single method has no data-method, and stays.
const FILTER = document.getElementById("filter");
const TOGGLES = FILTER ? [...FILTER.querySelectorAll("[data-toggle]")] : [];
const METHODS = TOGGLES.map((toggle) => toggle.dataset.toggle);
let visible = new Set(METHODS);

const isShown = (name) => visible.has(name) || !METHODS.includes(name);

function showMethods(names, unknown = []) {
  visible = new Set(names);
  TOGGLES.forEach((toggle) => toggle.setAttribute("aria-pressed", isShown(toggle.dataset.toggle)));
  document.querySelectorAll("[data-method]").forEach((part) => { part.toggleAttribute("hidden", !isShown(part.dataset.method)); });
  const all = visible.size === METHODS.length;
  const said = all ? "All are shown." : `${visible.size} of ${METHODS.length} are shown. Pictures, claims and checks are about all.`;
  const strange = unknown.map((name) => `“${name}”`).join(", ");
  document.getElementById("filter-said").textContent = (strange && `The address names what is no method of this study: ${strange}. `) + said;
  document.dispatchEvent(new Event("methods"));
}

function keepInAddress() {
  const at = place();
  const names = METHODS.filter(isShown);
  const kept = names.length === METHODS.length ? at : `methods=${names.join(",")}${at && `&at=${at}`}`;
  window.history.replaceState(null, "", kept ? `#${kept}` : window.location.pathname + window.location.search);
}

function choose(names) {
  showMethods(names);
  keepInAddress();
}

// An address without methods is a link of the page that was followed: what is shown stays. Unknown names may be another study's: all is shown.
function readAddress() {
  if (!window.location.hash.startsWith("#methods=")) {
    keepInAddress();
    return;
  }
  const names = new URLSearchParams(window.location.hash.slice(1)).get("methods").split(",").filter(Boolean);
  const unknown = names.filter((name) => !METHODS.includes(name));
  showMethods(unknown.length ? METHODS : names, unknown);
}

if (FILTER) {
  TOGGLES.forEach((toggle) => toggle.addEventListener("click", () => {
    const own = toggle.dataset.toggle;
    choose(METHODS.filter((name) => isShown(name) !== (name === own)));
  }));
  document.getElementById("filter-all").addEventListener("click", () => choose(METHODS));
  document.getElementById("filter-none").addEventListener("click", () => choose([]));
  window.addEventListener("hashchange", readAddress);
  FILTER.hidden = false;
  showMethods(METHODS);
  if (window.location.hash) readAddress();
}
