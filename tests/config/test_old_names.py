"""Keys that had another name in the version before still work, with a sentence that says the new one."""

from __future__ import annotations

import pytest

from tests.config.conftest import ABSENT, FILES, Spoil, message_of
from tokencredit.config import load_study

RECIPES = FILES["methods.yaml"]["recipes"]
OLD = ("methods.yaml", "recipes", ABSENT, "methods.yaml", "bases", RECIPES)
OF_A_METHOD = ("methods.yaml", "methods.grpo.recipe", ABSENT, "methods.yaml", "methods.grpo.recipe", "plain")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (OLD, r"methods\.yaml: bases: is called 'recipes' now; the next version does not know the old name\."),
        (OF_A_METHOD, r"methods\.yaml: methods\.grpo\.base: is called 'recipe' now"),
    ],
)
def test_an_old_name_decides_the_same_run(spoil: Spoil, changes: tuple[object, ...], sentence: str) -> None:
    now = load_study(spoil(), "one").training_config("grpo")
    with pytest.warns(FutureWarning, match=sentence):
        assert load_study(spoil(*changes), "one").training_config("grpo") == now


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_both_names_of_a_key_are_refused(spoil: Spoil) -> None:
    both = message_of(spoil("methods.yaml", "methods.grpo.recipe", "plain"))
    assert both.endswith(
        "methods.grpo.recipe: is the old name of 'recipe', which stands beside it; one of the two is allowed."
    )
    assert "bases: is the old name of 'recipes'" in message_of(spoil("methods.yaml", "bases", RECIPES))
