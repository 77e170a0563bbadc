# `make boot` needs only Python 3.11; everything else makes its own virtual environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Each other CPython from 3.12 on that is here and starts, as 3.12=/path/to/it: by its name, or as one of pyenv's, whose
# shims need not start. One of each minor version, and not PYTHON's own.
ABOUT := import sys; v = sys.version_info; sys.implementation.name == "cpython" and print(f"{v[0]}.{v[1]}={sys.executable}")
OTHERS := $(filter-out $(shell $(PYTHON) -c '$(ABOUT)' | cut -d= -f1)=%,$(shell \
  for python in python3.12 python3.13 python3.14 $(wildcard $(HOME)/.pyenv/versions/3.1[234]*/bin/python3); do \
    $$python -c '$(ABOUT)'; done 2>/dev/null | sort -u -t= -k1,1))

.PHONY: boot test test-slow test-web test-others lint bench bench-table bench-quick course-1gb clean

boot:
	$(PYTHON) -m pyos boot userland/init.py

test: $(VENV)/dev
	$(BIN)/python -m pytest

test-slow: $(VENV)/dev
	$(BIN)/python -m pytest -m slow

test-web: $(VENV)/dev  # needs Debian's packages chromium and chromium-driver; its pictures are in build/web
	$(BIN)/python -m pytest -m web tests/web

test-others: $(foreach other,$(OTHERS),test-on-$(firstword $(subst =, ,$(other))))  # the kernel's tests on each of them

test-on-%:  # test-on-3.12
	$(or $(patsubst $*=%,%,$(filter $*=%,$(OTHERS))),python$*) -m venv $(VENV)-$*
	$(VENV)-$*/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	$(VENV)-$*/bin/python -m pytest --quiet tests/kernel

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Everything, five rounds: takes half an hour, and renews bench/results.json, the tables and the chart.
bench: $(VENV)/bench
	$(BIN)/python -m bench --save
	$(BIN)/python -m bench --table

bench-table: $(VENV)/bench
	$(BIN)/python -m bench --table

bench-quick: $(VENV)/bench
	$(BIN)/python -m bench --quick

# a feed of 1 GB through the course's bus program: about a minute, 1 GB below $TMPDIR, and the memory of 10 MB
course-1gb:
	$(PYTHON) -m tests.course.bigfeed 10 1000

$(VENV)/python: ; $(PYTHON) -m venv $(VENV) && touch $@

$(VENV)/%: $(VENV)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]' && touch $@

clean:
	rm -rf $(VENV) .venv-* build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis bench/build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
