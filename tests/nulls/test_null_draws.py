"""Nulls beside the alignment of patients: the same for the same seed and patient, in any company."""

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fgf_keras import AlignmentModel, Brightness, Extent, explain, paper_cnn
from fgf_keras.config.named import NULLS
from fgf_keras.errors import ConfigError, DataError
from fgf_keras.flow.settings import Flow
from fgf_keras.nulls.chance import p_value
from fgf_keras.nulls.draws import NullDraws
from fgf_keras.nulls.fields import matched_fields, smooth_fields
from fgf_keras.nulls.magnitude import magnitude_chance
from fgf_keras.nulls.settings import Nulls
from fgf_keras.results.alignment import alignment_table

SIZE = 24
N = 5
KINDS = [*NULLS]
QUANTITIES = ("S", "F", "partial")
IDS = [f"P{i}" for i in range(N)]
FEATURES = [Brightness(), Extent()]
QUICK = {"features": FEATURES, "noise_draws": 0, "flow": Flow(max_steps=8)}


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(0)
    images = rng.uniform(0.1, 1, (N, SIZE, SIZE, 1)).astype(np.float32)
    masks = np.zeros((N, SIZE, SIZE, 1), np.uint8)
    for i in range(N):
        masks[i, 4 + i : 13 + i % 3, 3 : 12 + 2 * i] = 1
    return images, masks


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    network = paper_cnn((SIZE, SIZE, 1), filters=[3], kernel_sizes=[3], pool_size=2, dense=[4])
    return AlignmentModel(network, FEATURES, reward="none")


@pytest.fixture(scope="module")
def found(model, cohort):
    return explain(model, *cohort, patient_id=IDS, nulls=Nulls(kinds=KINDS, draws=40, seed=3), **QUICK)


def draws(explanation, label, kind):
    return getattr(explanation.nulls[label], kind)


def test_the_frame_has_p_values_of_each_null_for_s_and_f(found):
    frame = found.to_frame()
    for label in KINDS:
        for name in ("brightness", "extent", "joint"):
            for column, kind in ((f"p_{label}_{name}", "S"), (f"p_{label}_F_{name}", "F")):
                p = frame[column]
                assert ((p > 0) & (p <= 1)).all(), column
                if label == "smooth":
                    i = ["brightness", "extent", "joint"].index(name)
                    reached = draws(found, label, kind)[..., i] >= frame[f"{kind}_{name}"].to_numpy()[:, None]
                    assert p.tolist() == pytest.approx((1 + reached.sum(axis=1)) / 41)
        for i, name in enumerate(("brightness", "extent")):
            p = frame[f"p_{label}_partial_{name}"]
            assert ((p > 0) & (p <= 1)).all(), (label, name)
            reached = draws(found, label, "partial")[..., i] >= frame[f"partial_{name}"].to_numpy()[:, None]
            if label == "smooth":
                assert p.tolist() == pytest.approx((1 + reached.sum(axis=1)) / 41)
    # The exact law stays the p-value of S and of partial shares against white noise.
    d = found.values["dimension"]
    assert np.allclose(frame["p_white_extent"], stats.beta(0.5, (d - 1) / 2).sf(frame["S_extent"]), atol=1e-6)
    law = stats.beta(0.5, (d - 2) / 2)
    assert np.allclose(frame["p_white_partial_extent"], law.sf(frame["partial_extent"]), atol=1e-6)


def test_batches_and_neighbours_change_no_draw(model, cohort, found):
    images, masks = cohort
    rows = [4, 1]
    other = explain(
        model,
        images[rows],
        masks[rows],
        patient_id=[IDS[i] for i in rows],
        nulls=Nulls(kinds=KINDS[:3], draws=40, seed=3),
        batch_size=1,
        **QUICK,
    )
    for label in KINDS[:3]:
        for kind in QUANTITIES:
            mine, theirs = draws(other, label, kind), draws(found, label, kind)[rows]
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-4)


