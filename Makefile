# Two commands do everything: `make run` serves the starter model, `make test` passes the tests.
# Each creates .venv and installs what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test lint format bench clean

run: $(STAMP)
	$(BIN)/reshore serve --starter

test: $(STAMP)-test
	cd tests/compat/js && PATH="$(abspath $(BIN)):$$PATH" npm ci --silent --no-audit --no-fund
	$(BIN)/python -m pytest

lint: $(STAMP)-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)-test
	$(BIN)/python -m bench.serve --json bench.json

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("reshore needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(STAMP)-test: $(STAMP)
	$(BIN)/python -m pip install --quiet -e '.[bench]' --group test --group compat --group lint
	$(PYTHON) -m venv $(VENV)-llama-index
	$(VENV)-llama-index/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)-llama-index/bin/python -m pip install --quiet --group llama-index
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-llama-index
