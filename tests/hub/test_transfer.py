import contextlib
import dataclasses
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest

import vitgeom_nb as vg
from vitgeom_nb import settings
from vitgeom_nb.errors import ArgumentError, HubError, VitgeomError
from vitgeom_nb.hub import transfer as ours

from .. import stand_in_hub
from ..stand_in_hub import Fault, StandInHub, etag

hub = stand_in_hub.hub

REPO = "org/net"
BIG = bytes(range(256)) * 2000
FILES = {"config.json": b'{"a": 1}', "empty.txt": b"", "model.safetensors": BIG, "folder/vocab.txt": b"words"}


@pytest.fixture
def there(hub):
    """A stand-in hub with one repository, and its commit."""
    hub.sha = hub.add(REPO, FILES)
    return hub


@pytest.fixture
def brief(monkeypatch):
    """Patience cut short, so that tests of hanging hubs are."""
    monkeypatch.setattr(ours, "ANSWER_S", 0.6)
    monkeypatch.setattr(ours, "STALL_S", 0.6)


@contextlib.contextmanager
def refused(*words, seconds=10.0):
    """Expect a HubError: one sentence with these words, no library in its traceback, in time."""
    start = time.perf_counter()
    with pytest.raises(HubError) as caught:
        yield
    assert time.perf_counter() - start < seconds
    assert isinstance(caught.value, VitgeomError | OSError)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    for word in words:
        assert word in text
    shown = "".join(traceback.format_exception(caught.value))
    assert "site-packages" not in shown
    assert "During handling" not in shown


def blob_of(path):
    return path.parent / path.readlink()


def fetch(name="model.safetensors", **options):
    return ours.fetch(REPO, name, **options)


# what is there


@pytest.mark.parametrize("name", FILES)
def test_a_file_comes_as_it_is_by_one_question_and_one_transfer(there, name):
    path = fetch(name)
    assert path.read_bytes() == FILES[name]
    # nothing else is asked: no telemetry, nothing twice, and the content is that of the commit that was announced
    assert there.requests == [f"HEAD /{REPO}/resolve/main/{name}", f"GET /{REPO}/resolve/{there.sha}/{name}"]


def test_huggingface_hub_finds_in_its_cache_what_was_fetched(there):
    from huggingface_hub import hf_hub_download, scan_cache_dir

    for name in FILES:
        path = fetch(name)
        for revision in ("main", there.sha):
            assert hf_hub_download(REPO, name, revision=revision, local_files_only=True) == str(path)
        assert blob_of(path).name == etag(name, FILES[name])
    (scanned,) = scan_cache_dir().repos
    assert (scanned.repo_id, scanned.nb_files, scanned.size_on_disk) == (REPO, 4, sum(map(len, FILES.values())))


def test_what_huggingface_hub_fetched_is_found_here(there):
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(REPO, "model.safetensors")
    there.requests.clear()
    assert str(fetch()) == path
    assert there.requests == []


@pytest.mark.parametrize("name", FILES)
def test_a_cached_file_needs_no_request(there, name):
    assert not ours.is_cached(REPO, name)
    path = fetch(name)
    assert ours.is_cached(REPO, name)
    assert ours.cache_folder() in path.parents
    there.stop()
    count = len(there.requests)
    assert fetch(name) == fetch(name, revision=there.sha) == path
    assert len(there.requests) == count


def test_a_new_commit_with_the_same_file_is_not_transferred_again(there):
    old = fetch()
    new_sha = there.add(REPO, {"config.json": b"{}"})
    there.requests.clear()
    assert fetch() == old  # the branch stays where it was fetched
    new = fetch(revision=new_sha)
    assert new != old
    assert blob_of(new).resolve() == blob_of(old).resolve()
    assert there.requests == [f"HEAD /{REPO}/resolve/{new_sha}/model.safetensors"]


def test_data_sets_have_a_place_of_their_own(hub):
    sha = hub.add("org/pictures", {"data/train-0.parquet": BIG}, kind="dataset")
    path = ours.fetch("org/pictures", "data/train-0.parquet", kind="dataset")
    assert path.read_bytes() == BIG
    assert "datasets--org--pictures" in path.parts
    assert ours.listing("org/pictures", kind="dataset") == ["data/train-0.parquet"]
    assert ours.provenance(path) == {
        "repository": "org/pictures",
        "revision": sha,
        "sha256": hashlib.sha256(BIG).hexdigest(),
    }
    with refused("no model org/pictures", "name"):
        ours.fetch("org/pictures", "data/train-0.parquet")


