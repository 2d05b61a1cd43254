"""How long is left is told from what was done."""

import rich.progress

from fgf_keras.progress import TimeLeftColumn


def told(column, clock, total, before, steps):
    """What the column says after each of the steps, which take so many seconds."""
    with rich.progress.Progress(disable=True, get_time=lambda: clock[0]) as bar:
        task = bar.add_task("", total=total, completed=before, before=before)
        said = [column.render(bar.tasks[0]).plain]
        for seconds in steps:
            clock[0] += seconds
            bar.advance(task)
            said.append(column.render(bar.tasks[0]).plain)
        clock[0] += 10
        return [*said, column.render(bar.tasks[0]).plain]


def test_the_time_left_is_the_mean_step_times_the_steps_left_and_runs_down():
    assert told(TimeLeftColumn(), [0.0], 10, 0, [100, 300]) == [
        "-:--:-- left",
        "0:15:00 left",
        "0:26:40 left",
        "0:26:30 left",
    ]


def test_what_was_done_before_took_no_time():
    assert told(TimeLeftColumn(), [0.0], 10, 8, [60])[1] == "0:01:00 left"
