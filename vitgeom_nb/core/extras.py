"""Packages that an installation may lack: what needs them says which extra brings them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import lazy_loader

from ..errors import MissingExtraError

EXTRAS = {
    "models": ("timm", "torchvision", "transformers", "huggingface_hub"),
    "data": ("pyarrow", "foolbox", "sklearn"),
    "figures": ("matplotlib", "seaborn"),
    "widgets": ("ipywidgets", "IPython"),
    "sweep": ("dask", "distributed", "zarr"),
    "export": ("onnx", "onnx_ir", "onnxscript"),
}
"""Extra -> the modules that it brings, for measurements alone need none of them."""
OF = {module: extra for extra, modules in EXTRAS.items() for module in modules}


def lacking(extra: str) -> list[str]:
    """The modules of an extra that are not installed."""
    return [module for module in EXTRAS[extra] if not _there(module)]


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Package -> its version as installed, or `"missing"`.

    Examples
    --------
    >>> versions(["no-such-package"])
    {'no-such-package': 'missing'}
    """
    return {package: _version(package) for package in packages}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # barred, or half imported
        return False


@contextmanager
def extras() -> Iterator[None]:
    """Say which extra brings a module that is not installed.

    Raises
    ------
    MissingExtraError
        If what runs inside imports a module of an extra that is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in OF or _there(module):
            raise  # of another's, or it is there and damaged
        raise MissingExtraError(
            f"This needs the package {module}, which is not installed: pip install 'vitgeom-nb[{OF[module]}]'.",
            name=error.name,
        ) from None


def attached(package: str, file: str) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """`lazy_loader.attach_stub`, where a name whose module needs a missing package says which extra brings it."""
    load, names, public = lazy_loader.attach_stub(package, file)

    def get(name: str) -> object:
        with extras():
            return load(name)

    return get, names, public
