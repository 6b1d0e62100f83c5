"""Progress bars: shown unless the environment says no, whatever class of tqdm is at work."""

from __future__ import annotations

import io

import pytest

from vitgeom_nb.core.progress import silent, tqdm


def shown(**options: object) -> str:
    file = io.StringIO()
    assert list(tqdm(range(3), desc="counting", file=file, **options)) == [0, 1, 2]
    return file.getvalue()


def test_progress_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "0")
    assert "counting: 100%" in shown()


def test_environment_silences_even_bars_that_ask_to_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert shown(disable=False) == ""


def test_work_that_shows_its_progress_elsewhere_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "0")
    with silent():
        assert shown() == ""
    assert "100%" in shown()
