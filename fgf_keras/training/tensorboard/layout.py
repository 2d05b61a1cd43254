"""The layout of TensorBoard's page "Custom Scalars": alignment compared with chance and with AUC."""

from collections.abc import Sequence

import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2, summary

# Tags of the mean over watched patients, and of the band of null features in the same patients.
WATCHED = "watched/{kind}_{name}"
BAND = ("watched/{kind}_{name}_null_05", "watched/{kind}_{name}_null_95")


def write_layout(names: Sequence[str], *, watched: bool, null: bool) -> None:
    """Write the layout to the default writer of `tf.summary`.

    Args:
        names: of the features.
        watched: whether S and F of the same patients are written under `WATCHED`.
        null: whether their bands are written under `BAND` as well.
    """
    layout = chart_layout(names, watched=watched, null=null)
    tf.summary.experimental.write_raw_pb(summary.pb(layout).SerializeToString(), step=0)


def chart_layout(names: Sequence[str], *, watched: bool, null: bool) -> layout_pb2.Layout:
    """One chart per feature with S and F, with the bands of chance if there are any, and one with AUC."""
    # TensorBoard merges the layouts of all runs by their titles, so different contents need different titles.
    if watched and null:
        title = "Above chance? ■ S, ◆ F of watched patients; bands: 5–95 % of smooth random features in them"
        chart = _margin_chart
    else:
        title = "Alignment: ■ S, ◆ F"
        chart = _line_chart
    tag = WATCHED if watched else "alignment/{kind}_{name}"
    # TensorBoard draws the charts of a category from the last to the first.
    charts = [chart(name, tag) for name in reversed([*names, "joint"])]
    against_auc = layout_pb2.Chart(
        title="AUC, joint S and F",
        # Regular expressions; epoch_auc is the name that Keras's own callback uses.
        multiline=layout_pb2.MultilineChartContent(
            tag=["(metrics/|epoch_)auc$", "alignment/S_joint$", "alignment/F_joint$"]
        ),
    )
    effects = layout_pb2.Chart(
        title="Change of the score, in logits, per standard deviation of each feature",
        multiline=layout_pb2.MultilineChartContent(tag=["effects/.*"]),
    )
    return layout_pb2.Layout(
        category=[
            layout_pb2.Category(title=title, chart=charts),
            layout_pb2.Category(title="Alignment against AUC", chart=[against_auc]),
            layout_pb2.Category(title="Direction: does the score rise or fall?", chart=[effects]),
        ]
    )


def _margin_chart(name: str, tag: str) -> layout_pb2.Chart:
    series = [
        layout_pb2.MarginChartContent.Series(
            **{
                field: pattern.format(kind=kind, name=name)
                for field, pattern in zip(("value", "lower", "upper"), (tag, *BAND))
            }
        )
        for kind in "SF"
    ]
    return layout_pb2.Chart(title=_title(name), margin=layout_pb2.MarginChartContent(series=series))


def _line_chart(name: str, tag: str) -> layout_pb2.Chart:
    tags = [tag.format(kind=kind, name=name) + "$" for kind in "SF"]
    return layout_pb2.Chart(title=_title(name), multiline=layout_pb2.MultilineChartContent(tag=tags))


def _title(name: str) -> str:
    return name.replace("_", " ")
