"""Odd records, manifests and predictions: each is named with its reason, and the rest is shown.

Run directories come from anybody: half copied, edited by hand, of another version, made to harm.
"""

import io
import json
import os
import signal
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmnist.claims import main as claims
from fmnist.errors import RunError
from fmnist.evaluate import main as evaluate
from fmnist.report import main as report
from fmnist.results import main as results
from fmnist.runs.bits import read_right
from fmnist.runs.find import find_runs
from fmnist.runs.plain import LARGEST
from fmnist.runs.record import METRICS
from fmnist.runs.rows import FACTS, Row
from fmnist.runs.rows_file import read_rows, write_rows
from fmnist.runs.run import load_run
from fmnist.status import main as status
from tests.records import a_record, an_epoch, plain, put_predictions, put_record

ESCAPE = "\x1b[31m"
Change = Callable[[dict[str, Any]], Any]


def at(record: Any, path: list[str]) -> Any:
    for step in path:
        record = record[int(step) if isinstance(record, list) else step]
    return record


def put(key: str, value: Any) -> Change:
    """Set a value, at a path with dots where there is more than one step."""
    *path, last = key.split(".")
    return lambda record: at(record, path).update({last: value})


def without(key: str) -> Change:
    *path, last = key.split(".")
    return lambda record: at(record, path).pop(last)


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


# What is wrong, and a word of the reason.
CHANGES: dict[str, tuple[Change, str]] = {
    f"no {key}": (without(key), f"has no {key}")
    for key in ("status", "config_hash", "choices", "overrides", "config", "seed", "metrics",
                "epochs", "dataset", "params", "flops", "seconds", "train_seconds", "best_epoch",
                "peak_memory_mib", "schema")
}  # fmt: skip
CHANGES["no metrics"] = (without("metrics"), "has no test/acc")
CHANGES["no epochs"] = (without("epochs"), "with 0 epochs")
CHANGES["no schema"] = (without("schema"), "has no schema number")
CHANGES |= {
    f"{key} null": (put(key, None), f"{key} is null")
    for key in ("status", "config_hash", "choices", "overrides", "config", "seed", "metrics",
                "epochs")
}  # fmt: skip
CHANGES |= {f"no {name}": (without(f"metrics.{name}"), f"has no {name}") for name in METRICS}
CHANGES |= {
    f"config without {name}": (without(f"config.{name}"), f"config has no {name}")
    for name in ("model", "optim", "aug", "data", "trainer")
}  # fmt: skip
CHANGES |= {
    f"{key} = {str(value)[:20]}": (put(key, value), reason)
    for key, value, reason in (
        ("status", "done", "should be running, finished or failed"),
        ("status", ["finished"], "should be"), ("status", {}, "should be"),
        ("seed", "0", "whole number"), ("seed", 1.5, "whole number"), ("seed", True, "whole"),
        ("seed", 10**30, "too large"), ("seed", [0], "whole number"),
        ("overrides", "seed=0", "should be a list"), ("overrides", [1], "overrides[0] is 1"),
        ("overrides", [None], "overrides[0] is null"), ("overrides", {}, "should be a list"),
        ("choices", [], "should be a table"), ("choices", {"model": 1}, "should be text"),
        ("choices", {"model": ["lenet5"]}, "should be text"),
        ("config", "lenet5", "should be a table"), ("config", [], "should be a table"),
        ("config.trainer", [], "config has no trainer"),
        ("config.trainer.max_epochs", "10", "config.trainer.max_epochs"),
        ("config.trainer.max_epochs", 1e9, "config.trainer.max_epochs"),
        ("config.trainer.max_epochs", -5, "config.trainer.max_epochs"),
        ("config.label_smoothing", "much", "config.label_smoothing"),
        ("config.label_smoothing", 7, "config.label_smoothing"),
        ("config.model", deep(100), "nested too deeply"),
        ("metrics", [0.5], "should be a table"), ("metrics.test/acc", "high", "a number"),
        ("metrics.test/acc", 1e308, "should be"), ("metrics.test/acc", 1.01, "in [0, 1]"),
        ("metrics.test/acc", -0.1, "in [0, 1]"), ("metrics.val/acc_best", 88.0, "in [0, 1]"),
        ("metrics.test/acc", None, "is null"), ("metrics.test/acc", True, "a number"),
        ("metrics.mine/acc_last", 2.0, "in [0, 1]"), ("metrics.test/loss", 1e300, "between"),
        ("epochs", {}, "should be a list"), ("epochs", [1], "epochs[0] is 1"),
        ("epochs", [{}], "epochs[0] has no"), ("epochs", [None], "epochs[0] is null"),
        ("best_epoch", 7, "with 1 epochs"), ("best_epoch", -1, "between"),
        ("best_epoch", "0", "whole number"),
        ("seconds", -1.0, "between"), ("seconds", "long", "a number"), ("seconds", 1e300, "betw"),
        ("train_seconds", -0.5, "between"), ("peak_memory_mib", [], "a number"),
        ("params", -5, "between"), ("params", 1.5, "whole number"), ("threads", "two", "whole"),
        ("versions", ["torch"], "should be a table"), ("versions", {"torch": 2}, "text"),
        ("started", 5, "text"), ("command", ["rm"], "text"), ("device", {}, "text"),
        ("resumed", "yes", "should be a list"), ("resumed", [{}], "resumed[0] has no"),
        ("git_dirty", "no", "true or false"), ("group", 3, "text"), ("tags", "a", "a list"),
        ("dataset", "FashionMNIST", "should be a table"), ("dataset", {}, "dataset has no"),
        ("dataset.classes", "abc", "should be a list"), ("dataset.classes", [1, 2], "text"),
        ("dataset.classes", ["one"], "has 1 names"), ("dataset.classes", [], "has 0 names"),
        ("dataset.test_size", -1, "dataset.test_size"), ("dataset.test_size", "20", "whole"),
        ("dataset.checksums", None, "is null"), ("dataset.std", "x", "a number"),
        ("error", 404, "text"), ("schema", 99, "newer fmnist (schema 99 > 2)"),
        ("schema", 0, "no schema number"), ("schema", "1", "no schema number"),
        ("schema", True, "no schema number"), ("command", "\ud800", "no Unicode"),
    )
}  # fmt: skip
CHANGES |= {
    f"epochs[0].{key} = {str(value)[:9]}": (put(f"epochs.0.{key}", value), f"epochs[0] {key} is")
    for key, value in (
        ("val/acc", 1e308), ("val/acc", 2), ("val/acc", None), ("val/acc", "0.9"),
        ("train/acc", -1), ("seconds", -1), ("seconds", None), ("step", 1.5), ("epoch", "0"),
        ("val/loss", []), ("lr", None), ("val/acc_best", 90),
    )
}  # fmt: skip


