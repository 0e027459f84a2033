"""The page of a study, written from its stored tables, figures and records."""

from __future__ import annotations

from pathlib import Path

from tokencredit import files
from tokencredit.analysis import summary
from tokencredit.analysis.page import checks, comparison, costs, exhibits, origins, story, viewer
from tokencredit.analysis.page.judged import TABLES as JUDGED
from tokencredit.analysis.page.template import filled, inlined
from tokencredit.analysis.store import Store
from tokencredit.study import exhibits as plan


def write(store: Store, out: Path) -> None:
    """Write the page to ``out``. Tables and figures must have been made: a missing one is a ``UserError``.

    The same records give the same bytes. Everything in it is escaped by the template, and its content security policy lets nothing be
    loaded and no script run but its own.
    """
    study, planned = store.study, plan.planned(store.study)
    judged = {name: exhibits.judged(store, name) for name in JUDGED if name in planned["tables"]}
    scored = exhibits.stored(store, "table1")
    page = filled(
        "page.html.j2",
        style=inlined("page.css") + comparison.colours(store),
        script=inlined("page.js", "tokens.js"),
        study=study,
        one_seed=len(study.training.seeds) == 1,
        story=story.tell(
            store,
            **{name: judged[name].entries if name in judged else [] for name in JUDGED},
            oracle=exhibits.stored(store, "oracle") if "oracle" in planned["tables"] else None,
        ),
        judged=judged,
        charts=comparison.charts_of_scores(store, scored),
        scored=exhibits.table(store, "table1"),
        aims=summary.aims(store, scored),
        tables=[exhibits.table(store, name) for name in planned["tables"] if name not in ("table1", *JUDGED)],
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
