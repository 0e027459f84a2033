"""The fixed vocabulary of an embedded task, as a Hugging Face tokenizer.

A token is a word, a number or a sign together with the space before it; ``\\boxed{`` is one token. So decoding is concatenation and every
text of the task comes back exactly.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tokencredit.data.tasks import TASKS
from tokencredit.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, EOS = "<pad>", "<eos>"
_PIECE = r" ?\\boxed\{| ?[A-Za-z]+| [0-9]+| ?[^\sA-Za-z0-9]|\n"


def vocabulary(task: str = "word-problems") -> list[str]:
    """All tokens in order of their ids: padding, end of sequence, numbers, then the pieces of every phrase, sorted."""
    chosen = TASKS[task]
    numbers = [f" {number}" for number in range(chosen.LARGEST + 1)]
    pieces = {"\n"}.union(*(re.findall(_PIECE, phrase) for phrase in chosen.phrases()))
    return [PAD, EOS, *numbers, *sorted(pieces - set(numbers))]


def build_tokenizer(task: str = "word-problems") -> PreTrainedTokenizerFast:
    """The tokenizer; ``save_pretrained`` writes it and ``AutoTokenizer.from_pretrained`` reads it back."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    # No unknown token: a text outside the task is an error, not a token.
    tokenizer = Tokenizer(models.WordLevel({token: index for index, token in enumerate(vocabulary(task))}))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECE), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def check_text(text: str, task: str = "word-problems") -> None:
    """Raises ``UserError`` with the first piece of ``text`` that an embedded model of ``task`` cannot read."""
    known = set(vocabulary(task))
    for piece in re.split(f"({_PIECE})", text):
        if piece and piece not in known:
            raise UserError(
                f"the embedded model cannot read {piece!r} in {text!r}: it knows only the {len(known)} words of its own task."
            )
