"""What every measurement is as a command."""

import sys
from collections.abc import Callable

from fmnist.errors import UserError
from fmnist.sweeps.launch import sigterm_exits


def command(main: Callable[[], None]) -> None:
    """Run it: an error is one line, and SIGTERM also ends the process that it waits for."""
    try:
        with sigterm_exits():
            main()
    except UserError as error:
        sys.exit(f"error: {error}")
