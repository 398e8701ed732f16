# `make help` lists the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
PYTHON_IS_RIGHT = import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))
BIN := .venv/bin
SET := .venv/.complete

FUZZ_SECONDS ?= 1800

.PHONY: help setup demo test test-all test-wheel lint bench fuzz conformance kill mutate coverage audit lock clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(SET) ## make .venv with everything; .venv/bin/clic is the console script; LOCKED=1 checks hashes (Linux, x86-64)

$(SET): pyproject.toml constraints.txt
	@$(PYTHON) -c '$(PYTHON_IS_RIGHT)' 2> /dev/null || \
	  { echo "clic needs Python 3.11 or 3.12, and '$(PYTHON)' is not: install one, or say make setup PYTHON=python3.12"; exit 2; } >&2
	$(PYTHON) -m venv --clear .venv  # whatever an interrupted setup left
	$(if $(LOCKED),$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock)
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed -c constraints.txt -e '.[dev,bench]'
	@command -v bwrap > /dev/null || echo "bubblewrap is not installed: strangers' decoders are locked in by the kernel" \
	  "alone; to have it, as by apt-get install bubblewrap"
	touch $(SET)

demo: $(SET) ## photographs in, submissions, leaderboard and report out (demo-out/)
	$(BIN)/clic demo --out demo-out

test: $(SET) ## the fast tests, on all cores (up to four)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

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

fuzz: $(SET) ## 10,000 damaged streams against the decoder; then every reader, guided by coverage (FUZZ_SECONDS each)
	$(BIN)/python tests/fuzz/fuzz_decoder.py --streams 10000
	$(BIN)/python -m pip install --quiet -e '.[audit]'
	for target in bitstream container archive toml tables; do \
	  $(BIN)/python tests/fuzz/coverage_guided.py $$target --seconds $(FUZZ_SECONDS) || exit 1; done

conformance: $(SET) ## write the bitstream's conformance suite anew, after new weights
	$(BIN)/clic conformance generate

kill: $(SET) ## fifty kills of one submission, each resumed
	$(BIN)/python -m pytest -m slow -s tests/endurance/test_kills.py

mutate: $(SET) ## mutation testing of selection, budget, bitstream and scores (hours); survivors are listed
	$(BIN)/python -m pip install --quiet -e '.[audit]'
	$(BIN)/mutmut run; $(BIN)/mutmut results

coverage: $(SET) ## statement coverage of decoder/ and harness/ by the fast tests
	$(BIN)/python -m pip install --quiet -e '.[audit]'
	$(BIN)/python -m coverage run -m pytest; $(BIN)/python -m coverage combine --quiet; $(BIN)/python -m coverage report

audit: $(SET) ## known vulnerabilities of what is installed; asks the index's database, so it needs a network
	$(BIN)/python -m pip install --quiet -e '.[audit]'
	$(BIN)/python -m pip_audit --disable-pip --require-hashes -r requirements.lock

lock: $(SET) ## write requirements.lock from constraints.txt (needs the index)
	$(BIN)/python tools/lock.py

clean: ## remove what the targets made
	rm -rf .venv demo-out build dist *.egg-info
