"""README and docs keep their word: commands run, the net trains, numbers are those of files."""

import re
import shlex
import shutil

import pytest

from benchmarks import readme
from fmnist.config.schema import CONF_DIR
from fmnist.runs.run import load_run
from tests.committed import judged_once
from tests.conftest import CHECKOUT, TINY, command, composed, here

TEXT = (CHECKOUT / "README.md").read_text()
DOCUMENTS = {str(path.relative_to(CHECKOUT)): path.read_text() for path in readme.DOCUMENTS}
LINES = list(
    dict.fromkeys(
        line.partition("#")[0].strip()
        for text in DOCUMENTS.values()
        for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
    )
)
TRAIN = [
    shlex.split(line)[3:]
    for line in LINES
    if line.startswith("python -m fmnist.train") and "help" not in line and "tinynet" not in line
]


@pytest.mark.parametrize("arguments", TRAIN, ids=" ".join)
def test_every_training_command_composes(arguments):
    """Each cell of each command passes the checks; one of them also runs, below."""
    for text in (text for text in arguments if not text.startswith("-")):
        key, _, values = text.partition("=")
        for value in values.split(",") if "," in values else [values]:
            others = [a for a in arguments if not a.startswith("-") and a != text and "," not in a]
            composed(*others, f"{key}={value}")


