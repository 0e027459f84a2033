"""Archer, arXiv 2507.15778: clip range and KL by the entropy quantile of the response."""

from __future__ import annotations

from tests.equations.batch import Batch, Credit, every_token, places, plain, quantile


def archer(
    batch: Batch,
    rho: float = 0.8,
    eps_r: float = 0.5,
    eps_k: float = 0.2,
    beta_r: float = 0.0,
    beta_k: float = 0.001,
) -> Credit:
    """omega = 1[H >= rho-quantile of the response]; each of the two KL terms is a mean over its own tokens of the batch."""
    omega = []
    for response in batch.responses:
        bound = quantile(response.entropy, rho)
        omega.append([entropy >= bound for entropy in response.entropy])
    N = len(places(batch))
    N_r = sum(sum(row) for row in omega)
    N_k = N - N_r
    epsilon = [[eps_r if high else eps_k for high in row] for row in omega]
    # A term of the loss is divided by N: dividing by N_r in its place is a factor N / N_r.
    beta = [[beta_r * N / N_r if high else beta_k * N / N_k for high in row] for row in omega]
    return Credit(plain(batch), every_token(batch), clip_low=epsilon, clip_high=epsilon, kl_coef=beta)
