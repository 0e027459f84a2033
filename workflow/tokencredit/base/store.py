"""Model folders: what ``model.json`` says, and the policy and tokenizer that a folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokencredit.errors import UserError
from tokencredit.files import read_json
from tokencredit.study.paths import ModelFolder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MANIFEST = ModelFolder.manifest.name


def load_manifest(model_dir: str | Path) -> dict[str, Any]:
    """``model.json`` of ``results/models/<name>``."""
    return read_json(Path(model_dir) / MANIFEST)


def model_folder(model_dir: str | Path) -> Path:
    """The Hugging Face folder behind ``model_dir``: where its ``model.json`` points, or itself where it has none (a trained run's)."""
    model_dir = Path(model_dir)
    folder = model_dir / load_manifest(model_dir)["path"] if (model_dir / MANIFEST).is_file() else model_dir
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no model here: config.json is missing; make the model again with its stage.")
    return folder


def load_policy(
    model_dir: str | Path, dtype: torch.dtype | None = None, device: str | torch.device = "cpu"
) -> PreTrainedModel:
    """The causal language model of ``results/models/<name>`` or of a run (its ``model/``), float32 unless ``dtype`` says otherwise."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    folder = model_folder(model_dir)
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype or torch.float32, local_files_only=True)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder}: the model cannot be read: {' '.join(str(error).split())}.") from error
    return model.to(device)


def load_tokenizer(model_dir: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer saved beside the model."""
    from transformers import AutoTokenizer

    folder = model_folder(model_dir)
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: the tokenizer cannot be read: {' '.join(str(error).split())}.") from error
