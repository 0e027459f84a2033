"""Sampling with a transformers model: a decode loop with a key-value cache that wastes no token.

Prompts are sorted by length and padded on the left; rows with the same prompt share its prefill, and prompts that begin alike that of their
beginning; finished rows leave the batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tokencredit.engines import OnResponse
from tokencredit.engines.beginnings import trunks
from tokencredit.engines.cache import SamplingCache, left_padding
from tokencredit.engines.ending import end_tokens, finished_response
from tokencredit.engines.lengths import check_attention, check_length, settle_rope, text_config
from tokencredit.engines.sampling import sample_tokens
from tokencredit.progress import bar
from tokencredit.records import Request, Response
from tokencredit.seeds import uniforms

# The batch is thinned out once this share of its rows has finished: copying the cache costs about as much as one decoding step.
_FINISHED_SHARE = 0.2


class TransformersEngine:
    """Samples from ``model``, which may be trained between calls; runs on the model's device in the model's dtype.

    ``batch_size``: rows decoded together. More rows are faster until the cache no longer fits. ``logprobs`` of a response are at the
    sampling temperature, before the top-p restriction. Which tokens a token sees is what the model's own attention says, windows included.

    ``autocast``: the precision of the products, where it is not that of the weights: that of a trainer's passes.

    ``UserError`` for a model with other layers than attention.
    """

    name = "transformers"

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        batch_size: int = 256,
        autocast: torch.dtype | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size = {batch_size}: at least one row is needed.")
        check_attention(model)
        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self._autocast = autocast
        self.end_tokens = end_tokens(model, tokenizer)

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
        """One response for each request, in order. Gradients are off; the model's training mode is restored afterwards.

        ``UserError`` where the model has too few positions for the longest prompt and ``max_tokens``.
        """
        longest = max((len(request.prompt_tokens) + request.limit(max_tokens) for request in requests), default=0)
        check_length(self.model, longest, "engine 'transformers': a prompt and its response")
        settle_rope(self.model, longest)
        responses: dict[int, Response] = {}
        was_training = self.model.training
        self.model.eval()
        try:
            with (
                # Weights are cast once a call, and in inference mode they would be at every step; the casts are let go before weights move.
                torch.no_grad() if self._autocast else torch.inference_mode(),
                torch.autocast(self.model.device.type, self._autocast, enabled=self._autocast is not None),
                bar("sampling", len(requests), progress) as shown,
            ):
                for batch in _batches(requests, self.batch_size):
                    chosen = [requests[index] for index in batch]
                    for row, response in self._decode(chosen, temperature, top_p, max_tokens):
                        responses[batch[row]] = response
                        if on_response:
                            on_response(batch[row], response)
                        shown.update()
        finally:
            self.model.train(was_training)
        return [responses[index] for index in range(len(requests))]

    def _decode(
        self, requests: list[Request], temperature: float, top_p: float, max_tokens: int
    ) -> Iterator[tuple[int, Response]]:
        """Each request's index and its response, as they end."""
        device = self.model.device
        seeds = np.array([request.seed for request in requests], dtype=np.uint64)
        limits = torch.tensor([request.limit(max_tokens) for request in requests])
        max_tokens = int(limits.max())
        logits, cache, mask, position = self._prefill(requests, max_tokens)
        ends = torch.tensor(sorted(self.end_tokens), device=device)
        tokens = torch.empty((len(requests), max_tokens), dtype=torch.long)
        logprobs = torch.empty(len(requests), max_tokens)
        rows = torch.arange(len(requests))  # the request of each row of the batch
        alive = torch.ones(len(requests), dtype=torch.bool)  # rows of the batch that still go on
        for step in range(max_tokens):
            noise = torch.from_numpy(uniforms(seeds[rows.numpy()], step)).to(device)
            token, logprob = sample_tokens(logits, noise, temperature, top_p)
            tokens[rows[alive], step] = token.cpu()[alive]
            logprobs[rows[alive], step] = logprob.cpu()[alive]
            ending = alive & (torch.isin(token, ends).cpu() | (step >= limits[rows] - 1))
            alive = alive & ~ending
            for row in rows[ending].tolist():
                ids, values = tokens[row, : step + 1].tolist(), logprobs[row, : step + 1].tolist()
                yield row, finished_response(ids, values, self.end_tokens, self.tokenizer)
            if not alive.any():
                return
            if (~alive).sum() >= _FINISHED_SHARE * len(alive):
                keep = alive.nonzero().squeeze(-1)
                rows, alive = rows[keep], alive[keep]
                on_device = keep.to(device)
                token, mask, position = token[on_device], mask[on_device], position[on_device]
                cache.select(on_device)
            width = cache.get_seq_length() + 1
            logits = self._forward(token[:, None], mask[:, :width], position[:, None], cache)
            position = position + 1

    def _prefill(self, requests: list[Request], max_tokens: int) -> tuple[Tensor, SamplingCache, Tensor, Tensor]:
        """Logits [R, V] after each prompt, the filled cache, the mask over its columns [R, capacity], and the next position [R]."""
        device = self.model.device
        trunk_of = trunks(request.prompt_tokens for request in requests)
        prompts = list(dict.fromkeys(request.prompt_tokens for request in requests))
        passes = list(dict.fromkeys(trunk_of[prompt] for prompt in prompts))
        lengths = torch.tensor([len(each) for each in passes], device=device)
        width = int(lengths.max())
        ids = torch.tensor([[0] * (width - len(each)) + list(each) for each in passes], device=device)
        filled = left_padding(lengths, width)
        position = (filled.cumsum(-1) - 1).clamp(min=0)
        cache = SamplingCache(text_config(self.model).num_hidden_layers, width + 1 + max_tokens)
        logits = self._forward(ids, filled, position, cache)
        if passes != prompts:
            trunk = {each: row for row, each in enumerate(passes)}
            rows = torch.tensor([trunk[trunk_of[prompt]] for prompt in prompts], device=device)
            contexts = torch.tensor([len(prompt) - 1 for prompt in prompts], device=device)
            cache.fork(rows, lengths[rows] - contexts)
            filled = left_padding(contexts + 1, width + 1)
            last = torch.tensor([[prompt[-1]] for prompt in prompts], device=device)
            logits = self._forward(last, filled, contexts[:, None], cache)
            lengths = contexts + 1
        row_of = {prompt: row for row, prompt in enumerate(prompts)}
        rows = torch.tensor([row_of[request.prompt_tokens] for request in requests], device=device)
        cache.select(rows)
        columns = torch.cat([filled, filled.new_ones(len(prompts), max_tokens)], dim=-1)
        return logits[rows], cache, columns[rows], lengths[rows]

    def _forward(self, ids: Tensor, mask: Tensor, position: Tensor, cache: SamplingCache) -> Tensor:
        """Logits [R, V] of the token after the last of ``ids`` [R, T]; ``mask`` [R, columns] bool: which columns hold a token.

        Which of these each token sees is left to the model: its layers may have windows, and its attention a mask of another kind.
        """
        return self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]


def _batches(requests: list[Request], size: int) -> Iterator[list[int]]:
    """Indices of requests in batches of ``size``, prompts of similar length together and equal prompts side by side."""
    order = sorted(
        range(len(requests)), key=lambda index: (len(requests[index].prompt_tokens), requests[index].prompt_tokens)
    )
    for start in range(0, len(order), size):
        yield order[start : start + size]
