"""``tokencredit bundle crate``: a bundle as an RO-Crate, with the workflow that makes its tables and figures beside its records.

The crate is a copy of the project with the records below ``results``, described in ``ro-crate-metadata.json`` as RO-Crate 1.1
(https://w3id.org/ro/crate/1.1) and Workflow RO-Crate 1.0 (https://w3id.org/workflowhub/workflow-ro-crate/1.0) ask, and its tables in
``croissant.json`` (``croissant``). The bundle stays as it is. The same bundle, project, licence, day and address give the same bytes.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tokencredit import cli, files
from tokencredit.analysis.commit import checkout
from tokencredit.analysis.page.story import tell
from tokencredit.analysis.store import Store
from tokencredit.config import FileDataset, Study
from tokencredit.errors import UserError
from tokencredit.study.paths import Paths
from tokencredit.tools.bundle import opened
from tokencredit.tools.croissant import croissant

METADATA, CROISSANT, WORKFLOW, LICENCE = "ro-crate-metadata.json", "croissant.json", "Snakefile", "LICENSE"
# What is copied of the project. Folders are described as a whole, and what stands there of Python's and pip's is left out.
PROJECT = (
    *(WORKFLOW, LICENCE, "README.md", "results/README.md", "CITATION.cff", "pyproject.toml"),
    *("workflow", "config", "envs"),
)
PASSING = shutil.ignore_patterns("__pycache__", "*.egg-info")
FORMATS = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".parquet": "application/vnd.apache.parquet",
    ".md": "text/markdown",
}
SNAKEMAKE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"

Entity = dict[str, Any]


def crate(bundle: Path, out: Path, licence: str, published: str, url: str | None, config: Path) -> None:
    """Write the crate of a bundle to the new folder ``out``.

    ``licence``: of the records, an SPDX identifier; ``published``: YYYY-MM-DD; ``url``: where people will find it. Raises ``UserError``
    for a bundle of another configuration, and where ``out`` is there already.
    """
    _check(licence, published)
    project = config.parent
    if not (project / WORKFLOW).is_file():
        raise UserError(f"{project / WORKFLOW}: no such file; call this in the folder of the project.")
    members, content, study = opened(bundle, config)
    with files.new_folder(out) as folder:
        copied = [name for name in PROJECT if _copy(project / name, folder / name)]
        for name, data in members.items():
            path = folder / "results" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        story = tell(Store(study, folder / "results"), [], [], None)
        left_out = [f"Left out: {what} ({reason})." for what, reason in content["left_out"].items()]
        about: Entity = {
            "name": study.title,
            "description": " ".join([story.asked, story.answer, *left_out]),
            "datePublished": published,
            **({"url": url} if url else {}),
        }
        files.write_json(folder / CROISSANT, croissant(study, folder, about | {"license": _spdx(licence)["@id"]}))
        held = [*copied, CROISSANT, *(f"results/{name}" for name in sorted(members))]
        root: Entity = {
            "@id": "./",
            "@type": "Dataset",
            **about,
            "license": _reference(_spdx(licence)),
            "identifier": f"sha256:{files.sha256(bundle)}",
            "mainEntity": {"@id": WORKFLOW},
            "hasPart": [{"@id": _id(folder, name)} for name in held],
        }
        graph = [
            {
                "@id": METADATA,
                "@type": "CreativeWork",
                "about": {"@id": "./"},
                "conformsTo": [
                    {"@id": "https://w3id.org/ro/crate/1.1"},
                    {"@id": "https://w3id.org/workflowhub/workflow-ro-crate/1.0"},
                ],
            },
            root,
            *_described(study, folder, held, licence),
        ]
        # sha256 is a term of RO-Crate from version 1.2 on.
        context = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "http://schema.org/sha256"}]
        files.write_json(folder / METADATA, {"@context": context, "@graph": graph})
    cli.made([out / METADATA, out / CROISSANT])


def _described(study: Study, folder: Path, held: Iterable[str], licence: str) -> list[Entity]:
    """The entities of the files of a crate, and all that they name."""
    licences = _licences(study, folder)
    software = _software(study, folder)
    entities = [_spdx(each) for each in dict.fromkeys([licence, *licences.values()])]
    for name in held:
        entity = _entity(folder, name)
        if name == WORKFLOW:
            entity |= {
                "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
                "name": "tokencredit",
                "programmingLanguage": {"@id": SNAKEMAKE},
                "softwareRequirements": [_reference(each) for each in software],
                **({"license": {"@id": LICENCE}} if (folder / LICENCE).exists() else {}),
                **({"version": commit} if (commit := checkout()["commit"]) else {}),
            }
        elif name in licences:
            entity["license"] = _reference(_spdx(licences[name]))
        entities.append(entity)
    language = {
        "@id": SNAKEMAKE,
        "@type": "ComputerLanguage",
        "name": "Snakemake",
        "url": "https://snakemake.readthedocs.io",
    }
    return [*entities, language, *software]


def _entity(folder: Path, name: str) -> Entity:
    path, of_all = folder / name, {"@id": _id(folder, name), "name": name}
    if path.is_dir():
        return of_all | {"@type": "Dataset"}
    form = {"encodingFormat": FORMATS[path.suffix]} if path.suffix in FORMATS else {}
    return of_all | {"@type": "File", "contentSize": str(path.stat().st_size), "sha256": files.sha256(path), **form}


def _id(folder: Path, name: str) -> str:
    return quote(name) + ("/" if (folder / name).is_dir() else "")


def _licences(study: Study, folder: Path) -> dict[str, str]:
    """The licences of problems that others wrote, by file."""
    paths, datasets = Paths(study, "results"), study.config.datasets.items()
    named = {
        str(paths.dataset(name).problems): each.licence for name, each in datasets if isinstance(each, FileDataset)
    }
    return {name: licence for name, licence in named.items() if (folder / name).exists()}


def _software(study: Study, folder: Path) -> list[Entity]:
    """Every package and version that a training run of the study was made with."""
    paths = Paths(study, folder / "results")
    runs = (files.read_json(paths.run(row).record) for row in study.rows if row.method)
    used = {
        (name, version)
        for run in runs
        for name, version in run["environment"].items()
        if name not in ("platform", "device") and version != "not installed"
    }
    return [
        {
            "@id": quote(f"#{name}-{version}", safe="#+"),
            "@type": "SoftwareApplication",
            "name": name,
            "softwareVersion": version,
        }
        for name, version in sorted(used)
    ]


def _spdx(licence: str) -> Entity:
    return {"@id": f"https://spdx.org/licenses/{licence}", "@type": "CreativeWork", "name": licence}


def _reference(entity: Entity) -> Entity:
    return {"@id": entity["@id"]}


def _copy(source: Path, place: Path) -> bool:
    """Copy a file or folder; whether there is one."""
    if source.is_dir():
        shutil.copytree(source, place, ignore=PASSING)
    elif source.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
    return source.exists()


def _check(licence: str, published: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9.+-]+", licence):
        raise UserError(f"--licence {licence!r}: must be an SPDX identifier, such as MIT or CC-BY-4.0.")
    try:
        date.fromisoformat(published)
    except ValueError as error:
        raise UserError(f"--published {published!r}: must be a day, YYYY-MM-DD.") from error
