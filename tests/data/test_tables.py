"""Tables of labels and of names of regions: read as they are typed, or refused with the place."""

import datetime
import warnings
import zipfile

import openpyxl
import pytest

from fgf_keras.data.tables import read_labels, read_region_names
from fgf_keras.errors import DataError

HEADER = ("Patient #", "Sex", "Age", "Locoregional", "Distant", "Death")
# As collected by hand in several hospitals: a header a sheet, stray blanks, floats, blank rows, notes below.
CLINICAL = {
    "North": [
        HEADER,
        ("N-001", "M", 60, 0, 1, 0),
        ("N-002", "F", 61.0, 0, 0.0, 1),
        (),
        ("Notes", None, None, None, None, None),
        ("Age: in years", None, None, None, None, None),
    ],
    "East ": [
        (),
        (None, None),
        ("Patient  #", " Sex", "Age", "Locoregional ", " distant ", "Death", None, None),
        (" E-001 ", "M", 60, 0, "1", 0),
        ("E-002", "M", 60, 0, True, 0),
        ("E-003", "M", 60, 0, "0.0", 0),
        (None, "", " ", None, None),
        ("Notes", None, None, None, None, None),
    ],
}
LABELS = {"N-001": 1, "N-002": 0, "E-001": 1, "E-002": 1, "E-003": 0}


def write(path, sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


@pytest.fixture
def clinical(tmp_path):
    return write(tmp_path / "clinical.xlsx", CLINICAL)


def labels(path, id_column="Patient #", label_column="Distant", **options):
    return read_labels(path, id_column=id_column, label_column=label_column, **options)


def regions(path, *name_columns, **options):
    return read_region_names(path, id_column="Patient", name_columns=name_columns, **options)


def csv_file(folder, text, name="table.csv", encoding="utf-8"):
    path = folder / name
    path.write_text(text, encoding=encoding)
    return path


def refused(read, *words):
    with pytest.raises(DataError) as caught:
        read()
    for word in words:
        assert word in str(caught.value)
    return str(caught.value)


def test_sheets_follow_one_another_whatever_their_headers_look_like(clinical):
    table = labels(clinical)
    assert table.labels == LABELS
    assert list(table.labels) == list(LABELS)
    assert {type(label) for label in table.labels.values()} == {int}
    assert list(table.places) == ["N-001", "N-002", "Notes", "Age: in years", "E-001", "E-002", "E-003"]
    assert table.places["E-001"] == "sheet 'East ' row 4"


def test_notes_below_a_table_are_no_patients_and_no_error(clinical):
    assert labels(clinical).unlabelled == {"Notes": "blank", "Age: in years": "blank"}


def test_only_the_sheets_that_are_named_are_read_in_their_order(clinical):
    assert list(labels(clinical, sheets=["East "]).labels) == ["E-001", "E-002", "E-003"]
    assert list(labels(clinical, sheets=["East ", "North", "North"]).labels)[-1] == "N-002"


def test_an_unknown_sheet_is_refused_with_those_that_are_there(clinical):
    refused(
        lambda: labels(clinical, sheets=["North", "West"]),
        "no sheet 'West'",
        "'North', 'East '",
        "data.sheets",
    )


def test_a_sheet_without_the_column_is_named_with_its_columns(tmp_path):
    rows = [["Patient #", "Distants", None], ["W-001", 1]]
    path = write(tmp_path / "c.xlsx", CLINICAL | {"West": rows})
    words = ["sheet 'West',", "no column 'Distant'", "mean 'Distants'", "Columns: 'Patient #', 'Distants'. "]
    refused(lambda: labels(path), *words, "data.label_column", "data.sheets")
    assert labels(path, sheets=["North", "East "]).labels == LABELS


def test_blank_sheets_are_passed_over_unless_they_are_asked_for(tmp_path):
    path = write(tmp_path / "c.xlsx", CLINICAL | {"Sheet2": [], "Sheet3": [(None, " ")]})
    assert labels(path).labels == LABELS
    refused(lambda: labels(path, sheets=["Sheet3"]), "'Sheet3'", "Columns: none")
    blank = write(tmp_path / "blank.xlsx", {"Sheet1": []})
    refused(lambda: labels(blank), "no sheet that holds anything", "'Sheet1'", "data.labels_file")


def test_a_column_that_is_there_twice_is_refused_only_where_it_is_wanted(tmp_path):
    rows = [("Patient", "Distant", "distant ", "Death"), ("A", 1, 0, 0)]
    path = write(tmp_path / "c.xlsx", {"S": rows})
    refused(lambda: labels(path, "Patient"), "'S'", "several columns 'Distant': 'Distant', 'distant'")
    assert labels(path, "Patient", "Death").labels == {"A": 0}


def test_columns_of_a_csv_differ_by_case_but_not_by_blanks(tmp_path):
    path = csv_file(tmp_path, "id; Distant  metastasis ;distant metastasis\nA;1;0\n")
    assert labels(path, "id", "Distant metastasis").labels == {"A": 1}
    refused(lambda: labels(path, "ID", "Distant metastasis"), "no column 'ID'", "mean 'id'", "data.id_column")


@pytest.mark.parametrize("cell", [2, 2.0, "2", " 2.00 ", "02"])
def test_a_class_is_a_whole_number_however_it_is_kept(tmp_path, cell):
    path = write(tmp_path / "c.xlsx", {"S": [("id", "class"), ("A", cell), ("B", True), ("C", False)]})
    assert labels(path, "id", "class").labels == {"A": 2, "B": 1, "C": 0}


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (None, "blank"),
        ("  ", "blank"),
        ("n/a", "'n/a'"),
        ("NA", "'NA'"),
        (-1, "'-1'"),
        (0.5, "'0.5'"),
        ("1,0", "'1,0'"),
        ("²", "'²'"),
        ("١", "'١'"),
        ("1e0", "'1e0'"),
        ("9" * 5000, repr("9" * 5000)),
        (datetime.datetime(1900, 1, 1), "'1900-01-01 00:00:00'"),
    ],
)
def test_what_is_no_class_is_kept_beside_its_id(tmp_path, cell, told):
    path = write(tmp_path / "c.xlsx", {"S": [("id", "class"), ("A", 1), ("B", cell), ("C", 0)]})
    table = labels(path, "id", "class")
    assert table.labels == {"A": 1, "C": 0}
    assert table.unlabelled == {"B": told}


