"""What tests ask of a page in a browser, and do to it: JavaScript expressions."""

from __future__ import annotations

DESKTOP, PHONE = 1280, 390
GROUNDS = ("light", "dark")
TOKENS = "[...document.querySelectorAll('.tokens')].map(list => list.textContent)"
COLOURS = "[...document.querySelectorAll('.tokens .token')].map(token => getComputedStyle(token).backgroundColor)"
# WCAG 2.2: the contrast of the text and the ground of each token, outcome and detail.
CONTRASTS = """(() => {
  const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = (colour) => {
    const [red, green, blue] = colour.match(/[\\d.]+/g).map((value) => channel(value / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  return [...document.querySelectorAll('.token, .outcome, #tip')].map((token) => {
    const style = getComputedStyle(token);
    const pair = [light(style.color), light(style.backgroundColor)].sort((one, other) => other - one);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
  });
})()"""
# The methods that each panel shows: by the heading of the section, and those of the token viewer.
SEEN = """(() => {
  const found = {};
  const there = (part) => part.getClientRects().length > 0;
  document.querySelectorAll("main [data-method]").forEach((part) => {
    const panel = part.closest("section").getAttribute("aria-labelledby");
    found[panel] = (found[panel] || []).concat(there(part) ? part.dataset.method : []);
  });
  found.cards = [...document.querySelectorAll("#token-responses h3")].map((heading) => heading.textContent);
  found.boxes = [...document.querySelectorAll("#token-methods label")].flatMap((label, index) => (label.hidden ? [] : DATA.names[index]));
  return found;
})()"""
PRESSED = "[...document.querySelectorAll('[data-toggle][aria-pressed=true]')].map((toggle) => toggle.dataset.toggle)"
FAULTS = """axe.run().then((found) => found.violations
  .filter((fault) => ["serious", "critical"].includes(fault.impact))
  .flatMap((fault) => fault.nodes.map((node) => `${fault.id}: ${node.html}`)))"""


def toggled(name: str) -> str:
    """Press the toggle of a method."""
    return f"document.querySelector('[data-toggle={name}]').click()"


def chosen(name: str, value: object, event: str = "change") -> str:
    """Choose an option of a select, or a place of a slider, as a person would."""
    return (
        f"(() => {{ const control = document.getElementById('{name}'); control.value = {value};"
        f" control.dispatchEvent(new Event('{event}')); }})()"
    )
