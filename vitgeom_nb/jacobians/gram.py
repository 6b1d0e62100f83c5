r"""The singular spectrum of a wide matrix J `(D,n)`, from `J J^T` in float64: values, vectors, null space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch

from ..errors import ArgumentError, ModelError

COLUMNS = 16384  # columns of J taken to float64 at a time
ROWS = 192  # rows multiplied at a time: the Gram matrix is symmetric, and half of its blocks are enough
TOLERANCE = 1e-5  # of the largest singular value; the rounding of a float32 J stays a decade below


class Spectrum(NamedTuple):
    """Singular values of one J, largest first, and its left vectors.

    `values` is `(R,)` and `left` `(D,R)`, both float64, R = min(D, n); `rank` counts the values above `tolerance` times
    the largest, whose right vectors span the normal space.
    """

    values: torch.Tensor
    left: torch.Tensor
    rank: int
    tolerance: float

    @property
    def stable_rank(self) -> float:
        r"""`||J||_F^2 / s_1^2`; NaN where J is zero."""
        return float(self.values.square().sum() / self.values[0].square())


def gram_matrix(J: torch.Tensor) -> torch.Tensor:
    """`J J^T` `(D,D)` in float64, of which float32 rows `(D,n)` are taken to float64 a part at a time."""
    count = len(J)
    gram = J.new_zeros(count, count, dtype=torch.float64)
    for part in J.split(COLUMNS, dim=1):
        wide = part.double()
        for i in range(0, count, ROWS):
            gram[i : i + ROWS, i:] += wide[i : i + ROWS] @ wide[i:].T
    return gram.triu() + gram.triu(1).T


def row_sums(J: torch.Tensor) -> torch.Tensor:
    """Sums of the rows `(D,)` in float64, a part of the columns at a time: `sum(dtype=...)` copies all of them."""
    return torch.stack([part.sum(1, dtype=torch.float64) for part in J.split(COLUMNS, dim=1)]).sum(0)


def spectrum(J: torch.Tensor, tolerance: float = TOLERANCE) -> Spectrum:
    r"""Singular values and left vectors of J `(D,n)` from `J J^T`, accumulated in float64.

    The Gram matrix squares the values, so it resolves them down to about 1e-8 of the largest, which is below the
    rounding of a float32 J; what lies under `tolerance * s_1` is called null. The cost is half a D x n x D product and
    a D x D eigenproblem, whatever n. Signs, which are free, make the entries of each right vector sum to above zero.
    """
    return from_gram(gram_matrix(J), row_sums(J), min(J.shape), tolerance)


def from_gram(
    gram: torch.Tensor, sums: torch.Tensor, count: int, tolerance: float = TOLERANCE, error: float = 0.0
) -> Spectrum:
    """The spectrum of `count` values of the J with this Gram matrix `(D,D)` and these sums of its rows `(D,)`.

    What lies under `tolerance * s_1` is called null, or under `error * ||J||_F` where that is more: an error of that
    relative size in J moves no value further (Weyl).
    """
    if not bool(gram.isfinite().all()):
        raise ModelError("The squares of this Jacobian are too large for float64; scale the embedding down.")
    squares, left = torch.linalg.eigh(gram)
    values, left = squares.flip(0)[:count].clamp_min(0).sqrt(), left.flip(1)[:, :count]
    signs = torch.where(sums @ left < 0, -1.0, 1.0)
    tolerance = max(tolerance, error * float(values.norm() / values[0])) if error else tolerance
    return Spectrum(values, left * signs, int((values > tolerance * values[0]).sum()), tolerance)


def right_vectors(J: torch.Tensor, parts: Spectrum, k: int | None = None) -> torch.Tensor:
    """The first `k` right singular vectors `(k,n)`, float64; NaN where the value is null, for J says nothing there."""
    return right_vectors_of([J], parts, len(parts.values) if k is None else k)


def right_vectors_of(blocks: Iterable[torch.Tensor], parts: Spectrum, k: int) -> torch.Tensor:
    """`right_vectors` of the J whose rows come in `blocks` `(K_i,n)`, none of which is kept."""
    scaled, done = (parts.left[:, :k] / parts.values[:k]).T, 0
    right = scaled.new_zeros(k, 0)
    for block in blocks:
        if not done:
            right = scaled.new_zeros(k, block.shape[1])
        weights = scaled[:, done : done + len(block)]
        for start in range(0, block.shape[1], COLUMNS):
            columns = slice(start, start + COLUMNS)
            right[:, columns] += weights @ block[:, columns].double()
        done += len(block)
    right[parts.rank :] = torch.nan
    return right


def project_null(J: torch.Tensor, v: torch.Tensor, parts: Spectrum | None = None) -> torch.Tensor:
    """The part of `v` that J does not see, `v - J^+ J v`: `(n,)` or `(K,n)` in, the same out, in the dtype of `v`.

    J^+ uses the singular values that the `rank` of `parts` counts (computed from J unless given). What is left of
    J v is rounding. The remainder `v - project_null(J, v)` lies in the normal space.
    """
    parts = spectrum(J) if parts is None else parts
    kept = parts.left[:, : parts.rank]
    inverse = (kept / parts.values[: parts.rank].square()) @ kept.T
    out = v.double()
    for _ in range(2):  # the second pass removes what rounding left of the first
        weights = directional_derivatives(J, out) @ inverse
        out = torch.cat([o - weights @ rows for o, rows in _wide_parts(out, J)], dim=-1)
    return out.to(v.dtype)


def directional_derivatives(J: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """`J v` of each direction, `(n,)` or `(K,n)` in, `(D,)` or `(K,D)` out, float64, a part of the columns at a time.

    Examples
    --------
    >>> directional_derivatives(torch.eye(2), torch.tensor([[3.0, 4.0], [1.0, 0.0]]))
    tensor([[3., 4.],
            [1., 0.]], dtype=torch.float64)
    """
    out = torch.zeros(*v.shape[:-1], len(J), dtype=torch.float64, device=J.device)
    for some, rows in _wide_parts(v, J):
        out += some @ rows.T
    return out


def _wide_parts(v: torch.Tensor, J: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The same few columns of `v` and of J in float64, part after part: a float64 copy of J is twice J's size."""
    for some, rows in zip(v.split(COLUMNS, dim=-1), J.split(COLUMNS, dim=1), strict=True):
        yield some.double(), rows.double()


