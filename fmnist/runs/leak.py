"""Runs whose epoch the test images chose (`data.select_on=test`), wherever runs are shown."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fmnist.runs.run import Run

LEAK = "data.select_on=test: the test images choose the epoch; no accuracy of this run is clean"


def leaks(run: "Run") -> bool:
    """By what its data were or, before it has read them, by its configuration.

    Configurations of before the setting existed lack it: they are clean.
    """
    data = run.record.dataset
    return (run.config["data"].get("select_on") if data is None else data.select_on) == "test"


def leak_warning(leaking: int, total: int) -> str:
    """What to say of `total` runs shown together; "" where none leaks. Of one: LEAK."""
    if not leaking:
        return ""
    return (
        f"data.select_on=test in {leaking} of {total} runs: the test images choose the epoch; "
        "no accuracy of these runs is clean"
    )
