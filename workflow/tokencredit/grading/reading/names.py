"""Names with their indices, primes and accents, and the values of functions that are named so."""

from __future__ import annotations

from tokencredit.grading.reading.cursor import Cursor
from tokencredit.grading.reading.derivatives import inline_derivative
from tokencredit.grading.reading.tokens import GREEK, Node, Token

_CALLED = frozenset("fghFGH")
_MARKS = ("prime", "*", "+", "-", "'", "dagger")


class Names(Cursor):
    """The part of the grammar that reads names."""

    def name(self) -> Node:
        r"""A name with its index and primes, or the value of a function of that name."""
        derivative = self.inline_derivative()
        if derivative is not None:
            return derivative
        text, letter = self.spelt_name()
        while True:
            if self.sees("_"):
                self.at += 1
                text = f"{text}_{self.index()}"
            elif self.sees("'"):
                self.at += 1
                text += "'"
            elif self.sees("^") and self.raised_mark():
                text += self.taken_mark()
            else:
                break
        if letter in _CALLED and self.sees("^") and self.inverse_function():
            text += "^{-1}"
            return self.call(text)
        if letter not in ("i", "e") and self.sees("("):
            if letter in _CALLED and not text.startswith("bold"):
                return self.call(text)
            if self.looks_like_arguments() and not self.reading.second("call"):
                return self.call(text)
        if text == "i":
            return Node("imaginary", ())
        if text == "e":
            return Node("e", ())
        return Node("name", (text,))

    def spelt_name(self) -> tuple[str, str]:
        token = self.take()
        if token.kind == "letter":
            font = token.font if token.font not in ("", "upright") else ""
            return (f"{font} {token.value}" if font else token.value), token.value
        if token.value == "Delta" and self.peek() is not None and self.peek().kind == "letter":
            return f"Delta {self.take().value}", ""
        return f"\\{token.value}", token.value

    def index(self) -> str:
        if self.sees("{"):
            return "".join(token.value for token in self.inside() if token.value not in "{},") or "?"
        token = self.take()
        return token.value

    def _marks(self) -> frozenset[str]:
        return frozenset(("prime", "*", "+", "-", "'", "dagger"))

    def raised_mark(self) -> bool:
        if self.sees("prime", "*", "dagger", ahead=1):
            return True
        if not self.sees("{", ahead=1):
            return False
        ahead = 2
        while self.sees(*_MARKS, ahead=ahead):
            ahead += 1
        return ahead > 2 and self.sees("}", ahead=ahead)

    def taken_mark(self) -> str:
        self.at += 1
        tokens = self.inside() if self.sees("{") else [self.take()]
        return "".join("'" if token.value in ("prime", "'") else f"^{token.value}" for token in tokens)

    def inverse_function(self) -> bool:
        if self.sees("{", ahead=1) and self.sees("-", ahead=2) and self.sees("}", ahead=4) and self.sees("(", ahead=5):
            token = self.peek(3)
            if token is not None and token.value == "1":
                self.at += 5
                return True
        return False

    def looks_like_arguments(self) -> bool:
        """Whether the brackets here hold a bare name or number, or several parts: what a function takes."""
        saved = self.at
        inside = self.inside()
        self.at = saved
        if any(token.value == "," and token.kind == "sign" for token in inside):
            return True
        return len(inside) == 1 and (inside[0].kind in ("letter", "number") or inside[0].value in GREEK)

    def call(self, name: str) -> Node:
        return Node("call", (f"of {name}", *self.arguments()))

    def arguments(self) -> list[Node]:
        inside = self.inside()
        parts: list[list[Token]] = [[]]
        depth = 0
        for token in inside:
            if token.kind == "sign":
                depth += (token.value in "([{") - (token.value in ")]}")
                if token.value in ",;" and depth == 0:
                    parts.append([])
                    continue
            parts[-1].append(token)
        return [self.inner(part) for part in parts]

    def inline_derivative(self) -> Node | None:
        found = inline_derivative(self.tokens, self.at)
        if found is None:
            return None
        node, self.at = found
        return node

    def accented(self, name: str) -> Node:
        self.at += 1
        inside = self.inside() if self.sees("{") else [self.take()]
        tokens = [Token("letter", f"{name}({''.join(token.value for token in inside)})")]
        self.tokens = [*self.tokens[: self.at], *tokens, *self.tokens[self.at :]]
        return self.name()
