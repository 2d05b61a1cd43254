"""What is written as DICOM is read back as the phantom was drawn, to the pixel and the HU."""

import re
from pathlib import Path

import numpy as np
import openpyxl
import pydicom
import pytest
from typer.testing import CliRunner

from fgf_keras.cli.main import app
from fgf_keras.config import load_config
from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.dicom.index import index_folder
from fgf_keras.data.dicom.roi_mask import rasterise_roi
from fgf_keras.data.dicom.rois import choose_rois
from fgf_keras.data.dicom.rtstruct import read_structure_set
from fgf_keras.data.dicom.seg import read_segmentation
from fgf_keras.data.phantom.dicom_folder import write_phantom_dicom
from fgf_keras.data.phantom.phantom import phantom_canvas, phantom_cohort, phantom_slice
from fgf_keras.data.prepared.pick import pick_slice
from fgf_keras.data.prepared.store import SliceStore
from fgf_keras.data.refusal import DicomError
from fgf_keras.data.source import source_of
from fgf_keras.data.tables import read_labels, read_region_names
from fgf_keras.errors import DataError

CONFIGS = Path(__file__).parents[2] / "configs"
COHORT = PhantomConfig(patients=24, prevalence=0.3)
SLICES = 9
SEED = 1
CANVASES = {"square": (48, (1.0, 1.0)), "not square": (40, (1.5, 0.7))}


class Read:
    """A patient as the readers find it."""

    def __init__(self, entries):
        of_kind = {entry.modality: entry for entry in entries}
        assert sorted(of_kind) == ["CT", "RTSTRUCT", "SEG"]
        assert len(entries) == 3
        self.files = {kind: entry.files for kind, entry in of_kind.items()}
        self.series = of_kind["CT"].stack()
        self.structures = read_structure_set(*self.files["RTSTRUCT"])
        self.segments = read_segmentation(*self.files["SEG"], self.series)

    def contoured(self):
        (number,) = choose_rois(self.structures.names, pattern="GTV primary")
        return rasterise_roi(self.structures, number, self.series)

    def segmented(self):
        labels = {number: segment.label for number, segment in self.segments.items()}
        (number,) = choose_rois(labels, pattern="GTV primary")
        return self.segments[number]


def read_patients(folder):
    index = index_folder(folder)
    assert [file.path for file in index.rejected] == ["clinical.xlsx", "regions.xlsx"]
    studies = index.studies()
    return [Read(studies[key]) for key in sorted(studies)]


def write(folder, config=COHORT, *, size=48, spacing=(1.0, 1.0), seed=SEED, slices=SLICES, **options):
    return write_phantom_dicom(
        folder, config, size=size, spacing=spacing, seed=seed, slices=slices, **options
    )


@pytest.fixture(scope="module", params=CANVASES.values(), ids=CANVASES)
def drawn(request, tmp_path_factory):
    """(folder, what was written, (patient, its slice as drawn) of each)."""
    size, spacing = request.param
    folder = tmp_path_factory.mktemp("phantom") / "dicom"
    written = write(folder, size=size, spacing=spacing)
    canvas = phantom_canvas(size, spacing)
    truth = [phantom_slice(number, canvas, SEED) for number in range(COHORT.patients)]
    return folder, written, list(zip(read_patients(folder), truth))


@pytest.fixture(scope="module")
def patients(drawn):
    return drawn[2]


@pytest.mark.parametrize("region", [Read.contoured, Read.segmented], ids=["rtstruct", "seg"])
def test_the_slice_picked_is_the_phantoms_own(patients, region):
    for patient, truth in patients:
        mask = region(patient)
        index = pick_slice(mask)
        np.testing.assert_array_equal(mask.planes[index], truth.mask)
        np.testing.assert_array_equal(patient.series.read_hu(index), np.rint(truth.hu))


def test_the_tumour_shrinks_from_the_middle_and_ends_within_the_stack(patients):
    for patient, _ in patients:
        mask = patient.contoured()
        areas, middle = mask.areas(), pick_slice(mask)
        crossed = np.flatnonzero(areas)
        assert len(crossed) > 1
        assert 0 < crossed[0] <= middle <= crossed[-1] < SLICES - 1
        assert middle == (crossed[0] + crossed[-1]) / 2
        assert (np.diff(areas[crossed[0] : middle + 1]) > 0).all()
        assert (np.diff(areas[middle : crossed[-1] + 1]) < 0).all()
        assert all((plane <= mask.planes[middle]).all() for plane in mask.planes.values())