Rows = Callable[[int], Iterable[torch.Tensor]]
"""`rows(i)` gives the rows of J from the i-th to the last, in blocks."""


def tiled_gram(rows: Rows, count: int, held: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`J J^T` `(D,D)` and the sums of the D = `count` rows `(D,)`, both float64, from rows of which few are held.

    A tile of `held` rows stays while those behind it stream past, `ROWS` at a time; then the next tile, until there
    are no rows left. If not all rows fit, that computes `(D / held + 1) / 2` times as many as there are.
    """
    gram = sums = torch.empty(0)
    for first in range(0, count, held):
        groups = _regrouped(rows(first), count - first, held)
        tile = next(groups)
        if not first:
            gram, sums = (tile.new_zeros(shape, dtype=torch.float64) for shape in ((count, count), (count,)))
        last = first + len(tile)
        gram[first:last, first:last], sums[first:last] = gram_matrix(tile), row_sums(tile)
        for group in groups:
            here = slice(last, last + len(group))
            for a, b in zip(tile.split(COLUMNS, dim=1), group.split(COLUMNS, dim=1), strict=True):
                gram[first : first + len(tile), here] += a.double() @ b.double().T
            last += len(group)
    return gram.triu() + gram.triu(1).T, sums


def _regrouped(blocks: Iterable[torch.Tensor], count: int, first: int) -> Iterator[torch.Tensor]:
    """Blocks that hold `count` rows together as a group of `first` rows, then groups of `ROWS`."""
    size = min(first, count)
    group, filled = None, 0
    for block in blocks:
        while len(block):
            taken = block[: size - filled]
            if len(taken) == size:
                group = taken
            else:
                group = taken.new_empty(size, taken.shape[1]) if group is None else group
                group[filled : filled + len(taken)] = taken
            filled += len(taken)
            block = block[len(taken) :]
            if filled == size:
                yield group
                count -= size
                group, filled, size = None, 0, min(ROWS, count)


def check_tolerance(tolerance: float) -> None:
    """Raise ArgumentError unless `tolerance` is a relative size."""
    if not 0 < tolerance < 1:
        raise ArgumentError(f"tolerance is {tolerance}; choose a relative size between 0 and 1, such as {TOLERANCE}.")
