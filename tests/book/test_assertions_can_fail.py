"""What a page asserts can fail.

Every assertion of every page is read: none compares variables of one measurement with each other by the formula that
defines one of them, states a range that holds by construction, or is made of constants. On the pages that are quick to
run, the last cell is executed beside measurements with one variable falsified at a time, and each assertion has to
notice one of them.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import jupytext
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ..chapters import ROOT, chapters

# a variable -> those that its documentation computes it from
FORMULAS = {
    "accuracy": {"count"},
    "corrected": {"verdict"},
    "converged": {"cosine", "residual"},
    "ece_high": {"ece"},
    "ece_low": {"ece"},
    "energy": {"singular_value"},
    "epsilon": {"outcome"},
    "failed": {"drift"},
    "label_reached": {"outcome"},
    "matched_label": {"converged"},
    "measured_ratio": {"lldlc"},
    "null_dimensions": {"null_by_counting", "numerical_rank"},
    "p": {"verdict"},
    "predicted_ratio": {"stable_rank"},
    "psnr": {"rms", "total"},
    "psnr_jump": {"total"},
    "ratio": {"ratio_lower_quartile", "ratio_upper_quartile"},
    "direction_change": {"direction_change_lower_quartile", "direction_change_upper_quartile"},
    "sece": {"ece", "mean_confidence", "top1"},
    "stable_rank": {"numerical_rank", "rank"},
}
# a variable -> numbers that it meets by construction
TRIVIAL = {
    "angle": {0.0, np.pi},
    "direction_change": {0.0, np.pi},
    "energy": {1.0, -1.0},
    "null_by_counting": set(),
    "ratio": {1.0},
    "singular_value": {0.0},
    "sece": {0.0, 1.0},
}
ORDINARY = {"abs", "all", "any", "allclose", "isclose", "isnan", "float", "int", "len", "max", "min", "sum", "where"}
ORDINARY |= {"diff", "round", "log10", "sqrt", "astype", "sel", "isel", "bool", "median", "mean", "nanmax", "nanmin"}
UNCOMPUTABLE = (ValueError, TypeError, LookupError, RuntimeWarning, pd.errors.InvalidIndexError)


def checks(name: str) -> list[ast.Module]:
    """The cells of a page below the heading of its checks, up to the next heading."""
    inside, found = False, []
    for cell in jupytext.read(ROOT / "book" / f"{name}.md", fmt="md:myst").cells:
        if cell.cell_type == "markdown" and (heads := [x for x in cell.source.splitlines() if x.startswith("## ")]):
            inside = heads[-1] == "## What we checked"
        elif cell.cell_type == "code" and inside:
            found.append(ast.parse(cell.source))
    return found


def empty(test: ast.expr) -> str | None:
    """Why an assertion, or one that `and` joins to others in it, cannot fail, if that can be read off it."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return next(filter(None, map(empty, test.values)), None)
    fields: dict[str, set[str]] = {}
    names, numbers, calls = set(), set(), set()
    for node in ast.walk(test):
        key = getattr(node, "attr", None)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            key = node.slice.value
        if isinstance(key, str):
            fields.setdefault(ast.unparse(node.value), set()).add(key)  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            calls.add(node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func))
        names |= {node.id} if isinstance(node, ast.Name) else set()
        if isinstance(node, ast.Attribute) and node.attr == "pi":
            numbers.add(np.pi)
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            numbers.add(float(node.value))
    if calls - ORDINARY:
        return None
    if not names - ORDINARY - {"np"}:
        return "it is made of constants"
    for base, used in fields.items():
        for variable in used & FORMULAS.keys():
            if used & FORMULAS[variable]:
                return f"{base}.{variable} is computed from {', '.join(used & FORMULAS[variable])}"
        for variable in used & TRIVIAL.keys():
            if all(one.startswith(base) or one == "np" for one in fields) and numbers <= TRIVIAL[variable] | {0.0}:
                return f"{base}.{variable} is so by construction"
    return None


@pytest.mark.parametrize("name", chapters())
def test_no_assertion_repeats_what_defines_a_variable(name: str) -> None:
    asserted = [n for cell in checks(name) for n in ast.walk(cell) if isinstance(n, ast.Assert)]
    assert {ast.unparse(n): why for n in asserted if (why := empty(n.test))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "np.isclose(fine.sece, fine.top1 - fine.mean_confidence)",
        "(np.isnan(fine.accuracy) == (fine['count'] == 0)).all()",
        "(one.converged == ((one.cosine >= 0.999) & (one.residual <= 0.1))).all()",
        "np.allclose(one.psnr, -20 * np.log10(one.rms), atol=1e-3)",
        "(walk.failed == (walk.drift > 1e-3)).all()",
        "np.allclose(0.0011, 1 / 255 / np.sqrt(12), atol=5e-5)",
        "round((3 * 224**2 / 12) ** 0.5) == 112",
        "(np.isnan(way.epsilon) == (way.outcome != 'crossed')).all()",
        "np.allclose(r.predicted_ratio, np.sqrt(n / r.stable_rank))",
        "(s.stable_rank <= s.numerical_rank).all()",
        "0 <= float(bend['angle'].min()) and float(bend['angle'].max()) <= np.pi",
        "(s.singular_value.diff('rank') <= 0).all()",
        "(ours['ratio'] == 1).all()",
        "(ledger.corrected[ledger.corrected != ledger.verdict] == 'inconclusive').all()",
        "(known.p[known.verdict == 'inconclusive'] >= 0.05).all()",
    ],
)
def test_one_that_does_is_seen(line: str) -> None:
    assert empty(ast.parse(line, mode="eval").body)


