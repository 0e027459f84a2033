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
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
_PLAIN = {"F64", "F32", "F16", "BF16"}  # safetensors' names of the kinds of numbers that weights may have
_ONLY_PLAIN = "only plain ones (float32, bfloat16, float16) are read"
# What a pass gives is asked for pass by pass, whatever a config.json says; one that asks for attention can often not even be saved.
_OUTPUTS = {"return_dict": True, "output_attentions": False, "output_hidden_states": False}


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
    model_dir: str | Path,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    longest: int | None = None,
) -> PreTrainedModel:
    """The causal language model of a base (``results/models/<name>``) or of a run (its ``model/``), float32 unless ``dtype`` says else.

    Its weights are the folder's, all of them and nothing else; its generation settings are the ids of special tokens alone, for how is
    sampled is the study's to say; what its passes give is what they are asked for. ``longest``: the most tokens of a sequence, for a model
    whose positions depend on it (``settle_rope``).

    ``UserError`` where the folder lacks a weight, has one too many or one of another shape, holds an adapter beside the model or weights
    that are quantised, wants to bring code of its own, or describes a model that sees later tokens or has another head than its weights.
    """
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    from tokencredit.engines.lengths import settle_rope

    folder = model_folder(model_dir)
    for adapter in filter(lambda name: (folder / name).exists(), _ADAPTER):
        raise UserError(
            f"{folder}: a model and an adapter ({adapter}) in one folder: whether the weights contain the adapter already cannot be told. "
            f"Merge it (peft's merge_and_unload) and save the model alone, or take the adapter's files away."
        )
    own_files = {"local_files_only": True, "trust_remote_code": False}
    _check_generation(folder)
    # What transformers raises for settings that are of no model, beside its own refusals.
    wrong = (AssertionError, AttributeError, KeyError, RuntimeError, StrictDataclassError, TypeError, ValueError)
    try:
        if getattr(AutoConfig.from_pretrained(folder, **own_files), "quantization_config", None) is not None:
            raise UserError(f"{folder}: the weights are quantised; {_ONLY_PLAIN}.")
        _check_plain(folder)
        model, found = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype or torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to be told of all of them
            use_safetensors=True,
            **_OUTPUTS,
            **own_files,
        )
    except (OSError, SafetensorError, ImportError, *wrong) as error:
        raise UserError(f"{folder}: the model cannot be read: {_reason(error)}.") from error
    _check_weights(folder, type(model).__name__, found)
    _check_settings(folder / "config.json", model)
    ids = model.generation_config
    _check_ends(folder, ids.eos_token_id)
    model.generation_config = GenerationConfig(
        bos_token_id=ids.bos_token_id, eos_token_id=ids.eos_token_id, pad_token_id=ids.pad_token_id
    )
    if longest is not None:
        settle_rope(model, longest)
    return model.to(device)


def _check_generation(folder: Path) -> None:
    """generation_config.json can be read, if there is one: transformers passes over a broken one, and with it over the model's ends."""
    path = folder / "generation_config.json"
    if path.is_file() and not isinstance(read_json(path), dict):
        raise UserError(f"{path}: must be a JSON object; get the file again.")


def _check_plain(folder: Path) -> None:
    """No weight is kept as integers or in eight bits: transformers would read them as numbers, without the scales that they need."""
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as stored:
            for name in stored.keys():  # noqa: SIM118
                if name.endswith("weight") and (kind := stored.get_slice(name).get_dtype()) not in _PLAIN:
                    raise UserError(
                        f"{folder}: the weights are quantised ({name} in {file.name} is {kind}); {_ONLY_PLAIN}."
                    )


def _check_weights(folder: Path, name: str, found: dict[str, Any]) -> None:
    """``found``: transformers' account of what it loaded. It draws what is missing by lot, anew in each load."""
    for kind, what in (
        ("missing_keys", "are missing in the folder"),
        ("unexpected_keys", "are in the folder and not in the model"),
        ("mismatched_keys", "have another shape than the model's"),
    ):
        keys = sorted(str(key if isinstance(key, str) else key[0]) for key in found[kind])
        if keys:
            raise UserError(
                f"{folder}: not the weights of a {name}: {len(keys)} {what}, {', '.join(keys[:3])}{' …' if len(keys) > 3 else ''}. Get the "
                f"model's files again, or name the model that they belong to in config.json."
            )
    if found.get("error_msgs"):
        raise UserError(f"{folder}: the model cannot be read: {' '.join(' '.join(found['error_msgs']).split())}.")


def _check_settings(path: Path, model: PreTrainedModel) -> None:
    """The model is causal, and its head the one of its settings: transformers goes by the weights there, other programs by the settings."""
    config = model.config.get_text_config(decoder=True)
    for key, value in (("is_causal", False), ("use_bidirectional_attention", True)):
        if getattr(config, key, None) is value:
            raise UserError(
                f"{path}: {key} = {value}: tokens would see those after them; only a causal language model can be trained."
            )
    if config.tie_word_embeddings and model.get_output_embeddings().weight is not model.get_input_embeddings().weight:
        raise UserError(
            f"{path}: tie_word_embeddings = True: the head would be the embedding, and the folder holds another head. Write false, or take "
            f"the head's weights away."
        )


def _check_ends(folder: Path, ends: Any) -> None:
    if not all(type(end) is int for end in (ends if isinstance(ends, list) else [ends]) if end is not None):
        raise UserError(
            f"{folder / 'generation_config.json'}: eos_token_id = {ends!r}: must be the number of a token, or a list of numbers."
        )


def load_tokenizer(model_dir: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer saved beside the model: what ``tokenizer.json`` says where there is one, whatever class its settings name.

    Classes of transformers build the splitting of text anew from their own idea of a family, and another one after saving; the file is
    read as it is, and is saved as it is.
    """
    return read_tokenizer(model_folder(model_dir))


def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """``load_tokenizer`` of a folder that need not hold a model."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        if (folder / "tokenizer.json").is_file():
            return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, ImportError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder}: the tokenizer cannot be read: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return (
            "it brings code of its own (auto_map in its settings), and code from a model's folder is never run; use a model that the "
            "installed transformers knows"
        )
    return " ".join(str(error).split()).rstrip(".")
