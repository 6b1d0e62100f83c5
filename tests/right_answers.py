"""What calls on networks of one or two layers must return: computed in NumPy, or held to what cannot be otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from matplotlib.figure import Figure

import vitgeom_nb as vg
from vitgeom_nb.core.images import as_tensor
from vitgeom_nb.explore.explorer import Explorer

Array = np.ndarray
# what may be undefined by its documentation: intervals and correlations of few images, ways that do not end
OPEN = {"yardstick",
    "epsilon", "rms", "psnr", "total", "crossing", "change", "bend_change", "direction_change", "median_change",
    "median_bend_change", "rank_correlation", "bend_correlation", "accuracy", "confidence", "sece", "exponent",
    "linear_radius", "predicted_ratio", "measured_ratio", "limit_ratio", "ratio_error", "match_distance", "lldlc",
    "slope", "stable_rank", "angle", "typical", "nonlinear", "explained", "psnr_source", "psnr_target", "psnr_jump",
    "residual", "bend", "ssim_target", "smallest",
   "psnr_history", "cosine", "pair_cosine", "source_cosine", "cosine_8bit", "residual_8bit", "loss", "ssim",
    "cosine_history", "residual_history", "turning_rate", "predicted_angle", "noise_floor", "match_cosine", "energy",
    "linearisation_error", "vector", "drift", "straight_drift", "curvature", "error_bound", "margin", "ece",
    "mean_confidence",
}  # fmt: skip


@dataclass(frozen=True)
class Known:
    """A network by hand: `(N,pixels)` to embeddings `(N,D)`, logits `(N,C)` and Jacobians `(N,D,pixels)`."""

    embed: Callable[[Array], Array]
    logits: Callable[[Array], Array]
    jacobian: Callable[[Array], Array]
    logit_jacobian: Callable[[Array], Array]
    lipschitz: float
    near: float = 1e-7  # relative


def known(module: torch.nn.Module, near: float = 1e-7, times: float = 1.0, plus: float = 0.0) -> Known:
    """What `times * f + plus` computes for a flattened linear layer f, or for f of two with tanh between."""
    layers = [m for m in module.modules() if isinstance(m, torch.nn.Linear)]
    (w, b), *more = [(m.weight.detach().double().numpy(), m.bias.detach().double().numpy()) for m in layers]
    w, b = times * w, times * b + plus
    if not more:
        out = lambda x: x @ w.T + b  # noqa: E731
        whole = lambda x: np.broadcast_to(w, (len(x), *w.shape))  # noqa: E731
        return Known(out, out, whole, whole, float(np.linalg.norm(w, 2)), near)
    ((w2, b2),) = more
    embed = lambda x: np.tanh(x @ w.T + b)  # noqa: E731
    jacobian = lambda x: (1 - embed(x) ** 2)[:, :, None] * w  # noqa: E731
    return Known(
        embed, lambda x: embed(x) @ w2.T + b2, jacobian, lambda x: w2 @ jacobian(x), float(np.linalg.norm(w, 2)), near
    )


def rounded(module: torch.nn.Module) -> Known:
    """What `known` computes, rounded to whole numbers, which change nowhere."""
    net = known(module)
    still = lambda x: 0 * net.jacobian(x)  # noqa: E731
    return Known(lambda x: net.embed(x).round(), lambda x: net.logits(x).round(), still, still, np.inf)


class Wrong(Exception):
    """A result that is not the right one."""


def near(got: Any, right: Any, what: str, tolerance: float) -> None:
    got, right = np.asarray(got, dtype=float), np.asarray(right, dtype=float)
    if got.shape != right.shape:
        raise Wrong(f"{what} has shape {got.shape}, not {right.shape}")
    scale = np.abs(right).max(initial=0) or 1.0
    off = np.abs(got / scale - right / scale).max(initial=0)
    if not off <= tolerance:
        raise Wrong(f"{what} is off by {off:.2g} of its size")


def require(right: Any, what: str) -> None:
    if not bool(np.all(right)):
        raise Wrong(what)


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@dataclass(frozen=True)
class Case:
    """A call that returned: its arguments, its images as the door of the model takes them, and the network by hand."""

    given: Mapping[str, Any]
    result: Any
    net: Known | None

    @property
    def model(self) -> vg.VisionModel:
        return self.given["model"]

    @property
    def x(self) -> Array:
        return self.flat(self.given["images"])

    def flat(self, images: Any) -> Array:
        return self.model.pixels(images).double().flatten(1).numpy()

    @property
    def y(self) -> Array:
        return self.model.pixels_and_labels(self.given["images"], self.given.get("labels"))[1].numpy()

    def close(self, got: Any, right: Any, what: str, at_least: float = 0.0) -> None:
        assert self.net is not None
        near(got, right, what, max(self.net.near, at_least))

    def values(self, name: str) -> Array:
        return self.result[name].values


def _jacobian(c: Case) -> None:
    right = c.net.jacobian(c.x)
    c.close(c.values("jacobian").reshape(right.shape), right, "J", 1e-2 if c.given.get("precision") else 0)


def _jvp(c: Case) -> None:
    v = c.given["v"].double().flatten(1).numpy()
    c.close(c.result.double().numpy(), np.einsum("ndp,np->nd", c.net.jacobian(c.x), v), "J v")


def _vjp(c: Case) -> None:
    right = np.einsum("ndp,nd->np", c.net.jacobian(c.x), c.given["u"].double().numpy())
    c.close(c.result.double().flatten(1).numpy(), right, "u J")


def _singular(c: Case) -> None:
    right = np.linalg.svd(c.net.jacobian(c.x), compute_uv=False)
    got = c.values("singular_value")
    if "converged" in c.result:
        right, got = right[c.values("converged")], got[c.values("converged")]
        if not len(got):
            return
    loose = 1e-6 if c.net.near < 1e-6 else 0.0
    c.close(got, right[:, : got.shape[1]], "singular values", max(loose, float(c.given.get("tolerance") or 0)))
    if "stable_rank" in c.result and right.any():
        c.close(c.values("stable_rank"), (right**2).sum(1) / right[:, 0] ** 2, "stable rank", 1e-5)


def _singular_steps(c: Case) -> None:
    ranks = c.result["rank"].values[1:]  # the first is a null direction, if there is one
    right = np.linalg.svd(c.net.jacobian(c.x), compute_uv=False)[:, ranks - 1]
    c.close(c.values("singular_value")[:, 1:], right, "singular values", 1e-6)
    require(np.isfinite(c.values("vector")[:, 1:]), "a singular vector is not finite")


def _sign(c: Case, got: Array) -> None:
    y = c.y
    gradient = c.net.logit_jacobian(c.x)
    others = c.net.logits(c.x)
    others[np.arange(len(y)), y] = -np.inf
    right = np.einsum("nc,ncp->np", softmax(others), gradient) - gradient[np.arange(len(y)), y]
    clear = np.abs(right) > 30 * c.net.near * np.abs(gradient).max(initial=0)
    require(np.isin(got, (-1, 0, 1)), "a direction is no sign")
    require((got == np.sign(right))[clear], "a direction is not the sign of the gradient")


def _fgsm_step(c: Case) -> None:
    direction = c.values("direction").reshape(c.x.shape)
    _sign(c, direction)
    moved = c.x + c.given.get("epsilon", 0.007) * direction
    moved = moved.clip(0, 1) if c.given.get("clamp") else moved
    c.close(c.values("moved").reshape(moved.shape), moved, "the moved image")
    right = softmax(c.net.logits(np.concatenate([c.x, moved])))
    got = c.values("confidence")
    c.close(np.concatenate([got[:, 0], got[:, 2]]), right.max(1), "confidence")


def _ways(c: Case, epsilon: Array, outcome: Array, start: Array) -> None:
    """At the end of a way another class is said, and at its beginning that of the label, where the outcome says so."""
    y = c.y
    said = c.net.logits(start)
    first, best = said.argmax(1), np.sort(said, 1)
    clear = best[:, -1] - best[:, -2] > 30 * c.net.near * np.abs(said).max() if said.shape[1] > 1 else y < 0
    require(((outcome == "already wrong") == (first != y))[clear], "an outcome at the beginning is another")
    require(np.isfinite(epsilon) == (outcome == "crossed"), "a distance without a crossing, or none with one")
    largest = c.given.get("epsilon_max", 0.1)
    require((epsilon[outcome == "crossed"] > 0) & (epsilon[outcome == "crossed"] <= largest * (1 + 1e-6)), "a distance")


def _travel(c: Case) -> None:
    epsilon, outcome = c.values("epsilon"), c.values("outcome")
    _ways(c, epsilon, outcome, c.x)
    if "moved" in c.result:
        said = c.net.logits(c.values("moved").reshape(c.x.shape))
        best = np.sort(said, 1)
        clear = (outcome == "crossed") & (best[:, -1] - best[:, -2] > 30 * c.net.near * np.abs(said).max())
        require((said.argmax(1) != c.y)[clear], "what crossed is on the same side")


def _jump(c: Case) -> None:
    _ways(c, c.values("epsilon")[:, 0], c.values("outcome")[:, 0], c.x)
    if not c.given.get("clamp") and c.given.get("jump", 0.05) > 30 * c.net.near:
        c.close(c.values("psnr_jump"), np.full(len(c.x), -20 * np.log10(c.given.get("jump", 0.05))), "psnr", 1e-3)


def _path(c: Case) -> None:
    probability, lengths = c.values("probability"), c.result["step"]
    require(np.abs(probability.sum(-1) - 1) <= max(1e-6, 3 * c.net.near), "probabilities do not sum to one")
    if len(lengths) and float(np.ravel(c.given.get("lengths", (0.0,)))[0]) == 0:
        c.close(probability[:, 0, 0], softmax(c.net.logits(c.x)), "the first probabilities")


def _predict(c: Case) -> None:
    c.close(c.result.logits.double().numpy(), c.net.logits(c.x), "logits", 1e-6)


def _reliability(c: Case) -> None:
    if c.given.get("logits") is not None:
        return
    heat = c.given.get("temperature") or 1.0
    if heat > 1e6:  # all confidences are one
        return
    shares = softmax(c.net.logits(c.x) / heat)
    confidence, right = shares.max(1), shares.argmax(1) == c.y
    count = len(c.values("count"))
    where = np.clip(np.ceil(confidence * count).astype(int) - 1, 0, count - 1)
    gaps = [(right[where == b].mean() - confidence[where == b].mean()) * (where == b).mean() for b in set(where)]
    require(c.values("count").sum() == len(c.x), "images are lost")
    c.close(c.values("ece"), np.abs(gaps).sum(), "ece", 1e-6)


def _temperature(c: Case) -> None:
    if c.given.get("logits") is not None:
        return
    z, y = c.net.logits(c.x), c.y

    def loss(heat: float) -> float:
        return float(-np.log(softmax(z / heat)[np.arange(len(y)), y] + 1e-300).mean())

    heat = float(c.result.temperature)
    require(heat > 0, "a temperature that is not positive")
    best = min(loss(heat * factor) for factor in (0.9, 1.0, 1.1))
    require(loss(heat) <= best + 1e-3 * abs(best) + 1e-9, "the temperature is not the best")


def _match(c: Case) -> None:
    matched = c.values("matched").reshape(len(c.result.pair), -1)
    require((matched >= 0) & (matched <= 1), "pixels outside [0, 1]")
    got, goal = c.net.embed(matched), c.net.embed(c.flat(c.given["target"]))
    norms = np.linalg.norm(got, axis=1) * np.linalg.norm(goal, axis=1)
    if (norms > 0).all():
        c.close(c.values("cosine"), (got * goal).sum(1) / norms, "cosine", 1e-6)


def _walk(c: Case) -> None:
    ends = c.values("path")[:, 0].reshape(len(c.result.pair), -1)
    c.close(ends, c.flat(c.given["source"]), "the beginning of the path", 1e-6)


def _bounded(c: Case) -> None:
    for name in {"lldlc", "slope", "top_singular_value"} & set(c.result.data_vars):
        found = c.values(name)
        require(~(found > c.net.lipschitz * (1 + 1e-5 + 10 * c.net.near)), f"{name} is beyond the largest there is")
        require(~(found < 0), f"{name} is negative")


def _angles(c: Case) -> None:
    for name, found in c.result.data_vars.items():
        if found.attrs.get("units") == "rad" and name not in ("predicted_angle", "noise_floor"):
            require(~((found.values < 0) | (found.values > np.pi + 1e-6)), f"{name} is no angle")


def _remainder(c: Case) -> None:
    require(isinstance(c.result, xr.Dataset), "no measurement")


def _attack(c: Case) -> None:
    """By the first attack, FGSM's line."""
    _ways(c, c.values("epsilon")[:, 0], c.values("outcome")[:, 0], c.x)
    found = c.values("epsilon")[c.values("outcome")[:, 0] == "crossed"]
    least = c.values("smallest")[c.values("outcome")[:, 0] == "crossed"]
    require(least == np.nanmin(found, 1, initial=np.inf), "the smallest attack is not the smallest")


