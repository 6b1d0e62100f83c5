"""What a sweep can measure: public measurements by name, one line each, and functions of one's own."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal

from ..core.arguments import checked
from ..errors import ArgumentError
from .files import function_of_file, is_in_file

Unit = Literal["image", "pair"]
Function = Callable[..., Any]
PICTURES = ("channel", "y", "x", "component")
WHOLE = 10**9  # images a call of what compares all of them: they are one shard
RESERVED = ("images", "block", "labels")  # of an entry, not of the function
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


@dataclass(frozen=True)
class Measure:
    """A function that measures images one by one, or pairs of them, and what a sweep keeps of what it returns."""

    name: str
    function: str | Function
    """The function, `path/to/file.py:name`, or `module:name` below this package, imported when it is first used."""
    unit: Unit = "image"
    together: int = 1
    """Images a call: neighbours that begin at a multiple of it, so that no block size changes what shares a batch."""
    block: int = 16
    """Images a shard, unless told."""
    keep: tuple[str, ...] | None = None
    """Variables to keep; all over the unit unless told."""
    without: tuple[str, ...] = PICTURES
    """Dimensions whose variables are left out."""
    partner: str | None = None
    """Keyword under which the function takes another image beside each one."""
    head: bool = False
    """Whether it asks the network for logits."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that a sweep sets itself."""
    source: str | None = None
    """SHA-256 of the source of a function of one's own; other code never joins its shards."""

    def load(self) -> Function:
        """The function itself."""
        if callable(self.function):
            return self.function
        return function_of_file(self.function) if is_in_file(self.function) else named(self.function)

    def check(self, given: Mapping[str, Any]) -> None:
        """Stop parameters that the function does not have.

        Raises
        ------
        ArgumentError
            If there is one; it names those that there are.
        """
        there = inspect.signature(self.load()).parameters.values()
        known = [p.name for p in there if p.kind is p.KEYWORD_ONLY or p.default is not p.empty]
        known = [name for name in known if name not in self.fixed and name not in ("seed", "labels", self.partner)]
        if any(p.kind is p.VAR_KEYWORD for p in there):
            return
        for name in given:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join([*known, *RESERVED])}."
                raise ArgumentError(f"{self.name} has no parameter {name!r}: {hint}")


def named(place: str) -> Function:
    """The function at `module:name` below this package."""
    module, _, name = place.partition(":")
    return getattr(import_module(f"vitgeom_nb.{module}"), name)


_HEADED: dict[str, Any] = {"head": True}
_SOME: dict[str, Any] = {"together": 4, "block": 64, "head": True, "fixed": {"resamples": 1}}  # no interval of so few
_SAID = ("logits", "label")
_CORRUPTED = "calibration.corruptions:corrupted_predictions"
BUILT_IN = (
    Measure("predictions", "sweeps.image_by_image:predictions", together=32, block=512, **_HEADED),
    Measure("reliability", "sweeps.image_by_image:predictions", together=32, block=512, keep=_SAID, **_HEADED),
    Measure("corrupted_predictions", _CORRUPTED, together=32, block=256, **_HEADED),
    Measure("class_cosines", "equivalence.class_cosines:class_cosines", together=WHOLE, block=WHOLE),
    Measure("travel_distance", "boundary.travel:travel_distance", **_SOME),
    Measure("random_jump", "boundary.jumped_travel:random_jump", **_SOME),
    Measure("direction_change", "bending.direction_change:direction_change", block=8),
    Measure("step_law", "bending.step_law:step_law", block=8, keep=("angle", "noise_floor"), fixed={"resamples": 1}),
    Measure("curvature", "bending.path_curvature:curvature", block=8),
    Measure("additivity", "bending.layer_bending:additivity", block=8),
    Measure("singular_spectrum", "jacobians.singular_spectrum:singular_spectrum"),
    Measure("leading_singular_values", "jacobians.lanczos:leading_singular_values"),
    Measure("step_response", "jacobians.step_response:step_response"),
    Measure("lldlc", "equivalence.lipschitz:lldlc", block=8, partner="targets"),
    Measure("match", "equivalence.matching:match", "pair", together=8, without=(*PICTURES, "step")),
    Measure("smallest_attack", "boundary.smallest_attack:smallest_attack", together=8, block=32, **_HEADED),
    Measure("untrained_direction_change", "bending.untrained:untrained_direction_change", block=8),
    Measure("fibre_walk", "equivalence.fibre_walk:fibre_walk", "pair", block=4),
    Measure("match_pictures", "equivalence.matching:match", "pair", together=2, block=2, without=("step",)),
    Measure("trajectory", "bending.image_plane:trajectory", block=1, without=()),
    Measure("singular_steps", "jacobians.singular_directions:singular_steps", block=1, without=()),
    Measure("fgsm_path", "boundary.fgsm_probabilities:fgsm_path", block=1, without=(), **_HEADED),
)  # fmt: skip
_REGISTRY = {one.name: one for one in BUILT_IN}


