r"""Mathematics in normal form: a ``Node`` as a quotient of polynomials (``polynomials.py``).

Two values with the same form are equal wherever both are real numbers. Two that differ are different for certain if none of their
generators is *open*, that is, may hide a relation with another one (sin 2x and sin x, nested roots, logarithms of sums).

Names stand for real numbers; where roots are split, for those at which both sides are real, so that √(5/n) is √5/√n, and √x² is |x|.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

from tokencredit.grading import polynomials as poly
from tokencredit.grading.polynomials import UNIT, Polynomial, Quotient, TooLargeError
from tokencredit.grading.tokens import Node, UnreadableError

# The kind and the arguments of each generator that is a function's value; the names of all others are their own.
ARGUMENTS: dict[str, tuple[str, tuple[Quotient, ...]]] = {}

LARGEST_FACTORIAL = 3_000
LARGEST_ORDER = 5_000  # of a root
MOST_SHIFT = 12  # (n + 12)! is written with n!
_REMEMBERED = 20_000

ONE = Quotient(UNIT, UNIT)
ZERO = Quotient({}, UNIT)
MINUS_ONE = poly.of_fraction(-1)
HALF = Fraction(1, 2)


def forget() -> None:
    """Drop what is remembered of generators, if it has become much. Not to be called while a comparison is under way."""
    if len(ARGUMENTS) > _REMEMBERED:
        ARGUMENTS.clear()
        poly.RELATIONS.clear()
        form.cache_clear()
        _is_unknown.cache_clear()
        poly._product.cache_clear()


@lru_cache(maxsize=16384)
def form(node: Node) -> Quotient:
    """The normal form. Raises ``UnreadableError`` where there is no value, ``TooLargeError`` where it is too much to work out."""
    try:
        return _form(node)
    except ZeroDivisionError:
        raise UnreadableError("it divides by zero") from None
    except OverflowError:
        raise TooLargeError("a number beyond all bounds") from None


def _form(node: Node) -> Quotient:
    op, args = node
    if op == "number":
        return poly.of_fraction(args[0])
    if op == "name":
        return Quotient(poly.generator(f"@{args[0]}"), UNIT)
    if op == "add":
        total = form(args[0])
        for term in args[1:]:
            total = poly.add(total, form(term))
        return total
    if op == "mul":
        product = form(args[0])
        for factor in args[1:]:
            product = poly.multiply(product, form(factor))
        return product
    if op == "div":
        return poly.divide(form(args[0]), form(args[1]))
    if op == "pow":
        return _power(form(args[0]), form(args[1]))
    if op == "root":
        return _root_node(*args)
    if op in ("pi", "e"):
        return Quotient(poly.generator(op), UNIT)
    if op == "imaginary":
        return Quotient(poly.generator("i"), UNIT)
    if op == "call":
        return _call(args[0], args[1:])
    raise UnreadableError("infinity is no number" if op == "infty" else f"{op} is no number")


def of(kind: str, *arguments: Quotient, relation: tuple[int, Polynomial] | None = None) -> Quotient:
    """The generator that stands for a function's value at these arguments."""
    name = f"{kind} {','.join(poly.key(argument) for argument in arguments)}"
    if name not in ARGUMENTS:
        ARGUMENTS[name] = (kind, arguments)
        if relation is not None:
            poly.RELATIONS[name] = relation
    return Quotient(poly.generator(name), UNIT)


@lru_cache(maxsize=16384)
def _is_unknown(name: str) -> bool:
    """Whether a generator is a name, or a function's value at names."""
    if name[0] == "@" or name.startswith("of "):
        return True
    return name in ARGUMENTS and any(unknowns(argument) for argument in ARGUMENTS[name][1])


def unknowns(value: Quotient) -> set[str]:
    """The generators without a value of their own: names, and what depends on names."""
    return {name for name in poly.generators(*value) if _is_unknown(name)}


