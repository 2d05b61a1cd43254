"""Layers lose their weights from the output to the input, and what is left is compared with its null."""

import keras
import numpy as np
import pytest

from fgf_keras.commands.sanity import permuted
from fgf_keras.config import EvaluateConfig
from fgf_keras.models.paper_cnn import paper_cnn
from fgf_keras.report.sections.sanity import sanity_summary
from fgf_keras.results.sanity import Network, layers_randomised, sanity_report

N = 40
SETTINGS = EvaluateConfig(bootstrap=200)


def small(seed):
    keras.utils.set_random_seed(seed)
    return paper_cnn((8, 8, 1), filters=(2, 3), kernel_sizes=(3, 3), pool_size=2, dense=(4,))


def network(brightness, *, auc=0.5, undefined=0, seed=0, reach=0.2):
    """S and F of brightness around a mean, of extent around 0.1, of both together above."""
    rng = np.random.default_rng(seed)
    shares = np.array([brightness, 0.1, brightness + 0.05]) + rng.normal(0, 0.02, (N, 3))
    shares[:undefined] = np.nan
    null = np.array([[0.1], [0.05], [reach]]) * np.ones(3)
    return Network(auc, shares, shares.copy(), {"S": null, "F": null})


def report(permuted, trained=None, random=None):
    networks = {
        "trained": [trained or network(0.7, auc=0.8)],
        "random: logits": [network(0.5), network(0.3, seed=1)],
        "random: convolution": random or [network(0.15), network(0.17, seed=1)],
        "permuted labels": permuted,
    }
    names = ["brightness", "extent"]
    return sanity_report(networks, names, SETTINGS, split="test", support="mask", seed=0)


def test_layers_get_fresh_weights_from_the_output_to_the_input():
    classifier, fresh, before = small(0), small(1), small(0)
    layers = [layer for layer in classifier.layers if layer.weights]
    names = []
    for name in layers_randomised(classifier, fresh):
        names.append(name)
        for position, layer in enumerate(layers):
            reached = position >= len(layers) - len(names)
            source = fresh if reached else before
            kernel = [each for each in source.layers if each.weights][position].get_weights()[0]
            assert np.array_equal(layer.get_weights()[0], kernel)
    assert names == [layer.name for layer in reversed(layers)]
    assert names[0] == "logits"
    assert len(names) == 4


def test_labels_are_permuted_where_they_are_learned_from_and_nowhere_else():
    labels = (np.arange(60) % 3 == 0).astype(np.int64)
    splits = {"train": np.arange(30), "validation": np.arange(30, 45), "test": np.arange(45, 60)}
    found = permuted(labels, splits, seed=1)
    for name, rows in splits.items():
        assert found[rows].sum() == labels[rows].sum()
        assert (found[rows] == labels[rows]).all() == (name == "test")
    assert np.array_equal(found, permuted(labels, splits, seed=1))
    assert not np.array_equal(found, permuted(labels, splits, seed=2))
    assert labels.sum() == 20


def test_a_step_of_several_networks_is_their_mean_with_their_spread():
    step = report([network(0.3)])["steps"][1]
    assert step["name"] == "random: logits"
    assert step["S"]["brightness"]["mean"] == pytest.approx(0.4, abs=0.01)
    assert step["S"]["brightness"]["sd"] == pytest.approx(0.2 / np.sqrt(2), abs=0.01)
    low, high = step["S"]["brightness"]["ci"]
    assert low < step["S"]["brightness"]["mean"] < high
    assert step["null"]["S"]["extent"] == {"mean": 0.1, "q05": 0.05, "q95": 0.2}
    assert report([network(0.3)])["steps"][0]["S"]["brightness"]["sd"] is None


def sentence(found, start):
    (told,) = (verdict for verdict in found["verdicts"] if verdict.startswith(start))
    return told


def test_verdicts_hold_the_trained_network_against_permuted_labels_and_each_against_its_null():
    found = report([network(0.4, seed=2), network(0.3, seed=3), network(0.9, seed=4)])
    told = sentence(found, "S of brightness")
    assert told.startswith("S of brightness: more than on permuted labels, +0.16")
    # One of three permuted networks reaches the trained one: (1 + 1)/(1 + 3).
    assert "p = 0.5 from 3" in told
    assert "Trained 0.69" in told
    assert "random weights 0.159 is within its null (0.200)" in told
    assert "permuted labels 0.532 is above its null (0.200)" in told
    assert "no more than on permuted labels" in sentence(found, "F of extent")
    assert found["verdicts"][0] == (
        "AUC is 0.800 trained, 0.500 with random weights, 0.500 trained on permuted labels."
    )
    assert "S: brightness, joint; F: brightness, joint." in sentence(found, "Above the null")
    assert "3 on permuted labels it cannot be below 0.25" in found["verdicts"][-1]
    less = report([network(0.9, seed=2)])
    assert "less than on permuted labels, -0.2" in sentence(less, "S of brightness")
    assert "p = 1 from 1" in sentence(less, "S of brightness")
    assert "S: none; F: none." in sentence(less, "Above the null")
    within = report([network(0.4, seed=2)], trained=network(0.7, reach=0.9))
    assert "more than on permuted labels" in sentence(within, "S of brightness")
    assert "S: none; F: none." in sentence(within, "Above the null")


def test_patients_without_a_gradient_are_counted_and_left_out():
    found = report([network(0.4, undefined=5), network(0.4, undefined=3, seed=1)])
    step = found["steps"][-1]
    assert step["undefined"] == {"S": 8, "F": 8}
    assert step["S"]["brightness"]["mean"] == pytest.approx(0.4, abs=0.02)
    nothing = report([network(0.4, undefined=N)])
    assert nothing["steps"][-1]["S"]["extent"] == {"mean": None, "ci": [None, None], "sd": None}
    assert "undefined" in sentence(nothing, "S of extent")
    table, verdicts = sanity_summary(nothing)
    assert table.rows[-1][2:] == ["undefined"] * 6
    assert verdicts.items == nothing["verdicts"]
    table, _ = sanity_summary(found)
    assert table.header[:3] == ["", "AUC", "S brightness"]
    assert [row[0] for row in table.rows] == [step["name"] for step in found["steps"]]