def _plane(c: Case) -> None:
    _ways(c, c.values("epsilon")[:, 0], np.full(len(c.x), "crossed"), c.x)
    require(np.abs(c.values("corner_position")[:, 0]) < 1e-6, "the image is not where the axes begin")


ANSWERS: dict[str, Callable[[Case], None]] = {
    "additivity": _angles, "curvature": _angles, "direction_change": _angles, "step_law": _angles,
    "trajectory": _angles, "fgsm_direction": lambda c: _sign(c, c.result.double().flatten(1).numpy()),
    "fgsm_path": _path, "fgsm_step": _fgsm_step, "fibre_walk": _walk, "homotopy": _walk, "jacobian": _jacobian,
    "jvp": _jvp, "vjp": _vjp, "leading_singular_values": _singular, "singular_spectrum": _singular,
    "singular_steps": _singular_steps, "lldlc": _bounded, "step_response": _bounded, "match": _match,
    "match_remainder": _remainder, "path_plane": _plane, "predict": _predict, "random_jump": _jump,
    "reliability": _reliability, "smallest_attack": _attack, "temperature": _temperature, "travel_distance": _travel,
}  # fmt: skip


def _dataset(found: xr.Dataset, images: int | None, net: Known | None = None) -> None:
    require(len(found.data_vars), "an empty measurement")
    require(all(size for size in found.sizes.values()), "nothing along a dimension")
    if images is not None and "image" in found.sizes:
        require(found.sizes["image"] == images, f"{found.sizes['image']} of {images} images")
    for name, variable in found.data_vars.items():
        base = str(name).removesuffix("_low").removesuffix("_high")
        if name == "rounding" and net is not None and net.lipschitz > np.finfo(np.float32).max:
            continue  # it is measured in float32
        if variable.dtype.kind == "f" and name == base and base not in OPEN:
            require(np.isfinite(variable.values), f"{name} is not finite")


