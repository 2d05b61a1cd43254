"""What is printed: the console, and progress bars with a rate and an estimate, only on a terminal."""

import rich.console
import rich.progress
import rich.text

console = rich.console.Console()


def progress_bar(*columns, long_steps: bool = False) -> rich.progress.Progress:
    """A rich progress bar with the default columns, done of total, and more columns; gone when it is done.

    Args:
        columns: the more.
        long_steps: steps of minutes: the time left is estimated from all of them, not from the last seconds.
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


class TimeLeftColumn(rich.progress.ProgressColumn):
    """The time left, from the mean time of the steps done since the bar began.

    The field `before` of a task is how many were done already, which took no time.
    """

    def __init__(self):
        super().__init__()
        self._done, self._until = 0, 0.0

    def render(self, task: rich.progress.Task) -> rich.text.Text:
        """Hours, minutes and seconds; nothing known until the first step is done."""
        done, elapsed = task.completed - task.fields.get("before", 0), task.elapsed or 0.0
        if done != self._done:
            self._done, self._until = done, elapsed
        if not done:
            return rich.text.Text("-:--:-- left", style="progress.remaining")
        end = self._until * (1 + task.remaining / done)
        seconds = max(0, round(end - elapsed))
        text = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"
        return rich.text.Text(text, style="progress.remaining")


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
