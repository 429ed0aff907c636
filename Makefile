# Everything a newcomer needs; `make help` lists it. Wants python3 (3.11 or newer), make and git; the rest it gets by itself.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
BENCHES := ocpp_messages ingest storm crash faults takeover fuzz_frames closed_loop balancer feasible live_fanout list_query authorization sign_in scoping exports reports
STAMP := $(VENV)/.installed
MACHINE_CODE := $(VENV)/.machine-code
# The privilege to install what is missing from Debian's packages.
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo || echo no-sudo)

.PHONY: help demo serve test test-clients check format schema tables migrate bench install servers node clean

help:  ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 21
	@echo '  Arguments go in ARGS, as in: make demo ARGS="--for 60"'

demo: $(STAMP) $(MACHINE_CODE)  ## A garage of 24 chargers with cars coming and going, live in the terminal
	@$(BIN)/lade demo $(ARGS)

serve: $(STAMP) $(MACHINE_CODE)  ## The portal on http://127.0.0.1:8080, with its data in .lade
	@$(BIN)/lade serve $(ARGS)

test: $(STAMP) $(MACHINE_CODE) servers  ## All tests, on SQLite with Valkey and on PostgreSQL with Redis
	$(BIN)/python -m pytest -n auto --maxprocesses 4 $(ARGS)

# With the packages of tests/clients/package-lock.json, which holds no address: they come from wherever npm gets its own.
test-clients: $(STAMP) $(MACHINE_CODE) servers node  ## The clients that people use (graphql-ws, Apollo, urql, graphql-sse) against a running server; wants node
	npm ci --prefix tests/clients --no-audit --no-fund --loglevel=error
	$(BIN)/python -m pytest -q tests/clients/following.py $(ARGS)

check: $(STAMP)  ## Style, types, import contracts; the lock and the committed schema are up to date
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_project.py

format: $(STAMP)  ## Code laid out as `make check` wants it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

schema: $(STAMP)  ## gql/schema/schema.graphql from the types
	$(BIN)/lade schema > gql/schema/schema.graphql.new
	mv gql/schema/schema.graphql.new gql/schema/schema.graphql

tables: $(STAMP) servers  ## The files from which new databases get their tables, from the migrations
	$(BIN)/python -m tests.tables

migrate: $(STAMP)  ## The database's tables brought to this version
	@$(BIN)/lade migrate $(ARGS)

bench: $(STAMP) $(MACHINE_CODE)  ## Every bench, each with its table
	@for bench in $(BENCHES); do $(BIN)/python -m "bench.$$bench" $(ARGS); done

install: $(STAMP) $(MACHINE_CODE)  ## The virtual environment with everything in it

clean:  ## The virtual environment and every cache removed; data in .lade stays
	rm -rf $(VENV) tests/clients/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# The lock has a hash for every file that may be installed. The project itself is built without isolation,
# so that what builds it comes from the lock too.
$(STAMP): requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --no-input -q --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-input -q --no-deps --no-build-isolation -e .
	@touch $@

# Made here once, so that neither the first decision nor a test waits for it.
$(MACHINE_CODE): $(STAMP) $(wildcard balancing/*.py)
	@echo 'The balancer is compiled to machine code; this takes up to three minutes.'
	@$(BIN)/python -c 'from balancing.allocate import make_ready; make_ready()'
	@touch $@

# Debian ships python3 without ensurepip; python3-venv has it.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'Lade needs Python 3.11 or newer: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(MAKE) --no-print-directory packages PACKAGES=python3-venv
	$(PYTHON) -m venv $(VENV)

servers:
	@missing=; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing="$$missing postgresql"; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	[ -z "$$missing" ] || $(MAKE) --no-print-directory packages PACKAGES="$$missing"

node:
	@command -v node >/dev/null && command -v npm >/dev/null || $(MAKE) --no-print-directory packages PACKAGES='nodejs npm'

# RUNLEVEL=1 keeps Debian from starting the servers for the whole machine: the tests start their own.
.PHONY: packages
packages:
	@command -v apt-get >/dev/null && [ '$(SUDO)' != no-sudo ] || { echo 'Install these, then try again: $(PACKAGES)' >&2; exit 1; }
	@echo 'Installing from Debian: $(PACKAGES)'
	@$(SUDO) apt-get update -qq
	@$(SUDO) env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null \
	  || { echo 'Install these by hand, then try again: $(PACKAGES)' >&2; exit 1; }
