"""``tokencredit bundle``: the stored records of a study in one archive; tables, figures and page are made from them elsewhere.

The archive holds responses and grades (both may be left out: tables and figures use them only through the scores), scores, everything
that training wrote except models, audits, overlap reports, the time and memory of jobs, and the problems whose licence allows it.
``bundle.json`` says for which configuration the records are, what was left out, and what was made of them; ``SHA256SUMS`` has the
checksums. The same results give the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import zlib
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokencredit import cli, files
from tokencredit.config import FileDataset, Row, Study, load_study
from tokencredit.errors import UserError
from tokencredit.study import settings
from tokencredit.study.acceptance import record_of
from tokencredit.study.exhibits import Kind, exhibits_of
from tokencredit.study.jobs import Job, jobs_of
from tokencredit.study.measurements import measured_rows, source_runs
from tokencredit.study.paths import Paths, RunFolder
from tokencredit.study.selection import base_row
from tokencredit.tools.compare import differences

if TYPE_CHECKING:
    from tokencredit.analysis.store import Store

app = cli.new_app("A study's stored records in one archive: pack it, check it, unpack it elsewhere.")

FREE = ("MIT", "Apache-2.0", "CC-BY-4.0", "CC0-1.0")  # licences under which problems may be passed on
TIME = 315_532_800  # 1 January 1980: every file's time, so that none is newer than what was made from it
CONTENT, SUMS = "bundle.json", "SHA256SUMS"
SHOWN = ("table", "figure", "report")  # the rules that make something from the records; all others make records
RESPONSES = ("generate", "grade")
NAMED = 5  # keys or files that an error lists

ConfigOption = Annotated[Path, typer.Option(help="Folder of the configuration.")]
ResultsOption = Annotated[Path, typer.Option(help="Folder of the results.")]
BundleArgument = Annotated[Path, typer.Argument(help="A bundle: FILE.tar.gz.")]


@app.command()
def pack(
    study: Annotated[str, typer.Option(help="Name of the study.")],
    out: Annotated[Path, typer.Option(help="The archive to write, .tar.gz.")],
    config: ConfigOption = Path("config"),
    results: ResultsOption = Path("results"),
    without_responses: Annotated[
        bool, typer.Option("--without-responses", help="Leave out the responses of evaluations and their grades.")
    ] = False,
) -> None:
    """Write the archive of a finished study whose records hold together."""
    resolved = load_study(config, study)
    _check_whole(resolved, results)
    held, left_out = _records(resolved, results, without_responses)
    if missing := [path for path in held if not path.is_file()]:
        raise UserError(f"{_some(missing)}: no such file; the study is not finished.")
    content = {
        "study": study,
        "config": decides(resolved),
        "left_out": left_out,
        "made": {name: files.sha256(results / name) for name in _shown(resolved)},
    }
    members = {path.relative_to(results).as_posix(): path.read_bytes() for path in held}
    members[CONTENT] = (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
    _write(out, members)
    for name, reason in left_out.items():
        print(f"left out: {name} ({reason})")
    print(f"{len(members)} files, {out.stat().st_size / 1e6:.1f} MB, sha256 {files.sha256(out)}")
    cli.made([out])


@app.command()
def check(
    bundle: BundleArgument,
    results: Annotated[
        Path | None, typer.Option(help="Compare the CSVs made there with those of the study when it was packed.")
    ] = None,
) -> None:
    """Compare every file with its checksum; with --results also what was made from the records again. Exit status 1 if any differs."""
    members = read(bundle)
    print(f"{bundle}: {len(members)} files, each as its checksum says")
    if results is None:
        return
    made = json.loads(members[CONTENT])["made"]
    if not made:
        raise UserError(f"{bundle}: names no table or figure that its records could be compared by; pack it again.")
    off = [name for name, digest in made.items() if not _is(results / name, digest)]
    print(f"{len(made) - len(off)} of {len(made)} tables' and figures' CSVs are the same, byte by byte")
    for name in off:
        print(f"{results / name}: {'differs' if (results / name).exists() else 'is not there'}")
    if off:
        raise typer.Exit(1)


@app.command()
def unpack(
    bundle: BundleArgument, config: ConfigOption = Path("config"), results: ResultsOption = Path("results")
) -> None:
    """Put the records where the study's own would be. The configuration must be the same, and no differing file is overwritten."""
    study, page = _unpack(bundle, config, results)
    print(f"unpacked; tables, figures and page: snakemake --cores 1 {' '.join(_asked(study, page))}")


@app.command()
def rebuild(
    bundle: BundleArgument, cores: Annotated[str, typer.Option(help="Cores, as snakemake takes them.")] = "all"
) -> None:
    """Unpack into this project's results, make tables, figures and page anew by Snakemake, and compare every CSV. Needs no torch."""
    study, page = _unpack(bundle, Path("config"), Path("results"))
    made = subprocess.run([sys.executable, "-m", "snakemake", "--cores", cores, *_asked(study, page)], check=False)
    if made.returncode:
        raise UserError(f"{bundle}: snakemake could not make {page} from it; what it said stands above.")
    check(bundle, Path("results"))