def test_large_files_redirected_to_another_host_come_without_the_token(there, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with StandInHub(tmp_path / "storage") as storage:
        storage.add("far/away", {"model.safetensors": BIG})
        headers = {
            "Location": f"{storage.url.replace('127.0.0.1', 'localhost')}/far/away/resolve/main/model.safetensors",
            "X-Repo-Commit": there.sha,
            "X-Linked-Etag": f'"{etag("model.safetensors", BIG)}"',
            "X-Linked-Size": str(len(BIG)),
        }
        there.fault = Fault("status", 302, headers)
        storage.fault = Fault("cut", times=1)
        with refused("run this again"):
            fetch()
        assert fetch().read_bytes() == BIG
        assert storage.requests == ["GET /far/away/resolve/main/model.safetensors"] * 2
        assert storage.headers[1]["Range"] == f"bytes={len(BIG) // 2}-"
        assert all("authorization" not in map(str.lower, sent) for sent in storage.headers)
    assert all(sent.get("authorization") == "Bearer hf_secret" for sent in there.headers)


def test_two_at_once_transfer_once(there):
    there.fault = Fault("slow")
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(fetch())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 4
    assert len(set(paths)) == 1
    assert sum(request.startswith("GET") for request in there.requests) == 1


# what goes wrong before the first byte

ANSWERS = {
    "private": (Fault("status", 401), ["private", "check the name", "hf auth login", "HF_TOKEN"]),
    "gated": (Fault("status", 403, {"X-Error-Code": "GatedRepo"}), ["accept", "/org/net,", "hf auth login"]),
    "gated, not logged in": (Fault("status", 401, {"X-Error-Code": "GatedRepo"}), ["accept", "hf auth login"]),
    "forbidden": (Fault("status", 403), ["forbids", "accept", "/org/net", "HF_TOKEN", "filter"]),
    "too many": (Fault("status", 429), ["too many requests", "wait a few minutes", "hf auth login"]),
    "too many, for a while": (Fault("status", 429, {"Retry-After": "17"}), ["too many requests", "wait 17 s"]),
    "too many, in a window": (Fault("status", 429, {"RateLimit": '"api";r=0;t=55'}), ["wait 55 s"]),
    "broken": (Fault("status", 500), ["out of order", "500", "wait a few minutes"]),
    "overloaded": (Fault("status", 503), ["out of order", "503", "run this again"]),
    "odd": (Fault("status", 418), ["418", "HF_ENDPOINT"]),
    "not a hub": (Fault("silent"), ["does not answer as a hub does", "HF_ENDPOINT", "proxy"]),
    "no page": (Fault("status", 404), ["no model org/net", "check the name"]),
    "evil": (Fault("status", 200, {"X-Repo-Commit": "../../../up", "ETag": '"a"'}), ["does not answer as a hub"]),
    "evil name": (Fault("status", 200, {"X-Repo-Commit": "a" * 40, "ETag": '"../a"'}), ["does not answer as a hub"]),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_that_is_none_is_one_sentence_at_once(there, case):
    there.fault, words = ANSWERS[case]
    with refused(*words):
        fetch()
    assert there.requests == [f"HEAD /{REPO}/resolve/main/model.safetensors"]  # not asked again and again
    there.fault = None
    assert fetch().read_bytes() == BIG


@pytest.mark.parametrize("case", ["private", "gated", "too many", "broken", "overloaded"])
def test_the_transfer_itself_may_be_refused_too(there, case):
    fault, words = ANSWERS[case]
    there.fault = Fault("status", fault.status, fault.headers, methods=["GET"])
    with refused(*words):
        fetch()
    assert len(there.requests) == 2
    there.fault = None
    assert fetch().read_bytes() == BIG


def test_a_missing_repository_revision_and_file_are_told_apart(there):
    with refused("no model org/nett", there.url, "check the name"):
        ours.fetch("org/nett", "model.safetensors")
    with refused("no revision 'v9'", "/org/net/commits"):
        fetch(revision="v9")
    with refused("no file weights.bin", "main", "/org/net/tree/main"):
        fetch("weights.bin")


def test_a_hub_that_is_not_there(there):
    there.stop()
    with refused("cannot be fetched", "refused", there.url, "check the network and HF_ENDPOINT"):
        fetch()


def test_a_hub_that_hangs_costs_three_seconds_as_shipped(there):
    there.fault = Fault("hang")
    start = time.perf_counter()
    with refused("does not answer within 3 s", "check the network", seconds=6):
        fetch()
    assert time.perf_counter() - start > 2.5


def test_a_name_server_that_hangs_is_no_longer_wait(there, brief, monkeypatch):
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **named: time.sleep(2.5) or look_up(*args, **named))
    with refused("does not answer within 0.6 s", seconds=2.0):
        fetch()
    for thread in threading.enumerate():  # the late answer comes into nobody's hands
        if thread.name == "hub":
            thread.join()


def test_a_user_may_have_less_patience(there, monkeypatch):
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "1")
    there.fault = Fault("hang")
    with refused("does not answer within 1 s", "check the network"):
        fetch()
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "2")
    there.fault = Fault("stall")
    with refused("sent nothing for 2 s after 0.3 of 0.5 MB"):
        fetch()


