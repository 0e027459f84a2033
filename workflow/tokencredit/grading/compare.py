"""Whether two values are the same answer. ``equal`` of two pieces of mathematics comes from outside: without SymPy or with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from tokencredit.grading import numbers, regions
from tokencredit.grading.equations import difference, same_equation
from tokencredit.grading.mathematics.equality import ratio
from tokencredit.grading.mathematics.normal_form import form
from tokencredit.grading.mathematics.polynomials import Quotient
from tokencredit.grading.numbers import Equal
from tokencredit.grading.reading.answers import (
    Based,
    Choice,
    Equation,
    Expression,
    Interval,
    Matrix,
    Parts,
    Ratio,
    Relation,
    Text,
    Time,
    Union,
    Value,
)
from tokencredit.grading.reading.tokens import Node
from tokencredit.grading.regions import UndecidedError
from tokencredit.grading.texts import same_text


class Comparison:
    """Compares the values of a gold and an answer. Raises ``UndecidedError`` where nobody can say, with the reason."""

    def __init__(self, equal: Equal) -> None:
        self.equal = equal

    def same(self, gold: Value, answer: Value) -> bool:
        """Whether the answer is right."""
        gold, answer = single(gold, self), single(answer, self)
        if isinstance(gold, Text) or isinstance(answer, Text):
            return same_text(gold, answer)
        if isinstance(gold, Choice) or isinstance(answer, Choice):
            return self.choices(gold, answer)
        if isinstance(gold, Time) or isinstance(answer, Time):
            return self.times(gold, answer)
        if isinstance(gold, Based) or isinstance(answer, Based):
            return self.based(gold, answer)
        if isinstance(gold, Matrix) or isinstance(answer, Matrix):
            return self.matrices(gold, answer)
        if isinstance(gold, Ratio) or isinstance(answer, Ratio):
            return self.ratios(gold, answer)
        if isinstance(gold, Interval | Union | Relation) or isinstance(answer, Interval | Union | Relation):
            return self.regions(gold, answer)
        if isinstance(gold, Parts) or isinstance(answer, Parts):
            return self.parts(gold, answer)
        if isinstance(gold, Equation) or isinstance(answer, Equation):
            return same_equation(gold, answer, self.equal)
        return self.expressions(gold, answer)

    # ------------------------------------------------------------ words, choices, times, bases

    def choices(self, gold: Value, answer: Value) -> bool:
        if isinstance(gold, Choice) and isinstance(answer, Choice):
            if gold.letter.upper() != answer.letter.upper():
                return False
            if gold.text and answer.text and gold.text != answer.text:
                raise UndecidedError("the two name the same letter with another text")
            return True
        choice, other = (gold, answer) if isinstance(gold, Choice) else (answer, gold)
        if not isinstance(other, Expression):
            return False
        if other.node == _letter(choice.letter) or (
            isinstance(gold, Choice) and other.node == _letter(choice.letter.swapcase())
        ):
            return True
        if choice.text:
            from tokencredit.grading.reading.answers import read

            return self.same(read(choice.text).value, other)
        return self.expressions(replace(other, node=_letter(choice.letter)), other)

    def times(self, gold: Value, answer: Value) -> bool:
        if not (isinstance(gold, Time) and isinstance(answer, Time)):
            time, other = (gold, answer) if isinstance(gold, Time) else (answer, gold)
            if time.half is not None or (len(time.parts) == 2 and not isinstance(other, Ratio | Expression)):
                return False
            as_ratio = Ratio(tuple(_number(part) for part in time.parts))
            return self.ratios(as_ratio, other) if isinstance(gold, Time) else self.ratios(other, as_ratio)
        if gold.half == answer.half:
            if _padded(gold) == _padded(answer):
                return True
            if (
                gold.half is None
                and all((*gold.parts, *answer.parts))
                and self.ratios(*(Ratio(tuple(_number(part) for part in time.parts)) for time in (gold, answer)))
            ):
                raise UndecidedError("the two are equal as ratios and differ as times")
            return False
        if gold.half is None or answer.half is None:
            bare, told = (gold, answer) if gold.half is None else (answer, gold)
            if (
                _padded(bare) == (_padded(told)[0] % 12 + (12 if told.half == "p" else 0), *_padded(told)[1:])
                and _padded(bare)[0] > 12
            ):
                return True
            if _padded(bare) == _padded(told):
                raise UndecidedError("one of the two does not say whether it is a.m. or p.m.")
        return False

    def based(self, gold: Value, answer: Value) -> bool:
        if isinstance(gold, Based) and isinstance(answer, Based):
            if gold == answer:
                return True
            if int(gold.digits, gold.base) == int(answer.digits, answer.base):
                raise UndecidedError("the two are one number in different bases")
            return False
        based, other = (gold, answer) if isinstance(gold, Based) else (answer, gold)
        digits = numbers.plain_integer(other)
        if digits is None:
            return False
        if isinstance(gold, Based) and str(digits) == based.digits:
            return True
        if digits == int(based.digits, based.base) or str(digits) == based.digits:
            raise UndecidedError("only one of the two names a base")
        return False

    # ------------------------------------------------------------ matrices, ratios, regions

    def matrices(self, gold: Value, answer: Value) -> bool:
        if isinstance(gold, Matrix) and isinstance(answer, Matrix):
            if gold.determinant != answer.determinant:
                raise UndecidedError("one of the two is a determinant")
            shapes = [(len(value.rows), len(value.rows[0])) for value in (gold, answer)]
            if shapes[0] != shapes[1]:
                if shapes[0] == shapes[1][::-1] and 1 in shapes[0]:
                    raise UndecidedError("one of the two is a row and the other a column")
                return False
            return all(
                self.expressions(Expression(one), Expression(two))
                for first, second in zip(gold.rows, answer.rows, strict=True)
                for one, two in zip(first, second, strict=True)
            )
        matrix, other = (gold, answer) if isinstance(gold, Matrix) else (answer, gold)
        if matrix.determinant:
            raise UndecidedError("a determinant is not worked out")
        if isinstance(other, Parts) and 1 in (len(matrix.rows), len(matrix.rows[0])):
            vector = Parts(other.kind, tuple(Expression(node) for row in matrix.rows for node in row))
            if self.in_order(vector.items, other.items):
                raise UndecidedError("one of the two is a matrix and the other is not")
        return False

    def ratios(self, gold: Value, answer: Value) -> bool:
        if isinstance(gold, Ratio) and isinstance(answer, Ratio):
            if len(gold.parts) != len(answer.parts):
                return False
            first, *rest = zip(gold.parts, answer.parts, strict=True)
            if any(not form(node).above for node in (*gold.parts, *answer.parts)):
                raise UndecidedError("a ratio with zero")
            return all(self.equal(Node("mul", (first[0], two)), Node("mul", (one, first[1]))) for one, two in rest)
        ratio, other = (gold, answer) if isinstance(gold, Ratio) else (answer, gold)
        if len(ratio.parts) != 2 or not isinstance(other, Expression):
            return False
        return self.expressions(Expression(Node("div", ratio.parts)), other)

    def regions(self, gold: Value, answer: Value) -> bool:
        if (
            isinstance(gold, Relation)
            and isinstance(answer, Relation)
            and (found := self.relations(gold, answer)) is not None
        ):
            return found
        if isinstance(gold, Expression | Equation) or isinstance(answer, Expression | Equation):
            return False
        pieces = [regions.region(value, self.equal) for value in (gold, answer)]
        if None in pieces:
            if any(isinstance(value, Parts) for value in (gold, answer)):
                return False
            raise UndecidedError("an inequality that is not solved")
        (name, first), (other, second) = pieces
        if name is not None and other is not None and name != other:
            return False
        return regions.equal_regions(first, second, self.equal)

    def relations(self, gold: Relation, answer: Relation) -> bool | None:
        """Whether the two are the same inequalities with both sides times a positive number; None where solving them may tell."""
        wanted, given = regions.differences(gold), regions.differences(answer)
        if len(wanted) == len(given):
            left = list(given)
            for sign, difference in wanted:
                match = next(
                    (
                        other
                        for other in left
                        if other[0] == sign and self._proportional(difference, other[1], sign != "!=")
                    ),
                    None,
                )
                if match is None:
                    break
                left.remove(match)
            else:
                return True
        if regions.solved(gold) is None or regions.solved(answer) is None:
            return False
        return None

    def _proportional(self, one: Quotient, two: Quotient, positive: bool) -> bool:
        if not one.above and not two.above:
            return True
        factor = ratio(one, two)
        return factor is not None and (factor > 0 or not positive)

    # ------------------------------------------------------------ parts

    def parts(self, gold: Value, answer: Value) -> bool:
        if not (isinstance(gold, Parts) and isinstance(answer, Parts)):
            parts, other = (gold, answer) if isinstance(gold, Parts) else (answer, gold)
            if parts.number is not None and isinstance(other, Expression):
                return self.equal(parts.number, other.node)
            if isinstance(other, Equation) and parts.kind in ("list", "set"):
                raise UndecidedError("one of the two is an equation and the other perhaps its solutions")
            return False
        if gold.number is not None and answer.number is not None:
            return self.grouped(gold, answer)
        kinds = {gold.kind, answer.kind}
        if kinds <= {"list", "set"}:
            return self.lists(gold, answer)
        if gold.kind == answer.kind:
            if (
                gold.name is not None
                and answer.name is not None
                and gold.name != answer.name
                and "(" in gold.name
                and "(" in answer.name
            ):
                raise UndecidedError("the two name the parts in another order")
            return self.in_order(gold.items, answer.items)
        if kinds == {"tuple", "list"} or kinds == {"brackets", "list"}:
            listed = gold if gold.kind == "list" else answer
            if self.in_order(gold.items, answer.items):
                if listed.alternatives or "brackets" in kinds:
                    raise UndecidedError("one of the two is a list and the other has an order")
                return True
            if self.as_sets(gold.items, answer.items):
                raise UndecidedError(
                    "the two have the same parts in another order, and only one says that order counts"
                )
        return False

    def grouped(self, gold: Parts, answer: Parts) -> bool:
        """Two texts like 70,110, which are numbers or lists."""
        if self.equal(gold.number, answer.number):
            return True
        if self.as_sets(gold.items, answer.items):
            raise UndecidedError("the commas separate thousands or the members of a list")
        return False

    def lists(self, gold: Parts, answer: Parts) -> bool:
        names = [[getattr(item, "name", None) for item in value.items] for value in (gold, answer)]
        told = [len(set(each)) > 1 and None not in each for each in names]
        if told[0] != told[1] and len(gold.items) == len(answer.items):
            if self.in_order(gold.items, answer.items):
                return True
            if self.as_sets(gold.items, answer.items):
                raise UndecidedError("one of the two names its parts, and the other has them in another order")
            return False
        return self.as_sets(self.named(gold), self.named(answer))

    def named(self, parts: Parts) -> tuple[Value, ...]:
        r"""The members; of ``a = 4, -8`` all are values of a."""
        first, *rest = parts.items or (None,)
        name = parts.name or getattr(first, "name", None)
        if name and all(isinstance(item, Expression) and item.name is None for item in rest):
            return tuple(replace(item, name=name) if isinstance(item, Expression) else item for item in parts.items)
        return parts.items

    def in_order(self, gold: Sequence[Value], answer: Sequence[Value]) -> bool:
        return len(gold) == len(answer) and all(self.same(one, two) for one, two in zip(gold, answer, strict=True))

    def as_sets(self, gold: Sequence[Value], answer: Sequence[Value]) -> bool:
        """Whether each member has an equal one on the other side; repetitions count where the gold has some."""
        wanted, given = self.different(gold), self.different(answer)
        if len(wanted) < len(gold):  # the gold repeats members, which then count
            wanted, given = list(gold), list(answer)
        if len(wanted) != len(given):
            return False
        left = list(given)
        doubt: UndecidedError | None = None
        for item in wanted:
            match = None
            for other in left:
                try:
                    match = other if self.same(item, other) else None
                except UndecidedError as undecided:
                    doubt = undecided
                if match is not None:
                    left.remove(match)
                    break
            else:
                if doubt is None:
                    return False
                raise doubt
        return True

    def different(self, items: Sequence[Value]) -> list[Value]:
        found: list[Value] = []
        for item in items:
            if item not in found and not any(self.surely_same(other, item) for other in found):
                found.append(item)
        return found

    def surely_same(self, one: Value, two: Value) -> bool:
        try:
            return self.same(one, two)
        except UndecidedError:
            return False

    # ------------------------------------------------------------ expressions

    def expressions(self, gold: Expression, answer: Expression) -> bool:
        if gold.name is not None and answer.name is not None and _head(gold.name) != _head(answer.name):
            return self.differently_named(gold, answer)
        if gold.name is not None and answer.name is not None and gold.name != answer.name:
            renamed = _renamed(gold, answer)
            if renamed is None:
                raise UndecidedError("the two name the variable of a function differently")
            answer = renamed
        return numbers.same_quantity(gold, answer, self.equal)

    def differently_named(self, gold: Expression, answer: Expression) -> bool:
        if gold.left is not None and answer.left is not None:
            one, two = difference(gold.left, gold.node), difference(answer.left, answer.node)
            if ratio(one, two) is not None:
                return True
        if not numbers.same_quantity(gold, answer, self.equal):
            return False
        if {len(gold.name), len(answer.name)} == {1}:
            return False
        if "y" in (gold.name, answer.name) and any(name.endswith(")") for name in (gold.name, answer.name)):
            return True
        raise UndecidedError("the two are equal and stand for different names")


def single(value: Value, comparison: Comparison) -> Value:
    """The one member of a list or set of one, or of one whose members are all equal (0.09 or 9/100)."""
    if isinstance(value, Parts) and value.kind in ("list", "set") and value.items and value.number is None:
        if len(value.items) > 3 or any(isinstance(item, Text) for item in value.items):
            return value
        first = value.items[0]
        if len({getattr(item, "name", None) for item in value.items}) > 1:
            return value
        if len(value.items) == 1 or all(comparison.same(first, item) for item in value.items[1:]):
            return replace(first, name=value.name) if value.name and isinstance(first, Expression) else first
    return value


def _head(name: str) -> str:
    """The function's name of f(x)."""
    return name.partition("(")[0] if name.endswith(")") and name[0] != "(" else name


def _renamed(gold: Expression, answer: Expression) -> Expression | None:
    """The answer f(t) = t + 1 with the gold's x in the place of t; None where x stands for something else in it."""
    new, old = (name.partition("(")[2].rstrip(")") for name in (gold.name, answer.name))
    if not (old.isalpha() and new.isalpha()) or numbers.occurs(Node("name", (new,)), answer.node):
        return None
    return replace(answer, node=_substituted(answer.node, Node("name", (old,)), Node("name", (new,))))


def _substituted(node: Node, old: Node, new: Node) -> Node:
    if node == old:
        return new
    return Node(node.op, tuple(_substituted(part, old, new) if isinstance(part, Node) else part for part in node.args))


def _letter(letter: str) -> Node:
    return {"e": Node("e", ()), "i": Node("imaginary", ())}.get(letter, Node("name", (letter,)))


def _number(value: int) -> Node:
    return Node("number", (Fraction(value), None))


def _padded(time: Time) -> tuple[int, int, int]:
    return (*time.parts, 0)[:3] if len(time.parts) < 3 else time.parts
