"""A penalised feature unlearns a shortcut, on a small version of configs/decoy.yaml."""

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from fgf_keras.config import parse_config
from fgf_keras.data.dataset import class_weights, make_dataset
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import stratified_splits
from fgf_keras.results.groups import group_content
from fgf_keras.training.build import build_model

PENALTY = {"features": ["core_contrast"], "targets": {"core_contrast": "penalise"}, "weight": 3.0}


def measured(reward):
    """AUC and worst-group accuracy where the marker says nothing, and S of it."""
    config = parse_config(
        {
            "data": {
                "size": 48,
                "splits": {"group": "phantom-([ab])-", "test": ["b"], "validation": 0.02},
                "phantom": {"patients": 500, "prevalence": 0.4, "decoy": {"hu": 200.0}},
            },
            "model": {"filters": [8, 16], "kernel_sizes": [5, 3], "pool_size": 2, "dense": [16]},
            "features": ["brightness", "extent", "core_contrast"],
            "reward": reward,
        }
    )
    cohort = source_of(config).cohort()
    splits = stratified_splits(cohort, config.data.splits, seed=0)
    keras.utils.set_random_seed(0)
    model = build_model(config, cohort.images.shape[1:], 2)
    model.optimizer.learning_rate = 0.003
    training = make_dataset(cohort, splits["train"], batch_size=16, seed=0, training=True, windows=True)
    weights = class_weights(cohort.labels[splits["train"]])
    model.fit(training, epochs=25, class_weight=weights, shuffle=False, verbose=0)
    test = make_dataset(cohort, splits["test"], batch_size=50, windows=True)
    logits = np.ravel(model.predict(test, verbose=0))
    labels, markers = cohort.labels[splits["test"]], cohort.markers()[splits["test"]]
    worst = group_content(labels, logits > 0, markers, "marker")["worst"]["value"]
    share = model.evaluate(test, verbose=0, return_dict=True)["S_core_contrast"]
    return roc_auc_score(labels, logits), worst, share


def test_a_penalised_marker_restores_what_its_shortcut_cost():
    plain_auc, plain_worst, plain_share = measured({"kind": "none"})
    auc, worst, share = measured(PENALTY)
    assert share < plain_share / 2
    assert auc > plain_auc + 0.03
    assert worst > plain_worst + 0.08
