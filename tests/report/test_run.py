"""The report is whole, loads nothing, escapes what data says, and holds the figures of metrics.json."""

import base64
import dataclasses
import json
import re
from html.parser import HTMLParser

import keras
import numpy as np
import pytest
from metrics_file import alignment, metrics_content, part

from fgf_keras.commands.evaluation import evaluate
from fgf_keras.commands.outcome import read_run
from fgf_keras.commands.provenance import command_line
from fgf_keras.config import parse_config
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.files import write_json
from fgf_keras.report.run import run_report
from fgf_keras.report.sections.alignment import alignment_plot
from fgf_keras.report.sections.calibration import imbalance_sentence
from fgf_keras.report.sections.cohort import exclusions
from fgf_keras.report.sections.patients import scanned_patients
from fgf_keras.report.sections.provenance import Provenance
from fgf_keras.report.words import p_text
from fgf_keras.report.write import write_report
from fgf_keras.results.interval import rounded
from fgf_keras.results.metrics import RunMetrics
from fgf_keras.run.folder import RunFolder
from fgf_keras.training.build import build_model
from fgf_keras.training.environment import environment

SCRIPT, LINK = "<script>alert(1)</script>", "a|b`c*[d](http://e.example)$x$"
CONFIG = parse_config(
    {
        "data": {"size": 24, "phantom": {"patients": 45, "prevalence": 0.4}},
        "features": ["brightness", "extent"],
        "model": {"filters": [4], "kernel_sizes": [3], "pool_size": 4, "dense": [4]},
        "evaluate": {"bootstrap": 100, "pictures": 2, "null_draws": 40, "flow": {"max_steps": 8}},
        "run": {"name": "small"},
    }
)
SPLITS = {"train": np.arange(15), "validation": np.arange(15, 30), "test": np.arange(30, 45)}
SECTIONS = [
    "summary",
    "lenses",
    "question",
    "data",
    "performance",
    "calibration",
    "population",
    "effects",
    "alignment",
    "patients",
    "pictures",
]
SECTIONS += ["behaviour", "collapse", "controls", "settings", "limits", "provenance"]


