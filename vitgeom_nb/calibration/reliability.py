"""Reliability: confidence against accuracy in bins, calibration errors with intervals, temperature scaling."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import xarray as xr

from .batching import in_batches
from .data import Predictions
from .directions import generator
from .errors import ArgumentError
from .images import check_labels
from .measurement import Stopwatch, Variable, measurement
from .vision_model import VisionModel

NORMAL_95 = 1.959963984540054  # 97.5 % quantile of the normal distribution
ROUND_SIZE = 2_000_000  # rows drawn at once while resampling


class Bins(NamedTuple):
    """Per bin: number of images, accuracy and mean confidence (NaN where empty), and the bin of each image."""

    size: torch.Tensor
    accuracy: torch.Tensor
    confidence: torch.Tensor
    which: torch.Tensor


def check_logits(logits: Any) -> torch.Tensor:
    """`logits` as an `(N,C)` float64 tensor on the host, every entry finite.

    Raises
    ------
    ArgumentError
        If they are not numbers of that shape, there are none, or some are NaN or infinite.
    """
    logits = torch.as_tensor(logits).detach().cpu()
    if logits.ndim != 2 or logits.shape[1] < 2 or not logits.is_floating_point():
        raise ArgumentError(
            f"Logits must be floats of shape (N, C) with at least two classes, not {logits.dtype} of "
            f"{tuple(logits.shape)}."
        )
    if len(logits) == 0:
        raise ArgumentError("There are no logits; pass those of at least one image.")
    if not bool(torch.isfinite(logits).all()):
        raise ArgumentError("Logits contain NaN or infinite values; leave out the images that cause them.")
    return logits.double()


def model_logits(model: VisionModel, images: Any) -> torch.Tensor:
    """Logits `(N,C)` of a model on images, in batches, without a graph."""
    with torch.no_grad():
        return in_batches(model.logits, model.pixels(images), size=model.batch_size())


def bin_edges(bins: int) -> torch.Tensor:
    """The `bins + 1` edges k / bins, each the double nearest to its fraction."""
    if bins < 1:
        raise ArgumentError(f"bins is {bins}; ask for at least one.")
    return torch.arange(bins + 1, dtype=torch.float64) / bins


def in_bins(confidence: torch.Tensor, correct: torch.Tensor, bins: int) -> Bins:
    """Sort images into equal-width bins of confidence, (k/bins, (k+1)/bins]; exactly 1 falls in the last."""
    index = (torch.searchsorted(bin_edges(bins), confidence.double().contiguous()) - 1).clamp(0, bins - 1)
    count = torch.bincount(index, minlength=bins)
    mean_of = [torch.bincount(index, v.double(), minlength=bins) / count for v in (correct, confidence)]
    return Bins(count, mean_of[0], mean_of[1], index)


def wilson(successes: torch.Tensor, count: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Wilson's 95 % interval of a proportion; NaN where there was no trial."""
    share, z2 = successes / count, NORMAL_95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = NORMAL_95 / (1 + z2 / count) * (share * (1 - share) / count + z2 / (4 * count**2)).sqrt()
    return (centre - half).clamp(min=0), (centre + half).clamp(max=1)


