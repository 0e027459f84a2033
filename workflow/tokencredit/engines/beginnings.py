"""Prompts that begin alike, as partial responses to one problem do: their common beginnings are computed once."""

from __future__ import annotations

from collections.abc import Iterable

Tokens = tuple[int, ...]


def trunks(prompts: Iterable[Tokens]) -> dict[Tokens, Tokens]:
    """What is computed for each of ``prompts``, by prompt: a context that its own context begins, and that begins no other.

    A context is a prompt without its last token: the keys and values of a trunk are, as far as a context goes, those of that context, and
    one pass over the last tokens gives the logits after every prompt. Each prompt is its own trunk where that would save no token.
    """
    different = set(prompts)
    contexts = sorted({prompt[:-1] for prompt in different})
    # Sorted, what begins with a context follows it at once.
    trunk_of: dict[Tokens, Tokens] = {}
    for place in reversed(range(len(contexts))):
        context, following = contexts[place], contexts[place + 1 : place + 2]
        begins = bool(following) and following[0][: len(context)] == context
        trunk_of[context] = trunk_of[following[0]] if begins else context
    shared = {prompt: trunk_of[prompt[:-1]] for prompt in different}
    if sum(map(len, set(shared.values()))) + len(different) >= sum(map(len, different)):
        return {prompt: prompt for prompt in different}
    return shared
