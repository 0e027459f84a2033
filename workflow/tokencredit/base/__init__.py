"""The base model of a study: pretrained here (embedded) or resolved on the Hugging Face Hub, and read back by every later stage."""

from tokencredit.base.store import load_manifest, load_policy, load_tokenizer

__all__ = ["load_manifest", "load_policy", "load_tokenizer"]
