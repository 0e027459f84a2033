"""Intervals of a mean score that stay in [0, 1] and hold for thirty questions.

The interval is taken on the logit scale after half a question that is always solved and half a question that never is have been added
to the sample, with a normal quantile. On simulated benchmarks of 30, 83, 100 and 500 questions (beta-distributed difficulty, mean
accuracy 3 % to 95 %, 4 to 32 responses each) its nominal 90 % covered between 88 and 93.5 %, its nominal 95 % between 92.7 and 97.4 %.
Others did not hold where a mean score is far from one half: Student's t covered 76 to 86 % at nominal 90 on 30 hard questions, a logit or
Wilson interval with an effective number of trials 82 to 86 %; Korn and Graubard's (Clopper-Pearson with an effective number of trials)
88 % at nominal 95 on hard questions with many responses, and 99 % with few. Two cases remain: single answers to 30 questions of which
one or two are solved (94 % at nominal 90, for an interval that takes few values), and questions that are all equally hard with many
responses each (96 %: the added questions are not like them).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from tokencredit.statistics.errors import CONFIDENCE, margin_of, numbers

_ADDED = 0.5  # questions always solved, and as many never solved, added to the sample


def mean_interval(scores: ArrayLike, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of the mean of question scores over questions like these: expit(logit m ± z e / (m(1-m))).

    scores: one number in [0, 1] per question, [Q], each from any number of responses: the k responses of a question are never counted as k
    questions. m and e: mean and standard error after half a question of score 1 and half a question of score 0 have been added (Jeffreys'
    prior of a share; logit interval: Brown, Cai and DasGupta 2001). Where nothing or everything was right the interval is Clopper and
    Pearson's for Q trials: there is no spread to go by. Raises ``ValueError`` for a score that is no number.
    """
    scores = numbers(np.asarray(scores, float))
    observed = scores.mean()
    if observed in (0, 1):
        limit = ((1 - confidence) / 2) ** (1 / scores.size)
        return (0.0, 1 - limit) if observed == 0 else (limit, 1.0)
    total = scores.size + 2 * _ADDED
    mean = (scores.sum() + _ADDED) / total
    of_questions = ((scores**2).sum() + _ADDED - total * mean**2) / (total - 1) / total
    margin = margin_of([(of_questions, np.inf)], (1 - confidence) / 2) / (mean * (1 - mean))
    low, high = special.expit(special.logit(mean) + np.array([-margin, margin]))
    return float(min(low, observed)), float(max(high, observed))


def interval_of_mean(parts: Sequence[ArrayLike], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of the unweighted mean over benchmarks of their mean question scores, from the benchmarks' own intervals.

    ``parts``: question scores of each benchmark. Zou and Donner (2008): the distances from mean to limit add up in squares, so that a
    benchmark on which nothing, or everything, was right still adds its uncertainty.
    """
    means = np.array([np.mean(part) for part in parts])
    limits = np.array([mean_interval(part, confidence) for part in parts])
    below, above = (np.sqrt(np.sum((limits[:, side] - means) ** 2)) / len(parts) for side in (0, 1))
    return float(means.mean() - below), float(means.mean() + above)
