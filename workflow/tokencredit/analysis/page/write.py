"""The page of a study, written from its stored tables, figures and records."""

from __future__ import annotations

from pathlib import Path

from tokencredit import files
from tokencredit.analysis import summary
from tokencredit.analysis.page import checks, comparison, costs, exhibits, learning, origins, story, toggles, viewer
from tokencredit.analysis.page.judged import TABLES as JUDGED
from tokencredit.analysis.page.so_far import Available
from tokencredit.analysis.page.template import filled, inlined
from tokencredit.analysis.store import Store


def write(store: Store, out: Path) -> None:
    """Write the page to ``out``. Tables and figures must have been made: a missing one is a ``UserError``.

    The same records give the same bytes. Everything in it is escaped by the template, and its content security policy lets nothing be
    loaded and no script run but its own.
    """
    files.write_text(out, _filled(Available.everything(store)))


def write_so_far(available: Available, out: Path) -> None:
    """Write the page of a study that runs to ``out``: what is there, and what is missing."""
    files.write_text(out, _filled(available))


def _filled(available: Available) -> str:
    store, trained, so_far = available.whole, available.trained, available.so_far
    study = store.study
    tables, figures = (
        {name: of for (own, name), of in available.made.items() if own == kind} for kind in ("table", "figure")
    )
    judged = {name: exhibits.judged(tables[name], name) for name in JUDGED if name in tables}
    compared = tables.get("table1")  # those rows that are scored
    scores = exhibits.stored(compared, "table1") if compared else None
    experiments, claims = (judged[name].entries if name in judged else [] for name in JUDGED)
    oracle = exhibits.stored(tables["oracle"], "oracle") if "oracle" in tables else None
    toggled = toggles.toggles(study, (compared or store).study)
    learned = learning.of_runs(study, so_far.runs) if so_far else learning.of_store(store)
    return filled(
        "page.html.j2",
        style=inlined("page.css") + comparison.colours(compared or store),
        script=inlined("page.js", "methods.js", *(["tokens.js"] if trained else [])),
        study=study,
        so_far=so_far,
        toggles=toggled,
        learning=learning.learning(store, learned, toggled),
        one_seed=len((compared or store).study.training.seeds) == 1,
        story=story.tell_so_far(study, compared, experiments, oracle)
        if so_far
        else story.tell(store, claims, experiments, oracle),
        judged=judged,
        charts=comparison.charts_of_scores(compared, scores) if compared else [],
        scored=exhibits.table(compared, "table1") if compared else None,
        aims=summary.aims(store, scores) if compared and not so_far else [],
        tables=[exhibits.table(of, name) for name, of in tables.items() if name not in ("table1", *JUDGED)],
        figures=[exhibits.figure(of, name) for name, of in figures.items()],
        viewer=viewer.data(trained) if trained else None,
        audits=store.audits,
        overlaps=[report for reports in store.overlaps.values() for report in reports],
        mismatches=checks.mismatches(trained) if trained else [],
        commits=origins.commits(available.made),
        origins=origins.shown(available.made),
        accepted=origins.accepted(store),
        environments=origins.environments(trained) if trained else {},
        data=origins.data_digests(trained) if trained else {},
        released=origins.released(store),
        runs=origins.runs(trained) if trained else [],
        costs=costs.by_rule(store),
        reconstructions=[method.title for method in study.methods.values() if method.reconstruction],
    )
