# make train   set up, then train; ARGS="model=fashioncnn aug=on" passes overrides
# make test    set up, then run the tests
PYTHON ?= python3
BIN := .venv/bin
# A data root beside the checkout is used when there is one and nothing else was said.
SHARED := $(wildcard ../shared/datasets)
ifeq ($(strip $(FMNIST_DATA)),)
ifneq ($(SHARED),)
export FMNIST_DATA := $(SHARED)
endif
endif
ARGS ?= model=lenet5 optim=adam

.PHONY: help setup train dashboard test slurm-test lint format results docs clean
.DEFAULT_GOAL := help

help: ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: .venv/installed ## make .venv and install what constraints.txt pins

# The stamp is newer than the files that decide what is installed: a second call does nothing.
# uv resolves and unpacks in parallel; pip is the way where uv cannot reach the package index.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]' \
	  || $(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -m fmnist.schema >/dev/null # for editors
# Where Python is told to keep no bytecode, as in many containers, every start would compile anew.
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -c 'import fmnist.train, fmnist.training.build, \
	  fmnist.training.trainer, fmnist.reporting.page, wandb'
	@touch $@

# Exit code 3 of fmnist.train: the data set is neither on disk nor reachable. Who asks for a data
# set by its name gets no other one.
train: setup ## train; ARGS="model=fashioncnn aug=on" passes overrides
	@$(BIN)/python -m fmnist.train $(ARGS) || { code=$$?; \
	  [ $$code -eq 3 ] || exit $$code; $(if $(filter data=% data.name=%,$(ARGS)),exit $$code;) \
	  echo; echo "**********************************************************************"; \
	  echo "*  No data set: training on SYNTHETIC garments, drawn by a program.  *"; \
	  echo "*  Numbers from this run say nothing about Fashion-MNIST.            *"; \
	  echo "**********************************************************************"; echo; \
	  $(BIN)/python -m fmnist.train $(ARGS) data=synthetic; }

dashboard: setup ## the runs of this folder in the terminal, without an account
	@test -d wandb || { echo "no runs yet: make train" >&2; exit 1; }
	$(BIN)/wandb leet

# Hundreds of processes start: without bytecode, as above, each would compile all that it imports.
test: setup ## what every change must pass; ARGS="-m long" passes pytest's options
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(if $(filter command environment,$(origin ARGS)),$(ARGS),-m "not long and not timing")

# Exit code 77 of up.sh: no root, no packages, or a Slurm runs here already.
slurm-test: setup ## sweeps on a real one-node Slurm; needs root and apt-get
	@tests/slurm/up.sh || { code=$$?; [ $$code -eq 77 ] && exit 0; tests/slurm/up.sh stop; exit $$code; }; \
	  FMNIST_SLURM=1 $(BIN)/python -m pytest -n 0 tests/slurm; code=$$?; \
	  tests/slurm/up.sh stop; exit $$code

lint: setup ## ruff and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## let ruff put everything in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

results: setup ## every table, figure and verdict, from the rows in results/
	$(BIN)/python -m fmnist.results render
	$(BIN)/python -m fmnist.results findings
	$(BIN)/python -m benchmarks.readme

docs: setup ## the documentation as a site in build/site; a dead link fails
	FMNIST_RUN_NOTEBOOK=true $(BIN)/python -m mkdocs build --strict

clean: ## remove the environment, caches and builds; runs and data stay
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
