"""A network seen as maps from pixels in [0, 1]: embedding and logits, with normalisation inside."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from PIL import Image

from ..core.arguments import checked
from ..core.images import Size, check_pixels, height_and_width, printable, shown, to_bytes
from ..core.modes import full_precision, usual_modes
from ..core.pictures import to_rgb
from ..core.random_directions import generator
from ..errors import ArgumentError, ImageError, ModelError
from . import identity
from .answers import Answers
from .checks import check_normalisation, device_named, differentiable, noted
from .layers import EMBEDDING, EmbedFunction, Layers, Reading

Preprocess = Callable[[Image.Image], torch.Tensor]


class VisionModel(Answers):
    r"""A network seen as two maps from pixels: an embedding and, where it has a head, logits.

    Parameters are frozen and the module is in evaluation mode: every derivative is with respect to the image.

    Attributes
    ----------
    name : str
        What figures call it; with the layer, where it is read at one.
    family : str
        `"transformer"` or `"CNN"`; `"custom"` for a module of your own.
    size : tuple of int
        Height and width of the images it takes.
    dim : int
        D, the number of components of the embedding.
    preprocessing : dict
        `mean`, `std` and `size`, which are the same for every image.
    layer : str
        The layer that gives the embedding, `"embedding"` for the network's own; see `at`.
    read : str
        How what this layer gives becomes a vector.
    classes : list of str or None
        Names of the classes that the logits are about.
    digest : str
        SHA-256 of the weights: of the file they were read from, or of a module of your own with its tensors, its
        `preprocessing` and its answers to fixed images.
    source : dict of str
        Where the weights come from, as far as known: `repository`, `revision`, `file`.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        name: str,
        family: str,
        size: Size,
        mean: Sequence[float],
        std: Sequence[float],
        embed: EmbedFunction,
        logits: EmbedFunction | None,
        classes: Sequence[str] | None = None,
        digest: str | None = None,
        source: Mapping[str, str] | None = None,
        preprocess: Preprocess | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.device = device_named(device or "cpu")
        self.dtype = dtype
        self.module = module.to(self.device, dtype).eval().requires_grad_(False)
        self.name, self.family, self.size = printable(name), family, height_and_width(size)
        self.classes = list(map(printable, classes)) if classes is not None else None
        self._embed, self._logits = embed, logits
        self._whole, self._reading = self.name, Reading()
        shape = (1, 3, 1, 1)
        check_normalisation(mean, std)
        self._mean = torch.tensor(mean, device=self.device, dtype=dtype).view(shape)
        self._std = torch.tensor(std, device=self.device, dtype=dtype).view(shape)
        self.preprocessing: dict[str, list] = {
            "mean": [float(v) for v in mean],
            "std": [float(v) for v in std],
            "size": list(self.size),
        }
        self.source = dict(source or {})
        self._preprocess = preprocess
        self._batch_size: int | None = None
        self.dim = self._probe()
        self.digest = digest or identity.digest(self)

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        if not isinstance(pixels, torch.Tensor) or pixels.ndim != 4 or pixels.shape[1] != 3:
            got = tuple(pixels.shape) if isinstance(pixels, torch.Tensor) else type(pixels).__name__
            raise ImageError(
                f"embed and logits of {self.name} take a tensor (B, 3, H, W), not {got}; embeddings, labels and "
                "probabilities take images of every kind."
            )
        return (pixels - self._mean) / self._std

    def embed(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embedding f(x), what the classifier head reads or `layer` gives: `(B,3,H,W)` in [0,1] -> `(B,D)`."""
        with full_precision(), noted("embedding", self.name, pixels):
            out = self._reading.embed(self._embed, self.module, self._normalised(pixels))
        return differentiable(out, "embedding", self.name, pixels)

    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """Class scores before softmax: `(B,3,H,W)` in [0,1] -> `(B,C)`.

        Raises
        ------
        ModelError
            If this model has no classifier head.
        """
        if self._logits is None:
            raise ModelError(f"{self.name} has no classifier head; wrap it with logits=... to ask for its labels.")
        with full_precision(), noted("logits", self.name, pixels):
            out = self._logits(self.module, self._normalised(pixels))
        return differentiable(out, "logits", self.name, pixels)

    @property
    def has_logits(self) -> bool:
        """Whether the model has a classifier head."""
        return self._logits is not None

    def pixels(self, images: Any) -> torch.Tensor:
        """The checked `(B,3,H,W)` tensor of `images`, on this model's device and in its dtype.

        Raises
        ------
        ImageError
            If there are no images, or their shape, size, type or range is not what this model takes.
        """
        pixels = check_pixels(images, self.size, self.name, self.preprocess).to(self.device, self.dtype)
        return pixels.clone() if pixels.is_inference() else pixels  # such a tensor takes no part in derivatives

    @property
    def batch_size(self) -> int:
        """Images to pass at a time, what it was set to, else as many as this device is quickest with.

        A processor is quickest while what its layers write fits its caches: 2^20 values of pixels at a time, but no
        fewer than 8 images and no more than 32. An accelerator wants more to do. A batch for which there is no memory
        is halved and retried, whatever this says.

        Raises
        ------
        ArgumentError
            If it is set to less than one.
        """
        if self._batch_size is not None:
            return self._batch_size
        return max(8, min(32, 2**20 // (3 * math.prod(self.size)))) if self.device.type == "cpu" else 256

    @batch_size.setter
    def batch_size(self, images: int) -> None:
        if not (isinstance(images, int) and images >= 1):
            raise ArgumentError(f"batch_size is {images!r}; pass at least one image at a time.")
        self._batch_size = images

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """A picture of any size as this model's own evaluation sees it before normalisation: `(3,H,W)` in [0,1].

        A model of the hub brings its own resizing and cropping; others resize with bicubic filtering until the picture
        just covers H x W, and crop the centre.

        Raises
        ------
        ImageError
            If it is no PIL picture.
        """
        if not isinstance(image, Image.Image):
            raise ImageError(f"preprocess() takes a PIL picture, not {type(image).__name__}.")
        image = to_rgb(image)
        return to_bytes(image, self.size).float() / 255 if self._preprocess is None else self._preprocess(image)

    @cached_property
    def _layers(self) -> Layers:
        with usual_modes():  # the layers are found in the graph of a pass, and kept
            images = torch.rand(2, 3, *self.size, generator=generator(0)).to(self._mean)
            return Layers(self._embed, self.module, self._normalised(images))

    @property
    def layers(self) -> list[str]:
        """Names of the layers at which the network can be read, in the order of a pass, as `at` takes them.

        The blocks, stages or layers of the network, as far as all that the embedding knows of an image passes through
        them, by their dotted names in `module`; at the end `"embedding"`, the network's own.
        """
        return list(self._layers.names)

    @property
    def layer(self) -> str:
        """The layer that gives the embedding; `"embedding"` for the network's own."""
        return self._reading.layer

    @property
    def read(self) -> str:
        """How what the layer gives becomes a vector; `"all"` for the network's own embedding."""
        return self._reading.read

    @checked
    def at(self, layer: str, read: str | None = None) -> VisionModel:
        """The same model, whose embedding is what a layer gives: every measurement can then be taken at that depth.

        Weights, device, precision, classes, digest and logits are those of this model; the name says the layer.

        Parameters
        ----------
        layer
            One of `layers`, or any other module that the network calls once on the way to its embedding, by its dotted
            name, such as `"blocks.2.attn"`.
        read
            How the output becomes a vector `(B,D)`. `"class token"`: the first token of `(B,N,C)`.
            `"mean over tokens"`: over those of the patches; class, distillation and register tokens are left out.
            `"mean over places"`: of `(B,C,h,w)`, or of `(B,h,w,C)` where h and w alone have the proportions of the
            image. `"all"`: everything, flattened. Unless told, the class token where there is one that has seen the
            image, else the mean over tokens or places, else everything.

        Raises
        ------
        ModelError
            If there is no such layer, or it cannot be read so.

        Examples
        --------
        >>> import vitgeom_nb as vg
        >>> model = vg.load("vit")
        >>> model.layers
        ['patch_embed', 'pos_drop', 'blocks.0', 'blocks.1', 'blocks.2', 'blocks.3', 'norm', 'embedding']
        >>> model.at("blocks.2")
        VisionModel('vit at blocks.2' (class token), 64 x 64 -> 192, cpu, torch.float32)
        """
        other = copy.copy(self)
        other._reading = self._layers.reading(layer, read)
        other.name = self._whole if layer == EMBEDDING else f"{self._whole} at {layer}"
        other.dim = other._probe()
        return other

    @checked
    def in_dtype(self, dtype: torch.dtype) -> VisionModel:
        """The same model computing in another precision: the model itself, or a copy of it.

        Raises
        ------
        ArgumentError
            If it is no torch.dtype of floats.
        """
        if self.dtype == dtype:
            return self
        other = copy.copy(self)
        other.module = copy.deepcopy(self.module).to(dtype)
        other._mean, other._std = self._mean.to(dtype), self._std.to(dtype)
        other.dtype = dtype
        return other

    def watched(self, before: Callable[[], None]) -> VisionModel:
        """The same model, which calls `before` ahead of every forward pass; what that raises ends a computation."""

        def first(function: EmbedFunction) -> EmbedFunction:
            def announced(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
                before()
                return function(module, x)

            return announced

        other = copy.copy(self)
        other._embed = first(self._embed)
        other._logits = None if self._logits is None else first(self._logits)
        return other

    def _probe(self) -> int:
        """Embed one grey image: the embedding must be a `(1, D)` tensor."""
        grey = torch.full((1, 3, *self.size), 0.5, device=self.device, dtype=self.dtype)
        with torch.no_grad():
            out = self.embed(grey)
        if not isinstance(out, torch.Tensor) or out.ndim != 2 or out.shape[0] != 1:
            got = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
            raise ModelError(f"The embedding of {self.name} must be a (B, D) tensor; for one image it returned {got}.")
        if not out.is_floating_point() or not out.shape[1]:
            raise ModelError(f"The embedding of {self.name} must be floats, at least one, not {out.dtype}.")
        return out.shape[1]

    def __repr__(self) -> str:
        read = "" if self.layer == EMBEDDING else f" ({self.read})"
        return f"VisionModel({self.name!r}{read}, {shown(self.size)} -> {self.dim}, {self.device}, {self.dtype})"
