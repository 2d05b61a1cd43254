"""A cohort that can be made can be used: everything else is refused with the patient's name."""

import dataclasses
import json

import numpy as np
import pytest

from fgf_keras.config import parse_config
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.source import source_of
from fgf_keras.errors import DataError


def parts(n=4, **changed):
    rng = np.random.default_rng(0)
    masks = np.zeros((n, 6, 5, 1), np.uint8)
    masks[:, 2:4, 1:4] = 1
    arrays = {
        "patient_id": np.array([f"p{i}" for i in range(n)]),
        "images": rng.random((n, 6, 5, 1), np.float32),
        "masks": masks,
        "labels": np.arange(n) % 2,
        "spacing": np.ones((n, 2), np.float32),
        "provenance": {"source": "test"},
    }
    return arrays | changed


def changed(name, index, value, n=4):
    array = parts(n)[name].copy()
    array[index] = value
    return parts(n, **{name: array})


def refused(arrays, *words):
    with pytest.raises(DataError) as caught:
        Cohort(**arrays)
    for word in words:
        assert word in str(caught.value)


def test_a_cohort_has_the_stated_types():
    cohort = Cohort(
        **parts(
            patient_id=["a", "b", "c", "d"],
            images=parts()["images"].astype(np.float64),
            masks=parts()["masks"].astype(bool),
            labels=parts()["labels"].astype(np.uint8),
            spacing=[[1, 2]] * 4,
        )
    )
    assert len(cohort) == 4
    assert cohort.patient_id.dtype.kind == "U"
    types = [a.dtype for a in (cohort.images, cohort.masks, cohort.labels, cohort.spacing)]
    assert types == [np.float32, np.uint8, np.int64, np.float32]
    assert cohort.class_count == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        cohort.labels = None


def test_a_selection_keeps_the_order_asked_for_and_the_number_of_classes():
    cohort = Cohort(**parts())
    part = cohort.select([3, 1])
    assert part.patient_id.tolist() == ["p3", "p1"]
    np.testing.assert_array_equal(part.images, cohort.images[[3, 1]])
    np.testing.assert_array_equal(part.masks, cohort.masks[[3, 1]])
    np.testing.assert_array_equal(part.spacing, cohort.spacing[[3, 1]])
    assert part.labels.tolist() == [1, 1]
    assert part.class_count == 2
    assert cohort.select([0, 2]).class_count == 2


def test_a_selection_of_a_selection_still_points_into_the_whole_cohort():
    part = Cohort(**parts()).select([3, 1, 0]).select(np.array([False, True, True]))
    assert part.patient_id.tolist() == ["p1", "p0"]
    assert part.provenance == {"source": "test", "classes": 2, "selected": [1, 0]}
    json.dumps(part.provenance)


def test_an_empty_selection_is_refused():
    with pytest.raises(DataError, match="at least one patient"):
        Cohort(**parts()).select(np.array([], int))


@pytest.mark.parametrize(
    "arrays",
    [
        changed("patient_id", 0, "q0"),
        changed("labels", slice(0, 2), [1, 0]),
        changed("images", (3, 5, 4, 0), 0.5),
        changed("masks", (3, 5, 4, 0), 1),
        changed("spacing", (0, 1), 2),
        {name: a[::-1] if name != "provenance" else a for name, a in parts().items()},
    ],
)
def test_the_fingerprint_follows_the_data(arrays):
    cohort = Cohort(**parts())
    assert len(cohort.fingerprint()) == 64
    assert cohort.fingerprint() == Cohort(**parts(provenance={"source": "elsewhere"})).fingerprint()
    assert cohort.fingerprint() != Cohort(**arrays).fingerprint()


def test_the_fingerprint_keeps_neighbouring_ids_apart():
    ids = [["ab", "c"], ["a", "bc"]]
    one, other = (Cohort(**parts(2, patient_id=names)).fingerprint() for names in ids)
    assert one != other


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_counted_for_each_patient(value):
    refused(changed("images", (2, slice(0, 2), slice(0, 3), 0), value), "p2 (6 pixels)", "drop")


@pytest.mark.parametrize("value", [-0.01, 1.01, 300.0])
def test_images_that_are_not_windowed_are_refused(value):
    refused(changed("images", (1, 0, 0, 0), value), "[0, 1]", "p1", "window")


def test_images_of_whole_numbers_are_refused():
    refused(parts(images=np.ones((4, 6, 5, 1), np.uint8)), "floating point", "uint8")


def test_masks_with_other_values_are_refused():
    refused(changed("masks", (1, 3, 3, 0), 2), "0 and 1", "p1")


def test_an_empty_mask_is_refused():
    refused(changed("masks", 2, 0), "Empty: p2")


def test_of_many_patients_ten_are_named_and_all_are_counted():
    refused(changed("masks", slice(3, 15), 0, n=20), "p3, p4", "p12, … (12 in all)")


def test_an_id_given_twice_is_refused():
    refused(changed("patient_id", 3, "p1"), "More than once: p1")


@pytest.mark.parametrize("ids", [[1, 2, 3, 4], [["p0"], ["p1"], ["p2"], ["p3"]]])
def test_ids_that_are_not_texts_are_refused(ids):
    refused(parts(patient_id=ids), "patient_id", "texts")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("images", (3, 6, 5, 1)),
        ("images", (4, 6, 5)),
        ("images", (4, 6, 5, 3)),
        ("masks", (4, 5, 6, 1)),
        ("labels", (4, 1)),
        ("spacing", (2,)),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(name, shape):
    refused(parts(**{name: np.zeros(shape, np.float32)}), name, str(shape))


@pytest.mark.parametrize("labels", [[0, 2, 0, 2], [1, 1, 1, 1], [-1, 0, 1, 0]])
def test_classes_with_gaps_are_refused(labels):
    refused(parts(labels=labels), "0..K-1", str(min(labels)))


def test_labels_that_are_not_integers_are_refused():
    refused(parts(labels=[0.0, 1.0, 0.0, 1.0]), "labels", "float64")


@pytest.mark.parametrize("value", [0, -1, np.nan])
def test_a_spacing_that_is_no_length_is_refused(value):
    refused(changed("spacing", (3, 0), value), "spacing", "p3")


@pytest.mark.parametrize("value", [np.float32(1), float("nan")])
def test_a_provenance_that_json_cannot_hold_is_refused(value):
    refused(parts(provenance={"x": value}), "provenance")


def test_load_cohort_draws_the_phantom_from_the_seed_of_the_config():
    tree = {"data": {"size": 24, "phantom": {"patients": 8, "prevalence": 0.5}}}
    first, again, other = (source_of(parse_config({"seed": seed, **tree})).cohort() for seed in (3, 3, 4))
    assert first.provenance["source"] == "phantom"
    assert first.images.shape == (8, 24, 24, 1)
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()


def test_load_cohort_reads_png_where_the_config_says_so(tmp_path):
    config = parse_config({"data": {"source": "png", "root": str(tmp_path / "absent")}})
    with pytest.raises(DataError, match=r"data\.root"):
        source_of(config).cohort()