def test_ids_are_text_as_it_stands(tmp_path):
    ids = ["001", " NA ", "1e5", "null", "True", "3-4", 7, 8.0, 9.5, 'O\'Neil; "x"']
    path = write(tmp_path / "c.xlsx", {"S": [("id", "class"), *((i, 1) for i in ids)]})
    expected = ["001", "NA", "1e5", "null", "True", "3-4", "7", "8", "9.5", 'O\'Neil; "x"']
    assert list(labels(path, "id", "class").labels) == expected
    path = csv_file(tmp_path, 'id;class\n001;1\n NA ;1\n8.0;1\n"a;b";1\n', encoding="utf-8-sig")
    assert list(labels(path, "id", "class").labels) == ["001", "NA", "8.0", "a;b"]


def test_numbers_that_are_kept_as_decimals_are_whole_ids(tmp_path):
    path = write(tmp_path / "c.xlsx", {"S": [("id", "class"), (7, 1), (8, 0)]})
    edit(path, "xl/worksheets/sheet1.xml", {b"<v>7</v>": b"<v>7.0</v>", b"<v>8</v>": b"<v>8.0E0</v>"})
    assert labels(path, "id", "class").labels == {"7": 1, "8": 0}


@pytest.mark.parametrize("cell", [0, 1, "?"])
def test_a_label_without_an_id_is_refused_with_its_place(tmp_path, cell):
    path = write(
        tmp_path / "c.xlsx", CLINICAL | {"West": [HEADER, ("W-1", "M", 60, 0, 0, 0), (" ", *[cell] * 5)]}
    )
    refused(lambda: labels(path), str(path), "'Patient #'", "sheet 'West' row 3.")


def test_a_row_that_ends_before_the_id_names_no_patient(tmp_path):
    path = csv_file(tmp_path, "class;id\n1;A\n0\n")
    refused(lambda: labels(path, "id", "class"), "'id'", "line 3")


def test_an_id_given_twice_is_refused_with_both_places(tmp_path):
    path = write(tmp_path / "c.xlsx", CLINICAL | {"West": [HEADER, ("N-002", "M", 60, 0, 0, 0)]})
    refused(lambda: labels(path), "more than once: N-002 (sheet 'North' row 3, sheet 'West' row 2).")


@pytest.mark.parametrize("order", [(1, None), (None, 1), ("x", 0)])
def test_an_id_with_and_without_label_is_refused(tmp_path, order):
    path = write(tmp_path / "c.xlsx", {"S": [("id", "class"), *(("A", cell) for cell in order)]})
    refused(lambda: labels(path, "id", "class"), "more than once: A (sheet 'S' row 2, sheet 'S' row 3)")


def test_the_same_note_below_each_sheet_is_no_id_given_twice(clinical):
    assert labels(clinical).places["Notes"] == "sheet 'North' row 5"