def test_the_same_seed_gives_the_same_table_to_the_bit_and_another_seed_another(model, cohort, found):
    again = explain(model, *cohort, patient_id=IDS, nulls=Nulls(kinds=KINDS, draws=40, seed=3), **QUICK)
    pd.testing.assert_frame_equal(again.against_chance(), found.against_chance(), check_exact=True)
    other = explain(model, *cohort, patient_id=IDS, nulls=Nulls(kinds="smooth", draws=40, seed=4), **QUICK)
    assert not np.array_equal(draws(other, "smooth", "S"), draws(found, "smooth", "S"))


def test_windows_and_the_canvas_have_the_same_null(model, cohort, found):
    dense = AlignmentModel(model.classifier, FEATURES, reward="none", evaluation="dense")
    whole = explain(dense, *cohort, patient_id=IDS, nulls=Nulls(kinds=KINDS, draws=40, seed=3), **QUICK)
    for label in KINDS:
        for kind in QUANTITIES:
            np.testing.assert_allclose(
                draws(whole, label, kind), draws(found, label, kind), rtol=0, atol=1e-3
            )


def test_several_lengths_are_several_nulls_and_more_draws_begin_with_the_same(model, cohort):
    lengths = Nulls(kinds="smooth", draws=60, lengths=(1, 4.5))
    several = explain(model, *cohort, nulls=lengths, **QUICK)
    assert list(several.nulls) == ["smooth_1px", "smooth_4.5px"]
    rough, smooth = (draws(several, label, "S")[..., 0].mean() for label in several.nulls)
    # The gradient of an untrained network is rough.
    assert rough > 1.5 * smooth
    few = explain(model, *cohort, nulls=Nulls(kinds="smooth", draws=40, lengths=1), **QUICK)
    assert np.array_equal(draws(few, "smooth", "S"), draws(several, "smooth_1px", "S")[:, :40])


def test_the_cohort_is_held_against_the_mean_of_each_draw(found):
    table = found.against_chance().set_index(["null", "quantity", "feature"])
    row = table.loc[("matched", "S", "extent")]
    null = draws(found, "matched", "S")[..., 1].mean(axis=0, dtype=np.float64)
    measured = found.values["S"][:, 1].mean(dtype=np.float64)
    assert row["mean"] == pytest.approx(measured)
    assert row["null_mean"] == pytest.approx(null.mean())
    assert row["effect"] == pytest.approx(measured - null.mean())
    assert (row["null_q05"], row["null_q95"]) == pytest.approx(tuple(np.quantile(null, [0.05, 0.95])))
    assert row["p"] == pytest.approx((1 + np.sum(null >= measured)) / 41)
    assert row["p_standard_error"] == pytest.approx(np.sqrt(row["p"] * (1 - row["p"]) / 41))
    features = table.xs("matched").xs("S").loc[["brightness", "extent"]]
    assert features["p_adjusted"].tolist() == stats.false_discovery_control(features["p"]).tolist()
    assert (row["n"], row["undefined"], row["draws"]) == (N, 0, 40)
    row = table.loc[("matched", "partial", "extent")]
    null = draws(found, "matched", "partial")[..., 1].mean(axis=0, dtype=np.float64)
    measured = found.values["partial"][:, 1].mean(dtype=np.float64)
    assert row["effect"] == pytest.approx(measured - null.mean())
    assert row["p"] == pytest.approx((1 + np.sum(null >= measured)) / 41)
    features = table.xs("matched").xs("partial")
    assert features.index.tolist() == ["brightness", "extent"]
    assert features["p_adjusted"].tolist() == stats.false_discovery_control(features["p"]).tolist()
    assert (row["n"], row["undefined"], row["draws"]) == (N, 0, 40)


