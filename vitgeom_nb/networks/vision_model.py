"""A network seen as maps from pixels in [0, 1]: embedding and logits, with normalisation inside."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from PIL import Image

from .errors import ArgumentError, ImageError, ModelError, VitgeomError
from .images import to_bytes

EmbedFunction = Callable[[torch.nn.Module, torch.Tensor], torch.Tensor]
Preprocess = Callable[[Image.Image], torch.Tensor]


class VisionModel:
    r"""A network seen as two maps from pixels: an embedding and, where it has a head, logits.

    Parameters are frozen and the module is in evaluation mode: every derivative is with respect to the image.

    Attributes
    ----------
    name : str
        What figures call it.
    family : str
        `"transformer"` or `"CNN"`; `"custom"` for a module of your own.
    size : int
        Height and width of the images it takes.
    dim : int
        D, the number of components of the embedding.
    classes : list of str or None
        Names of the classes that the logits are about.
    digest : str
        SHA-256 of the weights: of the file they were read from, or of the tensors of a module of your own.
    source : dict of str
        Where the weights come from, as far as known: `repository`, `revision`, `file`.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        name: str,
        family: str,
        size: int,
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
        self.device = torch.device(device or "cpu")
        self.dtype = dtype
        self.module = module.to(self.device, dtype).eval().requires_grad_(False)
        self.name, self.family, self.size = name, family, size
        self.classes = list(classes) if classes is not None else None
        self._embed, self._logits = embed, logits
        shape = (1, 3, 1, 1)
        self._mean = torch.tensor(mean, device=self.device, dtype=dtype).view(shape)
        self._std = torch.tensor(std, device=self.device, dtype=dtype).view(shape)
        self.digest = digest or _digest(module)
        self.source = dict(source or {})
        self._preprocess = preprocess
        self.dim = self._probe()

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        return (pixels - self._mean) / self._std

    def embed(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embedding f(x), what the classifier head reads: `(B,3,H,W)` in [0,1] -> `(B,D)`."""
        return self._embed(self.module, self._normalised(pixels))

    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """Class scores before softmax: `(B,3,H,W)` in [0,1] -> `(B,C)`.

        Raises
        ------
        ModelError
            If this model has no classifier head.
        """
        if self._logits is None:
            raise ModelError(f"{self.name} has no classifier head; wrap it with logits=... to ask for its labels.")
        return self._logits(self.module, self._normalised(pixels))

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
        pixels = getattr(images, "pixels", images)
        if not isinstance(pixels, torch.Tensor):
            raise ImageError(f"Images must be a torch tensor or what samples() returns, not {type(pixels).__name__}.")
        if pixels.ndim != 4 or pixels.shape[1] != 3:
            raise ImageError(f"Images must have shape (B, 3, H, W), not {tuple(pixels.shape)}.")
        if len(pixels) == 0:
            raise ImageError("There are no images in this batch; pass at least one.")
        if tuple(pixels.shape[2:]) != (self.size, self.size):
            raise ImageError(
                f"{self.name} takes {self.size} x {self.size} pixels, not {pixels.shape[2]} x {pixels.shape[3]}; "
                f"samples(..., size={self.size}) resizes."
            )
        if not pixels.is_floating_point():
            raise ImageError(f"Images must be floats in [0, 1], not {pixels.dtype}; divide 8-bit pixels by 255.")
        if not bool(torch.isfinite(pixels).all()):
            raise ImageError("Images contain NaN or infinite pixels; remove or repair those images first.")
        low, high = (float(v) for v in pixels.detach().aminmax())
        if low < 0 or high > 1:
            raise ImageError(f"Pixels must lie in [0, 1]; these go from {low:.3g} to {high:.3g}.")
        return pixels.detach().to(self.device, self.dtype)

    def batch_size(self, asked: int | None = None) -> int:
        """Images to pass at a time: those `asked` for, else as many as this device is quickest with.

        A processor is quickest while what its layers write fits its caches: 2^20 values of pixels at a time, but no
        fewer than 8 images and no more than 32. An accelerator wants more to do.

        Raises
        ------
        ArgumentError
            If less than one is asked for.
        """
        if asked is not None and asked < 1:
            raise ArgumentError(f"batch is {asked}; pass at least one image at a time.")
        usual = max(8, min(32, 2**20 // (3 * self.size**2))) if self.device.type == "cpu" else 256
        return usual if asked is None else asked

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """A picture of any size as this model's own evaluation sees it before normalisation: `(3,H,W)` in [0,1].

        A model of the hub brings its own resizing and cropping; others resize the short side with bicubic filtering
        and crop the centre.
        """
        image = image.convert("RGB")
        return to_bytes(image, self.size).float() / 255 if self._preprocess is None else self._preprocess(image)

    def in_dtype(self, dtype: torch.dtype) -> VisionModel:
        """The same model computing in another precision: the model itself, or a copy of it."""
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
        grey = torch.full((1, 3, self.size, self.size), 0.5, device=self.device, dtype=self.dtype)
        try:
            with torch.no_grad():
                out = self.embed(grey)
        except VitgeomError:
            raise
        except Exception as error:  # whatever the reader's module raises
            reason = str(error).split("\n")[0]
            raise ModelError(f"{self.name} cannot embed a (1, 3, {self.size}, {self.size}) tensor: {reason}") from error
        if not isinstance(out, torch.Tensor) or out.ndim != 2 or out.shape[0] != 1:
            got = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
            raise ModelError(f"The embedding of {self.name} must be a (B, D) tensor; for one image it returned {got}.")
        return out.shape[1]

    def __repr__(self) -> str:
        return f"VisionModel({self.name!r}, {self.size}x{self.size} -> {self.dim}, {self.device}, {self.dtype})"


def _digest(module: torch.nn.Module) -> str:
    sha = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if tensor.ndim else b"0")
    return sha.hexdigest()


def wrap(
    module: torch.nn.Module,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    size: int,
    embed: EmbedFunction | None = None,
    logits: EmbedFunction | None = None,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> VisionModel:
    """A `VisionModel` from any module. A copy of the module is kept; yours is left as it is.

    Parameters
    ----------
    module
        Takes normalised images `(B,3,size,size)`.
    mean, std
        Normalisation per channel, in units of [0,1] pixels.
    size
        Height and width of the images.
    embed, logits
        Functions `(module, normalised images) -> tensor`. Without `embed`, timm's
        `forward_head(forward_features(x), pre_logits=True)` is used where the module has it, else the module's
        own output. Without `logits`, the output of a timm module that has a classifier; else there are none.
    name, classes
        What figures call the model, and its classes.

    Raises
    ------
    ModelError
        If the embedding is not a `(B, D)` tensor.

    Examples
    --------
    >>> import torch, vitgeom_nb as vg
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    >>> vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4, name="linear").dim
    5
    """
    if not isinstance(module, torch.nn.Module):
        raise ModelError(f"wrap() takes a torch.nn.Module, not {type(module).__name__}.")
    is_timm = hasattr(module, "forward_features") and hasattr(module, "forward_head")
    if embed is None:
        embed = timm_embed if is_timm else call
    if logits is None and is_timm and getattr(module, "num_classes", 0) > 0:
        logits = call
    return VisionModel(
        copy.deepcopy(module),
        name=name or type(module).__name__,
        family="custom",
        size=size,
        mean=mean,
        std=std,
        embed=embed,
        logits=logits,
        classes=classes,
        device=device,
        dtype=dtype,
    )


def call(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The module's own output."""
    return module(x)


def timm_embed(module: Any, x: torch.Tensor) -> torch.Tensor:
    """What the classifier of a timm module reads."""
    return module.forward_head(module.forward_features(x), pre_logits=True)


class Cut(torch.nn.Module):
    """A network cut at its embedding: `body` gives it, and `heads` read it; none where the checkpoint has none."""

    def __init__(self, body: torch.nn.Module, heads: Mapping[str, torch.nn.Module], embed: EmbedFunction) -> None:
        super().__init__()
        self.body, self.heads, self._embed = body, torch.nn.ModuleDict(heads), embed

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """What the head reads: normalised images -> `(B,D)`."""
        return self._embed(self.body, x)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores, normalised images -> `(B,C)`."""
        if "distillation_classifier" not in self.heads:
            (head,) = self.heads.values()
            return head(self.embed(x))
        # a distilled transformer has two heads on two tokens and answers with their mean; it embeds as the first
        out = self.body(pixel_values=x)
        first, second = self.heads["cls_classifier"], self.heads["distillation_classifier"]
        return (first(out.cls_logits) + second(out.distillation_logits)) / 2
