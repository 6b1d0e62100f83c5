import numpy as np
import torch

import vitgeom_nb as vg
from vitgeom_nb.boundary.tables import jump_summary, travel_summary
from vitgeom_nb.statistics.tables import interval

from ..tiny_networks import pixels, random_network


def test_summaries_of_the_ways():
    model, labels = random_network(), torch.arange(60) % 5
    ways = vg.random_jump(model, pixels(60), labels, epsilon_max=0.1, tolerance=1e-5)
    row = travel_summary([ways]).iloc[0]
    direct, jumped = (ways.outcome.sel(path=p).values for p in ("direct", "jumped"))
    for kind in ("crossed", "already wrong", "never wrong"):
        assert row[kind] == (direct == kind).sum() > 0
    distance = np.where(direct == "never wrong", np.inf, ways.epsilon.sel(path="direct"))[direct != "already wrong"]
    assert row["median distance, 10⁻³"] == round(1e3 * float(np.median(distance)), 2)
    alone = travel_summary([vg.travel_distance(model, pixels(60), labels, epsilon_max=0.1, tolerance=1e-5)]).iloc[0]
    assert alone.tolist() == row.tolist()
    assert row["with confidence, distance"] in ("falls", "rises", "undecided")
    row = jump_summary([ways]).iloc[0]
    assert row["cross both ways"] == ((direct == "crossed") & (jumped == "crossed")).sum()
    assert row["lost by the jump"] == ((direct == "crossed") & (jumped == "already wrong")).sum()
    assert row["median change of distance, 10⁻³"] == interval(ways, "median_change", "+.2f", 1e3)
    assert row["median PSNR, dB"] < 26.1
