r"""Grading: whether a response's boxed answer equals the gold. Three outcomes, never merged.

What is *wrong* and what is *ungraded*: a response that gives no answer is wrong, an answer that the grader cannot judge is ungraded.

========================================  ========  =================================================================
response                                  outcome   why
========================================  ========  =================================================================
box equal to the gold                     right     mathematically equal by Math-Verify, and as numbers to 1e-4
box that differs                          wrong
no box, or a box that never closes        wrong     every prompt asks for a box; this holds for cut-off responses too
empty box                                 wrong     no answer was given
``<think>`` that never closes             wrong     the answer stands after the reasoning; boxes within it do not count
box that cannot be read as mathematics    ungraded  it may be right in words that the parser lacks
box longer than ``MAX_ANSWER``            ungraded  not read at all
time or memory limit, crash               ungraded  the grader's failure says nothing about the answer
gold that cannot be read                  right or  equal texts are right; of others nothing is known. The audit counts
                                          ungraded  such golds
========================================  ========  =================================================================

Which box: ``extract.py``. How it is compared: by the grader that a benchmark or data set names (``graders``), without a name by ``math``,
of which this table tells. That it is never run as code: ``judge.py``. Processes that can be killed: ``pool.py``.
The parent process imports neither SymPy nor Math-Verify; only workers do.
"""

from tokencredit.grading.extract import MAX_ANSWER, extract_answer
from tokencredit.grading.graders import GRADERS
from tokencredit.grading.pool import Grade, GradingPool, grade, grade_many

__all__ = ["GRADERS", "MAX_ANSWER", "Grade", "GradingPool", "extract_answer", "grade", "grade_many"]