def test_each_patient_has_the_same_columns(found):
    table = found.against_chance(rows=[2, 0], per_patient=True)
    # S and F of two features and together, and two partial shares.
    assert len(table) == len(KINDS) * 2 * (2 * 3 + 2)
    assert table["patient_id"].unique().tolist() == ["P2", "P0"]
    some = table[(table["null"] == "matched") & (table["quantity"] == "F") & (table["feature"] == "joint")]
    frame = found.to_frame().loc[["P2", "P0"]]
    assert some["p"].tolist() == frame["p_matched_F_joint"].tolist()
    assert some["value"].to_numpy() == pytest.approx(frame["F_joint"].to_numpy())
    white = table[(table["null"] == "white") & (table["quantity"] == "S") & (table["feature"] == "extent")]
    assert white["p"].tolist() == frame["p_white_extent"].tolist()
    of_extent = table[(table["quantity"] == "partial") & (table["feature"] == "extent")]
    for label in KINDS:
        p = of_extent.loc[of_extent["null"] == label, "p"]
        assert p.tolist() == frame[f"p_{label}_partial_extent"].tolist()


def test_the_permutation_null_has_one_draw_for_each_other_patient_and_more_for_the_cohort(found):
    assert draws(found, "permutation", "S").shape == (N, N - 1, 3)
    cohort = found.nulls["permutation"].of_cohort("S", np.arange(N))
    assert cohort.shape == (40, 3)
    assert len(np.unique(cohort[:, 1])) > N
    # The gradient of brightness is the same constant in every tumour.
    brightness = draws(found, "permutation", "S")[..., 0]
    assert np.allclose(brightness, found.values["S"][:, :1], atol=1e-5)
    partial = draws(found, "permutation", "partial")
    assert partial.shape == (N, N - 1, 2)
    assert np.allclose(partial[..., 0], found.values["partial"][:, :1], atol=1e-5)


