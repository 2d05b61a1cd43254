"""What the report says of signed effects, and that no sentence says more than its numbers."""

import pandas as pd
import pytest
from metrics_file import alignment, estimate, metrics_content, part

from fgf_keras.errors import DataError
from fgf_keras.pictures.waterfall import Contribution, Contributions, waterfalls
from fgf_keras.report.sections.contributions import waterfall_blocks
from fgf_keras.report.sections.effects import direction_sentence, effects_section
from fgf_keras.results.effects import EFFECTS
from fgf_keras.results.metrics import RunMetrics


def move(amount, change):
    return {"amount": amount, "score_change": {"mean": change, "ci": [change - 0.1, change + 0.1]}}


NAMES = ["brightness", "extent", "log_aspect_ratio", "still"]
UNITS = {"brightness": "HU", "extent": "mm", "log_aspect_ratio": "", "still": ""}
SD = {"brightness": 22.8, "extent": 1.5, "log_aspect_ratio": 0.2, "still": None}
# Mean effect and the share of patients with a positive one.
MEANS = {
    "brightness": (0.7, 0.9),
    "extent": (-0.3, 0.2),
    "log_aspect_ratio": (0.01, 0.55),
    "still": (None, None),
}
MOVES = {
    "features": {
        "brightness": {"moves": [move(a, 0.8 * a) for a in (-1, -0.5, 0.5, 1)]},
        "extent": {"moves": [move(1, -1.1)]},
        "log_aspect_ratio": {"moves": []},
    }
}


def summary(mean, positive=0.5, n=20):
    negative = None if positive is None else 0.9 - positive
    return estimate(mean) | {"positive": positive, "negative": negative, "n": n if mean is not None else 0}


def content():
    effects = {
        name: {key: summary(*MEANS[name]) for key in (*EFFECTS, "contribution_share")} for name in NAMES
    }
    return effects | {"unexplained": summary(0.1), "unexplained_share": summary(0.2)}


@pytest.fixture
def metrics():
    shares = alignment({**dict.fromkeys(NAMES, 0.2), "joint": 0.5})
    file = metrics_content({"test": part({"mask": shares})})
    file["splits"]["test"]["effects"] = {"mask": content()}
    file["reference"] = {"of": "training patients", "sd": SD, "units": UNITS}
    return RunMetrics.of(file)


@pytest.fixture
def patients():
    """Two patients, of whom one has no path to the boundary."""
    columns = {
        "logit": [2.1, -1.0],
        "mask.status": ["reached", "not_reached"],
        "mask.flow_far": [False, False],
    }
    amounts = {
        "brightness": (1.3, -31.0),
        "extent": (0.5, -4.2),
        "log_aspect_ratio": (0.0, 0.01),
        "still": (0, 0),
    }
    for name, (amount, change) in amounts.items():
        columns[f"mask.contribution_{name}"] = [amount, float("nan")]
        columns[f"mask.change_{name}"] = [change, float("nan")]
    columns["mask.unexplained"] = [0.3, float("nan")]
    return pd.DataFrame(columns, index=pd.Index(["P-1", "P-2"], name="patient_id"))


def test_a_direction_is_named_only_where_the_interval_shows_one(metrics, patients):
    section = effects_section(
        metrics.parts["test"], metrics.reference, NAMES, patients, ["P-1", "P-2"], MOVES
    )
    sentences = next(block.items for block in section.blocks if block.kind == "bullets")
    brightness, extent, shape, still = sentences
    assert "(22.8\u00a0HU) corresponds to 0.700 [0.650, 0.750] logits" in brightness
    assert "the slope is positive in 90\u00a0% of 20 patients" in brightness
    assert "(1.5\u00a0mm) corresponds to -0.300 [-0.350, -0.250] logits" in extent
    # Patients whose slope is zero have neither sign.
    assert "the slope is negative in 70\u00a0% of 20 patients" in extent
    assert "no direction is shown; the slope is positive in 55\u00a0% and negative in 35\u00a0%" in shape
    assert "undefined, because it does not vary among the training patients" in still


def test_in_short_both_questions_are_answered(metrics):
    sentence = direction_sentence(metrics.parts["test"], metrics.reference, NAMES, MOVES)
    tumour, intensities = sentence.split("When only")
    assert "rises with brightness (+0.80)" in tumour
    assert "falls with extent (-1.10)" in tumour
    assert "rises with brightness (+0.70 per 22.8\u00a0HU)" in intensities
    assert "falls with extent (-0.30 per 1.5\u00a0mm)" in intensities
    assert "no direction is shown for log aspect ratio and still." in intensities


def test_waterfalls_are_those_of_the_patients_shown_whose_path_ended(metrics, patients):
    (plot,) = waterfall_blocks(patients, ["P-1", "P-2"], NAMES, metrics.reference, "mask")
    assert "P-1: +2.10 = brightness +1.30 (falls by 31 HU) + extent +0.50 (falls by 4.2 mm)" in plot.alt
    assert "unexplained +0.30" in plot.alt
    assert "P-2" not in plot.alt
    assert "Left out: 1 for whom F is undefined" in plot.caption
    assert "very long" not in plot.caption
    far = patients.assign(**{"mask.flow_far": True})
    (plot,) = waterfall_blocks(far, ["P-1"], NAMES, metrics.reference, "mask")
    assert "they end unlike any image that was trained on" in plot.caption
    assert waterfall_blocks(patients, ["P-2"], NAMES, metrics.reference, "mask") == []


def test_metrics_of_an_earlier_version_have_no_such_section(metrics, patients):
    assert effects_section(metrics.parts["test"], None, NAMES, patients, ["P-1"]) is None
    assert direction_sentence(metrics.parts["test"], None, NAMES) == ""


def test_a_waterfall_ends_where_the_score_does():
    parts = [Contribution("brightness", -1.9, 44.0, "HU"), Contribution("extent", 0.8, -2.2, "mm")]
    figure = waterfalls([Contributions("P", -1.4, parts, -0.3)])
    (axes,) = figure.axes
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    assert bars[0] == (0, -1.4)
    # Each bar begins where the one before it ended; the last one ends on the boundary.
    assert [start for start, _ in bars[1:]] == pytest.approx([-1.4, *[end for _, end in bars[1:-1]]])
    assert bars[-1][1] == pytest.approx(0)


def test_a_small_score_has_as_many_digits_as_it_needs():
    parts = [Contribution("extent", -0.0031, float("nan"), "mm")]
    sentence = Contributions("P", 0.0412, parts, 0.0443).sentence
    assert sentence == "+0.041 = extent -0.003 (undefined at the end) + unexplained +0.044"


def test_a_patient_without_a_path_has_no_waterfall(patients):
    row = patients.loc["P-2"].rename(lambda column: column.removeprefix("mask."))
    with pytest.raises(DataError, match=r"P-2 has no contributions, because F is undefined.*'not_reached'"):
        Contributions.of("P-2", row, NAMES, UNITS)
