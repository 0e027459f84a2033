"""One look for all figures: sizes, legends outside the panels, legible letters; seeds beside their mean."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from test_figures import drawn

from tokencredit.analysis import style
from tokencredit.analysis.store import Store

pytestmark = pytest.mark.slow  # they draw


@pytest.mark.parametrize("name", ["figure1", "figure2", "figure4", "figure5", "figure6", "figure8", "diagnostics"])
def test_letters_and_lines_have_the_sizes_of_the_style_and_legends_are_outside(name: str, store: Store) -> None:
    looks_as_all(drawn(store, name).figure)


def looks_as_all(fig: Figure) -> None:
    fig.draw_without_rendering()
    assert {text.get_fontsize() for text in fig.findobj(Text) if text.get_text()} <= {style.TEXT, style.SMALL}
    widths = {
        line.get_linewidth() for line in fig.findobj(Line2D) if line.get_linestyle() != "None" and len(line.get_xdata())
    }
    assert widths <= {style.LINE, style.BAR, style.HAIR}
    panels = [axis.get_window_extent() for axis in fig.axes]
    for legend in fig.findobj(Legend):
        assert not any(legend.get_window_extent().overlaps(panel) for panel in panels)


def test_letters_are_legible_in_every_colour_of_a_method() -> None:
    for colour in [*style.OTHERS, *(colour for colour, *_ in style.KNOWN.values())]:
        assert style.legible(style.ink(colour)) >= 4.5
    assert style.ink("#000000") == "#000000"
    assert style.legible("#ffffff", "#000000") == pytest.approx(21)


def test_the_mean_lies_among_its_seeds(store: Store) -> None:
    table = drawn(store, "figure2").table
    means, single = table[table["seed"].isna()], table[table["seed"].notna()]
    key = ["panel", "method", "step"]
    assert set(single["seed"]) == {0, 1}
    of_seeds = single.groupby(key)["value"].mean().sort_index()
    pd.testing.assert_series_equal(of_seeds, means.set_index(key)["value"].sort_index())
