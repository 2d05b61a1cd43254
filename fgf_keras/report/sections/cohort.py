"""The measured patients, the patients left out, and the form of the images."""

from typing import Any

from fgf_keras.config import Config
from fgf_keras.data.prepared.preparation import describe_left_out
from fgf_keras.report.document import Block, Bullets, Section, Table, Text
from fgf_keras.results.metrics import RunMetrics


def data_section(
    config: Config, data: dict[str, Any], metrics: RunMetrics, trained: dict[str, Any]
) -> Section:
    """Numbers of patients and of positive ones, exclusions, and the form of the images.

    Args:
        config: of the run.
        data: description of the measured cohort, see `Cohort.description`.
        metrics: of the run.
        trained: description of the cohort that the network was trained on.
    """
    parts = {name: (n, data["positive_splits"][name]) for name, n in data["splits"].items()}
    if len(parts) > 1:
        parts["all"] = data["patients"], data["positive"]
    rows = [[name, str(n), str(k), f"{k / n:.3f}"] for name, (n, k) in parts.items()]
    first = ", in the first split" if len(config.protocol.split_names) > 1 else ""
    blocks: list[Block] = [
        Table(f"Patients by part of the cohort{first}", ["part", "patients", "positive", "share"], rows)
    ]
    if data["fingerprint"] != trained["fingerprint"]:
        trained_parts = ", ".join(f"{name} {n}" for name, n in trained["splits"].items())
        blocks.append(
            Text(
                "This is another cohort than the one the network was trained on, which had "
                f"{trained['patients']} patients, {trained['positive']} positive ({trained_parts}). The "
                "threshold is that of the training."
            )
        )
    low, high = config.data.window
    form = (
        f"Source: {data.get('source', config.data.source)}. One {_extent(config)}; {low:g} to {high:g} HU "
        "are mapped to 0 and 1; what lies outside the tumour is 0."
    )
    sentences = [*exclusions(data), _positive(config), form]
    if unmeasured := [name for name in data["splits"] if name not in metrics.parts]:
        sentences.append(f"Not measured, as evaluate.training_patients has it: {', '.join(unmeasured)}.")
    return Section("data", "The data", [*blocks, Bullets(sentences)])


def _extent(config: Config) -> str:
    """The number of pixels or voxels of an image."""
    data = config.data
    if data.dimension == 2:
        return f"slice per patient on a canvas of {data.size} px"
    edges, spacing = (" × ".join(f"{n:g}" for n in values) for values in (data.shape, data.spacing))
    return f"volume per patient, a box of {edges} voxels (slices, rows, columns) of {spacing} mm"


def _positive(config: Config) -> str:
    """What makes a patient positive."""
    if config.data.source == "phantom":
        return (
            "Positive: the label 1, drawn for each phantom with a probability that depends on its features."
        )
    return f"Positive: 1 in the column “{config.data.label_column}” of {config.data.labels_file}."


def exclusions(data: dict[str, Any]) -> list[str]:
    """One sentence per reason why patients of the source are not in the cohort.

    Args:
        data: see `Cohort.description`.
    """
    counts = data.get("counts", {})
    if "left_out" in counts:
        reasons = describe_left_out(counts["left_out"])
        where = "; reasons and remedies are in rejected.csv of the prepared slices"
        return [
            f"Left out when slices were prepared: {reasons}{where}."
            if reasons
            else "No patient was left out."
        ]
    if "rows_without_image" in counts:
        without_image, without_row = counts["rows_without_image"], counts["images_without_row"]
        return [
            f"Left out: {without_image} rows of the table without an image, {without_row} images without a "
            "row."
            if without_image or without_row
            else "No patient was left out: every row of the table has an image, and every image a row."
        ]
    if data.get("source") == "phantom":
        return ["The cohort is synthetic: its patients do not exist, and none was left out."]
    return ["Who was left out of the cohort before it came here is not known to this report."]