def decides(study: Study) -> dict[str, Any]:
    """The configuration behind a study's records and all that is made of them, resolved; not what its jobs may take."""
    return {
        **settings.analysis(study),
        "home": study.home,
        "training": {name: study.training_config(name) for name in study.methods},
        "evaluation": {
            f"{row.name} on {name}": study.evaluation_config(row, name)
            for row in study.rows
            for name in study.benchmarks
        },
    }


def read(bundle: Path) -> dict[str, bytes]:
    """The files of a bundle by name, each held against its checksum. Raises ``UserError`` for what is missing, spoiled or not listed."""
    try:
        with tarfile.open(bundle, "r:gz") as archive:
            members = {member.name: _content(archive, member, bundle) for member in archive}
    except FileNotFoundError as error:
        raise UserError(f"{bundle}: no such file.") from error
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise UserError(f"{bundle}: cannot be read as a .tar.gz archive, it may be truncated: {error}.") from error
    if SUMS not in members:
        raise UserError(f"{bundle}: holds no {SUMS}; it is not a bundle.")
    sums = dict(reversed(line.split("  ", 1)) for line in members.pop(SUMS).decode().splitlines())
    off = sorted(name for name in sums.keys() | members.keys() if sums.get(name) != _sha256(members.get(name)))
    if off or CONTENT not in members:
        raise UserError(
            f"{bundle}: {len(members)} files, {len(sums)} have a checksum; missing, spoiled or not listed: {_some(off or [CONTENT])}."
        )
    return members


def stored(unit: Job) -> list[Path]:
    """The files that a job left: what it declares, what stands beside a ``run.json``, who accepted it, and what it took."""
    made, usage = [Path(path) for path in unit.outputs], Path(unit.usage)
    if unit.rule == "train":
        folder = RunFolder(made[0].parent)
        made += [*(folder.folder / name for name in files.read_json(folder.record)["files"]), folder.timing]
    accepted = [record_of(output) for output in unit.outputs]
    return [*made, *(path for path in (*accepted, usage) if path.is_file())]


def check_current(store: Store, kind: Kind, name: str) -> None:
    """A table or figure was made from the records as they are now; ``UserError`` else."""
    path = store.paths.origin(kind, name).with_suffix(".csv")
    origin = files.read_json(path.with_suffix(".json"))
    made = origin.get("made", {}).get(path.name)
    if made != files.sha256(path) or origin.get("files") != store.provenance(kind, name):
        raise UserError(f"{path}: was not made from the records that stand there now. Make it again: snakemake {path}")


def _asked(study: str, page: str) -> list[str]:
    """The arguments of snakemake that make tables, figures and page anew, and nothing else, however old other files are."""
    return [page, "--config", f"study={study}", "--forcerun", *SHOWN, "--allowed-rules", *SHOWN]


def _unpack(bundle: Path, config: Path, results: Path) -> tuple[str, str]:
    """Put the records in place; the study's name, and the page that can be made from them."""
    members = read(bundle)
    content = json.loads(members[CONTENT])
    study = load_study(config, content["study"])
    here = json.loads(json.dumps(decides(study)))
    if off := differences(content["config"], here):
        raise UserError(f"{bundle}: was made with another configuration than {config}: {_keys(off)}.")
    if odd := sorted(content["made"].keys() ^ set(_shown(study))):
        raise UserError(f"{bundle}: should name the tables and figures of study {study.name}, each once: {_some(odd)}.")
    records = {results / name: data for name, data in members.items() if name != CONTENT}
    anew = {Path(path) for unit in jobs_of(study, str(results)) if unit.rule in SHOWN for path in unit.outputs}
    if brought := sorted(anew & records.keys()):
        raise UserError(f"{bundle}: holds {_some(brought)}, which is made from the records; no bundle holds such.")
    # Time and memory of a job are never the same twice, and studies share jobs: an existing record may stay.
    taken = [
        path
        for path, data in records.items()
        if path.exists() and not path.name.endswith(".usage.jsonl") and not _is(path, _sha256(data))
    ]
    if taken:
        raise UserError(f"{_some(taken)}: there already, with another content; unpack into other results.")
    for path, data in records.items():
        if not path.exists():
            with files.atomic_path(path) as temporary:
                temporary.write_bytes(data)
            os.utime(path, (TIME, TIME))
    (page,) = (unit.outputs[0] for unit in jobs_of(study, str(results)) if unit.rule == "report")
    return study.name, page


def _records(study: Study, results: Path, without_responses: bool) -> tuple[list[Path], dict[str, str]]:
    """The files that a bundle of a study holds; and the files that it does not hold, with the reason."""
    found: list[Path] = []
    left_out = {"responses of evaluations and their grades": "--without-responses"} if without_responses else {}
    for unit in jobs_of(study, str(results)):
        if unit.rule in SHOWN:
            continue
        made = stored(unit)
        if unit.rule in ("pretrain", "fetch", *(RESPONSES if without_responses else ())):
            made = made[len(unit.outputs) :]  # what it took, not what it made
        if unit.rule == "prepare" and not _is_free(study, unit.name):
            left_out[f"the problems of {unit.name}"] = study.config.datasets[unit.name].licence
            made = [path for path in made if path.suffix != ".parquet"]
        found += made
    return found, left_out


