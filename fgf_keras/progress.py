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


def parallel(tasks, *, n_jobs: int, total: int, title: str, what: str):
    """The results of joblib tasks in their order, each as soon as it is there, with a progress bar.

    Args:
        tasks: of `joblib.delayed`.
        n_jobs: processes.
        total: how many tasks there are.
        title: of the bar.
        what: the plural of what is counted.
    """
    # Here, so that bars of training do not wait for it.
    import joblib

    with progress_bar(RateColumn(what)) as progress, joblib.Parallel(n_jobs, return_as="generator") as pool:
        yield from progress.track(pool(tasks), total=total, description=title)
