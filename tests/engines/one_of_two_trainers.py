"""One of two processes of ``test_vllm_processes``: an engine of its own, its own requests, and a word with the other before and after."""

from __future__ import annotations

import torch.distributed as dist

from tests.engines.vllm_cases import LONGEST, NAME, apart, new_model, requests_for, stirred
from tokencredit.base.pretrain import new_tokenizer
from tokencredit.config import Config
from tokencredit.engines.vllm_engine import VllmEngine
from tokencredit.engines.weights import plain_weights

if __name__ == "__main__":
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    model, tokenizer = new_model(tied=True), new_tokenizer(Config("config").models[NAME])
    engine = VllmEngine(model, tokenizer, longest=LONGEST, batch_size=8)
    requests = requests_for([(prompt, 5, 9) for prompt in range(20, 24 + 3 * rank)])
    other = stirred(model, 0.05)
    engine.push_weights(plain_weights(other))
    differences = [None, None]
    dist.all_gather_object(differences, apart(engine, other, requests))
    assert max(differences) < 1e-4, differences
    engine.close()
    dist.barrier()
    dist.destroy_process_group()
    print(f"rank {rank} agrees")
