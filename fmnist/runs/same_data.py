"""Whether runs whose configuration asked for the same data had the same data.

A configuration has the name of a set and what was taken of it, and not what lies in its files:
pictures in folders may have changed between two seeds, and two files may have one name.
"""

from collections.abc import Hashable, Iterable

from fmnist.data.facts import DatasetFacts, same_sums


def data_in_words(asked: Iterable[tuple[Hashable, DatasetFacts | None]]) -> list[str]:
    """ "photos is not the same data in all runs: 2 have one, 1 another".

    Args:
        asked: of runs that are shown together, what each asked for and what it got; None: not
            known, as of a table's.
    """
    groups: dict[Hashable, list[list[DatasetFacts]]] = {}
    for what, facts in asked:
        if facts is None:
            continue
        versions = groups.setdefault(what, [])
        for version in versions:
            if same_sums(version[0].checksums, facts.checksums):
                version.append(facts)
                break
        else:
            versions.append([facts])
    said = []
    for versions in groups.values():
        first, *others = sorted(map(len, versions), reverse=True)
        if others:
            have = ", ".join([f"{first} have one", *(f"{count} another" for count in others)])
            said.append(f"{versions[0][0].name} is not the same data in all runs: {have}")
    return said