def test_a_table_without_ids_is_refused(tmp_path):
    path = csv_file(tmp_path, "id;sex;class\n;M;\n;F;\n")
    refused(lambda: labels(path, "id", "class"), str(path), "no row with an id")


def test_formulas_have_the_value_that_was_computed(tmp_path):
    path = write(tmp_path / "c.xlsx", {"S": [("id", "class"), ("A", "=1+0"), ("B", "=1-1")]})
    assert labels(path, "id", "class").unlabelled == {"A": "blank", "B": "blank"}
    # A spreadsheet program adds what it computed; openpyxl cannot.
    computed = {b"<f>1+0</f><v />": b"<f>1+0</f><v>1</v>", b"<f>1-1</f><v />": b"<f>1-1</f><v>0</v>"}
    edit(path, "xl/worksheets/sheet1.xml", computed)
    assert labels(path, "id", "class").labels == {"A": 1, "B": 0}


def test_rows_beyond_the_size_that_a_sheet_states_are_read(clinical):
    edit(clinical, "xl/worksheets/sheet1.xml", {b'<dimension ref="A1:F6" />': b'<dimension ref="A1:B2" />'})
    assert labels(clinical).labels == LABELS


def edit(path, member, replacements):
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for old, new in replacements.items():
        assert old in parts[member]
        parts[member] = parts[member].replace(old, new)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def test_merged_cells_and_formats_beside_the_table_change_nothing(tmp_path, clinical):
    book = openpyxl.load_workbook(clinical)
    book["North"].merge_cells("A6:F6")
    book["North"].merge_cells("A20:H21")
    book["North"]["Z50"].font = openpyxl.styles.Font(bold=True)
    book["North"]["J2"] = "a remark"
    book.save(clinical)
    assert labels(clinical).labels == LABELS
    assert len(labels(clinical).unlabelled) == 2


@pytest.mark.parametrize("suffix", [".XLSX", ".xlsm"])
def test_a_workbook_is_known_by_its_suffix(tmp_path, clinical, suffix):
    assert labels(clinical.rename(tmp_path / f"c{suffix}")).labels == LABELS


@pytest.mark.parametrize("suffix", [".xls", ".XLS", ".ods", ".xlsb"])
def test_a_workbook_of_another_format_is_refused(tmp_path, clinical, suffix):
    path = clinical.rename(tmp_path / f"c{suffix}")
    refused(lambda: labels(path), str(path), suffix.lower(), "Save it as XLSX or CSV")


def test_a_workbook_with_a_password_is_refused(tmp_path):
    path = tmp_path / "c.xlsx"
    path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(2000))
    refused(lambda: labels(path), str(path), "password")


def test_text_under_the_name_of_a_workbook_is_refused(tmp_path):
    refused(
        lambda: labels(csv_file(tmp_path, "id;class\nA;1\n", "c.xlsx")), "c.xlsx", "cannot be read", "CSV"
    )


def test_an_archive_that_is_no_workbook_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.xlsx", "w") as archive:
        archive.writestr("word/document.xml", "<x/>")
    refused(lambda: labels(tmp_path / "c.xlsx"), "c.xlsx", "cannot be read as a workbook")


