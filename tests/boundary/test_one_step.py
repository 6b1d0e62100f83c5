import numpy as np
import pytest
import xarray as xr

from vitgeom_nb.boundary.one_step import in_words, telling

NAMES = np.array(["cat", "cup", "dog"])


def steps(before: list[int], after: list[int], confidence: list[float]) -> xr.Dataset:
    seen = np.array([before, before, after]).T
    dims = ("image", "stage")
    return xr.Dataset(
        {
            "seen": (dims, seen),
            "seen_name": (dims, NAMES[seen].astype(object)),
            "confidence": (dims, np.array([confidence, [1.0] * len(before), [1.0] * len(before)]).T),
            "label": ("image", np.array(before)),
            "psnr": ("image", np.full(len(before), 43.1)),
        },
        coords={"stage": ["image", "direction", "moved"]},
    )


@pytest.mark.parametrize(
    ("true", "after", "chosen", "words"),
    [
        # images 1 and 2 start right and end wrong; the network is surer of 2
        (
            ["cat", "cup", "dog", "dog"],
            [0, 2, 0, 1],
            2,
            "among those it gets right and the step makes wrong.",
        ),
        # nobody ends wrong that starts right
        (["cat", "cup", "dog", "dog"], [0, 1, 2, 1], 0, "gets right, and the step does not change that."),
        # nobody starts right
        (["eel", "eel", "eel", "eel"], [1, 1, 2, 1], 0, "which the network gets wrong already."),
        (["eel", "eel", "eel", "eel"], [0, 2, 2, 0], 1, "which the network gets wrong already."),
        (["eel", "eel", "eel", "eel"], [0, 1, 2, 0], 0, "which the network gets wrong already."),
    ],
)
def test_the_picture_that_tells_most(true: list[str], after: list[int], chosen: int, words: str) -> None:
    measured = steps([0, 1, 2, 0], after, [0.9, 0.5, 0.7, 0.6])
    assert telling(measured, true) == chosen
    said = in_words(measured, true, chosen)
    assert said.endswith(words)
    assert f"of the class “{true[chosen]}”" in said
    assert f"label of {sum(a != b for a, b in zip([0, 1, 2, 0], after, strict=True))} of 4 images, at 43.10 dB" in said