def _is_free(study: Study, dataset: str) -> bool:
    chosen = study.config.datasets[dataset]
    return not isinstance(chosen, FileDataset) or chosen.licence in FREE


def _shown(study: Study) -> list[str]:
    """The CSVs of all tables and figures of a study, below the results folder."""
    paths = Paths(study)
    return [paths.relative(paths.origin(entry.kind, entry.name).with_suffix(".csv")) for entry in exhibits_of(study)]


def _check_whole(study: Study, results: Path) -> None:
    """Every count is kept, every recorded digest is that of its file, and every record is of this configuration; ``UserError`` else."""
    from tokencredit.analysis.store import Store

    store = Store(study, results)
    for row in study.rows:
        store.scores(row)
        _check_row(store, row)
    for row in measured_rows(study):
        _check_measured(store, row)
    for method in study.methods:
        store.metrics(method)
        for table in (RunFolder.rollouts, RunFolder.evaluations, RunFolder.probe):
            store.tokens(table, method, ["step"])
    for entry in exhibits_of(study):
        check_current(store, entry.kind, entry.name)


def _check_row(store: Store, row: Row) -> None:
    """What the records of a row say they were made with is this configuration, its run's model, and the problems that are there."""
    study, path = store.study, store.paths.evaluation(row).scores
    run = store.run(row.name, row.seed) if row.cell else {}
    if row.cell:
        where = store.paths.run(row).record
        _same(where, "config_digest", run["config_digest"], files.digest_of(study.training_config(row.cell)))
        for key, digest in run["digests"].items():
            if key.startswith("data "):
                _same(where, f"digests.{key}", digest, _problems(store, key.removeprefix("data ")))
    for name, entry in store.scores_metadata(row)["benchmarks"].items():
        expected = {
            "config_digest": files.digest_of(study.evaluation_config(row, name)),
            "data_sha256": _problems(store, study.benchmarks[name].dataset),
        }
        if row.cell:
            expected["model_sha256"] = run["model_sha256"]
        for key, value in expected.items():
            _same(path, f"{name}.{key}", entry.get(key), value)


def _check_measured(store: Store, row: Row) -> None:
    """The credit of tokens was measured under this configuration, for the row's model, on the problems and responses that are there."""
    evaluated, runs = row if row.cell else base_row(store.study), source_runs(store.study, row)
    scored = next(iter(store.scores_metadata(evaluated)["benchmarks"].values())) if evaluated else {}
    for path in store.paths.measurement(row).tables:
        about = files.parquet_metadata(path)
        expected = settings.measurement(store.study) | {
            **({"model_sha256": scored["model_sha256"]} if scored else {}),
            "data_sha256": {name: _problems(store, name) for name in store.study.training.datasets},
            "rollouts_sha256": {run.name: files.sha256(store.paths.run(run).rollouts) for run in runs},
        }
        for key, value in expected.items():
            _same(path, key, about.get(key), value)


def _problems(store: Store, dataset: str) -> str:
    """The digest of a data set's problems; where they are not there, that in its manifest."""
    folder = store.paths.dataset(dataset)
    return files.sha256(folder.problems) if folder.problems.exists() else files.read_json(folder.manifest)["sha256"]


def _same(path: Path, key: str, recorded: Any, expected: Any) -> None:
    if recorded != expected:
        raise UserError(
            f"{path}: {key} = {recorded!r}; {expected!r} is expected. It was made with something else than what is there now: "
            f"another configuration, model or data set. Make it again: snakemake {path}"
        )


def _write(out: Path, members: dict[str, bytes]) -> None:
    sums = "".join(f"{_sha256(data)}  {name}\n" for name, data in sorted(members.items()))
    with (
        files.atomic_path(out) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, data in sorted((members | {SUMS: sums.encode()}).items()):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(data), TIME, 0o644
            archive.addfile(member, BytesIO(data))


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, bundle: Path) -> bytes:
    path = PurePosixPath(member.name)
    file = archive.extractfile(member) if member.isreg() else None
    if file is None or path.is_absolute() or ".." in path.parts:
        raise UserError(f"{bundle}: {member.name}: is not a plain file below the results; no bundle holds such.")
    return file.read()


def _sha256(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


def _is(path: Path, digest: str | None) -> bool:
    return path.exists() and files.sha256(path) == digest


def _keys(off: dict[str, tuple[Any, Any]]) -> str:
    told = [f"{key} = {there!r} there, {here!r} here" for key, (there, here) in list(off.items())[:NAMED]]
    return "; ".join(told) + _more(off)


def _some(names: list[Any]) -> str:
    return ", ".join(map(str, names[:NAMED])) + _more(names)


def _more(every: Any) -> str:
    return f" and {len(every) - NAMED} more" if len(every) > NAMED else ""


if __name__ == "__main__":
    cli.run(app)
