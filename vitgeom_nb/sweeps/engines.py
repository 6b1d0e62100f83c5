"""Where shards are measured: in this process, or on the workers of a Dask cluster, a few more sent than there are."""

from __future__ import annotations

import contextlib
import pickle
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

from ..errors import ArgumentError
from ..settings import threads_of_each
from .work import Outcome, Source, Task, describe, measure_block

DIED = "every worker that measured it died: out of memory, or killed"
QUIET = 300.0  # seconds without a worker before a run ends with what is done
PATIENCE = 15.0  # seconds for a scheduler to answer
AHEAD = 2  # tasks a thread of a worker: it never waits for the driver
GONE = ("FutureCancelledError", "FuturesCancelledError", "CancelledError", "CommClosedError", "TimeoutError")


class ClusterLost(Exception):
    """The scheduler or all workers are gone; one sentence that says so."""


class Engine(Protocol):
    """Describes networks and measures blocks."""

    def describe(self, source: Source) -> Any:
        """What tells a network from others, or why it does not load."""

    def outcomes(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Outcome]]:
        """What became of each task, in any order; tasks are taken from the iterator as there is room for them."""


class InProcess:
    """One shard after the other, here."""

    def describe(self, source: Source) -> Any:
        """What tells a network from others, or why it does not load."""
        return describe(source)

    def outcomes(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Outcome]]:
        """What became of each task, in their order."""
        for task in tasks:
            yield task, measure_block(task)


class OnDask:
    """The workers of a Dask cluster; they write the shards, so all machines must see the folder of the run."""

    def __init__(self, client: Any, quiet: float = QUIET) -> None:
        self.client, self.quiet = client, quiet
        self._last_seen = time.monotonic()

    def describe(self, source: Source) -> Any:
        """What tells a network from others, or why it does not load, as a worker sees it."""
        future = self.client.submit(_on_worker, _packed(describe, source), pure=False, priority=10)
        while not self._finished([future]):
            pass
        return _result(future, lambda error: f"Its worker was lost: {error}")

    def outcomes(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Outcome]]:
        """What became of each task, as they end; one whose workers die over and over, at last alone, has failed."""
        pending: dict[Any, Task] = {}
        suspects: list[Task] = []
        more, alone = True, False
        try:
            while more or pending or suspects:
                while more and len(pending) < self._room():
                    task = next(tasks, None)
                    if task is None:
                        more = False
                        break
                    pending[self._submit(task)] = task
                if suspects and not more and not pending:
                    alone = True
                    task = suspects.pop()
                    pending[self._submit(task)] = task
                for future in self._finished(list(pending)):
                    task = pending.pop(future)
                    outcome = _result(future, partial(_lost, task))
                    del future
                    if outcome.lost and not alone:
                        suspects.append(task)  # it may only have waited on a worker that another shard killed
                    else:
                        yield task, outcome
        finally:
            with contextlib.suppress(Exception):
                self.client.cancel(list(pending), force=True)

    def _submit(self, task: Task) -> Any:
        return self.client.submit(_on_worker, _packed(measure_block, task), pure=False)

    def _room(self) -> int:
        return max(4, AHEAD * sum(self._threads().values()))

    def _threads(self) -> dict[str, int]:
        """Threads of each worker, as the scheduler last told the client."""
        self._check()
        try:
            workers = self.client.scheduler_info(n_workers=-1)["workers"]
        except OSError:  # the connection went while it was asked
            raise ClusterLost("The scheduler is gone") from None
        return {name: int(about["nthreads"]) for name, about in workers.items()}

    def _check(self) -> None:
        communication = self.client.scheduler_comm
        if self.client.status not in ("running", "connecting") or communication is None or communication.closed():
            raise ClusterLost("The scheduler is gone")

    def _finished(self, futures: list[Any]) -> list[Any]:
        """Those that have ended, after at most a second."""
        from distributed import TimeoutError, wait
        from distributed.client import FuturesCancelledError

        if not futures:
            return []
        try:
            done = list(wait(futures, timeout=1, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            done = []
        except FuturesCancelledError:
            raise ClusterLost("The scheduler is gone") from None
        self._check()
        if any(future.cancelled() for future in done):
            raise ClusterLost("The scheduler is gone")
        if done or self._threads():
            self._last_seen = time.monotonic()
        elif time.monotonic() - self._last_seen > self.quiet:
            raise ClusterLost(f"There has been no worker for {self.quiet:.0f} seconds")
        return done


def _packed(function: Callable[[Any], Any], given: Any) -> bytes:
    """A call as bytes, which a worker opens itself: what it cannot open would end it. No network is among them."""
    import cloudpickle

    return cloudpickle.dumps((function, given))


def _on_worker(packed: bytes) -> Any:
    """Run in a worker; xarray would ask the scheduler for the lock of a file that is in memory."""
    import dask

    with dask.config.set(scheduler="synchronous"):
        function, given = pickle.loads(packed)
        return function(given)


def _lost(task: Task, why: str) -> Outcome:
    numbers = range(task.block.start, task.block.stop) if task.block.retry is None else task.block.retry
    return Outcome(failed=dict.fromkeys(numbers, why), lost=why == DIED)


def _result(future: Any, otherwise: Callable[[str], Any]) -> Any:
    try:
        return future.result(timeout=30)
    except Exception as error:
        if type(error).__name__ in GONE:
            raise ClusterLost("The scheduler is gone") from None
        if type(error).__name__ == "KilledWorker":
            return otherwise(DIED)
        return otherwise(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300])


@contextlib.contextmanager
def engine(workers: int | None, scheduler: str | None) -> Iterator[Engine]:
    """In process unless workers or a scheduler are named.

    Raises
    ------
    ArgumentError
        If Dask is not installed, or no scheduler answers at the address.
    """
    if workers is None and scheduler is None:
        yield InProcess()
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ArgumentError("Workers need Dask: pip install 'vitgeom-nb[sweep]'.") from None
    import logging

    import dask

    with contextlib.ExitStack() as stack:
        for logger in map(logging.getLogger, ("distributed", "tornado")):  # what ends a worker is told once, by the run
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        own = {"distributed.comm.timeouts.connect": f"{PATIENCE:g}s", "distributed.client.heartbeat": "2s"}
        stack.enter_context(dask.config.set(own))
        try:
            if scheduler is None:
                assert workers is not None
                threads = threads_of_each(workers)
                environment = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
                # what its worker dies of is tried once more, alone
                local: dict[str, Any] = {
                    "distributed.nanny.pre-spawn-environ": environment,
                    "distributed.scheduler.allowed-failures": 0,
                }
                stack.enter_context(dask.config.set(local))
                cluster = stack.enter_context(
                    LocalCluster(
                        n_workers=workers,
                        threads_per_worker=1,
                        dashboard_address="127.0.0.1:0",
                        silence_logs=logging.CRITICAL,
                    )
                )
                client = Client(cluster)
            else:
                client = Client(scheduler, timeout=PATIENCE)
        except (OSError, ValueError, TimeoutError, RuntimeError) as error:
            reason = str(error).split("\n")[0].rstrip(".") or type(error).__name__
            where = "No Dask workers can be had" if scheduler is None else f"No scheduler answers at {scheduler!s:.100}"
            raise ArgumentError(f"{where} ({reason:.200}).") from None
        stack.callback(_close, client)
        yield OnDask(client)


def _close(client: Any) -> None:
    with contextlib.suppress(Exception):
        client.close(timeout=5)
