"""What the status page says of recorded files is what the files say."""

from __future__ import annotations

import pandas as pd

import vitgeom_nb as vg
from tests.chapters import ROOT
from vitgeom_nb.claims.provenance import planned_and_recorded, recorded_files


def test_each_file_of_the_evidence_is_a_row_with_what_it_says_itself() -> None:
    files = recorded_files()
    paths = sorted((ROOT / "evidence").glob("*/*.nc"))
    assert sorted(f"{row.network}/{row.measure}.nc" for row in files.itertuples()) == [
        f"{path.parent.name}/{path.name}" for path in paths
    ]
    for row in files.itertuples():
        found = vg.open_measurement(ROOT / "evidence" / row.network / f"{row.measure}.nc")
        assert row.n in [*found.sizes.values(), int(found["count"].sum()) if "count" in found else 0]
        assert row.seconds == found.attrs["seconds"]
        assert found.attrs.get("network_weights", found.attrs["weights"]).startswith(row.weights)


def test_what_is_missing_is_named_and_what_is_there_is_counted() -> None:
    names = [planned.name for planned in vg.claims.evidence()]
    files = pd.DataFrame({"network": ["vit"] * (len(names) - 1), "measure": names[1:]})
    found = planned_and_recorded(files)
    assert found.loc["vit"].to_dict() == {
        "tier": "embedded",
        "planned": len(names),
        "recorded": len(names) - 1,
        "not yet": names[0],
    }
    assert found.loc["swin", "not yet"] == "all of them"
    assert set(vg.models("paper").index) < set(found.index)
