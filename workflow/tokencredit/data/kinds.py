"""The kinds of tokens of embedded tasks by name, without what tells them (``embedded_kinds``)."""

STYLE, STRATEGY, BRANCH, RESULT, ANSWER, COPY, ROUTINE = KINDS = (
    "style fork",
    "strategy fork",
    "branch",
    "result",
    "answer",
    "copied number",
    "routine",
)
