"""Methods in files of one's own: what is run, and what is refused in a sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.creditbench.planted import measured
from tokencredit import credit
from tokencredit.credit import METHODS
from tokencredit.creditbench.records import Measured
from tokencredit.creditbench.submission import read
from tokencredit.errors import UserError

TENSORS = """\
from tokencredit.credit import TokenCredit, method

@method("{name}", source="a test", equation="A", columns={columns})
def function(signals, strength: float = 2.0):
    return TokenCredit({advantage}, signals.position < 3)
"""
ONE = TENSORS.format(name="mine", columns="()", advantage="1")


@pytest.fixture(scope="module")
def policy() -> Measured:
    return measured()


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def tensors(
    folder: Path, name: str = "mine", columns: str = "()", advantage: str = "strength * signals.token_advantage"
) -> Path:
    return written(folder, TENSORS.format(name=name, columns=columns, advantage=advantage))


def test_a_function_of_a_table_is_run_on_the_tokens(tmp_path: Path, policy: Measured) -> None:
    own = read(written(tmp_path, "def credit(tokens):\n    return tokens.advantage * tokens.entropy\n"))
    tokens = policy.tokens
    assert own.name == "mine"
    assert own.credit(policy) == pytest.approx((tokens["advantage"] * tokens["entropy"]).to_numpy()[:, None])


@pytest.mark.parametrize(
    "body",
    [
        "return (tokens.advantage * tokens.entropy)[tokens.entropy.argsort()]",
        "tokens.sort_values('entropy', inplace=True)\n    return tokens.advantage * tokens.entropy",
    ],
)
def test_numbers_in_another_order_go_to_their_own_tokens(tmp_path: Path, policy: Measured, body: str) -> None:
    own, tokens = read(written(tmp_path, f"def credit(tokens):\n    {body}\n")), policy.tokens
    assert own.credit(policy) == pytest.approx((tokens["advantage"] * tokens["entropy"]).to_numpy()[:, None])


def test_what_reads_a_measured_column_is_judged_by_the_rest(tmp_path: Path) -> None:
    own, policy = read(written(tmp_path, "def credit(tokens):\n    return tokens.measured\n")), measured(noise=True)
    assert own.credit(policy) == pytest.approx(policy.thirds["measured"], abs=1e-6)


def test_the_two_forms_of_a_method_are_one(tmp_path: Path, policy: Measured) -> None:
    one = read(written(tmp_path, "def credit(tokens):\n    return 2 * tokens.advantage * (tokens.position < 3)\n"))
    other = read(tensors(tmp_path))
    assert other.name == "mine"
    assert other.credit(policy).tolist() == one.credit(policy).tolist()


def test_a_file_of_the_package_holds_the_method_that_it_registered(policy: Measured) -> None:
    """CONTRIBUTING.md puts a method there, where it is registered as soon as anything of the package is imported."""
    package, before = Path(credit.__file__).parent, list(METHODS)
    own = read(package / "gtpo.py")
    assert (own.name, own.method) == ("gtpo", METHODS["gtpo"])
    assert own.credit(policy).shape == (len(policy.tokens), 1)
    with pytest.raises(UserError, match=r"eapo\.py: holds 6 methods; one is allowed, under @method"):
        read(package / "eapo.py")
    assert list(METHODS) == before


def test_a_file_leaves_no_method_behind(tmp_path: Path) -> None:
    before = list(METHODS)
    read(tensors(tmp_path))
    with pytest.raises(UserError):
        read(written(tmp_path, tensors(tmp_path).read_text() + "\nraise ValueError('no')\n"))
    assert list(METHODS) == before


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def credit(tokens)\n", r"mine.py: cannot be run: SyntaxError: expected ':'"),
        ("import nothing_of_the_kind\n", r"mine.py: cannot be run: ModuleNotFoundError: No module named"),
        (
            "weights = 1\n",
            r"mine.py: holds no methods; one is allowed: a function credit\(tokens\), or one under @method",
        ),
        (f"{ONE}\ndef credit(tokens):\n    return 1\n", r"holds 2 methods; one is allowed"),
        (ONE.replace("mine", "eapo"), r"cannot be run: ValueError: the credit method 'eapo' is declared twice"),
    ],
)
def test_a_file_without_one_method_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read(written(tmp_path, text))


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        ("tokens.surprise", r"credit\(tokens\) fails: AttributeError: .*surprise.*; tokens has .*entropy"),
        ("tokens.advantage[:5]", r"credit\(tokens\) gives an array of shape \(5,\); \(480,\) is needed"),
        ("1", r"gives an array of shape \(\); \(480,\) is needed"),
        ("['much'] * len(tokens)", r"credit\(tokens\) fails: ValueError: could not convert string to float: 'much'"),
        ("tokens.advantage / 0 * 0", r"gives 480 of 480 tokens no finite number"),
    ],
)
def test_credit_that_is_none_is_refused(tmp_path: Path, policy: Measured, returned: str, sentence: str) -> None:
    own = read(written(tmp_path, f"def credit(tokens):\n    return {returned}\n"))
    with pytest.raises(UserError, match=sentence):
        own.credit(policy)


def test_a_missing_column_is_named_with_the_reason(tmp_path: Path, policy: Measured) -> None:
    own = read(tensors(tmp_path, columns="('hidden',)"))
    with pytest.raises(
        UserError, match="'mine' needs hidden: made with the weights of the policy, which no bundle holds"
    ):
        own.credit(policy)


def test_tensors_need_torch_and_a_table_does_not(
    tmp_path: Path, policy: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokencredit.creditbench.tensors", None)  # its import fails, as without torch
    with pytest.raises(
        UserError, match=r"'mine' works on TokenSignals, whose columns are tensors, and torch is not installed"
    ):
        read(tensors(tmp_path)).credit(policy)
    table = read(written(tmp_path, "def credit(tokens):\n    return tokens.advantage\n"))
    assert np.isfinite(table.credit(policy)).all()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"other.py: no such file"):
        read(tmp_path / "other.py")
    with pytest.raises(UserError, match=r"notes.txt: is no Python file; its name must end in .py"):
        read(written(tmp_path, "", "notes.txt"))
