"""What the columns of a study's stored tables are: unit and meaning of each, for descriptions that other programs read.

The functions that compute a column define it: ``train.metrics``, ``train.mismatch``, ``policy.loss``, ``credit.diagnostics``,
``evaluate.score``, ``oracle``. A unit is empty where a column has none; a share lies between 0 and 1.
"""

from __future__ import annotations

from tokencredit.credit import QUADRANTS

Meaning = tuple[str, str]  # unit, and what the column holds

PLACE: dict[str, Meaning] = {
    "method": ("", "Trained method; of a model that is only evaluated or measured the name of its row"),
    "seed": ("", "Training seed"),
}
_TOKEN: dict[str, Meaning] = {
    "problem_id": ("", "Problem"),
    "sample": ("", "Number of the response among those to its problem, from 0"),
    "position": ("tokens", "Place of the token in its response, from 0"),
    "token_id": ("", "The token's number in the vocabulary"),
    "token": ("", "The token's text"),
    "entropy": ("nats", "Entropy of the policy's distribution over the whole vocabulary"),
    "reward": ("", "1 of a right response, -1 of a wrong one"),
    "quadrant": ("", f"Polarity and entropy: {', '.join(f'{k} {name}' for k, name in enumerate(QUADRANTS))}"),
}
_COUNTS: dict[str, Meaning] = {
    "right": ("responses", "Graded right"),
    "wrong": ("responses", "Graded wrong"),
    "ungraded": ("responses", "That the grader could not decide"),
}
_OF_QUADRANTS: dict[str, Meaning] = {
    f"{name}_{quadrant}": (unit, f"{meaning} of quadrant {quadrant}")
    for quadrant in QUADRANTS
    for name, unit, meaning in (
        ("entropy", "nats", "Mean entropy of the tokens"),
        ("tokens", "share", "Share of the tokens that are"),
        ("mass", "share", "Share of the absolute credit at tokens"),
    )
}
_QUANTILES: dict[str, Meaning] = {
    **{f"advantage_q{q:02d}": ("", f"{q} % quantile of the tokens' credit") for q in (5, 25, 50, 75, 95)},
    **{f"mismatch_q{q:02d}": ("", f"{q} % quantile of the ratio trainer to sampler") for q in (1, 5, 50, 95, 99)},
}
_TERMS: dict[str, Meaning] = {
    f"credit_{name}": ("", f"Mean over tokens of the method's own {name}; empty where the study's counts")
    for name in ("clip_low", "clip_high", "kl_coef", "old_kl_coef", "entropy_coef", "ratio_power")
}
RUNS: dict[str, Meaning] = {
    "step": ("steps", "Training step, from 1"),
    "solve_rate": ("share", "Right responses among all that the step sampled"),
    "ungraded": _COUNTS["ungraded"],
    "truncated": ("share", "Sampled responses that reached the token limit"),
    "zero_variance_groups": ("share", "Sampled groups whose responses are all right or all wrong"),
    "groups_sampled": ("groups", "Groups sampled"),
    "groups_used": ("groups", "Groups that the step learns from"),
    "groups_surplus": ("groups", "Groups sampled ahead that dynamic sampling did not need"),
    "refills": ("rounds", "Further rounds of sampling"),
    "reward_mean": ("", "Mean reward of the responses that the step learns from"),
    "response_tokens": ("tokens", "Mean length of these responses"),
    "entropy": ("nats", "Mean entropy of their tokens"),
    "above_mean": ("share", "Tokens above the mean entropy of their group"),
    "tokens": ("tokens", "Response tokens that the step learns from"),
    **_TERMS,
    **_OF_QUADRANTS,
    **_QUANTILES,
    "credit_mean": ("", "Mean absolute credit of a token, 0 where it is left out"),
    "credit_sum": ("", "Sum of the tokens' absolute credit"),
    "kept": ("share", "Tokens that the method keeps"),
    "weight_gini": ("", "Gini coefficient of the token weights of a response, mean over responses"),
    "effective_tokens": ("share", "Of a response's tokens, as many as its weights amount to"),
    "sign_changes": ("share", "Kept tokens whose credit has another sign than their response's"),
    "correlation_entropy": ("", "Pearson's correlation of a token's weight with its entropy"),
    "correlation_position": ("", "The same with its relative place in the response"),
    "correlation_logprob": ("", "The same with its log-probability"),
    "loss": ("", "Loss, mean over the step's updates"),
    "clip_low_fraction": ("share", "Tokens whose ratio is clipped below"),
    "clip_high_fraction": ("share", "Tokens whose ratio is clipped above"),
    "kl_old": ("nats", "KL to the policy that sampled, a token, k3 estimate"),
    "kl_ref": ("nats", "KL to the reference policy, a token, k3 estimate; empty without one"),
    "ratio_max": ("", "Largest ratio of new and old probability of a token"),
    "grad_norm": ("", "Norm of the gradient before clipping, mean over updates"),
    "learning_rate": ("", "Learning rate"),
    "updates": ("updates", "Optimiser updates"),
    "mismatch_kl": ("nats", "KL of the sampler to the trainer, a token, k3 estimate"),
    "mismatch_abs": ("nats", "Mean absolute difference of their log-probabilities"),
    "mismatch_max": ("", "Largest ratio trainer to sampler"),
    "mismatch_outside": ("share", "Tokens whose ratio is below 1/2 or above 2"),
    "measured_starts": ("states", "States that were continued"),
    "measured_continuations": ("responses", "Continuations of these states"),
    "measured_tokens": ("tokens", "Tokens of these continuations"),
    "measured_prefix_tokens": ("tokens", "Tokens before these states"),
    "reset_groups": ("prompts", "Prompts with a failed response, from which others go on"),
    "reset_place": ("share", "Where these responses were cut, of their tokens, mean"),
    "reset_solve_rate": ("share", "Right responses among those that go on"),
    "reset_prefix_tokens": ("tokens", "Tokens that these had before"),
    "sampled_tokens": ("tokens", "All that were sampled, those of responses that nothing is learned from too"),
}
CURVES: dict[str, Meaning] = {
    "step": ("steps", "Training step; 0 is the model that training starts from"),
    "benchmark": ("", "Benchmark of the learning curve"),
    "problem_id": _TOKEN["problem_id"],
    "sample": _TOKEN["sample"],
    "outcome": ("", "right, wrong or ungraded"),
    "n_tokens": ("tokens", "Length of the response"),
}
TOKENS: dict[str, Meaning] = {
    "step": RUNS["step"],
    **_TOKEN,
    "old_logprob": ("nats", "Log-probability of the token under the policy that sampled it"),
    "group_advantage": ("", "Advantage of the response in its group"),
    "advantage": ("", "Credit that the method gives to the token"),
    "keep": ("", "Whether the token is in the loss"),
    "begun": ("tokens", "First tokens of the response that are those of a failed one, from which it goes on"),
}
SCORES: dict[str, Meaning] = {
    "study": ("", "Study"),
    "row": ("", "Row of the results table"),
    "benchmark": ("", "Benchmark"),
    "problem_id": _TOKEN["problem_id"],
    "n": ("responses", "Responses to the problem"),
    **_COUNTS,
    "truncated": ("responses", "That reached the token limit"),
    "tokens": ("tokens", "Mean length of a response"),
    "majority": ("share", "Whether the answer that most responses give is right; ties count in part"),
}
STATES: dict[str, Meaning] = {
    **_TOKEN,
    "cell": ("", "The method whose run stored the response"),
    "logprob": ("nats", "Log-probability of the token under the measured policy"),
    "tried": ("share", "Probability of the tokens that were tried at the state"),
}
BRANCHES: dict[str, Meaning] = {
    **{name: _TOKEN[name] for name in ("problem_id", "sample", "position")},
    "cell": STATES["cell"],
    "token_id": ("", "The token that was tried; -1 stands for all that were not"),
    "probability": ("share", "Its probability under the measured policy"),
    **_COUNTS,
}
