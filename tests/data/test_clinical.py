"""Clinical columns are read as they are, encoded by the training part, or refused with the reason."""

import csv
import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from fgf_keras.config import dump_yaml, parse_config
from fgf_keras.config.clinical import ClinicalColumn
from fgf_keras.data.clinical import ClinicalEncoding, encoded, refuse_leaks
from fgf_keras.data.clinical_table import clinical_table
from fgf_keras.data.prepared import cohort as prepared
from fgf_keras.data.prepared.pseudonym import Names
from fgf_keras.data.source import source_of
from fgf_keras.errors import ConfigError, DataError

STAGE = ClinicalColumn(name="stage", column="T", order=["T1", "T2", ["T3", "T3a"]], missing=["Tx"])
VOLUME = ClinicalColumn(name="volume", log=True)
SITE = ClinicalColumn(name="site", kind="categorical")
N = 40


def column(**settings):
    return ClinicalColumn(**settings)


@pytest.fixture
def cells(rng):
    """Columns of 40 patients; the last ten hold a site that the others do not have."""
    return {
        "T": list(rng.choice(["T1", "T2", "T3", "T3a", "Tx", ""], N)),
        "volume": [f"{value:.2f}" for value in rng.lognormal(9, 1, N)],
        "site": [*rng.choice(["larynx", "tongue"], N - 10), *["nose"] * 10],
    }


def table_of(cells, *columns):
    return clinical_table(columns, cells, [f"p{i}" for i in range(len(next(iter(cells.values()))))], "t.csv")


def test_the_encoding_is_that_of_scikit_learn(cells):
    table = table_of(cells, STAGE, VOLUME, SITE)
    rows = np.arange(N - 10)
    encoding = ClinicalEncoding.fit([STAGE, VOLUME, SITE], table, rows)
    assert encoding.names == ["stage", "stage_missing", "volume", "site=larynx", "site=tongue"]
    merged = pd.DataFrame(cells)
    merged["T"] = merged["T"].map({"T1": 0, "T2": 1, "T3": 2, "T3a": 2})
    merged["volume"] = merged["volume"].astype(float)
    expected = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["T"]),
        (make_pipeline(FunctionTransformer(np.log), StandardScaler()), ["volume"]),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["site"]),
    )
    expected.fit(merged.iloc[rows])
    theirs = expected.transform(merged)
    ours = encoding.encode(table)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(np.delete(ours, 1, axis=1), theirs, atol=1e-6)
    np.testing.assert_array_equal(ours[:, 1], [value in ("", "Tx") for value in cells["T"]])
    np.testing.assert_allclose(encoding.sd, ours[rows].std(axis=0), rtol=1e-5)


def test_a_site_that_no_training_patient_has_is_none_of_them_and_says_so(cells, caplog):
    table = table_of(cells, SITE)
    encoding = ClinicalEncoding.fit([SITE], table, np.arange(N - 10))
    assert not encoding.encode(table)[-10:].any()
    assert "10 patients" in caplog.text
    assert "nose" in caplog.text


def test_a_number_missing_only_later_is_the_median_of_training():
    table = table_of({"age": ["50", "60", "90", ""]}, column(name="age"))
    encoding = ClinicalEncoding.fit([column(name="age")], table, [0, 1, 2])
    assert encoding.names == ["age"]
    ages = np.array([50, 60, 90])
    assert encoding.encode(table)[3, 0] == pytest.approx((60 - ages.mean()) / ages.std())


def test_the_encoding_comes_back_from_json(cells):
    table = table_of(cells, STAGE, VOLUME, SITE)
    encoding = ClinicalEncoding.fit([STAGE, VOLUME, SITE], table, np.arange(30))
    again = ClinicalEncoding.of_json(json.loads(json.dumps(encoding.to_json())))
    assert again == encoding
    np.testing.assert_array_equal(again.encode(table), encoding.encode(table))
    with pytest.raises(DataError, match="damaged"):
        ClinicalEncoding.of_json({"columns": [{"name": "age"}]})


@pytest.mark.parametrize(
    ("entry", "values", "words"),
    [
        ({"name": "T-stage"}, ["1", "2"], ["'T-stage'", "did you mean 'T_stage'"]),
        ({"name": "T_stage"}, ["", " "], ["no patient has a value"]),
        ({"name": "T_stage"}, ["1", "two"], ["'two' (p1)", "kind: categorical", "missing:"]),
        ({"name": "T_stage", "log": True}, ["1", "0"], ["'0' (p1)", "logarithms"]),
        ({"name": "T_stage", "order": ["t1", "T2"]}, ["T1", "T2"], ["'T1' (p0)", "t1, T2"]),
    ],
)
def test_values_that_cannot_be_used_are_named(entry, values, words):
    with pytest.raises(DataError) as caught:
        table_of({"T_stage": values}, column(**entry))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "values", "word"),
    [
        ({"name": "x"}, ["3", "3", "3", "4"], "'3.0' for all 3 training patients"),
        ({"name": "x"}, ["", "", "", "4"], "missing for all 3"),
        ({"name": "x", "kind": "categorical"}, ["a", "a", "a", "b"], "'a' for all 3"),
        ({"name": "x", "kind": "categorical"}, ["a", "b", "c", "c"], "is an id"),
    ],
)
def test_what_says_nothing_in_training_is_refused(entry, values, word):
    table = table_of({"x": values}, column(**entry))
    with pytest.raises(DataError, match=word):
        ClinicalEncoding.fit([column(**entry)], table, [0, 1, 2])


