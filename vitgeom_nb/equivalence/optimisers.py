"""Moving images until they embed where they should: one stopping rule and one count for every method."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

from ..core.batching import each_batch, in_batches
from ..core.progress import tqdm
from ..jacobians.products import jvp_at, vjp_at
from ..networks.vision_model import VisionModel
from .proximal_lbfgs import TINY

Stepper = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""`(rows, x, error, gradient) -> next x`, from points `(R,n)`, errors f(x) - t `(R,D)` and gradients J^T (f(x) - t)."""


# Machine epsilons, relative to ||t||, between embeddings that are the same for all that rounding lets one know. It is
# assumed, for nothing measures it where nothing differs: passes through the shipped networks differ by up to 8, deeper
# ones by more, and a pair that only rounding holds apart would never arrive. Too much costs little: in float32 it is
# 1e-4 of the length of the target, where a cosine of 0.999 leaves 4e-2.
SAME = 1000


def distance_to_go(f_0: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The distance `(P,)` from the embeddings of sources to those of targets, `(P,D)`, that a residual of 1 stands for.

    Where the two are one embedding it is no less than what rounding makes of them, and never zero: such a pair has
    nothing to go.
    """
    same = SAME * torch.finfo(t.dtype).eps * t.norm(dim=1)
    return torch.maximum((f_0 - t).norm(dim=1), same).clamp_min(TINY)


class Objective:
    """Loss 1/2 ||f(x) - t||^2 of each pair, with the number of evaluations that each has cost.

    An evaluation is one forward and one backward pass for one image. Images are flat `(R,n)` rows here. They are
    evaluated in batches that suit the device. A batch for which there is no memory is halved, and stays so.
    """

    def __init__(self, model: VisionModel, targets: torch.Tensor, max_evaluations: int) -> None:
        self.model, self.targets = model, targets
        self.max_evaluations = max_evaluations
        self.evaluations = torch.zeros(len(targets), dtype=torch.long, device=targets.device)
        self.done = torch.zeros(len(targets), dtype=torch.bool, device=targets.device)
        self.size = model.batch_size

    def remaining(self, rows: torch.Tensor) -> torch.Tensor:
        """How many evaluations each of `rows` may still spend: none where it is done."""
        return torch.where(self.done[rows], 0, self.max_evaluations - self.evaluations[rows])

    def _batched(self, function: Callable[..., torch.Tensor], *tensors: torch.Tensor) -> torch.Tensor:
        parts = list(each_batch(function, *tensors, size=self.size))
        if len(parts) > 1:
            self.size = len(parts[-2])  # what did fit; the last part is what was left over
        return torch.cat(parts)

    def images(self, x: torch.Tensor) -> torch.Tensor:
        """Flat rows `(R,n)` as images `(R,3,H,W)`."""
        return x.unflatten(1, (3, *self.model.size))

    def __call__(self, rows: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings and gradients of the pairs `rows` at `x`: one evaluation each."""

        def both(x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                embedding = self.model.embed(self.images(x))
                (gradient,) = torch.autograd.grad((embedding - targets).square().sum() / 2, x)
            return torch.cat([embedding.detach(), gradient], dim=1)

        self.evaluations[rows] += 1
        return self._batched(both, x, self.targets[rows]).split([self.targets.shape[1], x.shape[1]], dim=1)

    def gram(
        self, rows: torch.Tensor, x: torch.Tensor, y: torch.Tensor, free: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """J u and u = M J^T y, for the Jacobian J at `x` and the mask M of `free` pixels: two evaluations each."""

        def product(x: torch.Tensor, y: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
            images = self.images(x)
            step = vjp_at(self.model, images, y).flatten(1) * free
            return torch.cat([jvp_at(self.model, images, self.images(step)), step], dim=1)

        self.evaluations[rows] += 2
        return self._batched(product, x, y, free).split([y.shape[1], x.shape[1]], dim=1)


class Goal(NamedTuple):
    """When a pair has arrived: the cosine to the target, and the distance left relative to that of the source."""

    cosine: float
    residual: float

    def met(self, cosine: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """Which pairs have arrived; a cosine with a target at the origin says nothing."""
        return ((cosine >= self.cosine) & (residual <= self.residual)) | (residual == 0)


HISTORIES = ("loss", "cosine", "residual", "change")


class Descent(NamedTuple):
    """Points `(P,n)`, their embeddings, whether each met the goal, and four histories `(P,steps)` by evaluation.

    `change` is the root mean square of the difference from the start, per pixel. `stopped` is what ended it before its
    time; the points are the best until then.
    """

    x: torch.Tensor
    embedding: torch.Tensor
    converged: torch.Tensor
    evaluations: torch.Tensor
    loss: torch.Tensor
    cosine: torch.Tensor
    residual: torch.Tensor
    change: torch.Tensor
    stopped: BaseException | None


def descend(
    objective: Objective,
    start: torch.Tensor,
    stepper: Stepper,
    goal: Goal,
    scale: torch.Tensor,
    progress: str | None = None,
) -> Descent:
    """Step every pair from `start` until it meets the goal, moves no more, or has spent its evaluations.

    What comes back is the point that met the goal, else the evaluated point of lowest loss. `scale` `(P,)` is the
    distance that a residual of 1 stands for. What ends it after the first step is not raised but handed back.
    """
    count, targets, max_evaluations = len(start), objective.targets, objective.max_evaluations
    x, best, embedding = start.clone(), start.clone(), torch.zeros_like(targets)
    lowest = start.new_full((count,), float("inf"))
    converged = torch.zeros(count, dtype=torch.bool, device=start.device)
    history = start.new_full((len(HISTORIES), count, max_evaluations), float("nan"))
    stopped: BaseException | None = None
    active = torch.arange(count, device=start.device)
    try:
        with tqdm(total=count, desc=progress, disable=progress is None, leave=False) as bar:
            while len(active):
                point = x[active]
                here, gradient = objective(active, point)
                error = here - targets[active]
                distance = error.norm(dim=1)
                cosine = F.cosine_similarity(here, targets[active])
                loss, residual = distance.square() / 2, distance / scale[active]
                change = (point - start[active]).square().mean(1).sqrt()
                history[:, active, objective.evaluations[active] - 1] = torch.stack([loss, cosine, residual, change])
                met = goal.met(cosine, residual)
                better = met | (loss < lowest[active])
                best[active] = torch.where(better[:, None], point, best[active])
                embedding[active] = torch.where(better[:, None], here, embedding[active])
                lowest[active] = torch.where(better, loss, lowest[active])
                converged[active] = objective.done[active] = met
                moved = stepper(active, point, error, gradient)
                going = (moved != point).any(1) & moved.isfinite().all(1) & (objective.remaining(active) > 0)
                x[active] = moved
                # the one time in a step that the host waits: pairs at their end would cost an evaluation each
                kept = going.nonzero()[:, 0]
                bar.update(len(active) - len(kept))
                active = active[kept]
    except KeyboardInterrupt as error:  # it may have come between two of the lines above: measure the points anew
        stopped = error
        with torch.no_grad():
            embedding = in_batches(objective.model.embed, objective.images(best), size=objective.size)
        converged = goal.met(F.cosine_similarity(embedding, targets), (embedding - targets).norm(dim=1) / scale)
    except Exception as error:  # of the network, or no memory; it comes from a call, so that the lines above agree
        if not lowest.isfinite().any():
            raise
        stopped = error
    used = min(max_evaluations, int(objective.evaluations.max()))
    loss, cosine, residual, change = history[:, :, :used]
    spent = objective.evaluations.clone()
    return Descent(best, embedding, converged, spent, loss, cosine, residual, change, stopped)


class GradientDescent:
    """x <- x - lr J^T (f(x) - t), clipped to the box, with the rate `lr` `(P,)` or one for all.

    Without `lr` each pair takes ||f - t||^2 / ||J^T (f - t)||^2 at its source and keeps it: the step that would
    bring a loss that is linear along the gradient to zero.
    """

    def __init__(self, like: torch.Tensor, lr: float | None) -> None:
        self.lr = like.new_full((len(like),), float("nan") if lr is None else lr)

    def __call__(
        self, rows: torch.Tensor, x: torch.Tensor, error: torch.Tensor, gradient: torch.Tensor
    ) -> torch.Tensor:
        """One step of `rows`."""
        polyak = error.square().sum(1) / gradient.square().sum(1).clamp_min(TINY)
        self.lr[rows] = torch.where(self.lr[rows].isnan(), polyak, self.lr[rows])
        return (x - self.lr[rows, None] * gradient).clamp(0, 1)


class Adam:
    """Adam (Kingma and Ba, arXiv 1412.6980) with its published constants and a rate `lr` a pair, clipped to the box."""

    def __init__(self, like: torch.Tensor, lr: float | None) -> None:
        self.first, self.second = torch.zeros_like(like), torch.zeros_like(like)
        self.count, self.lr = torch.zeros_like(like[:, :1]), torch.full_like(like[:, :1], lr or 0.01)

    def __call__(
        self, rows: torch.Tensor, x: torch.Tensor, error: torch.Tensor, gradient: torch.Tensor
    ) -> torch.Tensor:
        """One step of `rows`."""
        self.count[rows] += 1
        self.first[rows] = 0.9 * self.first[rows] + 0.1 * gradient
        self.second[rows] = 0.999 * self.second[rows] + 0.001 * gradient.square()
        mean = self.first[rows] / (1 - 0.9 ** self.count[rows])
        spread = (self.second[rows] / (1 - 0.999 ** self.count[rows])).sqrt()
        return (x - self.lr[rows] * mean / (spread + 1e-8)).clamp(0, 1)


class GaussNewton:
    r"""dx = M J^T (J M J^T + lambda I)^-1 (t - f(x)): the least-norm step to first order, over the free pixels M.

    Solved by conjugate gradients on products with J and J^T. lambda is the trust region: it falls when the linear
    model foretells the loss well, and grows when it does not.
    """

    def __init__(
        self, objective: Objective, start: torch.Tensor, iterations: int = 20, tolerance: float = 0.05
    ) -> None:
        self.objective, self.iterations, self.tolerance = objective, iterations, tolerance
        self.x, self.gradient, self.error = start.clone(), start.clone(), objective.targets.clone()
        self.loss, self.predicted, self.damping, self.curvature = (
            start.new_full((len(start),), torch.inf) for _ in range(4)
        )

    def __call__(
        self, rows: torch.Tensor, x: torch.Tensor, error: torch.Tensor, gradient: torch.Tensor
    ) -> torch.Tensor:
        """One trial point of `rows`; a row comes back unchanged when no trust region is small enough."""
        loss, before = error.square().sum(1) / 2, self.loss[rows]
        first = before.isinf()
        gain = (before - loss) / (before - self.predicted[rows])
        curvature = gradient.square().sum(1) / (2 * loss).clamp_min(TINY)
        self.curvature[rows] = torch.where(first, curvature, self.curvature[rows])
        factor = torch.where(gain > 0.75, 0.25, torch.where(gain > 0.25, 1.0, 4.0))
        self.damping[rows] = torch.where(first, 0.01 * curvature, self.damping[rows] * factor)
        better = first | (gain > 1e-3)
        kept = better[:, None]
        self.x[rows], self.error[rows] = torch.where(kept, x, self.x[rows]), torch.where(kept, error, self.error[rows])
        self.gradient[rows] = torch.where(kept, gradient, self.gradient[rows])
        self.loss[rows] = torch.where(better, loss, before)
        stuck = self.damping[rows] > 1e8 * self.curvature[rows]
        return torch.where(stuck[:, None], x, (self.x[rows] + self._solve(rows)).clamp(0, 1))

    def _solve(self, rows: torch.Tensor) -> torch.Tensor:
        """The damped least-norm step by conjugate gradients; records the loss that the linear model foretells."""
        x, gradient = self.x[rows], self.gradient[rows]
        free = (~(((x <= 0) & (gradient > 0)) | ((x >= 1) & (gradient < 0)))).to(x.dtype)
        left = -self.error[rows]
        step, y, direction = torch.zeros_like(x), torch.zeros_like(left), left.clone()
        enough = self.tolerance * left.norm(dim=1)
        for _ in range(self.iterations):
            # the host waits once a product, lest it be made for pairs that are solved or may spend no more
            live = ((left.norm(dim=1) > enough) & (self.objective.remaining(rows) > 2)).nonzero()[:, 0]
            if not len(live):
                break
            p = direction[live]
            image, move = self.objective.gram(rows[live], x[live], p, free[live])
            image = image + self.damping[rows[live], None] * p
            before = left[live].square().sum(1, keepdim=True)
            length = before / (p * image).sum(1, keepdim=True).clamp_min(TINY)
            step[live] += length * move
            y[live] += length * p
            left[live] -= length * image
            direction[live] = left[live] + left[live].square().sum(1, keepdim=True) / before * p
        self.predicted[rows] = (left + self.damping[rows, None] * y).square().sum(1) / 2
        return step
