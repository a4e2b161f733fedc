# What a person or CI runs. `make` alone lists the targets; every target does its own set-up.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

# Runs depend on this checkout only: not on an environment that happens to be active ...
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME PYTHONSTARTUP UV_PYTHON UV_PROJECT_ENVIRONMENT
# ... and never on the caller's own servers and accounts, which a demo or a test must not touch. `blocks` is about them.
ifneq ($(MAKECMDGOALS),blocks)
unexport PREFECT_API_URL PREFECT_API_KEY PREFECT_API_AUTH_STRING PREFECT_PROFILE PREFECT_HOME
unexport VAULT_ADDR VAULT_TOKEN VAULT_NAMESPACE PULUMI_ACCESS_TOKEN PULUMI_BACKEND_URL PULUMI_STACK
unexport AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN ANSIBLE_CONFIG ANSIBLE_INVENTORY
endif
export UV_PYTHON_DOWNLOADS := never
export PATH := $(CURDIR)/.venv/bin:$(PATH)

PYTHON := .venv/bin/python
STAMP := .venv/.setup-complete
SETUP_INPUTS := uv.lock pyproject.toml $(shell find tools -type f -not -path '*/__pycache__/*')
SOURCES := $(wildcard src flows tasks blocks sandbox tools tests benchmarks)
PYTEST := $(PYTHON) -m pytest --durations=10 $(PYTEST_FLAGS)
# A worker with services runs whole files, the longest first, and starts what they need: a sandbox takes about 1 GiB. While one
# waits for its services another computes, so that there are more workers than cores of a small machine.
WORKERS ?= 3
WITH_SERVICES := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# A stamp that belongs to another folder, or tools that are gone, mean that set-up has to run again.
ifneq ($(shell grep -qxF '$(CURDIR)' $(STAMP) 2>/dev/null && $(PYTHON) -c '' && test -x .venv/bin/pulumi && echo ready),ready)
.PHONY: $(STAMP)
endif

.PHONY: help setup demo test faults soak check bench blocks clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

setup: $(STAMP) ## Install everything: system programs, locked packages, the Pulumi CLI

$(STAMP): $(SETUP_INPUTS)
	@python=$$(tools/find-python) && exec "$$python" -m tools.setup

demo: setup ## Run the whole story on this machine: provision, prove, drift, audit (KEEP=1 leaves it up)
	$(PYTHON) -m sandbox.demo

test: setup ## Run the unit, flow and integration tests
	$(PYTEST) -n auto --dist worksteal tests/unit
	$(PYTEST) $(WITH_SERVICES) tests/flows
	$(PYTEST) $(WITH_SERVICES) tests/integration

faults: setup ## Run the long fault matrices against real services
	$(PYTEST) $(WITH_SERVICES) tests/faults

soak: setup ## Run the long forms of the tests marked `soak`: longer holding, many more kills (not in CI)
	SOAK=1 $(PYTEST) $(WITH_SERVICES) -m soak tests/integration
	SOAK=1 $(PYTEST) $(WITH_SERVICES) -m soak tests/faults

check: setup ## Lint, format check, types, import contracts, secrets in deployments, lock file
	@$(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target $(CHECKS)

CHECKS := check-types check-lint check-format check-imports check-deployments check-lock
.PHONY: $(CHECKS)

check-types:
	$(PYTHON) -m mypy $(SOURCES)

check-lint:
	$(PYTHON) -m ruff check .

check-format:
	$(PYTHON) -m ruff format --check .

check-imports:
	.venv/bin/lint-imports

check-deployments:
	.venv/bin/holdtrue check-deployments

check-lock:
	.venv/bin/uv lock --check

bench: setup ## Run every benchmark; each prints its ratio to a peer measured in the same run
	@for script in benchmarks/*.py; do echo "== $$script" && $(PYTHON) "$$script" || exit 1; done

blocks: setup ## Save the fleet's blocks.yaml to the Prefect server (BLOCKS=--dry-run or --prune)
	$(PYTHON) -m blocks.publish $(BLOCKS)

clean: ## Remove the environment and the caches of this checkout (not ~/.cache/holdtrue)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
