"""The sections that lead the report: what the score follows, whether lenses agree, what the network needs."""

import copy

import numpy as np
import pandas as pd
import pytest
from metrics_file import alignment, estimate, metrics_content, part

from fgf_keras.config.reward import RewardConfig
from fgf_keras.report.sections.controls import controls_section, controls_sentence
from fgf_keras.report.sections.findings import findings_blocks
from fgf_keras.report.sections.lenses import lenses_section
from fgf_keras.report.sections.population import population_section, population_sentence
from fgf_keras.report.sections.score_groups import score_group_blocks
from fgf_keras.report.sections.summary import summary_section
from fgf_keras.report.words import p_text
from fgf_keras.results.effects import EFFECTS
from fgf_keras.results.metrics import RunMetrics
from fgf_keras.results.population import population_content
from fgf_keras.results.run import RunResult

NAMES = ["brightness", "extent"]
SHARES = {"brightness": 0.8, "extent": 0.02, "joint": 0.85}


def population_of(law, count=60):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(count, 2))
    score = law(values) + 0.1 * rng.normal(size=count)
    return population_content(score, values, NAMES, permutations=200, bootstrap=200)


def result_of(law=lambda v: 2 * v[:, 1] + 0.4 * v[:, 0], *, shares=SHARES, auc=0.8, population=True, **more):
    effect = {"positive": 0.9, "negative": 0.1, "n": 20}
    summary = estimate(0.7) | effect
    of_feature = dict.fromkeys((*EFFECTS, "contribution_share"), summary)
    effects = dict.fromkeys(NAMES, of_feature)
    effects |= {"unexplained": summary, "unexplained_share": summary}
    test = part({"mask": alignment(shares)}, auc=auc) | {"effects": {"mask": effects}}
    if population:
        test["population"] = population_of(law)
    reference = {
        "of": "training patients",
        "mean": None,
        "sd": {"brightness": 22.8, "extent": 0.9},
        "units": {"brightness": "HU", "extent": "mm"},
    }
    metrics = RunMetrics.of(metrics_content({"test": test}) | {"reference": reference})
    return RunResult(metrics, pd.DataFrame(), {}, **more)


def text_of(blocks):
    return " ".join(block.text for block in blocks if block.kind == "text")


def test_what_the_score_follows_is_named_with_its_share():
    result = result_of()
    sentence = population_sentence(result.part, 0.05)
    assert sentence.startswith("Over the 60 test patients, the score goes with extent (9")
    # Little of the whole, but beyond chance in what extent leaves.
    assert "Small shares beyond those of the other features: brightness" in sentence
    section = population_section(result.part, 0.05)
    (table,) = (block for block in section.blocks if block.kind == "table")
    rows = [row for row in table.rows if row[0] == "extent"]
    assert len(rows) == 2
    assert rows[0][3] == rows[0][5] == "p ≤ 0.005"


def test_a_feature_that_only_goes_along_with_another_is_said_to_add_nothing():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(60, 2))
    values[:, 1] = 0.8 * values[:, 0] + 0.6 * values[:, 1]
    content = population_content(
        values[:, 0] + 0.3 * rng.normal(size=60), values, NAMES, permutations=200, bootstrap=200
    )
    sentence = population_sentence(with_population(content), 0.01)
    assert "goes with brightness" in sentence
    assert "Extent goes with it too, but adds nothing that the other features do not explain" in sentence


def test_nothing_beyond_chance_is_said_in_words():
    sentence = population_sentence(result_of(lambda v: np.sin(50 * v[:, 0] ** 2)).part, 0.01)
    assert "explain no more of the score than chance would have it" in sentence


def test_interactions_that_a_sum_misses_are_named():
    sentence = population_sentence(result_of(lambda v: v[:, 0] * v[:, 1]).part, 0.001)
    assert "no more of the score than chance" in sentence
    assert "But a flexible surrogate explains" in sentence
    assert "by interactions (the influence of one feature depends on another)" in sentence


def test_patients_and_features_that_are_left_out_are_named():
    values = np.random.default_rng(0).normal(size=(40, 2))
    values[:, 1] = 3.0
    score = values[:, 0].copy()
    score[:2] = np.nan
    content = population_content(score, values, NAMES, permutations=50, bootstrap=50)
    text = text_of(population_section(with_population(content), 0.05).blocks)
    assert "Left out: 2 patients" in text
    assert "Extent does not vary between these patients." in text


