r"""Tokens of an answer in its normal form, and the nodes that the grammar makes of them.

A run of letters is a product of one-letter names, unless it is a function or a Greek letter without its backslash, or a word: three
letters or more with a vowel that stand alone, which mathematics does not multiply. Words are what makes an answer text.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


class UnreadableError(Exception):
    """The text is not mathematics that the grammar knows, or has no value (1/0). The message says what was met."""


class Token(NamedTuple):
    """``kind``: number, letter, command, sign, word, or text (a group such as ``\\text{cm}``, whose command is ``font``).

    ``spaced``: whether a space stands before it.
    """

    kind: str
    value: str
    spaced: bool = False
    font: str = ""


class Node(NamedTuple):
    """A piece of mathematics. ``op``: number (args: Fraction, is it a decimal), name, add, mul, div, pow, call (name, arguments), ..."""

    op: str
    args: tuple[Any, ...]


GREEK = words(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Sigma Upsilon Phi Psi Omega ell hbar Pi aleph imath jmath nabla square star mho odot oplus partial Re Im"
)
TRIGONOMETRIC = words("sin cos tan cot sec csc")
FUNCTIONS = TRIGONOMETRIC | words(
    "arcsin arccos arctan arccot sinh cosh tanh coth ln log exp max min gcd lcm deg lg arg det sgn erf floor ceil abs sqrt"
)
_ALIASES = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "inf": "infty",
    "infinity": "infty",
    "arctg": "arctan",
    "tg": "tan",
}
_ALIASES |= {"ctg": "cot", "cosec": "csc", "LCM": "lcm", "GCD": "gcd", "Log": "log", "binom": "binom"}
_PLAIN_COMMANDS = FUNCTIONS | GREEK | frozenset(["pi", "infty"])
_TEXT_COMMANDS = words(
    "text mbox textrm textbf textit textnormal textsf texttt hbox mathrm mathit mathsf operatorname textsc emph"
)
_CONNECTORS = {"and": "and", "or": "or", "OR": "or", "AND": "and", "And": "and", "Or": "or"}

_TOKEN = re.compile(
    r"( )?(?:(\d+\.\d+|\d+\.(?!\d)|\d+|\.\d+)|\\([A-Za-z]+)\*?|(\\.)|([A-Za-z]+)|(\*\*|<=|>=|!=|\.\.\.|\S))", re.DOTALL
)
_UNIT_LETTERS = frozenset("msghLlNJWVKCF")  # upright behind a number
_VOWEL = re.compile("[aeiouyAEIOUY]")
_KNOWN_SIGNS = frozenset("+-*/^_=<>!|()[]{},;:'&%$?")
MOST_TOKENS = 1200


def tokenize(text: str) -> list[Token]:
    """The tokens of a text in normal form. Raises ``UnreadableError`` for signs that have no meaning here."""
    tokens: list[Token] = []
    position, end = 0, len(text)
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise UnreadableError("it ends with a space")
        position = match.end()
        spaced = match[1] is not None
        if match[2] is not None:
            tokens.append(Token("number", match[2], spaced))
        elif match[3] is not None:
            position = _command(match[3], text, position, spaced, tokens)
        elif match[4] is not None:
            tokens.append(Token("sign", match[4], spaced))
        elif match[5] is not None:
            _letters(match[5], spaced or not tokens, text, position, tokens)
        else:
            sign = match[6]
            if sign in ("**", "<=", ">=", "!=", "..."):
                spelt = {"**": "^", "<=": r"\le", ">=": r"\ge", "!=": r"\ne", "...": r"\ldots"}[sign]
                tokens.append(Token("sign" if spelt == "^" else "command", spelt.lstrip("\\"), spaced))
            elif sign in _KNOWN_SIGNS:
                tokens.append(Token("sign", sign, spaced))
            else:
                raise UnreadableError(f"the sign {sign!r} has no meaning here")
        if len(tokens) > MOST_TOKENS:
            raise UnreadableError(f"it has more than {MOST_TOKENS} signs and names")
    return tokens


def _command(name: str, text: str, position: int, spaced: bool, tokens: list[Token]) -> int:
    """Append the token of a command, with its group if it is one of text; where to go on."""
    name = _ALIASES.get(name, name)
    if (
        name in ("mathbf", "boldsymbol", "bm", "pmb", "mathbb", "mathcal", "mathfrak", "mathscr", "operatorname")
        or name in _TEXT_COMMANDS
    ):
        group = _group(text, position)
        if group is not None:
            content, after = group
            _text(name, content, spaced, tokens)
            return after
    tokens.append(Token("command", name, spaced))
    return position


def _text(name: str, content: str, spaced: bool, tokens: list[Token]) -> None:
    stripped = content.replace("\\", " ").strip(" .") if "\\ " in content else content.strip()
    if name in _TEXT_COMMANDS:
        plain = _ALIASES.get(stripped, stripped)
        if (
            plain in FUNCTIONS
            and (name in ("mathrm", "operatorname") or plain not in ("min", "max", "deg", "arg", "det"))
        ) or plain == "mod":
            tokens.append(Token("command", plain, spaced))
        elif (connector := _CONNECTORS.get(stripped.strip(", ;"))) is not None:
            tokens.append(Token("command", connector, spaced))
        elif (
            stripped in _UNIT_LETTERS
            and tokens
            and (tokens[-1].kind in ("number", "text") or tokens[-1].value in "})/")
        ):
            tokens.append(Token("text", stripped, spaced, name))
        elif len(stripped) == 1 and stripped.isalpha() and stripped.isascii():
            tokens.append(Token("letter", stripped, spaced, "upright"))
        elif not stripped:
            return
        elif stripped in (",", ";", ":"):
            tokens.append(Token("sign", stripped, spaced))
        else:
            tokens.append(Token("text", stripped, spaced or content != stripped, name))
    elif len(stripped) == 1 and stripped.isalpha() and stripped.isascii():
        tokens.append(
            Token(
                "letter",
                stripped,
                spaced,
                "blackboard"
                if name == "mathbb"
                else "bold"
                if name[0] in "mbp" and name[4:] in ("bf", "symbol", "")
                else name,
            )
        )
    else:
        tokens.append(Token("text", stripped, spaced, name))


def _group(text: str, position: int) -> tuple[str, int] | None:
    """The content of the brace group at ``position`` and the place behind it."""
    while position < len(text) and text[position] == " ":
        position += 1
    if position >= len(text) or text[position] != "{":
        return None
    depth = 0
    for place in range(position, len(text)):
        sign = text[place]
        if sign == "{":
            depth += 1
        elif sign == "}":
            depth -= 1
            if depth == 0:
                return text[position + 1 : place], place + 1
    return None


def _letters(run: str, apart: bool, text: str, end: int, tokens: list[Token]) -> None:
    """Append the tokens of a run of plain letters."""
    name = _ALIASES.get(run, run)
    if name in _PLAIN_COMMANDS and name not in ("Re", "Im", "arg", "deg", "det"):
        tokens.append(Token("command", name, apart))
        return
    if apart and (end >= len(text) or not text[end].isdigit()):
        if run in _CONNECTORS and tokens:
            tokens.append(Token("command", _CONNECTORS[run], apart))
            return
        if is_word(run) and text[end : end + 1] not in ("^", "_"):
            tokens.append(Token("word", run, apart))
            return
    for index, letter in enumerate(run):
        tokens.append(Token("letter", letter, apart and index == 0))


def is_word(run: str) -> bool:
    """Three letters or more, among them a vowel, that are not simply names in alphabetical order (``abc``)."""
    return len(run) > 2 and _VOWEL.search(run) is not None and not _is_alphabetical(run) and not run.isupper()


def _is_alphabetical(run: str) -> bool:
    """Letters that follow each other in the alphabet, in any order (``cba``), or stand in its order (``axy``)."""
    places = [ord(letter) for letter in run]
    return len(set(run)) == len(run) and (max(places) - min(places) < len(run) or places == sorted(places))
