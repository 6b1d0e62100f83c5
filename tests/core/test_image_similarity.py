"""PSNR and SSIM against numbers done by hand and against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import vitgeom_nb as vg
from vitgeom_nb.core.image_similarity import psnr, ssim
from vitgeom_nb.errors import ImageError


def images(seed: int, size: int = 12) -> torch.Tensor:
    return torch.rand(4, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_psnr_of_a_constant_change_is_minus_twenty_log_of_it() -> None:
    black = torch.zeros(2, 3, 5, 5)
    np.testing.assert_allclose(psnr(black, black + 0.1), [20, 20], rtol=1e-6)
    np.testing.assert_allclose(psnr(black, black + 0.05), -20 * np.log10([0.05] * 2), rtol=1e-6)
    one = black.clone()
    one[0, 0, 0, 0] = 1
    np.testing.assert_allclose(psnr(black, one), [10 * np.log10(75), np.inf])


def test_psnr_and_ssim_are_those_of_scikit_image() -> None:
    a, b = images(0), images(1)
    for i, (x, y) in enumerate(zip(a.double().numpy(), b.double().numpy(), strict=True)):
        assert psnr(a, b)[i] == pytest.approx(peak_signal_noise_ratio(x, y, data_range=1.0), rel=1e-12)
        assert ssim(a, b)[i] == pytest.approx(structural_similarity(x, y, channel_axis=0, data_range=1.0), rel=1e-12)


def test_equal_images() -> None:
    a = images(2)
    assert torch.isinf(psnr(a, a)).all()
    np.testing.assert_allclose(ssim(a, a), 1)


@pytest.mark.parametrize("size", [3, 4, 5, 6])
def test_small_images_have_a_window_that_fits(size: int) -> None:
    a = images(3, size)
    np.testing.assert_allclose(ssim(a, a), 1)
    assert (ssim(a, 1 - a) < 0.9).all()


def test_both_are_symmetric_and_take_sample_images() -> None:
    a = vg.samples("cifar10", n=2)
    b = a.pixels.flip(3)
    np.testing.assert_allclose(psnr(a, b), psnr(b, a))
    np.testing.assert_allclose(ssim(a, b), ssim(b, a))


def test_bad_input_names_the_fix() -> None:
    a = images(0)
    with pytest.raises(ImageError, match="resize one of them"):
        psnr(a, images(0, 8))
    with pytest.raises(ImageError, match="torch tensor, a NumPy array"):
        psnr(a, [1, 2])


def test_no_window_fits_into_two_pixels() -> None:
    assert ssim(images(0, 2), images(1, 2)).isnan().all()
