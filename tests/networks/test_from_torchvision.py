"""GoogLeNet as torchvision publishes it: random weights in its own file format, from a site on loopback."""

from __future__ import annotations

import concurrent.futures
import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb.core.progress import silent
from vitgeom_nb.errors import ArgumentError, HubError, ModelError, WeightsError
from vitgeom_nb.networks import from_torchvision as torchvision_models

WEIGHTS = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1


class Site(ThreadingHTTPServer):
    """Serves one content under any name; `fault` says how not to, for so many requests or always."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.fault, self.times, self.asked = b"", "", -1, 0
        self.over = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        site = self.server
        site.asked += 1
        fault, site.times = site.fault if site.times else "", site.times - 1
        if fault == "hang":
            site.over.wait(60)
        elif fault == "404":
            self.send_error(404)
        elif fault == "garbage":
            self.wfile.write(b"no HTTP\r\n\r\n")
        else:
            self.send_response(200)
            self.send_header("Content-Length", "many" if fault == "length" else str(len(site.content)))
            self.end_headers()
            half = site.content[: len(site.content) // 2]
            self.wfile.write({"cut": half, "stall": half, "wrong": site.content[::-1]}.get(fault, site.content))
            if fault == "stall":
                site.over.wait(60)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with Site() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("VITGEOM_TORCHVISION_URL", f"http://127.0.0.1:{server.server_port}/models/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
        yield server
        server.over.set()
        server.shutdown()


class Known:
    """Weights whose digest is that of a content of ours."""

    def __init__(self, content: bytes) -> None:
        self.url = f"https://elsewhere/models/net-{hashlib.sha256(content).hexdigest()[:8]}.pth"


CONTENT = bytes(range(256)) * 1000


def fetched() -> Path:
    return torchvision_models._weights(Known(CONTENT))


def left(folder: Path) -> list[Path]:
    return list((folder / "torch" / "checkpoints").iterdir())


def test_a_file_comes_once_and_is_checked(site, tmp_path):
    site.content = CONTENT
    path = fetched()
    assert path.read_bytes() == CONTENT
    assert left(tmp_path) == [path]
    assert fetched() == path
    assert site.asked == 1
    path.write_bytes(b"damaged")
    assert fetched().read_bytes() == CONTENT
    assert site.asked == 2


@pytest.mark.parametrize(
    ("fault", "words", "requests"),
    [
        ("404", "answers 404 (Not Found); try again later", 1),
        ("hang", "cannot be fetched (timed out); check the connection", 1),
        ("stall", "cannot be fetched (timed out); check the connection", 1),
        ("garbage", "cannot be fetched (no HTTP); check the connection and VITGEOM_TORCHVISION_URL", 1),
        ("length", "cannot be fetched (invalid literal for int() with base 10: 'many')", 1),
        ("cut", "came cut off or changed, twice: its digest is not the", 2),
        ("wrong", "came cut off or changed, twice: its digest is not the", 2),
    ],
)
def test_faults_are_sentences_and_leave_nothing(site, tmp_path, monkeypatch, fault, words, requests):
    monkeypatch.setattr(torchvision_models, "TIMEOUT", 0.3)
    site.content, site.fault = CONTENT, fault
    with pytest.raises(HubError, match=re.escape(words)) as caught:
        fetched()
    assert str(tmp_path / "torch" / "checkpoints" / "net-") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert site.asked == requests
    assert left(tmp_path) == []
    site.fault = ""
    assert fetched().read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["cut", "wrong"])
def test_wrong_bytes_are_fetched_again_once(site, fault):
    site.content, site.fault, site.times = CONTENT, fault, 1
    assert fetched().read_bytes() == CONTENT
    assert site.asked == 2


def test_nobody_there(site):
    site.shutdown()
    site.server_close()
    with pytest.raises(HubError, match=r"cannot be fetched .*refused.*check the connection"):
        fetched()


def test_no_address(site, monkeypatch):
    monkeypatch.setenv("VITGEOM_TORCHVISION_URL", "mirror")
    with pytest.raises(ArgumentError, match="VITGEOM_TORCHVISION_URL is no address such as https://host:port; set it"):
        fetched()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up(site, tmp_path, monkeypatch):
    def full(name: str, mode: str) -> IO[bytes]:
        Path(name).symlink_to("/dev/full")
        return Path(name).open(mode)

    site.content = CONTENT
    monkeypatch.setattr(torch.hub, "open", full, raising=False)
    with pytest.raises(HubError, match=r"cannot be written \(No space left on device\); free some space"):
        fetched()
    assert left(tmp_path) == []
    monkeypatch.undo()
    assert Path("/dev/full").is_char_device()


def test_a_cache_that_cannot_be_written(site, tmp_path):
    (tmp_path / "torch").write_text("in the way")
    with pytest.raises(HubError, match=r"cannot be written \(.*set TORCH_HOME to another folder"):
        fetched()
    assert site.asked == 0


def test_the_limit_of_sockets_is_as_before(site):
    site.content = CONTENT
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: fetched(), range(8)))) == 1
    assert socket.getdefaulttimeout() is None
    with torchvision_models._patience(2.5):
        assert socket.getdefaulttimeout() == 2.5
    assert socket.getdefaulttimeout() is None


def test_bars_obey(site, monkeypatch, capsys):
    site.content = CONTENT
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    path = fetched()
    assert "100%" in capsys.readouterr().err
    path.unlink()
    with silent():
        fetched().unlink()
    monkeypatch.setenv("TQDM_DISABLE", "1")
    fetched()
    assert capsys.readouterr().err == ""


def googlenet() -> torch.nn.Module:
    torch.manual_seed(0)
    net = torchvision.models.GoogLeNet(num_classes=1000, aux_logits=True, transform_input=True, init_weights=False)
    return net.eval()


def test_googlenet_is_torchvisions(tmp_path, monkeypatch):
    net, path = googlenet(), tmp_path / "googlenet.pth"
    torch.save(net.state_dict(), path)
    monkeypatch.setattr(torchvision_models, "_weights", lambda known: path)
    model = vg.load("googlenet")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 300, 3), dtype=np.uint8))
    own = WEIGHTS.transforms()(picture)
    x = model.preprocess(picture)
    torch.testing.assert_close((x - model._mean[0]) / model._std[0], own, rtol=0, atol=1e-5)
    with torch.no_grad():
        expected = net(own[None])
        torch.testing.assert_close(model.logits(x[None]), expected, rtol=1e-4, atol=1e-4)
        head = model.module.heads["head"]
        torch.testing.assert_close(head(model.embed(x[None])), expected, rtol=1e-4, atol=1e-4)
    assert (model.dim, len(model.classes), model.family) == (1024, 1000, "CNN")
    assert model.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.source["revision"] == "IMAGENET1K_V1"


def test_wrong_files_and_names(tmp_path, monkeypatch):
    path = tmp_path / "googlenet.pth"
    path.write_bytes(b"no checkpoint")
    monkeypatch.setattr(torchvision_models, "_weights", lambda known: path)
    with pytest.raises(WeightsError, match="cannot be loaded"):
        vg.load("googlenet")
    with pytest.raises(ModelError, match="no classifier 'googlenett'"):
        vg.load("torchvision/googlenett.V1")
    with pytest.raises(ModelError, match="there are IMAGENET1K_V1"):
        vg.load("torchvision/googlenet")
