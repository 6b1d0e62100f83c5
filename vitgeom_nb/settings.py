"""What the environment says: tier, device, folders, what a page may show. No other module touches its variables."""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from .errors import ArgumentError, DataError

TIERS = {"embedded": 64, "paper": 224}
"""Tier -> height and width of the images that its networks take."""

BRIEF_SPIN = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "10000"}
"""How threads of torch shall wait for each other: briefly awake, then asleep. GNU's OpenMP reads the count."""


def tier() -> str:
    """The tier that `VITGEOM_TIER` names: `"embedded"` (the default) or `"paper"`.

    Raises
    ------
    ArgumentError
        If the variable names another tier.
    """
    name = os.environ.get("VITGEOM_TIER", "embedded")
    if name not in TIERS:
        raise ArgumentError(f"VITGEOM_TIER is {name!r}; set it to one of {', '.join(TIERS)}, or unset it.")
    return name


def device() -> str:
    """Where a model that is loaded by name computes unless told: what `VITGEOM_DEVICE` says, else the CPU."""
    return os.environ.get("VITGEOM_DEVICE") or "cpu"


def data_folder() -> Path | None:
    """The folder that `VITGEOM_DATA` names, or None when it is not set.

    Raises
    ------
    DataError
        If it is set to something that is not a folder.
    """
    value = os.environ.get("VITGEOM_DATA")
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_dir():
        raise DataError(f"VITGEOM_DATA is {value!r}, which is not a folder; point it at one that holds tiny-imagenet/.")
    return path


def run_folder() -> Path | None:
    """The run of a sweep that `VITGEOM_RUN` names, or None when it is not set."""
    value = os.environ.get("VITGEOM_RUN")
    return Path(value).expanduser() if value else None


def zoo_work() -> Path:
    """Where trainings keep their checkpoints: `VITGEOM_ZOO_WORK`, or a folder in the user's cache."""
    return Path(os.environ.get("VITGEOM_ZOO_WORK", "~/.cache/vitgeom/zoo")).expanduser()


def evidence_work(tier: str) -> Path:
    """Where the evidence of a tier is swept unless told: a folder in the user's cache."""
    return Path("~/.cache/vitgeom/evidence").expanduser() / tier


def torchvision_site() -> str:
    """Where torchvision's weights are fetched from: its own site, or what `VITGEOM_TORCHVISION_URL` names.

    Raises
    ------
    ArgumentError
        If the variable names no address.
    """
    return checked_address("VITGEOM_TORCHVISION_URL", "https://download.pytorch.org/models")


def check_hub_address() -> None:
    """To be asked before huggingface_hub is imported, which some addresses break, and which shows them whole.

    Raises
    ------
    ArgumentError
        If `HF_ENDPOINT` names no address.
    """
    checked_address("HF_ENDPOINT", "https://huggingface.co")


def checked_address(name: str, default: str) -> str:
    """The address that a variable of the environment names, without a slash at its end.

    Raises
    ------
    ArgumentError
        If it is none. It is not shown, as it may hold a password anywhere.
    """
    address = os.environ.get(name, default)
    if not origin(address):
        raise ArgumentError(f"{name} is no address such as https://host:port; set it to one, or unset it.")
    return address.rstrip("/")


def origin(address: str) -> str:
    """Scheme, host and port of an address, which is what a message may show of it; nothing where it is none.

    Examples
    --------
    >>> origin("https://me:secret@hub.example:8000/path?token=secret")
    'https://hub.example:8000'
    """
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.path + parts.query + parts.fragment:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}"


def without_secrets(text: str) -> str:
    """Words with every address in them cut to scheme, host and port."""
    return re.sub(r"\w+://[^\s'\"]+", lambda found: origin(found[0]) or "an address", text)


def widgets() -> bool:
    """Whether explorers may show live widgets; `VITGEOM_WIDGETS=0` leaves them out of pages."""
    return _on("VITGEOM_WIDGETS", "1")


def downloads() -> bool:
    """Whether figures bring SVG and CSV along in the output of a cell, for pages: `VITGEOM_DOWNLOADS=1`."""
    return _on("VITGEOM_DOWNLOADS", "0")


def silent() -> bool:
    """Whether progress bars are off: `TQDM_DISABLE` set to anything but 0."""
    return _on("TQDM_DISABLE", "0")


def sleeping_threads() -> bool:
    """Ask OpenMP to let threads that wait for work sleep after a short spin; say whether that is set from here on.

    Its threads spin for long unless told, which takes the cores from whatever else runs. OpenMP reads
    `OMP_WAIT_POLICY` and `GOMP_SPINCOUNT` when torch loads it, so nothing is set once torch is loaded, nor where the
    user has set either.
    """
    if "torch" in sys.modules or any(name in os.environ for name in BRIEF_SPIN):
        return False
    os.environ.update(BRIEF_SPIN)
    return True


def threads_of_each(workers: int) -> str:
    """Threads that each of several processes takes: what `OMP_NUM_THREADS` says, else its share of the cores."""
    return os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // workers))


def waiting() -> str:
    """How OpenMP's threads wait for work, as the environment says it."""
    said = [f"{name}={os.environ[name]}" for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT") if name in os.environ]
    return ", ".join(said) or "OMP_WAIT_POLICY is not set: they spin"


def _on(name: str, default: str) -> bool:
    return os.environ.get(name, default) not in ("", "0")


def package_version() -> str:
    """The installed version of this package."""
    try:
        return version("vitgeom-nb")
    except PackageNotFoundError:  # a checkout that was never installed
        return "unknown"


def hub_timeout(name: str) -> int | None:
    """Seconds that `HF_HUB_ETAG_TIMEOUT` or `HF_HUB_DOWNLOAD_TIMEOUT` sets, or None where it is not set.

    Raises
    ------
    ArgumentError
        If the variable is not a whole number of seconds, which is all that huggingface_hub takes.
    """
    value = os.environ.get(name)
    if not value:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise ArgumentError(f"{name} is {value!r}; set it to a whole number of seconds, or unset it.")
    return int(value)
