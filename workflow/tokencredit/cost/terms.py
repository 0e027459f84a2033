"""What an estimate rests on beside the configuration: values given by a person, measured in earlier runs, or assumed and shown so."""

from __future__ import annotations

from dataclasses import dataclass

from tokencredit.cost.quantity import Quantity, assumed, given, smallest
from tokencredit.cost.timings import NOTHING, NodeSpeed, Timings
from tokencredit.errors import UserError

# What is assumed where nobody says and nothing was measured.
RESPONSE_SHARE = 0.3  # of the response limit
PROMPT_SHARE = 0.125  # of the prompt limit
GROUPS_SAMPLED = 2.0  # half of the groups are dropped by dynamic sampling
TOKENS_TRIED = 24.0  # at a state, by the oracle: what holds 99.9 % of the probability, as on the embedded model
SAMPLER_ROWS = 256  # what the transformers engine decodes together
UTILISATION = 0.3
BANDWIDTH_SHARE = 0.6
LAYER_LAUNCH = 1e-3  # seconds
RESERVE = 0.1
ROLLOUT_ROW, TEXT_TOKEN, RELEASED_WEIGHT = 24, 2, 2  # bytes on disk, the first two compressed
# Of a process that has imported everything and holds no model, its grader included: measured on Linux with torch 2.13.
TRAINER_BYTES = 565 * 2**20
GENERATOR_BYTES = 490 * 2**20


@dataclass(frozen=True)
class Options:
    """What a person may say; None leaves it to an earlier run, or to an assumption.

    ``response_tokens``, ``prompt_tokens``: mean lengths. ``groups_sampled``: groups sampled for each group trained on, under dynamic
    sampling. ``sampler_rows``: responses decoded together. ``tokens_per_second``: response tokens trained on, per second of a step of the
    whole job. ``sampling_tokens_per_second``: response tokens sampled by one process. ``utilisation``: of a GPU's peak, in passes.
    ``reserve``: share of a GPU's memory that is left for its context, for communication and for fragments.
    """

    response_tokens: float | None = None
    prompt_tokens: float | None = None
    groups_sampled: float | None = None
    sampler_rows: int | None = None
    tokens_per_second: float | None = None
    sampling_tokens_per_second: float | None = None
    utilisation: float | None = None
    reserve: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value <= 0:
                raise UserError(f"{_option(name)} = {value:g}: must be above 0.")
        for name, most in (("utilisation", 1), ("reserve", 0.9)):
            value = getattr(self, name)
            if value is not None and value > most:
                raise UserError(f"{_option(name)} = {value:g}: is a share; at most {most} is allowed.")
        if self.groups_sampled is not None and self.groups_sampled < 1:
            raise UserError(f"--groups-sampled = {self.groups_sampled:g}: every trained group is sampled; at least 1.")


@dataclass(frozen=True)
class Term:
    """One line of what an estimate rests on; ``option``: how to say it, where a person can."""

    name: str
    quantity: Quantity
    unit: str
    meaning: str
    option: str | None = None


