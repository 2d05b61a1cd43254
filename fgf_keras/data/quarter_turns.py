"""Random turns of slices by multiples of 90 degrees, which move pixels without interpolation."""

from typing import Any

import tensorflow as tf

from fgf_keras.config.data import AugmentConfig
from fgf_keras.errors import DataError


def turn_probability(augment: AugmentConfig | None, canvas: tuple[int, int]) -> float:
    """The probability of a turn; 0 without augmentation.

    Raises:
        DataError: the canvas (rows, columns) is not square, so that a turned slice would not fit.
    """
    if augment is None or not augment.rot90:
        return 0.0
    if canvas[0] != canvas[1]:
        raise DataError(f"data.augment.rot90 needs a square canvas. Received: {canvas[0]} × {canvas[1]} px.")
    return augment.rot90


def quarter_turns(probability: float, rows: tf.Tensor, integers: Any) -> tf.Tensor | None:
    """How often each slice is turned by 90 degrees, (B,) int32; None if the probability is 0.

    Args:
        probability: of a turn at all; then 1, 2 and 3 are equally likely.
        rows: (B,), one entry per slice.
        integers: (2,) random integers. The numbers are independent of those that are drawn from them alone.
    """
    if not probability:
        return None
    # Another seed: flips and rotations stay as they are without turns.
    seed = tf.cast(integers, tf.int64) + tf.constant([0, 1], tf.int64)
    uniform = tf.random.stateless_uniform([tf.shape(rows)[0]], seed)
    turns = 1 + tf.cast(uniform / probability * 3, tf.int32)
    return tf.where(uniform < probability, tf.minimum(turns, 3), 0)


def turned_parameters(parameters: dict[str, tf.Tensor], turns: tf.Tensor | None) -> dict[str, tf.Tensor]:
    """The parameters of slices whose rows and columns are exchanged by an odd number of turns.

    Args:
        parameters: "edges", "origin", "centre" and "spacing" (B, 2), and others.
        turns: (B,); None for none.

    Returns:
        The same keys, and "odd" (B,) if there are turns.
    """
    if turns is None:
        return parameters
    odd = turns % 2 == 1
    exchanged = {
        name: tf.where(odd[:, tf.newaxis], values[:, ::-1], values)
        for name, values in parameters.items()
        if name in ("edges", "origin", "centre", "spacing")
    }
    return parameters | exchanged | {"odd": odd}


def flipped_axes(flips: tf.Tensor | None, turns: tf.Tensor | None) -> tf.Tensor:
    """Which axes are reversed, (B, 2) bool, after the exchange of rows and columns.

    A turn by 90 degrees is that exchange and reversed rows, by 180 degrees both axes reversed, by 270 degrees
    the exchange and reversed columns, as in `numpy.rot90`.

    Args:
        flips: (B, 2) random flips that follow the turn; None for none.
        turns: (B,); None for none.
    """
    if turns is None:
        return flips
    of_turn = tf.stack([(turns == 1) | (turns == 2), (turns == 2) | (turns == 3)], axis=1)
    return of_turn if flips is None else of_turn ^ flips


def transposed(strip: tf.Tensor, of: dict[str, tf.Tensor]) -> tf.Tensor:
    """The field (rows, columns, n) of a slice, with rows and columns exchanged if it is turned.

    Args:
        strip: (rows · columns, n), pixels in the order in which they are stored.
        of: "edges" (2,) after the exchange, and "odd".
    """
    rows, columns = tf.unstack(of["edges"])
    channels = strip.shape[-1]
    return tf.cond(
        of["odd"],
        lambda: tf.transpose(tf.reshape(strip, [columns, rows, channels]), [1, 0, 2]),
        lambda: tf.reshape(strip, [rows, columns, channels]),
    )
