"""What TensorBoard's page "Custom Scalars" shows: alignment beside chance, and beside AUC."""

from collections.abc import Sequence

import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2, summary

# A mean of patients who are watched, and the band that null features have in the same patients.
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
    """A chart a feature with S and F, against chance where there are bands, and one with AUC beside both."""
    # TensorBoard merges the layouts of all runs by the titles: those of other contents have other titles.
    if watched and null:
        title = "Above chance? ■ S, ◆ F of watched patients; bands: 5–95 % of smooth random features in them"
        chart = _margin_chart
    else:
        title = "Alignment: ■ S, ◆ F"
        chart = _line_chart
    of = WATCHED if watched else "alignment/{kind}_{name}"
    # TensorBoard draws the charts of a category from the last to the first.
    charts = [chart(name, of) for name in reversed([*names, "joint"])]
    against_auc = layout_pb2.Chart(
        title="AUC, joint S and F",
        # Regular expressions; the second way is how Keras's own callback calls it.
        multiline=layout_pb2.MultilineChartContent(
            tag=["(metrics/|epoch_)auc$", "alignment/S_joint$", "alignment/F_joint$"]
        ),
    )
    return layout_pb2.Layout(
        category=[
            layout_pb2.Category(title=title, chart=charts),
            layout_pb2.Category(title="Alignment against AUC", chart=[against_auc]),
        ]
    )


def _margin_chart(name, of):
    series = [
        layout_pb2.MarginChartContent.Series(
            **{
                field: tag.format(kind=kind, name=name)
                for field, tag in zip(("value", "lower", "upper"), (of, *BAND))
            }
        )
        for kind in "SF"
    ]
    return layout_pb2.Chart(title=_title(name), margin=layout_pb2.MarginChartContent(series=series))


def _line_chart(name, of):
    tags = [of.format(kind=kind, name=name) + "$" for kind in "SF"]
    return layout_pb2.Chart(title=_title(name), multiline=layout_pb2.MultilineChartContent(tag=tags))


def _title(name):
    return name.replace("_", " ")