LABELS = np.array([0] * 12 + [1] * 6)


@pytest.mark.parametrize(
    ("entry", "values", "leaks"),
    [
        ({"name": "x"}, [*range(18)], True),
        ({"name": "x"}, [*range(18, 0, -1)], True),
        ({"name": "x"}, [*range(11), 12, 11, *range(13, 18)], False),
        ({"name": "x"}, [*range(12), *[""] * 6], True),
        # The date of the outcome, which one patient with it lacks.
        ({"name": "x"}, [*[""] * 12, 3, 4, 5, 6, 7, ""], True),
        # Two values that happen to be of one class.
        ({"name": "x"}, [1, 2, *[""] * 16], False),
        ({"name": "x", "order": ["a", "b"]}, [*"a" * 12, *"b" * 6], True),
        ({"name": "x", "order": ["a", "b"]}, [*"a" * 11, *"b" * 7], False),
        ({"name": "x", "kind": "categorical"}, [*"aabbaabbaabb", *"cccddd"], True),
        ({"name": "x", "kind": "categorical"}, [*"aabbaabbaabb", *"accddd"], False),
    ],
)
def test_a_column_that_determines_the_label_is_refused_unless_allowed(entry, values, leaks):
    table = table_of({"x": [str(value) for value in values]}, column(**entry))
    if not leaks:
        refuse_leaks([column(**entry)], table, LABELS)
        return
    with pytest.raises(DataError, match=r"'x' determines the label.*allow_leak"):
        refuse_leaks([column(**entry)], table, LABELS)
    refuse_leaks([column(**entry, allow_leak=True)], table, LABELS)


