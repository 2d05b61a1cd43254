"""The reward's gradient through every layer of Keras that a classifier may contain.

Each layer stands in a small network in float64; a training step's weight change is compared with finite
differences of the reward. `EXACT` layers have right second derivatives, by themselves or by a replacement;
`DIFFERENCE` layers have none, and are computed as differences of gradients.
"""

import inspect

import keras
import numpy as np
import pytest
from reward_oracle import worst_error

L = keras.layers
EXACT, DIFFERENCE = "exact", "difference"
SHAPE = (6, 6, 2)
TOLERANCE = {"float64": 1e-6, "float32": 5e-3}


def image(x):
    """(6, 6, 4)."""
    return L.Conv2D(4, 3, padding="same", activation="softplus")(x)


def vector(x):
    """(6,)."""
    x = L.Conv2D(3, 3, activation="softplus")(x)
    return L.Dense(6, "tanh")(L.Flatten()(x))


def sequence(x):
    """(12, 3)."""
    x = L.Conv2D(1, 3, padding="same", activation="softplus")(x)
    return L.Reshape((12, 3))(x)


def volume(x):
    """(6, 6, 4, 1)."""
    return L.Reshape((6, 6, 4, 1))(image(x))


def frames(x):
    """(2, 6, 6, 2)."""
    return L.Reshape((2, 6, 6, 2))(image(x))


def lines(x):
    """(2, 6, 12): two frames of six places."""
    return L.Reshape((2, 6, 12))(image(x))


def volumes(x):
    """(2, 3, 6, 4, 1)."""
    return L.Reshape((2, 3, 6, 4, 1))(image(x))


def other(x):
    """A second input of the same shape."""
    return L.EinsumDense("...c,cd->...d", output_shape=x.shape[-1], activation="tanh")(x)


def pooled(layer):
    return lambda x: L.GlobalAveragePooling2D()(layer(x))


def pair(layer):
    return lambda x: layer([x, other(x)])


def twice(layer, **options):
    return lambda x: layer(x, other(x), **options)


