# Two commands matter: `make demo` and `make test`. Each does all the set-up it needs.
.DEFAULT_GOAL := help
.PHONY: help demo test unit lint bench escapes load soak seeds mutants lock clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_STAMP := $(VENV)/.installed-demo
RUNTIMES ?= processes
PROFILE ?= smoke
ESCAPES ?= 1.16.0,1.18.2
SEED ?= 1
MUTANTS ?=

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

# What the demo needs is installed in a third of the time of what development needs.
$(DEMO_STAMP): requirements.lock pyproject.toml tools/install.py
	@$(PYTHON) tools/install.py $(VENV) requirements.lock "550 MB on disk, a minute or less"
	@touch $@

$(STAMP): requirements-dev.lock pyproject.toml tools/install.py
	@$(PYTHON) tools/install.py $(VENV) requirements-dev.lock "1 GB on disk, one to two minutes"
	@touch $@ $(DEMO_STAMP)

demo: $(DEMO_STAMP) ## Start the reference system, play three stories on it, stop it
	@$(BIN)/dapr-harness demo

test: $(STAMP) ## Everything; on both runtimes with RUNTIMES=processes,containers
	@$(BIN)/python -m tests.provision
ifneq (,$(findstring containers,$(RUNTIMES)))
	@$(BIN)/dapr-harness images build --missing
endif
	@$(BIN)/python -m pytest --dapr-runtime=$(RUNTIMES)

unit: $(STAMP) ## The part without real processes, in seconds
	@$(BIN)/python -m pytest -m "not real" tests

lint: $(STAMP) ## Formatting, style, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(STAMP) ## Measure both sides in one run; writes bench.json
	@$(BIN)/python -m tests.bench

escapes: $(STAMP) ## Known bugs of Dapr, shown on a version that has them and gone on one with the fix
	@$(BIN)/dapr-harness provision --dapr-version $(ESCAPES)
	@$(BIN)/python -m pytest --dapr-version=$(ESCAPES) scenarios/escapes

load: $(STAMP) ## A load run of the profile PROFILE (smoke), with a report
	@$(BIN)/dapr-harness provision
	@$(BIN)/dapr-harness load $(PROFILE)

soak: $(STAMP) ## Kill, stop and keep away every part under load, by the seed SEED (1); a table
	@$(BIN)/dapr-harness provision
	@$(BIN)/python -m tests.faults --seed $(SEED)

seeds: $(STAMP) ## The generated requests with 20 seeds, one after the other; stops at the first that fails
	@for seed in $$(seq 20); do echo "seed $$seed"; $(BIN)/python -m pytest -q -m generated \
	  --hypothesis-seed=$$seed --dapr-runtime=$(RUNTIMES) scenarios || exit 1; done

mutants: $(STAMP) ## Apply each listed error to a copy and see its tests turn red (MUTANTS="name ...")
	@$(BIN)/python -m tests.mutants $(MUTANTS)

LOCK := uv pip compile pyproject.toml --universal --generate-hashes --python-version 3.11 --quiet \
  --no-emit-index-url --no-emit-find-links --no-emit-package dapr-harness \
  --custom-compile-command "make lock"

lock: ## Renew both lock files (needs uv)
	$(LOCK) --extra dev -o requirements-dev.lock
	$(LOCK) --extra processes --extra build --extra demo --extra checkout \
	  -c requirements-dev.lock -o requirements.lock

clean: ## Remove the virtual environment and caches of this folder
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache
