"""The tidy table of metrics holds every number of metrics.json, each once, and says what is undefined."""

import numpy as np
import pytest
from metrics_file import alignment, metrics_content, part

from fgf_keras.results.columns import feature_title, metric_title, p_column, share_column, share_of
from fgf_keras.results.interval import Interval, number
from fgf_keras.results.metrics import RunMetrics, metrics_table

AGAINST = {
    "null_mean": 0.1,
    "null_q05": 0.05,
    "null_q95": 0.15,
    "effect": 0.2,
    "p": 0.02,
    "p_standard_error": 0.01,
    "p_adjusted": 0.03,
}
NULLS = {
    "smooth": {
        "draws": 39,
        "S": {"extent": AGAINST, "joint": AGAINST},
        "F": {"extent": dict.fromkeys(AGAINST)},
    }
}


@pytest.fixture
def content():
    mask = alignment(
        {"S": {"extent": 0.3, "joint": 0.49}, "F": {"extent": None, "joint": None}},
        undefined=(1, 20),
        nulls=NULLS,
        status={"reached": 0, "not_reached": 20},
    )
    image = alignment({"extent": 0.01, "joint": 0.04, "noise": 0.001})
    return metrics_content(
        {"validation": part({"image": image}, n=10), "test": part({"mask": mask}, auc=0.8)}
    )


def test_there_is_one_row_per_part_and_metric(content):
    table = metrics_table(content)
    assert table.index.is_unique
    assert list(table.loc["test"].index) == [
        *("balanced_accuracy", "auc", "sensitivity", "specificity"),
        *(f"mask.{q}_{f}" for q in "SF" for f in ("extent", "joint", "joint_magnitude")),
    ]
    assert "image.S_noise" in table.loc["validation"].index


def test_rows_hold_the_numbers_of_the_file(content):
    table = metrics_table(content)
    assert table.loc[("test", "auc"), ["mean", "low", "high"]].tolist() == pytest.approx([0.8, 0.7, 0.9])
    extent = table.loc[("test", "mask.S_extent")]
    assert (extent["support"], extent["quantity"], extent["feature"]) == ("mask", "S", "extent")
    assert extent[["mean", "median", "undefined", "expected"]].tolist() == [0.3, 0.3, 1, 0.004]
    ends = [key.removeprefix("null_") for key in AGAINST]
    assert extent[[f"smooth.{end}" for end in ends]].tolist() == list(AGAINST.values())
    assert table.loc[("test", "mask.S_joint_magnitude"), "mean"] == pytest.approx(0.7)


def test_what_is_undefined_is_nan_and_counted(content):
    test = RunMetrics.of(content).parts["test"]
    flow = test.table.loc["mask.F_extent"]
    assert flow[["mean", "low", "high", "median", "smooth.mean", "smooth.p"]].isna().all()
    assert flow["undefined"] == 20
    assert not test["mask.F_joint"].is_defined
    assert str(test["mask.F_joint"]) == "undefined"
    # Nulls are of squared shares, and none was drawn on the other support.
    assert np.isnan(test.table.loc["mask.S_joint_magnitude", "smooth.mean"])


def test_a_part_knows_its_patients_paths_and_nulls(content):
    metrics = RunMetrics.of(content)
    test, validation = metrics.parts["test"], metrics.parts["validation"]
    assert (test.n, test.n_positive, validation.n, metrics.n_train) == (20, 8, 10, 40)
    assert test.paths["mask"].status == {"reached": 0, "not_reached": 20}
    assert (test.paths["mask"].nulls, validation.paths["image"].nulls) == (["smooth"], [])
    assert test.supports == ["mask"]
    assert list(test.shares("mask", "S")["feature"]) == ["extent", "joint", "joint_magnitude"]
    with pytest.raises(KeyError):
        test["image.S_extent"]


def test_partial_shares_have_rows_of_their_own_that_are_not_among_s_and_f():
    smooth = {"smooth": {"draws": 39, "S": {}, "F": {}, "partial": {"extent": AGAINST}}}
    shares = {"extent": 0.3, "joint": 0.49}
    mask = alignment(shares, nulls=smooth, partial={"extent": 0.4})
    test = RunMetrics.of(metrics_content({"test": part({"mask": mask})})).parts["test"]
    (row,) = test.shares("mask", "partial").to_dict(orient="records")
    assert (row["feature"], row["mean"], row["undefined"], row["smooth.p"]) == ("extent", 0.4, 2, 0.02)
    assert test["mask.partial_extent"].mean == 0.4
    assert set(test.shares("mask")["quantity"]) == {"S", "F"}


def test_files_of_earlier_versions_have_no_accuracy_of_the_flow(content):
    paths = RunMetrics.of(content).parts["test"].paths["mask"]
    assert (paths.far, paths.flow_error) == (0, None)


@pytest.mark.parametrize("feature", ["brightness", "log_aspect_ratio", "joint_magnitude", "my_feature"])
def test_columns_are_taken_apart_as_they_were_made(feature):
    assert share_of(share_column("mask", "F", feature)) == ("mask", "F", feature)


def test_columns_and_titles():
    assert share_of("balanced_accuracy") is None
    assert p_column("mask", "smooth", "S", "extent") == "mask.p_smooth_extent"
    assert p_column("mask", "smooth", "F", "extent") == "mask.p_smooth_F_extent"
    assert p_column("mask", "smooth", "partial", "extent") == "mask.p_smooth_partial_extent"
    assert share_of("mask.partial_log_aspect_ratio") == ("mask", "partial", "log_aspect_ratio")
    assert metric_title("auc") == "AUC"
    assert metric_title("image.F_log_aspect_ratio") == "F_log_aspect_ratio (image)"
    assert feature_title("joint_magnitude") == "joint (magnitude)"
    assert feature_title("log_aspect_ratio") == "log aspect ratio"


def test_intervals_as_text():
    assert str(Interval(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"
    assert str(Interval(1e-5, 0, 0.1)) == "1e-05 [0.000, 0.100]"
    assert number(None) == number(float("nan")) == "undefined"
    assert not Interval(0.5, float("nan"), 1).is_known
