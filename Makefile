# `make boot` needs only Python 3.11; everything else makes its own virtual environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: boot test test-web lint bench clean

boot:
	$(PYTHON) -m pyos boot userland/init.py

test: $(VENV)/dev
	$(BIN)/python -m pytest

test-web: $(VENV)/dev  # needs Debian's packages chromium and chromium-driver; its pictures are in build/web
	$(BIN)/python -m pytest -m web tests/web

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/bench
	$(BIN)/python -m bench

$(VENV)/python: ; $(PYTHON) -m venv $(VENV) && touch $@

$(VENV)/%: $(VENV)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]' && touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis bench/build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
