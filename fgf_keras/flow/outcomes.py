"""How paths of a passage end, and the periodic check that they come closer to the boundary."""

import tensorflow as tf

from fgf_keras.flow.passage import Outcome, Stride
from fgf_keras.flow.walker import Walker

# A path whose score has fallen by less than this fraction of what its slopes promised goes back and forth.
_STUCK = 0.05
# Mean squared angle between steps (rad²) above which a path with kinks is followed in short steps at once.
SHARP = 0.01


def ended(
    w: Walker,
    moving: tf.Tensor,
    finite: tf.Tensor,
    slope: tf.Tensor,
    arrived: tf.Tensor,
    left: tf.Tensor,
    stride: Stride,
    budget: tf.Tensor,
) -> Walker:
    """The paths with the outcomes of those that have come to one."""
    sharp = (w.jerk > w.turn) & (w.turn > SHARP * tf.cast(w.count, w.turn.dtype))
    kinked = stride.even & sharp & (w.count >= stride.steps - 1)
    outcome = w.outcome
    for reason, applies in (
        (Outcome.LOST, moving & (w.evaluations >= budget)),
        (Outcome.KINKED, moving & kinked),
        (Outcome.ENDED, moving & arrived),
        (Outcome.STATIONARY, finite & ~(slope > 0)),
        (Outcome.OVERFLOW, ~finite),
    ):
        outcome = tf.where((tf.equal(w.outcome, Outcome.UNDER_WAY)) & applies, int(reason), outcome)
    rest = tf.where(tf.equal(outcome, Outcome.KINKED), tf.maximum(left - w.step, 0), tf.zeros_like(left))
    return w._replace(outcome=outcome, length=w.length + tf.where(w.ending, tf.zeros_like(rest), rest))


def looked_back(w: Walker, new: tf.Tensor, sigma: tf.Tensor, stride: Stride) -> Walker:
    """The paths after a periodic check: does the score fall as promised, and are the steps long enough?"""
    period = tf.where(stride.search, 2 * stride.steps, stride.steps)
    due = new & (tf.equal(w.outcome, Outcome.UNDER_WAY)) & tf.equal(w.count % period, 0)
    stuck = due & (sigma * (w.seen - w.score) < _STUCK * w.promised)
    return w._replace(
        outcome=tf.where(stuck, int(Outcome.STUCK), w.outcome),
        step=tf.where(due & stride.search, 2 * w.step, w.step),
        promised=tf.where(due, tf.zeros_like(w.promised), w.promised),
        seen=tf.where(due, w.score, w.seen),
    )
