"""vLLM in a process of its own, and in each of several that train together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

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


def test_an_engine_of_its_own_ends_with_a_trainer_that_is_killed() -> None:
    """Or it would hold the GPU's memory, and whoever goes on with the run would find none."""
    code = """
if __name__ == "__main__":
    import multiprocessing, time
    from tests.engines.vllm_cases import LONGEST, NAME, new_model
    from tokencredit.base.pretrain import new_tokenizer
    from tokencredit.config import Config
    from tokencredit.engines.vllm_engine import VllmEngine

    tokenizer = new_tokenizer(Config("config").models[NAME])
    engine = VllmEngine(new_model(tied=True), tokenizer, longest=LONGEST, batch_size=8, separate=True)
    print("engines", *(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(600)
"""
    trainer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        engines = next(line for line in trainer.stdout if line.startswith("engines")).split()[1:]
    finally:
        trainer.kill()
        trainer.wait()
    assert engines
    deadline = time.monotonic() + 60
    while any(lives(engine) for engine in engines):
        assert time.monotonic() < deadline, f"processes {engines} live on"
        time.sleep(0.1)


def lives(process: str) -> bool:
    """Whether it is there, and not only its exit status."""
    try:
        return Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
