"""The table patients.csv comes back as it was written."""

import pandas as pd

from fgf_keras.results.patients import read_patients


def test_ids_that_look_like_numbers_or_missing_values_are_names(tmp_path):
    names = ["NA", "007", "null", "1e5", "a"]
    table = pd.DataFrame({"patient_id": names, "split": "test", "label": 1, "logit": [0.5, None, 1, 2, 3]})
    table.to_csv(tmp_path / "patients.csv", index=False)
    read = read_patients(tmp_path / "patients.csv")
    assert read.index.tolist() == names
    assert read["logit"].isna().tolist() == [False, True, False, False, False]
    assert read["label"].tolist() == [1] * 5
