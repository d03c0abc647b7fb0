"""`python -m fmnist.schema [CONF]`: JSON schemas, by which editors check and complete YAML files.

CONF is a folder of configurations, one's own or that of the checkout; the schemas go to .schema/
beside it, and files that do not name theirs are listed with the line that does. Exit code 0.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from fmnist.config.folders import read_yaml, yaml_files
from fmnist.config.schema import CONF_DIR
from fmnist.errors import ConfigError
from fmnist.runs.command import command, command_parser, start
from fmnist.runs.run import write_atomically, writing
from fmnist.runs.text import shown


def write_schemas(folder: Path) -> Path:
    """The schemas of a folder of configurations, its own targets among them; where they lie.

    Raises:
        ConfigError, RunError: there is no such folder; they cannot be written.
    """
    from fmnist.config.json_schema import schemas

    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder of configurations")
    sys.path.insert(0, str(Path.cwd()))  # nets that belong to no package
    out = folder.absolute().parent / ".schema"
    with writing():
        out.mkdir(exist_ok=True)
        for name, schema in schemas(dict.fromkeys([CONF_DIR, folder])).items():
            content = json.dumps(schema, indent=1, ensure_ascii=False)
            write_atomically(out / f"{name}.json", content.encode())
    return out


def without_line(folder: Path) -> list[tuple[Path, str]]:
    """Files that do not name their schema, and the line that would."""
    from fmnist.config.json_schema import modeline

    lines = [(path, modeline(path, folder)) for path in yaml_files(folder)]
    return [(path, line) for path, line in lines if line not in read_yaml(path).splitlines()]


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("schema", __doc__)
    parser.add_argument(
        "folder", nargs="?", metavar="CONF", type=Path, default=Path("conf"),
        help="folder of configurations; default: conf",
    )  # fmt: skip
    folder = parser.parse_args(arguments).folder
    out = write_schemas(folder)
    print(f"{shown(out)}: {len(list(out.glob('*.json')))} schemas")
    for path, line in without_line(folder):
        print(f"{path}: names no schema; its line: {line}")
    return 0


if __name__ == "__main__":
    start(main)