# What a layer is put behind, and what it does there.
TABLE = {
    "ActivityRegularization": (image, lambda: L.ActivityRegularization(), EXACT),
    "AdaptiveAveragePooling1D": (sequence, lambda: L.AdaptiveAveragePooling1D(5), EXACT),
    "AdaptiveAveragePooling2D": (image, lambda: L.AdaptiveAveragePooling2D(4), EXACT),
    "AdaptiveAveragePooling3D": (volume, lambda: L.AdaptiveAveragePooling3D((4, 4, 2)), EXACT),
    "AdaptiveMaxPooling1D": (sequence, lambda: L.AdaptiveMaxPooling1D(5), EXACT),
    "AdaptiveMaxPooling2D": (image, lambda: L.AdaptiveMaxPooling2D(4), EXACT),
    "AdaptiveMaxPooling3D": (volume, lambda: L.AdaptiveMaxPooling3D((4, 4, 2)), EXACT),
    "Add": (image, lambda: pair(L.Add()), EXACT),
    "AdditiveAttention": (sequence, lambda: pair(L.AdditiveAttention()), EXACT),
    "AlphaDropout": (image, lambda: L.AlphaDropout(0.3, seed=1), EXACT),
    "Attention": (sequence, lambda: pair(L.Attention(use_scale=True)), EXACT),
    "Average": (image, lambda: pair(L.Average()), EXACT),
    "AveragePooling1D": (sequence, lambda: L.AveragePooling1D(2), EXACT),
    "AveragePooling2D": (image, lambda: L.AveragePooling2D(2), EXACT),
    "AveragePooling2D overlapping": (image, lambda: L.AveragePooling2D(3, strides=2, padding="same"), EXACT),
    "AveragePooling3D": (volume, lambda: L.AveragePooling3D((2, 2, 1)), EXACT),
    "BatchNormalization": (image, lambda: L.BatchNormalization(), EXACT),
    "BatchNormalization frozen": (image, lambda: L.BatchNormalization(trainable=False), EXACT),
    "BatchNormalization renorm": (image, lambda: L.BatchNormalization(renorm=True), EXACT),
    "Bidirectional": (sequence, lambda: L.Bidirectional(L.LSTM(3)), EXACT),
    "CenterCrop": (image, lambda: L.CenterCrop(4, 4), EXACT),
    "Concatenate": (image, lambda: pair(L.Concatenate()), EXACT),
    "Conv1D": (sequence, lambda: L.Conv1D(3, 3, activation="tanh"), EXACT),
    "Conv1DTranspose": (sequence, lambda: L.Conv1DTranspose(3, 3, strides=2), EXACT),
    "Conv2D": (image, lambda: L.Conv2D(3, 3, dilation_rate=2), EXACT),
    "Conv2D groups": (image, lambda: L.Conv2D(4, 3, groups=2, activation="elu"), EXACT),
    "Conv2D strides": (image, lambda: L.Conv2D(3, 3, strides=2, padding="same", activation="tanh"), EXACT),
    "Conv2DTranspose": (image, lambda: L.Conv2DTranspose(3, 3, strides=2, activation="tanh"), EXACT),
    "Conv3D": (volume, lambda: L.Conv3D(2, 3, activation="tanh"), EXACT),
    "Conv3DTranspose": (volume, lambda: L.Conv3DTranspose(2, 2, strides=2), EXACT),
    "ConvLSTM1D": (lines, lambda: L.ConvLSTM1D(2, 3), EXACT),
    "ConvLSTM2D": (frames, lambda: L.ConvLSTM2D(2, 3), EXACT),
    "ConvLSTM3D": (volumes, lambda: L.ConvLSTM3D(2, 2), EXACT),
    "Cropping1D": (sequence, lambda: L.Cropping1D(1), EXACT),
    "Cropping2D": (image, lambda: L.Cropping2D(1), EXACT),
    "Cropping3D": (volume, lambda: L.Cropping3D(1), EXACT),
    "Dense": (vector, lambda: L.Dense(4, "softplus"), EXACT),
    "DepthwiseConv1D": (sequence, lambda: L.DepthwiseConv1D(3, activation="tanh"), EXACT),
    "DepthwiseConv2D": (image, lambda: L.DepthwiseConv2D(3, depth_multiplier=2, activation="tanh"), EXACT),
    "DepthwiseConv2D strides": (image, lambda: L.DepthwiseConv2D(3, strides=2, padding="same"), EXACT),
    "Dot": (sequence, lambda: pair(L.Dot(axes=1, normalize=True)), EXACT),
    "Dropout": (image, lambda: L.Dropout(0.3, seed=1), EXACT),
    "ELU": (image, lambda: L.ELU(0.7), EXACT),
    "EinsumDense": (image, lambda: L.EinsumDense("bhwc,cd->bhwd", (6, 6, 3), activation="tanh"), EXACT),
    "Flatten": (image, lambda: L.Flatten(), EXACT),
    "GRU": (sequence, lambda: L.GRU(3), EXACT),
    "GaussianDropout": (image, lambda: L.GaussianDropout(0.3, seed=1), EXACT),
    "GaussianNoise": (image, lambda: L.GaussianNoise(0.1, seed=1), EXACT),
    "GlobalAveragePooling1D": (sequence, lambda: L.GlobalAveragePooling1D(), EXACT),
    "GlobalAveragePooling2D": (image, lambda: L.GlobalAveragePooling2D(), EXACT),
    "GlobalAveragePooling3D": (volume, lambda: L.GlobalAveragePooling3D(), EXACT),
    "GlobalMaxPooling1D": (sequence, lambda: L.GlobalMaxPooling1D(), EXACT),
    "GlobalMaxPooling2D": (image, lambda: L.GlobalMaxPooling2D(), EXACT),
    "GlobalMaxPooling3D": (volume, lambda: L.GlobalMaxPooling3D(), EXACT),
    "GroupNormalization": (image, lambda: L.GroupNormalization(2), EXACT),
    "GroupedQueryAttention": (sequence, lambda: twice(L.GroupQueryAttention(2, 4, 2)), EXACT),
    "Identity": (image, lambda: L.Identity(), EXACT),
    "LSTM": (sequence, lambda: L.LSTM(3), EXACT),
    "Lambda": (image, lambda: L.Lambda(lambda x: x**2), EXACT),
    "LayerNormalization": (image, lambda: L.LayerNormalization(), EXACT),
    "LayerNormalization all axes": (image, lambda: L.LayerNormalization(axis=[1, 2, 3]), EXACT),
    "LeakyReLU": (image, lambda: L.LeakyReLU(0.2), EXACT),
    "Masking": (sequence, lambda: lambda x: L.LSTM(3)(L.Masking()(x)), EXACT),
    "MaxPooling1D": (sequence, lambda: L.MaxPooling1D(2), EXACT),
    "MaxPooling2D": (image, lambda: L.MaxPooling2D(2), EXACT),
    "MaxPooling3D": (volume, lambda: L.MaxPooling3D(2), EXACT),
    "Maximum": (image, lambda: pair(L.Maximum()), EXACT),
    "Minimum": (image, lambda: pair(L.Minimum()), EXACT),
    "MultiHeadAttention": (
        sequence,
        lambda: twice(L.MultiHeadAttention(2, 4, flash_attention=False)),
        EXACT,
    ),
    "Multiply": (image, lambda: pair(L.Multiply()), EXACT),
    "Normalization": (image, lambda: L.Normalization(mean=0.5, variance=2.0), EXACT),
    "PReLU": (image, lambda: L.PReLU(alpha_initializer="random_normal"), EXACT),
    "Permute": (image, lambda: L.Permute((3, 1, 2)), EXACT),
    "Pipeline": (image, lambda: L.Pipeline([L.Rescaling(2.0), L.CenterCrop(4, 4)]), EXACT),
    "RMSNormalization": (image, lambda: L.RMSNormalization(), EXACT),
    "RNN": (sequence, lambda: L.RNN(L.GRUCell(3)), EXACT),
    "RandomBrightness": (image, lambda: L.RandomBrightness(0.2, value_range=(0, 9), seed=1), EXACT),
    "RandomContrast": (image, lambda: L.RandomContrast(0.2, value_range=(0, 9), seed=1), EXACT),
    "RandomCrop": (image, lambda: pooled(L.RandomCrop(4, 4, seed=1)), EXACT),
    "RandomFlip": (image, lambda: L.RandomFlip(seed=1), EXACT),
    "RandomRotation": (image, lambda: L.RandomRotation(0.1, seed=1), EXACT),
    "RandomTranslation": (image, lambda: L.RandomTranslation(0.2, 0.2, seed=1), EXACT),
    "RandomZoom": (image, lambda: L.RandomZoom(0.2, seed=1), EXACT),
    "ReLU": (image, lambda: L.ReLU(negative_slope=0.1, threshold=0.5), EXACT),
    "RepeatVector": (vector, lambda: L.RepeatVector(3), EXACT),
    "Rescaling": (image, lambda: L.Rescaling(0.5, offset=1.0), EXACT),
    "Reshape": (image, lambda: L.Reshape((12, 12)), EXACT),
    "Resizing bicubic": (image, lambda: L.Resizing(9, 9, interpolation="bicubic"), DIFFERENCE),
    "Resizing bilinear": (image, lambda: L.Resizing(9, 9), DIFFERENCE),
    "Resizing lanczos": (image, lambda: L.Resizing(9, 9, interpolation="lanczos3"), DIFFERENCE),
    "Resizing nearest": (image, lambda: L.Resizing(9, 9, interpolation="nearest"), DIFFERENCE),
    "SeparableConv1D": (sequence, lambda: L.SeparableConv1D(3, 3, activation="tanh"), EXACT),
    "SeparableConv2D": (image, lambda: L.SeparableConv2D(3, 3, activation="tanh"), EXACT),
    "SimpleRNN": (sequence, lambda: L.SimpleRNN(3), EXACT),
    "Softmax": (image, lambda: L.Softmax(), EXACT),
    "SpatialDropout1D": (sequence, lambda: L.SpatialDropout1D(0.3, seed=1), EXACT),
    "SpatialDropout2D": (image, lambda: L.SpatialDropout2D(0.3, seed=1), EXACT),
    "SpatialDropout3D": (volume, lambda: L.SpatialDropout3D(0.3, seed=1), EXACT),
    "StackedRNNCells": (sequence, lambda: L.RNN(L.StackedRNNCells([L.GRUCell(3), L.LSTMCell(2)])), EXACT),
    "Subtract": (image, lambda: pair(L.Subtract()), EXACT),
    "TimeDistributed": (sequence, lambda: L.TimeDistributed(L.Dense(3, "tanh")), EXACT),
    "UnitNormalization": (image, lambda: L.UnitNormalization(), EXACT),
    "UpSampling1D": (sequence, lambda: L.UpSampling1D(2), EXACT),
    "UpSampling2D": (image, lambda: L.UpSampling2D(2), EXACT),
    "UpSampling2D bilinear": (image, lambda: L.UpSampling2D(2, interpolation="bilinear"), DIFFERENCE),
    "UpSampling2D bicubic": (image, lambda: L.UpSampling2D(2, interpolation="bicubic"), DIFFERENCE),
    "UpSampling3D": (volume, lambda: L.UpSampling3D(2), EXACT),
    "ZeroPadding1D": (sequence, lambda: L.ZeroPadding1D(1), EXACT),
    "ZeroPadding2D": (image, lambda: L.ZeroPadding2D(1), EXACT),
    "ZeroPadding3D": (volume, lambda: L.ZeroPadding3D(1), EXACT),
}
ACTIVATIONS = [
    name
    for name, function in inspect.getmembers(keras.activations, inspect.isfunction)
    if name not in ("get", "serialize", "deserialize")
]
TABLE |= {f"activation {name}": (image, lambda name=name: L.Activation(name), EXACT) for name in ACTIVATIONS}
TABLE["activation glu"] = (image, lambda: keras.activations.glu, EXACT)
TABLE["activation softsign"] = (image, lambda: L.Activation("softsign"), DIFFERENCE)
TABLE["activation threshold"] = (image, lambda: lambda x: keras.activations.threshold(x, 0.7, 0.1), EXACT)
# What TensorFlow or Keras computes in float32 alone, between layers of float64 too.
FLOAT32 = [
    name
    for name in TABLE
    if name in ("RandomRotation", "RandomTranslation", "RandomZoom")
    or (name.endswith("Pooling3D") and "Global" not in name)
    or name.startswith(("Resizing", "UpSampling2D bi"))
]
# What a classifier of images or vectors cannot contain, or not in front of a gradient.
NOT_SURVEYED = {
    "alters or mixes training data, without a gradient": {
        "AugMix", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "Equalization",
        "MaxNumBoundingBoxes", "MixUp", "RandAugment", "RandomColorDegeneration", "RandomColorJitter",
        "RandomElasticTransform", "RandomErasing", "RandomGaussianBlur", "RandomGrayscale", "RandomHue",
        "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomSaturation", "RandomSharpness",
        "RandomShear", "Solarization",
    },
    "takes text, categories, tokens or sound": {
        "CategoryEncoding", "Discretization", "Embedding", "HashedCrossing", "Hashing", "IntegerLookup",
        "MelSpectrogram", "ReversibleEmbedding", "STFTSpectrogram", "StringLookup", "TextVectorization",
    },
    "a base class, a cell, or an input": {
        "GRUCell", "InputLayer", "InputSpec", "LSTMCell", "Layer", "SimpleRNNCell", "Wrapper",
    },
    "of another backend": {"FlaxLayer", "JaxLayer", "TorchModuleWrapper"},
    "a graph of its own, without weights to train": {"TFSMLayer"},
    "in a test of its own": {"SpectralNormalization"},
}  # fmt: skip


