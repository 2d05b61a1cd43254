"""configs/tcia.yaml on a folder as TCIA's Head-Neck-PET-CT comes, with invented patients."""

from pathlib import Path

import numpy as np
import openpyxl
import pytest
from dicom_fixtures import L_SHAPE, Stack, l_mask
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from fgf_keras.cli.main import app
from fgf_keras.config import load_config
from fgf_keras.data.prepared.prepare import prepare
from fgf_keras.data.prepared.store import SliceStore

CONFIG = Path(__file__).parent.parent.parent / "configs" / "tcia.yaml"
SQUARE = [(1.5, 1.5), (1.5, 4.5), (4.5, 4.5), (4.5, 1.5)]
NODE = [(8.5, 12.5), (8.5, 14.5), (10.5, 14.5), (10.5, 12.5)]


def write_patient(root, patient_id, names, *, carried_over):
    """CT, PET and contours of one patient: `names` of primary and nodes as the files have them."""
    folder = root / patient_id / "08-27-1885-PANC. avec C.A. SPHRE ORL"
    ct = Stack(spacing=(1.0, 1.0))
    ct.write(folder / "3.000000-StandardFull", {i: {"PatientID": patient_id} for i in range(5)})
    pet = Stack(spacing=(4.0, 4.0), shape=(5, 8, 8), heights=np.arange(5) * 3.27)
    pet.study, pet.frame = ct.study, ct.frame
    pet.write(folder / "PET", {i: {"PatientID": patient_id, "Modality": "PT"} for i in range(5)})

    def structures(name, outline, description):
        regions = [
            (1, names[0], [ct.points(outline, h) for h in ct.heights[1:4]]),
            (2, names[1], [ct.points(NODE, h) for h in ct.heights[1:4]]),
            (3, "PTV", [ct.points(SQUARE, ct.heights[2])]),
        ]
        (folder / name).mkdir()
        ct.structure_set(
            folder / name / "1-1.dcm", regions, PatientID=patient_id, SeriesDescription=description
        )

    on_ct = "RTstruct_CTsim->CT(PET-CT)" if carried_over else "Pinnacle POI"
    structures("1.000000-a", L_SHAPE, on_ct)
    structures("1.000000-b", SQUARE, "RTstruct_CTsim->PET(PET-CT)")
    if carried_over:
        # The planning CT is another series in a frame of reference of its own.
        sim = Stack(spacing=(1.0, 1.0), origin=(0, 0, 0))
        sim.study = generate_uid()
        sim.write(folder / "sim", {i: {"PatientID": patient_id} for i in range(5)})


def write_tables(root, patients):
    clinical, regions = openpyxl.Workbook(), openpyxl.Workbook()
    for book in (clinical, regions):
        book.remove(book.active)
    for sheet in ("HGJ", "CHUS", "HMR", "CHUM"):
        page = clinical.create_sheet(sheet)
        page.append(["Patient #", "Sex", " Locoregional", "Distant ", "Death"])
        names = regions.create_sheet(sheet)
        names.append(["Patient", "Name GTV Primary", "Name GTV Lymph Nodes"])
        for patient_id, (label, primary, nodes) in patients.items():
            if f"-{sheet}-" in patient_id:
                page.append([patient_id, "M", 0.0, float(label), 0.0])
                names.append([patient_id, primary, nodes])
        page.append([])
        for note in ("0: no", "1: yes", "Time in days", "HPV: p16", "TNM: 7th edition"):
            page.append([note])
    clinical.save(root / "INFOclinical_HN_Version2_30may2018.xlsx")
    regions.save(root / "INFO_GTVcontours_HN.xlsx")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("Head-Neck-PET-CT")
    for patient_id, primary, carried_over in [
        ("HN-HGJ-001", "GTV", True),
        ("HN-CHUS-001", "GTV1", False),
        ("HN-HMR-001", "GTV primaire", True),
        ("HN-CHUM-001", "GTV-P", True),
    ]:
        write_patient(root, patient_id, (primary, "GTV ggs"), carried_over=carried_over)
    write_tables(
        root,
        {
            "HN-HGJ-001": (1, "gtv ", None),
            "HN-CHUS-001": (0, "GTV1, GTV GGS", None),
            "HN-HMR-001": (0, "GTV Primaire", "GTV ggs"),
            "HN-CHUM-001": (1, "GTV P", None),  # misspelt
        },
    )
    (root / "LICENSE").write_text("TCIA", encoding="utf-8")
    return root


def test_the_collection_is_read_as_it_is_downloaded(root, tmp_path):
    config = load_config(CONFIG, [f"data.root={root}", f"data.out={tmp_path / 'out'}", "data.size=16"])
    done = prepare(config.data)
    assert (done.patients, done.positive) == (3, 1)
    rows = {line["patient_id"]: line for line in SliceStore.reading(tmp_path / "out").cohort()}
    primary, node = int(l_mask((12, 16)).sum()), 4
    assert {name: int(line["pixels"]) for name, line in rows.items()} == {
        "HN-HGJ-001": primary,
        "HN-CHUS-001": primary + node,
        "HN-HMR-001": primary,
    }
    assert rows["HN-CHUS-001"]["roi_names"] == "GTV1; GTV ggs"
    (misspelt,) = [r for r in done.rejected if r.patient_id == "HN-CHUM-001"]
    assert misspelt.reason.startswith("No region fits 'GTV P'. There are: ")
    assert "1 'GTV-P'" in misspelt.reason
    assert [(r.patient_id, r.stage) for r in done.rejected if r.patient_id != "HN-CHUM-001"] == [("", "file")]


def test_both_columns_of_the_table_are_a_union(root, tmp_path):
    words = [f"data.root={root}", f"data.out={tmp_path / 'out'}", "data.size=16"]
    columns = "data.roi.table.name_columns=[Name GTV Primary,Name GTV Lymph Nodes]"
    prepare(load_config(CONFIG, [*words, columns]).data)
    rows = {line["patient_id"]: line for line in SliceStore.reading(tmp_path / "out").cohort()}
    assert rows["HN-HMR-001"]["roi_numbers"] == "1; 2"
    assert rows["HN-HGJ-001"]["roi_numbers"] == "1"


def test_the_contact_sheet_is_a_picture(root, tmp_path):
    words = [f"data.root={root}", f"data.out={tmp_path / 'out'}", "data.size=16"]
    prepare(load_config(CONFIG, words).data)
    result = CliRunner().invoke(app, ["preview", str(tmp_path / "out")])
    assert result.exit_code == 0
    assert (tmp_path / "out" / "preview.png").read_bytes().startswith(b"\x89PNG")
    result = CliRunner().invoke(app, ["preview", str(tmp_path)], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert "no prepared slices" in result.output