class Page(HTMLParser):
    """What a browser would make of a page: tags with attributes, text, cells of tables."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.cells, self._cell = [], [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._cell = tag in ("td", "th") or (self._cell and tag not in ("tr", "table"))

    def handle_endtag(self, tag):
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data):
        data = data.replace("\xa0", " ")
        self.texts.append(data)
        if self._cell:
            self.cells.append(data)

    def having(self, name):
        return [(tag, attrs) for tag, attrs in self.tags if name in attrs]

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def cohort():
    data = CONFIG.data
    drawn = phantom_cohort(data.phantom, size=data.size, window=data.window, spacing=data.spacing, seed=0)
    # Whoever is shown has such a name.
    names = [f"{(SCRIPT, LINK)[i % 2]}{i}" for i in range(len(drawn))]
    return dataclasses.replace(drawn, patient_id=np.array(names))


@pytest.fixture(scope="module")
def model(cohort):
    keras.utils.set_random_seed(0)
    return build_model(CONFIG, cohort.images.shape[1:], 2)


@pytest.fixture(scope="module")
def evaluation(model, cohort):
    return evaluate(model, cohort, SPLITS, CONFIG.evaluate, reward=CONFIG.reward, seed=0, n_train=15)


@pytest.fixture(scope="module")
def bare(evaluation):
    """The same without pictures, which take the longest."""
    return dataclasses.replace(evaluation, explanations={})


@pytest.fixture(scope="module")
def provenance(cohort):
    return Provenance(CONFIG, environment(CONFIG, cohort, SPLITS), "python train.py 'run.name=a b'")


def written(evaluation, provenance, folder):
    """What an evaluation leaves, with its report."""
    evaluation.write(folder, provenance=provenance)


@pytest.fixture(scope="module")
def folder(evaluation, provenance, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "evaluation"
    written(evaluation, provenance, folder)
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def markdown(folder):
    return (folder / "report.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def ignorant(cohort, provenance, tmp_path_factory):
    """The page of a network whose score is the same everywhere."""
    model = build_model(CONFIG, cohort.images.shape[1:], 2)
    model.set_weights([0 * weight for weight in model.get_weights()])
    folder = tmp_path_factory.mktemp("ignorant")
    settings = CONFIG.evaluate.model_copy(update={"support": ["mask"], "nulls": [], "pictures": 0})
    evaluation = evaluate(model, cohort, SPLITS, settings, reward=CONFIG.reward, seed=0, n_train=15)
    written(evaluation, provenance, folder)
    return Page((folder / "report.html").read_text(encoding="utf-8")), (folder / "report.md").read_text(
        encoding="utf-8"
    )


def test_every_section_is_there_in_html_and_in_markdown(page, markdown):
    assert [attrs["id"] for tag, attrs in page.tags if tag == "section" and "id" in attrs] == SECTIONS
    assert markdown.count("\n## ") == len(SECTIONS)
    assert page.text.count("Not for clinical use.") == 2
    assert markdown.count("Not for clinical use.") == 2


def test_the_page_loads_nothing(page, folder):
    for tag, attrs in [*page.having("src"), *page.having("href")]:
        assert attrs.get("src", attrs.get("href")).startswith(("data:image/png;base64,", "#")), tag
    assert not {"script", "link", "iframe", "object", "image"} & {tag for tag, _ in page.tags}
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"@import|url\((?!#)", html)
    policy = next(attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'")


def test_what_data_says_is_text_and_never_markup(page, folder, markdown):
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert SCRIPT not in html
    assert SCRIPT in page.text
    assert "<script" not in markdown
    assert not re.search(r"(?<!\\)\]\(http", markdown)
    # A cell that ended early would make a row longer than its header.
    table = next(block for block in markdown.split("\n\n") if "a\\|b" in block).splitlines()
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1


def test_a_configuration_with_markup_is_escaped(bare, provenance, tmp_path):
    config = CONFIG.model_copy(update={"data": CONFIG.data.model_copy(update={"label_column": SCRIPT})})
    other = dataclasses.replace(provenance, config=config, command=f"train.py {SCRIPT}")
    written(bare, other, tmp_path)
    assert SCRIPT not in (tmp_path / "report.html").read_text(encoding="utf-8")
    # Indented text is shown as it is.
    assert f"    train.py {SCRIPT}" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_every_picture_and_plot_says_what_it_shows(page):
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    # 2 patients on two supports: slice, gradient, its parts, two features, boundary, difference.
    assert len(pictures) == 2 * 2 * 8
    assert all(attrs["alt"] for attrs in pictures)
    assert base64.b64decode(pictures[0]["src"].split(",")[1]).startswith(b"\x89PNG")
    plots = [attrs for _, attrs in page.tags if attrs.get("role") == "img"]
    assert len(plots) == [tag for tag, _ in page.tags].count("svg")
    assert all(attrs["aria-label"] for attrs in plots)
    ids = [attrs["id"] for _, attrs in page.having("id")]
    assert len(ids) == len(set(ids))


def test_the_figures_are_those_of_the_metrics(page, folder):
    held = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["splits"]["test"]
    auc, table = held["auc"], held["alignment"]["mask"]
    assert f"{rounded(auc['value'])} [{rounded(auc['ci'][0])}, {rounded(auc['ci'][1])}]" in page.cells
    for kind in "SF":
        for summary in (table[kind]["extent"], table[kind]["joint"]["squared"]):
            low, high = summary["ci"]
            assert f"{rounded(summary['mean'])} [{rounded(low)}, {rounded(high)}]" in page.cells
        null = table["nulls"]["smooth"][kind]["joint"]
        band = f"({rounded(null['null_q05'])}–{rounded(null['null_q95'])})"
        p = p_text(null["p"], table["nulls"]["smooth"]["draws"])
        assert f"{rounded(null['null_mean'])} {band}, {p}" in page.cells


def test_html_and_markdown_hold_the_same_figures(page, markdown, folder):
    plain = re.sub(r"\\(.)", r"\1", markdown).replace("&lt;", "<").replace("&gt;", ">").replace("\xa0", " ")
    missing = [cell for cell in page.cells if cell.strip() and cell not in plain]
    assert not missing
    names = re.findall(r"\]\(report_figures/(\w+\.svg)\)", markdown)
    assert sorted(names) == sorted(path.name for path in (folder / "report_figures").iterdir())
    assert len(names) == [tag for tag, _ in page.tags].count("svg")
    pages = re.findall(r"\]\(<(patients_\w+\.png)>\)", markdown)
    assert all((folder / name).is_file() for name in pages)
    assert len(pages) == 2


def test_a_report_from_the_files_alone_has_the_same_bytes(provenance, folder, tmp_path):
    run = RunFolder(folder.parent)
    write_json(run.environment_file, provenance.environment)
    write_report(run_report(provenance, read_run(run, folder.name)), tmp_path)
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".html", ".md", ".svg")]
    assert len(files) > 5
    for path in files:
        assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes(), path.name


def test_where_the_report_cannot_be_written_the_evaluation_is_not_whole(bare, provenance, tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OSError, match=r"report\.html"):
        written(bare, provenance, tmp_path)
    assert not (tmp_path / "metrics.json").exists()


def test_without_provenance_there_is_no_report(bare, tmp_path):
    bare.write(tmp_path)
    assert (tmp_path / "metrics.json").is_file()
    assert not list(tmp_path.glob("report*"))


def test_findings_stand_in_short(bare, provenance, tmp_path):
    finding = {"name": "a", "title": "One feature takes all", "found": True, "why": "0.9", "try": "joint"}
    written(dataclasses.replace(bare, findings=[finding]), provenance, tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert html.index('id="summary"') < html.index("One feature takes all") < html.index('id="question"')


def test_undefined_is_said_and_never_a_number(ignorant):
    page, markdown = ignorant
    assert "S is undefined for every patient" in page.text
    assert "Of 15 patients, 15 are left out of S and 15 out of F" in page.text
    assert "15 stationary (The gradient of the score vanishes" in page.text
    assert page.cells.count("undefined") > 40
    for text in (page.text, markdown):
        assert not re.search(r"\bnan\b|None(?! of)", text)


def test_a_patient_without_an_end_of_the_path_has_no_f(evaluation):
    patients = evaluation.patients[evaluation.patients["split"] == "test"].copy()
    patients["mask.status"] = ["not_reached", *["reached"] * 14]
    scanned = scanned_patients(patients, "mask", ["extent"])
    assert scanned["logit"].is_monotonic_decreasing
    assert scanned["number"].tolist() == list(range(1, 16))
    assert scanned.loc[patients.index[0], ["F_extent", "F_joint"]].isna().all()
    assert not scanned["S_joint"].isna().any()
    assert scanned["F_joint"].isna().sum() == 1


def test_another_cohort_is_told_from_the_one_trained_on(evaluation, provenance, tmp_path):
    metrics = evaluation.metrics | {"splits": {"external": evaluation.metrics["splits"]["test"]}}
    patients = evaluation.patients[evaluation.patients["split"] == "test"].assign(split="external")
    data = {
        "source": "png",
        "fingerprint": "f" * 64,
        "patients": 15,
        "positive": 6,
        "splits": {"external": 15},
    }
    data["positive_splits"] = {"external": 6}
    data["counts"] = {"rows_without_image": 2, "images_without_row": 3}
    other = dataclasses.replace(evaluation, metrics=metrics, patients=patients, data=data, explanations={})
    written(other, provenance, tmp_path)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "another cohort than the one the network was trained on, which had 45 patients" in text
    assert "Left out: 2 rows of the table without an image, 3 images without a row." in text
    assert "f" * 64 in text
    assert "No pictures were asked for" in text


def test_parts_that_were_not_measured_are_counted_all_the_same(bare, provenance, tmp_path):
    splits = {name: held for name, held in bare.metrics["splits"].items() if name != "train"}
    written(dataclasses.replace(bare, metrics=bare.metrics | {"splits": splits}), provenance, tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| train | 15 |" in text
    assert "Not measured, as evaluate.training_patients has it: train." in text
    assert "|  | validation | test |" in text


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"left_out": {"patients": {"labels": 3}, "files": 0}}, "3 patients (labels: 3)"),
        ({"left_out": {"patients": {}, "files": 0}}, "No patient was left out."),
        ({"rows_without_image": 0, "images_without_row": 0}, "every row of the table has an image"),
        ({}, "is not known"),
    ],
)
def test_exclusions_are_told_as_the_source_counted_them(counts, said):
    (sentence,) = exclusions({"source": "other", "counts": counts})
    assert said in sentence


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["/home/me/fgf/train.py", "--config", "a b.yaml"], "python train.py --config 'a b.yaml'"),
        (["/venv/bin/fgf", "sweep"], "fgf sweep"),
        (["/lib/fgf_keras/__main__.py", "train", "seed=1"], "python -m fgf_keras train seed=1"),
    ],
)
def test_the_command_can_be_typed_again_and_does_not_say_where_programs_lie(argv, command):
    assert command_line(argv) == command


def test_a_network_trained_with_class_weights_is_said_to_give_no_risks(page):
    assert "they are no risks" in page.text
    plain = CONFIG.model_copy(update={"train": CONFIG.train.model_copy(update={"imbalance": "none"})})
    assert "can be read as such" in imbalance_sentence(plain)


def test_there_are_inks_for_a_null_of_every_length():
    nulls = [f"smooth_{length}" for length in range(1, 13)]
    against = {"null_mean": 0.1, "null_q05": 0.05, "null_q95": 0.15, "p": 0.02}
    drawn = {null: {"S": {"extent": against}, "F": {"extent": against}} for null in nulls}
    mask = alignment({"S": {"extent": 0.3}, "F": {"extent": None}}, nulls=drawn)
    metrics = RunMetrics.of(metrics_content({"test": part({"mask": mask})}))
    figure = alignment_plot(metrics.parts["test"].shares("mask"), nulls)
    assert len(figure.axes[0].collections) == 12
    assert [text.get_text() for text in figure.axes[1].texts] == ["undefined"]
