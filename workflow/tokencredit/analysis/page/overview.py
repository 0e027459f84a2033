"""``results/index.html``: the studies that have results here, with question, answer in one sentence, state and page."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from tokencredit import files
from tokencredit.analysis.page.template import filled, inlined
from tokencredit.config import Config, Study
from tokencredit.errors import UserError
from tokencredit.study.paths import Paths

LOCK = ".index.lock"


@dataclass(frozen=True)
class Entry:
    """A study on the list. ``asked`` and ``answer``: as its page has them, empty without a page. ``finished``: it has a page."""

    name: str
    title: str
    asked: str
    answer: str
    state: str
    finished: bool


def write(config: Path, results: Path) -> Path:
    """Write the list from what is below ``results`` now, and return its path.

    Every job that writes the page of a study calls this once the page stands. Jobs that end at the same time take turns, and each reads the
    folder in its own turn: the last one to write has seen every page.
    """
    path = results / "index.html"
    with _turn(results / LOCK):
        files.write_text(path, filled("overview.html.j2", inlined("page.css"), entries=entries(config, results)))
    return path


def entries(config: Path, results: Path) -> list[Entry]:
    """The studies of the configuration that have a folder below ``results``: those with a page first, then by name."""
    known = Config(config)
    names = [name for name in sorted(known.study_names) if results.joinpath(name).is_dir()]
    return sorted((_entry(known, name, results) for name in names), key=lambda entry: not entry.finished)


def _entry(config: Config, name: str, results: Path) -> Entry:
    try:
        study = config.study(name)
    except UserError:
        return Entry(name, name, "", "", "its configuration cannot be read", False)
    paths = Paths(study, results)
    if not paths.page.is_file():
        return Entry(name, study.title, "", "", _progress(study, paths), False)
    page = _Page()
    page.feed(paths.page.read_text(encoding="utf-8"))
    return Entry(name, study.title, page.asked, page.answer, "finished", True)


def _progress(study: Study, paths: Paths) -> str:
    runs = [row for row in study.rows if row.method]
    done = sum(paths.run(row).record.is_file() for row in runs)
    return f"no page yet; {done} of {len(runs)} training runs are done"


@dataclass
class _Page(HTMLParser):
    """The question and the answer of a study's page, as ``page.html.j2`` writes them."""

    answer: str = ""
    asked: str = ""
    _inside: bool = field(default=False)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "meta" and found.get("name") == "description":
            self.answer = found.get("content") or ""
        self._inside = self._inside or (tag == "h2" and found.get("id") == "answer")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "h2"

    def handle_data(self, data: str) -> None:
        self.asked += data if self._inside else ""


@contextlib.contextmanager
def _turn(lock: Path) -> Iterator[None]:
    """Wait until no other process is in it. A file system without locks lets several in: the list is then whole, and may miss a page."""
    with lock.open("w") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
