"""TensorBoard, really started, serves what a training measured."""

import io
import re
import shutil
import subprocess

import keras
import numpy as np
import pytest
from PIL import Image
from tensorboard_server import tensorboard

import fgf_keras
from fgf_keras.config import dump_yaml, parse_config
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.flow.settings import Flow
from fgf_keras.nulls.settings import Nulls
from fgf_keras.pictures.training_strip import EDGE, GAP, HEADING, LINE
from fgf_keras.run.folder import RunFolder
from fgf_keras.training.tensorboard.alignment import AlignmentSummaries
from fgf_keras.training.tensorboard.hparams import write_hparams
from fgf_keras.training.tensorboard.run import write_run
from fgf_keras.training.tensorboard.scalars import EpochScalars
from fgf_keras.training.tensorboard.writers import SummaryWriters

EPOCHS, WATCHED, PICTURES, DRAWS, SEED = 5, 6, 2, 40, 3
NAMES = ["brightness", "extent", "joint"]
CONFIG = parse_config(
    {
        "seed": 7,
        "data": {"size": 32, "phantom": {"patients": 40, "prevalence": 0.4}},
        "features": NAMES[:2],
        "reward": {"kind": "sum", "weight": 0.25},
        "evaluate": {"support": ["mask"]},
    }
)
FIGURES = {
    split: {"auc": 0.8 + step, "balanced_accuracy": 0.7 + step, "mask.S_joint": 0.6, "mask.F_joint": 0.5}
    for split, step in (("validation", 0.0), ("test", 0.05))
}
SURROUNDINGS = {"python": "3.11.7", "packages": {"tensorflow": "2.21.0"}, "devices": ["CPU"], "odd": "a|b"}
SHOWN = ("timeseries", "scalars", "custom_scalars", "images", "graphs", "distributions", "histograms", "text")


