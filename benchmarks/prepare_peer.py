"""The peer of benchmarks/prepare.py: runs in the environment that has dcmrtstruct2nii.

Reads one JSON line a patient, {"images": folder, "structures": file, "region": name, "index": slice}, and
answers with one: seconds and the pixels inside the mask of that slice.
"""

import contextlib
import io
import json
import sys
import tempfile
import time
from pathlib import Path

with contextlib.redirect_stdout(io.StringIO()):
    import SimpleITK as sitk
    from dcmrtstruct2nii import dcmrtstruct2nii


def convert(job):
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        dcmrtstruct2nii(job["structures"], job["images"], folder, structures=[job["region"]], gzip=False)
        (mask,) = Path(folder).glob("mask_*")
        pixels = sitk.GetArrayFromImage(sitk.ReadImage(mask))[job["index"]] > 0
        sitk.GetArrayFromImage(sitk.ReadImage(f"{folder}/image.nii"))[job["index"]]
    return {"seconds": time.perf_counter() - begun, "pixels": int(pixels.sum())}


for line in sys.stdin:
    print(json.dumps(convert(json.loads(line))), flush=True)
