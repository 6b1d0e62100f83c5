import math

import numpy as np
import pytest

import vitgeom_nb as vg
from vitgeom_nb.calibration import training
from vitgeom_nb.errors import ModelError

CARD = {
    "sha256": "0" * 64,
    "hardware": "a computer",
    "history": [
        {
            "epoch": 4.0,
            "top1": 0.5,
            "direction_change_lower_quartile_deg": 9.0,
            "direction_change_median_deg": 18.0,
            "direction_change_upper_quartile_deg": 36.0,
        },
        {"epoch": 0.0, "top1": 0.0, "direction_change_median_deg": 90.0, "direction_change_upper_quartile_deg": 180.0},
    ],
    "history_settings": {"top1_images": 100, "seed": 3, "epsilon": 0.01, "steps": 10},
}


@pytest.fixture
def recorded(monkeypatch):
    def use(card):
        monkeypatch.setattr(training, "card", lambda name: card)
        return vg.training_history("vit")

    return use


def test_history_is_what_the_card_says_in_order_and_in_rad(recorded, tmp_path):
    history = recorded(CARD)
    assert history["epoch"].values.tolist() == [0, 4]
    np.testing.assert_allclose(history["direction_change"], [math.pi / 2, math.pi / 10])
    np.testing.assert_allclose(history["direction_change_upper_quartile"], [math.pi, math.pi / 5])
    np.testing.assert_allclose(history["direction_change_lower_quartile"], [math.nan, math.pi / 20])
    # Wilson's interval of 50 in 100, from his formula on paper
    assert float(history["top1_low"][1]) == pytest.approx(0.40383, abs=1e-5)
    assert float(history["top1_high"][1]) == pytest.approx(0.59617, abs=1e-5)
    assert history.attrs["seed"] == 3
    assert history.attrs["weights"] == CARD["sha256"]
    assert vg.open_measurement(vg.save_measurement(history, tmp_path / "h.nc")).identical(history)


def test_a_card_without_settings_has_no_interval(recorded):
    history = recorded({**CARD, "history_settings": {}})
    assert bool(history["top1_low"].isnull().all())
    assert history["top1"].values.tolist() == [0, 0.5]


@pytest.mark.parametrize("name", list(vg.models("embedded").index))
def test_every_embedded_network_has_a_history(name):
    history = vg.training_history(name)
    assert float(history["epoch"][0]) == 0
    assert bool((history["direction_change"] >= 0).all())
    assert bool(((history["top1"] >= 0) & (history["top1"] <= 1)).all())


def test_bad_input_is_one_clear_sentence(recorded):
    with pytest.raises(ModelError, match="resnet"):
        vg.training_history("alexnet")
    with pytest.raises(ModelError, match="make zoo"):
        recorded({**CARD, "history": []})
