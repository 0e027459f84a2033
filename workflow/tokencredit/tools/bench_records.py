"""Makes what CreditBench ships from the bundles of studies: their measured tokens, the credits of known methods, and what training told."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from tokencredit import cli, files
from tokencredit.analysis.credit.reference import RESPONSE, STATE
from tokencredit.analysis.store import Store
from tokencredit.config import Config, EmbeddedModel, Row, load_study
from tokencredit.credit import METHODS
from tokencredit.credit.signals import KINDS
from tokencredit.creditbench import checklist, learning
from tokencredit.creditbench.records import BRANCHES, CHECKLIST, CREDITS, LEARNING, TOKENS, Measured, Shipped, as_table
from tokencredit.creditbench.tensors import assigned, credit_of, lines
from tokencredit.data.tasks import TASKS
from tokencredit.errors import UserError
from tokencredit.study.measurements import measured_rows
from tokencredit.tools import bundle
from tokencredit.train.steps import step_numbers

_RUN = ["step", "problem_id", "sample", "position", "token_id", "group_advantage"]


def records(config: Config) -> None:
    """Write the records: tokens with their signals, credits, learning and checklist."""
    shipped = Shipped.of(config)
    with ExitStack() as opened:
        stores = {path: _store(config, path, opened) for path in _bundles(config)}
        made = [_tokens(stores[entry.bundle], name, entry.policy) for name, entry in config.bench.policies.items()]
        tokens, branches = (pd.concat(parts, ignore_index=True) for parts in zip(*made, strict=True))
        origin = {path: files.sha256(config.folder.parent / path) for path in stores}
        files.write_parquet(shipped.folder / TOKENS, tokens, {"bundles": origin})
        files.write_parquet(shipped.folder / BRANCHES, branches)
        learned = [stores[path] for path in config.bench.learning]
        table = pd.concat([learning.records(store, config.bench.positive_controls) for store in learned])
        said = checklist.records(config, lines(config), learned, table)
    _write_csv(shipped.folder / LEARNING, table)
    _write_csv(shipped.folder / CHECKLIST, said)
    credits(config)
    cli.made(shipped.folder / name for name in (TOKENS, BRANCHES, CREDITS, LEARNING, CHECKLIST))


def credits(config: Config) -> None:
    """Write the credits that the methods of the configuration give the shipped tokens, and why some give none."""
    shipped = Shipped.of(config)
    parts, left_out = [], {}
    for name, measured in shipped.policies.items():
        found, left_out[name] = credits_of(config, measured)
        parts.append(as_table(found).assign(policy=name))
    metadata = {TOKENS: files.sha256(shipped.folder / TOKENS), "left_out": left_out}
    files.write_parquet(shipped.folder / CREDITS, pd.concat(parts, ignore_index=True), metadata)


def credits_of(config: Config, measured: Measured) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """By method the advantages of the tokens of a policy; and the methods that lack a column there, each with the reason."""
    found, left_out = {}, {}
    for name, method in lines(config).items():
        try:
            found[name] = assigned(measured, credit_of(method), METHODS[method.credit].columns)
        except UserError as error:
            left_out[name] = str(error)
    return found, left_out


def _bundles(config: Config) -> list[str]:
    return list(dict.fromkeys([*(entry.bundle for entry in config.bench.policies.values()), *config.bench.learning]))


def _store(config: Config, path: str, opened: ExitStack) -> Store:
    folder = Path(opened.enter_context(TemporaryDirectory()))
    study, _ = bundle.restore(config.folder.parent / path, config.folder, folder)
    return Store(load_study(config.folder, study), folder)


def _tokens(store: Store, name: str, policy: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tokens of a measured policy with their signals, and the tokens tried at them."""
    rows = [row for row in measured_rows(store.study) if row.name == policy]
    if not rows:
        raise UserError(
            f"creditbench.yaml: policies.{name}.policy = {policy!r}: study {store.study.name} did not measure it."
        )
    parts = [_of_seed(store, row) for row in rows]
    tokens, branches = (pd.concat(each).sort_values(STATE, ignore_index=True) for each in zip(*parts, strict=True))
    if tokens.duplicated([each for each in STATE if each != "cell"]).any():
        raise UserError(f"{store.paths.own / 'oracle'}: two measured responses to a problem have the same number.")
    tokens["kind"] = _kinds(store, tokens)
    tokens["response_step"] = step_numbers(tokens["token"].tolist(), tokens["position"].to_numpy()).numpy()
    return tokens.assign(policy=name), branches.assign(policy=name)


def _of_seed(store: Store, row: Row) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The measured tokens of one training seed, of groups whose rewards differ, with what training recorded of them; and their branches."""
    states, branches = store.oracle(row)
    logprob = files.read_parquet(store.paths.measurement(row).states, ["logprob"])["logprob"]
    states = states.assign(seed=row.seed, old_logprob=logprob)
    step = 1 if row.method is None else store.study.training.steps
    runs = [_run(store, cell, row.seed, step).assign(cell=cell) for cell in sorted(set(states["cell"]))]
    key = ["problem_id", "cell", "sample", "position", "token_id"]
    tokens = states.merge(pd.concat(runs), on=key, how="left", validate="one_to_one")
    if tokens["advantage"].isna().any():
        raise UserError(f"{store.paths.measurement(row).states}: holds tokens that no stored response of its runs has.")
    if row.method is None:
        tokens["ref_logprob"] = tokens["old_logprob"]  # the reference is the model that training starts from
    taught = tokens["advantage"] != 0
    columns = [*STATE, "token_id", "token", "entropy", "old_logprob", "ref_logprob", "reward", "advantage"]
    tokens = tokens[taught].reindex(columns=columns)
    numbers = [name for name in columns if tokens[name].dtype.kind == "f"]
    tokens = tokens.astype(dict.fromkeys(numbers, "float32"))
    branches = branches.assign(seed=row.seed).merge(tokens[STATE], on=STATE)
    return tokens, branches[[*STATE, "token_id", "probability", "right", "wrong", "ungraded"]]


def _run(store: Store, method: str, seed: int, step: int) -> pd.DataFrame:
    """What a run stored of the tokens of a step."""
    path = store.run_folder(method, seed).rollouts
    table = files.read_parquet(path)
    table = table.loc[table["step"] == step, [*_RUN, *({"ref_logprob"} & {*table})]]
    return table.drop(columns="step").rename(columns={"group_advantage": "advantage"})


def _kinds(store: Store, tokens: pd.DataFrame) -> np.ndarray:
    """[N]: the place of each token's kind in ``KINDS``."""
    model = store.study.config.models[store.study.model_name]
    if not isinstance(model, EmbeddedModel):
        raise UserError(
            f"models.{store.study.model_name}: nobody knows the kinds of its tokens; CreditBench measures embedded models."
        )
    task = TASKS[model.task]
    texts = store.training_problems() if task.KINDS_NEED_PROBLEM else {}
    found = []
    for (_, problem_id, *_), part in tokens.groupby(RESPONSE, sort=True):
        found += task.kinds(part["token"].tolist(), texts.get(problem_id, ""))
    return np.array([KINDS.index(kind) for kind in found])


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    files.write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
