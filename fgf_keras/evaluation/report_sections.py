"""The sections of a report on one model."""

import pandas as pd

import fgf_keras
from fgf_keras.config import Config, dump_yaml
from fgf_keras.data.preparation import describe_left_out
from fgf_keras.evaluation.alignment_rows import alignment_rows, null_names
from fgf_keras.evaluation.calibration import calibration_bins, calibration_summary
from fgf_keras.evaluation.figures import CLASSIFICATION, interval, number, rounded
from fgf_keras.evaluation.report_blocks import (
    Bullets,
    Callout,
    Code,
    Fold,
    Plot,
    Section,
    Table,
    Terms,
    Text,
    Tiles,
)
from fgf_keras.evaluation.report_plots import alignment_plot, calibration_plot, roc_plot
from fgf_keras.evaluation.report_settings import settings_rows
from fgf_keras.evaluation.report_style import svg_of
from fgf_keras.evaluation.report_text import (
    GLOSSARY,
    LIMITS,
    NULL_CAVEATS,
    QUESTION,
    TRUST,
    alignment_sentence,
    imbalance_sentence,
    left_out_sentence,
    performance_sentence,
)


def summary_section(metrics: dict, split: str, features: list[str]) -> Section:
    """What a reader with one minute takes away."""
    held = metrics["splits"][split]
    confidence = f"{metrics['confidence']:.0%} interval"
    tiles = [
        (name, rounded(held[key]["value"]), _bounds(held[key]["ci"], confidence))
        for key, name in (("auc", "AUC"), ("balanced_accuracy", "balanced accuracy"))
    ]
    sentences = [performance_sentence(held, split, metrics["confidence"])]
    for support, table in held["alignment"].items():
        joint = table["S"]["joint"]["magnitude"]
        if joint["mean"] is not None:
            told = f"gradient in words (magnitude), support {support}"
            tiles.append((told, rounded(joint["mean"]), _bounds(joint["ci"], confidence)))
        sentences.append(alignment_sentence(table, support, features))
    first = next(iter(held["alignment"].values()))
    sentences += [left_out_sentence(first), TRUST]
    return Section("summary", "In short", [Tiles(tiles), Bullets(sentences)])


def _bounds(ci, confidence):
    return f"{confidence} {rounded(ci[0])} to {rounded(ci[1])}"


def question_section() -> Section:
    """What was asked, and the words the answer uses."""
    return Section("question", "What was asked", [Text(QUESTION), Terms(GLOSSARY)])


def data_section(config: Config, data: dict, metrics: dict, trained: dict) -> Section:
    """Patients, positive ones, exclusions, the form of images.

    Args:
        config: of the run.
        data: description of the cohort that was measured, see `Cohort.description`.
        metrics: content of metrics.json.
        trained: description of the cohort that the network was trained on.
    """
    parts = {name: (n, data["positive_splits"][name]) for name, n in data["splits"].items()}
    if len(parts) > 1:
        parts["all"] = data["patients"], data["positive"]
    rows = [[name, str(n), str(k), f"{k / n:.3f}"] for name, (n, k) in parts.items()]
    first = ", in the first split" if len(config.protocol.split_names) > 1 else ""
    blocks = [
        Table(f"Patients by part of the cohort{first}", ["part", "patients", "positive", "share"], rows)
    ]
    if data["fingerprint"] != trained["fingerprint"]:
        told = ", ".join(f"{name} {n}" for name, n in trained["splits"].items())
        blocks.append(
            Text(
                "This is another cohort than the one the network was trained on, which had "
                f"{trained['patients']} patients, {trained['positive']} positive ({told}). The threshold is "
                "that of the training."
            )
        )
    low, high = config.data.window
    form = (
        f"Source: {data.get('source', config.data.source)}. One slice a patient on a canvas of "
        f"{config.data.size} px; {low:g} to {high:g} HU are mapped to 0 and 1; what lies outside the tumour "
        "is 0."
    )
    told = [*exclusions(data), form]
    if unmeasured := [name for name in data["splits"] if name not in metrics["splits"]]:
        told.append(f"Not measured, as evaluate.training_patients has it: {', '.join(unmeasured)}.")
    return Section("data", "The data", [*blocks, Bullets(told)])


