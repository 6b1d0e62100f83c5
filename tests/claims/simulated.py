"""Runs whose verdicts are known: measurements drawn so that every quantity has the value one asks for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from vitgeom_nb.core.measurement import Variable, measurement


def dataset(**variables: tuple[list[str], object]) -> xr.Dataset:
    return measurement({name: Variable(dims, values, "1", name) for name, (dims, values) in variables.items()})


def match(own: np.random.Generator, n: int, alike: float, arrived: float = 1.0, psnr: float = 25.0) -> xr.Dataset:
    """Pairs of which a share arrives; of those, a share looks as unlike its target as its source did."""
    there = own.random(n) < arrived
    kept = own.random(n) >= alike
    pair = ["pair"]
    return dataset(
        cosine=(pair, np.where(there, 0.9995, 0.95)),
        converged=(pair, there),
        psnr=(pair, psnr + own.normal(0, 0.5, n)),
        source_cosine=(pair, own.normal(0.1, 0.02, n)),
        psnr_pair=(pair, np.full(n, 10.0)),
        psnr_target=(pair, np.where(kept, 10.2, 14.0)),
        ssim_target=(pair, np.full(n, 0.2)),
        source_label=(pair, np.zeros(n, int)),
        target_label=(pair, np.ones(n, int)),
        matched_label=(pair, there.astype(int)),
        evaluations=(pair, np.full(n, 50)),
    )


def predictions(own: np.random.Generator, n: int, gap: float) -> xr.Dataset:
    """Answers whose accuracy minus confidence is `gap` on average."""
    confidence = own.uniform(0.3, 0.7, n)
    right = own.random(n) < confidence + gap
    return dataset(
        label=(["image"], np.ones(n, int)),
        predicted=(["image"], right.astype(int)),
        confidence=(["image"], confidence),
    )


def corrupted(own: np.random.Generator, n: int, kept: float) -> xr.Dataset:
    """Answers of which a share of the right ones survives each corruption."""
    right = own.random(n) < 0.6
    under = right[:, None, None] & (own.random((n, 6, 3)) < kept)
    each = ["image", "corruption", "strength"]
    return dataset(
        label=(["image"], np.ones(n, int)),
        predicted=(["image"], right.astype(int)),
        corrupted_predicted=(each, under.astype(int)),
    )


def correlated(own: np.random.Generator, n: int, r: float) -> tuple[np.ndarray, np.ndarray]:
    a = own.normal(size=n)
    return a, r * a + (1 - r**2) ** 0.5 * own.normal(size=n)


def travel(own: np.random.Generator, n: int, r: float) -> xr.Dataset:
    confidence, distance = correlated(own, n, r)
    outcome = np.where(np.arange(n) % 10 == 0, "already wrong", "crossed")
    return dataset(
        epsilon=(["image"], np.where(outcome == "crossed", np.exp(distance) / 100, np.nan)),
        outcome=(["image"], outcome),
        confidence=(["image"], confidence),
    )


def jumps(own: np.random.Generator, n: int, r: float, straighter: float, nearer: float, psnr: float) -> xr.Dataset:
    bend, distance = correlated(own, n, r)
    both, bends = np.exp(distance) / 100, np.exp(bend / 4) / 10
    noise = np.exp(own.normal(0, 0.05, (2, n)))
    over = ["image", "path"]
    found = dataset(
        epsilon=(over, np.stack([both, both * nearer * noise[0]], 1)),
        outcome=(over, np.full((n, 2), "crossed")),
        direction_change=(over, np.stack([bends, bends * straighter * noise[1]], 1)),
        psnr=(over, np.stack([np.full(n, 40.0), psnr + own.normal(0, 0.1, n)], 1)),
        psnr_jump=(["image"], np.full(n, 26.02)),
    )
    return found.assign_coords(path=["direct", "jumped"])


def angles(own: np.random.Generator, n: int, degrees: float, tail: float) -> xr.Dataset:
    """Angles with this median, whose 95 % quantile is `tail` times as large."""
    spread = np.log(tail) / 1.6448536
    drawn = np.exp(own.normal(0, spread, (n, 20, 49)))
    return dataset(angle=(["image", "direction", "step"], np.radians(degrees) * drawn))


def lipschitz(own: np.random.Generator, n: int, ratio: float) -> xr.Dataset:
    kinds, radii = ["random", "gradient", "matching"], np.array([0.1, 1.0, 10.0])
    slope = np.ones((n, 3, 4))
    slope[:, 1:, 1:] = np.nan
    slope[:, 1, 0] = ratio * np.exp(own.normal(0, 0.1, n))
    slope[:, 2, 0] = ratio / 10
    found = dataset(
        lldlc=(["image", "kind", "direction", "radius"], slope[..., None] * np.ones(3)),
        slope=(["image", "kind", "direction"], slope),
        match_distance=(["image"], np.full(n, 1.2)),
        predicted_ratio=(["image"], np.full(n, 2 * ratio)),
    )
    return found.assign_coords(kind=kinds, radius=radii)


def steps(own: np.random.Generator, n: int, null: float, error: float) -> xr.Dataset:
    kinds, rms = ["null", "random", "normal"], np.array([0.001, 0.009, 0.1])
    change = np.ones((n, 3, 8, 3)) * np.exp(own.normal(0, 0.1, (n, 1, 1, 1)))
    change[:, 0] *= np.array([null / 10, null, 1.0]) * np.exp(own.normal(0, 0.1, (n, 1, 1)))
    errors = np.ones((n, 3, 8, 3)) * np.array([error / 10, error, 1.0]) * np.exp(own.normal(0, 0.1, (n, 1, 1, 1)))
    each = ["image", "kind", "direction", "radius"]
    found = dataset(change=(each, change), linearisation_error=(each, errors))
    return found.assign_coords(kind=kinds, rms=("radius", rms))


def components(own: np.random.Generator, n: int, attention: float | None) -> xr.Dataset:
    kinds = ["linear", "activation", "normalisation"] + (["attention", "softmax"] if attention else [])
    level = np.array([0.0, 1.0, 0.5] + ([attention, 99.0] if attention else []))
    bend = level * np.exp(own.normal(0, 0.1, (n, 2, len(level))))
    found = dataset(bend=(["image", "direction", "layer"], bend))
    return found.assign_coords(kind=("layer", kinds), layer=[f"{i}" for i in range(len(kinds))])


def spectrum(own: np.random.Generator, n: int, energy: float) -> xr.Dataset:
    shares = np.linspace(0.1, energy, 10) + own.normal(0, 0.01, (n, 1))
    found = dataset(energy=(["image", "rank"], shares), stable_rank=(["image"], np.full(n, 8.0)))
    return found.assign_coords(rank=np.arange(1, 11))


def cosines(own: np.random.Generator, n: int, overtaken: float) -> xr.Dataset:
    return dataset(
        overtaken=(["image"], own.beta(5 * overtaken, 5 * (1 - overtaken), n)),
        within=(["image"], own.normal(0.6, 0.05, n)),
        between=(["image"], own.normal(0.2, 0.05, n)),
        between_median=(["image"], own.normal(0.3, 0.02, n)),
    )


TRUE = {
    "alike": 0.05, "psnr": 33.0, "descent": 0.95, "energy": 0.7, "null": 0.02, "error": 0.03, "ratio": 100.0,
    "overtaken": 0.15, "kept": 0.8, "decoupled": 0.0, "tail": 3.0, "degrees": 8.0, "bend_distance": 0.5,
    "straighter": 0.6, "nearer": 0.5, "jumped": 25.8, "attention": 2.0, "before": 2.0, "gap": 0.03,
}  # fmt: skip
"""What a transformer has for which every sentence holds."""
TRUE_CNN = TRUE | {
    "kept": 0.6, "decoupled": 0.7, "tail": 1.5, "degrees": 4.0, "straighter": 1.0, "nearer": 1.0, "attention": None,
    "gap": -0.08,
}  # fmt: skip
"""What a CNN has for which every sentence holds."""
FALSE = TRUE | {
    "alike": 0.9, "psnr": 25.0, "descent": 0.3, "energy": 0.3, "null": 0.5, "error": 0.5, "ratio": 20.0,
    "overtaken": 0.01, "kept": 0.5, "decoupled": 0.6, "tail": 1.2, "degrees": 3.0, "bend_distance": 0.0,
    "straighter": 1.0, "nearer": 1.0, "jumped": 20.0, "attention": 0.5, "before": 3.0, "gap": -0.1,
}  # fmt: skip
"""What a transformer has for which none does."""
FALSE_CNN = FALSE | {
    "degrees": 15.0,
    "before": 15.0,
    "tail": 2.0,
    "kept": 0.8,
    "gap": 0.1,
    "nearer": 0.5,
    "attention": None,
}


def network(asked: Mapping[str, float | None], n: int = 300, seed: int = 0) -> dict[str, xr.Dataset]:
    """All measurements of a network of which the quantities have these values."""
    own, few = np.random.default_rng(seed), n
    return {
        "match": match(own, few, asked["alike"], psnr=asked["psnr"]) if asked["descent"] > 0.5
        else match(own, few, asked["alike"], arrived=0.9, psnr=asked["psnr"]).assign(
            matched_label=("pair", np.zeros(few, int))
        ),
        "match_gradient_descent": match(own, few, 0.0, arrived=asked["descent"]),
        "match_adam": match(own, few, 0.0, arrived=0.99),
        "singular_spectrum": spectrum(own, few, asked["energy"]),
        "step_response": steps(own, few, asked["null"], asked["error"]),
        "lldlc": lipschitz(own, few, asked["ratio"]),
        "class_cosines": cosines(own, n, asked["overtaken"]),
        "predictions": predictions(own, 20 * n, asked["gap"]),
        "corrupted_predictions": corrupted(own, 3 * n, asked["kept"]),
        "travel_distance": travel(own, 5 * n, asked["decoupled"]),
        "random_jump": jumps(
            own, 5 * n, asked["bend_distance"], asked["straighter"], asked["nearer"], asked["jumped"]
        ),
        "direction_change": angles(own, few, asked["degrees"], asked["tail"]),
        "untrained_direction_change": angles(own, few, asked["before"], asked["tail"]),
        "additivity": components(own, few, asked["attention"]),
    }  # fmt: skip


def run(transformer: Mapping, cnn: Mapping, **options: int) -> dict[str, dict[str, xr.Dataset]]:
    """Two transformers and two CNNs."""
    kinds = {"vit": transformer, "swin": transformer, "resnet": cnn, "mobilenetv2": cnn}
    return {name: network(asked, seed=i, **options) for i, (name, asked) in enumerate(kinds.items())}
