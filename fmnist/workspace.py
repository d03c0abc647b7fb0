"""`python -m fmnist.workspace`: the saved W&B view of this project, and a report draft a study.

The view has the curves first, the factors and the results as columns, parallel coordinates and
parameter importance, of all runs. A report has the panels of its study, grouped by what the study
varies, over its own runs alone.
Needs `pip install 'fmnist[workspaces]'`, and a W&B account to upload; --json needs no account.
"""

from collections.abc import Sequence
from pathlib import Path

from fmnist.config.folders import own_folder
from fmnist.runs.command import add_config_dir, command, command_parser, start
from fmnist.tracking.workspace import build_and_save


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("workspace", __doc__)
    parser.add_argument("--entity", help="account or team; otherwise the key's own")
    parser.add_argument("--project", default="fmnist")
    parser.add_argument(
        "--report", nargs="+", default=[], metavar="STUDY", help="also draft a report of each"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write what would be uploaded, upload nothing"
    )
    add_config_dir(parser)
    options = parser.parse_args(arguments)
    with own_folder(options.config_dir):
        build_and_save(options.entity, options.project, options.report, options.json)
    return 0


if __name__ == "__main__":
    start(main)