class Terms:
    """Options, measurements and assumptions as one: a given value counts before a measured one, and a measured one before an assumption."""

    def __init__(self, options: Options = Options(), measured: Timings = NOTHING) -> None:
        self._options, self.measured = options, measured
        self.groups_sampled = _first(options.groups_sampled, measured.groups_sampled, GROUPS_SAMPLED)
        self.sampler_rows = _first(options.sampler_rows, None, SAMPLER_ROWS)
        node = measured.node or NodeSpeed("")
        self.utilisation = _first(options.utilisation, node.utilisation, UTILISATION)
        self.reserve = _first(options.reserve, None, RESERVE)
        self.bandwidth_share = _first(None, node.bandwidth_share, BANDWIDTH_SHARE)
        self.layer_launch = _first(None, node.layer_launch, LAYER_LAUNCH)
        self.trainer_bytes = assumed(TRAINER_BYTES)
        self.generator_bytes = assumed(GENERATOR_BYTES)

    def response_tokens(self, limit: int) -> Quantity:
        """The mean length of responses that are cut at ``limit`` tokens."""
        known = _first(self._options.response_tokens, self.measured.response_tokens, None)
        return smallest([known, given(limit)]) if known else assumed(RESPONSE_SHARE * limit)

    def prompt_tokens(self, limit: int) -> Quantity:
        """The mean length of prompts of at most ``limit`` tokens."""
        said = self._options.prompt_tokens
        return given(min(said, limit)) if said else assumed(PROMPT_SHARE * limit)

    def tokens_tried(self, most: int) -> Quantity:
        """The mean number of tokens that the oracle tries at a state, of at most ``most``."""
        return smallest([assumed(TOKENS_TRIED), given(most)])

    def tokens_per_second(self, method: str | None = None) -> Quantity | None:
        """Response tokens trained on per second of a step, where it was said or measured: by ``method``, or else the mean over all."""
        found = self.measured.tokens_per_second.get(method, self.measured.mean_tokens_per_second)
        return _first(self._options.tokens_per_second, found, None)

    @property
    def sampling_tokens_per_second(self) -> Quantity | None:
        """Response tokens that one process samples per second, where it was said or measured."""
        return _first(self._options.sampling_tokens_per_second, self.measured.sampling_tokens_per_second, None)

    @property
    def sampling_was_said(self) -> bool:
        return self._options.sampling_tokens_per_second is not None

    def lines(self, response_limit: int, prompt_limit: int, on_gpu: bool) -> list[Term]:
        """What is printed beside an estimate for a study with these limits of its training."""
        response, prompt = self.response_tokens(response_limit), self.prompt_tokens(prompt_limit)
        sampled = "under dynamic sampling, which drops groups of equal outcomes"
        rows = "decoded together; the engine's own number unless said"
        lines = [
            Term(
                "response tokens",
                response,
                "tokens",
                f"mean; {RESPONSE_SHARE:.0%} of the limit unless told",
                _option("response_tokens"),
            ),
            Term(
                "prompt tokens",
                prompt,
                "tokens",
                f"mean; {PROMPT_SHARE:.1%} of the limit unless said",
                _option("prompt_tokens"),
            ),
            Term("groups sampled", self.groups_sampled, "per trained group", sampled, _option("groups_sampled")),
            Term("sampler rows", self.sampler_rows, "responses", rows, _option("sampler_rows")),
            Term("stored token", assumed(ROLLOUT_ROW), "bytes", "a row of the stored rollouts, on disk"),
            Term("stored text", assumed(TEXT_TOKEN), "bytes a token", "of a response, on disk"),
            Term("released weight", assumed(RELEASED_WEIGHT), "bytes", "of a model that is downloaded, on disk"),
        ]
        if on_gpu:
            lines += [
                Term(
                    "utilisation",
                    self.utilisation,
                    "of the peak",
                    "operations of passes and of decoding",
                    _option("utilisation"),
                ),
                Term("bandwidth", self.bandwidth_share, "of the peak", "when decoding reads weights and cache"),
                Term("launch", self.layer_launch, "s", "of the kernels of one layer, in every step of decoding"),
                Term("reserve", self.reserve, "of the memory", "context, communication, fragments", _option("reserve")),
            ]
        else:
            lines += [
                Term("trainer", self.trainer_bytes / 2**20, "MiB", "its process with everything imported and no model"),
                Term("generator", self.generator_bytes / 2**20, "MiB", "the same of a job that only samples"),
            ]
        training, sampling = self.tokens_per_second(), self.sampling_tokens_per_second
        if training:
            meaning = "tokens trained on per second of a step"
            lines.append(Term("training speed", training, "tokens/s", meaning, _option("tokens_per_second")))
        if sampling:
            meaning = "tokens sampled per second by a process"
            lines.append(Term("sampling speed", sampling, "tokens/s", meaning, _option("sampling_tokens_per_second")))
        return lines


def _option(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _first(said: float | None, found: Quantity | None, otherwise: float | None) -> Quantity | None:
    if said is not None:
        return given(said)
    if found is not None:
        return found
    return None if otherwise is None else assumed(otherwise)
