"""``tokencredit bundle``: the stored records of a study in one archive; tables, figures and page are made from them elsewhere.

In it: responses and grades (both may be left out: tables and figures use them only through the scores), scores, everything that training
wrote but models, audits, overlap reports, what jobs took, what people noted, and the problems whose licence allows it; ``bundle.json``,
which says for which configuration, what was left out and what was made of them; ``SHA256SUMS``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokencredit import cli, files
from tokencredit.config import FileDataset, Study, load_study
from tokencredit.errors import UserError
from tokencredit.study import settings
from tokencredit.study.exhibits import exhibits_of
from tokencredit.study.jobs import jobs_of
from tokencredit.study.paths import Paths
from tokencredit.tools import archive
from tokencredit.tools.archive import CONTENT, listed
from tokencredit.tools.compare import differences
from tokencredit.tools.integrity import check_study, files_of_job

FREE = ("MIT", "Apache-2.0", "CC-BY-4.0", "CC0-1.0")  # licences under which problems may be passed on
EXHIBITS = ("table", "figure", "report")  # the rules that make something from the records; all others make records
RESPONSES = ("generate", "grade")
# Of snakemake: each job would be told with its hundreds of files, and a failed one so too; `snakemake status` says why it failed.
QUIET = ("--quiet", "host", "rules")


def pack(study: str, out: Path, config: Path, results: Path, without_responses: bool) -> None:
    """Write the archive of a finished study. Raises ``UserError`` where its records are not whole or do not hold together."""
    resolved = load_study(config, study)
    check_study(resolved, results)
    held, left_out = _records(resolved, results, without_responses)
    if missing := [path for path in held if not path.is_file()]:
        raise UserError(f"{listed(missing)}: no such file; the study is not finished.")
    content = {
        "study": study,
        "config": deciding_config(resolved),
        "left_out": left_out,
        "made": {name: files.sha256(results / name) for name in _exhibits(resolved)},
    }
    members = {path.relative_to(results).as_posix(): path.read_bytes() for path in held}
    members[CONTENT] = (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
    archive.write(out, members)
    for name, reason in left_out.items():
        print(f"left out: {name} ({reason})")
    print(f"{len(members)} files, {out.stat().st_size / 1e6:.1f} MB, sha256 {files.sha256(out)}")
    cli.made([out])


def check(bundle: Path, results: Path | None) -> bool:
    """Hold every file against its checksum, and the CSVs below ``results`` against those of the study when it was packed.

    False where one of these differs. Raises ``UserError`` for a spoiled bundle.
    """
    members = archive.read(bundle)
    print(f"{bundle}: {len(members)} files, each as its checksum says")
    if results is None:
        return True
    made = json.loads(members[CONTENT])["made"]
    if not made:
        raise UserError(f"{bundle}: names no table or figure that its records could be compared by; pack it again.")
    off = [name for name, digest in made.items() if not _has_digest(results / name, digest)]
    print(f"{len(made) - len(off)} of {len(made)} tables' and figures' CSVs are the same, byte by byte")
    for name in off:
        print(f"{results / name}: {'differs' if (results / name).exists() else 'is not there'}")
    return not off


def unpack(bundle: Path, config: Path, results: Path) -> None:
    """Put the records where the study's own would be. Raises ``UserError`` for another configuration, and where other files stand."""
    study, page = restore(bundle, config, results)
    print(f"unpacked; tables, figures and page: snakemake --cores 1 {' '.join(_exhibits_anew(study, page))}")


def rebuild(bundle: Path, cores: str, part: str | None = None) -> bool:
    """Unpack into this project's results, have Snakemake make tables, figures and page anew, and compare every CSV: ``check``.

    ``part``: a study that the records of the bundle are enough for; then those of this study are made, which nothing is compared with.
    """
    config, results = Path("config"), Path("results")
    study, page = restore(bundle, config, results, compared=part is None)
    if part is not None:
        study, page = part, _page_of_part(bundle, load_study(config, study), load_study(config, part), results)
    command = [sys.executable, "-m", "snakemake", "--cores", cores, *_exhibits_anew(study, page)]
    if subprocess.run([*command, *QUIET], check=False).returncode:
        subprocess.run([sys.executable, "-m", "snakemake", "status", "--config", f"study={study}"], check=False)
        raise UserError(
            f"{bundle}: snakemake could not make {page} from it; which job failed, and its log, stand above."
        )
    return part is not None or check(bundle, results)


def deciding_config(study: Study) -> dict[str, Any]:
    """The configuration behind a study's records and all that is made of them, resolved; not what its jobs may take."""
    return {
        **settings.analysis(study),
        "study": settings.whole_file(study),
        "home": study.home,
        "training": {name: study.training_config(name) for name in study.methods},
        "evaluation": {
            f"{row.name} on {name}": study.evaluation_config(row, name)
            for row in study.rows
            for name in study.benchmarks
        },
    }


def is_free(study: Study, dataset: str) -> bool:
    """Whether the problems of a data set may be passed on."""
    chosen = study.config.datasets[dataset]
    return not isinstance(chosen, FileDataset) or chosen.licence in FREE


