"""The shape of a study's models: of one that is trained here, of one that the configuration describes, or as a fetched config.json has it.

transformers is not asked: a plan is made where it is not installed. Its families name the same numbers in a few ways.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tokencredit.config import Architecture, EmbeddedModel, Released, Study
from tokencredit.data.embedded_tokenizer import vocabulary
from tokencredit.errors import UserError
from tokencredit.files import read_json
from tokencredit.study.paths import RESULTS, Shared

# The names that families give to a number in their config.json, the usual one first.
_NAMES = {
    "hidden_size": ("hidden_size", "n_embd", "d_model", "dim"),
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "multi_query_group_num"),
    "head_size": ("head_dim", "v_head_dim"),
    "intermediate_size": ("intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner", "d_inner"),
    "vocabulary": ("vocab_size", "padded_vocab_size"),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts"),
    "active_experts": ("num_experts_per_tok", "moe_topk"),
}


def architecture_of(study: Study, name: str, results: str | Path = RESULTS) -> Architecture:
    """The shape of one of the study's models; raises ``UserError`` where it is neither described nor fetched."""
    if declared := declared_architecture(study, name):
        return declared
    model = study.config.models[name]
    where = f"{study.config.folder / 'models.yaml'}: models.{name}.architecture"
    folder = Shared(results).model(name)
    if not folder.manifest.is_file():
        raise UserError(
            f"{where}: this key is missing, and the model is not fetched; the memory of {model.title} is reckoned from one or the other. "
            f"Its values stand in the model's config.json."
        )
    file = folder.folder / read_json(folder.manifest)["path"] / "config.json"
    try:
        return read_architecture(read_json(file), model)
    except (KeyError, ValidationError) as error:
        raise UserError(
            f"{where}: this key is missing, and {file} does not tell it ({' '.join(str(error).split())[:200]}); write it down."
        ) from error


def declared_architecture(study: Study, name: str) -> Architecture | None:
    """The shape as the configuration alone tells it."""
    model = study.config.models[name]
    if isinstance(model, Released):
        return model.architecture
    assert isinstance(model, EmbeddedModel)
    return Architecture(
        family="qwen3",
        hidden_size=model.hidden_size,
        layers=model.layers,
        heads=model.heads,
        kv_heads=model.heads,
        head_size=model.hidden_size // model.heads,
        intermediate_size=model.intermediate_size,
        vocabulary=len(vocabulary(model.task)),
        tied_head=True,
    )


def settings_of(shape: Architecture) -> dict[str, Any]:
    """What a config.json of this shape holds, under the usual names."""
    numbers = {
        names[0]: getattr(shape, key) for key, names in _NAMES.items() if shape.experts > 1 or "experts" not in key
    }
    return {"model_type": shape.family, "tie_word_embeddings": shape.tied_head, **numbers}


def read_architecture(settings: dict[str, Any], model: Released) -> Architecture:
    """The shape that a config.json describes. Of the shapes with and without a gate, the one whose weights are nearer to ``parameters``.

    Raises ``KeyError`` where a number is missing, and ``UserError`` where the weights are not near at all.
    """
    settings = settings.get("text_config", settings)
    found = {key: settings[name] for key, names in _NAMES.items() for name in names if settings.get(name) is not None}
    if settings.get("multi_query") and not settings.get("new_decoder_architecture"):
        found["kv_heads"] = 1
    found.setdefault("kv_heads", found["heads"])
    found.setdefault("head_size", found["hidden_size"] // found["heads"])
    found.setdefault("intermediate_size", 4 * found["hidden_size"])
    if found.get("experts", 1) > 1:
        shared = settings.get("n_shared_experts") or 0
        found["intermediate_size"] = settings.get("moe_intermediate_size") or found["intermediate_size"]
        found["experts"] += shared
        found["active_experts"] += shared
    else:
        found |= {"experts": 1, "active_experts": 1}
    family, tied = settings["model_type"], settings.get("tie_word_embeddings", True)
    shapes = [Architecture(family=family, tied_head=tied, projections=count, **found) for count in (3, 2)]
    nearest = min(shapes, key=lambda shape: abs(shape.parameters - model.parameters))
    if not nearest.agrees(model.parameters):
        raise UserError(
            f"{model.title}: the shape in its config.json has some {nearest.parameters} weights, and `parameters` in models.yaml is "
            f"{model.parameters}; correct it, or write the `architecture` down there."
        )
    return nearest
