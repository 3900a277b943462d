# The two main commands are `make demo` and `make test`. Each does all the set-up it needs.
.DEFAULT_GOAL := help
.PHONY: help demo test unit lint bench bench-quick escapes load soak seeds rolling mutants lock clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_STAMP := $(VENV)/.installed-demo
RUNTIMES ?= processes
# Of pytest-xdist; 0 runs everything in one process. On two cores, more do not help.
WORKERS ?= 0
SHARED = $(if $(filter-out 0,$(WORKERS)),-n $(WORKERS) --no-loadscope-reorder )
# `random`, or the seed of an order that has failed.
ORDER ?=
SHUFFLED = $(if $(ORDER),-p randomly $(if $(filter-out random,$(ORDER)),--randomly-seed=$(ORDER) ))
TESTS ?=
PROFILE ?= smoke
ESCAPES ?= 1.16.0,1.18.2
SEED ?= 1
MUTANTS ?=

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

# The demo's packages install in a third of the time that the development packages need.
$(DEMO_STAMP): requirements.lock pyproject.toml tools/install.py
	@$(PYTHON) tools/install.py $(VENV) requirements.lock "550 MB on disk, a minute or less"
	@touch $@

$(STAMP): requirements-dev.lock pyproject.toml tools/install.py
	@$(PYTHON) tools/install.py $(VENV) requirements-dev.lock "1 GB on disk, one to two minutes"
	@touch $@ $(DEMO_STAMP)

demo: $(DEMO_STAMP) ## Start the reference system, run three stories on it, stop it
	@$(BIN)/dapr-harness demo

test: $(STAMP) ## Everything, or TESTS="path ..."; on both runtimes with RUNTIMES=processes,containers
	@$(BIN)/python -m tests.provision
ifneq (,$(findstring containers,$(RUNTIMES)))
	@$(BIN)/dapr-harness images build --pull
endif
	@$(BIN)/python -m pytest --durations=10 --durations-min=1 $(SHARED)$(SHUFFLED)--dapr-runtime=$(RUNTIMES) $(TESTS)

unit: $(STAMP) ## The tests without real processes, in seconds
	@$(BIN)/python -m pytest -m "not real" tests

lint: $(STAMP) ## Formatting, style, types, layers, generated modules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tools/unasync.py --check

bench: $(STAMP) ## Measure both sides in one run; write bench.json, a history of all runs, and bench.html
	@$(BIN)/dapr-harness provision
	@$(BIN)/python -m tests.bench

bench-quick: $(STAMP) ## The same with few pairs, in three minutes; fails if a gate is clearly broken
	@$(BIN)/dapr-harness provision
	@$(BIN)/python -m tests.bench --quick

escapes: $(STAMP) ## Show known bugs of Dapr on versions that have them, as expected failures
	@$(BIN)/dapr-harness provision --dapr-version $(ESCAPES)
	@$(BIN)/python -m pytest --dapr-version=$(ESCAPES) scenarios/escapes

load: $(STAMP) ## Run the load profile PROFILE (smoke) and write a report
	@$(BIN)/dapr-harness provision
	@$(BIN)/dapr-harness load $(PROFILE)

soak: $(STAMP) ## Kill, stop and take down every part under load, with the seed SEED (1); print a table
	@$(BIN)/dapr-harness provision
	@$(BIN)/python -m tests.faults --seed $(SEED)

seeds: $(STAMP) ## Send the generated requests with 20 seeds, one after the other; stop at the first failure
	@for seed in $$(seq 20); do echo "seed $$seed"; $(BIN)/python -m pytest -q -m generated \
	  --hypothesis-seed=$$seed --dapr-runtime=$(RUNTIMES) scenarios || exit 1; done

rolling: $(STAMP) ## Restart all apps in a real cluster of one node under 200 events a second; as root
	@$(BIN)/dapr-harness provision --kubernetes-node
	@$(BIN)/python -m tests.kubernetes.rolling

mutants: $(STAMP) ## Apply each listed error to a copy and check that its tests fail (MUTANTS="name ...")
	@$(BIN)/python -m tests.mutants $(MUTANTS)

LOCK := uv pip compile pyproject.toml --universal --generate-hashes --python-version 3.11 --quiet \
  --no-emit-index-url --no-emit-find-links --no-emit-package dapr-harness \
  --custom-compile-command "make lock"

lock: ## Update both lock files (needs uv)
	$(LOCK) --extra dev -o requirements-dev.lock
	$(LOCK) --extra processes --extra build --extra demo --extra checkout \
	  -c requirements-dev.lock -o requirements.lock

clean: ## Remove the virtual environment and caches of this folder
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache
