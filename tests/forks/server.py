"""A process that imports modules once, and splits off one for each command: ``server.py SOCKET EXECUTABLE MODULE...``.

It ends with the process that started it, which holds the other end of its standard input.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import site
import socket
import sys
import threading
from typing import NamedTuple

# These start jobs or Snakemake, which then are commands of a server as well.
STARTING = ("snakemake", "tokencredit")


class Command(NamedTuple):
    arguments: list[str]  # a module and its own
    folder: str
    environment: dict[str, str]
    streams: list[int]


def main() -> None:
    place, executable, *modules = sys.argv[1:]
    command = next_command(place, modules)
    become(command, executable)
    end(run(command.arguments[0]))


def next_command(place: str, modules: list[str]) -> Command:
    """Wait for commands, for each of which this returns in a process of its own."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen(64)
        while True:
            if sys.stdin in select.select([listening, sys.stdin], [], [])[0]:
                sys.exit()
            connection = listening.accept()[0]
            if modules:
                for name in modules:
                    importlib.import_module(name)
                gc.freeze()  # so that the memory of what was imported stays shared
                modules = []
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if not os.fork():
                break
            connection.close()
    command = received(connection)
    child = os.fork()
    if child:
        attend(child, connection)
    connection.close()
    return command


def received(connection: socket.socket) -> Command:
    size, streams, _, _ = socket.recv_fds(connection, 4, 3)
    with connection.makefile("rb") as file:
        arguments, folder, environment = json.loads(file.read(int.from_bytes(size, "big")))
    return Command(arguments, folder, environment, streams)


def attend(child: int, connection: socket.socket) -> None:
    """Pass on the signals that come for a command, tell its status and end; kill it where nobody is there to be told."""
    ended = os.pidfd_open(child)
    while ended not in select.select([connection, ended], [], [])[0]:
        told = connection.recv(1)
        os.kill(child, told[0] if told else signal.SIGKILL)
        if not told:
            break
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.send(status.to_bytes(2, "big", signed=True))
    os._exit(0)


def become(command: Command, executable: str) -> None:
    """What Python does before ``-m``, and what libraries would have done in a process of their own."""
    for number, given in enumerate(command.streams):
        os.dup2(given, number)
        os.close(given)
    unbuffered = bool(command.environment.get("PYTHONUNBUFFERED"))
    said, errors = (os.fdopen(number, "wb", 0 if unbuffered else -1) for number in (1, 2))
    sys.stdin = os.fdopen(0, encoding="utf-8")
    sys.stdout = io.TextIOWrapper(said, "utf-8", line_buffering=os.isatty(1), write_through=unbuffered)
    sys.stderr = io.TextIOWrapper(errors, "utf-8", "backslashreplace", line_buffering=True, write_through=unbuffered)
    os.chdir(command.folder)
    os.environ.clear()
    os.environ.update(command.environment)
    paths = filter(None, command.environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [command.folder, *paths, *sys.path]
    site.execsitecustomize()
    sys.argv = list(command.arguments)
    if command.arguments[0] in STARTING:
        sys.executable = executable
    sys.modules["numpy"].random.seed()
    if "torch" in sys.modules and (threads := command.environment.get("OMP_NUM_THREADS")):
        sys.modules["torch"].set_num_threads(int(threads))


def run(module: str) -> int:
    """The status with which Python would end."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def end(status: int) -> None:
    """What Python does at its end, but for taking to pieces what was imported, which takes seconds."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status & 0xFF)


if __name__ == "__main__":
    main()