# ---------------------------------------------------------------- powers and roots


def _integer_power(base: Quotient, exponent: int) -> Quotient:
    if exponent == 0 and not base.above:
        raise UnreadableError("zero to the power of zero has no value")
    if exponent < 0:
        return poly.divide(ONE, _integer_power(base, -exponent))
    return Quotient(poly.power(base.above, exponent), poly.power(base.below, exponent))


def _power(base: Quotient, exponent: Quotient) -> Quotient:
    rational = poly.as_fraction(exponent)
    if rational is not None:
        if rational.denominator == 1:
            return _integer_power(base, int(rational))
        if rational.denominator > LARGEST_ORDER:
            raise TooLargeError("a root of too high an order")
        return _integer_power(root(base, rational.denominator), rational.numerator)
    if len(exponent.below) > 1:
        return of("power", base, exponent)
    if base.below != UNIT:
        return poly.divide(_power(Quotient(base.above, UNIT), exponent), _power(Quotient(base.below, UNIT), exponent))
    if len(base.above) != 1:
        return of("power", base, exponent)
    ((monomial, coefficient),) = base.above.items()
    result = _rational_to(coefficient, exponent)
    for name, degree in monomial:
        if name == "i":
            result = poly.multiply(result, of("power", Quotient({((name, degree),): Fraction(1)}, UNIT), exponent))
        else:
            result = poly.multiply(result, _symbolic_power(name, degree, exponent))
    return result


def _rational_to(value: Fraction, exponent: Quotient) -> Quotient:
    """A rational number to a power that is none."""
    if value == 1:
        return ONE
    if value == 0:
        raise UnreadableError("zero to an unknown power")
    if value < 0:
        return poly.multiply(of("power", MINUS_ONE, exponent), _rational_to(-value, exponent))
    result = ONE
    for part, sign in ((value.numerator, 1), (value.denominator, -1)):
        factors = poly.factored(part)
        if factors is None:
            return of("power", poly.of_fraction(value), exponent)
        for prime, count in factors:
            result = poly.multiply(result, _symbolic_power(f"#{prime}", sign * count, exponent))
    return result


def _symbolic_power(name: str, degree: int | Fraction, exponent: Quotient) -> Quotient:
    """generator ** (degree · exponent), one generator for each term of the exponent."""
    ((below, scale),) = exponent.below.items()
    result = ONE
    for monomial, coefficient in exponent.above.items():
        monomial = poly._product(monomial, tuple((other, -power) for other, power in below))[0] if below else monomial
        rational = degree * coefficient / scale
        if not monomial:
            result = poly.multiply(result, _generator_to(name, rational))
        elif name == "e" and monomial == (("i", 1), ("pi", 1)):
            result = poly.multiply(
                result,
                poly.add(
                    _cosine(_times_pi(rational)),
                    poly.multiply(Quotient(poly.generator("i"), UNIT), _sine(_times_pi(rational))),
                ),
            )
        elif name == "e" and len(monomial) == 1 and monomial[0][0].startswith("log ") and monomial[0][1] == 1:
            result = poly.multiply(result, _power(ARGUMENTS[monomial[0][0]][1][0], poly.of_fraction(rational)))
        else:
            above = Quotient({monomial: Fraction(1)}, UNIT)
            raised = f"pow {name} {poly.key(above)}"
            base = poly.of_fraction(int(name[1:])) if name[0] == "#" else Quotient(poly.generator(name), UNIT)
            ARGUMENTS.setdefault(raised, ("pow", (base, above)))
            result = poly.multiply(result, Quotient(poly.generator(raised, rational), UNIT))
    return result


