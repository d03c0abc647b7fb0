"""A disk that is full costs the cells that it holds, in a line each; with room they go on."""

import os
import shutil
import subprocess

import pytest

from tests.sweeps.test_sweep import in_sweep


@pytest.fixture
def disk(tmp_path):
    """`disk(size)` makes a small disk, or gives the one that there is another size."""
    folder = tmp_path / "disk"

    def size(text):
        begun = folder.exists()
        folder.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"{'remount,' * begun}size={text}", "disk", folder]
        rooted = os.geteuid() == 0 and shutil.which("mount")
        if not rooted or subprocess.run(mount, check=False).returncode:
            pytest.skip("mounting a small disk needs root")
        return folder

    yield size
    if folder.is_mount():
        subprocess.run(["umount", "-l", folder], check=True)


# A record; a first checkpoint besides; some epochs' checkpoints.
@pytest.mark.parametrize(
    "room", ["16k", *(pytest.param(size, marks=pytest.mark.long) for size in ("1m", "3m"))]
)
def test_a_full_disk_is_said_in_one_line_a_cell(room, disk, tmp_path, capsys):
    arguments = ("seed=0,1", f"hydra.sweep.dir={disk(room)}/sweep", "model.dropout=0.1")
    done = in_sweep(*arguments, cwd=tmp_path)
    text = done.stdout + done.stderr
    assert done.returncode in (1, 2), text
    assert "No space left on device" in text
    assert "Traceback" not in text
    assert "Logging error" not in text
    lines = [line for line in text.splitlines() if "No space left" in line]
    disk("50m")
    again = in_sweep(*arguments, cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "2 of 2 cells finished" in again.stdout
    with capsys.disabled():
        print(f"\na disk of {room}: {len(lines)} lines say that it is full; 2 of 2 finished later")