@pytest.mark.parametrize(
    "line",
    [
        "np.allclose(quality, one.psnr, atol=1e-3)",
        "np.allclose(peak_signal_noise_ratio(a, b), -20 * np.log10(one.rms))",
        "(one.evaluations <= 120).all()",
        "np.allclose(s.singular_value, np.linalg.svd(J, compute_uv=False))",
    ],
)
def test_one_that_does_not_is_not(line: str) -> None:
    assert empty(ast.parse(line, mode="eval").body) is None


class Noted(ast.NodeTransformer):
    """Turns every assertion into a note of whether it holds."""

    def visit_Assert(self, node: ast.Assert) -> ast.Expr:
        held = ast.Lambda(ast.arguments([], [], None, [], [], None, []), node.test)
        return ast.Expr(ast.Call(ast.Name("note", ast.Load()), [ast.Constant(ast.unparse(node)), held], []))


def held(cells: list[ast.Module], names: Mapping[str, Any]) -> dict[str, bool]:
    """Assertion -> whether it held each time; what cannot be computed does not hold."""
    found: dict[str, bool] = {}

    def note(assertion: str, test: Any) -> None:
        try:
            found[assertion] = found.get(assertion, True) and bool(test())
        except UNCOMPUTABLE:
            found[assertion] = False

    for cell in cells:
        noted = ast.fix_missing_locations(Noted().visit(ast.parse(ast.unparse(cell))))
        with contextlib.suppress(*UNCOMPUTABLE):
            exec(compile(noted, "checks", "exec"), dict(names) | {"note": note})
    return found


def falsified(value: Any) -> Iterator[Any]:
    """Copies of a measurement, or of a table, list or number of a page, with one variable wrong in each."""
    if isinstance(value, xr.Dataset | pd.DataFrame):
        columns = value.data_vars if isinstance(value, xr.Dataset) else value.columns
        for name in columns:
            kind = value[name].dtype.kind
            if kind == "f":
                yield value.assign(**{name: np.nan})
            if kind in "fiub":
                yield value.assign(**{name: ~value[name] if kind == "b" else -1.5 * value[name] + 0.7})
            elif kind in "OUT":
                yield value.assign(**{name: value[name].where(value[name] == "no such thing", other=None)})
        if isinstance(value, pd.DataFrame):
            yield pd.concat([value, value], ignore_index=True)
    elif isinstance(value, dict):
        yield from ({**value, key: wrong} for key, one in value.items() for wrong in falsified(one))
    elif isinstance(value, list) and value and isinstance(value[0], xr.Dataset):
        yield from ([*value[:i], wrong, *value[i + 1 :]] for i, one in enumerate(value) for wrong in falsified(one))
    elif isinstance(value, float | np.ndarray | xr.DataArray) and getattr(value, "dtype", np.dtype(float)).kind == "f":
        yield -1.5 * value + 0.7


@cache
def state_before_the_checks(name: str) -> dict[str, Any]:
    """The names of a page once its cells have run, without figures, explorers and sentences."""
    names: dict[str, Any] = {}
    for cell in jupytext.read(ROOT / "book" / f"{name}.md", fmt="md:myst").cells:
        if cell.cell_type == "markdown" and "## What we checked" in cell.source:
            break
        if cell.cell_type == "code":
            body = [n for n in ast.parse(cell.source).body if not isinstance(n, ast.Expr)]
            exec(compile(ast.Module(body, []), name, "exec"), names)
    return names


@pytest.mark.parametrize("name", ["foundations", "speed"])
def test_each_assertion_notices_something_false(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "book")
    names, cells = state_before_the_checks(name), checks(name)
    true = held(cells, names)
    assert all(true.values())
    blind = set(true)
    changed = ((variable, wrong) for variable, value in names.items() for wrong in falsified(value))
    while blind and (change := next(changed, None)):
        found = held(cells, names | dict([change]))
        blind -= {assertion for assertion, holds in found.items() if not holds}
    assert blind == set()


def test_an_assertion_that_sees_nothing_is_found() -> None:
    cells = [ast.parse("assert x > 0\nassert x == x")]
    assert held(cells, {"x": 2.0}) == {"assert x > 0": True, "assert x == x": True}
    assert [held(cells, {"x": wrong}) for wrong in falsified(2.0)] == [{"assert x > 0": False, "assert x == x": True}]
