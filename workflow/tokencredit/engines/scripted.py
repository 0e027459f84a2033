"""An engine that replays given texts: for tests and for the grader audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from transformers import PreTrainedTokenizerBase

from tokencredit.engines import OnResponse
from tokencredit.errors import UserError
from tokencredit.records import Request, Response


class ScriptedEngine:
    """Answers the n-th request for a prompt with the n-th text of ``responses[prompt]``; the keys are prompt texts.

    Each ``sample`` call starts from the first text again, so that a call depends on its arguments only. Temperature, top-p and seeds
    change nothing. Responses end with the end token unless they reach ``max_tokens``; they carry no log-probs.
    """

    name = "scripted"

    def __init__(self, responses: Mapping[str, Sequence[str]], tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.script = {self._ids(prompt): (prompt, list(texts)) for prompt, texts in responses.items()}

    def sample(
        self,
        requests: list[Request],
        *,
        temperature: float,
        top_p: float,
        max_tokens: int,
        progress: bool = False,
        on_response: OnResponse | None = None,
    ) -> list[Response]:
        """One response for each request, in order; raises ``UserError`` where a prompt has no text, or too few."""
        used: dict[tuple[int, ...], int] = {}
        responses: list[Response] = []
        for request in requests:
            if request.prompt_tokens not in self.script:
                raise UserError(
                    f"the script has no response to the prompt {self.tokenizer.decode(request.prompt_tokens)!r}."
                )
            prompt, texts = self.script[request.prompt_tokens]
            number = used.get(request.prompt_tokens, 0)
            if number >= len(texts):
                raise UserError(
                    f"the script has {len(texts)} responses to the prompt {prompt!r}; number {number + 1} was asked for."
                )
            used[request.prompt_tokens] = number + 1
            responses.append(self._response(texts[number], request.limit(max_tokens)))
            if on_response:
                on_response(len(responses) - 1, responses[-1])
        return responses

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False).input_ids)

    def _response(self, text: str, max_tokens: int) -> Response:
        ids = (*self._ids(text), self.tokenizer.eos_token_id)
        if len(ids) <= max_tokens:
            return Response(text, ids, "stop")
        cut = ids[:max_tokens]
        return Response(self.tokenizer.decode(cut), cut, "length")
