# `make boot` needs only Python 3.11; everything else makes its own virtual environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# of 3.12 to 3.14, those that are here and are not PYTHON itself
OTHERS = $(foreach v,3.12 3.13 3.14,$(shell python$(v) -c 'print("$(v)")' 2>/dev/null))

.PHONY: boot test test-slow test-web test-others lint bench bench-table bench-quick course-1gb clean

boot:
	$(PYTHON) -m pyos boot userland/init.py

test: $(VENV)/dev
	$(BIN)/python -m pytest

test-slow: $(VENV)/dev
	$(BIN)/python -m pytest -m slow

test-web: $(VENV)/dev  # needs Debian's packages chromium and chromium-driver; its pictures are in build/web
	$(BIN)/python -m pytest -m web tests/web

test-others: $(addprefix test-on-,$(OTHERS))  # the kernel's tests on each other CPython that is found

test-on-%:
	python$* -m venv $(VENV)-$*
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
