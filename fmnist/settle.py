"""`python -m fmnist.settle STUDY ...`: run studies look by look until their claims are decided.

A study is a file of conf/ablation, or of ablation/ in the folder that --config-dir names. Takes the
open claim whose next look costs least, first looks before second ones, runs the seeds that it lacks
as `python -m fmnist.train ablation=STUDY ... seed=...` would, judges, and goes on until every claim
is decided or has had its last look. Runs in results/, multirun/ and outputs/ count; those that
failed are run once more before they do. What changes no result may be added:
hydra/launcher=joblib, logger=none. The same command again goes on where it was stopped.
Exit code 0: every claim is decided, or open at its last look; 1: runs failed.
"""

from collections.abc import Sequence

from fmnist.config.folders import own_folder
from fmnist.evidence.claim_file import asked_claims
from fmnist.runs.command import add_config_dir, command, command_parser, start
from fmnist.sweeps.look_by_look import look_by_look
from fmnist.sweeps.settle import check_studies


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("settle", __doc__)
    parser.add_argument("words", nargs="+", metavar="STUDY|OVERRIDE",
                        help="studies, and what fmnist.train is given beside")  # fmt: skip
    parser.add_argument("--claims", metavar="FOLDER", help="of your own claims, YAML files")
    add_config_dir(parser)
    options = parser.parse_intermixed_args(arguments)
    extra = [word for word in options.words if "=" in word]
    studies = list(dict.fromkeys(word for word in options.words if word not in extra))
    if not studies:
        parser.error("no study is named")
    with own_folder(options.config_dir):
        check_studies(studies, extra)
        if options.config_dir is not None:  # the sweeps that it starts find the same files
            extra += ["--config-dir", str(options.config_dir)]
        return look_by_look(studies, extra, asked_claims(options.claims))


if __name__ == "__main__":
    start(main)
