"""Runs whose epoch the test images chose (`data.select_on=test`), wherever runs are shown."""

from fmnist.runs.run import Run
from fmnist.runs.text import selects_on_test


def leaks(run: Run) -> bool:
    """By what its data were or, before it has read them, by its configuration."""
    data = run.record.dataset
    return selects_on_test(run.config["data"].get("select_on") if data is None else data.select_on)


def leak_warning(leaking: int, total: int) -> str:
    """What to say of `total` runs shown together; "" where none leaks. Of one: `terminal.LEAK`."""
    if not leaking:
        return ""
    return (
        f"data.select_on=test in {leaking} of {total} runs: the test images choose the epoch; "
        "no accuracy of these runs is clean"
    )
