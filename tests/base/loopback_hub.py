"""A Hugging Face Hub on loopback: as much of its protocol as it takes to fetch a model or a data set, or to push a model, and its troubles.

``huggingface_hub`` asks for models, and ``datasets`` by its file system for data sets, whose names here begin with ``datasets/``.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs

LARGE = 10_000  # bytes; a larger file is one of the Hub's large-file storage, known by its sha256


@dataclass
class Hub:
    """Repositories by name and commit, where branches are, and what goes wrong.

    ``trouble``: of a method and the last part of a path, the answers that come before the real one: a status, or "cut" for a file that
    breaks off in its middle. ``sizes``: what is said of a file's size in place of the truth. ``seen``: every request with its Range.
    ``private``: whether each repository that was made by a push is.
    """

    address: str = ""
    commits: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    branches: dict[tuple[str, str], str] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    private: dict[str, bool] = field(default_factory=dict)
    trouble: dict[str, list[int | str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def push(self, name: str, folder: Path, branch: str = "main", commit: str | None = None) -> str:
        """A commit of the files of ``folder``, at which ``branch`` is from now on; ``commit``: its name, which else follows from them."""
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return self.commit(name, files, branch, commit)

    def commit(self, name: str, files: dict[str, bytes], branch: str = "main", commit: str | None = None) -> str:
        """The same of files by their paths."""
        commit = commit or _commit(files)
        self.commits[name, commit] = files
        self.branches[name, branch] = commit
        return commit

    def asked(self, ending: str, method: str = "GET") -> list[str | None]:
        """The Range of each request for a path with that end."""
        return [sent for way, path, sent in self.seen if way == method and path.endswith(ending)]


@contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        """A question about paths; or what pushes: a repository, how its files are to be sent (all within the commit), and the commit."""
        path, hub = self.path.partition("?")[0], self.hub
        if "/paths-info/" in path:
            self._answer()
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with hub.lock:
            hub.seen.append((self.command, path, None))
        asked = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/([^/]+)", path)
        if path == "/api/repos/create":
            made = json.loads(body)
            name = f"{made['organization']}/{made['name']}"
            hub.private[name] = made.get("visibility") == "private"
            self._json({"url": f"{hub.address}/{name}", "name": name})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif asked and asked[2] == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            self._json({"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]})
        elif asked and asked[1] in hub.private:
            lines = [json.loads(line) for line in body.splitlines()]
            files = {line["value"]["path"]: line["value"]["content"] for line in lines if line["key"] == "file"}
            sent = hub.commit(asked[1], {name: b64decode(content) for name, content in files.items()}, asked[3])
            self._json({"commitUrl": f"{hub.address}/{asked[1]}/commit/{sent}", "commitOid": sent})
        else:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _answer(self) -> None:
        path, hub = self.path.partition("?")[0], self.hub
        with hub.lock:
            hub.seen.append((self.command, path, self.headers.get("Range")))
            waiting = hub.trouble.get(f"{self.command} {path.rpartition('/')[2]}", [])
            trouble = waiting.pop(0) if waiting else None
        if isinstance(trouble, int):
            self._send(trouble, b"busy", {"Retry-After": "0"})
            return
        # What a request says beside its path is read whatever the answer: the next one comes by the same connection.
        said = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        api = re.fullmatch(
            r"/api/(?:models/)?((?:datasets/)?[^/]+/[^/]+)/(revision|tree|paths-info)/([^/]+)(?:/(.*))?", path
        )
        file = re.fullmatch(r"/((?:datasets/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        found = api or file
        if found is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        name = found[1]
        revision = found[3] if api else found[2]
        commit = hub.branches.get((name, revision), revision)
        if name in hub.gated:
            self._send(403, b"", {"X-Error-Code": "GatedRepo"})
        elif not any(name == known for known, _ in hub.commits):
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif (name, commit) not in hub.commits:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif api and api[2] == "revision":
            self._json({"id": name.removeprefix("datasets/"), "sha": commit, "siblings": [], "tags": []})
        elif api:
            asked = set(parse_qs(said).get("paths", ())) if api[2] == "paths-info" else None
            self._json(self._listed(hub.commits[name, commit], api[4] or "", asked))
        elif (data := hub.commits[name, commit].get(file[3])) is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            self._file(file[3], data, commit, cut=trouble == "cut")

    def _listed(self, files: dict[str, bytes], folder: str, asked: set[str] | None) -> list[dict[str, object]]:
        """The files below ``folder`` and the folders that they lie in; of these the ``asked`` ones."""
        below = {path: data for path, data in files.items() if not folder or path.startswith(f"{folder}/")}
        folders = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}
        entries = [self._entry(path, data) for path, data in below.items()]
        entries += [{"type": "directory", "path": path, "oid": _git_digest(path.encode())} for path in sorted(folders)]
        return [entry for entry in entries if asked is None or entry["path"] in asked]

    def _entry(self, path: str, data: bytes) -> dict[str, object]:
        size = self.hub.sizes.get(path, len(data))
        entry: dict[str, object] = {"type": "file", "path": path, "size": size, "oid": _git_digest(data)}
        if len(data) > LARGE:
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": size, "pointerSize": 1}
        return entry

    def _file(self, path: str, data: bytes, commit: str, cut: bool) -> None:
        digest = hashlib.sha256(data).hexdigest() if len(data) > LARGE else _git_digest(data)
        headers = {"ETag": f'"{digest}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if self.command == "HEAD":
            self._send(200, b"0" * self.hub.sizes.get(path, len(data)), headers)
            return
        first = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        status, body = HTTPStatus.OK, data
        if first and int(first[1]) < len(data):
            last = int(first[2]) if first[2] else len(data) - 1
            status, body = HTTPStatus.PARTIAL_CONTENT, data[int(first[1]) : last + 1]
            headers["Content-Range"] = f"bytes {first[1]}-{last}/{len(data)}"
        self._send(status, body, headers, cut)

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str], cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
        else:
            self.wfile.write(body)


def _commit(files: dict[str, bytes]) -> str:
    return hashlib.sha1(b"".join(key.encode() + value for key, value in sorted(files.items()))).hexdigest()


def _git_digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
