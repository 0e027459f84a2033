"""One process at a time in a run's folder, on one machine or on many that share a file system."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

# Seconds: how often an owner renews its name, and after how long without that it is gone. The machines of a shared file system may see a
# change as late as a minute.
RENEW, LEASE = 20.0, 150.0
_LOOK = 0.5
_LENGTH = 400
# What a file system answers that keeps no locks.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Owner:
    """Who works in a folder: the process, its Slurm job where it is in one, and when it came (local time)."""

    host: str
    pid: int
    slurm_job: str | None
    since: str

    def __str__(self) -> str:
        job = f" (Slurm job {self.slurm_job})" if self.slurm_job else ""
        return f"process {self.pid} on {self.host}{job} since {self.since}"


@contextlib.contextmanager
def exclusive(
    folder: str | Path, give_up: Callable[[], bool] = lambda: False, lease: float = LEASE, renew: float = RENEW
) -> Iterator[bool]:
    """Keep other processes that ask for the same out of ``folder``; wait for one that is inside, and say who it is.

    Gives True inside, and False, with nothing kept, where ``give_up`` said so first.

    The kernel lets go of the lock when its owner ends, however that is. Not every file system tells other machines of a lock, so the owner
    also renews its name in ``.lock`` every ``renew`` seconds, and the name of a process on another machine counts for ``lease`` seconds
    after that. An owner that finds another's name there, as after a suspension, or that cannot renew its own for ``lease`` seconds, ends at
    once with status 1.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    me = Owner(socket.gethostname(), os.getpid(), os.environ.get("SLURM_JOB_ID"), time.strftime("%Y-%m-%d %H:%M:%S"))
    # Made where it is missing, and otherwise as it is: the time of its last change is the owner's last sign.
    with os.fdopen(os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
        if not _wait(file, folder, me, lease, give_up):
            yield False
            return
        _write(file, json.dumps(asdict(me)))
        done = threading.Event()
        renewal = threading.Thread(target=_renew, args=(folder / ".lock", me, renew, lease, done), daemon=True)
        renewal.start()
        try:
            yield True
        finally:
            done.set()
            renewal.join()
            _write(file, "")


def owner_of(folder: str | Path) -> Owner | None:
    """Who works in ``folder``, as far as reading tells: a process of this machine that exists, or one elsewhere that lately gave a sign.

    Nothing is locked and nothing written.
    """
    path = Path(folder, ".lock")
    try:
        owner, silent = _read(path), time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
    if owner is None:
        return None
    here = owner.host == socket.gethostname()
    return owner if (_exists(owner.pid) if here else silent < LEASE) else None


def _wait(file: IO[bytes], folder: Path, me: Owner, lease: float, give_up: Callable[[], bool]) -> bool:
    told = None
    while not give_up():
        inside = _owner_inside(file, folder, me, lease)
        if inside is None:
            return True
        if inside != told:
            print(f"{folder}: waiting for {inside}, which works in it", file=sys.stderr, flush=True)
            told = inside
        time.sleep(_LOOK)
    return False


def _owner_inside(file: IO[bytes], folder: Path, me: Owner, lease: float) -> Owner | str | None:
    """Who works in the folder now. Where that is nobody, this process has the kernel's lock from here on."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked = True
    except BlockingIOError:
        return _read(folder / ".lock") or "another process"
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        locked = False
    owner = _read(folder / ".lock")
    if owner is None or (locked and owner.host == me.host) or _age(folder) > lease:
        return None
    if locked:
        fcntl.flock(file, fcntl.LOCK_UN)
    return owner


def _renew(path: Path, me: Owner, every: float, lease: float, done: threading.Event) -> None:
    renewed = time.monotonic()
    while not done.wait(every):
        try:
            owner = _read(path)
            if owner == me:
                os.utime(path)
                renewed = time.monotonic()
                continue
            why = f"taken over by {owner}"
        # A file system that stumbles is given as long as others take the name for valid.
        except (OSError, ValueError) as error:
            if time.monotonic() - renewed < lease:
                continue
            why = f"its lock could not be renewed for {lease:g} seconds: {error}"
        print(f"error: {path.parent}: {why}; this process ends.", file=sys.stderr, flush=True)
        os._exit(1)


def _read(path: Path) -> Owner | None:
    # Opened anew: only then does a network file system look at what others wrote.
    text = path.read_text(encoding="utf-8").strip()
    return Owner(**json.loads(text)) if text else None


def _write(file: IO[bytes], text: str) -> None:
    """``text`` in place of what was there, in one piece: others never read half of it."""
    os.pwrite(file.fileno(), text.ljust(_LENGTH).encode(), 0)
    os.fsync(file.fileno())


def _age(folder: Path) -> float:
    """Seconds since the owner's last sign, by the clock that stamps the files: those of machines differ."""
    with tempfile.TemporaryFile(dir=folder) as now:
        return os.fstat(now.fileno()).st_mtime - (folder / ".lock").stat().st_mtime


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
