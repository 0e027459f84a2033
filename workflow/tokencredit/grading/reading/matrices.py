"""Matrices, and products of them."""

from __future__ import annotations

from tokencredit.grading.reading.answers import Matrix
from tokencredit.grading.reading.brackets import Tokens, partner, split
from tokencredit.grading.reading.grammar import DEEPEST, Reading
from tokencredit.grading.reading.quantities import quantity
from tokencredit.grading.reading.tokens import Node, UnreadableError, words

_MATRICES = words("pmatrix bmatrix matrix Bmatrix smallmatrix array vmatrix")


def matrix(tokens: Tokens, reading: Reading, depth: int) -> Matrix:
    """The matrix that these tokens are. Raises ``UnreadableError``."""
    if depth > DEEPEST:
        raise UnreadableError("too many matrices in a row")
    kind, start = _environment(tokens, 1)
    depths = 1
    for place in range(start, len(tokens)):
        if tokens[place].kind == "command" and tokens[place].value in ("begin", "end"):
            depths += 1 if tokens[place].value == "begin" else -1
        if depths == 0:
            break
    else:
        raise UnreadableError("an environment does not end")
    ended, end = _environment(tokens, place + 1)
    if ended != kind:
        raise UnreadableError("an environment that ends as another")
    if kind not in _MATRICES or (end < len(tokens) and tokens[end].value != "begin"):
        raise UnreadableError(f"an environment ({kind}) that is no matrix alone")
    inside = tokens[start:place]
    if kind == "array" and inside and inside[0].value == "{":
        inside = inside[partner(inside) + 1 :]
    rows = [row for row in split(inside, lambda token: token.value == "\\\\") if row]
    nodes = [
        tuple(quantity(cell, reading).node for cell in split(row, lambda token: token.value == "&")) for row in rows
    ]
    if not nodes or len({len(row) for row in nodes}) != 1:
        raise UnreadableError("rows of different lengths")
    found = Matrix(tuple(nodes), kind == "vmatrix")
    return found if end == len(tokens) else _product(found, matrix(tokens[end:], reading, depth + 1))


def scaled(factor: Node, value: Matrix) -> Matrix:
    """A number times a matrix."""
    if value.determinant:
        raise UnreadableError("a determinant times a number")
    return Matrix(tuple(tuple(Node("mul", (factor, cell)) for cell in row) for row in value.rows), value.determinant)


def _product(left: Matrix, right: Matrix) -> Matrix:
    if left.determinant or right.determinant or len(left.rows[0]) != len(right.rows):
        raise UnreadableError("matrices that cannot be multiplied")
    columns = list(zip(*right.rows, strict=True))
    cells = [
        [tuple(Node("mul", pair) for pair in zip(row, column, strict=True)) for column in columns] for row in left.rows
    ]
    return Matrix(tuple(tuple(Node("add", terms) for terms in row) for row in cells))


def _environment(tokens: Tokens, start: int) -> tuple[str, int]:
    """The name in braces that begins at ``start``, and the place behind it."""
    if start >= len(tokens) or tokens[start].value != "{":
        raise UnreadableError("an environment without a name")
    end = start + partner(tokens[start:])
    return "".join(token.value for token in tokens[start + 1 : end]), end + 1
