"""Accuracy on damaged test images: the damage, its file, and who shows it."""

import json

import pytest
import torch

from fmnist.data.synthetic import garments
from fmnist.errors import RunError
from fmnist.evaluate import main
from fmnist.evidence.claim_file import CLAIMABLE
from fmnist.reporting.page import write_report
from fmnist.runs.corrupted import CORRUPTED, KINDS, METRICS, STRENGTHS, read_corrupted
from fmnist.runs.record import is_accuracy
from fmnist.runs.rows import row_of
from fmnist.runs.rows_file import merged
from tests.conftest import Later

corruptions = Later("fmnist.using.corruptions")  # imports torchvision


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_grows_with_strength_and_is_the_same_for_every_net(kind, channels):
    images = garments(60, seed=1)[0].unsqueeze(1).repeat(1, channels, 1, 1)
    before = torch.get_rng_state()
    damaged = [
        corruptions.damage(images, kind, strength, [0.0] * channels)
        for strength in range(STRENGTHS)
    ]
    assert torch.equal(torch.get_rng_state(), before)
    changes = [float((one.float() - images.float()).abs().mean()) for one in damaged]
    assert changes[0] > 0
    assert changes == sorted(changes)
    assert all(one.shape == images.shape and one.dtype == torch.uint8 for one in damaged)
    assert torch.equal(damaged[2], corruptions.damage(images, kind, 2, [0.0] * channels))


@pytest.mark.usefixtures("undrawn")
def test_what_was_measured_stands_beside_the_record_for_rows_claims_and_the_report(
    run_tiny, capsys, tmp_path
):
    run = run_tiny("data.test_size=60")
    capsys.readouterr()
    assert main([str(run.dir), "--corruptions"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == [*KINDS, "all"]
    found = read_corrupted(run.dir, run.record)
    assert lines[2].split()[1:6] == [f"{share:.4f}" for share in found.acc["noise"]]
    row = row_of(run)
    assert {name for name in row.metrics if "corrupted" in name} == set(METRICS) <= set(CLAIMABLE)
    assert all(is_accuracy(name) for name in METRICS)
    page, _ = write_report([run.dir], tmp_path / "report", latency=False)
    assert "Damaged images" in page.read_text()

    (run.dir / CORRUPTED).unlink()
    assert not set(METRICS) & row_of(run).metrics.keys()
    assert set(METRICS) <= merged([row], [row_of(run)])[0].metrics.keys()


def test_what_was_measured_of_another_run_does_not_count_and_damage_is_said(tiny_run):
    run = tiny_run
    content = {
        "config_hash": run.record.config_hash, "tested_at": run.record.tested_at,
        "torchvision": "0", "acc": {kind: [0.5] * STRENGTHS for kind in KINDS},
    }  # fmt: skip
    path = run.dir / CORRUPTED
    path.write_text(json.dumps(content))
    assert read_corrupted(run.dir, run.record).metrics()["test/acc/corrupted"] == 0.5
    path.write_text(json.dumps(content | {"tested_at": 1.0}))
    assert read_corrupted(run.dir, run.record) is None
    path.write_text(json.dumps(content | {"acc": {"noise": [2.0]}}))
    with pytest.raises(RunError, match=r"corruptions\.json: damaged: acc"):
        read_corrupted(run.dir, run.record)


def test_a_published_net_is_measured_and_stays_as_it_is(tiny_run, monkeypatch):
    from fmnist.using import corruptions

    monkeypatch.setattr(
        corruptions, "measure", lambda run: ((kind, [0.5] * STRENGTHS) for kind in KINDS)
    )
    monkeypatch.setattr(corruptions, "FOLDER", tiny_run.dir.parent, raising=False)
    assert len(list(corruptions.measure_and_keep(tiny_run))) == len(KINDS) + 2
    assert not (tiny_run.dir / CORRUPTED).exists()
