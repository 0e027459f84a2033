"""``results/index.html``: the studies that have results here, with question, answer in one sentence, state and page."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from tokencredit import files
from tokencredit.analysis.page.so_far import folder_of
from tokencredit.analysis.page.template import filled, inlined
from tokencredit.config import Config, Study
from tokencredit.errors import UserError
from tokencredit.study.paths import Paths

LOCK = ".index.lock"


@dataclass(frozen=True)
class Entry:
    """A study on the list. ``finished``: its own page is there. ``page``: that page, else the one that ``tokencredit watch --page`` wrote
    while the study ran, relative to ``results``; empty where there is neither. ``asked``, ``answer``, and ``said``, how far the study was
    at what time: as the page has them.
    """

    name: str
    title: str
    asked: str
    answer: str
    state: str
    finished: bool
    page: str = ""
    said: str = ""


def write(config: Path, results: Path) -> Path:
    """Write the list from what is below ``results`` now, and return its path.

    Every job that writes the page of a study calls this once the page stands, and ``tokencredit watch --page`` does. Jobs that end at the
    same time take turns, and each reads the folder in its own turn: the last one to write has seen every page.
    """
    path = results / "index.html"
    with _turn(results / LOCK):
        files.write_text(path, filled("overview.html.j2", inlined("page.css"), entries=entries(config, results)))
    return path


def entries(config: Path, results: Path) -> list[Entry]:
    """The studies of the configuration that have a folder below ``results``: finished ones, then those with a page; each by name."""
    known = Config(config)
    names = [name for name in sorted(known.study_names) if results.joinpath(name).is_dir()]
    return sorted((entry(known, name, results) for name in names), key=lambda one: (not one.finished, not one.page))


def entry(config: Config, name: str, results: Path) -> Entry:
    """A study as the list has it."""
    try:
        study = config.study(name)
    except UserError:
        return Entry(name, name, "", "", "its configuration cannot be read", False)
    paths = Paths(study, results)
    finished = paths.page.is_file()
    file = paths.page if finished else folder_of(paths) / "index.html"
    if not file.is_file():
        return Entry(name, study.title, "", "", f"no page yet; {_progress(study, paths)}", False)
    page = _Page()
    page.feed(file.read_text(encoding="utf-8"))
    state = "finished" if finished else f"not finished; {_progress(study, paths)}"
    return Entry(
        name, study.title, page.asked, page.answer, state, finished, file.relative_to(results).as_posix(), page.said
    )


def _progress(study: Study, paths: Paths) -> str:
    runs = [row for row in study.rows if row.method]
    done = sum(paths.run(row).record.is_file() for row in runs)
    return f"{done} of {len(runs)} training runs are done"


class _Page(HTMLParser):
    """What the page of a study says of itself: question and answer (``page.html.j2``), and how far it is (``so_far.html.j2``)."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = self.answer = self.said = ""
        self._inside = self._section = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "meta" and found.get("name") == "description":
            self.answer = found.get("content") or ""
        if tag == "h2":
            self._section = found.get("id") or ""
        if (tag, self._section) == ("h2", "answer") or ((tag, self._section) == ("strong", "so-far") and not self.said):
            self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "h2":
            self.asked += data
        elif self._inside == "strong":
            self.said += data


@contextlib.contextmanager
def _turn(lock: Path) -> Iterator[None]:
    """Wait until no other process is in it. A file system without locks lets several in: the list is then whole, and may miss a page."""
    with lock.open("w") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
