"""The embedded task: what its problems mean, that splits never overlap, and that its texts go through the tokenizer unchanged."""

from __future__ import annotations

import random
import re

import pytest

from tokencredit.data import embedded, phrasing
from tokencredit.data.embedded_tokenizer import EOS, PAD, build_tokenizer, check_text, vocabulary
from tokencredit.data.tasks import word_problems
from tokencredit.errors import UserError
from tokencredit.files import digest_of

COLUMNS = ["problem_id", "problem", "answer", "source", "level", "solution"]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def boxed(solution: str) -> int:
    """The number in the box that ends a solution."""
    match = re.search(r"\\boxed\{ ?(\d+)\}$", solution)
    assert match, solution
    return int(match.group(1))


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_a_problem_table_has_the_shared_columns_and_careful_right_solutions(tier: int) -> None:
    table = embedded.generate_problems([tier], 60, 3, "test")
    assert list(table.columns) == COLUMNS
    assert len(table) == table.problem.nunique() == table.problem_id.nunique() == 60
    assert set(table.level) == {str(tier)}
    for answer, solution in zip(table.answer, table.solution, strict=True):
        assert boxed(solution) == int(answer)


def test_solutions_in_english_are_right_step_by_step_and_end_in_the_answer() -> None:
    frame = embedded.generate_problems([1, 2, 3], 60, 0, "pretrain", solutions="english")
    for record in frame.itertuples():
        steps = re.findall(r"(\d+) ([-+*]) (\d+) = (\d+)", record.solution)
        assert len(steps) == word_problems.TIERS[int(record.level)].operations
        for left, operator, right, result in steps:
            assert {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}[operator](int(left), int(right)) == int(
                result
            )
        assert record.solution.endswith(f"\\boxed{{{record.answer}}}.")
        assert steps[-1][-1] == record.answer
    assert len(set(frame["solution"].str.split().str[0])) > 2  # several openings


def test_a_task_without_english_says_so() -> None:
    with pytest.raises(UserError, match="the embedded task graph-paths has no solutions in English"):
        embedded.generate_problems([1], 2, 0, "train", "graph-paths", "english")


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_answers_follow_from_the_steps_and_stay_in_range(tier: int) -> None:
    rule = word_problems.TIERS[tier]
    for index in range(200):
        problem = word_problems.make_problem(tier, random.Random(index))
        assert len(problem.steps) == rule.operations
        value = problem.start
        for step in problem.steps:
            value = {"+": value + step.right, "-": value - step.right, "x": value * step.right}[step.operator]
            assert 0 < value <= rule.largest
        assert problem.answer == value
        # Every sentence that matters, the start, the distractors and the question are there.
        assert len(re.findall(r"[.?]", problem.text)) == rule.operations + rule.distractors + 2


def test_the_same_seed_gives_the_same_problems_and_another_seed_others() -> None:
    first, again, other = (embedded.generate_problems([1, 2, 3], 90, seed, "train") for seed in (0, 0, 1))
    assert first.equals(again)
    assert len(set(first.problem) & set(other.problem)) < 5


def test_problems_texts_and_vocabulary_are_those_that_stored_results_were_made_with() -> None:
    problems = embedded.generate_problems([1, 2, 3], 300, 1, "train")
    made = (problems.to_dict("list"), embedded.pretraining_texts([1, 2, 3], 300, 0), vocabulary())
    assert [digest_of(each)[:12] for each in made] == ["a8149ab1b6e9", "387a05e9798a", "ff32c4afe6d7"]


def test_tiers_take_turns_and_one_listed_twice_comes_twice_as_often() -> None:
    levels = embedded.generate_problems([1, 1, 3], 30, 0, "train").level.value_counts()
    assert levels.to_dict() == {"1": 20, "3": 10}


@pytest.mark.slow
def test_splits_and_tiers_never_share_a_text_whatever_the_seeds() -> None:
    texts = {
        split: {problem.text for seed in (0, 1, 2) for problem in embedded.sample_problems([1, 2, 3], 300, seed, split)}
        for split in ("pretrain", "train", "test")
    }
    assert not texts["test"] & texts["train"]
    assert not texts["test"] & texts["pretrain"]
    assert not texts["train"] & texts["pretrain"]
    for split, problems in texts.items():
        assert {embedded.split_of(text) for text in problems} == {split}
    tiers = [{problem.text for problem in embedded.sample_problems([tier], 300, 0, "test")} for tier in (1, 2, 3)]
    assert not tiers[0] & tiers[1]
    assert not tiers[0] & tiers[2]
    assert not tiers[1] & tiers[2]


def test_pretraining_texts_come_from_their_own_split() -> None:
    assert {embedded.split_of(problem) for problem, _ in embedded.pretraining_texts([1, 2, 3], 300, 5)} == {"pretrain"}


def test_solutions_mix_careful_ones_shortcuts_and_stylistic_variants() -> None:
    pairs = embedded.pretraining_texts([2], 1500, 0)
    short = [any(mode in solution for mode in word_problems.SHORTCUT) for _, solution in pairs]
    assert sum(short) / len(short) == pytest.approx(word_problems.SHORTCUT_SHARE, abs=0.05)
    for variants in (phrasing.OPENINGS, word_problems.CAREFUL, word_problems.SHORTCUT, phrasing.CLOSINGS):
        for variant in variants:
            assert any(variant in solution for _, solution in pairs), variant


@pytest.mark.slow
def test_shortcuts_are_right_about_as_often_as_they_say() -> None:
    problems = embedded.sample_problems([2], 3000, 0, "pretrain")
    solutions = [word_problems.sample_solution(problem, random.Random(index)) for index, problem in enumerate(problems)]
    right = [
        boxed(solution) == problem.answer
        for problem, solution in zip(problems, solutions, strict=True)
        if any(mode in solution for mode in word_problems.SHORTCUT)
    ]
    assert sum(right) / len(right) == pytest.approx(word_problems.GUESS_RIGHT, abs=0.06)


@pytest.mark.slow
def test_every_text_comes_back_exactly(tokenizer) -> None:
    for index, (problem, solution) in enumerate(embedded.pretraining_texts([1, 2, 3], 1500, 11)):
        text = problem + "\n" + solution
        if index < 20:  # the check of a prompt template, not of a corpus: it builds the vocabulary anew
            check_text(text)
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_the_vocabulary_is_fixed_and_has_its_special_tokens(tokenizer) -> None:
    words = vocabulary()
    assert len(words) == len(set(words)) == len(tokenizer)
    assert words == vocabulary()
    assert (tokenizer.convert_ids_to_tokens(0), tokenizer.convert_ids_to_tokens(1)) == (PAD, EOS)
    assert (tokenizer.pad_token, tokenizer.eos_token) == (PAD, EOS)


def test_a_saved_tokenizer_loads_as_a_hugging_face_one(tokenizer, tmp_path) -> None:
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    problem, solution = embedded.pretraining_texts([3], 1, 0)[0]
    text = problem + "\n" + solution
    assert loaded(text).input_ids == tokenizer(text).input_ids
    assert loaded.decode(loaded(text).input_ids) == text
    assert (loaded.pad_token_id, loaded.eos_token_id) == (tokenizer.pad_token_id, tokenizer.eos_token_id)


def test_an_unknown_word_is_an_error_that_names_it() -> None:
    with pytest.raises(UserError, match="' zebras'"):
        check_text("Mia has 4 zebras.")


def test_an_unknown_tier_is_an_error_that_lists_the_tiers() -> None:
    with pytest.raises(UserError, match=r"tiers: 4 is not a tier.*1, 2, 3"):
        embedded.generate_problems([4], 3, 0, "test")
