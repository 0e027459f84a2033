"""What a study needs, before it is launched: a function of the configuration and of given or measured values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokencredit.config import Released, Study
from tokencredit.cost import disk
from tokencredit.cost.architectures import architecture_of
from tokencredit.cost.quantity import Quantity, given, total
from tokencredit.cost.reckoning import Planner, Reckoned
from tokencredit.cost.terms import Term, Terms
from tokencredit.study.paths import RESULTS


@dataclass(frozen=True)
class Estimate:
    """Everything that is printed of a study. ``gpu``: the GPU's name, None where no job asks for one.

    ``runs_measured``: finished runs that its terms were measured in; ``gpu_measured``: the name of the GPU whose speed was measured by a
    check of a node; ``released``: bytes of each model that is fetched.
    """

    study: str
    title: str
    model: str
    parameters: Quantity
    gpu: str | None
    terms: tuple[Term, ...]
    runs_measured: int
    gpu_measured: str | None
    jobs: tuple[Reckoned, ...]
    released: dict[str, Quantity]

    @property
    def released_bytes(self) -> Quantity:
        """Bytes of the models that are fetched."""
        return total(list(self.released.values()))

    @property
    def gpu_hours(self) -> Quantity:
        """Of all jobs of which the seconds are known."""
        return total([job.gpu_hours * job.count for job in self.jobs if job.gpu_hours])

    @property
    def time(self) -> Quantity:
        """Seconds of all jobs of which they are known, one after the other."""
        return total([job.time * job.count for job in self.jobs if job.time])

    @property
    def unknown(self) -> int:
        """Jobs whose seconds nothing tells."""
        return sum(job.count for job in self.jobs if job.seconds is None)

    @property
    def disk_bytes(self) -> Quantity:
        """Bytes when all is done."""
        return total([self.released_bytes, *(job.kept_bytes * job.count for job in self.jobs)])


_NOTHING_SAID = Terms()


def estimate(study: Study, terms: Terms = _NOTHING_SAID, results: str | Path = RESULTS) -> Estimate:
    """Memory, disk and time of every training run, every measurement and every set of generations of ``study``.

    ``results``: where models are fetched to, whose shape the configuration may leave out. Raises ``UserError`` for one without a shape,
    and for jobs on GPUs of a model that is not named.
    """
    sampling = study.training.sampling
    on_gpu = bool(study.resources.train.gpu or study.resources.generate.gpu)
    architectures = {name: architecture_of(study, name, results) for name in study.model_names}
    released = {name: model for name in study.model_names if isinstance(model := study.config.models[name], Released)}
    planner = Planner(study, terms, architectures)
    jobs = (*(planner.training(method) for method in study.methods), *planner.measurements(), *planner.generations())
    return Estimate(
        study=study.name,
        title=study.title,
        model=study.model_name,
        parameters=given(architectures[study.model_name].parameters),
        gpu=study.config.gpus[study.resources.gpu_model].title if on_gpu else None,
        terms=(
            *terms.lines(sampling.max_response_tokens, sampling.max_prompt_tokens, on_gpu),
            *_tried(study, terms),
        ),
        runs_measured=terms.measured.runs,
        gpu_measured=terms.measured.node.gpu if terms.measured.node else None,
        jobs=jobs,
        released={name: disk.released_bytes(model, architectures[name]) for name, model in released.items()},
    )


def _tried(study: Study, terms: Terms) -> list[Term]:
    if study.oracle is None:
        return []
    tried = terms.tokens_tried(study.oracle.most_tokens)
    return [Term("tokens tried", tried, "per state", "by the oracle, as a mean; each is continued")]
