"""One self-contained page of a study, from the tables and figures that are stored. Everything in it is escaped by the template."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import jinja2

from tokencredit import files
from tokencredit.analysis import plan, summary, tables
from tokencredit.analysis.store import Store

CAPTIONS = Path(__file__).parents[2] / "report"
TEMPLATE = Path(__file__).with_name("report.html.j2")


def write(store: Store, out: Path) -> None:
    """Write the report to ``out``. The tables and figures must have been made: a missing one is a ``UserError``."""
    study = store.study
    planned = plan.planned(study)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        study=study,
        headings=summary.headings(store),
        lines=summary.closing_lines(store),
        aims=summary.aims(store),
        tables=[_table(store, name) for name in planned["tables"]],
        figures=[_figure(store, name) for name in planned["figures"]],
        audits=store.audits,
        overlaps=[report for reports in store.overlaps.values() for report in reports],
        reconstructions=[method.title for method in study.methods.values() if method.reconstruction],
        origins=[_origin(store, kind, name) for kind, names in planned.items() for name in names],
        runs=[store.run(name, seed) for name in study.methods for seed in study.training.seeds],
    )
    files.write_text(out, page)


def caption(name: str) -> str:
    """The caption of a table or figure, ``workflow/report/<name>.rst``, as plain text."""
    text = (CAPTIONS / f"{name}.rst").read_text(encoding="utf-8")
    return " ".join(re.sub(r"``([^`]*)``|\*\*([^*]*)\*\*", r"\1\2", text).split())


def _table(store: Store, name: str) -> dict:
    wide = tables.wide(name, tables.read(store.path("tables", f"{name}.csv")), store)
    return {"name": name, "heading": _heading("table", name), "caption": caption(name), "wide": wide}


def _figure(store: Store, name: str) -> dict:
    path = store.path("figures", f"{name}.png")
    files.sha256(path)  # names the figure if it was not made
    picture = base64.b64encode(path.read_bytes()).decode()
    return {
        "name": name,
        "heading": _heading("figure", name),
        "caption": caption(name),
        "note": files.read_json(path.with_suffix(".json"))["note"],
        "picture": picture,
    }


def _heading(kind: str, name: str) -> str:
    number = name.removeprefix(kind)
    return f"{kind.capitalize()} {number}" if number.isdigit() else f"{name.capitalize()} ({kind})"


def _origin(store: Store, kind: str, name: str) -> dict:
    return files.read_json(store.path(kind, f"{name}.json")) | {"name": f"{kind}/{name}"}
