"""From a problem to the tokens of its prompt: in one place, so that training and evaluation use the same prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tokencredit.errors import UserError
from tokencredit.records import Problem

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from tokencredit.config import Model


# What is a mark beyond doubt: `<|…|>` in either kind of bar, and names that no prose has. `<think>` or `[INST]` may be text of a prompt.
_MARK = re.compile(r"<[|｜][^<>{}\s]+[|｜]>|</?s>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>")
BYTE = re.compile("<0x[0-9A-F]{2}>")  # what a letter outside the vocabulary is written in
LIKE_A_MARK = re.compile(r"<.+>|\[.+\]", re.DOTALL)


def prompt_of(template: str, problem: str) -> str:
    """The prompt: ``{problem}`` replaced; other braces, as in ``\\boxed{}``, stay what they are."""
    return _filled(template, {"problem": problem})


def encode_prompt(tokenizer: Any, template: str, problem: Problem) -> tuple[int, ...]:
    """The tokens of a problem's whole prompt; nothing is added to the template.

    The marks of the template are tokens, and the same letters in a problem are text: a problem cannot close its turn or open another.
    ``UserError`` for a mark of the template that the tokenizer does not know as one token.
    """
    return _encoded(tokenizer, template, {"problem": problem.problem})


def encode_answer(tokenizer: Any, text: str) -> tuple[int, ...]:
    """The tokens of what a response says; a mark that it spells is text."""
    return _encoded(tokenizer, "{text}", {"text": text})


def encode_privileged_prompt(tokenizer: Any, model: Model, problem: Problem) -> tuple[int, ...]:
    """The tokens of the model's ``privileged_prompt``, with the problem and its gold answer.

    ``UserError`` for a text that an embedded model cannot read: its tokenizer has no token for what it does not know.
    """
    values = {"problem": problem.problem, "answer": problem.answer}
    if model.kind == "embedded":
        text = _filled(model.privileged_prompt, values)
        known = tokenizer.get_vocab()
        for piece, _ in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text):
            if piece not in known:
                raise UserError(
                    f"privileged_prompt = {model.privileged_prompt!r}: the embedded model cannot read {piece!r} in {text!r}."
                )
    return _encoded(tokenizer, model.privileged_prompt, values)


def encode_prompts(
    tokenizer: Any, template: str, problems: Sequence[Problem], max_tokens: int
) -> list[tuple[int, ...]]:
    """The tokens of each problem's prompt. Raises ``UserError`` for a prompt of more than ``max_tokens`` tokens."""
    prompts = [encode_prompt(tokenizer, template, problem) for problem in problems]
    for problem, tokens in zip(problems, prompts, strict=True):
        if len(tokens) > max_tokens:
            raise UserError(
                f"problem {problem.problem_id}: its prompt has {len(tokens)} tokens; "
                f"sampling.max_prompt_tokens = {max_tokens} allows no more than that."
            )
    return prompts


def end_of_solution(tokenizer: Any, template: str, whose: str) -> int:
    """The token that a text to be learned ends with: the mark that closes the turn, or the tokenizer's own end.

    ``UserError`` where there is neither; ``whose`` says of which tokenizer.
    """
    closing = closing_mark(tokenizer, template)
    end = tokenizer.eos_token_id if closing is None else closing
    if end is None:
        raise UserError(
            f"{whose} names no end token, and the prompt closes no turn: a solution would have no end. Name eos_token in the tokenizer's "
            f"settings."
        )
    return end


def closing_mark(tokenizer: Any, template: str) -> int | None:
    """The special token that closes the turn of the problem, which closes the assistant's too; None where the template has none.

    It is the first special token after ``{problem}``. OpenAI's harmony format closes each message of a response with it, and the response
    with another: there it is None.
    """
    special = {
        token.content: index for index, token in getattr(tokenizer, "added_tokens_decoder", {}).items() if token.special
    }
    if "<|return|>" in special:
        return None
    after = template.rpartition("{problem}")[2]
    found = _alternatives(special).search(after) if special else None
    return special[found[0]] if found else None


@dataclass(frozen=True)
class _Marks:
    """The tokens of a tokenizer that no problem may bring in, and those of them that a template has, in order."""

    ids: frozenset[int]
    in_template: tuple[int, ...]
    pieces: tuple[str, ...]  # the template, cut at its marks; every second piece is one


