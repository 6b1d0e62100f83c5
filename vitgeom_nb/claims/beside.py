"""Numbers that stand beside those that decide a claim: how alike, how many steps, by another way."""

from __future__ import annotations

from collections.abc import Callable

from .quantities import (
    Measured,
    accuracy,
    angles,
    descent_success,
    foretold_ratio,
    jump_quality,
    need,
    secant_ratio,
)
from .samples import Sample, mean, median, pooled

BESIDE: dict[str, list[tuple[str, str, Callable[[Measured], Sample]]]] = {
    "S1": [
        ("PSNR of match against target", "dB", lambda m: median(need(m, "match", "psnr_target").psnr_target)),
        ("PSNR of source against target", "dB", lambda m: median(need(m, "match", "psnr_pair").psnr_pair)),
        ("SSIM of match and target", "1", lambda m: median(need(m, "match", "ssim_target").ssim_target)),
    ],
    "S2": [("PSNR of match against source", "dB", lambda m: median(need(m, "match", "psnr").psnr))],
    "S3": [
        ("share of pairs that minimum change brings there", "1", lambda m: descent_success(m, "match")),
        ("share of pairs that Adam brings there", "1", lambda m: descent_success(m, "match_adam")),
        (
            "evaluations of gradient descent",
            "1",
            lambda m: median(need(m, "match_gradient_descent", "evaluations").evaluations),
        ),
    ],
    "S4": [("stable rank", "1", lambda m: median(need(m, "singular_spectrum", "stable_rank").stable_rank))],
    "S7": [
        ("secant to the match over random steps as long", "1", secant_ratio),
        ("sqrt(n / stable rank), of the top direction", "1", foretold_ratio),
    ],
    "S9": [
        ("cosine within the class", "1", lambda m: mean(need(m, "class_cosines", "within").within)),
        ("cosine to other classes", "1", lambda m: mean(need(m, "class_cosines", "between").between)),
    ],
    "K1": [("accuracy", "1", accuracy)],
    "K4": [
        (
            "median direction change at the published size",
            "degrees",
            lambda m: pooled(angles(m, "direction_change_published"), 0.5),
        )
    ],
    "K9": [("PSNR of the jump alone", "dB", jump_quality)],
}
"""Claim -> numbers that are shown beside the one that decides: in words, unit, and how they are made."""
