# Everything here needs Python 3.10 or later and make. It sets up the rest itself, in this folder.
#
#   make test AIRFLOW=3.1.8 PYTHON=python3.12

PYTHON  ?= python3
AIRFLOW ?= 3.3.2

VENV        := $(if $(filter 3.3.2,$(AIRFLOW)),.venv,.venv-$(AIRFLOW))
CONSTRAINTS := constraints/airflow-$(AIRFLOW).txt
BIN         := $(VENV)/bin
INSTALL     := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PIP         := $(INSTALL) -c $(CONSTRAINTS)

# What the tests and checks run with: the extras that they need, and a dependency group, which pip knows from 25.1 on.
NEW_PIP := 'pip>=25.1'
DEV     := -e '.[amazon,duckdb,parquet,postgres,sqlite]' --group dev

# The fleet runs on the newest Airflow only. Celery's libraries stay out of the tests' environment.
FLEET             := .venv-fleet
FLEET_CONSTRAINTS := constraints/airflow-3.3.2.txt tests/fleet/constraints.txt

# Nothing outside this folder is written: neither pip's cache nor Airflow's home.
export PIP_CACHE_DIR ?= $(CURDIR)/.work/pip
export AIRFLOW_HOME  := $(CURDIR)/.work/airflow-$(AIRFLOW)
# What Python has compiled is kept. To compile the tests takes as long as all else that a worker does before its first.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo ui sandbox test live mysql redis storms properties kills fleet lint docs bench entities costs \
  wheel wheelcheck release clean chromium

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.ready ## See it work: a sandbox, an Airflow, three example DAGs, their files and tables
	@$(BIN)/python demo/run.py

ui: $(VENV)/.ready ## Run Airflow's UI, with the sandbox and the connection in place
	@$(BIN)/python demo/ui.py

sandbox: $(VENV)/.ready ## Run a Dotypos API with invented data on this machine
	@$(BIN)/python -m airflow_provider_dotypos sandbox

setup: $(VENV)/.ready-dev ## Install the package and the requirements of its tests, in this folder

# More processes than cores: many tests wait for what time alone can show.
test: $(VENV)/.ready-dev chromium ## Run the tests (PYTEST="-k walk" for some of them)
	@$(BIN)/python -m pytest -n 4 --dist loadfile -m "not live" $(PYTEST)

# The scheduler and its fellows need the processors to themselves, and so does who waits for them.
live: $(VENV)/.ready-dev ## Run the tests of DAGs in a whole running Airflow, with the examples and the demo (5 minutes)
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m live $(PYTEST)

# The driver has no wheel, and a database server is nothing to install unasked. Without them the tests on MariaDB are skipped.
mysql: $(VENV)/.ready-dev ## Install MariaDB and its driver for the tests, where they can be had (Debian, as root)
	@.ci/install-mariadb
	@$(PIP) -e '.[mysql]' || echo "MariaDB's driver could not be built; the tests on MariaDB will be skipped." >&2

redis: ## Install a Redis server for the tests, where it can be had (Debian, as root)
	@.ci/install-redis

storms: $(VENV)/.ready-dev ## Test the promises for 12 minutes, with new seeds (STORMS="--minutes 2" for less)
	@$(BIN)/python -m tests.storms $(STORMS)

properties: $(VENV)/.ready-dev ## Test the properties with ten times as many examples as the tests draw
	@DOTYPOS_EXAMPLES_TIMES=10 $(BIN)/python -m pytest -n 4 --dist loadfile -m hypothesis $(PYTEST)

kills: $(VENV)/.ready-dev ## Kill a real triggerer 50 times while products change (KILLS="--kills 10" for fewer)
	@$(BIN)/python -m tests.events.kills $(KILLS)

fleet: $(FLEET)/.ready ## Run what large users run, with accidents: PostgreSQL, Redis, Celery, S3 (10 minutes)
	@$(FLEET)/bin/python -m tests.fleet

lint: $(VENV)/.ready-dev ## Run ruff (with Airflow's rules, and its formatter) and mypy --strict
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy

docs: $(VENV)/.ready-dev ## Build the documentation as a site, offline (.work/site/html), and check it
	@$(BIN)/python -m docs.build

bench: $(VENV)/.ready-dev ## Measure speed and memory
	@for one in extraction together waste memory kills imports tokens retries calls budget writes events; do \
	  $(BIN)/python -m benchmarks.$$one || exit 1; done

entities: $(VENV)/.ready-dev ## Write the page of entities from the entity table (docs/reference/entities.md)
	@$(BIN)/python -m tests.entities_page

costs: $(VENV)/.ready-dev ## Write the table of what reading a list costs (docs/reference/limits.md), counted on the sandbox
	@$(BIN)/python -m tests.costs_page

wheel: $(VENV)/.ready-dev ## Build the wheel into dist/
	@$(BIN)/python -m build --wheel --outdir dist

# Each Airflow's environment is made anew, and gets what the package itself needs and nothing else.
wheelcheck: $(VENV)/.ready-dev ## Install the wheel into an empty environment on each Airflow, and try it there
	@$(BIN)/python -m tests.wheelcheck $(WHEELCHECK)

release: $(VENV)/.ready-dev ## Build and check what goes to PyPI, and say what comes next (RELEASE=--rehearse keeps nothing)
	@$(BIN)/python -m tests.release $(RELEASE)

clean: ## Remove everything that the other targets made, virtual environments too
	rm -rf .venv .venv-* .demo .work dist build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up runs once, and again when the package's requirements or the constraints change. The demo needs less than the tests.

$(VENV)/.ready: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "Installing Airflow $(AIRFLOW) and the provider into $(VENV) (once, a minute or two) ..."
	@$(PIP) -e '.[duckdb]'
	@touch $@

$(VENV)/.ready-dev: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "Installing Airflow $(AIRFLOW), the provider and the requirements of its tests into $(VENV) (once, a minute or two) ..."
	@$(INSTALL) $(NEW_PIP)
	@$(PIP) $(DEV)
	@touch $(VENV)/.ready $@

# Airflow's provider for Celery needs Python 3.11.
$(FLEET)/.ready: pyproject.toml tests/fleet/requirements.txt $(FLEET_CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make fleet needs Python 3.11 or later; $(PYTHON) isn't. Choose another: make fleet PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing Airflow, Celery and the provider into $(FLEET) (once, a minute or two) ..."
	@$(PYTHON) -m venv $(FLEET)
	@$(FLEET)/bin/python -m pip install --quiet --disable-pip-version-check $(addprefix -c ,$(FLEET_CONSTRAINTS)) \
	  -r tests/fleet/requirements.txt -e .
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or later is needed; $(PYTHON) isn't. Choose another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) can't make virtual environments (on Debian: apt install python3-venv)." >&2; exit 1; }

# The browser tests use the system's chromium. Without one they are skipped, and say so.
chromium:
	@.ci/install-chromium
