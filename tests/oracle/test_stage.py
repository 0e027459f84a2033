"""Which policies a study measures, at whose responses, and what decides that a measurement is made again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tokencredit.errors import UserError
from tokencredit.study.measurements import measured_rows
from tokencredit.study.rules import Graph

from ..config.conftest import Spoil, spoil  # noqa: F401

STUDY = "studies/one.yaml"
ORACLE = {"policies": ["base", "eapo"], "seed": 0, "continuations": 4}
RUNS = "results/one/runs"


def wildcards(policy: str, seed: int) -> SimpleNamespace:
    return SimpleNamespace(study="one", policy=policy, seed=str(seed))


def test_policies_are_measured_under_every_seed(spoil: Spoil) -> None:  # noqa: F811
    graph = Graph(spoil(STUDY, "oracle", ORACLE), asked="one")
    paths = [row.path for row in measured_rows(graph.study("one"))]
    assert paths == ["base/seed0", "base/seed1", "eapo/seed0", "eapo/seed1"]
    base, trained = (graph.job("oracle", wildcards(policy, 0)) for policy in ("base", "eapo"))
    assert base.inputs["runs"] == [Path(f"{RUNS}/{name}/seed0/run.json") for name in ("grpo", "eapo")]
    assert trained.inputs["runs"] == [Path(f"{RUNS}/eapo/seed0/run.json")]
    assert base.model == Path("results/models/small")
    assert trained.model == Path(f"{RUNS}/eapo/seed0/model")


def test_a_study_without_an_oracle_measures_nothing(spoil: Spoil) -> None:  # noqa: F811
    graph = Graph(spoil(), asked="one")
    assert measured_rows(graph.study("one")) == []
    with pytest.raises(UserError, match="allowed: none, for it has no `oracle`"):
        graph.job("oracle", wildcards("base", 0))


def test_what_is_measured_beside_a_policy_makes_it_no_older(spoil: Spoil) -> None:  # noqa: F811
    def config(**changes: object) -> dict:
        folder = spoil(STUDY, "oracle", {**ORACLE, **changes})
        return Graph(folder, asked="one").job("oracle", wildcards("base", 0)).config()

    assert config() == config(policies=["base"])
    assert config() != config(continuations=8)
    assert config() != config(seed=1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"policies": ["eapoo"]}, "oracle.policies = 'eapoo'"),
        ({"policies": ["base", "base"]}, "'base' is listed 2 times"),
        ({"continuations": 1}, "oracle.continuations = 1"),
        ({"fewest": 1}, "oracle.fewest = 1"),
        ({"mass": 1.5}, "oracle.mass = 1.5"),
    ],
)
def test_a_wrong_oracle_is_one_sentence(spoil: Spoil, changes: dict, sentence: str) -> None:  # noqa: F811
    with pytest.raises(UserError, match=sentence):
        Graph(spoil(STUDY, "oracle", {**ORACLE, **changes}), asked="one").study("one")


# ---------------------------------------------------------------- attribution

ATTRIBUTED = [STUDY, "oracle", ORACLE, STUDY, "attribution", True]
TOLD = ["models.yaml", "models.small.privileged_prompt", "{problem} {answer}"]


def test_the_base_model_is_asked_about_the_responses_that_it_was_measured_at(spoil: Spoil) -> None:  # noqa: F811
    graph = Graph(spoil(*ATTRIBUTED, *TOLD), asked="one")
    for seed in (0, 1):
        job = graph.job("attribute", SimpleNamespace(study="one", seed=str(seed)))
        assert job.inputs == graph.job("oracle", wildcards("base", seed)).inputs
        names = ("hindsight", "gradients", "groups")
        assert job.outputs == tuple(f"results/one/attribution/seed{seed}/{name}.parquet" for name in names)
    with pytest.raises(UserError, match="seed2 has no attribution in study one; allowed: seed0, seed1"):
        graph.job("attribute", SimpleNamespace(study="one", seed="2"))


def test_an_attribution_that_is_off_changes_nothing(spoil: Spoil) -> None:  # noqa: F811

    def decided(*more: object) -> list[set[str]]:
        return [job.decided() for job in Graph(spoil(*ATTRIBUTED[:3], *TOLD, *more), asked="one").jobs("one", "oracle")]

    before = decided()
    assert before == decided(*ATTRIBUTED[3:])
    graph = Graph(spoil(*ATTRIBUTED[:3], *TOLD), asked="one")
    assert graph.jobs("one", "attribute") == []
    assert "attribution" not in graph.study("one").file.model_dump()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (ATTRIBUTED, "attribution: scores responses by a policy that knows the answer; models.small.privileged_prompt"),
        (
            [*TOLD, *ATTRIBUTED[3:]],
            "attribution: is of measured responses of the base model; oracle.policies must hold",
        ),
        ([*TOLD, *ATTRIBUTED, STUDY, "oracle.policies", ["eapo"]], "attribution: is of measured responses of the base"),
    ],
)
def test_what_an_attribution_needs_is_one_sentence(spoil: Spoil, changes: list, sentence: str) -> None:  # noqa: F811
    with pytest.raises(UserError, match=sentence):
        Graph(spoil(*changes), asked="one").study("one")