def exclusions(data: dict) -> list[str]:
    """Who of the source is not in the cohort, a sentence each.

    Args:
        data: see `Cohort.description`.
    """
    counts = data.get("counts", {})
    if "left_out" in counts:
        told = describe_left_out(counts["left_out"])
        where = "; reasons and remedies are in rejected.csv of the prepared slices"
        return [f"Left out when slices were prepared: {told}{where}." if told else "No patient was left out."]
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


def performance_section(config: Config, metrics: dict, patients: pd.DataFrame, split: str) -> Section:
    """Figures of every part with intervals, ROC, what the threshold does."""
    names = {"balanced_accuracy": "balanced accuracy", "auc": "AUC"}
    rows = [
        [
            names.get(key, key),
            *(interval(held[key]["value"], held[key]["ci"]) for held in metrics["splits"].values()),
        ]
        for key in CLASSIFICATION
    ]
    rows[:2] = rows[1::-1]
    held, threshold = metrics["splits"][split], metrics["threshold"]
    shown = patients[patients["split"] == split]
    labels, decided = shown["label"].to_numpy(), shown["decision"].to_numpy()
    counts = {(a, b): int(((labels == a) & (decided == b)).sum()) for a in (0, 1) for b in (0, 1)}
    blocks = [
        Table(f"Figures with {metrics['confidence']:.0%} intervals", ["", *metrics["splits"]], rows),
        Text(
            f"The threshold is the one with the {threshold['criterion']} on {threshold['chosen_on']} "
            f"patients: probability {rounded(threshold['probability'])}. Of {held['n_positive']} positive "
            f"{split} patients it finds {counts[1, 1]} and misses {counts[1, 0]}; of "
            f"{held['n'] - held['n_positive']} others it calls {counts[0, 1]} positive."
        ),
    ]
    figure = roc_plot(
        labels, shown["logit"], threshold["logit"], confidence=metrics["confidence"], seed=config.seed
    )
    auc = interval(held["auc"]["value"], held["auc"]["ci"])
    alt = (
        f"ROC curve of {held['n']} {split} patients: sensitivity against 1 − specificity. AUC {auc}. At the "
        f"chosen threshold sensitivity is {rounded(held['sensitivity']['value'])} and specificity "
        f"{rounded(held['specificity']['value'])}."
    )
    caption = (
        f"ROC, AUC {auc}. The band holds {metrics['confidence']:.0%} of the curves of resampled patients. "
        "Figures of the parts trained and chosen on are no measure of how well the network does."
    )
    return Section("performance", "Performance", [*blocks, Plot("roc", alt, caption, svg_of(figure, "roc"))])


def calibration_section(config: Config, patients: pd.DataFrame, split: str, confidence: float) -> Section:
    """Whether predicted probabilities are the rates that are observed."""
    shown = patients[patients["split"] == split]
    labels, probability = shown["label"].to_numpy(), shown["probability"].to_numpy()
    bins, found = (
        calibration_bins(labels, probability, confidence=confidence),
        calibration_summary(labels, probability),
    )
    sentence = (
        f"The mean prediction is {rounded(found['mean'])}, the observed rate {rounded(found['rate'])}: "
        f"expected over observed {found['expected_to_observed']:.2f}. The Brier score is "
        f"{rounded(found['brier'])}; always predicting the observed rate would have "
        f"{rounded(found['reference'])} (lower is better)."
    )
    alt = f"Reliability diagram of {len(shown)} {split} patients in {len(bins)} groups. {sentence}"
    caption = (
        f"{len(bins)} groups of about {len(shown) // len(bins)} patients with like predictions; bars are "
        f"Wilson's {confidence:.0%} intervals of the observed rate. Below: predictions of both classes."
    )
    rows = [
        [
            rounded(row.predicted),
            interval(row.observed, (row.low, row.high)),
            f"{row.positive} of {row.n}",
        ]
        for row in bins.itertuples()
    ]
    table = Table("Groups of like predictions", ["predicted", "observed", "positive"], rows)
    figure = calibration_plot(bins, labels, probability)
    return Section(
        "calibration",
        "Calibration",
        [
            Text(sentence),
            Plot("calibration", alt, caption, svg_of(figure, "calibration")),
            Text(imbalance_sentence(config)),
            Fold("The groups as a table", [table]),
        ],
    )


