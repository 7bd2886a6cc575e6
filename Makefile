# `make demo` and `make test` set up all that they need: Python 3.11+, make and git suffice.
# Nothing is installed outside this folder.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Of the user's Pythons, the first that is new enough; `make PYTHON=/path/to/python` overrides.
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.version_info < (3, 11) and sys.exit(1); print(sys.executable)' \
	2>/dev/null && break; done)
endif

# A uv on PATH that works, else one of our own; `make UV=/path/to/uv` overrides.
OWN_UV := .venv-tools/bin/uv
ifndef UV
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv || echo $(OWN_UV))
endif

STAMP := .venv/.set-up
BIN := .venv/bin
CODE := $(wildcard src tests examples bench demo chaos docs)

export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

# Tried second, for networks with an authority of their own (uv's new name for it and its old).
SYSTEM_CERTS := UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1

# URL of the store for the demo (empty: SQLite); further arguments for the demo, bench and pytest.
URL ?=
ARGS ?=

# Minutes that chaos may take, over all topologies.
MINUTES ?= 3

.PHONY: help setup demo bench chaos chaos-mutants sdk-suite test lint format types imports docs pytest lock lock-check clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup: $(STAMP) ## install everything into .venv, at the versions of uv.lock

demo: $(STAMP) ## run the demo; URL=redis://localhost:6379/0 for another store than SQLite
	$(BIN)/python -m demo $(if $(URL),--url '$(URL)') $(ARGS)

bench: $(STAMP) ## run the benchmark
	$(BIN)/python -m bench $(ARGS)

chaos: $(STAMP) ## let workers and servers fail, and check every promise; MINUTES=3
	$(BIN)/python -m chaos --minutes $(MINUTES) $(ARGS)

chaos-mutants: $(STAMP) ## plant known bugs and see whether chaos finds them
	$(BIN)/python -m chaos.mutants $(ARGS)

# In an environment of its own. Each mode takes minutes: SHARE=8 runs one test of eight in each, and
# MODES=memory,bound only these. SDK=0.25.0 tries another version of the SDK.
SHARE ?= 1
MODES ?=
SDK ?=

sdk-suite: $(UV) has-python ## run the SDK's own tests with every run as a turn; SHARE=8 for a part
	@UV_PROJECT_ENVIRONMENT=.venv-sdk $(SYNC) --group sdk-suite --quiet || \
		UV_PROJECT_ENVIRONMENT=.venv-sdk $(SYSTEM_CERTS) $(SYNC) --group sdk-suite --quiet
	$(if $(SDK),.venv-sdk/bin/python -m pip install --quiet 'openai-agents==$(SDK)')
	.venv-sdk/bin/python -m tests.sdk_suite --share $(SHARE) $(if $(MODES),--modes $(MODES)) $(ARGS)

test: lock-check lint types imports docs pytest ## run all checks, then the tests

lint: $(STAMP) ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP) ## repair style and format where a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP) ## check types
	$(BIN)/mypy $(CODE)

imports: $(STAMP) ## check that imports respect the layers
	$(BIN)/lint-imports --no-logo

docs: $(STAMP) ## build the documentation with the API reference into site/, without network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# All tests run side by side, in more processes than a small machine has processors: they wait a lot.
EVERYTHING := -n 3 --dist loadscope --no-loadscope-reorder

pytest: $(STAMP) ## run the tests; ARGS="-k word" for some of them
	$(BIN)/python -m pytest $(or $(ARGS),$(EVERYTHING))

# The lock names public addresses only, whatever index this machine is set up to use.
LOCK := env -u UV_DEFAULT_INDEX -u UV_INDEX -u UV_INDEX_URL -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS \
	$(UV) lock --no-config --python '$(PYTHON)'

lock: $(UV) ## bring uv.lock up to pyproject.toml; ARGS=--upgrade for newer versions
	@$(LOCK) $(ARGS) || $(SYSTEM_CERTS) $(LOCK) $(ARGS)

lock-check: $(UV) ## fail if uv.lock does not match pyproject.toml
	@$(LOCK) --check --quiet || $(SYSTEM_CERTS) $(LOCK) --check --quiet

clean: ## remove the environments, caches and builds
	rm -rf .venv .venv-tools .venv-sdk .sdk-suite build dist site .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache tests/http/node/node_modules
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# Where only pip knows the way to the packages, pip installs what uv.lock says, hashes included.
# Compiled once: the tests start hundreds of processes, and not every machine keeps what each compiles.
SYNC := $(UV) sync --frozen --compile-bytecode --all-extras --group dev --python '$(PYTHON)'

$(STAMP): pyproject.toml uv.lock | $(UV) has-python
	@echo 'Setting up .venv'
	@$(SYNC) --quiet || { echo 'Trying again with the certificates of this machine'; \
		$(SYSTEM_CERTS) $(SYNC) --quiet; } || { echo 'Trying again with pip, at the same versions'; \
		$(MAKE) --no-print-directory .sync-by-pip; }
	@touch $@

.PHONY: .sync-by-pip
.sync-by-pip:
	'$(PYTHON)' -m venv --clear .venv
	$(UV) export --frozen --all-extras --group dev --no-emit-project --quiet \
		--output-file .venv/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r .venv/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .

$(OWN_UV): | has-python
	'$(PYTHON)' -m venv --clear .venv-tools
	.venv-tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'

.PHONY: has-python
has-python:
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer is needed: none was found on PATH.' \
		'Install one, or name it: make PYTHON=/path/to/python3'; exit 1; }
