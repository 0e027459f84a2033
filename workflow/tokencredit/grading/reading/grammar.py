r"""The grammar of one mathematical expression: tokens to a ``Node``.

What can be read in two ways is read by the ``Reading`` that the caller asks for, and noted, so that the caller can try the other:

- *slash*: ``1/2x`` is x/2 or 1/(2x);
- *call*: ``P(p)`` and ``x(2)`` are functions' values or products;
- *log*: ``\log x`` without a base is the natural or the decimal one;
- *root*: ``\sqrt12`` is √12, or √1 · 2 as TeX has it;
- *mixed*: ``4\frac{12}{3}`` is a product or a sum, where the fraction is not a proper one;
- *numbers*: ``8 9`` is a product, or 89.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from tokencredit.grading.reading.commands import ACCENTS, Commands
from tokencredit.grading.reading.cursor import DEEPEST, MINUS_ONE, OPEN, Reading
from tokencredit.grading.reading.tokens import FUNCTIONS, GREEK, Node, Token, UnreadableError

LONGEST_NUMERAL = 2000  # digits
_STARTS = FUNCTIONS | GREEK | ACCENTS | frozenset(["frac", "binom", "pi", "infty", "lfloor", "lceil"])


def expression(tokens: Sequence[Token], reading: Reading, depth: int = 0) -> Node:
    """The node of all tokens. Raises ``UnreadableError``."""
    return Grammar(tokens, reading, depth).whole()


class Grammar(Commands):
    """Sums, products, powers and factors: a recursive descent over tokens."""

    def whole(self) -> Node:
        if not self.tokens:
            raise UnreadableError("a place is empty")
        node = self.sum()
        if self.at < len(self.tokens):
            raise UnreadableError(f"{self.tokens[self.at].value!r} stands where nothing can")
        return node

    def sum(self) -> Node:
        terms = [self.signed_product()]
        while self.sees("+", "-", "pm", "mp"):
            terms.append(self.signed_product())
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def signed_product(self) -> Node:
        sign = 1
        while self.sees("+", "-", "pm", "mp"):
            value = self.take().value
            if value == "-":
                sign = -sign
            elif value != "+":
                self.reading.signs += value == "pm"
                sign *= self.reading.sign if value == "pm" else -self.reading.sign
        node = self.product()
        return node if sign == 1 else Node("mul", (MINUS_ONE, node))

    def product(self) -> Node:
        node = self.power()
        while (token := self.peek()) is not None:
            if token.value in ("*", "cdot", "times") and token.kind in ("sign", "command"):
                self.at += 1
                node = Node("mul", (node, self.signed_power()))
            elif token.value == "/" and token.kind == "sign":
                self.at += 1
                below = self.signed_power()
                if self.starts_factor() and self.reading.second("slash"):
                    while self.starts_factor():
                        below = Node("mul", (below, self.power()))
                node = Node("div", (node, below))
            elif token.value == "bmod" or (token.value == "mod" and token.kind == "command"):
                raise UnreadableError("a remainder")
            elif self.starts_factor():
                node = self.next_to(node)
            else:
                break
        return node

    def next_to(self, node: Node) -> Node:
        """A factor directly behind another: a mixed number, a product, or two numbers with nothing but space between them."""
        before, token = self.tokens[self.at - 1], self.peek()
        last = node.args[-1] if node.op == "mul" else node
        if before.kind == "number" and last.op == "number" and token.value == "frac" and "." not in before.value:
            fraction = self.power()
            parts = _digits_over_digits(fraction)
            if parts is not None and (parts[0] < parts[1] or self.reading.second("mixed")):
                return _mixed(node, fraction)
            return Node("mul", (node, fraction))
        if token.kind == "number" or (
            token.value == "{"
            and self.peek(1) is not None
            and self.peek(1).kind == "number"
            and self.sees("}", ahead=2)
        ):
            if before.kind == "number" or before.value == "}":
                return self.two_numbers(node, before)
            if not token.spaced and before.kind == "letter" and not self.sees("^", ahead=1):
                raise UnreadableError("a number stands directly behind a letter")
        return Node("mul", (node, self.power()))

    def two_numbers(self, node: Node, before: Token) -> Node:
        second = self.power()
        if self.sees("/") and before.kind == "number" and "." not in before.value:  # 9 5/6
            self.at += 1
            below = self.power()
            parts = _digits_over_digits(Node("div", (second, below)))
            fraction = Node("div", (second, below))
            if parts is not None and (parts[0] < parts[1] or self.reading.second("mixed")):
                return _mixed(node, fraction)
            return Node("mul", (node, fraction))
        if node.op == second.op == "number" and self.reading.second("numbers"):
            above, below = node.args[0], second.args[0]
            if above.denominator == below.denominator == 1 and below >= 0:
                return Node("number", (Fraction(f"{above}{below}"), None))
        elif self.reading.second("numbers"):
            raise UnreadableError("two numbers stand beside each other")
        self.reading.met.add("numbers")
        return Node("mul", (node, second))

    def signed_power(self) -> Node:
        """A factor behind an operator, which may have a sign of its own."""
        if self.sees("-", "+"):
            minus = self.take().value == "-"
            node = self.signed_power()
            return Node("mul", (MINUS_ONE, node)) if minus else node
        return self.power()

    def starts_factor(self) -> bool:
        token = self.peek()
        if token is None or token.kind in ("word", "text"):
            return token is not None and token.kind == "text" and token.font in ("mathrm", "mathit", "operatorname")
        if token.kind in ("number", "letter"):
            return True
        if token.kind == "sign":
            return token.value in "([{" or (token.value == "|" and not self.bars)
        return token.value in _STARTS

    def power(self) -> Node:
        base = self.postfixed()
        if self.sees("^"):
            self.at += 1
            if self.sees("circ") or (self.sees("{") and self.sees("circ", ahead=1) and self.sees("}", ahead=2)):
                self.at += 1 if self.sees("circ") else 3
                return self.after_power(Node("call", ("degrees", base)))
            exponent = self.exponent()
            base = Node("pow", (base, exponent))
            if self.sees("^"):
                raise UnreadableError("two exponents in a row")
        elif self.sees("circ"):
            self.at += 1
            base = Node("call", ("degrees", base))
        return self.after_power(base)

    def after_power(self, node: Node) -> Node:
        while True:
            if self.sees("!"):
                self.at += 1
                if self.sees("!"):
                    raise UnreadableError("a double factorial")
                node = Node("call", ("factorial", node))
            elif self.sees("%", r"\%"):
                self.at += 1
                node = Node("div", (node, Node("number", (Fraction(100), None))))
            else:
                return node

    def exponent(self) -> Node:
        if self.sees("-", "+"):
            sign = self.take().value
            node = self.argument()
            return Node("mul", (MINUS_ONE, node)) if sign == "-" else node
        return self.argument()

    def argument(self) -> Node:
        """One argument of a command: a group, a number, a letter, or a command with its own."""
        if self.sees("{"):
            return self.bracketed()
        token = self.peek()
        if token is not None and token.kind == "letter":
            return self.name()
        return self.factor()

    def postfixed(self) -> Node:
        node = self.factor()
        if self.sees("!"):
            node = self.after_power(node)
        return node

    def factor(self) -> Node:
        token = self.peek()
        if token is None:
            raise UnreadableError("it ends too early")
        if token.kind == "number":
            self.at += 1
            return self.numeral(token)
        if token.kind == "letter":
            return self.name()
        if token.kind == "sign":
            if token.value in OPEN:
                return self.bracketed()
            if token.value == "|":
                return self.bar()
        if token.kind == "command":
            return self.command(token)
        if token.kind == "text" and token.font in ("mathrm", "mathit", "operatorname") and token.value.isalpha():
            self.at += 1
            return Node("name", (f"upright {token.value}",))
        raise UnreadableError(f"{token.value[:40]!r} is no mathematics")

    def numeral(self, token: Token) -> Node:
        if len(token.value) > LONGEST_NUMERAL:
            raise UnreadableError(f"a number has more than {LONGEST_NUMERAL} digits")
        if self.sees("_"):
            raise UnreadableError("a number in another base within an expression")
        digits = token.value.rstrip(".") if token.value.endswith(".") else token.value
        return Node("number", (Fraction(digits), digits if "." in digits else None))

    def bracketed(self) -> Node:
        r"""What stands in round, square or curly brackets; ``{n \choose k}`` and ``{1 \over 2}`` too."""
        inside = self.inside()
        for place, token in enumerate(inside):
            if token.kind == "command" and token.value in ("choose", "over"):
                above, below = (self.inner(part) for part in (inside[:place], inside[place + 1 :]))
                return (
                    Node("div", (above, below)) if token.value == "over" else Node("call", ("binomial", above, below))
                )
        return self.inner(inside)

    def bar(self) -> Node:
        self.at += 1
        inner = Grammar(self.tokens, self.reading, self.depth + 1)
        inner.at, inner.bars = self.at, 1
        node = inner.sum()
        self.tokens, self.at = inner.tokens, inner.at
        self.expect("|")
        return Node("call", ("abs", node))


def _digits_over_digits(node: Node) -> tuple[int, int] | None:
    if node.op != "div" or any(
        part.op != "number" or part.args[1] or part.args[0].denominator != 1 for part in node.args
    ):
        return None
    above, below = (part.args[0] for part in node.args)
    return int(above), int(below)


def _mixed(node: Node, fraction: Node) -> Node:
    """The number before the fraction, which may be the last factor of a product, with the fraction added."""
    if node.op != "number":
        raise UnreadableError("a mixed number within a product")
    return Node("add", (node, fraction))


__all__ = ["DEEPEST", "MINUS_ONE", "Grammar", "Reading", "expression"]