def test_a_user_may_have_more_patience(there, monkeypatch):
    monkeypatch.setattr(ours, "ANSWER_S", 0.1)
    monkeypatch.setattr(ours, "STALL_S", 0.1)
    look_up = socket.getaddrinfo
    with monkeypatch.context() as slow:
        slow.setattr(socket, "getaddrinfo", lambda *args, **named: time.sleep(0.5) or look_up(*args, **named))
        with refused("does not answer within 0.1 s"):
            fetch()
        assert "within 0.1 s" in ours.reachable()
        slow.setenv("HF_HUB_ETAG_TIMEOUT", "60")
        assert ours.reachable() is None
        assert ours.listing(REPO) == sorted(FILES)
    for thread in threading.enumerate():
        if thread.name == "hub":
            thread.join()
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "60")
    there.fault = Fault("slow")  # half a second before the first byte
    with refused("0.1 s"):
        fetch()
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "60")
    assert fetch().read_bytes() == BIG


@pytest.mark.parametrize("name", ["HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"])
@pytest.mark.parametrize("value", ["soon", "0", "-1", "2.5"])
def test_patience_is_a_whole_number_of_seconds(there, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ArgumentError, match=f"{name} is '{value}'; set it to a whole number of seconds, or unset it"):
        fetch()
    monkeypatch.setenv(name, "")
    assert fetch().read_bytes() == BIG


def test_a_secret_in_the_address_is_not_shown(there, monkeypatch):
    from huggingface_hub import constants

    secret = there.url.replace("://", "://me:s3cret@") + "/s3cret/path"
    monkeypatch.setattr(constants, "ENDPOINT", secret)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", secret + "/{repo_id}/resolve/{revision}/{filename}")
    told = []
    for status in (401, 403, 404, 418, 429, 503):
        there.fault = Fault("status", status)
        with pytest.raises(HubError) as caught:
            fetch()
        told.append(str(caught.value))
    there.stop()
    with pytest.raises(HubError) as caught:
        fetch()
    for text in (*told, str(caught.value), str(ours.reachable())):
        assert "s3cret" not in text
        assert there.url in text or there.url.removeprefix("http://") in text


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:secret@hub.example:81/secret?token=secret#secret", "https://hub.example:81"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("https://user:se/cret@hub.example", ""),
        ("https://user/secret@hub.example", ""),
        ("https://user:se?cret@hub.example", ""),
        ("https://[::1", ""),
        ("https://", ""),
        ("ftp://hub.example", ""),
        ("hub.example", ""),
        ("", ""),
    ],
)
def test_of_an_address_only_scheme_host_and_port_are_shown(monkeypatch, address, shown):
    assert settings.origin(address) == shown
    assert "cret" not in settings.without_secrets(f"GET {address} failed")
    monkeypatch.setenv("HF_ENDPOINT", address)
    if shown:
        settings.check_hub_address()
        return
    for call in (settings.check_hub_address, fetch, lambda: vg.load("vit")):
        with pytest.raises(ArgumentError, match=r"^HF_ENDPOINT is no address such as https://host:port; set it"):
            call()
    assert str(ours.reachable()).startswith("HF_ENDPOINT is no address")


