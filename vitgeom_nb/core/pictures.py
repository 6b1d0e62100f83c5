"""PIL pictures of any kind as upright RGB pictures of 8 bits."""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image, ImageOps

_SCALES = (255, 65535, 2**31 - 1)  # white of 8, 16 and 31 bits


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture upright, as its EXIF orientation says, in RGB.

    Grey ones of more than 8 bits are scaled. White is 65535 where the mode says 16 bits or the file is a PNG; of
    integers else the largest that 8, 16 or 31 bits hold, and of floats 1, or as of integers if one is above; the
    smallest white that no value exceeds.

    Raises
    ------
    ValueError
        If values are negative, NaN or infinite, or the mode has no colours.
    """
    image = _upright(image)
    if image.mode == "F" or image.mode.startswith("I"):
        image = _scaled(image)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # the same colours, without Pillow's warning
    return image if image.mode == "RGB" else image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises a dozen types over damaged metadata, beside which the picture may be whole
        return image
    return image if orientation == 1 else ImageOps.exif_transpose(image)


def _scaled(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError("its values are not finite numbers from 0 up")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        white = 65535.0
    else:
        scales = (1, *_SCALES) if image.mode == "F" else _SCALES
        white = next((float(scale) for scale in scales if values.max() <= scale), float(values.max()))
    return Image.fromarray((values / white * 255).round().astype(np.uint8))