@pytest.mark.parametrize(
    ("entries", "word"),
    [
        (["age", "age"], "each name once"),
        (["brightness"], "name of a feature"),
        (["image"], "not free"),
        (["joint"], "not free"),
        ([{"name": "a=b", "column": "a"}], "no '='"),
        ([{"name": "t", "kind": "ordinal"}], "needs its values"),
        ([{"name": "t", "kind": "numeric", "order": ["a", "b"]}], "only an ordinal"),
        ([{"name": "t", "order": ["a"]}], "at least two"),
        ([{"name": "t", "order": ["a", "a"]}], "each name once"),
        ([{"name": "t", "order": ["a", "b"], "missing": ["a"]}], "in order and missing"),
        ([{"name": "t", "kind": "categorical", "log": True}], "only a numeric"),
        ([{"name": "t", "kind": "text"}], "kind"),
        ([{"name": "t", "sort": "text"}], "unknown key"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(entries, word):
    with pytest.raises(ConfigError, match=word):
        parse_config({"data": {"clinical": entries}})


def test_the_configuration_is_written_and_read_back():
    config = parse_config({"data": {"clinical": ["age", {"name": "t", "order": [1, [2, "2a"]]}]}})
    assert config.data.clinical[1].ranks == {"1": 0, "2": 1, "2a": 1}
    assert parse_config(yaml.safe_load(dump_yaml(config))) == config


PHANTOM = {"size": 24, "phantom": {"patients": 60, "prevalence": 0.4}}
COLUMNS = [{"name": "stage", "order": ["T1", "T2", "T3", "T4"]}, "age", {"name": "place", "column": "site"}]


def test_a_cohort_carries_its_columns_and_only_they_change_the_fingerprint():
    plain = source_of(parse_config({"data": PHANTOM})).cohort()
    columns = [*COLUMNS[:2], {**COLUMNS[2], "kind": "categorical"}]
    config = parse_config({"data": {**PHANTOM, "clinical": columns}})
    cohort = source_of(config).cohort()
    np.testing.assert_array_equal(cohort.images, plain.images)
    assert dataclasses.replace(cohort, clinical=None).fingerprint() == plain.fingerprint()
    assert cohort.fingerprint() != plain.fingerprint()
    changed = cohort.clinical.copy()
    changed.iloc[3, 0] = "T4" if changed.iloc[3, 0] != "T4" else "T3"
    assert dataclasses.replace(cohort, clinical=changed).fingerprint() != cohort.fingerprint()
    whole = encoded(cohort, config.data.clinical, np.arange(30))
    assert whole.fingerprint() == cohort.fingerprint()
    part = whole.select([5, 2])
    assert part.clinical.index.tolist() == part.patient_id.tolist() == ["phantom-0006", "phantom-0003"]
    np.testing.assert_array_equal(part.inputs["clinical"], whole.inputs["clinical"][[5, 2]])
    assert set(whole.model_inputs) == {"image", "clinical"}
    assert plain.inputs == {}
    with pytest.raises(DataError, match="one row per patient"):
        dataclasses.replace(cohort, clinical=cohort.clinical.iloc[::-1])
    outcome = pd.DataFrame({"dm": 2.0 * cohort.labels}, index=cohort.clinical.index)
    with pytest.raises(DataError, match="column 'dm' determines the label of the 30 training patients"):
        encoded(dataclasses.replace(cohort, clinical=outcome), [column(name="dm")], np.arange(30))
    with pytest.raises(DataError, match="reads no clinical columns"):
        encoded(plain, config.data.clinical, np.arange(30))


def test_the_phantoms_stage_says_something_about_the_label_and_its_site_does_not():
    data = {**PHANTOM, "phantom": {"patients": 400, "prevalence": 0.4}}
    columns = [COLUMNS[0], {"name": "site", "kind": "categorical"}]
    cohort = source_of(parse_config({"data": {**data, "clinical": columns}})).cohort()
    share = pd.Series(cohort.labels).groupby(cohort.clinical["stage"].to_numpy()).mean()
    assert share.is_monotonic_increasing
    assert share["T4"] - share["T1"] > 0.3
    by_site = pd.Series(cohort.labels).groupby(cohort.clinical["site"].to_numpy()).mean()
    assert by_site.max() - by_site.min() < 0.2


def write_folder(root, rows, header):
    (root / "slices").mkdir()
    pixels = np.zeros((20, 20), np.uint8)
    pixels[5:12, 6:13] = 120
    for name, *_ in rows:
        Image.fromarray(pixels).save(root / "slices" / f"{name}.png")
    with (root / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=";").writerows([header, *rows])


def png(root, **changed):
    data = {"source": "png", "root": str(root), "size": 24, "labels_file": "labels.csv"}
    return parse_config({"data": data | {"image_folder": "slices"} | changed})


def test_columns_of_a_png_cohort_are_in_the_order_of_its_patients(tmp_path):
    rows = [["c", "70", "T2", "0"], ["a", "N/A", "T1", "1"], ["b", "55", "T1", "0"]]
    write_folder(tmp_path, rows, ["id", "Age", "T", "Distant"])
    entries = [{"name": "age", "column": "Age", "missing": ["N/A"]}, {"name": "T", "order": ["T1", "T2"]}]
    cohort = source_of(png(tmp_path, clinical=entries)).cohort()
    assert cohort.clinical.index.tolist() == ["c", "a", "b"]
    np.testing.assert_array_equal(cohort.clinical["age"], [70, np.nan, 55])
    assert cohort.clinical["T"].tolist() == ["T2", "T1", "T1"]
    with pytest.raises(DataError, match=r"no column 'Agee'.*did you mean 'Age'.*Set data.clinical"):
        source_of(png(tmp_path, clinical=["Agee"])).cohort()
    (tmp_path / "more.csv").write_text("id;grade\na;1\nb;2\nx;3\n", encoding="utf-8")
    with pytest.raises(DataError, match="no row for 1 of 3 patients: c"):
        source_of(png(tmp_path, clinical=["grade"], clinical_file="more.csv")).cohort()
    (tmp_path / "more.csv").write_text("id;grade\na;1\nb;2\nc;3\na;3\n", encoding="utf-8")
    with pytest.raises(DataError, match="several rows: a"):
        source_of(png(tmp_path, clinical=["grade"], clinical_file="more.csv")).cohort()


def test_columns_of_a_prepared_cohort_are_found_by_pseudonym(tmp_path, monkeypatch):
    plain = source_of(parse_config({"data": PHANTOM})).cohort()
    (tmp_path / "key.txt").write_text("a secret of many bytes", encoding="utf-8")
    names = Names(str(tmp_path / "key.txt"))
    renamed = dataclasses.replace(plain, patient_id=np.array([names.patient(i) for i in plain.patient_id]))
    monkeypatch.setattr(prepared, "is_prepared", lambda data: True)
    monkeypatch.setattr(prepared, "prepared_cohort", lambda folder, data: renamed)
    ages = {name: str(30 + number) for number, name in enumerate(plain.patient_id)}
    rows = ["id;age", *(f"{name};{age}" for name, age in reversed(ages.items()))]
    (tmp_path / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    data = {"source": "dicom", "root": str(tmp_path), "out": "o", "roi": {"names": ["gtv"]}}
    data |= {"labels_file": "table.csv", "clinical": ["age"], "pseudonymise": str(tmp_path / "key.txt")}
    cohort = source_of(parse_config({"data": data})).cohort()
    assert cohort.patient_id[0].startswith("p-")
    np.testing.assert_array_equal(cohort.clinical["age"], 30 + np.arange(len(plain)))
    # A store by itself has a table of its own, or one beside it.
    monkeypatch.setattr(prepared, "prepared_cohort", lambda folder, data: plain)
    store = {"source": "prepared", "root": str(tmp_path), "clinical": ["age"], "clinical_file": "table.csv"}
    cohort = source_of(parse_config({"data": store})).cohort()
    np.testing.assert_array_equal(cohort.clinical["age"], 30 + np.arange(len(plain)))