def with_population(content):
    file = copy.deepcopy(result_of().metrics.content)
    file["splits"]["test"]["population"] = content
    return RunMetrics.of(file).parts["test"]


def test_too_few_patients_are_a_reason_and_not_an_error():
    few = with_population(population_content(np.ones(3), np.ones((3, 2)), NAMES))
    assert "at least 4 patients" in population_sentence(few, 0.05)
    assert "could not be measured" in text_of(population_section(few, 0.05).blocks)


def moves(brightness=0.8, extent=1.2):
    return {
        "features": {
            name: {
                "moves": [{"amount": 1, "score_change": {"mean": change, "ci": [change - 0.1, change + 0.1]}}]
            }
            for name, change in {"brightness": brightness, "extent": extent}.items()
        }
    }


def test_the_lenses_are_said_to_differ_only_where_they_do():
    section = lenses_section(result_of(behaviour=moves()), NAMES, 0.05)
    assert "The score follows extent most" in text_of(section.blocks)
    assert "moves the score most along brightness (S 0.80)" in text_of(section.blocks)
    table = next(block for block in section.blocks if block.kind == "table")
    assert table.header == ["", "1 sd", "follows", "tumour changed", "slope", "S", "F"]
    terms = next(block for block in section.blocks if block.kind == "terms")
    assert [term for term, _ in terms.items] == table.header[2:]
    agreeing = lenses_section(result_of(lambda v: v[:, 0]), NAMES, 0.05)
    assert "They agree: brightness is what the score follows" in text_of(agreeing.blocks)


def test_lenses_that_agree_on_the_first_feature_alone_are_not_said_to_agree():
    result = result_of(lambda v: v[:, 0] + 0.9 * v[:, 1])
    sentence = text_of(lenses_section(result, NAMES, 0.05).blocks)
    assert "They agree on brightness, first in both, but not on extent" in sentence


def test_without_a_population_share_only_moved_tumours_are_spoken_of():
    for result in (
        result_of(population=False, behaviour=moves()),
        result_of(lambda v: np.sin(50 * v[:, 0] ** 2), behaviour=moves()),
    ):
        sentence = text_of(lenses_section(result, NAMES, 0.01).blocks)
        assert "When the tumour is changed, the score moves most with extent (+1.20" in sentence
        assert "follows" not in sentence


def test_opposite_directions_of_tumour_and_intensities_are_said():
    sentence = text_of(lenses_section(result_of(behaviour=moves(extent=-1.2)), NAMES, 0.05).blocks)
    assert "For extent, the score goes one way when the tumour itself is changed" in sentence


def test_a_network_that_reacts_to_none_of_the_features_is_not_said_to_agree():
    shares = {"brightness": 0.002, "extent": 0.001, "joint": 0.003}
    assert not text_of(lenses_section(result_of(shares=shares), NAMES, 0.05).blocks)


def test_a_run_without_the_other_lenses_has_only_the_columns_it_has():
    section = lenses_section(result_of(population=False), NAMES, 0.05)
    table = next(block for block in section.blocks if block.kind == "table")
    assert table.header == ["", "1 sd", "slope", "S", "F"]
    assert not text_of(section.blocks)


def controls_content(averaged, shuffled, bare):
    def entry(drop):
        loss = {"mean": drop[0], "ci": list(drop[1:])}
        metric = {"before": 0.8, "after": 0.8 - drop[0], "drop": loss}
        return {"auc": metric, "balanced_accuracy": metric} | lenses

    lenses = {kind: {name: estimate(0.5) for name in (*NAMES, "joint")} for kind in "SF"}
    lenses |= {"effects": {name: estimate(0.3) for name in NAMES}, "population": {"n": 9, "reason": "none"}}
    controls = {"averaged": entry(averaged), "shuffled": entry(shuffled), "bare_mask": entry(bare)}
    return {"split": "test", "support": "mask", "n": 20, "original": lenses, "controls": controls}


NONE = (0.0, -0.02, 0.02)


