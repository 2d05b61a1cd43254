"""Labels within a time after diagnosis, by hand."""

import numpy as np
import pytest
from PIL import Image

from fgf_keras.config import parse_config
from fgf_keras.data.endpoint import cohort_labels
from fgf_keras.data.prepared.preparation import source_state
from fgf_keras.data.prepared.pseudonym import Names
from fgf_keras.data.source import source_of
from fgf_keras.errors import ConfigError, DataError

ENDPOINT = {"days": 730, "event_days": "DM", "follow_up_days": "followed"}
# id, label, days to the event, days of follow-up; and the label within two years, or why there is none.
PATIENTS = {
    "early": ("1", "300", "900", 1),
    "on the day": ("1", "730", "730", 1),
    "late": ("1", "731", "1500", 0),
    "healthy": ("0", "", "2000", 0),
    "lost": ("0", "", "700", "followed for 700 of 730 days"),
    "just lost": ("0", "", "730", "followed for 730 of 730 days"),
    "sometime": ("1", "", "2000", "the time of the event is unknown"),
    "never seen": ("0", "", "", "the follow-up is unknown"),
}


def written(folder, patients=PATIENTS):
    lines = ["id;Distant;DM;followed", *(";".join([name, *row[:3]]) for name, row in patients.items())]
    (folder / "canada.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "canada.csv"


def config(folder, endpoint):
    data = {"source": "png", "root": str(folder), "image_folder": "slices", "size": 16, "endpoint": endpoint}
    return parse_config({"data": data})


def test_the_label_is_what_is_known_to_have_happened_in_time(tmp_path):
    path = written(tmp_path)
    table = cohort_labels(path, config(tmp_path, ENDPOINT).data)
    for name, (*_, expected) in PATIENTS.items():
        assert (table.labels | table.censored)[name] == expected
    whenever = cohort_labels(path, config(tmp_path, {}).data)
    assert whenever.labels == {name: int(row[0]) for name, row in PATIENTS.items()}
    assert whenever.censored == {}


def test_a_cohort_leaves_out_whom_nobody_knows_about_and_counts_them(tmp_path):
    written(tmp_path)
    (tmp_path / "slices").mkdir()
    for name in PATIENTS:
        pixels = np.zeros((16, 16), np.uint8)
        pixels[4:9, 5:11] = 99
        Image.fromarray(pixels).save(tmp_path / "slices" / f"{name}.png")
    cohort = source_of(config(tmp_path, ENDPOINT)).cohort()
    assert cohort.patient_id.tolist() == ["early", "on the day", "late", "healthy"]
    assert cohort.labels.tolist() == [1, 1, 0, 0]
    assert cohort.provenance["counts"]["censored"] == 4
    assert len(source_of(config(tmp_path, {})).cohort()) == 8


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("1", "two years", "900"), r"column 'DM', line 2: 'two years' is not a number of days"),
        (("0", "", "inf"), r"column 'followed', line 2: 'inf' is not a number of days"),
        (("2", "100", "900"), r"1 is for the event and 0 for none. Received: odd: 2"),
    ],
)
def test_times_that_are_none_are_refused(tmp_path, row, words):
    path = written(tmp_path, {"odd": row})
    with pytest.raises(DataError, match=words):
        cohort_labels(path, config(tmp_path, ENDPOINT).data)


def test_a_store_is_prepared_again_for_another_endpoint(tmp_path):
    written(tmp_path)
    names = Names(None)
    states = []
    for endpoint in ({}, ENDPOINT, ENDPOINT | {"days": 365}):
        keys = {"source": "dicom", "root": str(tmp_path), "out": str(tmp_path / "out")}
        keys |= {"roi": {"names": ["gtv"]}, "endpoint": endpoint}
        states.append(source_state(parse_config({"data": keys}).data, names))
    assert "endpoint" not in states[0]
    assert states[0] != states[1] != states[2]


def test_an_endpoint_needs_both_columns(tmp_path):
    with pytest.raises(ConfigError, match=r"data.endpoint: days: needs the columns event_days and follow_up"):
        config(tmp_path, {"days": 730, "event_days": "DM"})
    with pytest.raises(ConfigError, match="'phantom' reads no table"):
        parse_config({"data": {"endpoint": ENDPOINT}})
    with pytest.raises(DataError, match="'time'"):
        cohort_labels(written(tmp_path), config(tmp_path, ENDPOINT | {"event_days": "time"}).data)
