# The same few commands for people and for CI. Everything happens in .venv, made from this project's own files.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test fix check docs bench web types clean

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile

$(BIN)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Cutaway needs Python 3.11 or newer; this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing (a minute, once)..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(BIN)/.installed-dev: $(BIN)/.installed
	@echo "Installing what the tests need..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

run: $(BIN)/.installed ## train the default model, watch it learn, complete a line of code
	@$(BIN)/cutaway train stdlib --complete 'def squares(n): return [x**2 for x in '

test: check ## set up everything, run every check and test
	@$(BIN)/python -m pytest -n 2

check: $(BIN)/.installed-dev ## style, types, layers
	@$(BIN)/ruff check src tests
	@$(BIN)/ruff format --check src tests
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: $(BIN)/.installed-dev ## mend style
	@$(BIN)/ruff check --fix src tests
	@$(BIN)/ruff format src tests

docs: $(BIN)/.installed-dev ## write the generated pages again
	@$(BIN)/python docs/generate.py

bench: $(BIN)/.installed-dev ## measure speed and loss beside peers
	@$(BIN)/cutaway bench train
	@$(BIN)/cutaway bench generate
	@$(BIN)/cutaway bench loss

web: ## build the web app again
	@cd web && npm ci --no-audit --no-fund && npm run build

types: $(BIN)/.installed-dev ## write the web app's types of what the server answers again
	@$(BIN)/python -m cutaway.server.schema build/openapi.json && cd web && npm run --silent types

clean: ## remove what the commands made (never your runs)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
