"""``python -m tokencredit.bundle``: a study's stored records in one archive, from which its tables, figures and page are made elsewhere.

In it: responses, grades, scores, everything that training wrote but models, audits, overlap reports, what jobs took, and the problems whose
licence allows it; ``bundle.json``, which says for which configuration and what was made of them; ``SHA256SUMS``. The same results give the
same bytes.
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
from types import SimpleNamespace
from typing import Annotated, Any

import typer

from tokencredit import cli, files
from tokencredit.compare import differences
from tokencredit.config import FileDataset, Study, load_study
from tokencredit.errors import UserError
from tokencredit.graph import Graph
from tokencredit.units import Unit, units_of

app = cli.new_app("A study's stored records in one archive: pack it, check it, unpack it elsewhere.")

FREE = ("MIT", "Apache-2.0", "CC-BY-4.0", "CC0-1.0")  # licences under which problems may be passed on
TIME = 315_532_800  # 1 January 1980: every file's time, so that none is newer than what was made from it
CONTENT, SUMS = "bundle.json", "SHA256SUMS"
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
) -> None:
    """Write the archive of a finished study whose records hold together."""
    resolved = load_study(config, study)
    _check_whole(resolved, results)
    held, left_out = _records(resolved, results)
    if missing := [path for path in held if not path.is_file()]:
        raise UserError(f"{_some(missing)}: no such file; the study is not finished.")
    shown = sorted(path for kind in ("tables", "figures") for path in (results / study / kind).glob("*.csv"))
    content = {
        "study": study,
        "config": decides(resolved),
        "left_out": left_out,
        "made": {path.relative_to(results).as_posix(): files.sha256(path) for path in shown},
    }
    members = {path.relative_to(results).as_posix(): path.read_bytes() for path in held}
    members[CONTENT] = (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
    _write(out, members)
    for name, licence in left_out.items():
        print(f"left out: the problems of {name} ({licence})")
    print(f"{len(members)} files, {out.stat().st_size / 1e6:.1f} MB, sha256 {files.sha256(out)}")
    cli.made([out])


@app.command()
def check(
    bundle: BundleArgument,
    results: Annotated[
        Path | None, typer.Option(help="Compare the CSVs made there with those of the study when it was packed.")
    ] = None,
) -> None:
    """Hold every file against its checksum; with --results also what was made from it again. Exit status 1 where that differs."""
    members = read(bundle)
    print(f"{bundle}: {len(members)} files, each as its checksum says")
    if results is None:
        return
    made = json.loads(members[CONTENT])["made"]
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
    """Put the records where the study's own would be, for the same configuration only and over nothing that differs."""
    study, page = _unpack(bundle, config, results)
    print(f"unpacked; tables, figures and page: snakemake {page} --config study={study}")


@app.command()
def rebuild(
    bundle: BundleArgument, cores: Annotated[str, typer.Option(help="Cores, as snakemake takes them.")] = "all"
) -> None:
    """Unpack into this project's results, make tables, figures and page by Snakemake, and compare every CSV. Needs no torch."""
    study, page = _unpack(bundle, Path("config"), Path("results"))
    made = subprocess.run(
        [sys.executable, "-m", "snakemake", page, "--cores", cores, "--config", f"study={study}"], check=False
    )
    if made.returncode:
        raise UserError(f"{bundle}: snakemake could not make {page} from it; what it said stands above.")
    check(bundle, Path("results"))


def decides(study: Study) -> dict[str, Any]:
    """The configuration behind a study's records and all that is made of them, resolved; not what its jobs may take."""
    shown = Graph(study.config.folder, asked=study.name).analysis_config(SimpleNamespace(study=study.name))
    return {
        **shown,
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


def stored(unit: Unit) -> list[Path]:
    """The files that a job left: what it declares, what stands beside a ``run.json``, and what it took where that is kept."""
    made, usage = [Path(path) for path in unit.outputs], Path(unit.log).with_suffix(".usage.jsonl")
    if unit.rule == "train":
        made += [made[0].parent / name for name in [*files.read_json(made[0])["files"], "timing.jsonl"]]
    return [*made, *([usage] if usage.is_file() else [])]


def _unpack(bundle: Path, config: Path, results: Path) -> tuple[str, str]:
    """Put the records in place; the study's name, and the page that can be made from them."""
    members = read(bundle)
    content = json.loads(members[CONTENT])
    study = load_study(config, content["study"])
    here = json.loads(json.dumps(decides(study)))
    if off := differences(content["config"], here):
        raise UserError(f"{bundle}: was made with another configuration than {config}: {_keys(off)}.")
    records = {results / name: data for name, data in members.items() if name != CONTENT}
    taken = [path for path, data in records.items() if path.exists() and not _is(path, _sha256(data))]
    if taken:
        raise UserError(f"{_some(taken)}: there already, with another content; unpack into other results.")
    for path, data in records.items():
        if not path.exists():
            with files.atomic_path(path) as temporary:
                temporary.write_bytes(data)
            os.utime(path, (TIME, TIME))
    (page,) = (unit.outputs[0] for unit in units_of(study, str(results)) if unit.rule == "report")
    return study.name, page


def _records(study: Study, results: Path) -> tuple[list[Path], dict[str, str]]:
    """The files that a bundle of a study holds, and the licences of the problems that it may not hold, by data set."""
    found: list[Path] = []
    left_out: dict[str, str] = {}
    for unit in units_of(study, str(results)):
        if unit.rule in ("table", "figure", "report"):
            continue
        made = stored(unit)
        if unit.rule in ("pretrain", "fetch"):  # what the model took, not the model
            made = made[len(unit.outputs) :]
        if unit.rule == "prepare" and not _is_free(study, unit.name):
            left_out[unit.name] = study.config.datasets[unit.name].licence
            made = [path for path in made if path.suffix != ".parquet"]
        found += made
    return found, left_out


def _is_free(study: Study, dataset: str) -> bool:
    chosen = study.config.datasets[dataset]
    return not isinstance(chosen, FileDataset) or chosen.licence in FREE


def _check_whole(study: Study, results: Path) -> None:
    """Every count is kept and every recorded digest is that of its file; ``UserError`` else."""
    from tokencredit.analysis.store import Store

    store = Store(study, results)
    for row in study.rows:
        store.scores(row)
    for method in study.methods:
        store.metrics(method)
        for table in ("rollouts", "evaluations", "probe"):
            store.tokens(table, method, ["step"])


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