def _bootstrap(gap: torch.Tensor, index: torch.Tensor, bins: int, resamples: int, seed: int) -> torch.Tensor:
    """Sums of `gap` per bin, divided by N, over images drawn with replacement: `(resamples, bins)`."""
    own, n = generator(seed), len(gap)
    a_round = max(1, ROUND_SIZE // n)
    parts = []
    for start in range(0, resamples, a_round):
        rows = min(a_round, resamples - start)
        drawn = torch.randint(n, (rows, n), generator=own)
        cells = index[drawn] + bins * torch.arange(rows)[:, None]
        parts.append(torch.bincount(cells.flatten(), gap[drawn].flatten(), minlength=rows * bins).view(rows, bins))
    return torch.cat(parts) / n


def _intervals(gaps: torch.Tensor, drawn: torch.Tensor) -> tuple[tuple[float, float], tuple[float, float]]:
    """95 % intervals of the ECE and of the signed ECE from the gaps per bin and their bootstrap replicates.

    The sum of absolute gaps is biased upwards: noise in a bin adds whatever its sign, and a percentile interval
    adds the bias twice. So replicates are compared with what they were drawn from (the basic bootstrap), once as
    they are and once with every gap within two standard errors of zero set to zero, where the bias is largest;
    the interval spans both and the value itself.
    """
    noise = drawn - gaps
    levels = torch.tensor([0.025, 0.975], dtype=torch.float64)
    clear = torch.where(gaps.abs() > 2 * noise.std(0, correction=0), gaps, 0.0)
    shifts = [torch.quantile((c + noise).abs().sum(1) - c.abs().sum(), levels) for c in (gaps, clear)]
    ece, sece = float(gaps.abs().sum()), float(gaps.sum())
    low = max(0.0, ece - max(0.0, *(float(s[1]) for s in shifts)))
    high = min(1.0, ece - min(0.0, *(float(s[0]) for s in shifts)))
    below, above = torch.quantile(noise.sum(1), levels).tolist()
    return (low, high), (sece - above, sece - below)


def reliability(
    model_or_logits: VisionModel | torch.Tensor | Any,
    labels: Any = None,
    bins: int = 15,
    *,
    images: Any = None,
    temperature: float = 1.0,
    resamples: int = 1000,
    seed: int = 0,
    name: str | None = None,
) -> xr.Dataset:
    r"""Confidence against accuracy in equal-width bins, and the calibration errors.

    .. math:: \mathrm{ECE} = \sum_b \tfrac{n_b}{N} |\mathrm{acc}_b - \mathrm{conf}_b|, \qquad
              \mathrm{sECE} = \sum_b \tfrac{n_b}{N} (\mathrm{acc}_b - \mathrm{conf}_b)

    Confidence is the largest softmax probability. Bins are closed on the right, and a confidence of exactly 1
    belongs to the last. The signed error is accuracy minus mean confidence whatever the bins: positive is
    under-confident, negative over-confident.

    Parameters
    ----------
    model_or_logits
        Logits `(N,C)`, `Predictions`, or a `VisionModel`, which then needs `images`.
    labels
        The right classes, `(N,)`. Without them, the labels that `images` carry.
    bins
        How many bins.
    images
        `(N,3,H,W)` in [0,1], or `Images`; only with a model.
    temperature
        Logits are divided by it before the softmax.
    resamples, seed
        Bootstrap samples over images, behind the 95 % intervals of both errors, and their seed.
    name
        What figures call these logits; the model's own name unless told.

    Returns
    -------
    xarray.Dataset
        Over `bin`, with edges `low`, `high`: `count`, `accuracy` with Wilson's 95 % interval `accuracy_low`,
        `accuracy_high`, and `confidence` (NaN in an empty bin). Scalars `ece`, `ece_low`, `ece_high`, `sece`,
        `sece_low`, `sece_high`, `top1`, `mean_confidence`. Every one is a fraction.

    Raises
    ------
    ArgumentError
        If logits have NaN or the wrong shape, or `bins`, `temperature` or `resamples` is not positive.
    LabelError
        If labels are missing, of the wrong length, or not classes.

    Notes
    -----
    [kim2024], section on calibration.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> table = vg.reliability(logits, torch.tensor([0, 1, 1, 1]), bins=10)
    >>> round(float(table.ece), 3), round(float(table.sece), 3)
    (0.325, -0.056)
    """
    clock = Stopwatch()
    if not temperature > 0:
        raise ArgumentError(f"temperature is {temperature}; it divides the logits and must be positive.")
    if resamples < 1:
        raise ArgumentError(f"resamples is {resamples}; ask for at least one (1000 is usual).")
    model, skipped = model_or_logits if isinstance(model_or_logits, VisionModel) else None, 0
    if model is not None:
        if images is None:
            raise ArgumentError(f"Pass the images too: reliability({model.name}, labels, images=...).")
        labels = getattr(images, "labels", None) if labels is None else labels
        logits = check_logits(model_logits(model, images))
    elif isinstance(model_or_logits, Predictions):
        labels = model_or_logits.labels if labels is None else labels
        skipped, logits = model_or_logits.skipped, check_logits(model_or_logits.logits)
    else:
        logits = check_logits(model_or_logits)
    labels = check_labels(labels, *logits.shape)
    confidence = (logits / temperature).softmax(1).amax(1)
    correct = (logits.argmax(1) == labels).double()
    table = in_bins(confidence, correct, bins)
    gap, n = correct - confidence, len(logits)
    gaps = torch.bincount(table.which, gap, minlength=bins) / n
    of_ece, of_sece = _intervals(gaps, _bootstrap(gap, table.which, bins, resamples, seed))
    accuracy_low, accuracy_high = wilson((table.accuracy * table.size), table.size.double())
    scalars = {
        "ece": (gaps.abs().sum(), "expected calibration error"),
        "ece_low": (of_ece[0], "lower end of the 95 % interval of the expected calibration error"),
        "ece_high": (of_ece[1], "upper end of the 95 % interval of the expected calibration error"),
        "sece": (gap.mean(), "signed calibration error, accuracy minus mean confidence"),
        "sece_low": (of_sece[0], "lower end of the 95 % interval of the signed calibration error"),
        "sece_high": (of_sece[1], "upper end of the 95 % interval of the signed calibration error"),
        "top1": (correct.mean(), "accuracy"),
        "mean_confidence": (confidence.mean(), "mean confidence"),
    }
    dataset = measurement(
        {
            "count": Variable(["bin"], table.size, "1", "number of images"),
            "accuracy": Variable(["bin"], table.accuracy, "1", "accuracy"),
            "accuracy_low": Variable(["bin"], accuracy_low, "1", "lower end of the 95 % interval of accuracy"),
            "accuracy_high": Variable(["bin"], accuracy_high, "1", "upper end of the 95 % interval of accuracy"),
            "confidence": Variable(["bin"], table.confidence, "1", "mean confidence"),
            **{key: Variable([], float(value), "1", words) for key, (value, words) in scalars.items()},
        },
        coords={
            "low": Variable(["bin"], bin_edges(bins)[:-1], "1", "lower edge of the bin (excluded)"),
            "high": Variable(["bin"], bin_edges(bins)[1:], "1", "upper edge of the bin (included)"),
        },
        model=model,
        seed=seed,
        seconds=clock.seconds,
        images=n,
        skipped=skipped,
        bins=bins,
        temperature=temperature,
        resamples=resamples,
    )
    if name is not None:
        dataset.attrs["model"] = name
    return dataset


def temperature(logits: torch.Tensor | Any, labels: Any) -> xr.Dataset:
    r"""The temperature that calibrates: the T > 0 with the smallest mean negative log-likelihood.

    .. math:: T = \arg\min_T \tfrac{1}{N} \sum_i -\log \mathrm{softmax}(z_i / T)_{y_i}

    In 1/T the likelihood is convex; its derivative, mean(E_softmax[z] - z_y), is bisected to float64 precision.
    Fit it on one half of the images and judge it on the other: `reliability(logits, labels, temperature=T)`.

    Parameters
    ----------
    logits
        `(N,C)`.
    labels
        The right classes, `(N,)`.

    Returns
    -------
    xarray.Dataset
        `temperature` (infinite where even the uniform distribution is likelier than any finite T), and the mean
        negative log-likelihood in nats at T = 1, `nll`, and at this temperature, `nll_scaled`.

    Raises
    ------
    ArgumentError
        If logits have NaN or the wrong shape, or every label is the largest logit: T would then go to 0.
    LabelError
        If labels are missing, of the wrong length, or not classes.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> logits = torch.tensor([[2.0, 0.0]]).repeat(4, 1)
    >>> fit = vg.temperature(logits, torch.tensor([0, 0, 0, 1]))  # sigmoid(2/T) = 3/4
    >>> round(float(fit.temperature), 4)
    1.8205
    """
    clock = Stopwatch()
    logits = check_logits(logits)
    labels = check_labels(labels, *logits.shape)
    right = logits.gather(1, labels[:, None])[:, 0]
    if bool((right == logits.amax(1)).all()):
        raise ArgumentError("Every label has the largest logit, so no temperature above 0 is best; use more images.")

    def slope(beta: float) -> float:
        return float((((beta * logits).softmax(1) * logits).sum(1) - right).mean())

    def nll(beta: float) -> float:
        return float((torch.logsumexp(beta * logits, 1) - beta * right).mean())

    low, high = (0.0, 1.0) if slope(0.0) < 0 else (0.0, 0.0)
    while slope(high) < 0:
        low, high = high, 2 * high
    while high - low > 1e-14 * high:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    best = 0.5 * (low + high)
    return measurement(
        {
            "temperature": Variable([], 1 / best if best else float("inf"), "1", "temperature"),
            "nll": Variable([], nll(1.0), "nat", "mean negative log-likelihood"),
            "nll_scaled": Variable([], nll(best), "nat", "mean negative log-likelihood at this temperature"),
        },
        seconds=clock.seconds,
        images=len(logits),
    )
