"""Pictures of a patient while a classifier learns are comparable, and are drawn whatever there is."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from fgf_keras.pictures.panels import panel_pixels, patient_panels
from fgf_keras.pictures.training_strip import COLUMNS, EDGE, GAP, LIMIT, EpochScales, patient_png

NAMES = ["brightness", "log_aspect_ratio"]
S, F = np.array([0.2, 0.3, 0.5]), np.array([0.1, 0.2, np.nan])


@pytest.fixture
def fields(rng):
    mask = np.zeros((40, 50, 1))
    mask[10:22, 14:30] = 1
    gradient = rng.normal(size=mask.shape) * mask
    image = rng.uniform(size=mask.shape)
    return {
        "image": image,
        "mask": mask,
        "seen": image * mask,
        "gradient": gradient,
        "explained": 0.5 * gradient,
        "features": rng.normal(size=(2, *mask.shape)) * mask,
        "boundary": image * mask + 0.1 * gradient,
    }


def shown(fields, pointwise=S, flow=F, ending="reached"):
    shares = [dict(zip([*NAMES, "joint"], values)) for values in (pointwise, flow)]
    return patient_panels(fields, NAMES, *shares, ending, EpochScales)


def panels(fields, pointwise=S, flow=F, ending="reached"):
    return {panel.title: panel for panel in shown(fields, pointwise, flow, ending).panels}


def test_what_is_drawn_of_a_gradient_is_its_pattern_not_its_size(fields):
    once, larger = panels(fields), panels(fields | {k: 1000 * fields[k] for k in ("gradient", "explained")})
    for title in ("∇z of the score", "explained part of ∇z", "unexplained part"):
        np.testing.assert_allclose(larger[title].field, once[title].field)
        assert once[title].limits == (-LIMIT, LIMIT)
    inside = shown(fields).mask > 0
    assert np.mean(once["∇z of the score"].field[inside] ** 2) == pytest.approx(1)
    # In units of ∇z: half of it is half as strong.
    np.testing.assert_allclose(once["explained part of ∇z"].field, 0.5 * once["∇z of the score"].field)


def test_images_are_drawn_on_the_range_of_the_slice_whatever_the_boundary_is(fields):
    far = panels(fields | {"boundary": 50 * fields["boundary"]})
    near = panels(fields)
    inside = fields["image"][fields["mask"] > 0]
    assert near["slice"].limits == pytest.approx((inside.min(), inside.max()))
    for title in ("at the boundary", "boundary − slice"):
        assert far[title].limits == near[title].limits


def test_captions_tell_s_and_f_and_what_is_undefined(fields):
    by_title = panels(fields, ending="not reached")
    assert by_title["∇ log aspect ratio"].caption == "S 0.300  F 0.200"
    assert by_title["explained part of ∇z"].caption == "S 0.500  F undefined"
    assert by_title["at the boundary"].caption.startswith("not reached")


@pytest.mark.parametrize("size", [0.0, np.nan])
def test_gradients_that_vanish_or_are_no_numbers_are_drawn_all_the_same(fields, size):
    broken = fields | {k: size * fields[k] for k in ("gradient", "explained", "features")}
    drawn = shown(broken, S * np.nan, F * np.nan)
    width, height, png = patient_png(["patient 1", "logit 0.00"], drawn)
    picture = Image.open(io.BytesIO(png))
    assert picture.size == (width, height) == (COLUMNS * (EDGE + GAP) + GAP, height)
    assert len(drawn.panels) == 8


def test_pixels_outside_the_range_of_the_images_are_tinted_and_counted(fields):
    mask = fields["mask"]
    boundary = fields["image"] * mask
    boundary[12, 16:24], boundary[0, 0] = 1.3, 7
    shown_panels = panels(fields | {"boundary": boundary})
    panel = shown_panels["at the boundary"]
    assert panel.marked.sum() == 8
    assert panel.caption == f"reached, {8 / mask.sum():.0%} outside"
    assert all(other.marked is None for title, other in shown_panels.items() if title != "at the boundary")
    inside = shown(fields | {"boundary": boundary}).mask
    tinted = panel_pixels(panel, inside, len(inside)).astype(int)
    plain = panel_pixels(dataclasses.replace(panel, marked=None), inside, len(inside)).astype(int)
    assert ((tinted != plain).any(axis=-1) <= panel.marked).all()
    assert (tinted != plain).any()
    # Images of another range have no pixels outside of it.
    other = panels(fields | {"seen": 3 * fields["seen"], "boundary": boundary})["at the boundary"]
    assert not other.marked.any()
    assert other.caption == "reached"
