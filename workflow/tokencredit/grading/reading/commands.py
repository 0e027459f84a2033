r"""Commands: fractions, roots, binomials and functions with their arguments."""

from __future__ import annotations

from fractions import Fraction

from tokencredit.grading.reading.cursor import MINUS_ONE, ONE
from tokencredit.grading.reading.derivatives import fraction_derivative
from tokencredit.grading.reading.names import Names
from tokencredit.grading.reading.tokens import FUNCTIONS, GREEK, TRIGONOMETRIC, Node, Token, UnreadableError, words

ACCENTS = words(
    "hat bar vec tilde dot ddot dddot overline underline widehat widetilde overrightarrow check breve mathring"
)
_INVERSES = {name: f"arc{name}" for name in ("sin", "cos", "tan", "cot")}


class Commands(Names):
    """The part of the grammar that reads commands. Products and powers are those of ``grammar.Grammar``."""

    def command(self, token: Token) -> Node:
        name = token.value
        if name in ("frac", "binom", "sqrt"):
            self.at += 1
            return getattr(self, name)()
        if name in FUNCTIONS:
            self.at += 1
            return self.function(name)
        if name in GREEK:
            return self.name()
        if name in ("pi", "infty"):
            self.at += 1
            if self.sees("_"):
                self.at += 1
                return Node("name", (f"\\{name}_{self.index()}",))
            return Node(name, ())
        if name in ("lfloor", "lceil"):
            return self.between(name, {"lfloor": "rfloor", "lceil": "rceil"}[name])
        if name in ACCENTS:
            return self.accented(name)
        if name in ("mod", "bmod", "pmod"):
            raise UnreadableError("a remainder")
        raise UnreadableError(f"\\{name} has no meaning here")

    def frac(self) -> Node:
        saved = self.at
        if self.sees("{"):
            above = self.inside()
            if self.sees("{"):
                derivative = fraction_derivative(above, self.inside(), self.reading, self.depth)
                if derivative is not None:
                    return derivative
        self.at = saved
        above = self.tex_argument()
        return Node("div", (above, self.tex_argument()))

    def binom(self) -> Node:
        above = self.tex_argument()
        return Node("call", ("binomial", above, self.tex_argument()))

    def sqrt(self) -> Node:
        index = Node("number", (Fraction(2), None))
        if self.sees("["):
            index = self.bracketed()
        if self.sees("("):
            return Node("root", (self.bracketed(), index))
        token = self.peek()
        if token is not None and token.kind == "number" and len(token.value) > 1:
            radicand = self.tex_argument() if self.reading.second("root") else self.argument()
        else:
            radicand = self.argument()
        return Node("root", (radicand, index))

    def between(self, opened: str, closing: str) -> Node:
        self.at += 1
        start, depth = self.at, 1
        while depth:
            token = self.take()
            depth += (token.value == opened) - (token.value == closing)
        return Node("call", (opened[1:], self.inner(self.tokens[start : self.at - 1])))

    def tex_argument(self) -> Node:
        r"""The argument of ``\frac`` and of roots by TeX's rule: of bare digits the first alone, the rest stays."""
        token = self.peek()
        if token is not None and token.kind == "number" and len(token.value) > 1 and token.value.isdigit():
            rest = Token("number", token.value[1:])
            self.tokens = [*self.tokens[: self.at], Token("number", token.value[0]), rest, *self.tokens[self.at + 1 :]]
        return self.argument()

    def function(self, name: str) -> Node:
        index = None
        if self.sees("_"):
            self.at += 1
            index = self.argument()
        power = None
        if self.sees("^"):
            self.at += 1
            power = self.exponent()
            if power == Node("mul", (MINUS_ONE, ONE)) or power == Node("number", (Fraction(-1), None)):
                name, power = _INVERSES.get(name, name), (None if name in _INVERSES else power)
        arguments = self.function_arguments(name)
        node = self.applied(name, index, arguments)
        return node if power is None else Node("pow", (node, power))

    def applied(self, name: str, index: Node | None, arguments: list[Node]) -> Node:
        if name in ("max", "min", "gcd", "lcm"):
            if index is not None:
                raise UnreadableError(f"\\{name} with an index")
            return Node("call", (name, *arguments))
        if len(arguments) != 1:
            raise UnreadableError(f"\\{name} of several arguments")
        (argument,) = arguments
        if name == "exp":
            return Node("pow", (Node("e", ()), argument))
        if name == "sqrt":
            return Node("root", (argument, Node("number", (Fraction(2), None))))
        if name in ("log", "lg"):
            if index is None:
                ten = name == "lg" or self.reading.second("log")
                index = Node("number", (Fraction(10), None)) if ten else Node("e", ())
            return Node("div", (Node("call", ("ln", argument)), Node("call", ("ln", index))))
        if index is not None:
            raise UnreadableError(f"\\{name} with an index")
        return Node("call", (name, argument))

    def function_arguments(self, name: str) -> list[Node]:
        """What a function is applied to: brackets, or the factors that follow up to an operator or another function."""
        if self.sees("(", "["):
            return self.arguments()
        if self.sees("{"):
            return [self.bracketed()]
        if self.sees("-") and name not in ("max", "min"):
            self.at += 1
            return [Node("mul", (MINUS_ONE, self.simple_product()))]
        return [self.simple_product()]

    def simple_product(self) -> Node:
        first = self.peek()
        if first is not None and first.value in FUNCTIONS:
            return self.power()
        node = self.power()
        while (
            self.starts_factor()
            and not self.sees("(", "[", "|", "{")
            and self.peek().value not in TRIGONOMETRIC | {"ln", "log", "exp"}
        ):
            if self.peek().kind == "number":
                break
            node = Node("mul", (node, self.power()))
        if self.sees("/") and first is not None and first.kind != "sign":
            self.reading.met.add("argument")
            if "argument" in self.reading.other:
                self.at += 1
                node = Node("div", (node, self.power()))
        return node
