# Needs make and Python 3.11 or newer; everything else goes into .venv.

PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/sh
DEMO := demo
ROWS := 10000000

.DEFAULT_GOAL := help
.PHONY: help setup demo check test proof proof-quick mutants bench bench-quick clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' Makefile

setup: .venv/dev.stamp ## create .venv with streamlet, the linters and the tests' needs

demo: .venv/runtime.stamp ## write an access log, count its sessions, show the first results
	@mkdir -p $(DEMO)
	@rm -rf $(DEMO)/out
	$(BIN)/python examples/make_access_log.py $(DEMO)/access.log
	$(BIN)/streamlet run examples/click_sessions.py -- $(DEMO)/access.log $(DEMO)/out
	@echo
	@echo "The first 5 of $$(cat $(DEMO)/out/part-* | wc -l) sessions, out of $(DEMO)/out/part-*:"
	@cat $(DEMO)/out/part-* | head -n 5
	@echo
	@echo "What to try next (activate the environment first: . $(BIN)/activate):"
	@echo "  streamlet plan examples/click_sessions.py -- $(DEMO)/access.log $(DEMO)/out2"
	@echo "  streamlet run -p 4 examples/click_sessions.py -- $(DEMO)/access.log $(DEMO)/out2"
	@echo "  streamlet list"

check: .venv/dev.stamp ## ruff, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: .venv/dev.stamp ## the whole test suite
	$(BIN)/pytest -n 2 -q

proof: .venv/dev.stamp ## simulated crashes, real kills, planted bugs: a quarter of an hour; writes docs/reliability.md
	$(BIN)/python -m tests.proof --publish

proof-quick: .venv/dev.stamp ## a slice of the proof with fresh seeds
	$(BIN)/python -m tests.proof --quick

mutants: .venv/dev.stamp ## known bugs, planted: each must be found
	$(BIN)/python -m tests.proof.mutants

bench-quick: .venv/dev.stamp ## pipelines against plain dict loops: ratios of CPU time
	$(BIN)/python -m benchmarks.quick

bench: .venv/dev.stamp ## five workloads, each engine and peer in turn; hours with ten million records
	$(BIN)/python -m benchmarks.full --rows $(ROWS) --rounds 3 --publish

clean: ## remove .venv, caches and what demo wrote
	rm -rf .venv .bench $(DEMO) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "$(PYTHON) was not found: install Python 3.11 or newer, or say where: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "streamlet needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V 2>&1); try: make PYTHON=python3.12 ..."; exit 1; }
	@if command -v uv >/dev/null; then uv venv --quiet --python "$$(command -v $(PYTHON))" .venv; \
	  else $(PYTHON) -m venv .venv; fi || \
	  { rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment; Debian: apt install python3-venv"; exit 1; }

# $(1): what to install. uv when it is there (seconds), pip otherwise.
define install
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python $(1); \
	  else $(BIN)/python -m pip install --quiet --disable-pip-version-check $(1); fi
endef

.venv/runtime.stamp: pyproject.toml requirements-dev.txt | .venv/bin/python
	@echo "installing streamlet into .venv"
	$(call install,-e . -c requirements-dev.txt)
	@touch $@

.venv/dev.stamp: .venv/runtime.stamp
	@echo "installing the linters and the tests' needs into .venv"
	$(call install,-e . -r requirements-dev.txt)
	@touch $@
