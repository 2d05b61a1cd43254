"""What the report says of collapsed features, and that no sentence says more than its numbers."""

import pytest

from fgf_keras.report.sections.collapse import collapse_section, collapse_summary


def metric(before, after, half=0.05, random=True):
    drop = before - after
    chance = {"after": before - 0.01, "drop": 0.01, "q05": -0.02, "q95": 0.03, "p": 0.048}
    return {
        "before": before,
        "after": after,
        "drop": {"mean": drop, "ci": [drop - half, drop + half]},
        "random": chance if random else dict.fromkeys(chance),
    }


UNDEFINED = {
    "before": None,
    "after": None,
    "drop": {"mean": None, "ci": [None, None]},
    "random": dict.fromkeys(("after", "drop", "q05", "q95", "p")),
}


def entry(auc, *, target=60.25, unit="HU", n=40, status=None):
    moved = {"target": target, "unit": unit, "n": n, "n_positive": 12, "status": status or {"reached": n}}
    moved |= {"distance": 1.2 if n else None, "distance_share": 0.195 if n else None}
    moved |= {"random_distance": 1.2 if n else None, "error": 1e-4 if n else None}
    return moved | {"auc": auc, "balanced_accuracy": auc}


@pytest.fixture
def content():
    features = {
        "brightness": entry(metric(0.82, 0.55)),
        "log_aspect_ratio": entry(metric(0.82, 0.81), target=0.4, unit=""),
        "gloss": entry(UNDEFINED, target=2.0, unit="", n=0, status={"stationary": 40}),
        "noise": entry(metric(0.6, 0.8, random=False), target=0.0, unit=""),
    }
    together = entry(metric(0.8, 0.5), n=35, status={"not_reached": 3, "reached": 35, "stationary": 2})
    together["target"] = {name: moved["target"] for name, moved in features.items()}
    return {
        "split": "test",
        "n": 40,
        "n_positive": 12,
        "space": "image",
        "threshold": 0.0,
        "confidence": 0.95,
        "tolerance": 0.01,
        "draws": 20,
        "length": 3.0,
        "features": features,
        "together": together,
    }


def test_each_feature_has_a_sentence_a_clinician_can_read(content):
    section = collapse_section(content)
    brightness, ratio, gloss, noise, everything = section.blocks[1].items
    assert brightness == (
        "If intensities were changed until every tumour had the average brightness (60.2\u00a0HU), the AUC "
        "would fall from 0.820 to 0.550 (drop 0.270 [0.220, 0.320]); moved as far in random directions it "
        "is 0.810 on average."
    )
    assert (
        "average log aspect ratio (0.4), the AUC would be 0.810 instead of 0.820, a difference that" in ratio
    )
    assert "undefined: too few patients" in gloss
    assert "40 of 40 patients could not be brought there and are left out" in gloss
    assert gloss.endswith("(no change of the image leads further: 40).")
    assert "would rise from 0.600 to 0.800" in noise
    assert "random" not in noise
    assert "average brightness, log aspect ratio, gloss and noise, the AUC would fall" in everything
    assert "5 of 40 patients could not be brought there" in everything
    assert "(the path ended elsewhere: 3, no change of the image leads further: 2)" in everything
    assert collapse_summary(content)[0].items == section.blocks[1].items


def test_the_table_has_every_number_beside_its_chance(content):
    section = collapse_section(content)
    table = next(block for block in section.blocks if block.kind == "table")
    assert {len(row) for row in table.rows} == {len(table.header)}
    assert [row[0] for row in table.rows] == [
        "brightness",
        "log aspect ratio",
        "gloss",
        "noise",
        "all together",
    ]
    expected = ["0.820", "0.550", "0.270 [0.220, 0.320]", "-0.020 to +0.030", "0.048"]
    assert table.rows[0][1:6] == expected
    assert table.rows[2][1:4] == ["undefined"] * 3
    assert table.rows[4][-1] == "35 of 40"
    assert next(block for block in section.blocks if block.kind == "plot").svg.startswith(b"<?xml")


def test_a_single_feature_has_no_row_for_all(content):
    content |= {"together": None, "space": "latent", "split": "external"}
    section = collapse_section(content)
    assert len(section.blocks[1].items) == 4
    assert "in the latent space of a generative model" in section.blocks[-1].text
    assert "patients of another cohort" in section.blocks[0].text
