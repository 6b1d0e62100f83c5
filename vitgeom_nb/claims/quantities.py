"""The quantity of each claim: what one network's measurements come to, image by image or pair by pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr

from ..bending import tables as of_bends
from ..boundary.label_search import OUTCOMES, beyond
from ..errors import ArgumentError
from .samples import Sample, kept, mean, median, pooled, rank, share

EQUIVALENT = 0.999  # cosine from which two images count as embedding alike
DESCENDED = 0.99  # cosine at which the published descent stops, the strictest of its values
KEPT_DB = 1.0  # of PSNR to the target: nine tenths of the distance remain
ALIKE_DB = 30.0  # PSNR from which two pictures are hard to tell apart
STEP_RMS = 0.01  # of steps that are hard to see: 40 dB
LEADING = 10  # directions that a spectrum is asked about
TAIL = 0.95
Measured = Mapping[str, xr.Dataset]


class Lacking(Exception):
    """A measurement, or a variable of it, that a run does not have."""


class NoSuchPart(Exception):
    """The network has no part of the kind that the sentence is about."""


def need(measured: Measured, name: str, *variables: str) -> xr.Dataset:
    """A measurement that has these variables."""
    if name not in measured:
        raise Lacking(name)
    found = measured[name]
    for variable in variables:
        if variable not in found.variables:
            raise Lacking(f"{variable} of {name}")
    return found


def _is(outcome: xr.DataArray, word: str) -> np.ndarray:
    return outcome.values.astype(str) == word


def shared_embeddings(measured: Measured) -> Sample:
    """S1: pairs whose match embeds like its target and looks as unlike it as its source did, or nearly."""
    found = need(measured, "match", "cosine", "psnr_target", "psnr_pair")
    unlike = found.psnr_target <= found.psnr_pair + KEPT_DB
    return share((found.cosine >= EQUIVALENT) & unlike, found.cosine.notnull())


def unlike_embeddings(measured: Measured) -> Sample:
    """S2: pairs whose match looks like its source and embeds as unlike it as images of other classes do."""
    found = need(measured, "match", "cosine", "psnr", "source_cosine")
    level = float(need(measured, "class_cosines", "between_median").between_median.median())
    alike = (found.psnr >= ALIKE_DB) & (found.source_cosine <= level)
    return share((found.cosine >= EQUIVALENT) & alike, found.cosine.notnull())


def descent_success(measured: Measured, name: str = "match_gradient_descent") -> Sample:
    """S3: pairs that a method brings to the cosine at which the published descent stops."""
    cosine = need(measured, name, "cosine").cosine
    return share(cosine >= DESCENDED, cosine.notnull())


def leading_energy(measured: Measured) -> Sample:
    """S4: share of the squared Frobenius norm in the leading singular values, all of them where there are fewer."""
    energy = need(measured, "singular_spectrum", "energy", "rank").energy
    share_of = energy.isel(rank=min(LEADING, energy.sizes["rank"]) - 1)
    if energy.sizes["rank"] < LEADING and bool((share_of < 1 - 1e-6).any()):
        raise Lacking(f"the first {LEADING} singular values of singular_spectrum")
    return median(share_of)


def _visible_radius(steps: xr.Dataset) -> int:
    """Number of the largest radius that is hard to see."""
    small = np.flatnonzero(steps.rms.values <= STEP_RMS)
    if not len(small):
        raise Lacking(f"a radius of at most {STEP_RMS} rms of step_response")
    return int(small[-1])


def null_share(measured: Measured) -> Sample:
    """S5: change of the embedding along null steps over that along normal ones, root mean squares over directions."""
    steps = need(measured, "step_response", "change", "kind", "rms")
    change = steps.change.isel(radius=_visible_radius(steps))
    null, normal = (np.sqrt((change.sel(kind=kind) ** 2).mean("direction")) for kind in ("null", "normal"))
    return median(null / normal)


def linearisation_error(measured: Measured) -> Sample:
    """S6: linearisation error of random steps, the median over directions of each image."""
    steps = need(measured, "step_response", "linearisation_error", "kind", "rms")
    error = steps.linearisation_error.sel(kind="random").isel(radius=_visible_radius(steps))
    return median(error.median("direction"))


def _kinds(measured: Measured, *kinds: str) -> xr.Dataset:
    found = need(measured, "lldlc", "lldlc", "kind", "radius")
    for kind in kinds:
        if kind not in found.kind.values:
            raise Lacking(f"{kind} directions of lldlc")
    return found


def gradient_ratio(measured: Measured) -> Sample:
    """S7: slope along the first step of gradient descent over the root mean square of random slopes."""
    slope = need({"lldlc": _kinds(measured, "gradient", "random")}, "lldlc", "slope").slope
    random = np.sqrt((slope.sel(kind="random") ** 2).mean("direction"))
    return median(slope.sel(kind="gradient").isel(direction=0) / random)


def secant_ratio(measured: Measured) -> Sample:
    """S7, beside it: the constant of the whole way to the match over that of random steps as long."""
    found = need({"lldlc": _kinds(measured, "matching", "random")}, "lldlc", "match_distance")
    nearest = np.abs(np.log(found.radius.values) - np.log(found.match_distance.values)[:, None]).argmin(1)
    at = found.lldlc.isel(radius=xr.DataArray(nearest, dims="image"))
    random = np.sqrt((at.sel(kind="random") ** 2).mean("direction"))
    return median(at.sel(kind="matching").isel(direction=0) / random)


def foretold_ratio(measured: Measured) -> Sample:
    """S7, beside it: what the law of the stable rank foretells of the top direction."""
    return median(need(measured, "lldlc", "predicted_ratio").predicted_ratio)


def followed_labels(measured: Measured) -> Sample:
    """S8: arrived matches with the label of their target, among pairs of different labels."""
    found = need(measured, "match", "converged", "source_label", "target_label", "matched_label")
    asked = found.converged.astype(bool) & (found.source_label != found.target_label)
    return share(found.matched_label == found.target_label, asked)


def overtaken(measured: Measured) -> Sample:
    """S9: share of the own class that is less like than the median image of other classes."""
    return mean(need(measured, "class_cosines", "overtaken").overtaken)


def confidence_and_hits(found: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Confidence `(image,)` and whether the label is right, from these or from logits."""
    if {"confidence", "predicted", "label"} <= set(found.variables):
        return found.confidence.values, (found.predicted == found.label).values
    labels = next((found[name].values for name in ("label", "labels") if name in found.variables), None)
    if "logits" not in found.variables or labels is None:
        raise Lacking("logits and label of predictions")
    z = found.logits.values.astype(np.float64)
    return 1 / np.exp(z - z.max(1, keepdims=True)).sum(1), z.argmax(1) == labels


