"""Uncertainty of benchmark results. Three sources are kept apart and never pooled: questions, sampling, training seeds.

All scores are shares in [0, 1]. A *question score* is one number per question (its Avg@k, or its Pass@k); with several training seeds
it is the mean over seeds of that question, so that seeds never count as further questions.

Which function answers which question:

- how far is this number from the one of all such questions: ``mean_interval``
- do these two checkpoints differ on such questions: ``paired_difference`` (t interval, sign flips), ``paired_bootstrap``
- do these two *methods* differ, over training runs and questions: ``two_level_difference``, with runs of one seed as pairs where they share
  their luck
- do they differ in something that is measured once per training run: ``run_difference``
- what could this comparison have found, and what would it take: ``minimal_detectable_difference``, ``TwoLevel.samples_needed``,
  ``TwoLevel.seeds_needed``
"""

from tokencredit.statistics.errors import (
    CONFIDENCE,
    NAN,
    margin_of,
    minimal_detectable_difference,
    pass_sampling_se,
    question_se,
    sampling_se,
    seed_spread,
    seed_variance,
)
from tokencredit.statistics.intervals import interval_of_mean, mean_interval
from tokencredit.statistics.paired import (
    Difference,
    holm,
    paired_bootstrap,
    paired_difference,
    sign_flip_p,
)
from tokencredit.statistics.two_level import Line, Spread, TwoLevel, run_difference, two_level_difference

__all__ = [
    "CONFIDENCE",
    "NAN",
    "Difference",
    "Line",
    "Spread",
    "TwoLevel",
    "holm",
    "interval_of_mean",
    "margin_of",
    "mean_interval",
    "minimal_detectable_difference",
    "paired_bootstrap",
    "paired_difference",
    "pass_sampling_se",
    "question_se",
    "run_difference",
    "sampling_se",
    "seed_spread",
    "seed_variance",
    "sign_flip_p",
    "two_level_difference",
]
