"""`alignment` of arrays of any rank against least squares in NumPy, in batches, and what it refuses."""

import json

import numpy as np
import pytest
import zarr
from scipy import ndimage, stats

from fgf_keras import Nulls, alignment
from fgf_keras.errors import ConfigError, DataError, FeatureError

N = 6
M = 3
NAMES = ["first", "second", "third"]
# Shapes without the sample axis: a table, a sequence, an image, a volume.
SHAPES = {"table": (9,), "sequence": (7, 2), "image": (5, 4, 2), "volume": (3, 4, 5, 1)}
EXACT = {"rtol": 1e-9, "atol": 1e-12}


def gradients(rng, shape, outputs=None, count=N):
    """Gradients of scores, of features that overlap with them and with each other, and masks."""
    features = rng.normal(size=(count, M, *shape))
    features[:, 1] += 0.7 * features[:, 0]
    score = rng.normal(size=(count, outputs or 1, *shape))
    score += np.einsum("nm...,km->nk...", features, rng.normal(size=(outputs or 1, M)))
    mask = rng.random((count, *shape[:-1], 1)) > 0.3
    mask[:, *[0] * len(shape)] = True
    return (score if outputs else score[:, 0]), features, mask if len(shape) > 1 else None


def inside(field, mask):
    return (field if mask is None else field * mask).ravel()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_shares_and_slopes_are_those_of_least_squares(rng, shape):
    score, features, mask = gradients(rng, shape)
    frame = alignment(score, features, mask, feature_names=NAMES).to_frame()
    assert frame.index.name == "patient_id"
    for k in range(N):
        where = None if mask is None else mask[k]
        z = inside(score[k], where)
        G = np.stack([inside(g, where) for g in features[k]], axis=1)
        row = frame.iloc[k]

        def share(columns, z=z, G=G):
            fitted = G[:, columns] @ np.linalg.lstsq(G[:, columns], z, rcond=None)[0]
            return fitted @ fitted / (z @ z)

        everything = list(range(M))
        assert row["S_joint"] == pytest.approx(share(everything), rel=1e-9)
        assert row["gradient_norm"] == pytest.approx(np.linalg.norm(z))
        assert sum(row[f"shapley_{name}"] for name in NAMES) == pytest.approx(share(everything))
        for i, name in enumerate(NAMES):
            rest = share([j for j in everything if j != i])
            assert row[f"S_{name}"] == pytest.approx(share([i]))
            assert row[f"unique_{name}"] == pytest.approx(share(everything) - rest)
            assert row[f"partial_{name}"] == pytest.approx((share(everything) - rest) / (1 - rest))
            assert row[f"slope_{name}"] == pytest.approx(np.linalg.lstsq(G, z, rcond=None)[0][i])
            assert row[f"slope_alone_{name}"] == pytest.approx(z @ G[:, i] / (G[:, i] @ G[:, i]))
            d = z.size if mask is None else mask[k].sum() * shape[-1]
            p = stats.beta.sf(share([i]), 0.5, (d - 1) / 2)
            assert row[f"p_white_{name}"] == pytest.approx(p)


def test_what_was_not_given_has_no_columns(rng):
    score, features, mask = gradients(rng, (5, 4, 2))
    bare = alignment(score, features, mask)
    assert bare.feature_names == ["feature_0", "feature_1", "feature_2"]
    missing = ("logit", "class", "value_", "effect_", "F_", "flow_", "contribution_", "change_", "status")
    assert not [column for column in bare.to_frame() if column.startswith(missing)]
    assert bare.quantities == ("S",)
    assert bare.settings["support"] == "mask"
    assert alignment(score, features).settings["support"] == "image"
    assert "median S_joint" in repr(bare)
    samples = json.loads(bare.to_json())["samples"]
    assert len(samples) == N
    for ask, words in (
        (bare.population, "Pass scores to alignment"),
        (lambda: bare.status, "No paths"),
        (bare.plot, "no images"),
        (lambda: alignment(score, features, scores=np.arange(N)).population(), "Pass values to alignment"),
        (lambda: bare.plot_contributions("0"), "No paths"),
    ):
        with pytest.raises(DataError, match=words):
            ask()
    with pytest.raises(ValueError, match="no nulls"):
        bare.against_chance()


