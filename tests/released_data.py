"""Stand-ins of the data sets that ``config/datasets.yaml`` takes from the Hub: files and columns of the released ones, easy problems."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

ANSWERS = ("1", "2", "3", "4")


class _Released(NamedTuple):
    """A data set of the Hub: its files, and the columns of a problem with a number and an answer."""

    files: tuple[str, ...]
    record: Callable[[int, str, str], dict[str, Any]]


_SUBJECTS = (
    *("algebra", "counting_and_probability", "geometry", "intermediate_algebra"),
    *("number_theory", "prealgebra", "precalculus"),
)
_BOXED = "So it is $\\boxed{%s}$."
_PARQUET = "-00000-of-00001.parquet"
_WRAPPED = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: $Answer (without quotes) "
    'where $Answer is the answer to the problem.\n\n%s\n\nRemember to put your answer on its own line after "Answer:".'
)
RELEASED: dict[str, _Released] = {
    "openai/gsm8k": _Released(
        (f"main/train{_PARQUET}", f"main/test{_PARQUET}", f"socratic/train{_PARQUET}", f"socratic/test{_PARQUET}"),
        lambda n, problem, answer: {"question": problem, "answer": f"<<{answer}={answer}>>\n#### {answer}"},
    ),
    "EleutherAI/hendrycks_math": _Released(
        tuple(f"{subject}/{split}{_PARQUET}" for subject in _SUBJECTS for split in ("train", "test")),
        lambda n, problem, answer: {"problem": problem, "level": "Level 1", "type": "X", "solution": _BOXED % answer},
    ),
    "HuggingFaceH4/MATH-500": _Released(
        ("test.jsonl",),
        lambda n, problem, answer: {
            "problem": problem,
            "solution": _BOXED % answer,
            "answer": answer,
            "subject": "Algebra",
            "level": 1,
            "unique_id": f"test/algebra/{n}.json",
        },
    ),
    "HuggingFaceH4/aime_2024": _Released(
        (f"data/train{_PARQUET}",),
        lambda n, problem, answer: {
            "id": n,
            "problem": problem,
            "solution": _BOXED % answer,
            "answer": f"{answer:0>3}",
            "url": "",
            "year": "2024",
        },
    ),
    "math-ai/aime25": _Released(
        ("test.jsonl",), lambda n, problem, answer: {"problem": problem, "answer": answer, "id": str(n)}
    ),
    "AI-MO/aimo-validation-amc": _Released(
        (f"data/train{_PARQUET}",),
        lambda n, problem, answer: {"id": n, "problem": problem, "answer": float(answer), "url": ""},
    ),
    "math-ai/amc23": _Released(
        (f"data/test{_PARQUET}",),
        lambda n, problem, answer: {"id": n, "question": problem, "answer": f"{answer}.0", "url": ""},
    ),
    "math-ai/minervamath": _Released(
        ("test.jsonl",), lambda n, problem, answer: {"question": problem, "answer": answer}
    ),
    "math-ai/olympiadbench": _Released(
        (f"data/test{_PARQUET}",),
        lambda n, problem, answer: {
            "id": n,
            "question": problem,
            "solution": [_BOXED % answer],
            "final_answer": [f"${answer}$"],
            "modality": "Text-only",
        },
    ),
    "agentica-org/DeepScaleR-Preview-Dataset": _Released(
        ("deepscaler.json",),
        lambda n, problem, answer: {"problem": problem, "answer": answer, "solution": _BOXED % answer},
    ),
    "BytedTsinghua-SIA/DAPO-Math-17k": _Released(
        ("data/dapo-math-17k.parquet",),
        lambda n, problem, answer: {
            "data_source": "math_dapo",
            "prompt": [{"content": _WRAPPED % problem, "role": "user"}],
            "ability": "MATH",
            "reward_model": {"ground_truth": answer, "style": "rule-lighteval/MATH_v2"},
            "extra_info": {"index": str(n)},
        },
    ),
}


def write_dataset(folder: Path, name: str, rows: int) -> None:
    """The data set ``name`` of the Hub with ``rows`` problems in each file, their answers among ``ANSWERS``."""
    released = RELEASED[name]
    for place, file in enumerate(released.files):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        first = 1000 * (100 * [*RELEASED].index(name) + place)
        answers = [ANSWERS[number % len(ANSWERS)] for number in range(rows)]
        records = [
            released.record(number, f"What is {first + number + int(answer)} less {first + number}?", answer)
            for number, answer in enumerate(answers)
        ]
        if path.suffix == ".parquet":
            pd.DataFrame(records).to_parquet(path)
        elif path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        else:
            _write(path, records)
    (folder / "README.md").write_text(_card(released.files), encoding="utf-8")


def _card(files: tuple[str, ...]) -> str:
    """A README whose head names the configurations, where the files are in folders of such."""
    card: dict[str, Any] = {"license": "mit"}
    folders = dict.fromkeys(file.partition("/")[0] for file in files if "/" in file and not file.startswith("data/"))
    if folders:
        card["configs"] = [
            {
                "config_name": folder,
                "data_files": [{"split": split, "path": f"{folder}/{split}-*"} for split in ("train", "test")],
            }
            for folder in folders
        ]
    return f"---\n{yaml.safe_dump(card)}---\n"


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
