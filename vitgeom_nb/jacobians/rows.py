r"""The Jacobian J = df/dx of an embedding: its rows, all of it.

Arrays in this module are `(D, n)`: D components of the embedding, n = 3HW pixel values in the order of
`image.flatten()`. Blocks of rows need no J in memory; `jacobian_rows` holds one image's J.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
import xarray as xr

from ..core.arguments import checked
from ..core.batching import each_batch
from ..core.measurement import Stopwatch, Variable, measurement
from ..core.random_directions import generator
from ..errors import ArgumentError, keeping
from ..networks.differentiation import batched_reverse_mode
from ..networks.vision_model import VisionModel
from .chunks import FEWEST, chunk_in_use, chunks_to_time, remember

PROBES = 8  # random cotangents behind the estimated error of a reduced precision


def clock() -> float:
    """Seconds, of which other work on the machine takes none where there is one thread; more of them wait in turn."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def jacobian_blocks(
    model: VisionModel,
    image: torch.Tensor,
    cotangents: torch.Tensor | None = None,
    chunk: int | None = None,
    progress: str | None = None,
    precision: torch.dtype | None = None,
    of: str = "this image",
) -> Iterator[torch.Tensor]:
    """Rows of `cotangents @ J` at one image as they come, `(K_i,n)` at a time, so that nobody need hold them all.

    One forward pass, then reverse mode on chunks of cotangents, vectorised where they hold more than one. No gradient
    of a parameter is computed.

    Parameters
    ----------
    image
        `(3,H,W)` or `(1,3,H,W)`, on the model's device and in its dtype.
    cotangents
        `(K,D)`; the identity, which gives J itself, unless told.
    chunk
        Cotangents at a time, halved when memory runs out. Unless told, what fits the free memory; a processor is timed
        on the first rows with 1, 8, 16 and 32 at a time, once for a network, and takes what was fastest. Rows from
        chunks of different sizes agree to rounding, not to the last bit.
    progress
        Title of a progress bar; none unless given.
    precision
        A reduced precision, such as `torch.bfloat16`, for the matrix products inside. Rows come in the model's own.
    of
        What an error calls the image.

    Raises
    ------
    ModelError
        If the embedding or a row holds NaN or infinity.
    """
    x = image.detach().reshape(1, *image.shape[-3:])
    if cotangents is None:
        cotangents = torch.eye(model.dim, device=model.device, dtype=model.dtype)
    done = 0
    if chunk is None:
        seconds: dict[int, float] = {}
        sizes, samples = chunks_to_time(model, precision, len(cotangents))
        for size in sizes:
            few, spent, here = max(size, FEWEST), [0.0] * samples, 0
            start = clock()
            for block in _pulled_back(model, x, cotangents[done : done + samples * few], size, None, precision, of):
                spent[here // few] += clock() - start
                here, done = here + len(block), done + len(block)
                yield block
                start = clock()
            seconds[size] = min(spent) / few
        chunk = remember(model, precision, seconds) if seconds else chunk_in_use(model, precision)
    yield from _pulled_back(model, x, cotangents[done:], chunk, progress, precision, of)


def _pulled_back(
    model: VisionModel,
    x: torch.Tensor,
    cotangents: torch.Tensor,
    size: int,
    progress: str | None,
    precision: torch.dtype | None,
    of: str,
) -> Iterator[torch.Tensor]:
    """Rows from cotangents `size` at a time, by one forward pass at x `(1,3,H,W)`."""
    less = precision is not None
    several = batched_reverse_mode(autocast=less) if size > 1 else nullcontext()
    with torch.enable_grad(), several, torch.autocast(model.device.type, precision, enabled=less):
        leaf = x.clone().requires_grad_()
        embedding = model.embed(leaf)
    model.finite(embedding.detach(), "embedding", of, None)

    def one(u: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(embedding, leaf, u[None].to(embedding.dtype), retain_graph=True)[0].flatten()

    def pulled(block: torch.Tensor) -> torch.Tensor:
        return torch.func.vmap(one)(block) if len(block) > 1 else one(block[0])[None]

    for block in each_batch(pulled, cotangents, size=size, progress=progress):
        yield model.finite(block, "Jacobian", of, None)


def jacobian_rows(
    model: VisionModel,
    image: torch.Tensor,
    cotangents: torch.Tensor | None = None,
    chunk: int | None = None,
    progress: str | None = None,
    precision: torch.dtype | None = None,
    out: torch.Tensor | None = None,
    of: str = "this image",
) -> torch.Tensor:
    """All rows of `jacobian_blocks` as one `(K,n)` tensor, written into `out` where given."""
    count = model.dim if cotangents is None else len(cotangents)
    if out is None:
        out = image.new_empty(count, image.numel())
    done = 0
    for block in jacobian_blocks(model, image, cotangents, chunk, progress, precision, of):
        out[done : done + len(block)] = block
        done += len(block)
    return out


def reduced(precision: str | None, model: VisionModel) -> torch.dtype | None:
    """The reduced precision of that name, None for the model's own.

    Raises
    ------
    ArgumentError
        If there is no such precision, or it is not less than the model's own.
    """
    known = {"bfloat16": torch.bfloat16, "float16": torch.float16}
    if precision is None or precision == str(model.dtype).removeprefix("torch."):
        return None
    if precision not in known or model.dtype != torch.float32:
        own = str(model.dtype).removeprefix("torch.")
        raise ArgumentError(
            f"precision is {precision!r}; choose {' or '.join(map(repr, known))} for a float32 model, or leave it out: "
            f"{model.name} computes in {own}."
        )
    return known[precision]


def reduction_error(model: VisionModel, image: torch.Tensor, precision: torch.dtype | None, seed: int) -> float:
    r"""Estimated `||J_reduced - J||_F / ||J||_F` at one image, from `PROBES` random cotangents u.

    `E ||u^T A||^2 = ||A||_F^2` for u of independent standard normal components. 0 for the model's own precision.
    """
    if precision is None:
        return 0.0
    u = torch.randn(PROBES, model.dim, generator=generator(seed), dtype=torch.float64).to(model.device, model.dtype)
    full, less = (jacobian_rows(model, image, u, precision=p) for p in (None, precision))
    return float((less - full).norm() / full.norm())


@checked
def jacobian(
    model: VisionModel,
    images: Any,
    *,
    precision: str | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""The Jacobian `J = df/dx` of the embedding at each image, exact to rounding, by reverse mode.

    Parameters
    ----------
    model
        The network; J is in its dtype.
    images
        `(B,3,H,W)` in [0,1], or what `samples()` returns. J takes B x D x n numbers.
    precision
        `"bfloat16"` or `"float16"` for the matrix products inside a float32 network: faster where the hardware has
        units for it, and off by about one per cent on transformers, more at the kinks of ReLU networks.
    seed
        Of the random cotangents that estimate the error of a reduced precision.

    Returns
    -------
    xarray.Dataset
        `jacobian(image, component, channel, y, x)`, in embedding units per unit of pixel value (black to white);
        with a reduced `precision` also `jacobian_error(image)`, the estimated relative error in the Frobenius norm.

    Raises
    ------
    ArgumentError
        If there is no such precision.
    ImageError
        If the images are not what the model takes.
    ModelError
        If J holds NaN or infinity.
    Interrupted
        If someone stops it after the first rows; `finished` then has NaN for the rows that were not computed.

    Notes
    -----
    [salman2024], the local linear map whose singular spectrum they study. Rows come in chunks of what fits in
    memory; float32 rows from chunks of different sizes agree to about 1e-6 of the largest, for the library sums in
    another order.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> model = vg.wrap(net, mean=[0] * 3, std=[1] * 3, size=4)
    >>> J = vg.jacobian(model, torch.rand(2, 3, 4, 4)).jacobian
    >>> bool((J[0].values.reshape(5, 48) == net[1].weight.detach().numpy()).all())
    True
    """
    pixels, watch = model.pixels(images), Stopwatch()
    less = reduced(precision, model)
    rows = torch.full((len(pixels), model.dim, pixels[0].numel()), torch.nan, dtype=model.dtype)
    errors = torch.full((len(pixels),), torch.nan)

    def result() -> xr.Dataset:
        dims = ("image", "component", "channel", "y", "x")
        values = rows.view(*rows.shape[:2], *pixels.shape[1:])
        out = {"jacobian": Variable(dims, values, "embedding / pixel", "Jacobian of the embedding")}
        if less is not None:
            out["jacobian_error"] = Variable(("image",), errors, "1", "estimated relative error of the Jacobian")
        return measurement(out, model=model, seed=seed, seconds=watch.seconds, precision=precision or "full")

    def done() -> int:
        return int(rows.isfinite().all(2).sum())

    with keeping(result, done, rows.shape[:2].numel(), "rows"):
        for i, x in enumerate(pixels):
            title = f"Jacobian {i + 1}/{len(pixels)}"
            jacobian_rows(model, x, progress=title, precision=less, out=rows[i], of=f"image {i}")
            errors[i] = reduction_error(model, x, less, seed)
    return result()
