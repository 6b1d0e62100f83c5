"""What matches and fibre walks found, in sentences with their numbers, for pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from ..core.measurement import parameters
from ..statistics.intervals import wilson
from ..statistics.tables import median_in_words

CLEAR = 30.0  # dB: two pictures that are hard to tell apart


class Tally(NamedTuple):
    """How many pairs of several matches are so, of how many."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number} of {self.of}"


def arrived(matches: Iterable[xr.Dataset]) -> Tally:
    """Pairs that met their goal."""
    each = list(matches)
    return Tally(sum(int(one.converged.sum()) for one in each), sum(one.sizes["pair"] for one in each))


def clear(matches: Iterable[xr.Dataset], unlike: bool = False) -> Tally:
    """Pairs whose match keeps 30 dB; if `unlike`, of those that embed no closer to the source than the median pair."""
    each = list(matches)
    kept = [(one.psnr >= CLEAR) & ((one.source_cosine <= one.pair_cosine.median()) if unlike else True) for one in each]
    return Tally(sum(int(one.sum()) for one in kept), sum(one.sizes["pair"] for one in each))


def shared_in_words(matches: Sequence[xr.Dataset], labels: Sequence[str]) -> str:
    """The finding: on each network, pairs brought to one embedding, and the PSNR that this leaves, with intervals.

    Parameters
    ----------
    matches
        Measurements of `match` with one goal, one a network.
    labels
        What to call the networks.
    """
    goal = parameters(matches[0])["goal"]
    budgets = [parameters(one)["max_evaluations"] for one in matches]
    # pairs that might spend more or less are not counted together: the sentence is about the most pairs of one budget
    budget = max(
        budgets,
        key=lambda each: sum(one.sizes["pair"] * (each == own) for one, own in zip(matches, budgets, strict=True)),
    )
    counted = [one for one, own in zip(matches, budgets, strict=True) if own == budget]
    lines = [
        f"**{arrived(counted)} matches bring a photograph to the embedding of an unrelated one**, at a cosine of "
        f"{goal['cosine']} or more and within {budget} evaluations. With 95 % intervals, of the share and of the "
        "median PSNR to the source:"
    ]
    for one, label, own in zip(matches, labels, budgets, strict=True):
        met = arrived([one])
        share, low, high = wilson(*met)
        lines.append(
            f"- {label}: {met} pairs, {float(share):.0%} [{float(low):.0%}, {float(high):.0%}], "
            f"at {median_in_words(one.psnr)} dB" + (f", within {own} evaluations" if own != budget else "")
        )
    return "\n".join([lines[0], "", *lines[1:]])


def clear_in_words(matches: Sequence[xr.Dataset], side: int) -> str:
    """How many matches of pictures `side` pixels wide nobody could tell from their source, and what their size does."""
    psnr, both = np.concatenate([one.psnr for one in matches]), clear(matches, unlike=True)
    middle, at = float(np.median(psnr)), f"at {side} x {side} pixels"
    published = (
        "" if side == 224 else f", and {middle + 20 * np.log10(224 / side):.0f} dB at the 224 x 224 of the paper"
    )
    return (
        f"**Looks the same, embeds differently.** Of {len(psnr)} matches on {len(matches)} networks, "
        f"{clear(matches).number} keep a PSNR of {CLEAR:.0f} dB or more, and {both.number} of these embed no closer to "
        f"the source than the median unrelated pair does; the highest PSNR is {psnr.max():.1f} dB and the median "
        f"{middle:.1f} dB. Here size matters. A change of given norm, spread over four times as many pixels, is 6 dB "
        f"less visible: what takes {middle:.0f} dB {at} would, with equally steep networks, take "
        f"{middle + 20 * np.log10(2):.0f} dB at twice the side{published}."
    )


def followed(matches: Iterable[xr.Dataset]) -> Tally:
    """Matches that the network labels like their target, of those on networks with a classifier."""
    told = [one for one in matches if "matched_label" in one]
    return Tally(
        sum(int((one.matched_label == one.target_label).sum()) for one in told), sum(one.sizes["pair"] for one in told)
    )


def labels_in_words(matches: Sequence[xr.Dataset]) -> str:
    """Whose label a match takes; networks without a classifier are named."""
    told = [one for one in matches if "matched_label" in one]
    silent = ", ".join(one.attrs["model"] for one in matches if "matched_label" not in one)
    differ = [one.source_label != one.target_label for one in told]
    asked = sum(int(one.sum()) for one in differ)
    target, source = (
        sum(int(((one.matched_label == one[key]) & apart).sum()) for one, apart in zip(told, differ, strict=True))
        for key in ("target_label", "source_label")
    )
    return (
        (f"({silent} have no classifier.) " if silent else "")
        + f"The network's own label of the match equals its label of the target in {followed(matches)} cases. Where "
        f"source and target had different labels ({asked} cases), the match takes that of the target in {target} and "
        f"keeps that of the source in {source}. The labels meant are the networks' own, right or wrong."
    )


def remainder_in_words(match: xr.Dataset, left: xr.Dataset) -> str:
    """Why the pair of a match that ended furthest off is where it is, from `match_remainder` of these pairs."""
    furthest = int(match.cosine.values.argmin())
    one, rest = match.isel(pair=furthest), left.isel(pair=furthest)
    return (
        f"Of the matches drawn above, the one that ended furthest off is on {match.attrs['model']}, at a cosine of "
        f"{float(one.cosine):.3f}. It has {float(rest.strong_share):.2%} of the squared distance left along the "
        f"stronger half of the {int(rest['rank'])} singular directions of the Jacobian there, with "
        f"{float(rest.held):.0%} of the pixel values held. The rest lies where the network hardly "
        "responds: to first order it asks for a change "
        f"of norm {float(rest.least_norm):.0f}, and the whole change so far has {float(one.change_norm):.0f}."
    )


def kept_throughout(walks: Iterable[xr.Dataset]) -> Tally:
    """Fibre walks without a failed step."""
    each = list(walks)
    return Tally(sum(not bool(walk.failed.any()) for walk in each), len(each))


def walks_in_words(walks: Sequence[xr.Dataset]) -> str:
    """How far the first walk of each measurement has come, and how far off its fibre it ever was, a line a network."""
    lines = ["**Looks different, embeds the same** (one pair of photographs, one walk a network).", ""]
    for walk in walks:
        one = walk.isel(pair=0)
        last = one.isel(step=-1)
        lines.append(
            f"- **{walk.attrs['model']}**: the two photographs embed at a cosine of {float(last.pair_cosine):.3f}. "
            f"After {walk.sizes['step'] - 1} steps the walk has covered "
            f"{1 - float(last.distance / one.distance[0]):.0%} of the pixel distance between them, at a PSNR of "
            f"{float(last.psnr_source):.1f} dB to where it began and {float(last.psnr_target):.1f} dB to where it "
            f"went, and its embedding has a cosine of {float(last.cosine):.6f} to the start. Largest drift "
            f"{float(one.drift.max()):.1e}; failed steps: {int(one.failed.sum())}."
        )
    return "\n".join(lines)
