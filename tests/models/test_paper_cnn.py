"""The paper's network and its choices."""

import keras
import pytest

from fgf_keras.errors import ModelError
from fgf_keras.models.paper_cnn import paper_cnn


def test_the_default_is_the_network_of_the_paper():
    network = paper_cnn((512, 512, 1))
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [(layer.filters, layer.kernel_size) for layer in convolutions] == [
        (32, (5, 5)),
        (64, (3, 3)),
        (128, (3, 3)),
    ]
    dense = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.units for layer in dense] == [256, 128, 1]
    assert {layer.activation.__name__ for layer in convolutions + dense[:-1]} == {"elu"}
    assert dense[-1].activation.__name__ == "linear"
    pools = [layer for layer in network.layers if isinstance(layer, keras.layers.AveragePooling2D)]
    assert [layer.pool_size for layer in pools] == [(4, 4)] * 3
    assert network.output_shape == (None, 1)


def test_its_choices_are_open():
    network = paper_cnn(
        (60, 50, 2),
        classes=3,
        filters=(4, 8),
        kernel_sizes=(3, 3),
        activation="relu",
        pooling="max",
        pool_size=2,
        dense=(5,),
        dropout=0.5,
    )
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds.count("MaxPooling2D") == 2
    assert kinds.count("Dropout") == 2
    assert network.output_shape == (None, 3)
    assert network.input_shape == (None, 60, 50, 2)


def test_an_image_smaller_than_its_poolings_is_refused():
    with pytest.raises(ModelError, match="at least 64 px"):
        paper_cnn((60, 96, 1))