def text(content: str | bytes) -> Callable[[Path], Any]:
    raw = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(raw)


def changed(path: Path, pattern: str, value: str) -> None:
    """Text that Python's own writer would not write."""
    path.write_text(json.dumps(plain(a_record())).replace(pattern, value, 1))


def too_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)  # sparse: it takes no room


# Files that are no record at all.
FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (text(""), "is no JSON"),
    "cut short": (text('{"schema": 2, "status": "fin'), "is no JSON"),
    "a list": (text("[]"), "is no record"),
    "a number": (text("7"), "is no record"),
    "null": (text("null"), "is no record"),
    "Latin-1": (text(b'{"schema": 2, "command": "\xe9"}'), "is no UTF-8"),
    "zeros": (text(bytes(1000)), "is no JSON"),
    "nested 100,000 times": (text("[" * 100_000 + "]" * 100_000), "nested too deeply"),
    "10,000 digits": (text('{"schema": 1, "seed": ' + "9" * 10_000 + "}"), "too large"),
    "1e999": (lambda path: changed(path, '"test/acc": 0.8', '"test/acc": 1e999'), "too large"),
    "NaN": (lambda path: changed(path, '"test/acc": 0.8', '"test/acc": NaN'), "holds NaN"),
    "Infinity": (lambda path: changed(path, '"test/loss": 0.8', '"test/loss": -Infinity'),
                 "holds -Infinity"),
    "larger than memory should hold": (too_large, "has more than"),
    "a FIFO": (os.mkfifo, "no ordinary file"),
    "a folder": (Path.mkdir, "no ordinary file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "no ordinary file"),
    "a terminal": (lambda path: path.symlink_to("/dev/tty"), ""),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "no result.json"),
    "a link to itself": (lambda path: path.symlink_to("result.json"), "cannot be read"),
}  # fmt: skip


def damage(folder: Path, name: str) -> None:
    """A directory whose record is the one of that name."""
    folder.mkdir(parents=True)
    if name in FILES:
        FILES[name][0](folder / "result.json")
        return
    record = plain(a_record())
    CHANGES[name][0](record)
    (folder / "result.json").write_text(json.dumps(record))


