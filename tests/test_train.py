"""One run from end to end, in process."""

from itertools import product

import pytest

CELLS = list(
    product(("lenet5", "fashioncnn", "googlenet"), ("sgd", "adam", "rmsprop"), ("off", "on"))
)


@pytest.mark.parametrize(("model", "optim", "aug"), CELLS)
def test_every_combination_trains(run_tiny, model, optim, aug):
    run = run_tiny(f"model={model}", f"optim={optim}", f"aug={aug}")
    assert run.record["status"] == "finished"
