"""The peer of benchmarks/prepare.py: runs in the environment that has dcmrtstruct2nii.

Asked for a patient's folder of images, file of structures, region and slice, it answers with seconds and the
pixels inside the mask of that slice.
"""

import contextlib
import io
import tempfile
import time
from pathlib import Path

from peer import serve

with contextlib.redirect_stdout(io.StringIO()):
    import SimpleITK as sitk
    from dcmrtstruct2nii import dcmrtstruct2nii


def convert(images, structures, region, index):
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        dcmrtstruct2nii(structures, images, folder, structures=[region], gzip=False)
        (mask,) = Path(folder).glob("mask_*")
        pixels = sitk.GetArrayFromImage(sitk.ReadImage(mask))[index] > 0
        sitk.GetArrayFromImage(sitk.ReadImage(f"{folder}/image.nii"))[index]
    return {"seconds": time.perf_counter() - begun, "pixels": int(pixels.sum())}


serve({"convert": convert})
