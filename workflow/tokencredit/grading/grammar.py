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
from functools import cached_property

from tokencredit.grading.tokens import FUNCTIONS, GREEK, TRIGONOMETRIC, Node, Token, UnreadableError

DEEPEST = 40  # brackets, fractions and roots within each other
LONGEST_NUMERAL = 1000  # digits
_CALLED = frozenset("fghFGH")
_ACCENTS = frozenset(
    "hat bar vec tilde dot ddot dddot overline underline widehat widetilde overrightarrow check breve mathring".split()
)
_OPEN = {"(": ")", "[": "]", "{": "}"}
_INVERSES = {name: f"arc{name}" for name in ("sin", "cos", "tan", "cot")}

ONE, MINUS_ONE = Node("number", (Fraction(1), None)), Node("number", (Fraction(-1), None))


class Reading:
    """Which way to read what can be read in two: ``other`` names the kinds that are read the second way. ``met`` fills with the kinds met."""

    def __init__(self, other: frozenset[str] = frozenset(), sign: int = 1) -> None:
        self.other, self.sign = other, sign
        self.met: set[str] = set()
        self.signs = 0  # how many \pm

    def second(self, kind: str) -> bool:
        self.met.add(kind)
        return kind in self.other


def expression(tokens: Sequence[Token], reading: Reading, depth: int = 0) -> Node:
    """The node of all tokens. Raises ``UnreadableError``."""
    return Grammar(tokens, reading, depth).whole()


class Grammar:
    """A recursive descent over tokens."""

    def __init__(self, tokens: Sequence[Token], reading: Reading, depth: int) -> None:
        self.tokens, self.reading, self.depth = tokens, reading, depth
        self.at = 0
        self.bars = 0
        if depth > DEEPEST:
            raise UnreadableError(f"it is nested more than {DEEPEST} deep")

    def whole(self) -> Node:
        if not self.tokens:
            raise UnreadableError("a place is empty")
        node = self.sum()
        if self.at < len(self.tokens):
            raise UnreadableError(f"{self.tokens[self.at].value!r} stands where nothing can")
        return node

    # ------------------------------------------------------------ looking

    def peek(self, ahead: int = 0) -> Token | None:
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def sees(self, *values: str, ahead: int = 0) -> bool:
        token = self.peek(ahead)
        return token is not None and token.value in values and token.kind in ("sign", "command")

    def take(self) -> Token:
        token = self.peek()
        if token is None:
            raise UnreadableError("it ends too early")
        self.at += 1
        return token

    def expect(self, value: str) -> None:
        if not self.sees(value):
            raise UnreadableError(f"{value!r} is missing")
        self.at += 1

    # ------------------------------------------------------------ sums and products

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

    def tex_argument(self) -> Node:
        r"""The argument of ``\frac`` and of roots by TeX's rule: of bare digits the first alone, the rest stays."""
        token = self.peek()
        if token is not None and token.kind == "number" and len(token.value) > 1 and token.value.isdigit():
            rest = Token("number", token.value[1:])
            self.tokens = [*self.tokens[: self.at], Token("number", token.value[0]), rest, *self.tokens[self.at + 1 :]]
        return self.argument()

    # ------------------------------------------------------------ factors

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
            if token.value in _OPEN:
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
                above, below = (
                    expression(part, self.reading, self.depth + 1) for part in (inside[:place], inside[place + 1 :])
                )
                return (
                    Node("div", (above, below)) if token.value == "over" else Node("call", ("binomial", above, below))
                )
        return expression(inside, self.reading, self.depth + 1)

    def inside(self) -> Sequence[Token]:
        """The tokens between the bracket here and its partner; goes behind it."""
        start = self.at + 1
        stack = [_OPEN[self.take().value]]
        while stack:
            token = self.take()
            if token.kind != "sign":
                continue
            if token.value in _OPEN:
                stack.append(_OPEN[token.value])
            elif token.value in ")]}" and token.value != stack.pop():
                raise UnreadableError("brackets do not match")
        return self.tokens[start : self.at - 1]

    def bar(self) -> Node:
        self.at += 1
        inner = Grammar(self.tokens, self.reading, self.depth + 1)
        inner.at, inner.bars = self.at, 1
        node = inner.sum()
        self.tokens, self.at = inner.tokens, inner.at
        self.expect("|")
        return Node("call", ("abs", node))

    def name(self) -> Node:
        r"""A name with its index and primes, or the value of a function of that name."""
        derivative = self.inline_derivative()
        if derivative is not None:
            return derivative
        text, letter = self.spelt_name()
        indexed = False
        while True:
            if self.sees("_"):
                self.at += 1
                text, indexed = f"{text}_{self.index()}", True
            elif self.sees("'"):
                self.at += 1
                text, indexed = text + "'", True
            elif self.sees("^") and self.raised_mark():
                text, indexed = text + self.taken_mark(), True
            else:
                break
        if letter in _CALLED and self.sees("^") and self.inverse_function():
            text += "^{-1}"
            return self.call(text)
        if (
            letter not in ("i", "e")
            and self.sees("(")
            and not (self.peek().spaced and letter not in _CALLED and not indexed)
        ):
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

    @cached_property
    def _marks(self) -> frozenset[str]:
        return frozenset(("prime", "*", "+", "-", "'", "dagger"))

    def raised_mark(self) -> bool:
        if self.sees("prime", "*", "dagger", ahead=1):
            return True
        if not self.sees("{", ahead=1):
            return False
        ahead = 2
        while self.sees(*self._marks, ahead=ahead):
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
        return [expression(part, self.reading, self.depth + 1) for part in parts]

    # ------------------------------------------------------------ commands

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
        if name in _ACCENTS:
            return self.accented(name)
        if name in ("mod", "bmod", "pmod"):
            raise UnreadableError("a remainder")
        raise UnreadableError(f"\\{name} has no meaning here")

    def frac(self) -> Node:
        from tokencredit.grading.derivatives import fraction_derivative

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

    def inline_derivative(self) -> Node | None:
        from tokencredit.grading.derivatives import inline_derivative

        found = inline_derivative(self.tokens, self.at)
        if found is None:
            return None
        node, self.at = found
        return node

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
        return Node("call", (opened[1:], expression(self.tokens[start : self.at - 1], self.reading, self.depth + 1)))

    def accented(self, name: str) -> Node:
        self.at += 1
        inside = self.inside() if self.sees("{") else [self.take()]
        tokens = [Token("letter", f"{name}({''.join(token.value for token in inside)})")]
        self.tokens = [*self.tokens[: self.at], *tokens, *self.tokens[self.at :]]
        return self.name()

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


_STARTS = FUNCTIONS | GREEK | _ACCENTS | frozenset(["frac", "binom", "pi", "infty", "lfloor", "lceil"])


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
