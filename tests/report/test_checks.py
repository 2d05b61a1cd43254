"""Checks that lie in the evaluation folder are told; what they could not find out is said as such."""

from fgf_keras.report.document import Document, Section
from fgf_keras.report.html import as_html
from fgf_keras.report.markdown import as_markdown
from fgf_keras.report.sections.behaviour import behaviour_section
from fgf_keras.report.sections.findings import findings_blocks
from fgf_keras.report.sections.sanity import sanity_section
from fgf_keras.report.style import report_style

UNKNOWN = {"mean": None, "ci": [None, None]}
TAG = "<script>alert(1)</script>"


def known(mean):
    return {"mean": mean, "ci": [mean - 0.1, mean + 0.1]}


def feature(slope, unit):
    moves = [
        {"amount": a, "feature_change": a, "score_change": UNKNOWN if slope is None else known(a * slope)}
        for a in (-1.0, 1.0)
    ]
    effect = UNKNOWN if slope is None else known(abs(slope))
    return {"unit": unit, "left_out": 3, "moves": moves, "effect": effect}


BEHAVIOUR = {
    "split": "test",
    "n": 20,
    "features": {"brightness": feature(0.75, "HU"), "log_aspect_ratio": feature(None, "")},
    "agreement": {
        "mask": {
            "S": {"spearman_mean": 0.625, "ci": [0.5, 0.75], "n": 17},
            "F": {"spearman_mean": None, "ci": [None, None], "n": 0},
            "order_by_effect": ["brightness", "log_aspect_ratio"],
            "order_by_S": ["log_aspect_ratio", "brightness"],
            "order_by_F": [],
        }
    },
}
BAND = {"mean": 0.3, "q05": 0.2, "q95": 0.4}


def step(name, share, auc, null):
    shares = {key: UNKNOWN if share is None else known(share) for key in ("extent", "joint")}
    nulls = dict.fromkeys(("extent", "joint"), null) if null else {}
    both = {"S": shares, "F": shares, "undefined": {"S": 0, "F": 4}, "null": {"S": nulls, "F": nulls}}
    return {"name": name, "auc": auc, **both}


SANITY = {
    "split": "test",
    "support": "mask",
    "features": ["extent", "joint"],
    "steps": [
        step("trained", 0.875, 0.7, BAND),
        step("random: dense", None, None, {"mean": None, "q05": None, "q95": None}),
        step("permuted labels", 0.25, 0.5, None),
    ],
    "verdicts": ["Joint S falls to 0.250 on permuted labels."],
}
FINDINGS = {
    "findings": [
        {
            "name": "a",
            "title": "One feature takes all",
            "found": True,
            "why": f"S is 0.9. {TAG}",
            "try": "joint",
        },
        {"name": "b", "title": "Inverted score", "found": False, "why": "AUC 0.7.", "try": ""},
        {"name": "c", "title": "Memorised", "found": None, "why": "No training part.", "try": ""},
    ]
}


def drawn(blocks):
    document = Document("title", "subtitle", [Section("checks", "Checks", blocks)])
    return as_html(document), as_markdown(document)


def test_what_was_found_is_called_out_and_the_rest_is_folded():
    html, markdown = drawn(findings_blocks(FINDINGS["findings"]))
    assert "found: 1" in markdown
    assert "> What to try: joint" in markdown
    assert html.count("<details>") == 2
    before = html[: html.index("<details>")]
    assert "One feature takes all" in before
    assert "Inverted score" not in before
    assert "Could not be checked: 1" in html
    assert TAG not in html + markdown


def test_without_findings_nothing_is_said():
    assert findings_blocks(None) == []


def test_behaviour_is_told_with_what_is_undefined():
    with report_style():
        section = behaviour_section(BEHAVIOUR)
    html, markdown = drawn(section.blocks)
    assert "| brightness | 0.750 [0.650, 0.850] | HU | 3 |" in markdown
    assert "| log aspect ratio | undefined | – | 3 |" in markdown
    assert "| S and effect | 0.625 [0.500, 0.750] | 17 |" in markdown
    assert "| F and effect | undefined | 0 |" in markdown
    assert "by S: log aspect ratio, brightness." in markdown
    assert "by F: undefined." in markdown
    # The panel of the feature says so too.
    assert ">undefined</text>" in html


def test_sanity_is_told_step_by_step():
    with report_style():
        section = sanity_section(SANITY)
    html, markdown = drawn(section.blocks)
    assert markdown.count("| trained | 0.700 | 0.875 [0.775, 0.975] | 0.875 [0.775, 0.975] | 0 |") == 1
    assert "| random: dense | undefined | undefined | undefined | 4 |" in markdown
    assert "Joint S falls to 0.250 on permuted labels." in markdown
    assert "permuted labels</text>" in html
    assert "nan" not in markdown.lower()