class Spy(keras.callbacks.Callback):
    """Keeps what the callbacks after it see."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(dict(logs))


class Watched:
    """A training that was watched.

    Attributes:
        logs: of each epoch.
        model: as it is after the last.
        explanation: of the validation patients then, the null drawn as the training drew it.
        labels: of these.
    """

    def __init__(self, folder):
        cohort = phantom_cohort(
            CONFIG.data.phantom, size=32, window=[-50, 300], spacing=[1.0, 1.0], seed=CONFIG.seed
        )
        validation, training = cohort.select(np.arange(16)), cohort.select(np.arange(16, 40))
        keras.utils.set_random_seed(0)
        classifier = fgf_keras.paper_cnn(
            (32, 32, 1), filters=[4, 6], kernel_sizes=[3, 3], pool_size=2, dense=[8]
        )
        features = [fgf_keras.Brightness(), fgf_keras.Extent()]
        self.model = fgf_keras.AlignmentModel(classifier, features, reward_weight=0.25)
        self.model.compile(
            keras.optimizers.SGD(0.05),
            keras.losses.BinaryCrossentropy(from_logits=True),
            metrics=[keras.metrics.AUC(from_logits=True, name="auc")],
        )
        self.labels = validation.labels
        spy = Spy()
        with SummaryWriters(folder.logs) as writers:
            write_run(writers, CONFIG, SURROUNDINGS, classifier)
            summaries = AlignmentSummaries(
                writers,
                patient_id=validation.patient_id,
                labels=validation.labels,
                null_draws=DRAWS,
                seed=SEED,
                pictures_every=3,
                pictures=PICTURES,
            )
            of = [(c.images, c.masks, c.spacing) for c in (validation, training)]
            measuring = fgf_keras.AlignmentCallback(
                of[0],
                training=[array[:3] for array in of[1]],
                pointwise_every=2,
                flow_every=2,
                flow_samples=WATCHED,
                batch_size=4,
                summaries=summaries,
            )
            inputs = [{"image": images, "mask": masks, "spacing": spacing} for images, masks, spacing in of]
            self.model.fit(
                inputs[1],
                training.labels,
                validation_data=(inputs[0], validation.labels),
                batch_size=8,
                epochs=EPOCHS,
                callbacks=[measuring, spy, EpochScalars(writers, NAMES[:2])],
                verbose=0,
            )
        self.logs = spy.seen
        # Drawn for the watched patients alone, of whom the band is.
        self.explanation = fgf_keras.explain(
            self.model,
            *(array[:WATCHED] for array in of[0][:2]),
            spacing=validation.spacing[:WATCHED],
            patient_id=validation.patient_id[:WATCHED],
            nulls=Nulls(kinds="smooth", draws=DRAWS, seed=SEED),
            flow=Flow(max_steps=8),
        )
        self.whole = fgf_keras.explain(self.model, *of[0][:2], spacing=validation.spacing)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("watched")


@pytest.fixture(scope="module")
def watched(place):
    folder = RunFolder.create(place / "runs" / "tiny" / "first", CONFIG)
    watched = Watched(folder)
    write_hparams(folder, CONFIG, FIGURES)
    return watched


@pytest.fixture(scope="module")
def server(place, watched):
    with tensorboard(place / "runs", place / "log", runs=3) as server:
        yield server


TRAIN, VALIDATION, HPARAMS = (f"tiny/first/logs/{name}" for name in ("train", "validation", "hparams"))


def test_every_page_has_something_to_show(server):
    plugins = server.get("plugins_listing")
    assert {name for name, plugin in plugins.items() if plugin["enabled"]} == {*SHOWN, "pr_curves", "hparams"}
    assert sorted(server.get("runs")) == sorted([TRAIN, VALIDATION, HPARAMS])


def test_scalars_are_the_logs_in_the_same_groups_for_training_and_validation(server, watched):
    tags = {run: set(own) for run, own in server.get("plugin/scalars/tags").items()}
    both = {"loss/total", "loss/task", "loss/reward", "metrics/auc"}
    both |= {f"alignment/{kind}_{name}" for kind in "SF" for name in NAMES}
    assert tags[TRAIN] == both | {"schedule/learning_rate", "schedule/reward_scale"}
    signed = {f"effects/{name}" for name in NAMES if name != "joint"}
    assert {tag for tag in tags[VALIDATION] if not tag.startswith("watched/")} == both | signed
    for run, prefix in ((TRAIN, ""), (VALIDATION, "val_")):
        for tag, key in (
            ("loss/total", "loss"),
            ("loss/task", "task_loss"),
            ("loss/reward", "reward"),
            ("metrics/auc", "auc"),
            ("alignment/S_joint", "S_joint"),
            ("alignment/F_extent", "F_extent"),
        ):
            expected = {epoch: logs[prefix + key] for epoch, logs in enumerate(watched.logs)}
            assert server.points(run, tag) == pytest.approx(expected), (run, tag)
    for tag in signed:
        expected = {epoch: logs[f"val_{tag.replace('s/', '_')}"] for epoch, logs in enumerate(watched.logs)}
        assert server.points(VALIDATION, tag) == pytest.approx(expected), tag
    assert server.points(TRAIN, "schedule/learning_rate") == pytest.approx(dict.fromkeys(range(EPOCHS), 0.05))


def test_the_layout_shows_each_feature_beside_chance_and_alignment_beside_auc(server):
    chance, auc, direction = server.get("plugin/custom_scalars/layout")["category"]
    assert "chance" in chance["title"].lower()
    # The page shows them from the last to the first.
    assert [chart["title"] for chart in reversed(chance["chart"])] == NAMES
    tags = server.get("plugin/scalars/tags")[VALIDATION]
    for chart in chance["chart"]:
        assert [series["value"][-len(chart["title"]) - 2 :] for series in chart["margin"]["series"]] == [
            f"S_{chart['title']}",
            f"F_{chart['title']}",
        ]
        for series in chart["margin"]["series"]:
            assert {series["value"], series["lower"], series["upper"]} <= set(tags)
            # A margin is drawn only where all three have the same steps.
            steps = [list(server.points(VALIDATION, series[key])) for key in ("value", "lower", "upper")]
            assert steps == [[0, 2, 3, 4]] * 3
    (lines,) = auc["chart"]
    drawn = {}
    for expression in lines["multiline"]["tag"]:
        answer = server.get("plugin/custom_scalars/scalars", run=VALIDATION, tag=expression)
        assert answer["regex_valid"]
        drawn |= answer["tag_to_events"]
    assert set(drawn) == {"metrics/auc", "alignment/S_joint", "alignment/F_joint"}
    (expression,) = direction["chart"][0]["multiline"]["tag"]
    answer = server.get("plugin/custom_scalars/scalars", run=VALIDATION, tag=expression)
    assert set(answer["tag_to_events"]) == {f"effects/{name}" for name in NAMES if name != "joint"}


def test_the_band_is_that_of_the_null_in_the_same_patients(server, watched):
    table = watched.explanation.against_chance().set_index(["quantity", "feature"])
    for kind in "SF":
        for name in NAMES:
            row = table.loc[kind, name]
            assert row["undefined"] == 0
            for suffix, column in (("", "mean"), ("_null_05", "null_q05"), ("_null_95", "null_q95")):
                last = server.points(VALIDATION, f"watched/{kind}_{name}{suffix}")[EPOCHS - 1]
                assert last == pytest.approx(row[column], rel=1e-4), (kind, name, suffix)


def test_the_same_patients_are_drawn_on_the_same_scales(server, watched):
    tags = server.get("plugin/images/tags")[VALIDATION]
    ids = watched.explanation.patient_id[:PICTURES]
    assert sorted(tags) == [f"patients/{k + 1} {patient}" for k, patient in enumerate(ids)]
    for tag in tags:
        listed = server.get("plugin/images/images", run=VALIDATION, tag=tag, sample=0)
        assert [entry["step"] for entry in listed] == [0, 3, 4]
        first, *_, last = [_picture(server, entry["query"]) for entry in listed]
        top = GAP + 2 * (HEADING + 6)
        cell = (EDGE + GAP, EDGE + 2 * LINE + GAP)

        def panel(picture, number, top=top, cell=cell):
            x, y = GAP + number % 3 * cell[0], top + number // 3 * cell[1] + LINE
            return picture[y : y + EDGE, x : x + EDGE].astype(int)

        # The slice and the gradients of features do not change, and so do not their pictures.
        for fixed in (0, 4, 5):
            assert np.abs(panel(first, fixed) - panel(last, fixed)).max() <= 1
        # ∇z, what is not explained, and the boundary do.
        for changing in (1, 3, 7):
            assert np.abs(panel(first, changing) - panel(last, changing)).max() > 16
        assert (first[:top] != last[:top]).any(), "the heading tells epoch, S and F"


def _picture(server, query):
    content = server.raw("plugin/images/individualImage?" + query)
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_histograms_are_over_patients(server, watched):
    whole = watched.whole.to_frame()
    for kind, frame, count in (("S", whole, 16), ("F", watched.explanation.to_frame(), WATCHED)):
        for name in NAMES:
            found = server.get(
                "plugin/histograms/histograms", run=VALIDATION, tag=f"per_patient/{kind}_{name}"
            )
            assert [step for _, step, _ in found] == [0, 2, 3, 4]
            buckets = np.array(found[-1][2])
            held = buckets[buckets[:, 2] > 0]
            assert buckets[:, 2].sum() == count
            values = frame[f"{kind}_{name}"]
            assert (held[0, 0], held[-1, 1]) == pytest.approx((values.min(), values.max()), rel=1e-4)


def test_the_curve_of_precision_and_recall_counts_patients(server, watched):
    tag = "precision_and_recall/pr_curves"
    curves = server.get("plugin/pr_curves/pr_curves", run=VALIDATION, tag=tag)[VALIDATION]
    assert [curve["step"] for curve in curves] == [0, 2, 3, 4]
    last = curves[-1]
    probability = 1 / (1 + np.exp(-watched.whole.to_frame()["logit"].to_numpy()))
    positive = watched.labels == 1
    # Between two patients, so that rounding decides nothing.
    gaps = np.sort(probability)
    threshold = gaps[:-1][np.diff(gaps).argmax()] + np.diff(gaps).max() / 2
    index = int(np.searchsorted(last["thresholds"], threshold))
    called = probability >= last["thresholds"][index]
    assert last["true_positives"][index] == (called & positive).sum()
    assert last["false_positives"][index] == (called & ~positive).sum()
    assert last["recall"][index] == pytest.approx((called & positive).sum() / positive.sum())


def test_settings_and_surroundings_are_text(server):
    assert sorted(server.get("plugin/text/tags")[TRAIN]) == ["run/config", "run/environment"]
    (config,) = server.get("plugin/text/text", run=TRAIN, tag="run/config")
    for line in dump_yaml(CONFIG).splitlines():
        assert line in config["text"].replace("&#39;", "'").replace("&quot;", '"')
    assert "<code" in config["text"]
    (environment,) = server.get("plugin/text/text", run=TRAIN, tag="run/environment")
    for cell in ("packages.tensorflow", "2.21.0", "devices", "CPU", "a|b"):
        assert f"<td>{cell}</td>" in environment["text"]


def test_the_graph_has_the_layers_in_their_order(server, watched):
    assert server.get("plugin/graphs/info")[TRAIN]["tags"]["keras"]["conceptual_graph"]
    text = server.raw("plugin/graphs/graph", run=TRAIN, tag="keras", conceptual="true").decode()
    classifier = watched.model.classifier
    names = [f"{classifier.name}/{layer.name}" for layer in classifier.layers]
    nodes = text.split("node {")[1:]
    assert len(nodes) == len(names) > 5
    for before, name, node in zip([None, *names], names, nodes):
        assert f'name: "{name}"' in node
        assert before is None or f'input: "{before}"' in node


def test_the_graph_page_opens_on_operations(server):
    assert server.get("plugin/graphs/info")[TRAIN]["run_graph"]
    # Without a word of layers, as the page asks first.
    text = server.raw("plugin/graphs/graph", run=TRAIN, conceptual="false").decode()
    operations = re.findall(r'^ +op: "(\w+)"', text, re.M)
    assert operations.count("Conv2D") == 2
    assert operations.count("MatMul") == 2


def test_settings_stand_beside_final_figures(server):
    experiment = server.post("plugin/hparams/experiment", {"experimentName": ""})
    settings = [info["name"] for info in experiment["hparamInfos"]]
    # The page shows the first five without being asked.
    assert settings == ["features", "lambda", "reward", "rewarded_features", "seed"]
    shown = [info["name"]["tag"] for info in experiment["metricInfos"]]
    assert shown[:4] == ["test/auc", "test/balanced_accuracy", "test/mask.F_joint", "test/mask.S_joint"]
    request = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
        "colParams": [],
        "startIndex": 0,
        "sliceSize": 10,
    }
    (row,) = server.post("plugin/hparams/session_groups", request)["sessionGroups"]
    assert row["name"] == "runs/tiny/first"
    expected = {"lambda": 0.25, "reward": "sum", "seed": 7.0, "features": "brightness, extent"}
    assert expected.items() <= row["hparams"].items()
    figures = {value["name"]["tag"]: value["value"] for value in row["metricValues"]}
    assert figures == pytest.approx(
        {f"{split}/{name}": v for split, own in FIGURES.items() for name, v in own.items()}
    )


@pytest.fixture(scope="module")
def browser(place):
    """What a headless browser shows of a page: its elements, or a picture of it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium to look at TensorBoard with: make browser installs it")

    def run(url, *options):
        argv = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        argv += [f"--user-data-dir={place / 'chromium'}", "--window-size=1400,1000", *options, url]
        # Time for scripts goes on at once when nothing is left to do.
        argv[1:1] = ["--virtual-time-budget=30000"]
        return subprocess.run(argv, capture_output=True, check=True, timeout=300).stdout

    return run


def test_the_first_page_a_browser_shows_has_alignment_first(browser, server):
    page = browser(server.url, "--dump-dom").decode()
    places = [
        page.find(f'title="{tag}"') for tag in ("alignment/F_brightness", "alignment/S_joint", "loss/reward")
    ]
    assert -1 not in places[:2]
    assert places[2] == -1 or places[2] > places[1]


def test_a_browser_draws_the_layout_with_its_bands(browser, server, place):
    file = place / "layout.png"
    browser(f"{server.url}#custom_scalars", f"--screenshot={file}")
    picture = np.asarray(Image.open(file).convert("RGB")).astype(int)
    # Right of the list of runs and below the bar of pages, the colours are those of charts. Lines are thin:
    # what is wide and neither white nor grey is a band.
    charts = picture[80:, 380:]
    coloured = charts.max(axis=2) - charts.min(axis=2) > 40
    wide = coloured[:-12, :-12] & coloured[12:, :-12] & coloured[:-12, 12:] & coloured[12:, 12:]
    assert wide.sum() > 20_000
