"""The phantom obeys the law it states, and its tumours show what was drawn."""

import json

import numpy as np
import pytest
from scipy.special import expit

from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.phantom.phantom import phantom_cohort, relabelled
from fgf_keras.errors import DataError

WINDOW = [-50.0, 300.0]
CANVASES = {"64 px": (64, (1.0, 1.0)), "96 px": (96, (1.0, 1.0)), "not square": (80, (1.5, 0.75))}


def draw(size=48, spacing=(1.0, 1.0), seed=0, **law):
    return phantom_cohort(PhantomConfig(**law), size=size, window=WINDOW, spacing=list(spacing), seed=seed)


def moments(weights, spacing):
    """(N,) root-mean-square radius in mm and log of major over minor axis of (N, H, W) weights."""
    y = np.arange(weights.shape[1])[:, None] * spacing[0]
    x = np.arange(weights.shape[2])[None, :] * spacing[1]
    total = weights.sum(axis=(1, 2))
    dy = y - ((weights * y).sum(axis=(1, 2)) / total)[:, None, None]
    dx = x - ((weights * x).sum(axis=(1, 2)) / total)[:, None, None]
    yy, yx, xx = ((weights * product).sum(axis=(1, 2)) / total for product in (dy * dy, dy * dx, dx * dx))
    eigenvalues = np.linalg.eigvalsh(np.stack([yy, yx, yx, xx], axis=1).reshape(-1, 2, 2))
    return np.sqrt(eigenvalues.sum(axis=1)), 0.5 * np.log(eigenvalues[:, 1] / eigenvalues[:, 0])


@pytest.fixture(scope="module", params=CANVASES.values(), ids=CANVASES)
def phantom(request):
    size, spacing = request.param
    return draw(size, spacing, seed=1, patients=150), spacing


def test_measured_features_follow_their_latents(phantom):
    cohort, spacing = phantom
    mask = cohort.masks[..., 0].astype(float)
    weights = cohort.images[..., 0] * mask
    extent, log_aspect_ratio = moments(weights, spacing)
    measured = {
        "brightness": weights.sum(axis=(1, 2)) / mask.sum(axis=(1, 2)),
        "extent": extent,
        "log_aspect_ratio": log_aspect_ratio,
        "texture": [image[inside > 0].std() for image, inside in zip(cohort.images[..., 0], mask)],
    }
    for name, latent in cohort.provenance["latents"].items():
        assert np.corrcoef(measured[name], latent)[0, 1] > 0.95, name
    others = np.abs(np.corrcoef(list(measured.values())) - np.eye(4))
    assert others.max() < 0.3


def test_tumours_lie_inside_the_canvas_with_a_margin(phantom):
    masks = phantom[0].masks
    border = np.ones(masks.shape[1:], bool)
    border[2:-2, 2:-2] = False
    assert not masks[:, border].any()


def test_tumours_have_the_size_and_shape_of_tumours():
    cohort = draw(80, patients=100)
    extent, log_aspect_ratio = moments(cohort.masks[..., 0].astype(float), (1, 1))
    assert 1.4 < np.exp(np.median(log_aspect_ratio)) < 1.7
    assert np.exp(log_aspect_ratio.max()) < 2.5
    assert 4.5 < extent.min() < 6
    assert 9.5 < extent.max() < 12


def test_shapes_are_drawn_in_mm():
    # Seen at half the row spacing the same canvas in mm holds tumours of the same shape, twice as many rows.
    extent = [moments(draw(64, s, patients=60).masks[..., 0].astype(float), s)[0] for s in [(1, 1), (2, 1)]]
    assert np.median(extent[1]) == pytest.approx(np.median(extent[0]), rel=0.02)


def test_a_slice_shows_air_bone_and_soft_tissue_and_is_not_masked():
    cohort = draw(96, patients=40)
    outside = cohort.images[cohort.masks == 0]
    assert 0.05 < (outside == 0).mean() < 0.6
    assert 0.01 < (outside == 1).mean() < 0.2
    assert 0.2 < np.median(outside[(outside > 0) & (outside < 1)]) < 0.35


