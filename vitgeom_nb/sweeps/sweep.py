"""A sweep: every image of a data set, for several networks and measures, each shard once, whatever ends the work."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.arguments import checked
from ..core.whole_files import made_folder
from ..errors import ArgumentError, DataError, Interrupted
from ..networks.vision_model import VisionModel
from . import locks
from .engines import ClusterLost, Engine, engine
from .planning import Plan
from .progress import Log, Summary


@checked
def sweep(
    models: Sequence[str | VisionModel],
    *,
    data: Any,
    measures: Sequence[Any] | Mapping[str, Any],
    out: str | os.PathLike[str],
    n: int | None = None,
    seed: int = 0,
    block: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    part: tuple[int, int] | None = None,
    device: str | None = None,
    dtype: str = "float32",
) -> Summary:
    """Measure whole data sets on several networks, and keep every result: in this process, or on a Dask cluster.

    Images are measured in blocks. Each block of each measure and network becomes one file that is written whole and
    never changes, so whatever ends a sweep, the same call goes on where it was. Results depend on the seed and the
    image, never on blocks, workers or their order.

    Parameters
    ----------
    models
        Names for `load`, `path/to/file.py:name` of a model or a function that makes one, or, in this process, models.
    data
        `"tiny-imagenet:valid"` and so on as for `labelled`, a folder, `"samples:imagenet"`, `"path/to/file.py:name"`,
        or, in this process, images. They are taken in the order of the data set.
    measures
        Names, each with parameters if need be (`"direction_change:directions=20"`), functions that wear `measure`, or
        a mapping of labels to names or `(name, parameters)`. Three parameters are the sweep's own: `images`, how many;
        `block`, how many a shard; `labels="own"`, the network's labels in place of the given ones.
    out
        Folder of the run. Networks, measures and images may be added to a run; what is there is not measured again.
    n
        Images to measure, from the first; all of them unless told.
    seed
        Of everything random.
    block
        Images a shard, where a measure does not say; what suits the measure unless told.
    workers
        That many processes of a local Dask cluster in place of this process; needs the extra `sweep`.
    scheduler
        Address of a Dask scheduler whose workers see the folder `out`, in place of both.
    part
        `(i, n)`: only every n-th shard from the i-th. Parts need no scheduler, and may run at the same time.
    device, dtype
        Where and in which precision networks compute, as for `load`.

    Returns
    -------
    Summary
        What was measured, what was there, what was skipped or failed and why. `open_run(out)` has the results.

    Raises
    ------
    ArgumentError
        If there is no such measure or parameter, Dask is needed and not there, or no scheduler answers.
    DataError
        If there are no such images, another sweep writes into the folder, or the folder holds other images, another
        seed, another version, other weights or other parameters.
    Interrupted
        If someone stops it; `finished` is then the summary.

    Examples
    --------
    >>> import tempfile, vitgeom_nb as vg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = vg.sweep(["vit"], data="samples:imagenet", measures=["step_law:directions=2"], out=folder, n=4)
    ...     run = vg.open_run(folder)
    ...     run["vit"]["step_law"]["angle"].sizes["image"]
    4
    >>> done.measured, done.complete
    (4, True)
    """
    plan = Plan(models, data, measures, Path(out), n, seed, block, part or (1, 1), device, dtype)
    if (workers is not None or scheduler is not None) and not plan.travels:
        raise ArgumentError("Workers load networks and images by name or from a file; pass path/to/file.py:name.")
    if workers is not None and (scheduler is not None or not 1 <= workers <= 4096):
        raise ArgumentError("Ask for one worker or more, or name a scheduler.")
    made_folder(plan.out)
    with locks.held(plan.out, plan.part) as sure:
        plan.begin()
        if sure and plan.part[1] == 1:
            locks.tidy(plan.out)
        with Log(plan.out, plan.part) as log, engine(workers, scheduler) as used:
            if not sure:
                log.line("this file system has no locks: see to it that no other sweep writes here")
            return _run(plan, used, Summary(plan.out), log)


def _run(plan: Plan, used: Engine, summary: Summary, log: Log) -> Summary:
    """Measure everything that is not there yet; whatever ends it, the summary says what is done."""
    watch = time.perf_counter()
    skipped: set[tuple[str, str]] = set()
    try:
        for task, outcome in used.outcomes(plan.tasks(used, summary, log, skipped)):
            key = task.network.name, task.entry.label
            if outcome.stop is not None:
                summary.stopped = outcome.stop
                break
            if outcome.skip is not None and key not in skipped:
                skipped.add(key)
                summary.skip(" ".join(key), outcome.skip)
                log.line(f"{' '.join(key)} is skipped: {outcome.skip}")
            summary.add(task, outcome)
            log.done(task, outcome)
    except ClusterLost as error:
        summary.stopped = f"{error}; the same command goes on from here."
    except DataError as error:
        summary.stopped = str(error)
    except KeyboardInterrupt:
        summary.stopped = "Someone stopped it; the same command goes on from here."
        raise Interrupted(f"Stopped after {summary.measured} images and pairs; the run is whole.", summary) from None
    finally:
        summary.seconds = time.perf_counter() - watch
        log.end(summary)
    return summary