@pytest.fixture
def precision(request):
    """Networks are made in float64, or float32 where a test says so."""
    name = getattr(request, "param", "float64")
    keras.utils.set_random_seed(3)
    keras.config.set_floatx(name)
    keras.config.set_dtype_policy(name)
    yield name
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def network(before, layer, classes=1):
    inputs = keras.Input(SHAPE)
    x = layer(before(inputs))
    return keras.Model(inputs, L.Dense(classes)(L.Flatten()(x)))


@pytest.mark.filterwarnings("ignore:The classifier uses .* second derivative:UserWarning")
@pytest.mark.parametrize(
    ("name", "precision"),
    [(name, "float32" if name in FLOAT32 else "float64") for name in TABLE],
    indirect=["precision"],
)
def test_the_gradient_through_a_layer_is_that_of_finite_differences(name, precision):
    before, layer, method = TABLE[name]
    error, plan = worst_error(network(before, layer()), SHAPE)
    assert plan.method == method
    assert error < TOLERANCE[precision]


def test_every_layer_of_keras_is_in_the_table_or_left_out_for_a_reason():
    layers = {cls.__name__ for _, cls in inspect.getmembers(L, inspect.isclass)}
    surveyed = {name.split()[0] for name in TABLE} | {"Activation"}
    left_out = set().union(*NOT_SURVEYED.values())
    assert layers - surveyed - left_out == set()
    assert not surveyed & left_out


