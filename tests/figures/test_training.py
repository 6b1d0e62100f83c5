import numpy as np

import vitgeom_nb as vg
from vitgeom_nb.calibration import training

CARD = {
    "sha256": "0" * 64,
    "hardware": "a computer",
    "history": [
        {
            "epoch": e,
            "top1": t,
            "direction_change_lower_quartile_deg": 0.5 * b,
            "direction_change_median_deg": b,
            "direction_change_upper_quartile_deg": 2 * b,
        }
        for e, t, b in [(0, 0.01, 8.0), (1, 0.2, 4.0), (4, 0.5, 6.0)]
    ],
    "history_settings": {"top1_images": 400},
}


def test_both_curves_with_their_bands(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "card", lambda name: CARD)
    history = vg.training_history("swin")
    reopened = vg.open_measurement(vg.save_measurement(history, tmp_path / "h.nc"))
    for measured in (history, reopened):
        left, right = vg.figures.training_history([measured, vg.training_history("vit")]).axes
        np.testing.assert_allclose(left.lines[0].get_xydata(), [[0, 1], [1, 20], [4, 50]])
        np.testing.assert_allclose(right.lines[0].get_xydata(), [[0, 8], [1, 4], [4, 6]])
        band = right.collections[0].get_paths()[0].vertices
        assert {0.5 * 8, 2 * 8} <= set(np.round(band[band[:, 0] == 0, 1], 9))
        interval = left.collections[0].get_paths()[0].vertices
        assert np.isclose(interval[:, 1].max(), 100 * float(history["top1_high"][2]))
        assert [text.get_text() for text in left.get_legend().get_texts()] == ["Swin", "ViT"]
        assert [label.get_text() for label in right.get_xticklabels()] == ["0", "1", "4"]
        assert "degrees" in right.get_ylabel()
        assert "%" in left.get_ylabel()
        assert left.lines[0].get_marker() != left.lines[1].get_marker()
