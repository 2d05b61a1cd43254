"""Partial shares of random fields: the projection by definition, the law, and uniform p-values."""

import numpy as np
import pytest
from scipy import stats

from fgf_keras.nulls.chance import p_value
from fgf_keras.nulls.draws import NullDraws
from fgf_keras.nulls.fields import matched_fields, smooth_fields
from fgf_keras.nulls.partial import WithoutOthers
from fgf_keras.nulls.settings import Nulls

ALPHA = 1e-3
SEED = np.array([3, -4], np.int32)


def residual(field, others):
    """What least squares on the others leaves of a field (d,)."""
    return field - others.T @ np.linalg.lstsq(others.T, field, rcond=1e-9)[0] if len(others) else field


def orthonormal(fields):
    _, s, vt = np.linalg.svd(fields, full_matrices=False)
    return vt * (s > 1e-9 * s[0])[:, np.newaxis]


def without_others(section, features):
    """`WithoutOthers` of section (R, d) and features (m, d), and the fields that it takes products with."""
    both = np.concatenate([orthonormal(section), features])
    return WithoutOthers(both @ both.T, len(features)), both


def shares(section, features, fields):
    without, both = without_others(section, features)
    return without.shares(fields @ both.T, np.sum(fields**2, axis=2))


def reference(section, features, fields):
    found = np.empty(fields.shape[:2])
    for i in range(len(features)):
        others = np.delete(features, i, axis=0)
        left = np.array([residual(z, others) for z in section])
        for n, draw in enumerate(fields):
            own = residual(draw[i], others)
            found[n, i] = 1 - np.sum(residual(own, left) ** 2) / np.sum(own**2)
    return found


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_other_features_are_projected_out_of_the_draws(rng, rank, count):
    section, features = rng.normal(size=(rank, 40)) + 1, rng.normal(size=(count, 40)) + 1
    fields = rng.normal(size=(6, count, 40))
    expected = reference(section, features, fields)
    np.testing.assert_allclose(shares(section, features, fields), expected, rtol=1e-9)
    scaled = shares(-1e3 * section, 1e-4 * features, 1e2 * fields)
    np.testing.assert_allclose(scaled, expected, rtol=1e-9)


def test_the_gradient_itself_as_a_draw_has_the_measured_share(rng):
    section, features = rng.normal(size=(1, 30)) + 1, rng.normal(size=(3, 30)) + 1
    own = shares(section, features, features[np.newaxis])
    np.testing.assert_allclose(own, reference(section, features, features[np.newaxis]), rtol=1e-9)


def test_collinear_features_count_once_and_a_draw_in_the_span_of_the_others_has_nothing_of_its_own(rng):
    section, (a, b) = rng.normal(size=(1, 30)), rng.normal(size=(2, 30))
    fields = rng.normal(size=(5, 3, 30))
    fields[0, 2] = 2 * a
    measured = shares(section, np.array([a, b, -2 * a]), fields)
    assert np.isfinite(measured).all()
    assert measured[0, 2] == 0
    np.testing.assert_allclose(measured[:, 1], shares(section, np.array([a, b]), fields[:, :2])[:, 1])


def test_nothing_is_left_for_a_section_in_the_span_of_the_others(rng):
    features, fields = rng.normal(size=(2, 30)), rng.normal(size=(5, 2, 30))
    measured = shares(features[:1] * 3, features, fields)
    assert np.isnan(measured[:, 1]).all()
    assert np.isfinite(measured[:, 0]).all()
    broken = WithoutOthers(np.full((3, 3), np.nan), 2)
    assert np.isnan(broken.shares(np.ones((5, 2, 3)), np.ones((5, 2)))).all()
    assert np.isnan(broken.white_shares(5, 30, SEED)).all()


@pytest.mark.parametrize("rank", [1, 3])
def test_white_noise_follows_its_law_and_so_do_its_draws(rng, rank):
    features = rng.normal(size=(4, 25))
    # Three features span two directions.
    features[2] = features[0] + features[1]
    without, both = without_others(rng.normal(size=(rank, 25)), features)
    assert without.ranks == [(3, rank)] * 3 + [(2, rank)]
    pixels = rng.normal(size=(1500, 4, 25))
    direct = without.shares(pixels @ both.T, np.sum(pixels**2, axis=2))
    drawn = without.white_shares(1500, 25, SEED)
    for i, others in ((0, 3), (3, 2)):
        law = stats.beta(rank / 2, (25 - others - rank) / 2)
        assert stats.kstest(direct[:, i], law.cdf).pvalue > ALPHA
        assert stats.kstest(drawn[:, i], law.cdf).pvalue > ALPHA
        assert stats.kstest(direct[:, i], stats.beta(rank / 2, (50 - rank) / 2).cdf).pvalue < ALPHA
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.1


def test_with_no_more_pixels_than_features_noise_explains_all_that_is_left(rng):
    without, _ = without_others(rng.normal(size=(1, 3)), rng.normal(size=(3, 3)))
    assert (without.white_shares(4, 3, SEED) == 1).all()


def part_of(gradient, features, mask):
    """The arrays of one patient that nulls are drawn for."""
    unit = gradient / np.linalg.norm(gradient)
    both = np.concatenate([unit[np.newaxis], features]).reshape(len(features) + 1, -1)
    part = {"null_mask": mask, "null_features": features, "null_products": both @ both.T}
    for kind in "SF":
        part |= {f"null_{kind}": unit[np.newaxis], f"null_{kind}_gram": np.eye(1)}
    return part


@pytest.mark.parametrize("label", ["white", "smooth", "matched"])
def test_p_is_uniform_where_s_is_over_cautious_because_of_a_constant_direction(label):
    """A gradient that is mostly constant, as that of a network that sums its input, and random otherwise.

    The gradient of the second feature is a draw of the null without its constant part, as that of extent has
    none: S of a whole draw is larger, because part of it lies along the constant.
    """
    rng = np.random.default_rng(4)
    shape = (9, 8, 1)
    mask = np.ones(shape)
    mask[:2, :3] = 0
    constant = mask / np.linalg.norm(mask)
    spectrum = mask * rng.normal(size=shape)
    gradient = 4 * constant + mask * rng.normal(size=shape) / np.sqrt(mask.sum())
    null = NullDraws(Nulls(kinds=label, draws=99, lengths=1.5, seed=1))
    measured = {"S": [], "partial": []}
    for i in range(120):
        seed = np.array([i, 77], np.int32)
        drawn = {
            "white": lambda seed: rng.normal(size=shape),
            "smooth": lambda seed: smooth_fields(1, shape, 1.5, seed)[0].numpy(),
            "matched": lambda seed: matched_fields(1, spectrum[np.newaxis], seed)[0, 0].numpy(),
        }[label](seed) * mask
        null.add(str(i), part_of(gradient, np.float32([constant, spectrum]), mask), mask.sum())
        g = drawn - constant * np.sum(constant * drawn)
        z = gradient - constant * np.sum(constant * gradient)
        for kind, field in (("S", gradient), ("partial", z)):
            measured[kind].append(np.sum(field * g) ** 2 / np.sum(field**2) / np.sum(g**2))
    shares = null.finish()[label]
    s, partial = (p_value(measured[kind], getattr(shares, kind)[..., 1]) for kind in measured)
    assert stats.kstest(partial, "uniform").pvalue > ALPHA
    distance = stats.kstest(s, "uniform", alternative="less").statistic
    assert distance > 0.3 > 2 * stats.kstest(partial, "uniform").statistic