def test_the_address_is_checked_before_huggingface_hub_is_imported():
    program = "import vitgeom_nb as vg\ntry: vg.load('vit')\nexcept ValueError as error: print(error)"
    here = os.environ | {"HF_ENDPOINT": "https://user:se/cret@hub.example"}
    done = subprocess.run([sys.executable, "-c", program], env=here, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("HF_ENDPOINT is no address")
    assert done.stderr == ""


# what goes wrong on the way


@pytest.mark.parametrize(("kind", "words"), [("cut", ["closed the connection"]), ("stall", ["sent nothing for 0.6 s"])])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_broken_transfer_goes_on_where_it_stopped(there, brief, kind, words, name):
    size = len(FILES[name])
    there.fault = Fault(kind)
    with refused(*words, "run this again", name):
        fetch(name)
    assert not ours.is_cached(REPO, name)
    there.fault = None
    assert fetch(name).read_bytes() == FILES[name]
    assert "Range" not in there.headers[1]
    assert there.headers[-1]["Range"] == f"bytes={size // 2}-"
    assert len(there.requests) == 4
    assert not list(fetch(name).parents[2].glob("blobs/*.incomplete"))


def test_a_stalled_transfer_ends_in_five_seconds_as_shipped(there):
    there.fault = Fault("stall")
    with refused("sent nothing for 5 s after 0.3 of 0.5 MB of model.safetensors of org/net"):
        fetch()


def test_a_transfer_that_never_starts(there, brief):
    there.fault = Fault("hang", methods=["GET"])
    with refused("does not answer within 0.6 s", "run this again"):
        fetch()


def test_a_hub_that_does_not_say_how_long_a_file_is(there, monkeypatch):
    import huggingface_hub

    ask = huggingface_hub.get_hf_file_metadata
    answer = lambda *args, **named: dataclasses.replace(ask(*args, **named), size=None)  # noqa: E731
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", answer)
    there.fault = Fault("cut", times=1)
    with refused("closed the connection after 0.3 MB of model.safetensors", "run this again"):
        fetch()
    assert fetch().read_bytes() == BIG
    assert "Range" not in there.headers[-1]


def test_a_hub_that_cannot_resume_sends_the_whole(there):
    there.fault, there.resumable = Fault("cut", times=1), False
    with refused("run this again"):
        fetch()
    assert fetch().read_bytes() == BIG
    assert "Range" in there.headers[-1]


def test_wrong_bytes_of_the_right_length_are_fetched_again_once(there):
    there.fault = Fault("wrong", times=1)
    assert fetch().read_bytes() == BIG
    assert [request.split()[0] for request in there.requests] == ["HEAD", "GET", "GET"]
    assert "Range" not in there.headers[-1]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_wrong_bytes_twice_are_refused_and_not_kept(there, name):
    there.fault = Fault("wrong")
    with refused(f"{name} of org/net came damaged twice", "try another network, or later"):
        fetch(name)
    assert [request.split()[0] for request in there.requests] == ["HEAD", "GET", "GET"]
    assert not [path for path in Path(os.environ["HF_HUB_CACHE"]).glob("models--*/*/*") if path.is_file()]
    there.fault = None
    assert fetch(name).read_bytes() == FILES[name]


def test_a_damaged_beginning_is_not_kept(there):
    there.fault = Fault("cut", times=1)
    with refused("run this again"):
        fetch()
    (part,) = Path(os.environ["HF_HUB_CACHE"]).glob("*/blobs/*.incomplete")
    part.write_bytes(b"x" + part.read_bytes()[1:])
    assert fetch().read_bytes() == BIG
    assert ["Range" in sent for sent in there.headers[2:]] == [False, True, False]  # HEAD, the rest, all of it


@pytest.mark.parametrize("left", [len(BIG), len(BIG) + 5])
def test_a_beginning_that_is_whole_or_longer(there, left):
    blobs = Path(os.environ["HF_HUB_CACHE"]) / "models--org--net" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{etag('model.safetensors', BIG)}.incomplete").write_bytes((BIG + b"12345")[:left])
    assert fetch().read_bytes() == BIG
    assert len(there.requests) == (1 if left == len(BIG) else 2)


# what goes wrong in the cache


def cut(blob):
    blob.write_bytes(blob.read_bytes()[:-3])


def flip(blob):
    blob.write_bytes(bytes([blob.read_bytes()[0] ^ 1]) + blob.read_bytes()[1:])


def empty(blob):
    blob.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty, Path.unlink])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_damaged_cache_is_repaired(there, damage, name):
    path = fetch(name)
    damage(blob_of(path))
    there.requests.clear()
    assert fetch(name) == path
    assert path.read_bytes() == FILES[name]
    assert [request.split()[0] for request in there.requests] == ["HEAD", "GET"]


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_damaged_cache_without_a_hub_says_what_to_delete(there, monkeypatch, damage):
    from huggingface_hub import constants

    path = fetch()
    damage(blob_of(path))
    folder = str(path.parents[2])
    there.stop()
    with refused("cached model.safetensors of org/net is damaged", f"delete {folder}", "refused", "check the network"):
        fetch()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with refused("model.safetensors of org/net is damaged", f"delete {folder}", "offline mode", "HF_HUB_OFFLINE"):
        fetch()