def _generator_to(name: str, exponent: Fraction) -> Quotient:
    if name[0] != "#":
        return Quotient(poly.generator(name, exponent), UNIT)
    whole = exponent.__floor__()
    if abs(whole) * int(name[1:]).bit_length() > poly.MOST_BITS:
        raise TooLargeError("a number of too many digits")
    rest = exponent - whole
    return Quotient(
        poly.times(poly.constant(Fraction(int(name[1:])) ** whole), poly.generator(name, rest) if rest else UNIT), UNIT
    )


def _root_node(radicand: Node, index: Node) -> Quotient:
    order = poly.as_fraction(form(index))
    if order is None:
        return _power(form(radicand), poly.divide(ONE, form(index)))
    if order.denominator != 1 or not 1 <= order <= LARGEST_ORDER:
        raise UnreadableError("a root of an order that is no positive integer")
    if order == 2 and radicand.op == "pow":
        exponent = poly.as_fraction(form(radicand.args[1]))
        if exponent is not None and exponent.denominator == 1 and exponent > 0 and exponent % 2 == 0:
            base = form(radicand.args[0])
            if not poly.generators(base.above, base.below) & {"i"}:
                return _integer_power(absolute(base), int(exponent) // 2)
    return root(form(radicand), int(order))


def root(value: Quotient, order: int) -> Quotient:
    """The real root of an order >= 1; of negative numbers i times a root, if the order is even."""
    return value if order == 1 else poly.divide(_root_of(value.above, order), _root_of(value.below, order))


def _root_of(radicand: Polynomial, order: int) -> Quotient:
    if not radicand:
        return ZERO
    if len(radicand) == 1:
        ((monomial, coefficient),) = radicand.items()
        result = _root_of_rational(coefficient, order)
        for name, degree in monomial:
            result = poly.multiply(result, _root_of_generator(name, degree, order))
        return result
    denested = _denested(radicand) if order == 2 else None
    if denested is not None:
        return denested
    content = _content(radicand)
    inner = Quotient(poly.times(radicand, poly.constant(1 / content)), UNIT)
    return poly.multiply(_root_of_rational(content, order), of(f"root {order}", inner, relation=(order, inner.above)))


def _root_of_rational(value: Fraction, order: int) -> Quotient:
    if value < 0:
        positive = _root_of_rational(-value, order)
        if order % 2:
            return poly.multiply(MINUS_ONE, positive)
        if order == 2:
            return poly.multiply(Quotient(poly.generator("i"), UNIT), positive)
        return of(f"root {order}", poly.of_fraction(value), relation=(order, poly.constant(value)))
    result = ONE
    for part, sign in ((value.numerator, 1), (value.denominator, -1)):
        factors = poly.factored(part)
        if factors is None:
            exact = _integer_root(part, order)
            whole = (
                poly.of_fraction(exact)
                if exact
                else of(f"root {order}", poly.of_fraction(part), relation=(order, poly.constant(part)))
            )
            result = poly.multiply(result, whole) if sign > 0 else poly.divide(result, whole)
            continue
        for prime, count in factors:
            result = poly.multiply(result, _generator_to(f"#{prime}", Fraction(sign * count, order)))
    return result


def _integer_root(value: int, order: int) -> int | None:
    if order == 2:
        exact = math.isqrt(value)
        return exact if exact * exact == value else None
    low, high = 1, 1 << (value.bit_length() // order + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**order <= value else (low, middle - 1)
    return low if low**order == value else None


def _root_of_generator(name: str, degree: int | Fraction, order: int) -> Quotient:
    if name == "i" or name in poly.RELATIONS and not name.startswith("abs"):
        base = {((name, degree),): Fraction(1)}
        return of(f"root {order}", Quotient(base, UNIT), relation=(order, base))
    if name[0] == "#":
        return _generator_to(name, Fraction(degree) / order)
    exponent = Fraction(degree) / order
    if not _is_positive(name) and order % 2 == 0 and degree % 2 == 0 and exponent % 2 != 0:
        return _integer_or_generator_power(absolute(Quotient(poly.generator(name), UNIT)), exponent)
    return Quotient(poly.generator(name, exponent), UNIT)


def _integer_or_generator_power(base: Quotient, exponent: Fraction) -> Quotient:
    if exponent.denominator == 1:
        return _integer_power(base, int(exponent))
    ((monomial, _),) = base.above.items()
    return Quotient({tuple((name, degree * exponent) for name, degree in monomial): Fraction(1)}, UNIT)


def _is_positive(name: str) -> bool:
    return name in ("pi", "e") or name[0] == "#" or name.startswith(("pow ", "abs "))


def _content(polynomial: Polynomial) -> Fraction:
    """The positive rational number by which a polynomial has integer coefficients without a common divisor."""
    above = math.gcd(*(coefficient.numerator for coefficient in polynomial.values()))
    below = math.lcm(*(coefficient.denominator for coefficient in polynomial.values()))
    return Fraction(above, below)


def _denested(radicand: Polynomial) -> Quotient | None:
    """The root of a + b·√c as a sum of two roots, where it is one."""
    if len(radicand) != 2 or () not in radicand:
        return None
    a = radicand[()]
    surd = {monomial: coefficient for monomial, coefficient in radicand.items() if monomial}
    if any(name[0] != "#" for monomial in surd for name, _ in monomial):
        return None
    square = poly.times(surd, surd)
    if not poly.is_constant(square):
        return None
    inner = a * a - poly.value_of(square)
    if inner < 0 or a <= 0:
        return None
    above, below = _integer_root(inner.numerator, 2) if inner else 0, _integer_root(inner.denominator, 2)
    if above is None or below is None:
        return None
    rest = Fraction(above, below)
    (coefficient,) = surd.values()
    return poly.add(
        _root_of_rational((a + rest) / 2, 2),
        _root_of_rational((a - rest) / 2, 2) if a != rest else ZERO,
        1 if coefficient > 0 else -1,
    )


# ---------------------------------------------------------------- functions


def _call(name: str, nodes: tuple[Node, ...]) -> Quotient:
    if name in _TRIGONOMETRIC:
        return _TRIGONOMETRIC[name](form(_in_radians(nodes[0])))
    arguments = [form(node) for node in nodes]
    if name == "of C" and len(arguments) == 2 and all(poly.as_fraction(argument) is not None for argument in arguments):
        name = "binomial"
    if name == "of P" and len(arguments) == 2 and all(poly.as_fraction(argument) is not None for argument in arguments):
        return poly.divide(factorial(arguments[0]), factorial(poly.add(arguments[0], arguments[1], -1)))
    if name in _FUNCTIONS:
        return _FUNCTIONS[name](*arguments)
    if name in ("max", "min", "gcd", "lcm"):
        return _symmetric(name, arguments)
    if name.startswith("of "):
        return of(name, *arguments)
    raise UnreadableError(f"the function {name} is unknown")


def _in_radians(node: Node) -> Node:
    if node.op == "call" and node.args[0] == "degrees":
        return Node("div", (Node("mul", (node.args[1], Node("pi", ()))), Node("number", (Fraction(180), None))))
    if node.op in ("number", "name"):
        return node
    return Node(node.op, tuple(_in_radians(part) if isinstance(part, Node) else part for part in node.args))


def absolute(value: Quotient) -> Quotient:
    """|value|."""
    if poly.generators(value.above, value.below) & {"i"}:
        raise UnreadableError("the size of a complex number is not worked out")
    return poly.divide(_absolute(value.above), _absolute(value.below))


def _absolute(polynomial: Polynomial) -> Quotient:
    if not polynomial:
        return ZERO
    if len(polynomial) == 1:
        ((monomial, coefficient),) = polynomial.items()
        result = poly.of_fraction(abs(coefficient))
        for name, degree in monomial:
            base = Quotient(poly.generator(name), UNIT)
            if _is_positive(name) or degree % 2 == 0 or Fraction(degree).denominator % 2 == 0:
                result = poly.multiply(result, Quotient(poly.generator(name, degree), UNIT))
            else:
                size = of("abs", base, relation=(2, poly.generator(name, 2)))
                result = poly.multiply(result, _integer_or_generator_power(size, Fraction(degree)))
        return result
    if not unknowns(Quotient(polynomial, UNIT)):
        from tokencredit.grading.enclosures import enclosure

        found = enclosure(Quotient(polynomial, UNIT), 0)
        if found is not None and abs(found[0]) > found[1]:
            return Quotient(polynomial if found[0] > 0 else poly.times(polynomial, poly.constant(-1)), UNIT)
    content = _content(polynomial) * (1 if polynomial[max(polynomial)] > 0 else -1)
    inner = poly.times(polynomial, poly.constant(1 / content))
    return poly.multiply(
        poly.of_fraction(abs(content)), of("abs", Quotient(inner, UNIT), relation=(2, poly.times(inner, inner)))
    )


def logarithm(value: Quotient) -> Quotient:
    """The natural logarithm."""
    return poly.add(_logarithm(value.above), _logarithm(value.below), -1)


def _logarithm(polynomial: Polynomial) -> Quotient:
    if not polynomial:
        raise UnreadableError("the logarithm of zero has no value")
    if len(polynomial) > 1:
        content = _content(polynomial)
        inner = Quotient(poly.times(polynomial, poly.constant(1 / content)), UNIT)
        return poly.add(_logarithm(poly.constant(content)), of("log", inner))
    ((monomial, coefficient),) = polynomial.items()
    if coefficient < 0:
        return of("log", Quotient(polynomial, UNIT))
    total = ZERO
    for part, sign in ((coefficient.numerator, 1), (coefficient.denominator, -1)):
        factors = poly.factored(part)
        if factors is None:
            total = poly.add(total, of("log", poly.of_fraction(part)), sign)
            continue
        for prime, count in factors:
            total = poly.add(total, poly.multiply(poly.of_fraction(sign * count), of("log", poly.of_fraction(prime))))
    for name, degree in monomial:
        total = poly.add(total, poly.multiply(poly.of_fraction(degree), _logarithm_of_generator(name, degree)))
    return total


def _logarithm_of_generator(name: str, degree: int | Fraction) -> Quotient:
    if name == "e":
        return ONE
    if name[0] == "#":
        return of("log", poly.of_fraction(int(name[1:])))
    base = Quotient(poly.generator(name), UNIT)
    if name.startswith("pow "):
        inner, exponent = ARGUMENTS[name][1]
        return poly.multiply(exponent, logarithm(inner))
    if name.startswith("root "):
        kind, (inner,) = ARGUMENTS[name]
        return poly.multiply(poly.of_fraction(Fraction(1, int(kind.split()[1]))), logarithm(inner))
    return of("log", absolute(base) if degree % 2 == 0 and not _is_positive(name) else base)


def factorial(value: Quotient) -> Quotient:
    """n!, of sums with a small integer by the factorial of the rest."""
    rational = poly.as_fraction(value)
    if rational is not None:
        if rational.denominator != 1 or rational < 0:
            raise UnreadableError("the factorial of a number that is no natural number")
        if rational > LARGEST_FACTORIAL:
            raise TooLargeError("a factorial that is too large")
        return poly.of_fraction(math.factorial(int(rational)))
    if value.below != UNIT:
        return of("factorial", value)
    shift = value.above.get((), Fraction(0))
    if shift.denominator != 1 or abs(shift) > MOST_SHIFT:
        return of("factorial", value)
    base = Quotient(poly.plus(value.above, poly.constant(shift), -1), UNIT)
    result = of("factorial", base)
    for step in range(1, int(shift) + 1):
        result = poly.multiply(result, poly.add(base, poly.of_fraction(step)))
    for step in range(int(shift) + 1, 1):
        result = poly.divide(result, poly.add(base, poly.of_fraction(step)))
    return result


def _binomial(above: Quotient, below: Quotient) -> Quotient:
    n, k = poly.as_fraction(above), poly.as_fraction(below)
    if k is not None and k.denominator == 1 and 0 <= k <= MOST_SHIFT and n is None:
        result = ONE
        for step in range(int(k)):
            result = poly.multiply(
                result, poly.divide(poly.add(above, poly.of_fraction(-step)), poly.of_fraction(step + 1))
            )
        return result
    if n is not None and k is not None:
        if n.denominator != 1 or k.denominator != 1 or n < 0 or k < 0:
            raise UnreadableError("a binomial coefficient of numbers that are not natural")
        if n > LARGEST_FACTORIAL:
            raise TooLargeError("a binomial coefficient that is too large")
        return poly.of_fraction(math.comb(int(n), int(k)))
    return poly.divide(factorial(above), poly.multiply(factorial(below), factorial(poly.add(above, below, -1))))


def _rounded(name: str, value: Quotient) -> Quotient:
    rational = poly.as_fraction(value)
    if rational is not None:
        return poly.of_fraction(math.floor(rational) if name == "floor" else math.ceil(rational))
    if value.below == UNIT and () in value.above:
        shift = math.floor(value.above[()])
        if shift:
            return poly.add(_rounded(name, poly.add(value, poly.of_fraction(-shift))), poly.of_fraction(shift))
    return of(name, value)


def _symmetric(name: str, arguments: list[Quotient]) -> Quotient:
    rationals = [poly.as_fraction(argument) for argument in arguments]
    if None not in rationals and name in ("max", "min"):
        return poly.of_fraction(max(rationals) if name == "max" else min(rationals))
    if None not in rationals and all(rational.denominator == 1 for rational in rationals):
        integers = [int(rational) for rational in rationals]
        return poly.of_fraction(math.gcd(*integers) if name == "gcd" else math.lcm(*integers))
    return of(name, *sorted(arguments, key=poly.key))


# ---------------------------------------------------------------- angles


def _times_pi(rational: Fraction) -> Quotient:
    return Quotient(poly.times(poly.constant(rational), poly.generator("pi")), UNIT)


_PI: poly.Monomial = (("pi", 1),)


def _sine(value: Quotient) -> Quotient:
    return _shifted_sine(value, Fraction(0))


def _cosine(value: Quotient) -> Quotient:
    return _shifted_sine(value, HALF)


def _shifted_sine(value: Quotient, shift: Fraction) -> Quotient:
    """sin(value + shift · π), where shift is a multiple of 1/2."""
    if value.below != UNIT:
        if not value.above or value.above[max(value.above)] > 0:
            return _named_sine(value, shift)
        return _named_sine(Quotient(poly.times(value.above, poly.constant(-1)), value.below), shift, negative=True)
    turns = value.above.get(_PI, Fraction(0)) + shift
    rest = {monomial: coefficient for monomial, coefficient in value.above.items() if monomial != _PI}
    if not rest:
        return _sine_of_turns(turns)
    quarters = (turns * 2).__floor__()
    left = turns - Fraction(quarters, 2)
    if left:  # keep a part of pi that is no multiple of a right angle
        rest[_PI] = left
    negative = rest[max(rest)] < 0
    if negative:
        rest = {monomial: -coefficient for monomial, coefficient in rest.items()}
    kind = quarters % 4
    result = _named_sine(Quotient(rest, UNIT), HALF if kind % 2 else Fraction(0), negative)
    return poly.multiply(MINUS_ONE, result) if kind >= 2 else result


def _named_sine(value: Quotient, shift: Fraction, negative: bool = False) -> Quotient:
    """The generator of sin or, with the shift 1/2, of cos, of the value or its negative."""
    sine = of("sin", value)
    if shift:
        ((square, _),) = poly.times(sine.above, sine.above).items()
        return of("cos", value, relation=(2, {(): Fraction(1), square: Fraction(-1)}))
    return poly.multiply(MINUS_ONE, sine) if negative else sine


def _surd(*terms: tuple[int, int]) -> Polynomial:
    total: Polynomial = {}
    for coefficient, radicand in terms:
        total = poly.plus(total, poly.times(poly.constant(coefficient), _root_of_rational(Fraction(radicand), 2).above))
    return total


# sin of these parts of pi, as four times the value.
_SINES = {
    **{Fraction(0): _surd(), Fraction(1, 12): _surd((1, 6), (-1, 2)), Fraction(1, 10): _surd((1, 5), (-1, 1))},
    **{Fraction(1, 6): _surd((2, 1)), Fraction(1, 4): _surd((2, 2)), Fraction(3, 10): _surd((1, 5), (1, 1))},
    **{Fraction(1, 3): _surd((2, 3)), Fraction(5, 12): _surd((1, 6), (1, 2)), HALF: _surd((4, 1))},
}


def _sine_of_turns(turns: Fraction) -> Quotient:
    turns %= 2
    sign = 1
    if turns > 1:
        turns, sign = turns - 1, -1
    turns = min(turns, 1 - turns)
    if turns in _SINES:
        return Quotient(poly.times(_SINES[turns], poly.constant(Fraction(sign, 4))), UNIT)
    return poly.multiply(poly.of_fraction(sign), of("sin", _times_pi(turns)))


def _inverse(name: str, value: Quotient) -> Quotient:
    """arcsin, arccos and arctan: exact at the values above, else generators of arcsin and arctan."""
    if name == "arccos":
        return poly.add(_times_pi(HALF), _inverse("arcsin", value), -1)
    for turns, four_sines in _SINES.items():
        angle = Quotient(poly.times(four_sines, poly.constant(Fraction(1, 4))), UNIT)
        if name == "arctan":
            if turns == HALF:
                continue
            angle = poly.divide(angle, _sine_of_turns(turns + HALF))
        for sign in (1, -1):
            if poly.equal(value, poly.multiply(poly.of_fraction(sign), angle)):
                return _times_pi(sign * turns)
    if value.above and value.above[max(value.above)] < 0:
        return poly.multiply(MINUS_ONE, of(name, poly.multiply(MINUS_ONE, value)))
    return of(name, value)


def _hyperbolic(value: Quotient, sign: int) -> Quotient:
    rising, falling = (
        _power(Quotient(poly.generator("e"), UNIT), poly.multiply(poly.of_fraction(direction), value))
        for direction in (1, -1)
    )
    return poly.divide(poly.add(rising, falling, sign), poly.of_fraction(2))


_TRIGONOMETRIC = {
    "sin": _sine,
    "cos": _cosine,
    "tan": lambda value: poly.divide(_sine(value), _cosine(value)),
    "cot": lambda value: poly.divide(_cosine(value), _sine(value)),
    "sec": lambda value: poly.divide(ONE, _cosine(value)),
    "csc": lambda value: poly.divide(ONE, _sine(value)),
}
_FUNCTIONS = {
    **{name: (lambda value, name=name: _inverse(name, value)) for name in ("arcsin", "arccos", "arctan")},
    "arccot": lambda value: poly.add(_times_pi(HALF), _inverse("arctan", value), -1),
    "sinh": lambda value: _hyperbolic(value, -1),
    "cosh": lambda value: _hyperbolic(value, 1),
    "tanh": lambda value: poly.divide(_hyperbolic(value, -1), _hyperbolic(value, 1)),
    "ln": logarithm,
    "abs": absolute,
    "degrees": lambda value: value,
    "factorial": factorial,
    "binomial": _binomial,
    "floor": lambda value: _rounded("floor", value),
    "ceil": lambda value: _rounded("ceil", value),
}