def calibration_gap(measured: Measured) -> Sample:
    """K1: accuracy minus confidence, whose mean is the signed calibration error."""
    confidence, hits = confidence_and_hits(need(measured, "predictions"))
    return mean(hits.astype(np.float64) - confidence)


def accuracy(measured: Measured) -> Sample:
    """Share of right labels."""
    return share(confidence_and_hits(need(measured, "predictions"))[1])


def accuracy_left(measured: Measured) -> Sample:
    """K2: mean accuracy under corruption over clean accuracy."""
    found = need(measured, "corrupted_predictions", "label", "predicted", "corrupted_predicted")
    return kept(found.predicted == found.label, found.corrupted_predicted == found.label)


def _starts_right(outcome: xr.DataArray) -> np.ndarray:
    return ~_is(outcome, OUTCOMES[1])


def confidence_and_distance(measured: Measured) -> Sample:
    """K3: rank correlation of confidence and travel distance; those never wrong are beyond all others."""
    found = need(measured, "travel_distance", "epsilon", "outcome", "confidence")
    return rank(found.confidence, beyond(found.epsilon, found.outcome))


def angles(measured: Measured, name: str = "direction_change") -> np.ndarray:
    """Direction changes `(image, ...)` in degrees, or evenly spaced quantiles of those of each image."""
    try:
        return of_bends.angles(need(measured, name))
    except ArgumentError:
        raise Lacking(f"angle of {name}") from None


