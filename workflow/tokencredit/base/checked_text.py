"""What a tokenizer is asked before a model is loaded: its file's tokens, and a way from text to tokens and back that loses nothing."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import PreTrainedTokenizerBase

from tokencredit.base.store import model_folder, read_tokenizer
from tokencredit.engines.ending import response_text
from tokencredit.errors import UserError
from tokencredit.prompts import encode_prompt, encoded_text, prompt_of

if TYPE_CHECKING:
    from tokencredit.config import Model
    from tokencredit.records import Problem

PROBLEMS = 32  # whose prompts are tried
# What a response ends with, and how it has to come back for its answer to be found.
_ANSWER, _FOUND = "So the answer is \\boxed{12345}.", re.compile(r"\\boxed\s*\{\s*12345\s*\}")
_WORDS = re.compile("[a-z]+|[0-9]+")


def check_tokenizer(
    model_dir: str | Path, tokenizer: PreTrainedTokenizerBase, model: Model, problems: Sequence[Problem]
) -> list[tuple[int, ...]]:
    """The prompts of the first of ``problems``; ``UserError`` unless the tokenizer is its file's and keeps what it reads and writes.

    tokenizer.json gives the same tokens, and so does the tokenizer once saved. Every character of a prompt is in a token, unless it is a
    space. Words and numbers come back from tokens as they were, and so does a boxed answer. (An embedded model reads its task alone.)
    """
    from tokenizers import Tokenizer

    first = list(problems)[:PROBLEMS]
    texts = [prompt_of(model.prompt, problem.problem) for problem in first]
    own = [encoded_text(tokenizer, text) for text in texts]
    path = model_folder(model_dir) / "tokenizer.json"
    if path.is_file():
        raw = Tokenizer.from_file(str(path))
        if dropout := getattr(raw.model, "dropout", None):
            raise UserError(
                f"{path}: model.dropout = {dropout:g}: the tokenizer would read a text in another way each time; set it to null."
            )
        in_file = raw.get_vocab()
        added = [str(token) for token in tokenizer.added_tokens_decoder.values() if not token.special]
        if beside := [token for token in added if token not in in_file]:
            raise UserError(
                f"{model_dir}: the settings beside {path.name} make {beside[0]!r} one token, and the file reads it as text; save the "
                f"tokenizer as it is meant (tokenizer.json with its tokenizer_config.json) in the model's folder."
            )
        raw.no_truncation()
        raw.no_padding()
        _compare(model_dir, texts, own, [raw.encode(text, add_special_tokens=False).ids for text in texts], path.name)
    with tempfile.TemporaryDirectory(prefix="tokencredit-tokenizer-") as folder:
        tokenizer.save_pretrained(folder)
        saved = read_tokenizer(Path(folder))
    what = "the same tokenizer, saved and loaded again,"
    _compare(model_dir, texts, own, [encoded_text(saved, text) for text in texts], what)
    if saved.eos_token_id != tokenizer.eos_token_id:
        raise UserError(
            f"{model_dir}: the tokenizer's end token is {tokenizer.eos_token!r}, and once saved it is {saved.eos_token!r}; name eos_token "
            f"in its settings."
        )
    prompts = [encode_prompt(tokenizer, model.prompt, problem) for problem in first]
    for text in texts:
        _check_read(model_dir, tokenizer, text)
        _check_written(model_dir, tokenizer, text)
    if model.kind != "embedded":
        _check_read(model_dir, tokenizer, _ANSWER)
        back = response_text(tokenizer, encoded_text(tokenizer, _ANSWER))
        if not _FOUND.search(back):
            raise UserError(
                f"{model_dir}: the tokenizer writes {_ANSWER!r} and reads its own tokens as {back!r}: no answer of this model could be "
                f"found in its box. Give tokenizer.json the decoder that belongs to it."
            )
    return prompts


def _compare(model_dir: str | Path, texts: list[str], own: list[list[int]], others: list[list[int]], what: str) -> None:
    differ = [place for place, (one, other) in enumerate(zip(own, others, strict=True)) if list(one) != list(other)]
    if differ:
        text, one, other = texts[differ[0]], own[differ[0]], others[differ[0]]
        place = next(
            (k for k, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
        )
        raise UserError(
            f"{model_dir}: {len(differ)} of {len(texts)} prompts are other tokens to the tokenizer than {what} says, from token {place} "
            f"of {len(one)} on in {text[:80]!r}: a model would be trained on one text and judged on another. Save the tokenizer as it is "
            f"meant (tokenizer.json with its tokenizer_config.json) in the model's folder."
        )


def _check_read(model_dir: str | Path, tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    """Whether a token stands for every character of ``text`` but spaces; what is unknown may be left out without a word."""
    if not tokenizer.is_fast:  # the others do not say which characters a token stands for
        return
    covered = [False] * len(text)
    for start, end in tokenizer(text, add_special_tokens=False, return_offsets_mapping=True).offset_mapping:
        covered[start:end] = [True] * (end - start)
    lost = "".join(
        dict.fromkeys(letter for letter, kept in zip(text, covered, strict=True) if not kept and not letter.isspace())
    )
    if lost:
        raise UserError(
            f"{model_dir}: the tokenizer leaves {lost!r} out of {text[:80]!r}: it has no token for that, nor one for unknown text. The "
            f"model would read another problem; use a model whose tokenizer reads the data."
        )


def _check_written(model_dir: str | Path, tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    """Whether words and numbers of ``text`` come back from its tokens; what is not ASCII is left out, as normalisers may write it anew."""
    plain = "".join(letter for letter in text if letter.isascii())
    back = tokenizer.decode(encoded_text(tokenizer, plain))
    if not back.isascii() or _WORDS.findall(plain.casefold()) != _WORDS.findall(back.casefold()):
        raise UserError(
            f"{model_dir}: the tokenizer writes {plain[:80]!r} and reads its own tokens as {back[:80]!r}: responses would be graded by "
            f"another text than the model means. Give tokenizer.json the decoder that belongs to it."
        )
