from __future__ import annotations

import pytest

from tokencredit.policy import head

# Tiles: the default (all of it in one), several of both kinds, one token each, one token of the vocabulary each.
TILES = [(2**22, 1024), (24, 4), (11, 1), (1, 3)]


@pytest.fixture(params=TILES, ids=str)
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Each test that asks for this runs with every tiling."""
    monkeypatch.setattr(head, "_TILE_NUMBERS", request.param[0])
    monkeypatch.setattr(head, "_TILE_TOKENS", request.param[1])
    return request.param
