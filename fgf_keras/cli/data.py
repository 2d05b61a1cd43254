"""The subcommands for data: prepare, preview, phantom and inspect."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import rich.markup
import typer

from fgf_keras.cli.errors import reported
from fgf_keras.config import load_config
from fgf_keras.config.data import PREPARED_FROM
from fgf_keras.errors import ConfigError, DataError
from fgf_keras.files import whole_file
from fgf_keras.progress import console


@reported
def prepare(
    config: Annotated[str, typer.Option(help="YAML file, e.g. configs/tcia.yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value, e.g. data.root=DIR")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; by default one per core.")] = None,
) -> None:
    """Prepare slices from CT with RTSTRUCT or SEG, or from NIfTI or NRRD; only missing ones are prepared."""
    data = load_config(config, overrides or ()).data
    if data.source not in PREPARED_FROM:
        raise ConfigError(
            f"data.source: {data.source!r} needs no preparation; {' and '.join(PREPARED_FROM)} do."
        )
    from fgf_keras.data.prepared.prepare import prepare as prepare_slices

    preparation = prepare_slices(data, n_jobs=jobs or os.cpu_count() or 1)
    console.print(preparation.summary(), highlight=False, soft_wrap=True)
    console.print(
        f"Prepared slices: {preparation.folder}. To look at them: fgf preview {preparation.folder}",
        soft_wrap=True,
    )


@reported
def preview(
    folder: Annotated[str, typer.Argument(help="Folder of prepared slices.")],
    window: Annotated[
        tuple[float, float], typer.Option(help="Lower and upper end in HU, e.g. --window -50 300")
    ] = (-160, 240),
    out: Annotated[str | None, typer.Option(help="PNG to write; by default FOLDER/preview.png.")] = None,
) -> None:
    """Draw all prepared slices with the outline of the tumour on one page, for inspection before training."""
    from fgf_keras.data.prepared.cohort import sheet_entries
    from fgf_keras.data.prepared.preview import contact_sheet
    from fgf_keras.data.prepared.store import SliceStore

    store = SliceStore.reading(Path(folder))
    path = Path(out) if out else Path(folder) / "preview.png"
    if not path.parent.is_dir():
        raise DataError(
            f"The folder {str(path.parent)!r} does not exist. Give --out a file in an existing folder."
        )
    sheet = contact_sheet(sheet_entries(store), window=window)
    with whole_file(path) as unfinished:
        sheet.save(unfinished, format="PNG")
    console.print(f"Contact sheet: {path}", soft_wrap=True)


@reported
def phantom(
    dicom: Annotated[str, typer.Option(help="Folder to write to: new or empty.")],
    config: Annotated[str, typer.Option(help="YAML file.")] = "configs/phantom_dicom.yaml",
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key.sub=value, e.g. data.phantom.patients=50")
    ] = None,
    slices: Annotated[int, typer.Option(min=5, help="CT slices per patient.")] = 7,
    slice_mm: Annotated[float, typer.Option(min=0.1, help="mm between slices.")] = 3.0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; by default one per core.")] = None,
) -> None:
    """Write the synthetic cohort as CT, RTSTRUCT, SEG and tables, to try DICOM without a download."""
    settings = load_config(config, overrides or ())
    data = settings.data
    if data.source != "dicom":
        raise ConfigError(
            f"data.source: {data.source!r} does not read DICOM, so it could not read what is written. "
            "Take configs/phantom_dicom.yaml, or one like it."
        )
    from fgf_keras.data.phantom.dicom_folder import write_phantom_dicom

    phantom_files = write_phantom_dicom(
        Path(dicom),
        data.phantom,
        size=data.edge,
        spacing=data.spacing[-2:],
        seed=settings.phantom_seed,
        slices=slices,
        slice_mm=slice_mm,
        n_jobs=jobs or os.cpu_count() or 1,
    )
    keys = [key for key in overrides or () if not key.startswith("data.root=")]
    if Path(dicom) != data.root_folder:
        keys.append(f"data.root={dicom}")
    next_command = shlex.join(["fgf", "prepare", "--config", config, *keys])
    console.print(
        f"{phantom_files.summary()} Folder: {dicom}\nNext: {next_command}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@reported
def inspect_dicom(
    folder: Annotated[str | None, typer.Argument(help="Folder of DICOM files, in any layout.")] = None,
    roi: Annotated[
        str | None, typer.Option(help="Pattern of region names: show which regions match.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="YAML file: show which region and slice it would choose.")
    ] = None,
) -> None:
    """List the contents of a DICOM folder: CT series, regions of RTSTRUCT and SEG, unusable files."""
    from fgf_keras.data.dicom.inspect import inspect_folder, inspect_table
    from fgf_keras.data.dicom.patient import table_names

    data = load_config(config, [f"data.root={folder}"] if folder else []).data if config else None
    if data and data.source != "dicom":
        raise ConfigError(f"{config} has data.source={data.source!r}; only 'dicom' has something to inspect.")
    if folder:
        root = Path(folder)
    elif data:
        root = data.root_folder
    else:
        raise ConfigError("Nothing to inspect: give a folder, or --config with data.root.")
    rows, index = inspect_folder(root, pattern=roi, config=data)
    console.print(inspect_table(rows))
    tables = table_names(data) if data else set()
    unusable_files = [(n, file) for n, file in enumerate(index.rejected, start=1) if file.path not in tables]
    patients, unusable = len({row[0] for row in rows}), len(unusable_files)
    console.print(
        f"{patients} patient{'s' * (patients != 1)}, "
        f"{unusable} file{'s' * (unusable != 1)} that cannot be used"
    )
    for number, file in unusable_files:
        line = f"  File {number}, {file.path}: {file.reason} {file.remedy}"
        console.print(rich.markup.escape(line), soft_wrap=True)
