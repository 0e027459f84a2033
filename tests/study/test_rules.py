"""What the graph asks for a cell whose method has a teacher or a control."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.config.conftest import FILES, Spoil
from tokencredit.errors import UserError
from tokencredit.study.rules import Graph

TAUGHT = {"title": "IW-OPD", "recipe": "plain", "credit": "iw-opd", "teacher": "other"}
SMALL = FILES["models.yaml"]["models"]["small"]


PROJECT = Path(__file__).parents[2] / "config"


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


@pytest.mark.slow
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
    ("rule", "named", "sentence"),
    [
        (
            "train",
            {"study": "tyo", "method": "eapo"},
            "config/studies/tyo.yaml: no such study; did you mean 'toy'? allowed: ",
        ),
        ("train", {"study": "toy", "method": "eap"}, "did you mean 'eapo"),
        ("train", {"study": "toy", "method": "eapo", "seed": "7"}, "is not a row of study toy"),
        ("train", {"study": "toy", "method": "base"}, "it has no training run"),
        ("train", {"study": "toy-core", "method": "eapo"}, "toy-core is a part of study toy-full"),
        ("grade", {"study": "toy", "row": "base", "benchmark": "aime24"}, "aime24 is not a benchmark of study toy"),
        ("table", {"study": "toy", "exhibit": "table7"}, "table7 is not a table of study toy"),
    ],
)
def test_a_job_that_no_study_has_is_one_sentence(rule: str, named: dict[str, str], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        Graph(PROJECT, asked="toy").job(rule, SimpleNamespace(**{"seed": "0"} | named))
    assert sentence in str(error.value)


def test_data_that_are_not_configured_are_one_sentence() -> None:
    with pytest.raises(UserError, match="gsm9k is not a data set of "):
        Graph(PROJECT, asked="toy").dataset_config(SimpleNamespace(dataset="gsm9k"))


@pytest.mark.parametrize(
    "change",
    [
        ("studies/one.yaml", "resources.train.mem_mb", 2000),
        ("studies/one.yaml", "training.micro_batch_tokens", 512),
        ("studies/one.yaml", "training.checkpoint_every", 2),
        ("models.yaml", "models.small.title", "Another title"),
    ],
)
def test_the_page_is_made_again_where_what_it_alone_shows_changed(
    spoil: Spoil, change: tuple[str, str, object]
) -> None:
    one = SimpleNamespace(study="one")
    graphs = (Graph(spoil(*changes), asked="one") for changes in ((), change))
    before, after = (
        [graph.job("table", SimpleNamespace(study="one", exhibit="table1")).config(), graph.job("report", one).config()]
        for graph in graphs
    )
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_seed_is_written_in_one_way(graph: Graph) -> None:
    """``seed00`` would be the same run, trained again at another place."""
    with pytest.raises(UserError, match=r"eapo/seed00 is not a row of study one; allowed: .*eapo/seed0"):
        graph.job("train", SimpleNamespace(study="one", method="eapo", seed="00"))
    with pytest.raises(UserError, match=r"eapo/seed00 is not a row of study one"):
        graph.job("score", SimpleNamespace(study="one", row="eapo", seed="00"))