def test_a_gradient_along_one_feature_leaves_nothing_to_the_others(cohort):
    """Of the sum of the intensities, nothing is left but for brightness itself."""
    images, masks = cohort
    summing = keras.Sequential([keras.Input((SIZE, SIZE, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    summing.layers[-1].set_weights([np.ones((SIZE**2, 1), np.float32), np.float32([-1])])
    found = explain(summing, images, masks, nulls=Nulls(kinds=["white", "smooth"], draws=40), **QUICK)
    frame = found.to_frame()
    assert np.allclose(frame["partial_brightness"], 1)
    undefined = frame.filter(regex="partial_extent")
    assert list(undefined) == ["partial_extent", "p_white_partial_extent", "p_smooth_partial_extent"]
    assert undefined.isna().all(axis=None)
    table = found.against_chance().query("quantity == 'partial'").set_index(["null", "feature"])
    assert table["n"].tolist() == [N, 0, N, 0]
    assert table["undefined"].tolist() == [0, N, 0, N]
    brightness = table.xs("brightness", level="feature")
    assert brightness["p_adjusted"].tolist() == brightness["p"].tolist()
    assert table.xs("extent", level="feature")["p"].isna().all()


def test_partial_shares_have_p_values_and_a_table_of_their_own(found):
    frame, table = found.to_frame(), alignment_table(found, bootstrap=50)
    for i, name in enumerate(("brightness", "extent")):
        partial = frame[f"partial_{name}"]
        rest = frame["S_joint"] - frame[f"unique_{name}"]
        np.testing.assert_allclose(partial, frame[f"unique_{name}"] / (1 - rest), rtol=1e-4)
        assert table["partial"][name]["mean"] == pytest.approx(partial.mean())
        entry = table["nulls"]["smooth"]["partial"][name]
        shares = draws(found, "smooth", "partial")[..., i]
        assert entry["null_mean"] == pytest.approx(shares.mean(), rel=1e-5)
        assert frame[f"p_smooth_partial_{name}"].tolist() == p_value(partial, shares).tolist()
        dimension = found.values["dimension"]
        exact = stats.beta.sf(partial, 0.5, (dimension - 2) / 2)
        np.testing.assert_allclose(frame[f"p_white_partial_{name}"], exact, rtol=1e-5)


def test_the_magnitude_is_compared_with_the_roots_of_the_draws(found):
    rows = np.array([0, 2, 3])
    content = magnitude_chance(found, rows)
    assert set(content) == set(KINDS)
    for kind, measured in (("S", "S_joint_magnitude"), ("F", "F_joint_magnitude")):
        roots = np.sqrt(draws(found, "smooth", kind)[rows, :, -1]).mean(axis=0)
        mean = found.to_frame()[measured].to_numpy()[rows].mean()
        entry = content["smooth"][kind]
        assert entry["null_mean"] == pytest.approx(roots.mean(), rel=1e-5)
        assert entry["null_q95"] == pytest.approx(np.quantile(roots, 0.95), rel=1e-5)
        assert entry["p"] == pytest.approx((1 + np.sum(roots >= mean - 1e-6)) / 41)
        assert entry["effect"] == pytest.approx(mean - roots.mean(), rel=1e-4)
    table = alignment_table(found, rows, bootstrap=50)
    assert table["nulls"]["smooth"]["S"]["joint_magnitude"] == content["smooth"]["S"]


def test_patients_without_a_gradient_are_left_out_and_counted(cohort):
    images, masks = cohort
    keras.utils.set_random_seed(0)
    dead = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
            keras.layers.ReLU(),
            keras.layers.Rescaling(1.0, offset=-0.1),
        ]
    )
    kernel, _ = dead.layers[1].get_weights()
    scores = images.reshape(N, -1) @ kernel
    dead.layers[1].set_weights([kernel, -scores.mean(axis=0)])
    some = explain(dead, images, masks, nulls=Nulls(kinds=["white", "matched"], draws=40), **QUICK)
    table = some.against_chance()
    alive = (scores > scores.mean())[:, 0]
    assert set(table["n"] + table["undefined"]) == {N}
    s = table[table["quantity"] == "S"]
    assert set(s["n"]) == {alive.sum()}
    assert s["mean"].notna().all()
    assert some.to_frame().loc[~alive, "p_matched_extent"].isna().all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kinds": "pink"}, "pink.*allowed: white, smooth"),
        ({"kinds": ["white", "white"]}, "each null once"),
        ({"kinds": "smooth", "draws": 0}, "draws must be at least 1"),
        ({"kinds": "smooth", "lengths": 0}, "lengths must be > 0"),
        ({"kinds": "smooth", "lengths": [2, 2.0]}, "each length once"),
    ],
)
def test_nulls_that_cannot_be_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        Nulls(**settings)


@pytest.mark.parametrize(
    ("draws", "alpha", "words"),
    [(38, 0.05, r"38 draws.*alpha=0\.05 and 2 feature.*At least 39"), (40, 0.01, "At least 199")],
)
def test_draws_with_which_nothing_could_be_found_are_refused(model, cohort, draws, alpha, words):
    with pytest.raises(ConfigError, match=words):
        explain(model, *cohort, nulls=Nulls(kinds="smooth", draws=draws), alpha=alpha, **QUICK)


def test_names_stand_for_nulls_with_other_settings_at_their_defaults():
    assert Nulls.of("white") == Nulls(kinds=["white"]) == Nulls.of(("white",))
    assert Nulls.of(Nulls(kinds="smooth", seed=3)).seed == 3
    assert list(Nulls(kinds=["white", "smooth"], lengths=[1, 4.5]).labels) == [
        "white",
        "smooth_1px",
        "smooth_4.5px",
    ]


def products_of(*fields):
    """Inner products of fields (k, rows, columns, C), all with all."""
    flat = np.concatenate([field.reshape(len(field), -1) for field in fields]).astype(np.float64)
    return flat @ flat.T


