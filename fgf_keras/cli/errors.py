"""Error reporting of the commands: a message and an exit code instead of a traceback."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import rich.console
import rich.markup
import typer

from fgf_keras.errors import FgfError

P = ParamSpec("P")
R = TypeVar("R")

_errors = rich.console.Console(stderr=True)


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Print errors raised on purpose as a message, without a traceback, and exit with status 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
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
                "Stopped. A folder that is not finished contains a file UNFINISHED. `fgf prepare` continues "
                "where it stopped, and so does a run of several trials with `python train.py --resume "
                "FOLDER`; a single training must start again.",
                soft_wrap=True,
            )
            raise typer.Exit(130) from None

    return run
