"""A run's log, which is a file in UTF-8."""

import logging

import yaml

from fmnist.config.schema import CONF_DIR
from fmnist.process.messages import run_log


def test_a_line_about_a_name_that_is_no_text_is_in_the_log(tmp_path):
    """Of other encodings: a file of one's own called so, such as a picture's, is told of."""
    text = (CONF_DIR / "hydra/job_logging/plain.yaml").read_text(encoding="utf-8")
    settings = yaml.safe_load(text)["handlers"]["file"]
    given = {key: settings[key] for key in ("encoding", "errors") if key in settings}
    handler = logging.FileHandler(tmp_path / "hydras.log", **given)
    handler.handle(logging.makeLogRecord({"msg": "caf\udce9.txt: left out", "name": "fmnist"}))
    handler.close()
    with run_log(tmp_path / "ours.log"):
        logging.getLogger("fmnist").info("caf\udce9.txt: left out")
    for name in ("hydras", "ours"):
        assert r"caf\udce9.txt: left out" in (tmp_path / f"{name}.log").read_text(encoding="utf-8")