def test_a_cache_whose_blobs_are_links_is_read_by_the_names_of_the_first_link(there, tmp_path):
    # a store shared by all repositories names its files in a way of its own
    path = fetch()
    blob = blob_of(path)
    shared = tmp_path / ("b" * 64)
    shutil.move(blob, shared)
    blob.symlink_to(shared)
    there.stop()
    assert fetch() == path


def test_a_cache_without_links_is_used(there):
    path = fetch()
    path.unlink()
    path.write_bytes(BIG)
    there.stop()
    assert fetch() == path


def test_offline_mode_asks_for_nothing(there, monkeypatch):
    from huggingface_hub import constants

    path = fetch("config.json")
    there.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch("config.json") == path
    with refused("model.safetensors of org/net cannot be fetched", "offline mode is on", "unset HF_HUB_OFFLINE"):
        fetch()
    with refused("list of files of org/net cannot be fetched", "unset HF_HUB_OFFLINE"):
        ours.listing(REPO)
    assert "HF_HUB_OFFLINE" in ours.reachable()
    assert there.requests == []


def test_too_little_room_is_said_before_anything_comes(there, monkeypatch):
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=len(BIG) - 1))
    with refused("cache cannot hold model.safetensors of org/net", "full", "free some space", "HF_HOME"):
        fetch()
    assert len(there.requests) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_on_the_way(there):
    blobs = Path(os.environ["HF_HUB_CACHE"]) / "models--org--net" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{etag('model.safetensors', BIG)}.incomplete").symlink_to("/dev/full")
    with refused("cache cannot hold model.safetensors of org/net", "full", "free some space", "HF_HOME"):
        fetch()
    assert not list(blobs.iterdir())
    assert fetch().read_bytes() == BIG


def test_a_cache_that_cannot_be_written(there, tmp_path, monkeypatch):
    from huggingface_hub import constants

    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with refused("cache cannot hold model.safetensors of org/net", "HF_HOME"):
        fetch()


# names


@pytest.mark.parametrize("repo", ["", "a/b/c", "../up", "a b/c", "https://x/y", "a/..", "a--b/c"])
def test_what_is_not_a_repository_is_never_asked_for(there, repo):
    with refused("not the name of a repository", "organisation/name"):
        ours.fetch(repo, "config.json")
    assert there.requests == []


@pytest.mark.parametrize(
    ("name", "revision"), [("../up", "main"), ("/etc/passwd", "main"), ("a\\b", "main"), ("x", "../../x"), ("x", "")]
)
def test_names_do_not_lead_out_of_the_cache(there, name, revision):
    with refused("neither a file nor a revision"):
        fetch(name, revision=revision)
    assert there.requests == []


def test_there_are_two_kinds():
    with pytest.raises(ArgumentError, match="model and dataset"):
        fetch(kind="space")


# several names, lists, origins