def test_contours_and_segments_say_the_same_of_every_slice(patients):
    for patient, _ in patients:
        np.testing.assert_array_equal(patient.contoured().volume(), patient.segmented().volume())
        for segment in patient.segments.values():
            (number,) = choose_rois(patient.structures.names, names=[segment.label])
            contoured = rasterise_roi(patient.structures, number, patient.series)
            for index, plane in segment.planes.items():
                np.testing.assert_array_equal(contoured.planes[index], plane)
            # A body that fills the image ends where the image does, give or take the digits of a contour.
            assert set(contoured.counts.warnings()) <= ({"clipped"} if segment.label == "Body" else set())
            assert contoured.counts.matched == contoured.counts.used == contoured.counts.contours > 0


def test_a_tumour_upside_down_would_be_noticed(patients):
    different = [
        not np.array_equal(mask.planes[min(mask.planes)], mask.planes[max(mask.planes)])
        for mask in (patient.contoured() for patient, _ in patients)
    ]
    assert np.mean(different) > 0.8


def test_slices_around_show_the_same_anatomy_under_other_noise(patients):
    for patient, truth in patients[:6]:
        mask = patient.contoured()
        middle = pick_slice(mask)
        slices = [patient.series.read_hu(index) for index in range(SLICES)]
        far = ~mask.planes[middle] & (abs(truth.hu - truth.anatomy - truth.noise) < 1)
        for index in {0, SLICES - 1, middle + 1} - {middle}:
            difference = (slices[index] - slices[middle])[far]
            assert 5 < difference.std() < 25
            assert abs(difference.mean()) < 2
        assert not np.array_equal(slices[0], slices[-1])


def test_other_regions_make_the_rule_matter(patients):
    nodes = 0
    for patient, _ in patients:
        names = patient.structures.names
        assert choose_rois(names, pattern="body")
        sizes = {n: rasterise_roi(patient.structures, n, patient.series).areas().sum() for n in names}
        (largest,) = choose_rois(names, pattern=".*", strategy="largest", size=sizes.get)
        assert names[largest] == "Body"
        assert len(patient.segments) == 2
        assert all(patient.segments.values())
        if "GTV nodes" in names.values():
            nodes += 1
            with pytest.raises(DicomError, match="2 regions fit"):
                choose_rois(names, pattern="gtv.*")
            (number,) = choose_rois(names, names=["GTV nodes"])
            node = rasterise_roi(patient.structures, number, patient.series)
            assert not (node.volume() & patient.contoured().volume()).any()
    assert 0 < nodes < len(patients)


def test_patients_differ_as_real_ones_do(patients):
    headers = [[pydicom.dcmread(file) for file in patient.files["CT"]] for patient, _ in patients]
    firsts = [of_patient[0] for of_patient in headers]
    positions = [header.PatientPosition for header in firsts]
    assert set(positions) == {"HFS", "FFS", "HFP"}
    assert positions.count("HFS") > len(positions) / 2
    assert {header.PixelRepresentation for header in firsts} == {0, 1}
    assert {header.RescaleIntercept for header in firsts} == {-1024, -8192}
    assert len({pick_slice(patient.contoured()) for patient, _ in patients}) > 2
    assert len({min(patient.structures.rois) for patient, _ in patients}) > 5
    assert len({name for patient, _ in patients for name in patient.structures.names.values()}) == 5
    rising = meaningless = 0
    for (patient, _), of_patient in zip(patients, headers):
        place = patient.series.sop_uids
        by_name = [place[header.SOPInstanceUID] for header in of_patient]
        by_number = [place[h.SOPInstanceUID] for h in sorted(of_patient, key=lambda h: h.InstanceNumber)]
        assert sorted(by_number) == list(range(SLICES))
        rising += by_name == sorted(by_name)
        meaningless += by_number != sorted(by_number)
    assert rising == 0
    assert 0 < meaningless < len(patients)


def test_simpleitk_reads_the_same_series(patients):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK, the independent reader, is not installed")
    for patient, _ in patients:
        folder = str(patient.files["CT"][0].parent)
        (series_uid,) = sitk.ImageSeriesReader.GetGDCMSeriesIDs(folder)
        image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(folder, series_uid))
        ours = [patient.series.read_hu(index) for index in range(SLICES)]
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), ours)
        np.testing.assert_allclose(image.GetSpacing()[::-1], patient.series.spacing)
        np.testing.assert_allclose(image.GetOrigin(), patient.series.headers[0].position)


