"""One network of each arm of a comparison in detail, and pages of patients for some arms."""

from collections.abc import Mapping

from fgf_keras.report.document import Block, Fold, Page, Section, Text
from fgf_keras.report.sections.alignment import alignment_blocks, nulls_callout
from fgf_keras.report.sections.patients import NO_PICTURES
from fgf_keras.results.columns import share_column
from fgf_keras.results.study import Study


def networks_section(study: Study, arms: list[str]) -> Section:
    """One network of each arm in detail, the first that did not fail.

    Args:
        study: the comparison.
        arms: names of the arms that are shown.
    """
    blocks: list[Block] = [Text("Intervals are over the patients of that split, for that one network.")]
    for arm in arms:
        key = next((key for key, metrics in study.metrics.items() if key[1] == arm and metrics), None)
        part = None if key is None else study.part_of(key)
        if key is None or part is None:
            continue
        inner: list[Block] = []
        for support in part.supports:
            inner += alignment_blocks(part, support, study.features, of="/".join(filter(None, key)))
        title = f"{arm}, {key[0]}" if key[0] else arm
        blocks.append(Fold(title, inner) if arm != arms[0] else Text(title, lead=True))
        blocks += inner if arm == arms[0] else []
    flow = share_column(study.config.evaluate.support[0], "F", "joint")
    parts = [part for part in map(study.part_of, study.metrics) if part is not None]
    undefined = sum(int(part.table.loc[flow, "undefined"]) for part in parts)
    blocks.append(Text(f"Over all trainings, {undefined} patients are left out of F on the first support."))
    blocks.append(nulls_callout())
    return Section("alignment", "Alignment of one network of each arm", blocks)


def pages_section(pages: Mapping[tuple[str, str], tuple[str, bytes]]) -> Section:
    """Pages of patients of one network of some arms.

    Args:
        pages: (file relative to the report, PNG) by name of the trial and support.
    """
    blocks: list[Block] = []
    for (trial, support), (file, png) in pages.items():
        lead = f"Patients of {trial} on support “{support}”"
        page = Page(
            file,
            f"{lead}, one row each: slice with contour, gradient of the score, its part along the "
            "features, the rest, gradient of each feature, image at the decision boundary, what changed.",
            f"{lead}. evaluate.py --run with the folder of this training writes its own report.",
            png,
        )
        blocks.append(page if not blocks else Fold(lead, [page]))
    if not blocks:
        blocks = [NO_PICTURES]
    return Section("pictures", "Patients shown", blocks)
