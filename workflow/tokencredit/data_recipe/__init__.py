"""The search for a data recipe: which rows of a pool of solutions a supervised start is trained on, found before reinforcement learning.

An adaptation of AutoSelection (arXiv 2605.12944), not a reproduction. A *data recipe* is an ordered list of operators, each of which keeps
some rows of a pool; it is executed without training, and evaluated by training on the rows that it keeps. What is other than in the paper:

- The search scores on validation problems. The tests of the study are read once, after the search, for its winner and what it is compared
  with; the paper searches on the benchmarks that it reports.
- No language model takes part. Local edits are enumerated, and operator credit reseeds; a ranker of another kind is an entry in
  ``ranking.RANKERS``.
- Every recipe gets the same number of updates, so that a larger selection is not also more training.
- A filter may keep the low end of its signal. ``relevance``, to validation problems by the model's own states, is in the place of MONA's
  sparse features. Action-object counts, SemDedup and Mix are left out; ``drop-source`` and duplicates by text are added.

From bottom to top: ``texts``, ``pool`` (rows), ``signals`` (of a model), ``operators`` (recipe to rows), ``edits``, ``ranking``, ``search``
(what is evaluated next: a function of what was), ``tuning`` (training and scoring), ``stage`` (the files).
"""