def alignment_section(metrics: dict, split: str, features: list[str]) -> Section:
    """S and F on each support with intervals, beside what chance would give."""
    blocks = []
    for support, table in metrics["splits"][split]["alignment"].items():
        blocks += alignment_blocks(table, support, split, features)
    blocks.append(Callout("How to read the nulls", NULL_CAVEATS, "warning"))
    return Section("alignment", "Alignment with the named features", blocks)


def alignment_blocks(table: dict, support: str, split: str, features: list[str], *, of="") -> list:
    """What there is on one support; `of` names the model where there are several."""
    rows, nulls = alignment_rows(table), null_names(table)
    whose = f"{of}: " if of else ""
    sentence = alignment_sentence(table, support, features)
    name = "_".join(["alignment", *of.split("/"), support]) if of else f"alignment_{support}"
    caption = (
        f"{whose}{table['n']} {split} patients, support “{support}”. Dots and lines: measured means, with "
        "intervals over patients. Bands: what features that mean nothing reach on average over the same "
        "patients."
    )
    figure = alignment_plot(rows, nulls)
    plot = Plot(
        name,
        f"Alignment with each feature, S and F, on support {support}. {sentence}",
        caption,
        svg_of(figure, name),
    )
    tables = [
        Table(
            f"{whose}{kind} on support “{support}”: mean [interval], and of each null mean (5–95 %), p",
            ["", kind, "median", *(f"{null} null" for null in nulls)],
            [
                [row.name, _mean(row), number(row.median), *(_band(row.nulls.get(null)) for null in nulls)]
                for row in rows
                if row.kind == kind
            ],
        )
        for kind in "SF"
    ]
    return [Text(sentence), plot, *tables, Text(left_out_sentence(table))]


def _mean(row):
    return "undefined" if row.mean is None else interval(row.mean, row.interval)


def _band(band):
    if band is None:
        return "–"
    mean, low, high, p = band
    return f"{rounded(mean)} ({rounded(low)}–{rounded(high)}), p {rounded(p)}"


def closing_sections(config: Config, environment: dict, fingerprint: str, command: str) -> list[Section]:
    """What the figures are sensitive to, limits, and how the report was made."""
    return [
        _settings_section(config),
        Section("limits", "Limits", [Bullets(LIMITS)]),
        _provenance_section(config, environment, fingerprint, command),
    ]


def _settings_section(config):
    table = Table(
        "Change one of these, and figures above change",
        ["setting", "here", "why it matters"],
        settings_rows(config),
        words=True,
    )
    return Section("settings", "What the figures are sensitive to", [table])


def _provenance_section(config, environment, fingerprint, command):
    """Versions, the data's fingerprint, the command, the whole configuration."""
    rows = [["fgf_keras", environment["fgf_keras"]], ["Python", environment["python"]]]
    rows += [[name, version] for name, version in environment["packages"].items()]
    rows += [["system", environment["system"]], ["devices", ", ".join(environment["devices"])]]
    rows += [
        ["this report", f"fgf_keras {fgf_keras.__version__}"],
        ["seed", str(environment["seed"])],
        ["data (SHA-256)", fingerprint],
    ]
    return Section(
        "provenance",
        "How this was made",
        [
            Text("The command that wrote this report:"),
            Code(command),
            Table("What the network was trained with", ["", "version"], rows, words=True),
            Fold("The whole configuration", [Code(dump_yaml(config))]),
        ],
    )
