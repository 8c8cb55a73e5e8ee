# Needs make and a Python from 3.11 on; everything else is installed into $(VENV).
SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))
CANDIDATES := python3 python3.11 python3.12 python3.13 python3.14
PYTHON ?= $(shell for p in $(CANDIDATES); do $$p -c '$(SUITABLE)' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet
LOCKED := $(VENV)/.locked
INSTALLED := $(VENV)/.installed
IMAGE := build/protos.binpb
BASELINE := protos/baseline.binpb
IMAGE_EXTRAS := server gateway postgres s3 adbc trino sandbox
DEMO ?= entrance.cli.demo
MINUTES ?= 5
WORKERS ?= 2
SEED ?=
USERS ?=
FAULTS ?=
KINDS ?=

.DEFAULT_GOAL := help
.PHONY: help install test check demo campaign bench format protos settings baseline lock clean

help:  ## Show what there is to make
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r target text; \
	do printf '%-16s %s\n' "$$target" "$$text"; done

install: $(INSTALLED)  ## Install into VENV (.venv), with PYTHON (the first that is new enough)

test: check  ## Install, check, then run every test; WORKERS (2) at once
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile tests/unit tests/contract
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile tests/system

check: $(INSTALLED)  ## Style, types, imports, protos and stubs; changes nothing
	$(BIN)/python hatch_build.py --check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python hatch_build.py --image $(IMAGE)
	$(BIN)/buf lint $(IMAGE) --path entrance
	$(BIN)/buf breaking $(IMAGE) --against $(BASELINE) --path entrance/v1
	$(BIN)/buf breaking $(IMAGE) --against $(BASELINE) --path entrance/engine --config buf.engine.yaml

demo: $(INSTALLED)  ## Run real jobs on a service of their own and show them
	$(BIN)/python -m $(DEMO)

campaign: $(INSTALLED)  ## Random work under random faults for MINUTES (5); also SEED, USERS, FAULTS, KINDS, SERVERS, GATEWAYS
	$(BIN)/python -m tests.system.campaign --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) \
	$(if $(USERS),--users $(USERS)) $(if $(FAULTS),--faults $(FAULTS)) $(if $(KINDS),--kinds '$(KINDS)') \
	$(if $(SERVERS),--servers $(SERVERS)) $(if $(GATEWAYS),--gateways $(GATEWAYS))

bench: $(INSTALLED) $(VENV)/.bench  ## Measure us beside the real references; ONLY=rows,by,name ROUNDS=3
	$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS))

format: $(INSTALLED)  ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: $(INSTALLED)  ## Refresh the stubs after a change of a proto
	$(BIN)/python hatch_build.py

settings: $(INSTALLED)  ## Write docs/configuration.md from the settings
	$(BIN)/python -m tests.support.settings_page

baseline: $(INSTALLED)  ## Make today's protos the ones that must not break; for a release
	$(BIN)/python hatch_build.py --image $(IMAGE)
	$(BIN)/buf build $(IMAGE) --path entrance --exclude-source-info --as-file-descriptor-set -o $(BASELINE)

lock: $(INSTALLED)  ## Write the locks anew; UPGRADE=--upgrade takes newer versions
	$(COMPILE) $(UPGRADE) pyproject.toml --all-extras --group dev --no-emit-package pyspark-client \
		-o requirements.lock
	$(COMPILE) --group build --constraint requirements.lock -o requirements-build.lock
	$(COMPILE) --group bench --constraint requirements.lock -o requirements-bench.lock
	$(COMPILE) $(addprefix --extra ,$(IMAGE_EXTRAS)) --constraint requirements.lock pyproject.toml -o deploy/requirements.lock

clean:  ## Remove what make, the tools and the demo left
	rm -rf $(VENV) .demo build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# Made anew when a lock changes, so that nothing unlocked stays behind. The build's tools come first,
# since one locked package has no wheel and is built with them.
$(LOCKED): requirements.lock requirements-build.lock
	$(if $(PYTHON),,$(error No Python from 3.11 to 3.14 found; name one: make PYTHON=/path/to/python))
	@echo "Installing the locked packages into $(VENV); the first time this takes some minutes (Spark alone is 450 MB)."
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --require-hashes -r requirements-build.lock
	$(PIP) install --require-hashes --no-build-isolation -r requirements.lock
	@touch $@

$(VENV)/.bench: requirements-bench.lock $(LOCKED)
	$(PIP) install --require-hashes -r requirements-bench.lock
	@touch $@

$(INSTALLED): $(LOCKED) pyproject.toml hatch_build.py
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
