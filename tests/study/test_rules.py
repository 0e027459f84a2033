"""What the graph asks for a cell whose method has a teacher or a control."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.config.conftest import FILES, Spoil
from tokencredit.study.rules import Graph

TAUGHT = {"title": "IW-OPD", "recipe": "plain", "credit": "iw-opd", "teacher": "other"}
SMALL = FILES["models.yaml"]["models"]["small"]


def wildcards(method: str) -> SimpleNamespace:
    return SimpleNamespace(study="one", method=method, seed="0")


@pytest.fixture
def graph(spoil: Spoil) -> Graph:
    folder = spoil("methods.yaml", "methods.grpo", TAUGHT, "models.yaml", "models.other", SMALL)
    return Graph(folder, asked="one")


def test_a_cell_waits_for_its_teacher_and_no_other_does(graph: Graph) -> None:
    taught, plain = (graph.job("train", wildcards(name)).inputs for name in ("grpo", "eapo"))
    assert taught["teacher"] == [Path("results/models/other/model.json")]
    assert plain["teacher"] == []
    assert taught["model"] == Path("results/models/small/model.json")


def test_a_teacher_is_made_with_the_resources_of_the_study_that_names_it(graph: Graph) -> None:
    assert graph.needs("pretrain", SimpleNamespace(model="other")).mem_mb == 1000


def test_a_control_counts_in_the_code_of_its_own_cell(spoil: Spoil) -> None:
    plain = Graph(spoil(), asked="one")
    changed = Graph(spoil("methods.yaml", "methods.eapo.control", "shuffled"), asked="one")
    before, after = (
        {name: graph.job("train", wildcards(name)) for name in ("eapo", "grpo")} for graph in (plain, changed)
    )
    assert after["eapo"].code() != before["eapo"].code()
    assert after["grpo"].code() == before["grpo"].code()
    assert after["grpo"].config() == before["grpo"].config()


def test_a_privileged_prompt_makes_no_model_again(spoil: Spoil) -> None:
    told = ("models.yaml", "models.small.privileged_prompt", "{problem} {answer}")
    before, after = (
        Graph(spoil(*change), asked="one").model_config(SimpleNamespace(model="small")) for change in ((), told)
    )
    assert before == after


@pytest.mark.parametrize(
    "change",
    [
        ("studies/one.yaml", "resources.train.mem_mb", 2000),
        ("models.yaml", "models.small.title", "Another title"),
    ],
)
def test_the_page_is_made_again_where_what_it_alone_shows_changed(
    spoil: Spoil, change: tuple[str, str, object]
) -> None:
    one = SimpleNamespace(study="one")
    graphs = (Graph(spoil(*changes), asked="one") for changes in ((), change))
    before, after = (
        [graph.job("table", SimpleNamespace(study="one", shown="table1")).config(), graph.job("report", one).config()]
        for graph in graphs
    )
    assert before[0] == after[0]
    assert before[1] != after[1]
