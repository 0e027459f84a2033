"""vLLM in a process of its own, and in each of several that train together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.engines.vllm_cases import LONGEST, apart, canary_of, new_model, requests_for, stirred
from tokencredit.engines import load_engine
from tokencredit.engines.weights import plain_weights

if find_spec("vllm") is None:
    pytest.skip(
        "vLLM is not installed here: make test-vllm runs these in an environment of its own", allow_module_level=True
    )


def test_in_a_process_of_its_own(vllm_tokenizer, prompts) -> None:
    """Weights travel as a file there; the results are those of the engine inside this process."""
    model = new_model(tied=True)
    engine = load_engine("vllm", model, vllm_tokenizer, longest=LONGEST, batch_size=64, separate=True)
    try:
        requests = requests_for(prompts)
        assert apart(engine, model, requests) < 1e-4
        other = stirred(model, 0.05)
        engine.push_weights(plain_weights(other))
        assert apart(engine, other, requests) < 1e-4
        canary_of(engine, other, prompts).check("step 1")
    finally:
        engine.close()


def test_in_each_of_two_trainers() -> None:
    """Every process has an engine of its own inside and asks it for what it likes; their group outlives the engines."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    trainers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.engines.one_of_two_trainers"],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        outputs = [trainer.communicate(timeout=300) for trainer in trainers]
    finally:
        for trainer in trainers:
            trainer.kill()
    assert [trainer.returncode for trainer in trainers] == [0, 0], outputs
    assert [output.splitlines()[-1] for output, _ in outputs] == ["rank 0 agrees", "rank 1 agrees"]
    assert not any("Traceback" in errors for _, errors in outputs), outputs