def test_latents_are_independent_and_standardised():
    latents = np.array(list(draw(16, patients=2000).provenance["latents"].values()))
    assert np.abs(latents).max() < 2.5
    np.testing.assert_allclose(latents.mean(axis=1), 0, atol=0.08)
    np.testing.assert_allclose(latents.std(axis=1), 1, atol=0.07)
    assert np.abs(np.corrcoef(latents) - np.eye(4)).max() < 0.08


def test_the_mean_probability_is_the_prevalence_and_labels_follow_the_law():
    law = {"brightness": 1.5, "extent": -1.0, "log_aspect_ratio": 0.5, "texture": 0.0}
    cohort = draw(16, patients=2000, prevalence=0.2, **law)
    told = cohort.provenance
    assert told["coefficients"] == law
    score = sum(law[name] * np.array(latent) for name, latent in told["latents"].items())
    probability = expit(told["intercept"] + score)
    assert probability.mean() == pytest.approx(0.2, abs=1e-9)
    assert told["counts"] == {"patients": 2000, "positive": int(cohort.labels.sum())}
    # Calibrated in every fifth of the cohort: five standard errors would be about 0.12.
    for group in np.array_split(np.argsort(probability), 5):
        assert cohort.labels[group].mean() == pytest.approx(probability[group].mean(), abs=0.08)


def test_without_coefficients_the_label_is_chance():
    cohort = draw(16, patients=1000, prevalence=0.3, brightness=0.0, extent=0.0)
    assert cohort.labels.mean() == pytest.approx(0.3, abs=0.06)
    assert cohort.provenance["intercept"] == pytest.approx(np.log(0.3 / 0.7))


def test_a_patient_depends_on_seed_and_number_only():
    few = draw(patients=8, prevalence=0.5)
    many = draw(patients=30, brightness=-2.0)
    np.testing.assert_array_equal(few.images, many.images[:8])
    np.testing.assert_array_equal(few.masks, many.masks[:8])
    assert few.patient_id.tolist() == [f"phantom-{i:04d}" for i in range(1, 9)]
    assert not np.array_equal(few.images, draw(patients=8, prevalence=0.5, seed=1).images)
    assert draw(patients=30, brightness=-2.0).fingerprint() == many.fingerprint()


def test_the_window_maps_to_0_and_1():
    hu_wide = draw(patients=8).images * 350 - 50
    wide = phantom_cohort(
        PhantomConfig(patients=8), size=48, window=[-1000.0, 1000.0], spacing=[1.0, 1.0], seed=0
    )
    inside = (hu_wide > -50) & (hu_wide < 300)
    np.testing.assert_allclose(wide.images[inside] * 2000 - 1000, hu_wide[inside], atol=0.01)
    assert wide.images.min() == 0


@pytest.mark.parametrize("seed", range(20))
def test_both_classes_are_there_however_rare_one_is(seed):
    assert set(draw(16, patients=8, prevalence=0.05, seed=seed).labels) == {0, 1}


def test_a_prevalence_that_yields_one_class_only_is_refused():
    with pytest.raises(DataError, match=r"8 phantom patients at prevalence 1e-09.*data\.phantom\.patients"):
        draw(16, patients=8, prevalence=1e-9)


@pytest.mark.parametrize("spacing", [(1, 1), (9, 1)])
def test_no_mask_is_empty_on_a_coarse_canvas(spacing):
    assert draw(16, spacing, patients=100).masks.any(axis=(1, 2, 3)).all()


def test_the_provenance_is_json():
    assert json.loads(json.dumps(draw(16, patients=8).provenance))["parameters"]["spacing"] == [1.0, 1.0]


def test_a_cohort_under_another_law_is_what_would_have_been_drawn(phantom):
    cohort, spacing = phantom
    law = PhantomConfig(patients=150, prevalence=0.3, brightness=0.0, texture=3.0)
    expected = phantom_cohort(law, size=cohort.images.shape[1], window=WINDOW, spacing=list(spacing), seed=1)
    changed = relabelled(cohort, law)
    assert changed.fingerprint() == expected.fingerprint() != cohort.fingerprint()
    assert changed.provenance == expected.provenance
    assert changed.images is cohort.images
