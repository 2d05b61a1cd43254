"""From a DICOM study to the slice: against readers of the whole series, and a whole cohort.

Phantom patients are written first. Every reader gets the same patients in turn, one process each, first with
the files in the system's cache, then, where that may be emptied (as root), read from the disk, as a cohort is
that is read once. SimpleITK only reads the series and takes the slice: contours cost it nothing
here. dcmrtstruct2nii, where --peer names the Python of an environment that has it (see
requirements-peers.txt), makes volume and mask of which the slice is taken. Then `fgf prepare` runs over the
cohort on all cores, and over a third of it, to show what memory does with the number of patients.

    python benchmarks/prepare.py [--patients 10] [--cohort 90] [--slices 60] [--size 512] [--peer PYTHON]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import SimpleITK as sitk
from peer import Peer

from fgf_keras.config import load_config
from fgf_keras.data.dicom.patient import dicom_patients
from fgf_keras.data.phantom.dicom_folder import write_phantom_dicom
from fgf_keras.data.tables import read_region_names

CONFIG = Path(__file__).parent.parent / "configs" / "phantom_dicom.yaml"


def configuration(root, out, size, more=()):
    return load_config(CONFIG, [f"data.root={root}", f"data.out={out}", f"data.size={size}", *more])


def patient_config(folder, root, size):
    names = read_region_names(root / "regions.xlsx", id_column="Patient", name_columns=["Name GTV Primary"])
    (name,) = names[folder.name]
    words = ["data.roi.table=null", f"data.roi.names=[{name}]"]
    return configuration(folder, "unused", size, words).data


def ours(config):
    (patient,), _ = dicom_patients(config)
    return patient.read()


def forget_files():
    """Empty the system's cache of files; True if that may be done."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("1\n", encoding="utf-8")
    except OSError:
        return False
    return True


def simpleitk(images, index):
    reader = sitk.ImageSeriesReader()
    uids = reader.GetGDCMSeriesIDs(str(images))
    files = max((reader.GetGDCMSeriesFileNames(str(images), uid) for uid in uids), key=len)
    reader.SetFileNames(files)
    return sitk.GetArrayFromImage(reader.Execute())[index]


def compare(root, count, size, peer, *, cold):
    """Median seconds a patient of each reader, and how many pixels the peer's masks have too many."""
    times, excess = {}, []
    for counted in (False, True):
        for folder in sorted(p for p in root.iterdir() if p.is_dir())[:count]:
            config = patient_config(folder, root, size)
            row = {}
            _ = cold and forget_files()
            found, row["fgf_keras"] = _timed(ours, config)
            _ = cold and forget_files()
            pixels, row["simpleitk_whole_series"] = _timed(simpleitk, folder / "CT", found.index)
            # SimpleITK counts slices of an upside-down patient from the other end.
            if not np.array_equal(pixels, found.hu):
                assert np.array_equal(simpleitk(folder / "CT", -1 - found.index), found.hu)
            if peer:
                _ = cold and forget_files()
                job = {"images": f"{folder}/CT", "structures": f"{folder}/RTSTRUCT/1-1.dcm"}
                answer = peer.ask(do="convert", **job, region=found.roi_names[0], index=found.index)
                row["dcmrtstruct2nii"] = answer["seconds"]
                excess.append(answer["pixels"] / int(found.mask.sum()) - 1)
            if counted:
                for name, seconds in row.items():
                    times.setdefault(name, []).append(seconds)
    return {name: statistics.median(values) for name, values in times.items()}, excess


def _timed(function, *arguments):
    begun = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - begun


def whole_cohort(root, out, size, limit):
    """Seconds and the greatest memory (MB) of `fgf prepare` with all its processes, on the first patients."""
    source = Path(out).with_name("part")
    source.mkdir()
    for path in sorted(root.iterdir()):
        if path.is_file() or int(path.name[-4:]) <= limit:
            (source / path.name).symlink_to(path)
    words = [f"data.root={source}", f"data.out={out}", f"data.size={size}"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "fgf_keras", "prepare", "--config", str(CONFIG), *words],
        stdout=subprocess.DEVNULL,
    )
    peak = 0
    watched = threading.Event()

    def watch():
        nonlocal peak
        while not watched.wait(0.05):
            peak = max(peak, _memory(process.pid))

    thread = threading.Thread(target=watch)
    thread.start()
    code = process.wait()
    seconds = time.perf_counter() - begun
    watched.set()
    thread.join()
    assert code == 0
    return seconds, peak / 1e6


def _memory(pid):
    total = 0
    try:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            # Shared pages are counted once: proportional set size.
            total += process.memory_full_info().pss
    except psutil.Error:
        pass
    return total


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=10, help="that the readers are compared on")
    parser.add_argument("--cohort", type=int, default=90, help="patients of the whole cohort")
    parser.add_argument("--slices", type=int, default=60)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--peer", help="Python of the environment with dcmrtstruct2nii")
    arguments = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "dicom")
        config = configuration(root, "unused", arguments.size)
        phantom = config.data.phantom.model_copy(update={"patients": arguments.cohort})
        written, seconds = _timed(
            lambda: write_phantom_dicom(
                root,
                phantom,
                size=arguments.size,
                spacing=config.data.spacing,
                seed=config.seed,
                slices=arguments.slices,
                objects=["rtstruct"],
                n_jobs=os.cpu_count(),
            )
        )
        print(
            f"{written.patients} patients of {arguments.slices}x{arguments.size}x{arguments.size}, ", end=""
        )
        print(f"{written.bytes / 1e9:.1f} GB, written in {seconds:.0f} s; {os.cpu_count()} cores\n")
        quiet = {"stderr": subprocess.DEVNULL}
        peer = Peer(arguments.peer, "prepare_peer.py", **quiet) if arguments.peer else None
        for cache, cold in (("cached", False), ("from_disk", True)):
            if cold and not forget_files():
                continue
            medians, excess = compare(root, arguments.patients, arguments.size, peer, cold=cold)
            for name, median in medians.items():
                row = {"median_s": median, "ratio": median / medians["fgf_keras"]}
                rows[f"{name}_{cache}"] = row
                print(f"{name:24}{cache:10}{1e3 * median:10.1f} ms a patient{row['ratio']:8.1f} x")
        if excess:
            print(f"{'':24}its masks are {100 * statistics.median(excess):+.1f} % in area (median)")
        for count in (arguments.cohort // 3, arguments.cohort):
            seconds, memory = whole_cohort(root, Path(folder, f"out{count}"), arguments.size, limit=count)
            rows[f"prepare_{count}"] = {
                "total_s": seconds,
                "patients_a_s": count / seconds,
                "peak_mb": memory,
            }
            print(f"fgf prepare, {count:4} patients{seconds:12.1f} s in all{memory:12.0f} MB at most")
            shutil.rmtree(Path(folder, "part"))
    print()
    print(json.dumps({name: {k: round(v, 4) for k, v in row.items()} for name, row in rows.items()}))


if __name__ == "__main__":
    main()
