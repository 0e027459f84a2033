"""The fixed vocabulary of the embedded task, as a Hugging Face tokenizer.

A token is a word, a number or a sign together with the space before it; ``\\boxed{`` is one token. So decoding is concatenation and every
text of the task comes back exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import regex

from tokencredit.data import embedded
from tokencredit.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, EOS = "<pad>", "<eos>"
_PIECE = r" ?\\boxed\{| ?[A-Za-z]+| [0-9]+| ?[^\sA-Za-z0-9]|\n"


def vocabulary() -> list[str]:
    """All tokens in order of their ids: padding, end of sequence, numbers, then the pieces of every phrase, sorted."""
    numbers = [f" {number}" for number in range(embedded.LARGEST + 1)]
    phrases = [
        *embedded.STARTS,
        *(phrase for phrases in [*embedded.CHANGES.values(), *embedded.TIMES.values()] for phrase in phrases),
        *embedded.DISTRACTORS,
        *embedded.QUESTIONS,
        *(opening + pause for opening in embedded.OPENINGS for pause in embedded.PAUSES),
        *embedded.CAREFUL,
        *embedded.SHORTCUT,
        *embedded.CONNECTIVES,
        *(f" {operator}" for operator in embedded.CHANGES),
        " =",
        *(closing + embedded.BOXED for closing in embedded.CLOSINGS),
    ]
    pieces = {"\n"}
    for phrase in phrases:
        for who in embedded.NAMES:
            for things in embedded.THINGS:
                pieces.update(regex.findall(_PIECE, phrase.format(who=who, other=who, things=things, n=0)))
    return [PAD, EOS, *numbers, *sorted(pieces - set(numbers))]


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer; ``save_pretrained`` writes it and ``AutoTokenizer.from_pretrained`` reads it back."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    # No unknown token: a text outside the task is an error, not a token.
    tokenizer = Tokenizer(models.WordLevel({token: index for index, token in enumerate(vocabulary())}))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECE), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def check_text(text: str) -> None:
    """Raises ``UserError`` with the first piece of ``text`` that the embedded model cannot read."""
    known = set(vocabulary())
    for piece in regex.split(f"({_PIECE})", text):
        if piece and piece not in known:
            raise UserError(
                f"the embedded model cannot read {piece!r} in {text!r}: it knows only the {len(known)} words of its own task."
            )