def typical_bend(measured: Measured) -> Sample:
    """K4: the middle direction change."""
    return pooled(angles(measured), 0.5)


def largest_bends(measured: Measured) -> Sample:
    """K5: the upper tail of the direction change."""
    return pooled(angles(measured), TAIL)


def _ways(measured: Measured, *variables: str) -> xr.Dataset:
    return need(measured, "random_jump", "path", "outcome", *variables)


def bend_and_distance(measured: Measured) -> Sample:
    """K6: rank correlation of the direction change at the beginning of the way and its length."""
    found = _ways(measured, "epsilon", "direction_change").sel(path="direct")
    return rank(found.direction_change, beyond(found.epsilon, found.outcome))


def straightened(measured: Measured) -> Sample:
    """K7: direction change after the jump over that before."""
    bend = _ways(measured, "direction_change").direction_change
    with np.errstate(invalid="ignore", divide="ignore"):
        return median(bend.sel(path="jumped").values / bend.sel(path="direct").values)


def shortened(measured: Measured) -> Sample:
    """K8: travel distance after the jump over that before; 0 where the jump itself crosses."""
    found = _ways(measured, "epsilon")
    direct, jumped = (found.sel(path=path) for path in ("direct", "jumped"))
    before = beyond(direct.epsilon, direct.outcome)
    after = beyond(jumped.epsilon, jumped.outcome, already=0.0)
    with np.errstate(invalid="ignore"):  # infinite before and after: no ratio
        return median(np.where(np.isnan(before), np.nan, after / before))


def jumped_quality(measured: Measured) -> Sample:
    """K9: PSNR of the image after jump and travel; below all where no way out was found."""
    found = _ways(measured, "psnr")
    jumped = found.sel(path="jumped")
    quality = np.where(_is(jumped.outcome, OUTCOMES[2]), -np.inf, jumped.psnr.values)
    return median(np.where(_starts_right(found.outcome.sel(path="direct")), quality, np.nan))


def jump_quality(measured: Measured) -> Sample:
    """K9, beside it: PSNR of the jump alone."""
    return median(_ways(measured, "psnr_jump").psnr_jump)


def attention_bend(measured: Measured) -> Sample:
    """K10: mean bend of the attention layers over that of the kind that bends most beside them.

    Softmax is a part of attention, and so does not stand beside it.
    """
    bend = need(measured, "additivity", "bend", "kind").bend.mean("direction")
    kinds = {kind: bend.isel(layer=bend.kind.values == kind).mean("layer").values for kind in np.unique(bend.kind)}
    attention = kinds.pop("attention", None)
    kinds.pop("softmax", None)
    if attention is None:
        raise NoSuchPart("attention")
    return median(attention / np.nanmax(list(kinds.values()), axis=0))


def trained_bend(measured: Measured) -> Sample:
    """K11: direction change after training over that before, of the median of each image."""
    after, before = (angles(measured, name) for name in ("direction_change", "untrained_direction_change"))
    few = min(len(after), len(before))  # the untrained network may have seen fewer of the same images
    return median(np.nanmedian(after[:few], axis=1) / np.nanmedian(before[:few], axis=1))


QUANTITIES: dict[str, Callable[[Measured], Sample]] = {
    "S1": shared_embeddings,
    "S2": unlike_embeddings,
    "S3": descent_success,
    "S4": leading_energy,
    "S5": null_share,
    "S6": linearisation_error,
    "S7": gradient_ratio,
    "S8": followed_labels,
    "S9": overtaken,
    "K1": calibration_gap,
    "K2": accuracy_left,
    "K3": confidence_and_distance,
    "K4": typical_bend,
    "K5": largest_bends,
    "K6": bend_and_distance,
    "K7": straightened,
    "K8": shortened,
    "K9": jumped_quality,
    "K10": attention_bend,
    "K11": trained_bend,
}
"""Claim -> its quantity of one network. S10 is made of the verdicts of the others."""
