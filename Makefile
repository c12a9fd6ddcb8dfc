# One verb per task. Each sets up .venv first, which takes no time when it is up to date.
# Another Python: make PYTHON=python3.12 demo

PYTHON ?= python3
# Relative, so that a checkout's path may hold blanks.
RUN := .venv/bin/python

# Without compiled files Airflow needs more than twice the time to start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup up down status demo test bench lint types docs lock clean demo-env dev-env

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: dev-env ## Set up .venv with everything for development

demo: demo-env ## Migrate sample data through Airflow, show it, stop (PURGE=1: delete and restore too)
	@$(RUN) -m devstack demo $(if $(PURGE),--purge)

up: demo-env ## Start PostgreSQL, OpenSearch and Airflow, print their addresses
	@$(RUN) -m devstack up

down: demo-env ## Stop them, keeping their data
	@$(RUN) -m devstack down

status: demo-env ## Say what runs
	@$(RUN) -m devstack status

test: dev-env ## Run all tests, on real servers
	$(RUN) -m pytest -n 2 --no-loadscope-reorder --durations 15

bench: dev-env ## Measure speed, memory and overhead (ONLY=section,section FULL=1 SCALE=0.01)
	@$(RUN) -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(FULL),--full) $(if $(SCALE),--scale $(SCALE))

lint: dev-env ## Check style, layers and spelling
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	.venv/bin/lint-imports
	.venv/bin/codespell

types: dev-env ## Check types
	$(RUN) -m mypy

docs: dev-env ## Write the generated pages and the configuration's schema anew
	$(RUN) -m airflow_provider_logmigrate.config.schema > build/schema.json
	mv build/schema.json airflow_provider_logmigrate/config/schema.json
	$(RUN) -m airflow_provider_logmigrate.config.reference dags/logmigrate.example.yaml > build/configuration.md
	mv build/configuration.md docs/configuration.md
	$(RUN) -m benchmarks.sizing

COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
	--no-emit-index-url --custom-compile-command 'make lock'

lock: dev-env ## Resolve the requirements anew; add UPGRADE=--upgrade for newer versions
	$(COMPILE) $(UPGRADE) devstack/bootstrap.in -o devstack/bootstrap.lock
	$(COMPILE) $(UPGRADE) --extra opensearch pyproject.toml requirements/demo.in -o requirements/demo.lock
	$(COMPILE) $(UPGRADE) --extra opensearch pyproject.toml requirements/dev.in -o requirements/dev.lock

clean: ## Stop everything and remove all that was made, caches included
	@if [ -x $(RUN) ]; then $(RUN) -m devstack down; fi
	rm -rf .venv build

demo-env:
	@$(PYTHON) devstack/bootstrap.py demo

dev-env:
	@$(PYTHON) devstack/bootstrap.py dev
