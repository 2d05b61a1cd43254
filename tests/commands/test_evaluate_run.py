"""How another cohort's configuration is read."""

import pytest

from fgf_keras.commands.evaluate_run import _as_trained, _check_comparable
from fgf_keras.config import parse_config
from fgf_keras.errors import DataError

WHOLE = parse_config({"data": {"size": 64, "window": [-100, 200], "spacing": [0.5, 0.5]}})
TRAINED = WHOLE.data


def test_what_another_cohort_does_not_say_about_its_images_is_as_in_training():
    other = _as_trained(TRAINED, parse_config({"seed": 7, "data": {"source": "phantom"}}))
    assert (other.data.size, other.data.window, other.data.spacing) == (64, [-100, 200], [0.5, 0.5])
    assert other.seed == 7
    _check_comparable(WHOLE, other)


@pytest.mark.parametrize("said", [{"size": 192}, {"window": [-50, 300]}, {"spacing": [1.0, 1.0]}])
def test_what_it_says_must_be_as_in_training(said):
    other = _as_trained(TRAINED, parse_config({"data": said}))
    with pytest.raises(DataError, match=next(iter(said))):
        _check_comparable(WHOLE, other)


def test_spacing_is_compared_across_sources():
    dicom = {"source": "dicom", "root": "r", "out": "o", "roi": {"names": ["gtv"]}}
    resampled = _as_trained(TRAINED, parse_config({"data": dicom | {"spacing_mm": 0.5}}))
    _check_comparable(WHOLE, resampled)
    _check_comparable(resampled, _as_trained(resampled.data, parse_config({"data": dicom})))
    with pytest.raises(DataError, match="each patient's own pixel spacing"):
        _check_comparable(WHOLE, _as_trained(TRAINED, parse_config({"data": dicom})))
