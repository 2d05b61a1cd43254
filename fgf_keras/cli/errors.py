"""How the commands end when something is wrong."""

import functools

import rich.console
import rich.markup
import typer

from fgf_keras.errors import FgfError

_errors = rich.console.Console(stderr=True)


def reported(command):
    """Print errors made on purpose as a message, not a traceback, and exit with 1."""

    @functools.wraps(command)
    def run(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except FgfError as error:
            _errors.print(
                f"[bold red]{type(error).__name__}:[/] {rich.markup.escape(str(error))}",
                highlight=False,
                soft_wrap=True,
            )
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            _errors.print(
                "Stopped. A folder that is not finished has a file UNFINISHED in it; `fgf prepare` goes on "
                "where it stopped, what has several trials with `python train.py --resume FOLDER`, a single "
                "training begins anew.",
                soft_wrap=True,
            )
            raise typer.Exit(130) from None

    return run
