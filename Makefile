# `make help` lists the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
PYTHON_IS_RIGHT = import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))
BIN := .venv/bin
SET := .venv/.complete

.PHONY: help setup demo test test-all test-wheel lint bench fuzz clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(SET) ## make .venv with everything; .venv/bin/clic is the console script

$(SET): pyproject.toml constraints.txt
	@$(PYTHON) -c '$(PYTHON_IS_RIGHT)' 2> /dev/null || \
	  { echo "clic needs Python 3.11 or 3.12, and '$(PYTHON)' is not: install one, or say make setup PYTHON=python3.12"; exit 2; } >&2
	$(PYTHON) -m venv --clear .venv  # whatever an interrupted setup left
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed -c constraints.txt -e '.[dev,bench]'
	@command -v bwrap > /dev/null || echo "bubblewrap is not installed: strangers' decoders are locked in by the kernel" \
	  "alone; to have it, as by apt-get install bubblewrap"
	touch $(SET)

demo: $(SET) ## photographs in, submissions, leaderboard and report out (demo-out/)
	$(BIN)/clic demo --out demo-out

test: $(SET) ## the fast tests
	$(BIN)/python -m pytest

test-all: $(SET) ## every test, the long ones too
	$(BIN)/python -m pytest -m ''

test-wheel: $(SET) ## build the wheel, install it elsewhere, and compare its demo with the checkout's
	$(BIN)/python tests/check_wheel.py

lint: $(SET) ## formatter, linter and types, as gates
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(SET) ## decoding speed, beside AVIF, HEIC and JPEG XL in the same run
	$(BIN)/clic bench decode

fuzz: $(SET) ## 10,000 damaged streams against the decoder, then whole data files
	$(BIN)/python tests/fuzz/fuzz_decoder.py --streams 10000

clean: ## remove what the targets made
	rm -rf .venv demo-out build dist *.egg-info