def test_a_workbook_that_has_lost_a_sheet_is_refused(clinical):
    with zipfile.ZipFile(clinical) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if not name.endswith("sheet2.xml")}
    with zipfile.ZipFile(clinical, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    refused(lambda: labels(clinical), "clinical.xlsx", "lost the sheet 'East '")


def test_a_truncated_workbook_is_refused(clinical):
    whole = clinical.read_bytes()
    for length in [0, 1, *range(97, len(whole), 241), len(whole) - 1]:
        clinical.write_bytes(whole[:length])
        refused(lambda: labels(clinical), "clinical.xlsx", "cannot be read")


def test_a_damaged_workbook_is_refused_or_says_what_it_said(clinical, rng):
    whole = clinical.read_bytes()
    refusals = 0
    for _ in range(150):
        data = bytearray(whole)
        for at in rng.integers(len(data), size=3):
            data[at] ^= 1 << int(rng.integers(8))
        clinical.write_bytes(data)
        try:
            assert labels(clinical).labels == LABELS
        except DataError:
            refusals += 1
    assert refusals > 50


def test_a_missing_table_is_refused_with_what_to_set(tmp_path):
    refused(lambda: labels(tmp_path / "no.xlsx"), "no.xlsx", "data.labels_file")
    refused(lambda: labels(tmp_path), str(tmp_path), "data.labels_file")
    refused(lambda: regions(tmp_path / "no.csv", "Name"), "no.csv", "data.roi.table.file")


def test_sheets_of_a_csv_are_refused(tmp_path):
    path = csv_file(tmp_path, "id;class\nA;1\n")
    refused(lambda: labels(path, "id", "class", sheets=["North"]), "no sheets", "data.sheets names North")


@pytest.mark.parametrize("separator", ["", "::", '"', "\n"])
def test_an_impossible_separator_is_refused(tmp_path, separator):
    path = csv_file(tmp_path, "id;class\nA;1\n")
    refused(lambda: labels(path, "id", "class", separator=separator), "data.separator", repr(separator))


def test_a_csv_reads_like_the_workbook_it_was_saved_from(tmp_path):
    text = "\n,,\nPatient #,Distant ,x\nN-001,1,\nN-002,FALSE,\n\n,,\nNotes,,\nN-003\n"
    table = labels(csv_file(tmp_path, text), separator=",")
    assert table.labels == {"N-001": 1, "N-002": 0}
    assert table.unlabelled == {"Notes": "blank", "N-003": "blank"}
    assert table.places["Notes"] == "line 8"


@pytest.mark.parametrize("content", ['id;class\nA;1\n"B;0\nC;1\n', 'id;class\n"A"x;1\n'])
def test_quotes_that_do_not_match_are_refused(tmp_path, content):
    refused(lambda: labels(csv_file(tmp_path, content), "id", "class"), "not a table of text", "';'")


REGIONS = {
    "North": [
        ("Patient", "Name  GTV primary ", "Name GTV Lymph Nodes"),
        ("N-001", " GTV; 67.5gy , gtv n,,", "GTV N, GTV-2"),
        ("N-002", None, "GTV"),
        ("N-003", None, " , "),
        ("* as drawn", None, None),
    ],
    "East": [("Patient", "Name GTV Primary", "Name GTV Lymph Nodes"), ("E-001", 1.0, None), ("* as drawn",)],
}


def test_names_of_all_columns_are_joined_once(tmp_path):
    path = write(tmp_path / "r.xlsx", REGIONS)
    assert regions(path, "Name GTV Primary", "Name GTV Lymph Nodes") == {
        "N-001": ("GTV; 67.5gy", "gtv n", "GTV-2"),
        "N-002": ("GTV",),
        "N-003": (),
        "* as drawn": (),
        "E-001": ("1",),
    }
    assert regions(path, "Name GTV Lymph Nodes", sheets=["North"])["N-001"] == ("GTV N", "GTV-2")


def test_names_come_from_a_csv_too(tmp_path):
    path = csv_file(tmp_path, 'Patient,Name\nA,"GTV, GTVn"\nB,NA\n')
    assert regions(path, "Name", separator=",") == {"A": ("GTV", "GTVn"), "B": ("NA",)}


def test_a_table_of_names_is_refused_by_its_own_settings(tmp_path):
    path = write(tmp_path / "r.xlsx", REGIONS)
    refused(
        lambda: regions(path, "Name GTV"), "'North'", "data.roi.table.name_columns", "data.roi.table.sheets"
    )
    refused(lambda: regions(path, "Name GTV Primary", sheets=["West"]), "'West'", "data.roi.table.sheets")
    path = csv_file(tmp_path, "Patient,Name\nA,GTV\n")
    refused(lambda: regions(path, "Name"), "separator", "data.roi.table.id_column or data.separator")


@pytest.mark.parametrize("names", [("GTV", "GTV"), ("GTV", None), (None, "GTV")])
def test_an_id_with_two_rows_of_names_is_refused(tmp_path, names):
    more = [("Patient", "Name GTV Primary", "Name GTV Lymph Nodes"), *(("W-1", name, None) for name in names)]
    path = write(tmp_path / "r.xlsx", REGIONS | {"West": more})
    refused(lambda: regions(path, "Name GTV Primary"), "W-1 (sheet 'West' row 2, sheet 'West' row 3)")


def test_names_without_an_id_are_refused(tmp_path):
    path = csv_file(tmp_path, "Patient;Name\nA;GTV\n;GTV\n")
    refused(lambda: regions(path, "Name"), str(path), "'Patient'", "line 3")


def test_a_workbook_without_styles_is_read_without_a_warning(clinical):
    edit(
        clinical,
        "xl/styles.xml",
        {b"<styleSheet": b"<styleSheet><!--", b"</styleSheet>": b"--></styleSheet>"},
    )
    with pytest.warns(UserWarning, match="no stylesheet"):
        openpyxl.load_workbook(clinical)
    with warnings.catch_warnings(record=True, action="always") as caught:
        assert labels(clinical).labels == LABELS
    assert not caught


def test_the_published_table_has_its_counts(real_data):
    table = labels(real_data / "hn_cnn" / "canada.csv", "id")
    assert (len(table.labels), sum(table.labels.values()), table.unlabelled) == (298, 40, {})