def _psnr(given: Mapping[str, Any], result: Any) -> None:
    a, b = (np.asarray(as_tensor(given[key]), dtype=float) for key in "ab")
    error = ((a - b) ** 2).reshape(len(a), -1).mean(1)
    with np.errstate(divide="ignore"):
        right = -10 * np.log10(error)
    require((np.abs(result.numpy() - right) < 1e-3) | (error == 0) | (np.isnan(right) & result.isnan().numpy()), "psnr")


def _plain(value: Any) -> Any:
    """An argument as the door of arguments makes it."""
    if isinstance(value, torch.Tensor) and not value.ndim:
        return value.item()
    return sorted(value) if isinstance(value, set) else value


def check(name: str, given: Mapping[str, Any], result: Any, net: Known | None) -> None:
    """Raise `Wrong` unless a call's result is right, as far as that can be known without it.

    `net` is the network by hand; None where the call takes none.
    """
    given = {key: _plain(value) for key, value in given.items()}
    room, _, plain = name.partition(".")
    if room == "figures":
        require(isinstance(result, Figure) and result.axes, "a figure of nothing")
    elif room == "explore":
        require(isinstance(result, Explorer) and result.title, "no explorer")
    elif plain in ANSWERS:
        assert net is not None
        key = "images" if "images" in given else None
        case = Case(given, result, net)
        if isinstance(result, xr.Dataset):
            _dataset(result, len(case.x) if key else None, net)
        ANSWERS[plain](case)
    elif room == "model" and plain in ("embeddings", "labels", "probabilities"):
        assert net is not None
        x = given["model"].pixels(given["images"]).double().flatten(1).numpy()
        right = net.embed(x) if plain == "embeddings" else net.logits(x)
        right = {"labels": right.argmax(1), "probabilities": softmax(right)}.get(plain, right)
        near(result.double().numpy(), right, plain, net.near)
    elif plain == "save_measurement":
        require(vg.open_measurement(result).identical(given["dataset"]), "the file holds another measurement")
    elif plain == "psnr":
        _psnr(given, result)
    elif isinstance(result, vg.VisionModel):
        x = torch.full((1, 3, *result.size), 0.5)
        require(bool(torch.isfinite(result.embeddings(x)).all()), "a model without an embedding")
    elif isinstance(result, xr.Dataset):
        _dataset(result, None)
    elif isinstance(result, vg.Images | vg.LabelledImages):
        require(len(result), "no images")
        require(
            isinstance(result, vg.LabelledImages) or bool(((result.pixels >= 0) & (result.pixels <= 1)).all()), "px"
        )
        require(given.get("n") is None or len(result) <= given["n"], "more images than were asked for")
    elif isinstance(result, vg.Predictions):
        require(bool(torch.isfinite(result.logits).all()), "logits that are not finite")
    elif isinstance(result, Path):
        require(result.exists(), "a path to nothing")
    elif type(result).__name__ == "Summary":
        require(result.skipped or (result.measured + result.present and not result.failed), "a sweep of nothing")
    elif not isinstance(result, bool | str | tuple) and not callable(result):
        require(len(result) and (isinstance(result, list | pd.DataFrame) or hasattr(result, "name")), "no result")