def test_highdicom_reads_the_same_segments(patients):
    highdicom = pytest.importorskip("highdicom", reason="highdicom, the independent reader, is not installed")
    for patient, _ in patients:
        file = highdicom.seg.segread(*patient.files["SEG"])
        for number, segment in patient.segments.items():
            uids = [patient.series.headers[index].sop_uid for index in segment.planes]
            frames = file.get_pixels_by_source_instance(
                uids, segment_numbers=[number], ignore_spatial_locations=True
            )
            np.testing.assert_array_equal(frames[..., 0], list(segment.planes.values()))


def test_files_hold_what_the_standard_demands(patients, monkeypatch):
    standard = pytest.importorskip("highdicom._standard_utils", reason="it holds the standard's tables")
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
    monkeypatch.setattr(pydicom.config, "convert_wrong_length_to_UN", False)
    iods, modules = standard.get_sop_class_iod_map(), standard.get_iod_module_map()
    uids = []
    for patient, _ in patients[:8]:
        for file in [file for files in patient.files.values() for file in files]:
            dataset = pydicom.dcmread(file)
            # Converts, and so checks, every value.
            list(dataset.iterall())
            for module in modules[iods[dataset.SOPClassUID]]:
                if module["usage"] == "M":
                    # What all frames share may also stand in each of them.
                    whole = dataset.Modality != "SEG"
                    standard.check_required_attributes(dataset, module["key"], recursive=whole)
                    tree = standard.construct_module_tree(module["key"])["attributes"]
                    filled = [keyword for keyword, item in tree.items() if item["type"].value == "1"]
                    assert all(not dataset[keyword].is_empty for keyword in filled), (file, module["key"])
            assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
            assert dataset.SOPInstanceUID.is_valid
            assert re.fullmatch(r"phantom-00\d\d", dataset.PatientID)
            assert dataset.PatientName == dataset.PatientID.replace("phantom-", "Phantom^")
            assert not dataset.PatientBirthDate
            uids.append(dataset.SOPInstanceUID)
    assert len(set(uids)) == len(uids)


def test_contours_name_their_slice_in_numbers_of_16_characters(patients):
    for patient, _ in patients:
        dataset = pydicom.dcmread(*patient.files["RTSTRUCT"])
        contours = [c for roi in dataset.ROIContourSequence for c in roi.ContourSequence]
        for contour in contours:
            raw = contour.get_item("ContourData").value.decode()
            assert max(map(len, raw.strip().split("\\"))) <= 16
            (image,) = contour.ContourImageSequence
            header = patient.series.headers[patient.series.sop_uids[image.ReferencedSOPInstanceUID]]
            assert float(contour.ContourData[2]) == pytest.approx(header.position[2], abs=1e-3)


def test_tables_hold_the_phantoms_labels_and_names_between_blanks_and_notes(drawn):
    folder, _, patients = drawn
    told = read_labels(folder / "clinical.xlsx", id_column="Patient #", label_column="Distant")
    cohort = phantom_cohort(COHORT, size=16, window=[-50, 300], spacing=[1, 1], seed=SEED)
    assert told.labels == dict(zip(cohort.patient_id.tolist(), cohort.labels.tolist()))
    columns = ["Name GTV Primary", "Name GTV Lymph Nodes"]
    names = read_region_names(folder / "regions.xlsx", id_column="Patient", name_columns=columns)
    for patient, _ in patients:
        drawn_names = set(patient.structures.names.values()) - {"Body"}
        assert set(names[patient.series.patient_id]) == drawn_names
    book = openpyxl.load_workbook(folder / "clinical.xlsx")
    assert book.sheetnames == ["A", "B"]
    for sheet in book:
        rows = list(sheet.iter_rows(values_only=True))
        assert rows[0] == ("Patient #", "Primary Site", "Distant ")
        assert any(str(row[0]) != str(row[0]).strip() for row in rows)
        assert len([row for row in rows[1:] if row[0] and row[2] is None]) == 2


def test_the_same_arguments_write_the_same_bytes(tmp_path):
    few = PhantomConfig(patients=8, prevalence=0.4)
    one, other = tmp_path / "one", tmp_path / "other"
    written = write(one, few, n_jobs=1)
    assert write(other, few, n_jobs=2) == written
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) == written.files == 8 * (SLICES + 2) + 2
    assert sum((one / file).stat().st_size for file in files) == written.bytes
    assert files == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    for file in files:
        assert (one / file).read_bytes() == (other / file).read_bytes(), file