def test_scores_and_values_give_effects_and_the_population_share(rng):
    score, features, _ = gradients(rng, (9,), count=20)
    values, logits = rng.normal(size=(20, M)), rng.normal(size=20)
    named = dict(zip(NAMES, np.moveaxis(features, 1, 0)))
    whole = alignment(score, named, scores=logits, values=values, units={"first": "mm"})
    frame = whole.to_frame()
    assert frame["logit"].to_numpy() == pytest.approx(logits)
    assert frame["class"].tolist() == (logits > 0).tolist()
    assert np.allclose(frame["effect_second"], frame["slope_second"] * values[:, 1].std(ddof=1))
    assert whole.settings["units"] == {"first": "mm", "second": "", "third": ""}
    assert "first" in repr(whole.population(permutations=20, bootstrap=20))
    by_name = alignment(score, named, values=dict(zip(NAMES, values.T)), reference_sd=dict.fromkeys(NAMES, 2))
    assert np.allclose(by_name.to_frame()["effect_third"], 2 * frame["slope_third"])
    without_values = alignment(score, named, reference_sd=dict.fromkeys(NAMES, 2)).to_frame()
    assert np.allclose(without_values["effect_third"], 2 * frame["slope_third"])


def test_two_logits_are_one(rng):
    score, features, mask = gradients(rng, (5, 4, 2), outputs=2)
    logits = rng.normal(size=(N, 2))
    values = rng.normal(size=(N, M))
    nulls = Nulls(kinds=["white", "smooth", "permutation"], draws=60)
    two = alignment(score, features, mask, scores=logits, values=values, nulls=nulls).to_frame()
    difference = score[:, 1] - score[:, 0]
    one = alignment(
        difference, features, mask, scores=logits[:, 1] - logits[:, 0], values=values, nulls=nulls
    ).to_frame()
    assert list(one) == list(two)
    assert np.allclose(one, two, **EXACT)
    assert "logit" not in alignment(score, features, mask).to_frame()
    single = alignment(difference[:, np.newaxis], features, mask).to_frame()
    assert np.allclose(single["S_joint"], one["S_joint"], **EXACT)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_of_several_classes_the_section_counts_and_slopes_are_of_the_margin(rng, shape):
    score, features, mask = gradients(rng, shape, outputs=4)
    logits = rng.normal(size=(N, 4))
    found = alignment(score, features, mask, scores=logits)
    frame, by_class = found.to_frame(), found.to_frame(per_class=True)
    for k in range(N):
        where = None if mask is None else mask[k]
        J = np.stack([inside(z, where) for z in score[k]])
        centred = J - J.mean(axis=0)
        basis = np.linalg.svd(centred)[2][:3]
        G = np.stack([inside(g, where) for g in features[k]], axis=1)
        Q = np.linalg.qr(G)[0]
        for i in range(M):
            expected = np.sum((basis @ G[:, i]) ** 2) / (G[:, i] @ G[:, i])
            assert frame[f"S_feature_{i}"].iloc[k] == pytest.approx(expected)
        assert frame["S_joint"].iloc[k] == pytest.approx(np.sum((basis @ Q) ** 2) / 3)
        top, second = np.argsort(-logits[k])[:2]
        slopes = np.linalg.lstsq(G, J[top] - J[second], rcond=None)[0]
        assert frame["slope_feature_1"].iloc[k] == pytest.approx(slopes[1])
        assert frame["logit"].iloc[k] == pytest.approx(logits[k, top] - logits[k, second])
        fitted = Q @ (Q.T @ centred[2])
        share = fitted @ fitted / (centred[2] @ centred[2])
        assert by_class["S_joint"].loc[(str(k), 2)] == pytest.approx(share)


class Slices:
    """An array that remembers the largest piece of it that was loaded, and refuses to be loaded whole."""

    def __init__(self, values):
        self._values, self.shape, self.ndim, self.largest = values, values.shape, values.ndim, 0

    def __getitem__(self, rows):
        piece = self._values[rows]
        self.largest = max(self.largest, len(piece))
        return piece

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("loaded as a whole")


def test_arrays_on_disk_are_read_batch_by_batch(rng, tmp_path):
    score, features, mask = gradients(rng, (5, 4, 2))
    score, features = score.astype(np.float32), features.astype(np.float32)
    whole = alignment(score, features, mask, feature_names=NAMES).to_frame()
    np.save(tmp_path / "score.npy", score)
    stored = zarr.create_array(tmp_path / "features.zarr", data=features, chunks=(1, *features.shape[1:]))
    disk = alignment(
        np.load(tmp_path / "score.npy", mmap_mode="r"), stored, mask, feature_names=NAMES, batch_size=4
    )
    assert np.allclose(disk.to_frame(), whole, **EXACT)
    pieces = {name: Slices(features[:, i]) for i, name in enumerate(NAMES)}
    lazy_score, lazy_mask = Slices(score), Slices(mask)
    lazy = alignment(lazy_score, pieces, lazy_mask, batch_size=2)
    assert np.allclose(lazy.to_frame(), whole, **EXACT)
    assert {piece.largest for piece in (lazy_score, lazy_mask, *pieces.values())} == {2}


