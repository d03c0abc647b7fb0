# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # fmnist in a notebook
#
# From nothing to a verdict, with pictures: train a net, look at it, ask it about a picture, compare two nets over three
# seeds, and read the report. It uses a GPU where there is one, and asks for no account. No package index has this
# fmnist: where it is not installed, as on a hosted notebook, say in `SOURCE` where it lies.
# `jupytext --to notebook docs/notebook.py` makes the file that Jupyter opens; Jupyter with jupytext opens this one.

# %%
import importlib.util
import subprocess
import sys

SOURCE = "..[notebook]"  # a clone, here the one that this file lies in; or "fmnist[notebook] @ git+https://..."
if importlib.util.find_spec("fmnist") is None:
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", SOURCE], check=True)

# %% [markdown]
# ## Train
#
# A run is made of settings, those of the command line. This one is short: an epoch on a tenth of the images, with four
# validations in it. `synthetic` in place of `fashion_mnist` needs no download.

# %%
import tempfile
from pathlib import Path

import fmnist

DATA = "fashion_mnist"
folder = Path(tempfile.mkdtemp())
short = [f"data={DATA}", "data.train_size=6000", "data.val_size=1000", "data.test_size=1000"]
short += ["trainer.max_epochs=1", "logger=none"]
run = fmnist.train_run([*short, "trainer.val_check_interval=0.25"], folder / "first")

# %%
import matplotlib.pyplot as plt

rows = run.record.epochs
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for one, name in zip(axes, ("loss", "acc"), strict=True):
    for series in ("train", "val"):
        one.plot(
            [row.step for row in rows],
            [row.metrics()[f"{series}/{name}"] for row in rows],
            "o-",
            label=series,
        )
    one.set(xlabel="step", ylabel=name)
    one.legend()
plt.show()

# %% [markdown]
# ## Read it back, and ask it
#
# Everything of a run lies in its folder. The net is a torch module; pictures are prepared as the data set was made.

# %%
run = fmnist.load_run(folder / "first")
print(f"{100 * run.record.metrics['test/acc']:.1f} % of {run.record.dataset.test_size} test images")

data = run.data()
data.load()
picture = folder / "picture.png"
plt.imsave(picture, data.test_images.pixels[0].numpy().squeeze(), cmap="gray")
(answer,) = fmnist.predict(run, [picture])
print(f"{answer.label}, {100 * answer.probability:.0f} %")

# %% [markdown]
# The net that comes with fmnist was trained for longer: `fmnist.predict("pretrained/lenet5", [picture])`.
#
# ## Compare two nets
#
# One run of each says little: three seeds of each are the fewest that decide anything.

# %%
for model in ("lenet5", "logistic"):
    for seed in range(3):
        settings = [f"model={model}", f"seed={seed}", "+trainer.enable_progress_bar=false"]
        fmnist.train_run([*short, *settings], folder / "study" / f"{model}-{seed}")

# %%
found = fmnist.find_runs([folder / "study"]).finished
first, second = (
    [r for r in found if r.record.choices["model"] == m] for m in ("lenet5", "logistic")
)
verdict = fmnist.compare(first, second)
print(verdict)

# %% [markdown]
# The same runs as a table:

# %%
table = fmnist.rows(folder / "study")
table.groupby("model")[["test/acc", "test/loss", "params", "train_seconds"]].agg(
    ["mean", "std"]
).round(4)

# %% [markdown]
# ## The report
#
# One page, as `fmnist report` writes it.

# %%
import base64

from IPython.display import IFrame

subprocess.run(
    [sys.executable, "-m", "fmnist.report", folder / "study", "--no-latency"], check=True
)
page = (folder / "study/report/report.html").read_bytes()
IFrame("data:text/html;base64," + base64.b64encode(page).decode(), width="100%", height=700)
