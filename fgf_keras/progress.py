"""Progress bars: a rate and an estimate on a terminal, nothing anywhere else."""

import rich.console
import rich.progress
import rich.text


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


class RateColumn(rich.progress.ProgressColumn):
    """How many are done a second.

    Args:
        what: the plural of what is counted.
    """

    def __init__(self, what: str):
        super().__init__()
        self.what = what

    def render(self, task: rich.progress.Task) -> rich.text.Text:
        """The rate over the last seconds; nothing until the first is done."""
        speed = task.finished_speed or task.speed
        return rich.text.Text(f"{speed:.1f} {self.what}/s" if speed else "")