def test_lists_and_half_precision_are_arrays_too(rng):
    score, features, _ = gradients(rng, (9,))
    half = alignment(score.astype(np.float16), features.astype(np.float16)).to_frame()
    assert np.allclose(half["S_joint"], alignment(score, features).to_frame()["S_joint"], atol=5e-3)
    listed = alignment(score.tolist(), {"g": features[:, 0].tolist()}).to_frame()
    assert np.allclose(listed["S_g"], alignment(score, features).to_frame()["S_feature_0"], **EXACT)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_nulls_have_the_law_of_white_noise_and_do_not_depend_on_batches(rng, shape):
    score, features, mask = gradients(rng, shape)
    kinds = ["white", "permutation"] if len(shape) == 1 else ["white", "smooth", "matched", "permutation"]
    nulls = Nulls(kinds=kinds, draws=400, lengths=1.0)
    found = alignment(score, features, mask, nulls=nulls)
    again = alignment(score, features, mask, nulls=nulls, batch_size=1)
    for label, shares in found.nulls.items():
        assert shares.F is None
        np.testing.assert_allclose(shares.S, again.nulls[label].S, atol=1e-6)
        np.testing.assert_allclose(shares.partial, again.nulls[label].partial, atol=1e-6)
    d = found.values["dimension"][0]
    assert stats.kstest(found.nulls["white"].S[0, :, 1], stats.beta(0.5, (d - 1) / 2).cdf).pvalue > 1e-3
    table = found.against_chance()
    assert table["quantity"].unique().tolist() == ["S", "partial"]
    assert len(table) == len(kinds) * (M + 1 + M)
    assert len(found.against_chance(per_patient=True)) == N * len(table)
    columns = found.to_frame().filter(regex="^p_permutation_").columns
    assert len(columns) == M + 1 + M


def test_the_permutation_null_of_a_table_has_the_gradients_of_other_samples(rng):
    score, features, _ = gradients(rng, (9,))
    found = alignment(score, features, nulls=Nulls(kinds="permutation", draws=60))
    cosines = np.einsum("np,omp->nom", score, features) ** 2
    cosines /= (score**2).sum(axis=1)[:, np.newaxis, np.newaxis] * (features**2).sum(axis=2)
    for k in range(N):
        others = np.sort(np.delete(cosines[k], k, axis=0), axis=0)
        assert np.allclose(np.sort(found.nulls["permutation"].S[k, :, :M], axis=0), others, atol=1e-6)


@pytest.mark.parametrize("kind", ["smooth", "matched"])
def test_tables_have_no_neighbours(rng, kind):
    score, features, _ = gradients(rng, (9,))
    with pytest.raises(ConfigError, match=r"columns of a table.*'white' and 'permutation'"):
        alignment(score, features, nulls=kind)


SCORE, FEATURES = np.ones((2, 4, 3, 1)), np.ones((2, 2, 4, 3, 1))
MASK = np.ones((2, 4, 3, 1))


