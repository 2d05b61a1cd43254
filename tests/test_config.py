"""A configuration is what it says, or the message names the key, what was given and what is allowed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fgf_keras.config import Config, dump_yaml, load_config, named, parse_config
from fgf_keras.config.base import Group
from fgf_keras.config.model import FeatureConfig
from fgf_keras.errors import ConfigError
from fgf_keras.run.folder import RunFolder

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
PHANTOM = ROOT / "configs" / "phantom.yaml"


def keys_of(section, prefix=""):
    """Dotted names of all keys that a section of the model has, lists taken whole."""
    for name, field in section.model_fields.items():
        path = f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
            yield from keys_of(field.annotation, f"{path}.")
        else:
            yield path


def keys_in(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from keys_in(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def refused(tree, *words):
    with pytest.raises(ConfigError) as caught:
        parse_config(tree)
    for word in words:
        assert word in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_file_in_configs_is_a_configuration_whose_runs_go_into_a_folder_of_its_name(file):
    assert load_config(file).run_dir == Path("runs") / file.stem


def test_the_phantom_file_names_every_key_there_is():
    named = OmegaConf.to_container(OmegaConf.load(PHANTOM))
    assert sorted(keys_in(named)) == sorted(keys_of(Config))


def test_every_choice_is_listed_where_the_phantom_file_explains_its_key():
    text = PHANTOM.read_text(encoding="utf-8")
    for section, key, choices in (
        ("model", "activation", ("elu", "relu", "gelu", "silu", "softplus", "tanh")),
        ("model", "evaluate", ("auto", "dense", "roi")),
        ("reward", "kind", ("none", "sum", "joint")),
        ("train", "imbalance", ("class_weights", "balanced_batches", "none")),
        ("compute", "precision", ("float32", "mixed_float16", "mixed_bfloat16")),
    ):
        line = next(line for line in text.splitlines() if line.strip().startswith(f"{key}:"))
        for choice in choices:
            assert choice in line.partition("#")[2]
            assert parse_config({section: {key: choice}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("root", "/data/Patient #1"),
        ("root", "2024"),
        ("root", "/data/a: b"),
        ("root", "[x]"),
        ("root", "true"),
        ("root", "/data/Müller = Söhne"),
        ("label_column", "1"),
        ("separator", ","),
        ("labels_file", "'quoted'.csv"),
    ],
)
def test_what_follows_the_equals_sign_of_a_text_is_the_text(key, value):
    assert getattr(load_config(PHANTOM, [f"data.{key}={value}"]).data, key) == value


@pytest.mark.parametrize("quoted", ["'gtv primary'", '"gtv primary"'])
def test_quotation_marks_around_a_whole_text_are_not_part_of_it(quoted):
    assert load_config(PHANTOM, [f"data.roi.pattern={quoted}"]).data.roi.pattern == "gtv primary"


def test_other_kinds_of_values_are_read_as_yaml():
    overrides = ["data.root=null", "data.roi.names=[GTV, 12]", "train.epochs=3", "data.size=64 # px"]
    with pytest.raises(ConfigError, match=r"roi\.names"):
        load_config(PHANTOM, overrides)
    overrides[1] = "data.roi.names=[GTV, '12']"
    config = load_config(PHANTOM, overrides)
    assert (config.data.root, config.data.roi.names, config.train.epochs) == (None, ["GTV", "12"], 3)
    assert config.data.size == 64


def test_a_part_of_the_configuration_of_a_run_is_no_configuration(tmp_path):
    config = load_config(PHANTOM, ["seed=7", "data.root=/data/Müller"])
    folder = RunFolder.create(tmp_path / "run", config)
    assert folder.load_config() == config
    whole = folder.config_file.read_bytes()
    step = max(1, len(whole) // 150)
    for length in [*range(0, len(whole) - 1, step), len(whole) - 1]:
        folder.config_file.write_bytes(whole[:length])
        with pytest.raises(ConfigError, match=r"was cut: its last line is missing|cannot be read"):
            folder.load_config()
    # It may be edited, e.g. where the data have moved.
    folder.config_file.write_bytes(whole.replace("Müller".encode(), b"Miller"))
    assert folder.load_config().data.root == "/data/Miller"
    # Runs of earlier versions have no mark.
    folder.config_file.write_text(dump_yaml(config), encoding="utf-8")
    assert folder.load_config() == config


def test_a_dumped_configuration_is_read_back_as_it_was(tmp_path):
    given = {
        "seed": 3,
        "features": ["extent", {"name": "mine", "function": "module:function"}],
        "reward": {"kind": "sum", "weight": {"extent": 0.5, "mine": 0.0}},
        "evaluate": {"noise_draws": 0, "support": ["image"]},
        "protocol": {"arms": [{"name": "plain", "reward": {"kind": "none"}}]},
        "compute": {"jit_compile": True, "threads": 2},
    }
    config = parse_config(given)
    file = tmp_path / "config.yaml"
    file.write_text(dump_yaml(config), encoding="utf-8")
    assert load_config(file) == config
    assert config.features[0] == FeatureConfig(name="extent")
    assert config.reward.weight == {"extent": 0.5, "mine": 0.0}


def test_an_empty_file_is_the_defaults(tmp_path):
    (tmp_path / "empty.yaml").write_text("", encoding="utf-8")
    assert load_config(tmp_path / "empty.yaml") == Config()


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"train": {"epoch": 3}}, ["train.epoch", "did you mean 'epochs'?"]),
        ({"data": {"phantom": {"patient": 9}}}, ["data.phantom.patient", "did you mean 'patients'?"]),
        ({"modle": {}}, ["modle", "did you mean 'model'?"]),
        ({"protocol": {"arms": [{"name": "a", "rewrd": {}}]}}, ["rewrd", "did you mean 'reward'?"]),
        ({"features": [{"name": "noise", "sed": 1}]}, ["sed", "did you mean 'seed'?"]),
    ],
)
def test_an_unknown_key_is_named_with_its_path_and_a_near_miss(tree, words):
    refused(tree, "unknown key", *words)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"train": {"epochs": "many"}}, ["train.epochs", "'many'", "str"]),
        ({"train": {"epochs": 2.5}}, ["train.epochs", "2.5", "float"]),
        ({"data": {"allow_missing": "yes"}}, ["data.allow_missing", "'yes'"]),
        ({"model": {"filters": 32}}, ["model.filters", "32", "int"]),
        ({"data": 7}, ["data", "7"]),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_its_path(tree, words):
    refused(tree, *words)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"train": {"epochs": 0}}, ["train.epochs", "greater than or equal to 1", "0"]),
        ({"data": {"phantom": {"prevalence": 1.0}}}, ["data.phantom.prevalence", "less than 1", "1.0"]),
        ({"data": {"size": 8}}, ["data.size", "16", "8"]),
        ({"data": {"window": [300.0, -50.0]}}, ["data", "window", "[300.0, -50.0]"]),
        ({"data": {"size": [16, 32, 32]}}, ["data", "size", "unless dimension is 3"]),
        ({"data": {"dimension": 3, "size": [16, 32]}}, ["data.size", "at least 3"]),
        ({"data": {"dimension": 3, "size": [16, 8, 32]}}, ["data", "size", "at least 16 rows"]),
        ({"data": {"dimension": 3, "spacing": [1.0, 1.0]}}, ["data", "spacing", "(slice, row, column)"]),
        ({"data": {"spacing": [1.0, 1.0, 1.0]}}, ["data", "spacing", "(row, column)"]),
        ({"data": {"dimension": 3, "spacing_mm": 1.0}}, ["data", "spacing_mm", "leave this out"]),
        ({"data": {"dimension": 3, "centre": "image"}}, ["data", "centre", "around the tumour"]),
        ({"data": {"dimension": 3, "source": "png", "root": "x"}}, ["data", "dimension", "PNG"]),
        ({"data": {"dimension": 3}, "model": {"network": "paper_cnn"}}, ["model.network", "volume_cnn"]),
        ({"model": {"network": "volume_cnn"}}, ["model.network", "paper_cnn"]),
        ({"data": {"dimension": 3}, "model": {"evaluate": "roi"}}, ["model.evaluate", "volumes"]),
        ({"data": {"source": "png"}}, ["data", "root"]),
        ({"evaluate": {"flow": {"steps": 0}}}, ["evaluate.flow.steps", "greater than or equal to 1", "0"]),
        ({"model": {"filters": [4], "kernel_sizes": [3, 3]}}, ["model", "kernel_sizes", "got 2"]),
        ({"reward": {"weight": -0.1}}, ["reward", "weight", "-0.1"]),
        ({"reward": {"weight": float("nan")}}, ["reward", "weight", "nan"]),
        ({"run": {"name": "../elsewhere"}}, ["run.name", "names a folder"]),
        ({"data": {"source": "pngs"}}, ["data.source", "'pngs'", "did you mean 'png'?"]),
        ({"features": []}, ["features", "at least 1"]),
        ({"features": ["brightnes"]}, ["features.0", "'brightnes'", "did you mean 'brightness'?"]),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(tree, words):
    refused(tree, *words)


def test_all_faults_are_listed_at_once():
    message = refused(
        {"train": {"epoch": 3, "batch_size": 0}, "modle": {}, "data": {"size": "big"}},
        "4 fault(s)",
    )
    for key in ("train.epoch", "train.batch_size", "modle", "data.size"):
        assert key in message


def test_keys_that_contradict_each_other_are_refused():
    refused({"features": ["extent", "extent"]}, "features", "extent")
    refused({"features": ["noise"], "evaluate": {"noise_draws": 2}}, "evaluate.noise_draws", "got 2")
    assert parse_config({"features": ["noise"], "evaluate": {"noise_draws": 0}})
    refused({"train": {"monitor": "val_ouc"}}, "train.monitor", "'val_ouc'", "did you mean 'val_auc'?")
    refused(
        {"features": ["extent"], "train": {"monitor": "val_S_brightness"}}, "train.monitor", "val_S_extent"
    )
    refused({"reward": {"weight": {"extend": 1.0}}}, "reward", "'extend'", "did you mean 'extent'?")
    refused({"reward": {"kind": "joint", "weight": {"extent": 1.0}}}, "reward", "joint")
    arm = {"name": "a", "reward": {"kind": "none"}}
    refused({"protocol": {"arms": [arm, arm]}}, "protocol", "arms", "a")
    arm["reward"]["support"] = "image"
    refused({"model": {"evaluate": "roi"}, "protocol": {"arms": [arm]}}, "arm a", "model.evaluate")
    assert parse_config({"model": {"evaluate": "auto"}, "protocol": {"arms": [arm]}})


def test_overrides_come_last_and_are_checked_like_the_file():
    config = load_config(
        PHANTOM, ["train.epochs=7", "data.window=[-100,200]", "features=[extent]", "run.dir=null"]
    )
    assert config.train.epochs == 7
    assert config.data.window == [-100, 200]
    assert [feature.name for feature in config.features] == ["extent"]
    with pytest.raises(ConfigError, match=r"train\.epoch: unknown key; .*'epochs'"):
        load_config(PHANTOM, ["train.epoch=7"])
    with pytest.raises(ConfigError, match=r"train\.epochs"):
        load_config(PHANTOM, ["train.epochs=seven"])


@pytest.mark.parametrize("override", ["train.epochs", "=3", "--epochs"])
def test_a_malformed_override_is_quoted_with_the_form_it_should_have(override):
    with pytest.raises(ConfigError, match=r"key\.sub=value") as caught:
        load_config(PHANTOM, ["seed=1", override])
    assert repr(override) in str(caught.value)


def test_a_missing_file_is_named_with_the_files_that_are_there(tmp_path):
    (tmp_path / "mine.yaml").write_text("seed: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="does not exist") as caught:
        load_config(tmp_path / "main.yaml")
    assert "main.yaml" in str(caught.value)
    assert str(tmp_path / "mine.yaml") in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "seed: [1\n", "seed: 1\nseed: 2\n", "${seed\n"])
def test_a_file_that_is_not_a_configuration_is_named(tmp_path, text):
    (tmp_path / "broken.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        load_config(tmp_path / "broken.yaml")


@pytest.mark.parametrize("registry", ["FEATURES", "REWARDS", "SOURCES", "NULLS", "STEPS"])
def test_every_name_of_a_configuration_stands_for_something(registry):
    names = getattr(named, registry)
    assert all(isinstance(named.named(names, name), type) for name in names)
    with pytest.raises(ImportError, match="nobody"):
        named.named(names, "fgf_keras.errors:nobody")
    with pytest.raises(ValueError, match=r"'other' is not known; allowed: .*, or 'module:name' of your own"):
        named.check_name(names, "other")
    with pytest.raises(ValueError, match="is not a subclass of"):
        named.named_class(names, "fgf_keras.errors:FgfError", dict)


@pytest.mark.parametrize(
    "program",
    [
        "import fgf_keras, fgf_keras.config",
        "import typer.testing, fgf_keras.cli.main as cli\n"
        "result = typer.testing.CliRunner().invoke(cli.app, ['--help'])\n"
        "assert result.exit_code == 0 and 'evaluate' in result.output, result.output",
    ],
    ids=["import", "help"],
)
def test_reading_a_configuration_does_not_wait_for_tensorflow(program):
    check = "\nimport sys\nassert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program + check], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_value_that_yaml_would_want_quoted_is_text():
    assert load_config(PHANTOM, ["data.separator=,"]).data.separator == ","


def test_too_few_draws_of_a_null_are_refused_with_the_number_that_is_needed():
    few = {"evaluate": {"null_draws": 58}}
    with pytest.raises(ConfigError, match=r"evaluate\.null_draws: 58 draws.*3 feature.*At least 59 draws"):
        parse_config(few)
    parse_config({"evaluate": {"null_draws": 59}})
    parse_config({"evaluate": {"null_draws": 58, "nulls": []}})
    parse_config({"evaluate": {"null_draws": 58, "alpha": 0.1}})


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ({"null_draws": 19}, "train: null_draws: must be 0, or at least 20"),
        ({"null_draws": -1}, r"train\.null_draws"),
        ({"pictures_every": -1}, r"train\.pictures_every"),
        ({"pictures_patients": 0}, r"train\.pictures_patients"),
        (
            {"monitor": "val_F_joint", "early_stopping_patience": 4, "flow_every": 5},
            r"train: early_stopping_patience: must be at least flow_every \(5\) for val_F_joint",
        ),
    ],
)
def test_what_is_watched_has_limits(train, words):
    with pytest.raises(ConfigError, match=words):
        parse_config({"train": train})
    parse_config({"train": {"null_draws": 0, "pictures_every": 0}})
    parse_config({"train": {"monitor": "val_S_joint", "early_stopping_patience": 4, "flow_every": 5}})
    parse_config({"train": {"monitor": "val_F_joint", "early_stopping_patience": 5, "flow_every": 5}})


@pytest.mark.parametrize(
    ("evaluate", "words"),
    [
        ({"nulls": ["smoth"]}, "did you mean 'smooth'"),
        ({"nulls": ["white", "white"]}, "white is there more than once"),
        ({"correlation_lengths": [0.0]}, r"correlation_lengths\.0"),
        ({"correlation_lengths": [2.0, 2.0]}, "2 is there more than once"),
    ],
)
def test_nulls_are_known_ones_each_once(evaluate, words):
    with pytest.raises(ConfigError, match=words):
        parse_config({"evaluate": evaluate})
