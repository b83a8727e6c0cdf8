# Two commands on a fresh machine: `make run` and `make test`. `make help` prints every target.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ONLY ?=

.DEFAULT_GOAL := help
.PHONY: help install run test check format lint types contracts prove bench peers bench-geo bench-upload bench-match bench-load peers-send bench-send bench-report lock clean

help: ## print every target
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-13s %s\n", $$1, $$2}'

install: $(STAMP) ## set up .venv with the locked dependencies

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Candlemaker needs Python 3.11 or newer; this is %s. Name another: make PYTHON=python3.12" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); $(PYTHON) -m pip install --user virtualenv && $(PYTHON) -m virtualenv $(VENV); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "compiling the kernels, once: about a minute"
	@$(BIN)/python -m engine.warming
	@touch $(STAMP)

run: $(STAMP) ## open the demo city on this terminal (Ctrl-C ends it)
	$(BIN)/candlemaker demo

test: $(STAMP) ## all tests that belong to every change
	$(BIN)/python -m pytest -m "not slow" $(ONLY)

check: $(STAMP) format lint types contracts test ## what CI runs: format, lint, types, import contracts, tests

format: $(STAMP) ## is every file formatted?
	$(BIN)/ruff format --check .

lint: $(STAMP) ## ruff
	$(BIN)/ruff check .

types: $(STAMP) ## mypy --strict on everything
	$(BIN)/mypy

contracts: $(STAMP) ## the import arrows of the design
	$(BIN)/lint-imports

prove: $(STAMP) ## slower proofs: fault campaigns, long properties
	$(BIN)/python -m pytest -m slow

bench: $(STAMP) ## measure the bars of benchmarks/bars.toml into benchmarks/results and the README
	$(BIN)/python -m benchmarks.run; status=$$?; $(BIN)/python -m benchmarks.readme; exit $$status

peers: $(STAMP) ## install what we are measured against: h3ronpy, scipy, PostGIS from Debian (as root), Tile38 with Go
	$(BIN)/python -m benchmarks.peers.install

bench-geo: $(STAMP) ## measure the bars of the geometry, after `make peers`
	$(BIN)/python -m benchmarks.run --geometry; status=$$?; $(BIN)/python -m benchmarks.readme; exit $$status

bench-upload: $(STAMP) ## measure the bars of the uploads: minutes, and 10 GB of disk
	$(BIN)/python -m benchmarks.run --upload; status=$$?; $(BIN)/python -m benchmarks.readme; exit $$status

bench-match: $(STAMP) ## measure the bars of matching, after `make peers`: half an hour
	$(BIN)/python -m benchmarks.run --match; status=$$?; $(BIN)/python -m benchmarks.readme; exit $$status

bench-load: $(STAMP) ## ten minutes of locust on the whole stack
	$(BIN)/python -m benchmarks.run --load; status=$$?; $(BIN)/python -m benchmarks.readme; exit $$status

peers-send: $(STAMP) ## install what the sender is measured against, into .peers; nginx and h2load from Debian (as root)
	$(BIN)/python -m benchmarks.peers.push.install

bench-send: $(STAMP) ## measure the bars of the sender, after `make peers-send`
	$(BIN)/python -m benchmarks.run --send; status=$$?; $(BIN)/python -m benchmarks.readme; exit $$status

bench-report: $(STAMP) ## the results as one table; fails when a bar is missed
	$(BIN)/python -m benchmarks.report

lock: ## renew requirements.lock from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras --no-emit-index-url \
		--no-header --output-file requirements.lock pyproject.toml build-requirements.in

clean: ## remove the environment and the demo's data
	rm -rf $(VENV) .candlemaker .peers build *.egg-info
