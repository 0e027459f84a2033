"""Training of one cell of a study: sample, grade, score, assign credit, update, record."""

from tokencredit.credit import CONTROLS, METHODS
from tokencredit.engines import code_of_others
from tokencredit.provenance import code_digest

# The optional columns of ``TokenSignals`` that the trainer can fill. Named here, so that the configuration can be checked without torch.
COLUMNS = (
    "logprob",
    "ref_logprob",
    "rollout_logprob",
    "teacher_logprob",
    "privileged_logprob",
    "privileged_entropy",
    "contrast_logprob",
    "residual_norm",
    "attention_entropy",
    "value",
    "information",
    "state",
    "response_step",
    "kind",
    "noise",
    "control_noise",
    "progress",
    "entropy_history",
)
# Those of a policy that is told the answer.
TOLD = ("privileged_logprob", "privileged_entropy", "contrast_logprob")
# Those that are measured by continuations.
MEASURED = ("value", "information")
# The modules that make columns of few methods.
_MAKERS_OF_FEW = {
    "train.measuring": ("value", "information", "state", "response_step"),
    "data.embedded_kinds": ("kind",),
}


def columns_of(credit: str, control: str | None = None) -> tuple[str, ...]:
    """The optional columns that a credit method and its control ask for."""
    return METHODS[credit].columns + (CONTROLS[control].columns if control else ())


def training_code(engine: str, credit: str, control: str | None = None) -> str:
    """The digest of the code behind a cell: the trainer with its engine, and the file of its own credit method, not of the others.

    The file of the controls counts where the cell has one, and what makes a column of few methods where the method asks for it.
    """
    unused = {"credit.controls"} if control is None else set()
    unused |= {module for module, columns in _MAKERS_OF_FEW.items() if not {*columns} & {*METHODS[credit].columns}}
    return code_digest("train.__main__", METHODS[credit].module, without=(*code_of_others(engine), *sorted(unused)))
