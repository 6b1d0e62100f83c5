import io

import numpy as np
import pytest
from PIL import Image

from vitgeom_nb.core.pictures import to_rgb

RAMP = np.linspace(0, 1, 12).reshape(3, 4)
BYTES = (RAMP * 255).round().astype(np.uint8)


def stored(array, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return Image.open(io.BytesIO(buffer.getvalue()))


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        ((RAMP * 65535).round().astype(np.uint16), "PNG"),
        ((RAMP * 65535).round().astype(np.uint16), "TIFF"),
        ((RAMP * 65535).round().astype(np.int32), "TIFF"),
        ((RAMP * (2**31 - 1)).round().astype(np.int32), "TIFF"),
        (BYTES.astype(np.int32), "TIFF"),
        (RAMP.astype(np.float32), "TIFF"),
        ((RAMP * 255).astype(np.float32), "TIFF"),
        (BYTES, "PNG"),
    ],
)
def test_grey_of_many_bits_keeps_its_brightness(array, kind):
    image = to_rgb(stored(array, kind))
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), np.repeat(BYTES[..., None], 3, 2))


def test_a_dark_picture_of_16_bits_stays_dark():
    dark = np.full((2, 2), 200, np.uint16)
    assert np.asarray(to_rgb(stored(dark, "PNG"))).max() == 1


@pytest.mark.parametrize("array", [np.full((2, 2), -1.0, np.float32), np.full((2, 2), np.nan, np.float32)])
def test_values_that_are_no_brightness_are_refused(array):
    with pytest.raises(ValueError, match="not finite numbers from 0 up"):
        to_rgb(stored(array, "TIFF"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize(("orientation", "upright"), [(1, lambda a: a), (3, lambda a: a[::-1, ::-1]), (6, np.rot90)])
def test_pictures_stand_as_their_camera_was_held(kind, orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    array = np.zeros((8, 16, 3), np.uint8)
    array[:, :8] = 255
    options = {"exif": exif} | ({"quality": 100} if kind == "JPEG" else {})
    found = np.asarray(to_rgb(stored(array, kind, **options)))
    expected = upright(array) if orientation != 6 else np.rot90(array, -1)
    np.testing.assert_array_equal(found > 128, expected > 128)
