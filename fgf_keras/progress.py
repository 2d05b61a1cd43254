"""Progress bars: a rate and an estimate on a terminal, nothing anywhere else."""

import rich.console
import rich.progress


def progress_bar(*columns) -> rich.progress.Progress:
    """A rich progress bar with the default columns, done of total, and more columns; gone when it is done."""
    console = rich.console.Console(stderr=True)
    return rich.progress.Progress(
        *rich.progress.Progress.get_default_columns(),
        rich.progress.MofNCompleteColumn(),
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
