"""``python -m tokencredit.base``: make a study's base model available as a folder with a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tokencredit import cli
from tokencredit.base.folder import made_whole
from tokencredit.base.store import MANIFEST
from tokencredit.config import Config, EmbeddedModel, FolderModel, HubModel, Released
from tokencredit.errors import UserError
from tokencredit.files import digest_of, sha256, write_json
from tokencredit.provenance import environment
from tokencredit.study import code

app = cli.new_app("Pre-train an embedded base model, or resolve a released one.")


@app.command()
def main(
    config: Annotated[Path, typer.Option(help="The configuration folder.")],
    model: Annotated[str, typer.Option(help="A name in models.yaml.")],
    out: Annotated[Path, typer.Option(help="The folder to make, e.g. results/models/NAME.")],
) -> None:
    """Write the folder OUT; its model.json comes last, so that a folder with a manifest is whole."""
    models = Config(config).models
    if model not in models:
        raise UserError(f"{config / 'models.yaml'}: models.{model} is not known; allowed: {', '.join(models)}.")
    settings = models[model]
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    if isinstance(settings, EmbeddedModel):
        manifest = _embedded(model, settings, out)
    else:
        print(f"{settings.title}: {settings.place}; licence: {settings.licence}", flush=True)
        about = {"model": model, "licence": settings.licence, "parameters": settings.parameters}
        manifest = about | _released(model, settings, out)
    write_json(out / MANIFEST, manifest)
    cli.made([out / MANIFEST])


def _embedded(name: str, settings: EmbeddedModel, out: Path) -> dict[str, Any]:
    from tokencredit.base.pretrain import pretrained

    with made_whole(out) as folder:
        summary = pretrained(settings, folder)
    return {
        "model": name,
        "kind": "embedded",
        "path": ".",
        "revision": None,
        "sha256": sha256(out / "model.safetensors"),
        "config": settings.model_dump(mode="json"),
        "config_digest": digest_of(settings.model_dump(mode="json")),
        "code_digest": code.pretraining(settings),
        "environment": environment(),
        **summary,
    }


def _released(name: str, model: Released, out: Path) -> dict[str, Any]:
    if isinstance(model, HubModel):
        from tokencredit.base import hub

        return hub.resolve(name, model)
    if isinstance(model, FolderModel):
        from tokencredit.base import folder

        return folder.resolve(name, model)
    from tokencredit.base import package

    return package.resolve(name, model, out)


if __name__ == "__main__":
    cli.run(app)
