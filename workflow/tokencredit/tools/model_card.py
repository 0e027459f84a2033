"""The model card of a trained model, written from the records of its study."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from huggingface_hub import EvalResult, ModelCardData

from tokencredit import statistics
from tokencredit.analysis.commit import checkout
from tokencredit.analysis.store import Store
from tokencredit.config import EmbeddedModel, FileDataset, HubModel, Row, Study
from tokencredit.credit import METHODS
from tokencredit.statistics.estimators import avg_at_k
from tokencredit.study import code
from tokencredit.study.selection import base_row

ARXIV = re.compile(r"arXiv (\d{4}\.\d{5})")
PACKAGES = ("torch", "transformers", "math-verify", "vllm")


def card(store: Store, row: Row, name: str, licence: str) -> str:
    """The README.md of the model of a trained row. ``name``: owner/name on the Hub; ``licence``: of the weights, as the Hub spells it.

    Raises ``UserError`` for records that are missing, not whole, or of another run.
    """
    study, run = store.study, store.run(row.method, row.seed)
    model, method = study.config.models[row.model], study.methods[row.method]
    base = base_row(study)
    data = ModelCardData(
        license=licence,
        base_model=model.id if isinstance(model, HubModel) else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["tokencredit", "reinforcement-learning", "rlvr", row.method],
        model_name=name.partition("/")[2],
        eval_results=[_result(store, row, each) for each in study.benchmarks],
    )
    sections = [
        f"---\n{data.to_yaml()}\n---",
        f"# {method.title} on {model.title}",
        _origin(study, row, run),
        "## Scores",
        _scores(store, row, base),
        _how_scored(study),
        "## Data",
        _data(study),
        *_overlaps(store),
        "## Use",
        _use(name, model.prompt, study.evaluation.sampling.max_response_tokens),
        "## How it was made",
        _made(study, row, run),
    ]
    return "\n\n".join(sections) + "\n"


def _origin(study: Study, row: Row, run: dict[str, Any]) -> str:
    model, method = study.config.models[row.model], study.methods[row.method]
    credit = METHODS[method.credit]
    source = ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", credit.source)
    params = ", ".join(f"{key} = {value}" for key, value in run["config"]["params"].items())
    place = "a small model trained from scratch" if isinstance(model, EmbeddedModel) else model.place
    sentences = [
        f"{model.title} ({place}), trained by reinforcement learning with verifiable rewards: {run['steps']} steps under training seed "
        f"{row.seed}, with the credit of tokens by `{method.credit}` ({source}){f', {params}' if params else ''}, on the recipe "
        f"`{method.recipe}`."
    ]
    if credit.status == "reconstruction":
        sentences.append("The published formula was not available: the method is a reconstruction.")
    if method.control:
        sentences.append(f"The run is a control ({method.control}): its token weights are not the method's own.")
    if study.start:
        sentences.append(
            f"Before it the model was trained on solutions of {study.config.datasets[study.start.dataset].title}."
        )
    return " ".join(sentences)


def _scores(store: Store, row: Row, base: Row | None) -> str:
    shown = [(row, "this model"), *([(base, "before training")] if base else [])]
    lines = [["benchmark", "questions", "k", *(title for _, title in shown)], ["---", *["---:"] * (2 + len(shown))]]
    for name, benchmark in store.study.benchmarks.items():
        cells = [_cell(store, each, name) for each, _ in shown]
        lines.append([benchmark.title, str(benchmark.problems), str(benchmark.samples), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _how_scored(study: Study) -> str:
    sampling = study.evaluation.sampling
    return (
        f"Avg@k is the share of right answers among k samples, in percent, with a 95 % interval over questions; it does not tell how far "
        f"training seeds lie apart. Sampled at temperature {sampling.temperature}, top-p {sampling.top_p}, up to "
        f"{sampling.max_response_tokens} tokens."
    )


def _averages(store: Store, row: Row, benchmark: str) -> np.ndarray:
    """Avg@n of every question, in percent."""
    questions = store.questions(row, benchmark)
    return 100 * np.asarray(avg_at_k(questions["n"], questions["right"]))


def _cell(store: Store, row: Row, benchmark: str) -> str:
    averages = _averages(store, row, benchmark)
    low, high = statistics.mean_interval(averages / 100)
    return f"{averages.mean():.1f} [{100 * low:.0f}, {100 * high:.0f}]"


def _result(store: Store, row: Row, benchmark: str) -> EvalResult:
    chosen = store.study.benchmarks[benchmark]
    return EvalResult(
        task_type="text-generation",
        dataset_type=chosen.dataset,
        dataset_name=chosen.title,
        metric_type="accuracy",
        metric_name=f"Avg@{chosen.samples}",
        metric_value=round(float(_averages(store, row, benchmark).mean()), 2),
    )


def _data(study: Study) -> str:
    """The training sets with their licences."""
    lines = []
    for name in study.training.datasets:
        dataset = study.config.datasets[name]
        licence = (
            f"licence of the problems: {dataset.licence}" if isinstance(dataset, FileDataset) else "generated here"
        )
        lines.append(f"- {dataset.title} (`{name}`): {dataset.rows} problems; {licence}.")
    return "\n".join(lines)


def _overlaps(store: Store) -> list[str]:
    """What is known of benchmark questions in the training data."""
    datasets = store.study.config.datasets
    lines = [
        f"- {datasets[report['benchmark']].title} in {datasets[report['train']].title}: {report['overlapping'] or 'none'} of "
        f"{report['benchmark_problems']} problems stand there; {report['similar']} more are similar."
        for reports in store.overlaps.values()
        for report in reports
    ]
    known = (
        ""
        if isinstance(store.study.config.models[store.study.model_name], EmbeddedModel)
        else (" What the base model itself was trained on is not known, and not counted.")
    )
    return [f"Benchmark problems in the training data:{known}", "\n".join(dict.fromkeys(lines))] if lines else []


def _use(name: str, prompt: str, longest: int) -> str:
    return f"""```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{name}")
tokenizer = AutoTokenizer.from_pretrained("{name}")
prompt = {prompt!r}.replace("{{problem}}", problem)  # the whole prompt: no chat template is added
tokens = tokenizer(prompt, return_tensors="pt", add_special_tokens=False, return_token_type_ids=False)
print(tokenizer.decode(model.generate(**tokens, do_sample=True, max_new_tokens={longest})[0]))
```"""


def _made(study: Study, row: Row, run: dict[str, Any]) -> str:
    method, here = study.methods[row.method], checkout()
    trainer = code.training(study.training.engine, method.credit, method.control, study.model_task)
    known = here["commit"] and not here["modified"] and run["code_digest"] == trainer
    versions = ", ".join(
        f"{name} {run['environment'][name]}"
        for name in PACKAGES
        if run["environment"].get(name, "not installed") != "not installed"
    )
    lines = [
        f"study `{study.home}`, row `{row.path}`",
        f"code: commit `{here['commit']}`, digest `{run['code_digest']}`"
        if known
        else f"code: digest `{run['code_digest']}`",
        f"configuration: digest `{run['config_digest']}`",
        f"base model: sha256 `{run['digests']['model']}`; this model: sha256 `{run['model_sha256']}`",
        *(
            f"{name.removeprefix('data ')}: sha256 `{digest}`"
            for name, digest in run["digests"].items()
            if name.startswith("data ")
        ),
        f"{versions}, on {run['environment']['device']}",
    ]
    return "\n".join(f"- {line}" for line in lines)
