"""Every malformed row is refused by file, row, field and what is allowed; nothing is taken in silence, nothing ends in a traceback."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencredit.data.rows import parsed_rows
from tokencredit.errors import UserError

GOOD = {"id": "p/0", "problem": "What is 0 plus one?", "answer": "1"}


def refusal(*lines: Any) -> str:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    with pytest.raises(UserError) as caught:
        list(parsed_rows("set.jsonl", "set", text))
    return str(caught.value)


def changed(**fields: Any) -> dict[str, Any]:
    return {**GOOD, "id": "p/1", **fields}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ([1, 2], "is a list; it must be an object with id, problem and answer"),
        ("null", "is null; it must be an object"),
        ('"text"', "is a text; it must be an object"),
        ("7", "is a number; it must be an object"),
        ("{}", "has no id, problem, answer; it has no field"),
        (changed(answer=5), "answer = 5: must be a text"),
        (changed(answer=0.5), "answer = 0.5: must be a text"),
        (changed(answer=None), "answer = null: must be a text"),
        (changed(answer=["1"]), 'answer = ["1"]: must be a text'),
        ('{"id": "p/1", "problem": "?", "answer": NaN}', "answer = NaN: must be a text"),
        (changed(problem=None), "problem = null: must be a text"),
        (changed(problem=3), "problem = 3: must be a text"),
        (changed(problem=["a"]), 'problem = ["a"]: must be a text'),
        (changed(problem="a\ud800"), r"problem = 'a\ud800': holds half of a surrogate pair at character 2"),
        (changed(answer="\udfff"), r"answer = '\udfff': holds half of a surrogate pair at character 1"),
        (changed(meta=None), "meta = null: must be an object, or left out"),
        (changed(meta="no"), 'meta = "no": must be an object, or left out'),
        (changed(meta={"no_gold": "false"}), 'meta.no_gold = "false": must be true or false'),
        (changed(meta={"no_gold": 0}), "meta.no_gold = 0: must be true or false"),
        (changed(id=None), "id = null: must be a text or a whole number"),
        (changed(id=1.5), "id = 1.5: must be a text or a whole number"),
        (changed(id=True), "id = true: must be a text or a whole number"),
        (changed(id=" "), 'id = " ": must not be empty'),
        (changed(id="\ud900"), "id = "),
        (changed(level=[3]), "level = [3]: must be a text or a whole number"),
        (changed(solution=4), "solution = 4: must be a text"),
        ('{"id": "p/1", "problem": "?", "answer": "1", "answer": "2"}', "has the field 'answer' twice"),
        ('{"id": "p/1", "problem": "?", "answer": "1"', "cannot be read as JSON"),
        ("{} {}", "cannot be read as JSON"),
        ("\ufeff" + json.dumps(GOOD), "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON, the file may be truncated: it is nested too deep"),
        ('{"id": ' + "9" * 5000 + "}", "cannot be read as JSON"),
        (GOOD, "id = 'p/0': is that of row 1 too"),
    ],
)
def test_refused(line: Any, said: str) -> None:
    message = refusal(GOOD, line)
    assert message.startswith("set.jsonl: row 2: ")
    assert said in message
    assert message.endswith("; data set set.")
    message.encode()


def test_ids_that_are_one_text() -> None:
    message = refusal(changed(id=1), changed(id="2"), changed(id="1"))
    assert message.startswith("set.jsonl: row 3: id = '1': is that of row 1 too; every row needs an id of its own")


def test_blank_lines_keep_the_number_of_a_row() -> None:
    assert refusal(GOOD, "", "  ", "nothing").startswith("set.jsonl: row 4: cannot be read as JSON")


def test_what_is_allowed() -> None:
    lines = [
        changed(id=7, level=3, solution="s", meta={"year": 1, "no_gold": False}),
        changed(id="8", level="hard", solution=None, more=[]),
    ]
    rows = list(parsed_rows("set.jsonl", "set", "\r\n".join(map(json.dumps, lines)) + "\n\n"))
    assert [(row.problem_id, row.level, row.solution) for row in rows] == [("7", "3", "s"), ("8", "hard", None)]
    (separator,) = parsed_rows("set.jsonl", "set", json.dumps(changed(problem="a\u2028b"), ensure_ascii=False))
    assert separator.problem == "a\u2028b"


# Surrogates, too, which JSON can spell and files cannot hold.
TEXT = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)
FIELDS = st.sampled_from(["id", "problem", "answer", "level", "solution", "meta"])


@pytest.mark.slow
@given(st.dictionaries(FIELDS, JSON) | JSON)
def test_any_json_is_read_or_refused_in_words_that_can_be_printed(value: Any) -> None:
    said = b""
    try:
        list(parsed_rows("set.jsonl", "set", json.dumps(value)))
    except UserError as error:
        said = str(error).encode()
    assert said == b"" or said.startswith(b"set.jsonl: row 1: ")
