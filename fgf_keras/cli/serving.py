"""The subcommands for served models: export, explain and bench-serving."""

import json
from typing import Annotated

import rich.table
import typer

from fgf_keras._backend import import_tensorflow
from fgf_keras.cli.errors import reported
from fgf_keras.errors import ConfigError
from fgf_keras.progress import console
from fgf_keras.run.folder import RunFolder


@reported
def export(
    run: Annotated[str, typer.Option(help="Run folder, e.g. runs/phantom/latest.")],
    version: Annotated[
        int | None, typer.Option(min=1, help="Version number; by default the next one.")
    ] = None,
    jit_compile: Annotated[
        bool,
        typer.Option("--jit-compile", help="Compile with XLA; the server then needs XLA for its device."),
    ] = False,
) -> None:
    """Export the model of a finished run as a SavedModel for TensorFlow Serving."""
    folder = RunFolder.open(run)
    import_tensorflow()
    from fgf_keras.commands.export import export_run

    console.print(
        f"SavedModel: {export_run(folder, version=version, jit_compile=jit_compile)}", soft_wrap=True
    )


@reported
def explain(
    saved_model: Annotated[str, typer.Option(help="Folder of an export, or of its versions.")],
    images: Annotated[
        str,
        typer.Option(help="PNG slice or folder of PNG slices, NIfTI, NRRD, DICOM folder, prepared slices."),
    ],
    mask: Annotated[str | None, typer.Option(help="Volume that marks the tumour, for NIfTI or NRRD.")] = None,
    window: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Lower and upper end in HU; by default that of the export."),
    ] = None,
    clinical: Annotated[
        str | None,
        typer.Option(help="Table (CSV, XLSX) with the clinical columns that the model takes, by patient."),
    ] = None,
    out: Annotated[str, typer.Option(help="Folder to write to.")] = "explanations",
    overrides: Annotated[
        list[str] | None, typer.Argument(help="data.key=value, e.g. data.roi.names=[GTV]")
    ] = None,
) -> None:
    """Explain patients with an exported model: one JSON file and one picture per patient."""
    from fgf_keras.data.unlabelled import require_images

    if window is not None and not window[0] < window[1]:
        raise ConfigError(f"--window must be low, then high. Received: {window[0]:g} {window[1]:g}.")
    # Checked before TensorFlow is loaded, which takes seconds.
    require_images(images)
    import_tensorflow()
    from fgf_keras.commands.explain_served import explain_images

    folder = explain_images(
        saved_model,
        images,
        out,
        mask=mask,
        window=window,
        clinical=clinical,
        overrides=tuple(overrides or ()),
    )
    console.print(f"Written: {folder}", soft_wrap=True)


@reported
def bench_serving(
    saved_model: Annotated[str, typer.Option(help="Folder of an export, or of its versions.")],
    seconds: Annotated[
        float, typer.Option(min=0.01, help="Seconds per signature, batch size and number of callers.")
    ] = 3.0,
    requests: Annotated[
        int, typer.Option(min=100, help="Number of requests over which memory is watched.")
    ] = 10_000,
) -> None:
    """Measure throughput, latency, memory and cold start of an export; the last line printed is JSON."""
    import_tensorflow()
    from fgf_keras.serving.bench import cold_start, memory, throughput
    from fgf_keras.serving.load import load_saved_model

    path = load_saved_model(saved_model).path
    tables = {
        "cold start": [{"warm-up": warm, **cold_start(path, warm=warm)} for warm in (False, True)],
        "throughput": throughput(path, seconds=seconds),
        "memory": memory(path, requests=requests),
    }
    for title, rows in tables.items():
        table = rich.table.Table(*rows[0], title=title)
        for row in rows:
            table.add_row(*(f"{value}" for value in row.values()))
        console.print(table)
    console.print(json.dumps(tables), soft_wrap=True, highlight=False)
