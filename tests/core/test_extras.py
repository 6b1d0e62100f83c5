"""An installation without extras: measurements work, and what an extra brings is asked for by its name."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib

import pytest

from vitgeom_nb.core.extras import EXTRAS, OF, extras
from vitgeom_nb.errors import MissingExtraError

from ..chapters import ROOT

BARE = f"""
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {sorted(OF)} else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
"""
MEASURED = """
import json, torch
import vitgeom_nb as vg
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
model = vg.wrap(net, mean=[0.5] * 3, std=[0.5] * 3, size=4, embed=lambda m, x: m[:3](x), logits=lambda m, x: m(x))
images, labels = torch.rand(6, 3, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])
made = [
    vg.singular_spectrum(model, images), vg.leading_singular_values(model, images, k=2), vg.lldlc(model, images),
    vg.match(model, images[:3], images[3:], max_evaluations=5), vg.fibre_walk(model, images[:1], images[1:2], steps=2),
    vg.direction_change(model, images, directions=2), vg.curvature(model, images, directions=2),
    vg.step_law(model, images, directions=2), vg.additivity(model, images, directions=2),
    vg.travel_distance(model, images, labels), vg.random_jump(model, images, labels),
    vg.reliability(model, images, labels),
]
file = vg.save_measurement(made[0], sys.argv[1])
assert vg.open_measurement(file).identical(made[0])
print(json.dumps(sorted(set(m.partition(".")[0] for m in sys.modules))))
"""
COMMAND = "from vitgeom_nb.__main__ import main; sys.exit(main(sys.argv[1:]))"


def bare(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program where no module of an extra can be imported."""
    own = "ignore:`torch.jit.script` is deprecated:DeprecationWarning"  # of torch 2.11, about itself
    command = [sys.executable, "-W", "error", "-W", own, "-c", BARE + program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_measurements_need_no_extra(tmp_path) -> None:
    done = bare(MEASURED, tmp_path / "spectrum.nc")
    assert done.returncode == 0, done.stderr
    assert not set(json.loads(done.stdout)) & set(OF)


@pytest.mark.parametrize(
    ("asked", "extra"),
    [
        ("vg.load('vit')", "models"),
        ("vg.load('timm/resnet18')", "models"),
        ("vg.load('hf/facebook/dinov2-small')", "models"),
        ("vg.samples('imagenet', size=8)", "data"),
        ("vg.samples('photographs', size=8)", "data"),
        ("vg.figures.singular_spectrum", "figures"),
        ("vg.explore.singular_steps", "figures"),
    ],
)
def test_what_an_extra_brings_is_asked_for_by_its_name(asked: str, extra: str) -> None:
    done = bare(
        "import vitgeom_nb as vg\n"
        f"try:\n    {asked}\nexcept vg.errors.MissingExtraError as error:\n    assert isinstance(error, ImportError)\n"
        "    print(error)"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"which is not installed: pip install 'vitgeom-nb[{extra}]'.\n")


@pytest.mark.parametrize("arguments", [["--help"], ["models"], ["doctor"]])
def test_the_command_line_answers_without_extras(arguments: list[str]) -> None:
    done = bare(COMMAND, *arguments)
    assert done.returncode == 0, done.stderr
    if arguments == ["doctor"]:
        for extra in EXTRAS:
            assert f"pip install 'vitgeom-nb[{extra}]'" in done.stdout


def test_a_command_that_needs_an_extra_is_one_line(tmp_path) -> None:
    done = bare(
        "import sys\nfrom vitgeom_nb.__main__ import main\nsys.exit(main(sys.argv[1:]))",
        "figures",
        "--out",
        tmp_path / "x",
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'vitgeom-nb[models]'" in done.stderr


def test_another_missing_module_is_not_ours_to_explain() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'nonsense_of_a_reader'$") as caught, extras():
        import nonsense_of_a_reader  # noqa: F401
    assert not isinstance(caught.value, MissingExtraError)
    with pytest.raises(ModuleNotFoundError) as caught, extras():
        import matplotlib.nothing_there  # noqa: F401
    assert not isinstance(caught.value, MissingExtraError)


def test_the_table_of_extras_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {"huggingface_hub": "huggingface-hub", "sklearn": "scikit-learn"}
    come_along = {"IPython", "onnx_ir"}
    for extra, modules in EXTRAS.items():
        wanted = {line.partition(">=")[0] for line in project["optional-dependencies"][extra]}
        assert {names.get(module, module) for module in modules} - come_along == wanted
