"""The table of arms over repeated splits: means, differences from the first arm, and verdicts."""

from fgf_keras.report.document import Block, Bullets, Table
from fgf_keras.report.sections.bars import study_bar_blocks
from fgf_keras.results.columns import JOINT, bar_of, metric_title, share_of
from fgf_keras.results.groups import WORST
from fgf_keras.results.interval import number, with_spread
from fgf_keras.results.protocol import as_records
from fgf_keras.results.study import Study


def protocol_caption(study: Study) -> str:
    """The caption that explains the numbers of a `protocol_table`."""
    splits, confidence = study.trials["repeat"].nunique(), study.config.evaluate.confidence
    return (
        f"{study.part} part of {splits} splits: mean ± standard deviation over splits; differences paired by "
        f"split, with {confidence:.0%} intervals of the corrected resampled t-test"
    )


def protocol_rows(study: Study) -> Table:
    """One row per metric: mean ± sd of every arm, the difference of each arm, and the patients left out."""
    table, arms = study.protocol, study.arms
    cells = {(row["arm"], row["figure"]): row for row in as_records(table)}
    most = max(row["splits"] for row in cells.values())
    header = ["figure", *arms, *(f"{arm} − {arms[0]}" for arm in arms[1:]), "patients left out"]
    rows = []
    # Bars have a table of their own.
    for metric in dict.fromkeys(name for name in table["figure"] if not bar_of(name)):
        by_arm = [cells[arm, metric] for arm in arms]
        differences = [
            f"{number(row['difference'])} [{number(row['difference_low'])}, {number(row['difference_high'])}]"
            for row in by_arm[1:]
        ]
        # A metric can be undefined for a whole split, which is then missing from the mean.
        means = [
            with_spread(row["mean"], row["sd"])
            + (f" ({row['splits']} of {most} splits)" if row["splits"] < most else "")
            for row in by_arm
        ]
        left_out = " / ".join(str(row["left_out"]) for row in by_arm)
        rows.append([metric_title(metric), *means, *differences, left_out])
    return Table(protocol_caption(study), header, rows)


def protocol_blocks(study: Study) -> list[Block]:
    """The table, followed by all verdicts."""
    verdicts = study.protocol.get("verdict")
    return [
        protocol_rows(study),
        *study_bar_blocks(study),
        *([] if verdicts is None else [Bullets(list(verdicts.dropna()))]),
    ]


def protocol_summary(study: Study) -> list[Block]:
    """The main metrics only, which fit on a screen, followed by their verdicts."""
    full, table = protocol_rows(study), study.protocol
    titles = {metric_title(metric) for metric in table["figure"] if _is_headline(metric)}
    headlines = [row for row in full.rows if row[0] in titles]
    blocks: list[Block] = [
        Table(f"{full.caption}; all {len(full.rows)} are in protocol.md", full.header, headlines)
    ]
    blocks += study_bar_blocks(study)
    if "verdict" in table:
        blocks.append(Bullets(list(table[table["figure"].map(_is_headline)]["verdict"].dropna())))
    return blocks


def _is_headline(metric: str) -> bool:
    share = share_of(metric)
    return share.feature == JOINT if share else metric in ("balanced_accuracy", "auc", WORST)
