"""What a model says of images: in batches, without a graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch

from ..core.batching import each_batch, in_batches
from ..core.labels import check_class_names, check_labels, whole_labels
from ..core.modes import usual_modes
from ..errors import LabelError, ModelError, keeping

LARGEST = 1e100  # of components: larger ones have no squares to speak of
Numbers: TypeAlias = int | torch.Tensor | None
"""Of images: that of the first one, those of all of them `(B,)`, or None where words name the one that all rows are."""


def is_finite(found: torch.Tensor) -> torch.Tensor:
    """Which rows of `found` `(B,...)` hold neither NaN nor what has no square, `(B,)`."""
    largest = found.flatten(1).abs().amax(1)  # NaN where there is one; a reading of each number, and no mask of them
    return largest.isfinite() & (largest <= LARGEST)  # in float32 the bound is infinity itself


class Answers(ABC):
    """Embeddings, labels and probabilities of images from two maps of pixels, in batches."""

    classes: list[str] | None
    name: str

    @abstractmethod
    def embed(self, pixels: torch.Tensor) -> torch.Tensor:
        """`(B,3,H,W)` -> `(B,D)`."""

    @abstractmethod
    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """`(B,3,H,W)` -> `(B,C)`."""

    @abstractmethod
    def pixels(self, images: Any) -> torch.Tensor:
        """The checked `(B,3,H,W)` tensor of images, where the maps are computed."""

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Images to pass at a time."""

    def pixels_and_labels(self, images: Any, labels: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
        """The checked `pixels`, and a label of each on the host: those given, else those the images carry.

        Raises
        ------
        ImageError, LabelError, ModelError
            If the images are not what the model takes, labels are missing or not classes, or there is no head.
        """
        pixels = self.pixels(images)
        if labels is None:
            labels = getattr(images, "labels", None)
            check_class_names(images, self.classes, self.name)
        return pixels, check_labels(labels, len(pixels), self.logits_in_batches(pixels[:1]).shape[1])

    def embed_in_batches(self, pixels: torch.Tensor, of: str = "image", first: Numbers = 0) -> torch.Tensor:
        """`embed` without a graph, as many images at a time as fit: pixels on this device, in [0,1] or beyond.

        An error names them as `finite` does.
        """
        with usual_modes(), torch.no_grad():
            return self.finite(in_batches(self.embed, pixels, size=self.batch_size), "embedding", of, first)

    def logits_in_batches(self, pixels: torch.Tensor, of: str = "image", first: Numbers = 0) -> torch.Tensor:
        """`logits` without a graph, as many images at a time as fit: pixels on this device, in [0,1] or beyond.

        An error names them as `finite` does.
        """
        with usual_modes(), torch.no_grad():
            return self.finite(in_batches(self.logits, pixels, size=self.batch_size), "logits", of, first)

    def finite(self, found: torch.Tensor, what: str, of: str = "image", first: Numbers = 0) -> torch.Tensor:
        """`found` `(B,...)`, unless there is NaN, which would be a label or no angle, or what has no square in it.

        Raises
        ------
        ModelError
            If there is; it names the image, or the pair or point `of` which the rows are: those that `first` numbers,
            or counted from it, or all of the one that `of` names if it is None.
        """
        self.refuse(~is_finite(found), what, of, first)
        return found

    def refuse(self, broken: torch.Tensor, what: str, of: str = "image", first: Numbers = 0) -> None:
        """Raise the error of `finite` if a row `(B,)` is broken; rows are named as there."""
        if not bool(broken.any()):
            return
        row = int(broken.nonzero()[0])
        number = first[row] if isinstance(first, torch.Tensor) else first
        name = of if number is None else f"{of} {int(number) + (0 if isinstance(first, torch.Tensor) else row)}"
        raise ModelError(
            f"The {what} of {self.name} of {name} is NaN, infinite or beyond {LARGEST:g}; "
            "leave it out, take a smaller step, or load the model with dtype=torch.float64."
        )

    def _of_each(
        self, images: Any, what: str, then: Callable[[torch.Tensor], torch.Tensor] = torch.Tensor.cpu
    ) -> torch.Tensor:
        """`then` of the embedding or the logits of all images, on the host.

        An exception that ends it brings that of the first ones.
        """
        with usual_modes(), torch.no_grad():
            return self._in_usual_modes(images, what, then)

    def _in_usual_modes(self, images: Any, what: str, then: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        pixels = self.pixels(images)
        parts: list[torch.Tensor] = []

        def result() -> torch.Tensor:
            return torch.cat(parts)

        with keeping(result, lambda: sum(len(part) for part in parts), len(pixels), "images"):
            for part in each_batch(self.embed if what == "embedding" else self.logits, pixels, size=self.batch_size):
                parts.append(then(self.finite(part, what, first=sum(map(len, parts)))).cpu())
        return result()

    def embeddings(self, images: Any) -> torch.Tensor:
        """Embedding of every image, `(B,D)` on the host in the model's dtype, without a graph.

        Parameters
        ----------
        images
            `(B,3,H,W)` in [0,1], or what `samples()` or `labelled()` returns. They are passed `batch_size` at a time;
            whatever ends that brings those that are done, as `finished`.

        Raises
        ------
        ImageError
            If the images are not what the model takes.

        Examples
        --------
        >>> import vitgeom_nb as vg
        >>> vg.load("vit").embeddings(vg.samples("cifar10", n=2)).shape
        torch.Size([2, 192])
        """
        return self._of_each(images, "embedding")

    def labels(self, images: Any) -> torch.Tensor:
        """The model's own label of every image, `argmax_j logits_j(x)`: `(B,)` int64 on the host.

        With these in place of true labels no image is wrong at the start, and every travel distance is that to the
        boundary of the region the image lies in.

        Parameters
        ----------
        images
            As for `embeddings`.

        Raises
        ------
        ImageError, ModelError
            If the images are not what the model takes, or it has no classifier head.

        Examples
        --------
        >>> import torch, vitgeom_nb as vg
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
        >>> net[1].weight.data = torch.stack([torch.ones(12), -torch.ones(12)])
        >>> net[1].bias.data = torch.tensor([0.0, 9.0])
        >>> parts = {"embed": lambda m, x: m[0](x), "logits": lambda m, x: m(x)}
        >>> model = vg.wrap(net, mean=[0.0] * 3, std=[1.0] * 3, size=2, **parts)
        >>> model.labels(torch.stack([torch.zeros(3, 2, 2), torch.ones(3, 2, 2)]))
        tensor([1, 0])
        """
        return self._of_each(images, "logits", lambda said: said.argmax(1))

    def probabilities(self, images: Any) -> torch.Tensor:
        """Softmax probability of every class, `softmax logits(x)`: `(B,C)` in float64 on the host.

        Parameters
        ----------
        images
            As for `embeddings`.

        Raises
        ------
        ImageError, ModelError
            If the images are not what the model takes, or it has no classifier head.

        Examples
        --------
        >>> import vitgeom_nb as vg
        >>> model, images = vg.load("vit"), vg.samples("imagenet", n=1)
        >>> p = model.probabilities(images)
        >>> p.shape, bool((p.argmax(1) == model.labels(images)).all())
        (torch.Size([1, 200]), True)
        """
        return self._of_each(images, "logits", lambda said: said.cpu().double().softmax(1))

    def class_name(self, labels: Any) -> np.ndarray:
        """Names of labels of any shape, or their numbers as text where the classes have no names.

        That of -1, which measurements give where a label is not known yet, is "none".

        Raises
        ------
        LabelError
            If they are not whole numbers, or not classes.
        """
        numbers = whole_labels(labels).numpy()
        last = len(self.classes) - 1 if self.classes else np.inf
        if numbers.size and (numbers.min() < -1 or numbers.max() > last):
            raise LabelError(
                f"Labels go from {numbers.min()} to {numbers.max()}, and the classes of {self.name} from 0 to {last}."
            )
        names = np.asarray(self.classes)[numbers] if self.classes else numbers.astype(str)
        return np.where(numbers < 0, "none", names)
