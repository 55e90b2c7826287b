# `make quickstart` does the main job on this machine; `make test` runs the tests. The rest is for developers.
VENV ?= .venv
BIN := $(VENV)/bin
# A run's settings: make quickstart ARGS="--help"
ARGS ?=
# One thread per process: two processes with two threads each are slower than with one.
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1
# Test processes at once; each takes about 2 GB and the services that its tests start.
TEST_PROCESSES ?= 2

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-all lint format docs protos protos-check lock install install-dev clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

quickstart: install ## install, then generate, score, train and report on this machine
	$(BIN)/xenolith quickstart $(ARGS)

test: install-dev ## every test but the slow ones
	$(BIN)/python -m pytest -m "not slow" -n $(TEST_PROCESSES) $(ARGS)

test-all: install-dev ## every test
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) $(ARGS)

lint: install-dev ## ruff, mypy, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install-dev ## let ruff put things right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: ## regenerate xenolith/v1 from protos/
	protos/generate.sh

protos-check: ## fail where the committed stubs are not what protos/ gives
	protos/generate.sh --check

docs: install-dev ## the documentation as a site, build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: install-dev ## resolve constraints.txt anew
	scripts/lock.sh $(VENV)

clean: ## remove the virtual environment and caches; runs stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .import_linter_cache

install: $(VENV)/.services
install-dev: $(VENV)/.dev

$(VENV)/.services: pyproject.toml constraints.txt scripts/install.sh
	scripts/install.sh $(VENV) generator,oracle,trainer
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt scripts/install.sh
	scripts/install.sh $(VENV) dev
	@touch $@ $(VENV)/.services