@pytest.mark.parametrize("change", [{"seed": 5}, {"spacing": (1.0, 2.0)}, {"slice_mm": 2.0}, {"slices": 10}])
def test_other_pixels_have_other_identifiers(tmp_path, change):
    few = PhantomConfig(patients=8, prevalence=0.4)
    write(tmp_path / "one", few, size=16, objects=["rtstruct"])
    write(tmp_path / "other", few, size=16, objects=["rtstruct"], **change)
    index = index_folder(tmp_path)
    assert len({entry.series_uid for entry in index.series}) == len(index.series) == 16
    assert {file.kind for file in index.rejected} == {"not_dicom"}


@pytest.mark.parametrize(("objects", "kinds"), [(["rtstruct"], (8, 0)), (["seg"], (0, 8))])
def test_only_the_objects_asked_for_are_written(tmp_path, objects, kinds):
    write(tmp_path, PhantomConfig(patients=8, prevalence=0.4), size=16, objects=objects)
    index = index_folder(tmp_path)
    assert (len(index.structure_sets), len(index.segmentations)) == kinds


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "phantom-0001").mkdir()
    with pytest.raises(DataError, match=r"not empty: it holds phantom-0001\. Without clinical\.xlsx"):
        write(tmp_path)
    (tmp_path / "clinical.xlsx").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="not empty") as caught:
        write(tmp_path)
    assert "Without" not in str(caught.value)
    assert (tmp_path / "clinical.xlsx").read_text(encoding="utf-8") == "mine"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["clinical.xlsx", "phantom-0001"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"cannot be written into '.*file/dicom'"):
        write(tmp_path / "file" / "dicom")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"slices": 4}, "slices must be 5 or more"),
        ({"slice_mm": 0.05}, "slice_mm must be 0.1 or more"),
        ({"slice_mm": float("nan")}, "slice_mm"),
        ({"objects": []}, "objects must be some of rtstruct, seg"),
        ({"objects": ["rtdose"]}, "Received: rtdose"),
    ],
)
def test_arguments_out_of_range_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(DataError, match=message):
        write(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


def phantom_command(*arguments):
    return CliRunner().invoke(app, ["phantom", *map(str, arguments)], env={"COLUMNS": "300"})


def test_the_command_says_what_it_wrote_and_what_to_do_next(tmp_path):
    config, folder = CONFIGS / "phantom_dicom.yaml", tmp_path / "to read"
    small = ["data.phantom.patients=8", "data.size=32"]
    done = phantom_command("--dicom", folder, "--config", config, *small, "--slices", 5)
    assert done.exit_code == 0, done.output
    assert re.search(
        r"Written: 8 patients, \d positive, 58 files, 0\.\d MB\. Folder: .*to read\n", done.output
    )
    following = f"fgf prepare --config {config} data.phantom.patients=8 data.size=32 'data.root={folder}'"
    assert following in done.output
    again = phantom_command("--dicom", folder, "--config", config, *small)
    assert again.exit_code == 1
    assert "not empty" in again.output


def test_the_command_takes_a_configuration_that_reads_dicom(tmp_path):
    done = phantom_command("--dicom", tmp_path / "new", "--config", CONFIGS / "phantom.yaml")
    assert done.exit_code == 1
    assert "data.source: 'phantom' does not read DICOM" in done.output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("region", ["rtstruct", "seg"])
def test_what_is_prepared_is_the_phantom(drawn, region, tmp_path):
    folder, _, pairs = drawn
    truth = [slice_ for _, slice_ in pairs]
    size, spacing = next(canvas for canvas in CANVASES.values() if canvas[0] == len(truth[0].mask))
    words = [f"data.root={folder}", f"data.out={tmp_path / 'out'}", f"data.size={size}"]
    rule = ["data.roi.table=null", "data.roi.pattern='gtv primary'", f"data.roi.objects=[{region}]"]
    config = load_config(CONFIGS / "phantom_dicom.yaml", [*words, *rule])
    cohort = source_of(config).cohort()
    drawn_cohort = phantom_cohort(COHORT, size=size, window=config.data.window, spacing=spacing, seed=SEED)
    assert cohort.patient_id.tolist() == drawn_cohort.patient_id.tolist()
    np.testing.assert_array_equal(cohort.labels, drawn_cohort.labels)
    np.testing.assert_array_equal(cohort.masks, drawn_cohort.masks)
    np.testing.assert_allclose(cohort.spacing, drawn_cohort.spacing)
    store = SliceStore.reading(tmp_path / "out")
    for row, patient in enumerate(truth):
        np.testing.assert_array_equal(store.slice(row)[0], np.rint(patient.hu))
    assert {line["roi_object"] for line in store.cohort()} == {region}
