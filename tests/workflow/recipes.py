"""Pages that are tested as they are written: their files are made and their commands are run, in a copy of the project."""

from __future__ import annotations

import re
import shlex
import time

from tests.workflow.project import Project

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', flags=re.MULTILINE | re.DOTALL)


def section(text: str, heading: str) -> str:
    """What stands below a heading of a page."""
    (found,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    return found


def follow(text: str, project: Project, status: int = 0) -> list[str]:
    """Write the files of a text and run its commands, each of which has to end with ``status``; what each of them printed."""
    printed = []
    for language, name, code in BLOCK.findall(text):
        if language == "sh":
            for command in code.splitlines():
                words = shlex.split(command)
                settings = dict(word.split("=") for word in words[:1] if "=" in word)
                begun = time.monotonic()
                done = project.python("-m", *words[len(settings) :], **settings)
                print(f"{time.monotonic() - begun:5.1f} s  {command}")
                assert done.returncode == status, done.stdout
                printed.append(done.stdout)
        elif language == "diff":
            old, new = ("\n".join(line[1:] for line in code.splitlines() if line[0] in kept) for kept in (" -", " +"))
            assert (project.folder / name).read_text(encoding="utf-8").count(old) == 1
            project.replace(name, old, new)
        else:
            (project.folder / name).parent.mkdir(exist_ok=True)
            project.append(name, code)
    return printed
