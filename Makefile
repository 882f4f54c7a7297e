SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help interpreter install demo test chaos bench lint format lock notebooks clean

export MLFLOW_DISABLE_TELEMETRY := true

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps
LOCKED := --require-hashes --only-binary=:all:
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE)
CACHE := .venv/.cache

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

interpreter: ## print the Python that the virtual environment is made with
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
		"$$python" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
			&& echo "$$python" && exit 0; \
	done; \
	echo 'No Python 3.11, 3.12 or 3.13 with its venv module was found. Install one (Debian and Ubuntu: python3 and python3-venv), or name it: make PYTHON=/path/to/python3.12 ...' >&2; \
	exit 1

$(BIN)/python:
	@python=$$($(MAKE) --no-print-directory --silent interpreter) && "$$python" -m venv .venv && echo "Made .venv with $$python."

.venv/.runtime: requirements.lock requirements-build.lock pyproject.toml | $(BIN)/python
	@echo 'Installing what Keepwell runs on into .venv (about 1.4 GB; a minute on a fast line) ...'
	@$(PIP) $(LOCKED) -r requirements.lock -r requirements-build.lock
	@$(PIP) --no-build-isolation --editable .
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.runtime
	@echo 'Installing what the tests need into .venv ...'
	@$(PIP) $(LOCKED) --no-binary=pyspark --no-build-isolation --use-pep517 -r requirements-dev.lock
	@touch $@

install: .venv/.dev ## make .venv with everything in it

demo: .venv/.runtime ## simulate a community, train, serve and score it; needs nothing but Python and the package index
	@$(BIN)/keepwell demo

# Two processes share the cores; those that they start read what was compiled, and do not compile it again.
test: lint ## run every check and every test
	@env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/.dev ## ruff, mypy and the floors
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --cache-dir $(CACHE)/import-linter

format: .venv/.dev ## lay the code out
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

chaos: .venv/.dev ## kill the service, its databases and its registry under load, and count what was lost
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.chaos

bench: .venv/.dev ## print the figures of tests/benchmarks
	@$(BIN)/python -m tests.benchmarks

notebooks: .venv/.dev ## run the notebooks again, in place
	@$(BIN)/python -m tests.notebooks

lock: .venv/.dev ## pin every dependency again; UPGRADE=--upgrade takes the newest releases
	@$(COMPILE) pyproject.toml -o requirements.lock
	@$(COMPILE) --group build -c requirements.lock -o requirements-build.lock
	@$(COMPILE) pyproject.toml --all-extras --group dev -c requirements.lock -c requirements-build.lock -o requirements-dev.lock

clean: ## remove the virtual environment, the demo and every cache
	rm -rf .venv demo dist .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
