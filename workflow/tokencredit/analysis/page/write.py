"""The page of a study, written from its stored tables, figures and records."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import jinja2

from tokencredit import files
from tokencredit.analysis import summary
from tokencredit.analysis.page import checks, costs, exhibits, origins, viewer
from tokencredit.analysis.store import Store
from tokencredit.study import exhibits as plan

HERE = Path(__file__).parent


def write(store: Store, out: Path) -> None:
    """Write the page to ``out``. Tables and figures must have been made: a missing one is a ``UserError``.

    The same records give the same bytes. Everything in it is escaped by the template, and its content security policy lets nothing be
    loaded and no script run but its own.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # "tojson" also writes <, > and & as \u003c and so on, so that no text can end the element that it stands in.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    study, planned = store.study, plan.planned(store.study)
    style, script = (_inlined(HERE / name) for name in ("page.css", "tokens.js"))
    outcome_tables = [name for name in exhibits.OUTCOMES if name in planned["tables"]]
    page = environment.get_template("page.html.j2").render(
        study=study,
        style=style,
        script=script,
        policy=f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'",
        outcomes=[exhibits.outcome_table(store, name) for name in outcome_tables],
        headings=summary.headings(store),
        lines=summary.closing_lines(store),
        aims=summary.aims(store),
        tables=[exhibits.table(store, name) for name in planned["tables"] if name not in outcome_tables],
        figures=[exhibits.figure(store, name) for name in planned["figures"]],
        viewer=viewer.data(store),
        audits=store.audits,
        overlaps=[report for reports in store.overlaps.values() for report in reports],
        mismatches=checks.mismatches(store),
        commits=origins.commits(store),
        origins=origins.shown(store),
        accepted=origins.accepted(store),
        environments=origins.environments(store),
        data=origins.data_digests(store),
        released=origins.released(store),
        runs=origins.runs(store),
        costs=costs.by_rule(store),
        reconstructions=[method.title for method in study.methods.values() if method.reconstruction],
    )
    files.write_text(out, page)


def _inlined(path: Path) -> str:
    return f"\n{path.read_text(encoding='utf-8')}"


def _digest(text: str) -> str:
    """The source expression of a content security policy that allows the inline element with exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