@checked
def measure(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    unit: Literal["image", "pair"] = "image",
    together: int = 1,
    block: int = 16,
    head: bool = False,
) -> Any:
    """Let a function of your own take part in sweeps, under its name.

    It is called with a model and `Images`, or with a model, sources and targets, and with those of `labels`, `seed` and
    its other parameters by keyword that it has. It returns a measurement, or a mapping of names to arrays whose first
    axis is that of the images. What it draws at random must depend on `seed` and the image alone.

    Parameters
    ----------
    function
        `f(model, images, *, ...)`, or `f(model, source, target, *, ...)` where `unit="pair"`.
    name
        What sweeps call it; the function's own name unless told.
    unit
        `"image"`, or `"pair"`: each image with another one, drawn by the seed and its number.
    together
        Images a call.
    block
        Images a shard, unless the sweep is told.
    head
        Whether it needs logits; networks without a classifier head are then skipped.

    Raises
    ------
    ArgumentError
        If a name or a number cannot be.

    Examples
    --------
    >>> import tempfile, vitgeom_nb as vg
    >>> @vg.measure
    ... def brightness(model, images):
    ...     return {"brightness": images.pixels.mean((1, 2, 3))}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = vg.sweep(["vit"], data="samples:imagenet", measures=["brightness"], out=folder, n=3)
    ...     vg.open_run(folder)["vit"]["brightness"]["brightness"].shape
    (3,)
    """
    if together < 1 or block < 1:
        raise ArgumentError(f"together is {together} and block {block}; both are at least one.")
    options = {"unit": unit, "together": together, "block": block, "head": head}
    if function is None:
        return lambda own: _registered(own, name, options)
    return _registered(function, name, options)


def _registered(function: Function, name: str | None, options: Mapping[str, Any]) -> Function:
    name = str(getattr(function, "__name__", "")) if name is None else name
    check_label(name)
    if any(name == one.name for one in BUILT_IN):
        raise ArgumentError(f"{name!r} is a measure of this package; pass another name=...")
    own = Measure(name, function, without=(), source=digest_of_source(function), **options)
    try:
        function.sweep_measure = own  # type: ignore[attr-defined]
    except (AttributeError, TypeError):
        raise ArgumentError(f"{name} is not written in Python; write a function that calls it.") from None
    _REGISTRY[name] = own
    return function


def digest_of_source(function: Function) -> str:
    """SHA-256 of what a function is written as, or of its code where the text is not to be had."""
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        text = repr((code.co_code, code.co_consts)) if code is not None else type(function).__qualname__
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def names() -> list[str]:
    """Names of all measures that there are now."""
    return list(_REGISTRY)


def find(name: str) -> Measure:
    """A measure by its name, or from a file of one's own: `path/to/file.py:function`.

    Raises
    ------
    ArgumentError
        If there is none.
    """
    if is_in_file(name):
        function = function_of_file(name)
        own: Measure = getattr(function, "sweep_measure", None) or measure(function).sweep_measure
        return replace(own, function=name)  # a worker reads the file itself
    if name not in _REGISTRY:
        close = difflib.get_close_matches(name, _REGISTRY, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(_REGISTRY)}"
        raise ArgumentError(f"There is no measure {name!r}: {hint}; file.py:function is one of your own.")
    return _REGISTRY[name]


def check_label(label: str) -> bool:
    """Stop a label that no file could be named by.

    Raises
    ------
    ArgumentError
        If it is one.
    """
    if not _LABEL.fullmatch(label):
        raise ArgumentError(f"{label!r:.90} is no name for a measure: letters, digits, dots, dashes and underscores.")
    return True
