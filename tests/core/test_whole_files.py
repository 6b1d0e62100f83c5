import os
import stat
import subprocess
import sys
import threading

import pytest

from vitgeom_nb.core.whole_files import write_whole
from vitgeom_nb.errors import DataError

BEGIN = """
import os, resource, signal, sys
from pathlib import Path
from vitgeom_nb.core.whole_files import write_whole
from vitgeom_nb.errors import DataError
path = Path(sys.argv[1])
"""


def run(code, path):
    command = [sys.executable, "-c", BEGIN + code, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def earlier(tmp_path):
    path = tmp_path / "results.nc"
    path.write_bytes(b"earlier")
    return path


def test_a_full_disk_is_one_sentence_and_leaves_the_earlier_file(earlier):
    full = """
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_whole(path, b"x" * 10_000)
except DataError as error:
    print(error)
"""
    done = run(full, earlier)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"There is no space left for {earlier} (")
    assert earlier.read_bytes() == b"earlier"
    assert list(earlier.parent.iterdir()) == [earlier]


def test_a_kill_leaves_the_earlier_file(earlier):
    killed = """
os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL)
write_whole(path, b"later")
"""
    assert run(killed, earlier).returncode == -9
    assert earlier.read_bytes() == b"earlier"


def test_an_interrupt_leaves_the_earlier_file_and_nothing_beside_it(earlier, monkeypatch):
    def stop(number):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_whole(earlier, b"later")
    assert earlier.read_bytes() == b"earlier"
    assert list(earlier.parent.iterdir()) == [earlier]


def test_many_writers_leave_the_whole_file_of_one(tmp_path):
    path, failures = tmp_path / "results.nc", []

    def write(letter):
        for _ in range(10):
            try:
                write_whole(path, letter * 200_000)
                read = path.read_bytes()
                assert len(read) == 200_000
                assert len(set(read)) == 1
            except BaseException as error:
                failures.append(error)

    writers = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not failures
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is a folder; name a file"):
        write_whole(tmp_path / "folder", b"x")
    with pytest.raises(DataError, match="a device, pipe or socket; name a file"):
        write_whole(tmp_path / "pipe", b"x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(DataError, match=r"There is no folder .*nowhere; make it"):
        write_whole(tmp_path / "nowhere" / "a.nc", b"x")
    with pytest.raises(DataError, match="cannot be looked at"):
        write_whole(tmp_path / ("x" * 300), b"x")


def test_a_file_that_may_not_be_written_stays(earlier, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DataError, match=r"results.nc cannot be written \(it is read-only\)"):
        write_whole(earlier, b"later")
    assert earlier.read_bytes() == b"earlier"


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o007])
def test_a_new_file_has_the_permissions_of_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "a.nc", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.nc").stat().st_mode) == 0o666 & ~umask


def test_a_link_stays_a_link_and_permissions_stay(earlier, tmp_path):
    earlier.chmod(0o640)
    link = tmp_path / "link.nc"
    link.symlink_to(earlier)
    write_whole(link, b"la", b"ter")
    assert link.is_symlink()
    assert earlier.read_bytes() == b"later"
    assert stat.S_IMODE(earlier.stat().st_mode) == 0o640
