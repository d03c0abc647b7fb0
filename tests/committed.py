"""What the committed results say of the project's claims: read and judged once a process.

To judge all of them takes seconds, and several files of tests compare something with it.
"""

from collections.abc import Iterable, Sequence
from functools import cache

from fmnist.evidence.claim import Claim
from fmnist.evidence.claim_file import CLAIMS_DIR, RESULTS_DIR, load_claims
from fmnist.evidence.collect import study_rows
from fmnist.evidence.outcome import Outcome, evaluate
from fmnist.runs.rows import Row


@cache
def committed_rows() -> list[Row]:
    return study_rows(RESULTS_DIR)


@cache
def committed_outcomes() -> list[Outcome]:
    return evaluate(load_claims(CLAIMS_DIR), committed_rows())


def judged_once(
    claims: Sequence[Claim], rows: Iterable[Row], only: Sequence[str] = ()
) -> list[Outcome]:
    """In the place of `evaluate`: asked of those claims and rows, it gives what is there."""
    rows = list(rows)
    if not only and list(claims) == load_claims(CLAIMS_DIR) and rows == committed_rows():
        return list(committed_outcomes())
    return evaluate(claims, rows, only)
