"""From a DICOM study to the slice: against SimpleITK and dcmrtstruct2nii reading the whole series, and a whole cohort.

Phantom patients are written first. Each reader gets the same patients in turn, one process and one thread each, files
in the cache of the system for all. SimpleITK only reads the series and takes the slice: it has no contours, so its mask
costs nothing here. Then `fgf prepare` runs over the cohort on all cores, and over a third of it, for its memory.

    python benchmarks/prepare.py [--patients 10] [--cohort 90] [--slices 60] [--size 512] [--peer PYTHON]
"""

import json
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from fgf_keras.config import parse_config
from fgf_keras.data.dicom.patient import dicom_patients

REGION = "GTV primary"


def configuration(root, out, size):
    roi = {"names": [REGION], "objects": ["rtstruct"]}
    keys = {"labels_file": "clinical.xlsx", "id_column": "Patient #", "label_column": "Distant"}
    return parse_config(
        {"data": {"source": "dicom", "root": str(root), "out": str(out), "size": size, "roi": roi, **keys}}
    )


def ours(folder, size):
    (patient,), _ = dicom_patients(configuration(folder, "-", size).data)
    return patient.read()


def simpleitk(images, index):
    reader = sitk.ImageSeriesReader()
    names = max(
        (reader.GetGDCMSeriesFileNames(str(images), uid) for uid in reader.GetGDCMSeriesIDs(str(images))),
        key=len,
    )
    reader.SetFileNames(names)
    return sitk.GetArrayFromImage(reader.Execute())[index]


def timed(function, *arguments):
    begun = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - begun, result


def compare(folders, size, peer):
    rows = {"fgf_keras": [], "simpleitk_whole_series": []}
    if peer:
        rows["dcmrtstruct2nii"] = []
        worker = subprocess.Popen(
            [peer, "-W", "ignore", str(Path(__file__).with_name("prepare_peer.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    excess = []
    for round_ in range(2):  # the first one warms up
        for folder in folders:
            seconds, found = timed(ours, folder, size)
            rows["fgf_keras"].append(seconds)
            images, structures = parts(folder)
            seconds, pixels = timed(simpleitk, images, found.index)
            rows["simpleitk_whole_series"].append(seconds)
            assert np.array_equal(pixels, found.hu), "the readers disagree on the pixels"
            if peer:
                job = {
                    "images": str(images),
                    "structures": str(structures),
                    "region": REGION,
                    "index": found.index,
                }
                worker.stdin.write(json.dumps(job) + "\n")
                worker.stdin.flush()
                answer = json.loads(worker.stdout.readline())
                rows["dcmrtstruct2nii"].append(answer["seconds"])
                excess.append(answer["pixels"] / int(found.mask.sum()) - 1)
        if round_ == 0:
            for times in rows.values():
                times.clear()
    return {name: statistics.median(times) for name, times in rows.items()}, excess
