"""The console, and progress bars with a rate and an estimate of the time left, shown only on a terminal."""

from collections.abc import Iterable, Iterator
from typing import Any

import rich.console
import rich.progress
import rich.text

console = rich.console.Console()


def progress_bar(*columns: rich.progress.ProgressColumn, long_steps: bool = False) -> rich.progress.Progress:
    """A rich progress bar with the default columns and "done/total"; it disappears when it is finished.

    Args:
        columns: additional columns.
        long_steps: for steps that take minutes: the time left is estimated from all finished steps, not from
            the last seconds.
    """
    stderr = rich.console.Console(stderr=True)
    default = rich.progress.Progress.get_default_columns()
    if long_steps:
        default = (*default[:-1], TimeLeftColumn())
    return rich.progress.Progress(
        *default,
        rich.progress.MofNCompleteColumn(),
        *columns,
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )


class RateColumn(rich.progress.ProgressColumn):
    """Items per second.

    Args:
        what: what is counted, in the plural.
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def render(self, task: rich.progress.Task) -> rich.text.Text:
        """The rate over the last seconds; empty until the first item is done."""
        speed = task.finished_speed or task.speed
        return rich.text.Text(f"{speed:.1f} {self.what}/s" if speed else "")


class TimeLeftColumn(rich.progress.ProgressColumn):
    """The time left, estimated from the mean duration of the steps done since the bar started.

    The field `before` of a task is the number of steps that were already done and took no time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._done, self._until = 0, 0.0

    def render(self, task: rich.progress.Task) -> rich.text.Text:
        """Hours, minutes and seconds; a placeholder until the first step is done."""
        done, elapsed = task.completed - task.fields.get("before", 0), task.elapsed or 0.0
        if done != self._done:
            self._done, self._until = done, elapsed
        if not done:
            return rich.text.Text("-:--:-- left", style="progress.remaining")
        end = self._until * (1 + task.remaining / done)
        seconds = max(0, round(end - elapsed))
        text = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"
        return rich.text.Text(text, style="progress.remaining")


def parallel(tasks: Iterable[Any], *, n_jobs: int, total: int, title: str, what: str) -> Iterator[Any]:
    """Yield the results of joblib tasks in order, each as soon as it is available, with a progress bar.

    Args:
        tasks: created with `joblib.delayed`.
        n_jobs: number of processes.
        total: number of tasks.
        title: of the progress bar.
        what: what is counted, in the plural.
    """
    # Imported here, so that progress bars of training do not wait for it.
    import joblib

    with progress_bar(RateColumn(what)) as progress, joblib.Parallel(n_jobs, return_as="generator") as pool:
        yield from progress.track(pool(tasks), total=total, description=title)