def broken(array, value):
    return np.where(np.arange(len(array)).reshape(-1, *[1] * (array.ndim - 1)) == 1, value, array)


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "words"),
    [
        ((SCORE, FEATURES[:, 0]), {}, DataError, "as many axes as feature_gradients.*4 classes"),
        ((SCORE, np.ones((2, 2, 5, 3, 1))), {}, DataError, r"samples, 5, 3, 1.*\(2, 4, 3, 1\)"),
        ((SCORE, np.ones(2)), {}, DataError, "feature_gradients must be.*0 to 3"),
        ((np.ones((2, 1, 1, 1, 1, 1)), np.ones((2, 2, 1, 1, 1, 1, 1))), {}, DataError, "0 to 3 spatial"),
        ((SCORE, {"a": SCORE, "b": SCORE[:, :2]}), {}, DataError, r"one shape.*b \(2, 2, 3, 1\)"),
        ((SCORE, {}), {}, FeatureError, "At least one feature"),
        ((SCORE, FEATURES[:1]), {}, DataError, "first axes.*2. feature_gradients has 1"),
        ((SCORE, FEATURES, MASK[:1]), {}, DataError, "mask has 1"),
        ((SCORE, FEATURES, MASK[..., 0]), {}, DataError, r"\(samples, 4, 3, 1\).*one channel"),
        ((SCORE, FEATURES, broken(MASK, 0)), {}, DataError, "at least one place. Empty in samples: B"),
        ((SCORE, FEATURES, broken(MASK, 2)), {}, DataError, "0 and 1 only.*samples: B"),
        ((broken(SCORE, np.nan), FEATURES), {}, DataError, "score_gradients must be finite.*samples: B"),
        ((SCORE, broken(FEATURES, np.inf)), {}, DataError, "feature_gradients must be finite.*samples: B"),
        ((SCORE.astype(str), FEATURES), {}, DataError, "score_gradients must be real numbers"),
        (([[1, 2], [3]], FEATURES), {}, DataError, "score_gradients cannot be made an array"),
        ((SCORE[:0], FEATURES[:0]), {"sample_id": []}, DataError, "At least one sample"),
        ((SCORE, FEATURES), {"feature_names": ["a"]}, DataError, "name the 2 features.*1 names"),
        ((SCORE, FEATURES), {"feature_names": ["a", "a"]}, FeatureError, "twice: a"),
        ((SCORE, FEATURES), {"feature_names": ["a", "joint"]}, FeatureError, "joint"),
        ((SCORE, {"a": SCORE}), {"feature_names": ["a"]}, DataError, "keys of feature_gradients"),
        ((SCORE, FEATURES), {"sample_id": ["A"]}, DataError, "name 2 samples"),
        ((SCORE, FEATURES), {"sample_id": ["A", "A"]}, DataError, "More than once: A"),
        ((SCORE, FEATURES), {"scores": np.ones((2, 2))}, DataError, r"shape \(2,\).*\(2, 2\)"),
        ((SCORE, FEATURES), {"scores": [1, np.nan]}, DataError, "scores must be finite.*samples: B"),
        ((FEATURES, FEATURES), {"scores": [1, 2]}, DataError, r"shape \(2, 2\).*\(2,\)"),
        ((np.ones((2, 3, 4, 3, 1)), FEATURES), {}, DataError, "3 classes, for which scores are needed"),
        ((SCORE, FEATURES), {"values": np.ones((2, 3))}, DataError, r"\(2, 2\). Received: shape \(2, 3\)"),
        ((SCORE, {"a": SCORE}), {"values": {"b": [1, 2]}}, DataError, "Missing: a"),
        ((SCORE, FEATURES), {"reference_sd": {}}, ConfigError, "Missing: feature_0"),
        ((SCORE, FEATURES), {"alpha": 0}, ConfigError, "alpha must be"),
        ((SCORE, FEATURES), {"batch_size": 0}, ConfigError, "batch_size"),
        ((SCORE, FEATURES), {"nulls": Nulls(kinds="white", draws=38)}, ConfigError, "38 draws.*At least 39"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_words(arguments, settings, error, words):
    with pytest.raises(error, match=words):
        alignment(*arguments, **{"sample_id": ["A", "B"]} | settings)


def test_messages_speak_of_samples(rng):
    with pytest.raises(DataError) as raised:
        alignment(SCORE, FEATURES, np.zeros_like(MASK))
    assert "patient" not in str(raised.value)


def test_a_vanishing_gradient_has_no_share(rng):
    score, features, _ = gradients(rng, (9,))
    score[2] = 0
    features[3, 1] = 0
    frame = alignment(score, features).to_frame()
    assert np.isnan(frame["S_joint"]).tolist() == [k == 2 for k in range(N)]
    assert frame["S_feature_1"].iloc[3] == 0
    assert np.isnan(frame["slope_feature_1"].iloc[3])


@pytest.mark.parametrize("shape", [(30, 2), (4, 6, 5, 1)], ids=["sequence", "volume"])
def test_p_values_of_smooth_features_are_uniform(rng, shape):
    count = 150
    wide = rng.normal(size=(count, *(edge + 16 for edge in shape[:-1]), shape[-1]))
    smooth = ndimage.gaussian_filter(wide, [0, *[1.5] * (len(shape) - 1), 0])
    smooth = smooth[(slice(None), *[slice(8, -8)] * (len(shape) - 1))]
    score = rng.normal(size=(count, *shape)) + 0.7
    nulls = Nulls(kinds=["white", "smooth"], draws=99, lengths=1.5)
    frame = alignment(score, {"g": smooth}, nulls=nulls).to_frame()
    assert stats.kstest(frame["p_smooth_g"], "uniform").pvalue > 1e-3
    # Rough fields meet the constant part of the gradient less often than smooth ones.
    assert stats.kstest(frame["p_white_g"], "uniform").pvalue < 1e-3
