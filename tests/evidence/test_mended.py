"""Rows that a fault of ours has touched, which was mended since."""

import re
from dataclasses import replace

import pytest

from fmnist.evidence.mended import MENDED, is_touched, touched_words
from tests.evidence.test_claims import row

BF16 = ("trainer.precision=bf16-mixed",)
BEFORE, AFTER = "2026-11-28T00:00:00+00:00", "2026-11-30T00:00:00+00:00"


@pytest.mark.parametrize(
    ("overrides", "started", "touched"),
    [
        ((*BF16, "aug=on"), BEFORE, True),  # turns
        ((*BF16, "aug=small", "aug.degrees=0"), BEFORE, True),  # shifts by fractions
        ((*BF16, "aug=flip_shift"), BEFORE, False),
        (("trainer.precision=32-true", "aug=on"), BEFORE, False),
        ((*BF16, "aug=on"), AFTER, False),
        ((*BF16, "aug=flip_shift_erase"), BEFORE, False),
    ],
)
def test_what_was_computed_in_bf16_by_mistake(overrides, started, touched):
    assert BEFORE < MENDED < AFTER
    assert is_touched(row(*overrides, started=started)) == touched


def test_the_rows_that_count_are_told_and_what_another_training_gave():
    old = [row(*BF16, "aug=on", seed=s, started=BEFORE, test_acc=90.0 + s / 10) for s in range(3)]
    (words,) = touched_words(old)
    assert words.startswith("**A fault of ours:** 3 of 3 runs ")
    assert words.endswith("they are to be trained again.")
    new = [row(*BF16, "aug=on", seed=s, started=AFTER, test_acc=89.5 + s / 10) for s in range(2)]
    (words,) = touched_words([*old, *new])
    assert words.startswith("**A fault of ours:** 1 of 3 runs ")
    assert "Trained again, test accuracy changed by -0.50 [" in words
    assert "points over 2 seeds" in words
    for rate, change in (("0.01", -0.2), ("0.1", 0.3)):  # of three settings, least and most
        for started, more in ((BEFORE, 0.0), (AFTER, change)):
            new += [row(*BF16, "aug=on", f"optim.lr={rate}", seed=s, started=started,
                        test_acc=80 + s / 10 + more) for s in range(2)]  # fmt: skip
    (words,) = touched_words([*old, *new])
    assert re.search(r"changed in 3 settings by -0.50 \[\S+ \S+ points .*\) to \+0.30 \[", words)
    new = new[:2]
    another = row(*BF16, "aug=on", seed=7, started=AFTER, test_acc=89.0)
    assert touched_words([*old, another])[0].endswith("they are to be trained again.")
    named = replace(old[0], facts=old[0].facts | {"study": "s1_models", "experiment": "s1_main"})
    assert "(1 of s1_main in `s1_models`)" in touched_words([named])[0]
    third = row(*BF16, "aug=on", seed=2, started=AFTER, test_acc=89.7)
    assert touched_words([*old, *new, third]) == []
