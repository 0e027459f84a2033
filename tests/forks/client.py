"""The program that stands for Python: ``-m`` and a module that a server knows is run there, everything else by Python itself.

Each job starts it, and so it imports little. Signals are passed on, and where it is killed the command is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

KNOWN = {
    "snakemake": "tables",
    "tokencredit": "tables",
    "tokencredit.analysis": "tables",
    "tokencredit.data": "tables",
    "tokencredit.grading": "tables",
    "tokencredit.base": "models",
    "tokencredit.evaluate": "models",
    "tokencredit.oracle": "models",
    "tokencredit.train": "models",
    "tokencredit.train.start": "models",
}
# Libraries read these as they are imported: a command for which they are others than a server's needs a Python of its own.
SETTLED = ("HF_HUB_OFFLINE", "HF_HOME", "HF_ENDPOINT", "MPLCONFIGDIR")
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main() -> None:
    python, folder, *arguments = sys.argv[1:]
    server = KNOWN.get(arguments[1]) if arguments[:1] == ["-m"] else None
    settled = json.loads(Path(folder, "settled.json").read_text(encoding="utf-8"))
    if server is None or settled != {name: os.environ.get(name) for name in SETTLED}:
        os.execv(python, [python, *arguments])
    status = ask(f"{folder}/{server}", arguments[1:])
    if status < 0:
        with contextlib.suppress(OSError):  # of a signal that nobody can handle
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


def ask(server: str, arguments: list[str]) -> int:
    """Have a server run a command: its status, which is less than nought by a signal's number where that ended it."""
    request = json.dumps([arguments, str(Path.cwd()), dict(os.environ)]).encode()
    with connected(server) as connection:
        for number in PASSED_ON:
            signal.signal(number, lambda number, _: connection.send(bytes([number])))
        socket.send_fds(connection, [len(request).to_bytes(4, "big")], [0, 1, 2])
        connection.sendall(request)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            answer = connection.recv(2)
    if not answer:
        sys.exit("the server of this command is no more: what it said stands above, or in what pytest captured")
    return int.from_bytes(answer, "big", signed=True)


def connected(server: str, seconds: float = 60) -> socket.socket:
    """A connection to a server, which has perhaps only just been started."""
    connection = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.connect(server)
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return connection


if __name__ == "__main__":
    main()