def test_a_sweep_of_the_readme_runs_cell_by_cell(tmp_path):
    sweep = next(arguments for arguments in TRAIN if "--multirun" in arguments)
    narrow = [text for text in sweep if not text.startswith("seed")]
    done = here("fmnist.train", *narrow, *TINY, "hydra.sweep.dir=sweep", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    records = [load_run(path.parent).record for path in tmp_path.glob("sweep/*/result.json")]
    assert len(records) == 4
    assert len({record.config_hash for record in records}) == 4
    assert {r.config["model"]["activation"] for r in records} == {"tanh", "relu"}
    # Cells of one seed share the split, and a process that runs many repeats a single run.
    assert len({record.dataset.split_md5 for record in records}) == 1


def test_make_targets_of_the_readme_exist():
    targets = {line.split()[1] for line in LINES if line.startswith("make ")}
    makefile = (CHECKOUT / "Makefile").read_text()
    assert {"train", "test"} <= targets
    assert all(f"\n{target}: " in makefile for target in targets)


@pytest.mark.long
def test_the_readmes_own_net_trains_from_one_file_and_one_yaml(tmp_path):
    copy = tmp_path / "checkout"
    for name in ("fmnist", "conf", "tests"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (python,) = re.findall(r"```python\n(from typing.*?)```", TEXT, re.DOTALL)
    (text,) = re.findall(r"```yaml\n(# TinyNet.*?)```", TEXT, re.DOTALL)
    (copy / "fmnist/models/tinynet.py").write_text(python)
    (copy / "conf/model/tinynet.yaml").write_text(text)
    (line,) = [line for line in LINES if "tinynet" in line]
    done = command(
        *shlex.split(line)[2:], *TINY, "hydra.run.dir=run", cwd=copy, PYTHONPATH=str(copy)
    )
    assert done.returncode == 0, done.stderr
    assert load_run(copy / "run").record.params == 160 + 16 * 49 * 10 + 10
    wrong = command("fmnist.train", "model=tinynet", "model.pooling=maxx", cwd=copy,
                    PYTHONPATH=str(copy))  # fmt: skip
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: model.pooling=maxx: should be avg or max")
    # The tests of the nets take it up from its YAML.
    tests = ["-q", "-k", "tinynet", "-p", "no:cacheprovider", "tests/models/test_models.py"]
    done = command("pytest", *tests, cwd=copy, PYTHONPATH=str(copy))
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def test_a_net_outside_the_checkout_needs_config_dir_only(tmp_path):
    (python,) = re.findall(r"```python\n(from typing.*?)```", TEXT, re.DOTALL)
    (text,) = re.findall(r"```yaml\n(# TinyNet.*?)```", TEXT, re.DOTALL)
    (tmp_path / "tinynet.py").write_text(python)
    (tmp_path / "conf/model").mkdir(parents=True)
    path = tmp_path / "conf/model/tinynet.yaml"
    path.write_text(text.replace("fmnist.models.tinynet", "tinynet"))
    wanted = ["--config-dir", "conf", "model=tinynet", *TINY, "hydra.run.dir=run"]
    done = here("fmnist.train", *wanted, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert load_run(tmp_path / "run").record.status == "finished"


def test_the_readmes_error_is_the_real_one(tmp_path):
    shown = re.search(r"\$ python -m fmnist\.train (\S+)\n(error: .*)\n", TEXT)
    done = here("fmnist.train", shown[1], cwd=tmp_path)
    assert done.stderr.strip() == shown[2]


@pytest.fixture(scope="module")
def measured():
    """All that documents are rendered from: read once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readme, "evaluate", judged_once)
        return readme.sources()


def test_the_documents_numbers_are_those_of_the_committed_files(measured):
    texts = readme.parts(*measured)
    for name, text in DOCUMENTS.items():
        assert readme.render(text, texts) == text, f"{name}: run: python -m benchmarks.readme"


def test_the_readme_shows_every_table_that_there_is(measured):
    """Of the roofline the lines with all threads."""
    first, _, outcomes, about = measured
    where = ("rounds", "processor", "threads", "torch", "commit", "dirty")
    origin = dict.fromkeys(where, "1")
    tables = {
        "startup": [{"until": "end", "s": "4.2", **origin}],
        "roofline": [{"net": "x", "device": f"{n} threads", **origin} for n in (1, 2)],
    }
    text = "\n".join(f"<!-- {name} -->\nold\n<!-- /{name} -->" for name in readme.TABLES)
    blocks = ("studies", "comparisons", "own", "pretrained")
    text += "".join(f"\n<!-- {name} -->\nnone\n<!-- /{name} -->" for name in blocks)
    made = readme.render(text, readme.parts(first, tables, outcomes, about))
    for source in ("S1", "S2", "fmnist"):
        asked = [o for o in outcomes if o.claim.source == source and not o.claim.costs]
        verdicts = [outcome.judgement.verdict for outcome in asked]
        name = "Our own recipes" if source == "fmnist" else source
        counts = [len(verdicts), verdicts.count("holds"), verdicts.count("does not hold")]
        numbers = r" \| ".join(map(str, counts))
        assert re.search(rf"\| \*\*{name}\*\*[^|]* \| {numbers} \|", made)
    assert "| end | 4.2 |" in made
    assert "| `lenet5` | `experiment=accuracy_lenet5` | 61,706 |" in made
    assert "| x | 2 threads |" in made
    assert "1 threads" not in made
    assert made.count("\nold\n") == len(readme.TABLES) - len(tables)


def test_the_table_of_groups_names_every_option_and_no_other():
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", DOCUMENTS["docs/train.md"], re.MULTILINE)
    told = {group: set(re.findall(r"`([a-z0-9_]+)`", text)) for group, text in rows}
    there: dict[str, set[str]] = {}
    for path in CONF_DIR.glob("*/*.yaml"):
        there.setdefault(path.parent.name, set()).add(path.stem)
    there.pop("local", None)  # of one machine
    assert told == there


def test_the_readme_can_be_read_in_a_few_minutes():
    assert len(TEXT.splitlines()) <= 170


def test_the_links_of_the_readme_lead_somewhere():
    targets = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert len(targets) > 10
    assert not [target for target in targets if not (CHECKOUT / target).exists()]


@pytest.mark.long
def test_the_docs_build_as_a_site_without_a_dead_link(tmp_path):
    done = command("mkdocs", "build", "--strict", "--site-dir", str(tmp_path), cwd=CHECKOUT)
    assert done.returncode == 0, done.stderr
    assert "load_run" in (tmp_path / "python/index.html").read_text()
