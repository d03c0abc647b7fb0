"""Whether runs whose configuration asked for the same data had the same data.

A configuration has the name of a set and what was taken of it, and not what lies in its files:
pictures in folders may have changed between two seeds, and two files may have one name.
"""

from collections.abc import Iterable, Mapping

from fmnist.data.facts import DatasetFacts, same_sums
from fmnist.runs.own_code import not_the_same


def data_in_words(runs: Iterable[tuple[Mapping[str, str], DatasetFacts | None]]) -> list[str]:
    """ "photos is not the same data in all runs: 2 have one, 1 another".

    Args:
        runs: of those that are shown together, the settings by dotted name, and the data; None:
            not known, as of a table's.
    """
    asked: dict[frozenset[tuple[str, str]], list[list[DatasetFacts]]] = {}
    for settings, facts in runs:
        if facts is None:
            continue
        what = frozenset(pair for pair in settings.items() if pair[0].startswith("data."))
        versions = asked.setdefault(what, [])
        same = (v for v in versions if same_sums(v[0].checksums, facts.checksums))
        if (version := next(same, None)) is None:
            versions.append(version := [])
        version.append(facts)
    return [
        words
        for versions in asked.values()
        for words in not_the_same(versions[0][0].name, "data", map(len, versions))
    ]