def test_the_first_of_several_names_that_is_there(there):
    names = ["none.safetensors", "model.safetensors", "config.json"]
    path = ours.fetch_first(REPO, names)
    assert path.name == "model.safetensors"
    assert len(there.requests) == 3
    # the answer that a file is not there is kept as the file is
    assert ours.fetch_first(REPO, names) == ours.fetch_first(REPO, names, revision=there.sha) == path
    assert len(there.requests) == 3
    with refused("no file a.bin or b.bin", "main", "/org/net"):
        ours.fetch_first(REPO, ["a.bin", "b.bin"])
    with pytest.raises(ArgumentError, match="at least one"):
        ours.fetch_first(REPO, [])


def test_of_several_names_the_cached_one_does_where_the_hub_is_gone(there):
    path = fetch()
    there.stop()
    assert ours.fetch_first(REPO, ["other.safetensors", "model.safetensors"]) == path
    with refused("refused"):
        ours.fetch_first(REPO, ["other.safetensors", "config.json"])


def test_a_list_of_files_is_asked_for_once(there):
    names = sorted(FILES)
    assert ours.listing(REPO) == names
    assert len(there.requests) == 1
    assert ours.listing(REPO) == ours.listing(REPO, revision=there.sha) == names
    assert len(there.requests) == 1


@pytest.mark.parametrize("case", ["private", "gated", "too many", "broken", "overloaded"])
def test_a_list_of_files_may_be_refused(there, case):
    there.fault, words = ANSWERS[case]
    with refused(*words):
        ours.listing(REPO)
    assert len(there.requests) == 1


def test_a_list_of_what_is_not_there(there, brief):
    with refused("no model org/nett"):
        ours.listing("org/nett")
    with refused("no revision 'v9'"):
        ours.listing(REPO, revision="v9")
    there.fault = Fault("hang")
    with refused("list of files of org/net", "does not answer within 0.6 s"):
        ours.listing(REPO)
    there.stop()
    with refused("refused"):
        ours.listing(REPO)


def test_provenance(there):
    for name, content in FILES.items():
        known = {"repository": REPO, "revision": there.sha, "sha256": hashlib.sha256(content).hexdigest()}
        assert ours.provenance(fetch(name)) == known
    with refused("not a file of the hub's cache", "fetch()"):
        ours.provenance(Path(__file__))


def test_reachable(there, brief):
    assert ours.reachable() is None
    there.fault = Fault("status", 404)
    assert ours.reachable() is None
    for fault, word in [(Fault("status", 503), "503"), (Fault("status", 429), "wait"), (Fault("hang"), "within 0.6 s")]:
        there.fault = fault
        assert word in ours.reachable()
    there.stop()
    assert "refused" in ours.reachable()


# the rest


def test_bars_obey(there, monkeypatch, capsys):
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    monkeypatch.setattr(ours, "BAR_BYTES", 1000)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    fetch()
    assert "model.safetensors: 100%" in capsys.readouterr().err
    fetch("config.json")
    assert capsys.readouterr().err == ""
    for name in ("a.bin", "b.bin"):
        there.add(REPO, {name: BIG[1:] + name.encode()})
    monkeypatch.setenv("TQDM_DISABLE", "1")
    fetch("a.bin")
    monkeypatch.delenv("TQDM_DISABLE")
    disable_progress_bars()
    fetch("b.bin")
    enable_progress_bars()
    assert capsys.readouterr().err == ""


def test_the_stand_in_is_a_program_too(tmp_path):
    repo = tmp_path / "models" / REPO
    repo.mkdir(parents=True)
    (repo / "config.json").write_bytes(b"{}")
    root = Path(__file__).parents[2]
    script = "import huggingface_hub as h; print(open(h.hf_hub_download('org/net', 'config.json')).read())"
    serve = [sys.executable, "-m", "tests.stand_in_hub", str(tmp_path)]
    with subprocess.Popen(serve, cwd=root, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline().strip()
            here = os.environ | {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1"}
            here = {name: value for name, value in here.items() if name not in ("HF_HUB_CACHE", "HF_HUB_OFFLINE")}
            done = subprocess.run([sys.executable, "-c", script], env=here, capture_output=True, text=True, timeout=60)
        finally:
            server.terminate()
    assert done.stdout == "{}\n", done.stderr
