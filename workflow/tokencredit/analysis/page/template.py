"""How pages are filled: everything escaped, nothing loaded, no script but their own."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2

HERE = Path(__file__).parent


def filled(name: str, style: str, script: str = "", **values: Any) -> str:
    """A template of this folder with ``style`` and ``script`` in it, and a content security policy that allows these two and nothing else.

    Every value is escaped. The same values give the same text; a name in the template that has no value is an error.
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
    allowed = {"default-src": "'none'", "img-src": "data:", "style-src": _digest(style)}
    allowed |= {"script-src": _digest(script)} if script else {}
    allowed |= {"base-uri": "'none'", "form-action": "'none'"}
    policy = "; ".join(f"{kind} {source}" for kind, source in allowed.items())
    return environment.get_template(name).render(style=style, script=script, policy=policy, **values)


def inlined(*names: str) -> str:
    """Files of this folder one after the other, as the content of an element."""
    return "".join(f"\n{(HERE / name).read_text(encoding='utf-8')}" for name in names)


def _digest(text: str) -> str:
    """The source expression of a content security policy that allows the inline element with exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