@pytest.mark.parametrize(
    ("losses", "auc", "words"),
    [
        ((NONE,) * 3, 0.8, ["achieves does not need the texture", "outline is enough"]),
        (((0.2, 0.1, 0.3), (0.15, 0.05, 0.2), (0.3, 0.2, 0.4)), 0.8, ["uses the texture", "falls to 0.500"]),
        (((0.05, -0.1, 0.2),) * 3, 0.8, ["these patients do not decide", "the AUC is 0.750"]),
        # Real, but smaller than what counts.
        (((0.004, 0.001, 0.008), NONE, NONE), 0.8, ["does not need the texture"]),
        (((-0.1, -0.15, -0.06), NONE, NONE), 0.8, ["the AUC rises to 0.900", "to its disadvantage"]),
        # Shuffled pixels are a texture that the network has never seen.
        ((NONE, (0.2, 0.1, 0.3), NONE), 0.8, ["does not need the texture", "0.600 with its pixels shuffled"]),
        ((NONE,) * 3, 0.55, ["cannot be said", "not clearly above 0.5"]),
    ],
)
def test_the_sentence_on_texture_says_what_the_losses_show(losses, auc, words):
    content, metrics = controls_content(*losses), result_of(auc=auc).part
    sentence = controls_sentence(content, metrics)
    assert all(word in sentence for word in words), sentence
    section = controls_section(content, metrics)
    assert [len(block.rows) for block in section.blocks if block.kind == "table"] == [4, 16]


def test_in_short_has_an_answer_to_each_question():
    result = result_of(controls=controls_content(*(((0.0, -0.02, 0.02),) * 3)))
    section = summary_section(result, NAMES, 0.05)
    (terms,) = (block for block in section.blocks if block.kind == "terms")
    assert [question for question, _ in terms.items] == [
        "The answer",
        "How well it does",
        "What the score follows",
        "In which direction",
        "What it reacts to",
        "Do these agree?",
        "What it needs",
        "Left out",
    ]
    assert terms.items[0][1].startswith("The score mostly follows extent (9")
    assert "the more extent, the higher the score" in terms.items[0][1]
    assert "was trained to align" not in str(terms.items)
    rewarded = summary_section(result, NAMES, 0.05, reward=RewardConfig())
    assert "was trained to align" in str(rewarded.blocks)
    (tiles,) = (block for block in section.blocks if block.kind == "tiles")
    # The share in a tile and the chance level beside it are of the same quantity.
    assert any("joint S" in name for name, _, _ in tiles.items)
    assert not any("magnitude" in name for name, _, _ in tiles.items)


def test_a_mean_over_patients_is_qualified_where_alignment_depends_on_the_score():
    logit = np.linspace(-3, 3, 30)
    patients = pd.DataFrame(
        {"logit": logit, "label": (logit > 1).astype(int), "decision": (logit > 0).astype(int)}
    )
    patients["mask.S_joint"] = 0.5 + logit / 10
    patients["mask.status"] = "reached"
    blocks = score_group_blocks(patients, "mask", 0.0, confidence=0.95, seed=0)
    assert "Patients with a higher score have a higher joint S: the rank correlation" in text_of(blocks)
    assert "the mean over all patients describes none of them" in text_of(blocks)
    table = next(block for block in blocks if block.kind == "table")
    assert {row[0]: row[1] for row in table.rows} == {
        "positive, found": "10",
        "negative, called positive": "5",
        "negative, called negative": "15",
    }
    patients["mask.S_joint"] = np.random.default_rng(0).uniform(size=30)
    assert "No dependence is shown" in text_of(
        score_group_blocks(patients, "mask", 0.0, confidence=0.95, seed=0)
    )


def test_what_could_not_be_checked_is_not_counted_as_absent():
    finding = {"name": "unstable_alignment", "title": "t", "why": "w", "try": ""}
    states = [False, False, None, None]
    blocks = findings_blocks([finding | {"found": state} for state in states])
    assert blocks[0].text == (
        "Of 4 known ways to go wrong, 2 were checked and none was found; 2 could not be checked."
    )
    assert "1 found" in findings_blocks([finding | {"found": state} for state in (True, False)])[0].text


def test_p_values_are_bounds_where_draws_or_digits_end():
    assert p_text(0.01, 99) == "p ≤ 0.01"
    assert p_text(0.02, 99) == "p 0.020"
    assert p_text(0.0) == "p < 0.001"
    assert p_text(float("nan")) == "p –"
