"""Damaged files of every kind, a few of each; and the soak itself, which sees every flaw."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from tests import soak_readers
from tests.soak_readers import FLAWS, OUTCOMES, READERS, Reader
from vitgeom_nb.errors import DataError

ROUNDS = 25


def test_damaged_files_of_every_kind_are_read_or_refused():
    found = soak_readers.soak(READERS, lambda number, _: number < ROUNDS, seconds=300)
    assert found["flaws"] == []
    assert found["cases"] == ROUNDS * len(READERS)
    for name, counts in found["counts"].items():
        assert set(counts) == set(OUTCOMES)
        assert counts["refused"] > ROUNDS // 10, f"{name}: what is changed is hardly damaged"


@pytest.mark.parametrize("name", list(READERS))
def test_what_is_not_changed_is_read(name, tmp_path):
    reader = READERS[name]
    for number, data in enumerate(reader.whole()):
        path = tmp_path / f"{number}{reader.suffix}"
        path.write_bytes(reader.finish(data))
        assert soak_readers.outcome(reader.read, path) == ("read", "")


def test_a_case_follows_from_its_number():
    for name in READERS:
        assert soak_readers.case(name, 3) == soak_readers.case(name, 3) != soak_readers.case(name, 4)


def whole():
    return [bytes(100)]


def crashes(path):
    os.abort()


def hangs(path):
    time.sleep(1e6)


def raises(path):
    raise KeyError("x")


def wrong(path):
    soak_readers._require(bool(np.isfinite(np.nan)), "NaN")


def refuses(path):
    raise DataError("It is damaged.")


def says_nothing(path):
    raise DataError("damaged\nat byte 3")


def test_the_soak_sees_every_flaw_and_goes_on():
    ways = {"crash": crashes, "hang": hangs, "traceback": raises, "silent": wrong, "refused": refuses, "read": Path}
    readers = {kind: Reader(whole, way) for kind, way in ways.items()}
    readers |= {"no sentence": Reader(whole, says_nothing), "guarded": Reader(whole, crashes, door=refuses)}
    found = soak_readers.soak(readers, lambda number, _: number < 2, seconds=2, readers=readers)
    expected = {kind: kind for kind in ways} | {"no sentence": "traceback", "guarded": "refused"}
    assert {kind: counts[expected[kind]] for kind, counts in found["counts"].items()} == dict.fromkeys(expected, 2)
    assert found["ended_by_the_guard"]["guarded"] == 2
    assert len(found["flaws"]) == 2 * (len(FLAWS) + 1)
