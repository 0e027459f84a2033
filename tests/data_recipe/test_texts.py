"""Entropy of words, equal texts and similar texts, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tokencredit.data_recipe import texts


def test_word_entropy_by_hand() -> None:
    assert texts.word_entropy("") == 0
    assert texts.word_entropy("a a a") == 0
    assert texts.word_entropy("a b c d") == 2
    assert texts.word_entropy("a a b c") == pytest.approx(1.5)


def test_equal_texts_share_the_place_of_the_first() -> None:
    given = ["one two", "three", "One  two", "one twO\n", "three four"]
    assert texts.first_of_equal(given).tolist() == [0, 1, 0, 0, 4]


def test_similar_pairs_are_those_of_every_pair_compared() -> None:
    """Texts that share more and more runs of words; every pair, compared by plain loops."""
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(40)]
    given = [" ".join(words)]
    for count in (1, 2, 3, 4, 6, 8, 12):
        changed = list(words)
        for place in rng.choice(40, size=count, replace=False):
            changed[place] = f"other{place}"
        given.append(" ".join(changed))
    given += ["short", "short", "short one"]
    runs = [{tuple(text.split()[k : k + 5]) for k in range(max(1, len(text.split()) - 4))} for text in given]
    expected = {
        (one, other): len(runs[one] & runs[other]) / len(runs[one] | runs[other])
        for other in range(len(given))
        for one in range(other)
    }
    found = dict(
        zip(
            zip(*(places.tolist() for places in texts.similar_pairs(given)[:2]), strict=True),
            texts.similar_pairs(given)[2],
            strict=True,
        )
    )
    assert found == pytest.approx({pair: value for pair, value in expected.items() if value >= 0.5})
    assert found[8, 9] == 1
    assert len(found) > 2


def test_texts_without_a_like_one_have_no_pair() -> None:
    assert [len(part) for part in texts.similar_pairs(["a b c d e f", "g h i j k l"])] == [0, 0, 0]
