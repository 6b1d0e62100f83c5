"""Sample images are drawn as they are, under their names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import vitgeom_nb as vg


def test_each_image_is_drawn_under_its_class_or_name() -> None:
    batches = [vg.samples("photographs", n=2, size=8), vg.samples("cifar10", n=3, size=8)]
    figure = vg.figures.sample_images(batches, columns=2)
    assert len(figure.axes) == 6
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == batches[0].names
    assert titles[2] == batches[1].class_names[int(batches[1].labels[0])]
    assert titles[5] == ""
    assert not figure.axes[5].images
    drawn = figure.axes[2].images[0].get_array()
    np.testing.assert_allclose(drawn, batches[1].pixels[0].permute(1, 2, 0))


def test_unnamed_classes_are_numbered() -> None:
    images = replace(vg.samples("imagenet", n=1, size=8), class_names=None)
    (axes,) = vg.figures.sample_images(images, columns=1).axes
    assert axes.get_title() == f"class {int(images.labels[0])}"
