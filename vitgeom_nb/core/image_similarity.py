"""How alike two images look: peak signal-to-noise ratio and structural similarity."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..errors import ImageError
from .arguments import checked
from .images import as_tensor


def _pair(a: Any, b: Any) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = as_tensor(a), as_tensor(b)
    if a.ndim != 4 or a.is_complex() or b.is_complex():
        raise ImageError("Images to compare must be (B, C, H, W) tensors, or what samples() returns.")
    if a.shape != b.shape:
        raise ImageError(
            f"Images to compare must have one shape, not {tuple(a.shape)} and {tuple(b.shape)}; resize one of them."
        )
    return a.detach().cpu().double(), b.detach().cpu().double()


@checked
def psnr(a: Any, b: Any) -> torch.Tensor:
    r"""Peak signal-to-noise ratio of each pair of images, for pixels in [0,1].

    `PSNR = -10 log10( mean_p (a_p - b_p)^2 )` in dB, the mean over the pixels and channels of one image: 20 dB is a
    change of 0.1 root-mean-square per pixel, 40 dB one of 0.01.

    Parameters
    ----------
    a, b
        `(B,C,H,W)` tensors in [0,1], or what `samples()` returns.

    Returns
    -------
    torch.Tensor
        `(B,)` float64, in dB; infinite for equal images, NaN where one of them holds NaN.

    Raises
    ------
    ImageError
        If the two are not image tensors of one shape.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> black = torch.zeros(1, 3, 8, 8)
    >>> round(vg.psnr(black, black + 0.1).item(), 4)
    20.0
    """
    a, b = _pair(a, b)
    return -10 * (a - b).square().flatten(1).mean(1).log10()


def ssim(a: Any, b: Any) -> torch.Tensor:
    r"""Structural similarity of each pair of colour images in [0,1], by scikit-image with its defaults.

    Parameters
    ----------
    a, b
        `(B,3,H,W)` tensors in [0,1]; the window is 7 x 7 or, in smaller images, the largest odd square that fits.

    Returns
    -------
    torch.Tensor
        `(B,)` float64; 1 for equal images, NaN for images of less than 3 x 3 pixels, which hold no window.

    Raises
    ------
    ImageError
        If the two are not image tensors of one shape.
    """
    a, b = _pair(a, b)
    side = min(a.shape[2:])
    if side < 3:
        return torch.full((len(a),), torch.nan, dtype=torch.float64)
    from skimage.metrics import structural_similarity  # psnr, which most measurements want, needs no scikit-image

    window = min(7, side - 1 + side % 2)
    values = [
        structural_similarity(x.numpy(), y.numpy(), channel_axis=0, data_range=1.0, win_size=window)
        for x, y in zip(a, b, strict=True)
    ]
    return torch.from_numpy(np.asarray(values, dtype=np.float64))