@contextmanager
def no_waiting(seconds: int) -> Iterator[None]:
    """What hangs, fails."""

    def fail(number: int, frame: Any) -> None:
        raise TimeoutError(f"not done in {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", [*CHANGES, *FILES])
def test_an_odd_record_is_damaged_for_one_reason_in_one_line(name: str, tmp_path: Path) -> None:
    damage(tmp_path / "run", name)
    with no_waiting(20), pytest.raises(RunError) as caught:
        load_run(tmp_path / "run")
    message, reason = str(caught.value), (CHANGES | FILES)[name][1]
    assert reason in message
    assert len(message.splitlines()) == 1
    assert len(message) < len(str(tmp_path)) + 200
    assert message.isprintable()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every odd record beside two finished runs, a failed one and one that was killed."""
    folder = tmp_path_factory.mktemp("shelf") / "runs"
    for number, name in enumerate([*CHANGES, *FILES]):
        damage(folder / f"odd{number}", name)
    for seed in (0, 1):
        record = a_record(seed=seed, overrides=[f"seed={seed}"], choices={"model": "lenet5"})
        put_predictions(put_record(folder / f"good{seed}", record))
    put_record(folder / "failed", a_record("failed", error=f"{ESCAPE}no\nmore"))
    put_record(folder / "killed", a_record("running", [an_epoch()]))
    return folder


@pytest.fixture
def a_claim(tmp_path: Path) -> Path:
    folder = tmp_path / "claims"
    folder.mkdir()
    claim = "claim: A claim.\n  source: me\n  sweep: ablation=s1_models\n  at_least: {test/acc: 50}"
    (folder / "mine.yaml").write_text(f"mine:\n  {claim}\n")
    return folder


def command_lines(folder: Path, out: Path, claim: Path) -> dict[str, tuple[Any, list[str]]]:
    return {
        "status": (status, [str(folder)]),
        "claims": (claims, [str(folder), "--claims", str(claim)]),
        "results": (results, ["collect", str(folder), "--results", str(out)]),
        "report": (report, [str(folder), "--no-latency", "--out", str(out)]),
    }


@pytest.mark.parametrize("command", ["status", "claims", "results", "report"])
@pytest.mark.usefixtures("undrawn")
def test_commands_name_every_odd_record_and_show_the_rest(
    command: str,
    shelf: Path,
    a_claim: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main, arguments = command_lines(shelf, tmp_path, a_claim)[command]
    with no_waiting(100):
        code = main(arguments)
    output = "".join(capsys.readouterr())
    assert code == (1 if command == "status" else 0)
    odd = len(CHANGES) + len(FILES)
    named = {number for number in range(odd) if f"odd{number} " in output.replace(":", " ")}
    assert named == set(range(odd))
    assert ESCAPE not in output
    assert "Traceback" not in output
    if command in ("status", "claims"):
        assert f"{odd} damaged" in output
    print(f"{command}: {odd} odd records, all named")


@pytest.mark.parametrize("command", ["status", "claims", "results", "report", "evaluate"])
@pytest.mark.usefixtures("undrawn")
def test_a_command_that_is_given_nothing_but_damage_ends_with_2(
    command: str,
    a_claim: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(tmp_path / "run", "no seed")
    lines = command_lines(tmp_path / "run", tmp_path / "out", a_claim)
    lines["evaluate"] = (evaluate, [str(tmp_path / "run")])
    main, arguments = lines[command]
    assert main(arguments) == 2
    assert "has no seed" in "".join(capsys.readouterr())


def test_a_damaged_run_that_is_named_beside_others_ends_with_2_after_these_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(tmp_path / "odd", "no seed")
    put_record(tmp_path / "good", a_record())
    assert status([str(tmp_path / "odd"), str(tmp_path / "good")]) == 2
    assert "1 of 1 finished" in capsys.readouterr().out
    assert find_runs([tmp_path]).exit_code == 0
    assert find_runs([tmp_path, tmp_path / "odd"]).exit_code == 2


# Odd, and yet as they may be: no command may stumble.
FINE: dict[str, Change] = {
    "of schema 1, with null for what is not known": lambda record: record.update(
        schema=1, group=None, git_commit=None, git_dirty=None, channels_last=None
    ),
    "with keys of another version": lambda record: record.update(colour="red", depth=[1, {"a": 2}]),
    "no end of epochs": put("config.trainer.max_epochs", None),
    "no end of epochs, as Lightning says it": put("config.trainer.max_epochs", -1),
    "no device and no threads": lambda record: [record.pop(k) for k in ("device", "threads")],
    "no versions": put("versions", {}),
    "a loss of a diverging run": put("metrics.test/loss", 3e38),
    "a metric of somebody's own": put("metrics.mine/f1", 0.5),
    "an epoch with a column more": lambda record: record["epochs"][0].update({"mine/x": None}),
    "a folder's name with escapes": put("command", f"{ESCAPE}python"),
    "a seed below 0": put("seed", -1),
    "no choices": put("choices", {}),
    "settings nested 20 times": put("config.model", deep(20)),
    "settings that are lists": put("config.model", {"channels": [1, [2]], "x": None}),
}  # fmt: skip


@pytest.mark.parametrize("command", ["status", "claims", "results", "report"])
@pytest.mark.usefixtures("undrawn")
def test_records_that_are_only_unusual_are_read_by_every_command(
    command: str,
    a_claim: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number, change in enumerate(FINE.values()):
        record = plain(a_record())
        change(record)
        folder = put_record(tmp_path / "runs" / f"run{number}", a_record())
        (folder / "result.json").write_text(json.dumps(record))
    put_record(tmp_path / "runs" / "begun", a_record("running"))
    put_record(tmp_path / "runs" / "failed", a_record("failed"))
    lines = command_lines(tmp_path / "runs", tmp_path / "out", a_claim)
    main, arguments = lines[command]
    assert main(arguments) == (1 if command == "status" else 0)
    output = "".join(capsys.readouterr())
    assert "damaged" not in output
    assert ESCAPE not in output
    print(f"{command}: {len(FINE)} unusual records, all read")


# --- predictions ---------------------------------------------------------------------------------


def archive(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def claiming(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    """An archive whose header promises more than follows."""
    header = io.BytesIO()
    described = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("logits.npy", header.getvalue())
        packed.writestr("labels.npy", header.getvalue())
    return buffer.getvalue()


LOGITS, LABELS = np.eye(10, dtype=np.float32).repeat(2, 0), np.arange(20) % 10
INFINITE = np.where(LOGITS > 0, np.float32("inf"), LOGITS)
NAN = np.where(LOGITS > 0, np.float32("nan"), LOGITS)
PREDICTIONS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no archive"),
    "no archive": (b"PK nonsense", "no archive"),
    "cut short": (archive(logits=LOGITS, labels=LABELS)[:300], "no archive"),
    "no labels": (archive(logits=LOGITS), "no archive"),
    "a header of 12 GB": (claiming((300_000_000, 10)), "300000000 x 10 of <f4: should be 20 x 10"),
    "a header of more than there is": (claiming((20, 10)), "not as long as its header"),
    "a shape below 0": (claiming((-20, 10)), "should be"),
    "objects": (archive(logits=np.array([None] * 20), labels=LABELS), "should be"),
    "float64": (archive(logits=LOGITS.astype("f8"), labels=LABELS), "<f8: should be"),
    "text": (archive(logits=LOGITS.astype("U3"), labels=LABELS), "should be"),
    "int32 labels": (archive(logits=LOGITS, labels=LABELS.astype("i4")), "<i4: should be"),
    "one image less": (archive(logits=LOGITS[1:], labels=LABELS[1:]), "19 x 10"),
    "one class less": (archive(logits=LOGITS[:, 1:], labels=LABELS), "20 x 9"),
    "one dimension": (archive(logits=LOGITS.ravel(), labels=LABELS), "200 of"),
    "no dimension": (archive(logits=np.float32(1), labels=LABELS), "one number"),
    "labels above the classes": (archive(logits=LOGITS, labels=LABELS + 5), "outside the 10"),
    "labels below 0": (archive(logits=LOGITS, labels=LABELS - 5), "outside the 10"),
    "NaN": (archive(logits=NAN, labels=LABELS), "not finite"),
    "infinity": (
        archive(logits=INFINITE, labels=LABELS),
        "not finite",
    ),
}


@pytest.mark.parametrize("name", PREDICTIONS)
def test_odd_predictions_are_refused_with_the_reason_and_without_allocating(
    name: str, tmp_path: Path
) -> None:
    content, reason = PREDICTIONS[name]
    run = load_run(put_record(tmp_path, a_record()))
    (tmp_path / "predictions.npz").write_bytes(content)
    with pytest.raises(RunError, match=r"predictions\.npz: damaged") as caught:
        run.predictions()
    assert reason in str(caught.value)


def test_predictions_that_are_no_file_do_not_make_a_reader_wait(tmp_path: Path) -> None:
    run = load_run(put_record(tmp_path, a_record()))
    os.mkfifo(tmp_path / "predictions.npz")
    with no_waiting(20), pytest.raises(RunError, match="no ordinary file"):
        run.predictions()


# --- checkpoints ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"PK\x03\x04" + bytes(500), b"\x80\x05\x1b[1m"]
)
def test_a_damaged_checkpoint_is_one_line_without_advice_to_trust_it(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"_target_": "fmnist.data.datamodule.ImageData", "name": "synthetic"}
    config = a_record().config | {
        "model": {"_target_": "fmnist.models.lenet5.LeNet5"}, "data": data
    }  # fmt: skip
    put_record(tmp_path, a_record(config=config))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").write_bytes(content)
    assert evaluate([str(tmp_path)]) == 2
    output = "".join(capsys.readouterr())
    assert len(output.splitlines()) == 1
    assert "best.ckpt: damaged" in output
    assert "weights_only" not in output
    assert "\x1b" not in output


# --- what lies beside: bits, rows -----------------------------------------------------------------


def test_bits_that_claim_gigabytes_or_are_no_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "right.npz"
    header = io.BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": (2, 12 * 10**9)}
    np.lib.format.write_array_header_1_0(header, described)
    with zipfile.ZipFile(path, "w") as packed:
        count = io.BytesIO()
        np.save(count, np.array(8))
        packed.writestr("images.npy", count.getvalue())
        packed.writestr("a.npy", header.getvalue())
    with pytest.raises(RunError, match=r"12000000000 of .u1: should be 2 x 1"):
        read_right(path)
    path.unlink()
    os.mkfifo(path)
    with no_waiting(20), pytest.raises(RunError, match="no ordinary file"):
        read_right(path)


ROW = Row(dict.fromkeys(FACTS, "") | {"seed": "0"}, {"model": "lenet5"}, {"test/acc": 0.5})


@pytest.mark.parametrize(
    ("number", "reason"),
    [("1e308", "in [0, 1]"), ("nan", "in [0, 1]"), ("inf", "in [0, 1]"), ("-0.5", "in [0, 1]"),
     ("x" * 200_000, "field larger"), ("much", "should be a number")],
)  # fmt: skip
def test_an_odd_number_in_a_table_is_one_line(number: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write_rows(path, [ROW])
    assert read_rows(path)[0].metrics == {"test/acc": 0.5}
    path.write_text(path.read_text().replace("0.5", number))
    with pytest.raises(RunError, match=r"rows\.csv: damaged: ") as caught:
        read_rows(path)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200


def test_a_table_that_is_no_file_does_not_make_a_reader_wait(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "rows.csv")
    with no_waiting(20):
        assert claims([str(tmp_path / "rows.csv")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


# --- lists of cells ------------------------------------------------------------------------------

MANIFESTS: dict[str, Any] = {
    "empty": "", "a list": [], "no cells": {"schema": 1}, "cells null": {"cells": None},
    "a number": {"cells": [7]}, "no folder": {"cells": [{"overrides": []}]},
    "a folder above": {"cells": [{"dir": "../..", "overrides": []}]},
    "an absolute folder": {"cells": [{"dir": "/etc", "overrides": []}]},
    "overrides that are text": {"cells": [{"dir": "a", "overrides": "seed=0"}]},
    "a newer schema": {"schema": 9, "cells": []}, "nested": deep(100),
}  # fmt: skip


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_damaged_list_of_cells_hides_no_run(name: str, tmp_path: Path) -> None:
    put_record(tmp_path / "cell", a_record())
    content = MANIFESTS[name]
    raw = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "sweep.json").write_text(raw)
    found = find_runs([tmp_path])
    assert [run.dir.name for run in found.runs] == ["cell"]
    assert not found.missing


def test_a_list_of_cells_that_is_no_file_does_not_make_a_reader_wait(tmp_path: Path) -> None:
    put_record(tmp_path / "cell", a_record())
    os.mkfifo(tmp_path / "sweep.json")
    with no_waiting(20):
        assert len(find_runs([tmp_path]).runs) == 1
