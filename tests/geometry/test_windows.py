"""Windows: where they lie, what they hold, and that cutting and pasting are each other's transpose."""

import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.geometry.windows import bounding_box, crop, crop_one, paste, shift


def test_a_bounding_box_holds_all_parts_of_a_mask_and_no_more():
    mask = np.zeros((5, 9, 7, 1))
    mask[0, 2, 3] = 1
    mask[1, 0, 6] = mask[1, 8, 0] = 1  # two parts, in opposite corners
    mask[2, 3:5, 1:6] = 1
    mask[3] = 1
    origin, edges = bounding_box(tf.constant(mask))
    np.testing.assert_array_equal(origin, [[2, 3], [0, 0], [3, 1], [0, 0], [9, 7]])
    np.testing.assert_array_equal(edges, [[1, 1], [9, 7], [2, 5], [9, 7], [0, 0]])


@pytest.mark.parametrize("stack", [(), (3,)], ids=["field", "stack"])
def test_a_rectangle_is_what_slicing_gives_and_zero_off_the_field(stack, rng):
    field = rng.normal(size=(4, *stack, 6, 5, 2))
    offset = [[0, 0], [-2, 3], [4, -1], [9, 9]]
    cut = shift(tf.constant(field), tf.constant(offset), (3, 4)).numpy()
    assert cut.shape == (4, *stack, 3, 4, 2)
    padded = np.pad(field, [(0, 0)] * (1 + len(stack)) + [(20, 20), (20, 20), (0, 0)])
    for k, (row, column) in enumerate(offset):
        expected = padded[k, ..., 20 + row : 23 + row, 20 + column : 24 + column, :]
        np.testing.assert_array_equal(cut[k], expected)


def test_what_is_cut_out_goes_back_to_its_place(rng):
    field = tf.constant(rng.normal(size=(3, 8, 9, 1)))
    origin = tf.constant([[0, 0], [2, 5], [5, 5]])
    window = crop(field, origin, (3, 4))
    back = paste(window, origin, (8, 9)).numpy()
    for k, (row, column) in enumerate(origin.numpy()):
        inside = np.zeros((8, 9, 1))
        inside[row : row + 3, column : column + 4] = 1
        np.testing.assert_array_equal(back[k], field[k] * inside)


def test_derivatives_of_a_shift_are_shifts(rng):
    field, mix = (tf.constant(rng.normal(size=size)) for size in ((2, 6, 5, 2), (2, 4, 7, 2)))
    offset = tf.constant([[1, -2], [3, 2]])
    with tf.GradientTape() as outer:
        outer.watch(field)
        with tf.GradientTape() as inner:
            inner.watch(field)
            value = tf.reduce_sum(mix * tf.sin(shift(field, offset, (4, 7))))
        first = inner.gradient(value, field)
        size = tf.reduce_sum(first**3)
    second = outer.gradient(size, field)
    # By hand: what lies inside the rectangle, at its own place.
    there = shift(mix, -offset, (6, 5))
    np.testing.assert_allclose(first, there * tf.cos(field), rtol=1e-12)
    np.testing.assert_allclose(second, -3 * first**2 * there * tf.sin(field), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("jit", [False, True])
def test_windows_are_right_where_origins_were_stacked_in_the_same_graph(jit, rng):
    # The optimiser of graphs once took the slice of a stack for one of its parts, without the new axis.
    field = rng.normal(size=(3, 9, 8, 1))

    @tf.function(jit_compile=jit)
    def function(row, column):
        return crop(tf.constant(field), tf.stack([row, column], axis=1), (4, 2))

    cut = function(tf.constant([1, 5, 0]), tf.constant([0, 2, 6]))
    for window, whole, row, column in zip(cut, field, (1, 5, 0), (0, 2, 6)):
        np.testing.assert_array_equal(window, whole[row : row + 4, column : column + 2])


def test_one_field_is_cut_out_for_every_sample(rng):
    field = tf.constant(rng.normal(size=(9, 8, 2)))
    origin = tf.constant([[0, 6], [5, 0], [2, 3]])
    expected = crop(tf.tile(field[tf.newaxis], [3, 1, 1, 1]), origin, (4, 2))
    np.testing.assert_array_equal(crop_one(field, origin, (4, 2)), expected)