def _exhibits_anew(study: str, page: str) -> list[str]:
    """What snakemake is asked: to make what is shown anew, and nothing else, whatever else stands there and however old it is."""
    return [page, "--config", f"study={study}", "--forcerun", *EXHIBITS, "--allowed-rules", *EXHIBITS]


def opened(bundle: Path, config: Path) -> tuple[dict[str, bytes], dict[str, Any], Study]:
    """The files of a bundle by name, what it says of itself, and its study. Raises ``UserError`` for another configuration."""
    members = archive.read(bundle)
    content = json.loads(members[CONTENT])
    study = load_study(config, content["study"])
    here = json.loads(json.dumps(deciding_config(study)))
    if off := differences(content["config"], here):
        raise UserError(f"{bundle}: was made with another configuration than {config}: {_both_values(off)}.")
    return members, content, study


def restore(bundle: Path, config: Path, results: Path, compared: bool = True) -> tuple[str, str]:
    """Put the records where the study's own would be, as ``unpack``; the study's name, and the page that can be made from them.

    ``compared``: whether the study's tables and figures will be compared with those that the bundle names, so that it must name them all.
    """
    members, content, study = opened(bundle, config)
    if odd := sorted(content["made"].keys() ^ set(_exhibits(study)) if compared else []):
        raise UserError(
            f"{bundle}: should name the tables and figures of study {study.name}, each once: {listed(odd)}. "
            "A bundle that was packed before a table or figure was added has to be packed again; `tokencredit rebuild --part` compares "
            "nothing, and takes it as it is."
        )
    records = {results / name: data for name, data in members.items() if name != CONTENT}
    anew = {Path(path) for job in jobs_of(study, str(results)) if job.rule in EXHIBITS for path in job.outputs}
    if brought := sorted(anew & records.keys()):
        raise UserError(f"{bundle}: holds {listed(brought)}, which is made from the records; no bundle holds such.")
    notes = Paths(study, results).notes
    in_the_way = [path for path, data in records.items() if path.exists() and not _may_stay(path, data, notes)]
    if in_the_way:
        raise UserError(
            f"{listed(in_the_way)}: there already, with another content. Move {results} away first, or unpack into another folder: "
            "tokencredit bundle unpack --results."
        )
    for path, data in records.items():
        if not path.exists():
            with files.atomic_path(path) as temporary:
                temporary.write_bytes(data)
            os.utime(path, (archive.TIME, archive.TIME))
    return study.name, str(Paths(study, results).page)


def _page_of_part(bundle: Path, study: Study, part: Study, results: Path) -> str:
    """The page of a study whose records are some of those of ``study``. Raises ``UserError`` for any other."""
    known = {row.path for row in study.rows}
    more = [row.path for row in part.rows if row.path not in known]
    if part.home != study.home or part.oracle:
        more = ["records of its own"]
    if more:
        raise UserError(
            f"{bundle}: holds the records of {study.name}, which are not enough for {part.name}: it has {listed(more)}."
        )
    return str(Paths(part, results).page)


def _records(study: Study, results: Path, without_responses: bool) -> tuple[list[Path], dict[str, str]]:
    """The files that a bundle of a study holds; and the files that it does not hold, with the reason."""
    found: list[Path] = []
    left_out = {"responses of evaluations and their grades": "--without-responses"} if without_responses else {}
    for job in jobs_of(study, str(results)):
        if job.rule in EXHIBITS:
            continue
        made = files_of_job(job)
        if job.rule in ("pretrain", "fetch", *(RESPONSES if without_responses else ())):
            made = made[len(job.outputs) :]  # what it took, not what it made
        if job.rule == "prepare" and not is_free(study, job.name):
            left_out[f"the problems of {job.name}"] = study.config.datasets[job.name].licence
            made = [path for path in made if path.suffix != ".parquet"]
        if job.rule == "pool" and study.data_recipe.pool.kind == "file":
            left_out["the rows that data recipes choose from"] = "texts of others"
            made = [path for path in made if path.suffix != ".parquet"]
        found += made
    notes = Paths(study, results).notes
    return [*found, *([notes] if notes.is_file() else [])], left_out


def _exhibits(study: Study) -> list[str]:
    """The CSVs of all tables and figures of a study, below the results folder."""
    paths = Paths(study)
    return [paths.relative(paths.origin(entry.kind, entry.name).with_suffix(".csv")) for entry in exhibits_of(study)]


def _may_stay(path: Path, data: bytes, notes: Path) -> bool:
    """Whether a file that stands where a bundle has ``data`` is the same, or as good.

    What a job took is never the same twice, and studies share jobs. Notes may have been written since.
    """
    if path.name.endswith(".usage.jsonl"):
        return True
    return path.read_bytes().startswith(data) if path == notes else _has_digest(path, archive.sha256(data))


def _has_digest(path: Path, digest: str | None) -> bool:
    return path.exists() and files.sha256(path) == digest


def _both_values(off: Mapping[str, tuple[Any, Any]]) -> str:
    """Keys that differ, with the bundle's value and the one here."""
    return listed([f"{key} = {there!r} there, {here!r} here" for key, (there, here) in off.items()], separator="; ")
