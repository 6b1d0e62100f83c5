"""What the hub answers, in time, or one sentence that says what is wrong and what to do."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from ..errors import HubError
from ..settings import without_secrets
from .cache import COMMIT, Wanted, constants, endpoint

T = TypeVar("T")
LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


class AbsentError(HubError):
    """The repository is there, the file is not."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """What `call` returns, or TimeoutError after `seconds`, which a slow name server does not give of itself."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True, name="hub").start()
    try:
        return future.result(timeout=seconds)
    except BaseException:
        future.add_done_callback(lambda late: None if late.exception() else getattr(late.result(), "close", bool)())
        raise


def is_timeout(error: Exception) -> bool:
    """Whether an error says that nothing came in time."""
    return isinstance(error, TimeoutError) or "TimeoutException" in {kind.__name__ for kind in type(error).__mro__}


def silence(error: Exception, seconds: float) -> str:
    """The sentence for no answer."""
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    wrong = f"does not answer within {seconds:g} s" if is_timeout(error) else f"cannot be reached ({reason})"
    return f"{endpoint()} {without_secrets(wrong)}; check the network and HF_ENDPOINT, then run this again."


def refusal(wanted: Wanted, status: int, headers: Any) -> HubError:
    """The sentence for an answer that is an error."""
    here, page, repo, code = endpoint(), wanted.page, wanted.repo, headers.get("X-Error-Code")
    if code == "GatedRepo":
        return HubError(f"{repo} is open only to those who accepted its terms: do so at {page}, then {LOG_IN}.")
    if status == 403:
        terms = f"accept the terms at {page} if it has some, {LOG_IN}"
        return HubError(f"{here} forbids {wanted} (403): {terms}, or try a network without a filter.")
    if status == 401:
        return HubError(f"{repo} is private, or there is none of that name at {here}: check the name, or {LOG_IN}.")
    if code == "EntryNotFound":
        there = f"{page}/tree/{wanted.revision} lists what it has"
        return AbsentError(f"{repo} has no file {wanted.filename} at revision {wanted.revision}; {there}.")
    if code == "RevisionNotFound":
        return HubError(f"{repo} has no revision {wanted.revision!r}; {page}/commits/main lists those it has.")
    if status == 404:
        kind = "data set" if wanted.kind == "dataset" else "model"
        return HubError(f"There is no {kind} {repo} at {here}; check the name, or {LOG_IN} if it is private.")
    if status == 429:
        pause = re.search(r"^\d+$|(?<=t=)\d+", headers.get("Retry-After") or headers.get("RateLimit") or "")
        wait = f"{pause[0]} s" if pause else "a few minutes"
        return HubError(f"{here} has had too many requests: wait {wait}, or {LOG_IN}, and run this again.")
    if status >= 500:
        return HubError(f"{here} is out of order (it answers {status}); wait a few minutes and run this again.")
    return HubError(f"{wanted} cannot be fetched: {here} answers {status}; check the name and HF_ENDPOINT.")


def ask(wanted: Wanted, call: Callable[[], T], seconds: float) -> T:
    """What `call` gets from the hub within `seconds`; whatever else happens becomes one sentence."""
    if constants().HF_HUB_OFFLINE:
        wrong = "offline mode is on; unset HF_HUB_OFFLINE to fetch what the cache does not hold"
        raise HubError(f"{wanted} cannot be fetched: {wrong}.")
    from huggingface_hub import get_session
    from huggingface_hub.errors import HfHubHTTPError

    get_session()  # reads certificates, which is not the hub's time
    try:
        return within(seconds, call)
    except HfHubHTTPError as error:
        headers = error.response.headers
        failure = refusal(wanted, error.response.status_code, headers)
        if isinstance(failure, AbsentError) and COMMIT.fullmatch(commit := headers.get("X-Repo-Commit", "")):
            with contextlib.suppress(OSError):
                wanted.remember(commit, f".no_exist/{commit}/{wanted.filename}")
    except Exception as error:  # whatever the network, a proxy or a token raises
        failure = HubError(f"{wanted} cannot be fetched: {silence(error, seconds)}")
    raise failure


def open_from(url: str, have: int, seconds: float) -> Any:
    """The hub's answer to a GET from byte `have` on, its body still to come."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    headers = build_hf_headers(library_name="vitgeom-nb") | {"Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={have}-"} if have else {}
    session = get_session()
    request = session.build_request("GET", url, headers=headers, timeout=seconds)
    response = session.send(request, stream=True, follow_redirects=True)
    with contextlib.ExitStack() as stack:
        stack.callback(response.close)
        hf_raise_for_status(response)
        stack.pop_all()
    return response
