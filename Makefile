# `make demo` and `make test` are all a newcomer needs: each sets up what is missing first.
PYTHON := .venv/bin/python
# Most tests wait for processes of their own, so that three at once keep two cores busy.
PYTEST_ARGS ?= --numprocesses 3 --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo test test-long test-vm lint bench docs

help:
	@echo 'make demo      set up, then watch a jailed client being captured'
	@echo 'make test      set up, then run all tests'
	@echo 'make test-long run the tests that take minutes: suites of others, a browser'
	@echo 'make test-vm   run the tests of the jail in a virtual machine, on kernel WireGuard'
	@echo 'make lint      style and types'
	@echo 'make bench     measure; prints the table of docs/benchmarks.md'
	@echo 'make docs      generate the reference pages of docs/'

setup:
	@scripts/setup.sh

demo: setup
	@$(PYTHON) -m ccinspect demo

test:
	@scripts/setup.sh test
	$(PYTHON) -m pytest $(PYTEST_ARGS)

test-long:
	@scripts/setup.sh long
	$(PYTHON) -m pytest -m long

test-vm:
	@scripts/setup.sh vm
	tests/vm/run.sh

lint: setup
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

bench: setup
	$(PYTHON) -m bench.run

docs: setup
	$(PYTHON) scripts/docs.py
