"""GoogLeNet as torchvision publishes it: random weights in its own file format, from a site on loopback."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import vitgeom_nb as vg
from vitgeom_nb import torchvision_models
from vitgeom_nb.errors import HubError, ModelError, WeightsError

WEIGHTS = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1


class Site(ThreadingHTTPServer):
    """Serves one content under any name; `fault` says how not to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.fault, self.asked = b"", "", []
        self.over = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        site = self.server
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        site.asked.append(start)
        if site.fault == "hang":
            site.over.wait(30)
            return
        if site.fault == "404":
            return self.send_error(404)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(site.content) - start))
        self.end_headers()
        body = site.content[start:]
        self.wfile.write(body[: len(body) // 2] if site.fault == "cut" else body)
        return None


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with Site() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("VITGEOM_TORCHVISION_URL", f"http://127.0.0.1:{server.server_port}/models/")
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
        yield server
        server.over.set()
        server.shutdown()


class Known:
    """Weights whose digest is that of a content of ours."""

    def __init__(self, content: bytes) -> None:
        self.url = f"https://elsewhere/models/net-{hashlib.sha256(content).hexdigest()[:8]}.pth"


def test_a_file_comes_once_and_is_checked(site):
    site.content = bytes(range(256)) * 1000
    path = torchvision_models._weights(Known(site.content))
    assert path.read_bytes() == site.content
    assert torchvision_models._weights(Known(site.content)) == path
    assert site.asked == [0]
    path.write_bytes(b"damaged")
    assert torchvision_models._weights(Known(site.content)).read_bytes() == site.content
    assert site.asked == [0, 0]


def test_a_cut_download_goes_on_where_it_stopped(site):
    site.content, site.fault = bytes(range(256)) * 10_000, "cut"
    with pytest.raises(HubError, match=r"broke off after 1,280,000 of 2,560,000 bytes; ask again"):
        torchvision_models._weights(Known(site.content))
    site.fault = ""
    assert torchvision_models._weights(Known(site.content)).read_bytes() == site.content
    assert site.asked == [0, 1_280_000]


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [("404", HubError, "answers 404"), ("hang", HubError, "timed out"), ("wrong", WeightsError, "digest")],
)
def test_faults_are_sentences(site, fault, error, words):
    known, site.content = Known(b"right"), b"wrong"
    site.fault = fault
    begin = time.monotonic()
    with pytest.raises(error, match=words):
        torchvision_models._weights(known)
    assert time.monotonic() - begin < 10


def test_nobody_there(site, monkeypatch):
    site.shutdown()
    site.server_close()
    with pytest.raises(HubError, match="cannot be fetched"):
        torchvision_models._weights(Known(b""))


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