@pytest.mark.parametrize("classes", [3, 5])
def test_the_gradient_of_several_classes_is_that_of_finite_differences(classes, precision):
    error, _ = worst_error(network(image, L.LayerNormalization(), classes), SHAPE)
    assert error < TOLERANCE[precision]


def test_spectral_normalisation_is_right_at_kernels_that_it_leaves_as_they_are(precision):
    # It divides the kernel by its norm in each training step, as an assignment that no gradient sees.
    classifier = network(image, L.SpectralNormalization(L.Conv2D(3, 3)))
    for _ in range(100):
        classifier(np.zeros((1, *SHAPE)), training=True)
    error, _ = worst_error(classifier, SHAPE, section=lambda network: lambda x: network(x, training=False))
    assert error < TOLERANCE[precision]


# The first blocks of well-known networks, to the layer of that name.
BLOCKS = {
    "ConvNeXtTiny": "convnext_tiny_stage_0_block_0_identity",
    "DenseNet121": "conv2_block1_concat",
    "EfficientNetB0": "block2a_project_bn",
    "EfficientNetV2B0": "block1a_project_activation",
    "InceptionV3": "mixed0",
    "MobileNet": "conv_pw_2_relu",
    "MobileNetV2": "block_2_add",
    "MobileNetV3Small": "expanded_conv_project_bn",
    "NASNetMobile": "normal_concat_1",
    "ResNet50": "conv2_block1_out",
    "ResNet50V2": "conv2_block1_out",
    "VGG16": "block1_pool",
    "Xception": "block2_pool",
}
# Half of the time of all blocks.
LARGE = ("ConvNeXtTiny", "InceptionV3", "NASNetMobile")


@pytest.mark.filterwarnings("ignore:The classifier uses .* second derivative:UserWarning")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in BLOCKS]
)
def test_the_gradient_through_a_known_block_is_that_of_finite_differences(name, precision):
    size = 75 if name in ("InceptionV3", "Xception") else 32
    whole = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), include_top=False)
    x = L.GlobalAveragePooling2D()(whole.get_layer(BLOCKS[name]).output)
    classifier = keras.Model(whole.input, L.Dense(1)(x))
    # As they are made, biases are zero, and where the image is zero too, every ReLU is at its kink.
    rng = np.random.default_rng(2)
    for variable in classifier.trainable_variables:
        variable.assign_add(rng.normal(scale=0.1, size=variable.shape))
    # Many units: a small step, or it meets a kink.
    error, plan = worst_error(classifier, (size, size, 3), count=2, most=3, step=1e-6)
    assert plan.method == EXACT
    assert error < TOLERANCE[precision]


def test_flash_attention_is_refused_by_keras():
    layer = L.MultiHeadAttention(2, 4, flash_attention=True)
    with pytest.raises(ValueError, match="Flash attention is not supported in tensorflow"):
        layer(np.zeros((1, 3, 4)), np.zeros((1, 3, 4)))
