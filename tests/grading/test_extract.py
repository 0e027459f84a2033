from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencredit.grading.extract import EMPTY_BOX, NO_BOX, OPEN_REASONING, extract_answer, gold_answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"so \boxed{5}", "5"),
        (r"\boxed{ \frac{1}{2} }", r"\frac{1}{2}"),
        (r"\boxed{1} and then, after a check, \boxed{2}", "2"),
        (r"\boxed{1}. \boxed{2}", "2"),
        (r"\boxed{3} = \boxed{4}", "4"),
        (r"$\boxed{1}$, $\boxed{2}$ and $\boxed{3}$.", "1, 2, 3"),
        (r"\boxed{1}\boxed{2}", "1, 2"),
        (r"\boxed{1} \text{ or } \boxed{2}", "1, 2"),
        (r"\boxed{5} \boxed{5}", "5"),
        (r"\boxed{9} is not it: \boxed{1}, \boxed{2}", "1, 2"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{x = \boxed{5}}", r"x = \boxed{5}"),
        (r"\fbox{7}", "7"),
        (r"\boxed {7}", "7"),
        (r"\\boxed{7}", "7"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{[0, 1\}}", r"[0, 1\}"),
        (r"\boxed{3} and the rest was cut: \boxed{4", "3"),
        (r"}}} \boxed{3} {{{", "3"),
        (r"{ \boxed{3}", "3"),
        ("\\boxed{a\nb}", "a\nb"),
        (r"<think>\boxed{1}</think>\boxed{2}", "2"),
        (r"no opening tag \boxed{1}</think> it is \boxed{2}", "2"),
        (r"<think>a</think> \boxed{1} <think>b</think> \boxed{2}", "2"),
    ],
)
def test_answer(response: str, answer: str) -> None:
    assert extract_answer(response) == (answer, None)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("", NO_BOX),
        ("the answer is 5", NO_BOX),
        (r"in \boxed format", NO_BOX),
        (r"\boxed{5", NO_BOX),
        (r"\boxed{\frac{1}{2}", NO_BOX),
        (r"\boxed{5\}", NO_BOX),
        (r"<think>\boxed{5}</think> done", NO_BOX),
        (r"\boxed{}", EMPTY_BOX),
        (r"\boxed{ } \boxed{}", EMPTY_BOX),
        (r"<think>\boxed{5}", OPEN_REASONING),
        (r"<think>a</think> \boxed{5} <think> but no", OPEN_REASONING),
    ],
)
def test_no_answer(response: str, reason: str) -> None:
    assert extract_answer(response) == (None, reason)


def test_gold() -> None:
    assert gold_answer(" 5 ") == "5"
    assert gold_answer(r"Thus \boxed{5}.") == "5"
    assert gold_answer(r"\boxed{1}\boxed{2}") == "1, 2"


BALANCED = st.recursive(
    st.text(st.characters(exclude_characters="\\{}", exclude_categories=["Cs"]), max_size=6),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: "{" + "".join(parts) + "}"),
    max_leaves=8,
)


@pytest.mark.slow
@given(
    before=st.text(st.characters(exclude_characters="\\<", exclude_categories=["Cs"])), answer=BALANCED, after=BALANCED
)
def test_what_stands_in_the_box_comes_out(before: str, answer: str, after: str) -> None:
    extraction = extract_answer(rf"{before}\boxed{{{answer}}}{after}")
    assert extraction.answer == (answer.strip() or None)


@given(st.text("\\boxedfnthik{}<>/ ,$and5"))
def test_any_text_gives_an_answer_or_a_reason(text: str) -> None:
    answer, reason = extract_answer(text)
    assert (answer is None) != (reason is None)
    assert answer is None or (answer and answer in text) or ", " in answer


@pytest.mark.slow
@pytest.mark.parametrize(
    "hostile",
    ["{", "}", r"\boxed{", r"\boxed{}", "<think>", r"\boxed{1},", r"\boxed{\boxed{", " and ", "\\", "$ ", r"\boxed   "],
)
def test_a_million_hostile_characters_are_read_to_the_end(hostile: str) -> None:
    """In time that grows with the text, not with its square: otherwise this test takes an hour."""
    for end in (r"\boxed{2}", " and no more"):
        text = r"\boxed{1}" + hostile * (1_000_000 // len(hostile)) + end
        answer, reason = extract_answer(text)
        assert (answer is None) != (reason is None)