def test_a_constant_direction_makes_p_of_s_too_cautious_and_not_that_of_partial_shares():
    """∇z is mostly constant over the mask, like that of a network that sums its input."""
    mask = np.ones((10, 9, 1))
    mask[:3, :2] = 0
    constant = mask / np.linalg.norm(mask)
    null = NullDraws(Nulls(kinds="smooth", draws=99, lengths=1.5, seed=1))
    measured = {"S": [], "partial": []}
    for i in range(80):
        rest, drawn = (
            mask * smooth_fields(1, mask.shape, 1.5, np.array([i, number], np.int32))[0].numpy()
            for number in (5, 6)
        )
        gradient = constant + 0.3 * rest / np.linalg.norm(rest)
        gradient /= np.linalg.norm(gradient)
        # Like those of extent and of aspect ratio, orthogonal to the constant direction.
        feature = drawn - constant * np.sum(constant * drawn)
        features = np.stack([constant, feature]).astype(np.float32)
        part = {"null_mask": mask, "null_features": features}
        part["null_products"] = products_of(gradient[np.newaxis], features)
        for kind in "SF":
            part |= {f"null_{kind}": gradient[np.newaxis], f"null_{kind}_gram": np.eye(1)}
        null.add(str(i), part, mask.sum())
        along = np.sum(gradient * feature) ** 2 / np.sum(feature**2)
        measured["S"].append(along)
        measured["partial"].append(along / (1 - np.sum(gradient * constant) ** 2))
    shares = null.finish()["smooth"]
    distance = {
        kind: stats.kstest(p_value(values, getattr(shares, kind)[..., 1]), "uniform").statistic
        for kind, values in measured.items()
    }
    assert distance["S"] > 0.4
    assert distance["partial"] < 0.17


@pytest.mark.parametrize("label", ["white", "smooth", "matched"])
def test_p_values_are_uniform_where_the_feature_is_a_draw_of_its_null(label):
    rng = np.random.default_rng(2)
    mask = np.ones((9, 8, 1))
    mask[:2, :3] = 0
    gradient = mask * rng.normal(size=mask.shape) * np.arange(9)[:, np.newaxis, np.newaxis]
    gradient /= np.linalg.norm(gradient)
    spectrum = (mask * rng.normal(size=mask.shape))[np.newaxis].astype(np.float32)
    null = NullDraws(Nulls(kinds=label, draws=99, lengths=1.5, seed=1))
    p = []
    for i in range(80):
        seed = np.array([i, 77], np.int32)
        drawn = {
            "white": lambda seed: rng.normal(size=mask.shape),
            "smooth": lambda seed: smooth_fields(1, mask.shape, 1.5, seed)[0],
            "matched": lambda seed: matched_fields(1, spectrum, seed)[0, 0],
        }[label](seed) * mask
        part = {"null_mask": mask, "null_features": spectrum}
        part["null_products"] = products_of(gradient[np.newaxis], spectrum)
        for kind in "SF":
            part |= {f"null_{kind}": gradient[np.newaxis], f"null_{kind}_gram": np.eye(1)}
        null.add(str(i), part, mask.sum())
        p.append(np.sum(gradient * drawn) ** 2 / np.sum(drawn**2))
    shares = null.finish()[label].S[..., 0]
    # The patients are alike but for their names.
    assert len(np.unique(shares[:, 0])) == len(shares)
    p = p_value(p, shares)
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    assert stats.kstest(p / 2, "uniform").pvalue < 1e-3


def test_one_patient_cannot_be_permuted(model, cohort):
    with pytest.raises(DataError, match="other patients"):
        explain(model, cohort[0][:1], cohort[1][:1], nulls="permutation", **QUICK)


def test_without_nulls_there_is_nothing_to_compare_with(model, cohort):
    with pytest.raises(ValueError, match="nulls='matched'"):
        explain(model, *cohort, **QUICK).against_chance()
