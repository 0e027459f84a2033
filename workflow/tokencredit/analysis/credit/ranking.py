"""How often each method's credit ranks alternatives right (arXiv 2410.01679, its figure of value networks), beside weights of no method."""

from __future__ import annotations

import pandas as pd

from tokencredit.analysis.credit import hindsight
from tokencredit.analysis.credit.agreement import Credit
from tokencredit.analysis.credit.beyond_null import beyond_null
from tokencredit.analysis.credit.reference import base_yardstick
from tokencredit.analysis.credit.scoreboard import (
    ENTROPY,
    METHOD,
    ORACLE,
    PEER,
    PEERS,
    entropy_credit,
    lesson_of,
    oracle_credit,
    taught,
)
from tokencredit.analysis.store import Store

HINDSIGHT, POSITION = "hindsight", "position"
TITLES = {
    ORACLE: PEERS[ORACLE],
    HINDSIGHT: "The shift of a policy told the answer",
    ENTROPY: PEERS[ENTROPY],
    POSITION: "The position itself",
}


def records(store: Store) -> pd.DataFrame:
    """One record per row and measure of ``beyond_null``: value, null, and the value less it, with intervals over problems, and n.

    part ``method``: the credit that each method gave the measured responses of the first step. part ``peer``, on all responses that a
    method was compared on: a third of the oracle's continuations; D (``hindsight``); and the group advantage times the token's entropy, and
    times its position from 1 as a part of that of the last measured token of the response, the control of arXiv 2605.25381.
    """
    yard = base_yardstick(store)
    lessons = {name: lesson_of(store, yard, name) for name in store.study.methods}
    rows, plain = taught(yard, lessons.values())
    place = yard.tokens["position"] + 1
    relative = (place / place.groupby(yard.tokens["response"]).transform("max")).to_numpy()
    peers = {
        ORACLE: oracle_credit(yard, rows),
        HINDSIGHT: Credit(rows, hindsight.credit(store, yard).advantage[rows]),
        ENTROPY: entropy_credit(yard, rows, plain),
        POSITION: Credit(rows, plain * relative[rows, None]),
    }
    found = [(PEER, name, TITLES[name], each) for name, each in peers.items()]
    found += [(METHOD, name, store.study.methods[name].title, lesson.credit) for name, lesson in lessons.items()]
    parts = [beyond_null(yard, each).assign(part=part, method=name, title=title) for part, name, title, each in found]
    return pd.concat(parts, ignore_index=True)