@lru_cache(maxsize=16)
def _marks_of(tokenizer: Any, template: str) -> _Marks:
    added = {
        token.content: (index, token.special) for index, token in getattr(tokenizer, "added_tokens_decoder", {}).items()
    }
    for mark in _MARK.findall(template) if added else ():
        if mark not in added:
            near = get_close_matches(mark, added, n=1, cutoff=0.75)
            raise UserError(
                f"prompt = {template!r}: {mark!r} is no token of this model's tokenizer and would be spelled out as text"
                f"{f'; it has {near[0]!r}' if near else ''}. Write the prompt in the marks of the model's own chat template."
            )
    names = {
        name: index
        for name, (index, special) in added.items()
        if (special and not BYTE.fullmatch(name)) or (LIKE_A_MARK.fullmatch(name) and name in template)
    }
    pieces = tuple(_alternatives(names).split(template)) if names else (template,)
    return _Marks(frozenset(names.values()), tuple(names[mark] for mark in pieces[1::2]), pieces)


def _alternatives(names: Iterable[str]) -> re.Pattern[str]:
    """Any of the names, longer ones first, as one group."""
    return re.compile("(" + "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) + ")")


def _filled(template: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), template)


def _encoded(tokenizer: Any, template: str, values: Mapping[str, str]) -> tuple[int, ...]:
    marks = _marks_of(tokenizer, template)
    ids = tuple(encoded_text(tokenizer, _filled(template, values)))
    if tuple(token for token in ids if token in marks.ids) == marks.in_template:
        return ids
    if _unknown(tokenizer) in ids and not any(tokenizer.unk_token in value for value in values.values()):
        raise UserError(_cannot_read(tokenizer, _filled(template, values)))
    # Some value spells a mark.
    found = _spelt(tokenizer, marks, values)
    plain = {name: "1" for name in values}
    expected = tuple(encoded_text(tokenizer, _filled(template, plain)))
    if (
        tuple(token for token in found if token in marks.ids) != marks.in_template
        or _spelt(tokenizer, marks, plain) != expected
    ):
        raise UserError(
            f"{_filled(template, values)!r}: the problem spells a special token, and this tokenizer cannot give it as text; take the "
            f"problem out of the data set, or write the token differently."
        )
    return found


def encoded_text(tokenizer: Any, text: str) -> list[int]:
    """The tokens of ``text`` and no others; ``UserError`` where the tokenizer has none for a part of it."""
    try:
        return tokenizer.encode(text, add_special_tokens=False)
    except Exception as error:  # tokenizers raises nothing more special
        if type(error) is not Exception:
            raise
        raise UserError(
            f"{text!r}: the tokenizer cannot read it ({error}); use a model whose tokenizer reads the data."
        ) from error


def _unknown(tokenizer: Any) -> int | None:
    return getattr(tokenizer, "unk_token_id", None)


def _cannot_read(tokenizer: Any, text: str) -> str:
    unknown = [tokenizer.unk_token]
    if tokenizer.is_fast:
        read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        places = zip(read.input_ids, read.offset_mapping, strict=True)
        unknown = list(dict.fromkeys(text[slice(*place)] for token, place in places if token == _unknown(tokenizer)))
    return (
        f"{text!r}: the tokenizer has no token for {', '.join(map(repr, unknown))} and would give the model {tokenizer.unk_token!r}; take "
        f"the problem out of the data set, or use a model whose tokenizer reads it."
    )


def _spelt(tokenizer: Any, marks: _Marks, values: Mapping[str, str]) -> tuple[int, ...]:
    """The template's marks as tokens, and what stands between them as text, whatever it spells."""
    text = _without_marks(tokenizer, marks.ids)
    ids: list[int] = []
    for place, piece in enumerate(marks.pieces):
        if place % 2:
            ids.append(marks.in_template[place // 2])
        elif piece:
            ids += text.encode(_filled(piece, values), add_special_tokens=False).ids
    return tuple(ids)


@lru_cache(maxsize=4)
def _without_marks(tokenizer: Any, marks: frozenset[int]) -> Tokenizer:
    """The tokenizer's own way with text, the ``marks`` unknown to it."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UserError(
            "a problem spells a special token, and this tokenizer, which is not a fast one, cannot give it as text."
        )
    from tokenizers import Tokenizer

    settings, own = json.loads(backend.to_str()), backend.get_vocab(with_added_tokens=False)
    # Tokens beside the vocabulary are numbered in their order: without a mark those after it would be others. It gets a name no text has.
    settings["added_tokens"] = [
        token if token["id"] not in marks else {**token, "content": f"\0{token['id']}"}
        for token in settings["added_tokens"]
        if token["id"] not in marks or token["content"] not in own
    ]
    settings["post_processor"] = None
    return Tokenizer.from_str(json.dumps(settings))
