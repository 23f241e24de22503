# The words CI uses too. `make` alone lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STORE  ?=
PYTEST_ARGS ?=
WORKERS ?= 4

.DEFAULT_GOAL := help
.PHONY: help demo notebook environment data test check unit images locks bench docs clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

demo: $(VENV)/.local data  ## train two models, serve both behind one endpoint, call each of them (no Docker, no account)
	@$(BIN)/sagespec apply --runtime process
	@echo; echo "One real sample, answered by each variant:"
	@head -1 specs/data/tumor/sample.csv | $(BIN)/sagespec invoke tumor --runtime process --file - --variant linear; echo
	@head -1 specs/data/tumor/sample.csv | $(BIN)/sagespec invoke tumor --runtime process --file - --variant boosted; echo
	@$(BIN)/sagespec status --runtime process
	@echo; echo "Now edit a weight in specs/tumor.yaml and run: $(BIN)/sagespec plan --runtime process"
	@echo "When you are done: $(BIN)/sagespec destroy --runtime process --yes"

notebook: $(VENV)/.notebook  ## open a notebook that trains, deploys and predicts with SageMaker's SDK (no Docker, no account)
	@$(BIN)/sagespec notebook examples/notebook/churn.ipynb --runtime process

data: $(VENV)/.local
	@$(BIN)/python specs/make_data.py

environment: $(VENV)/.test data  ## what `make test` needs

test: environment check unit  ## everything: lint, types, tests (those that need an engine are skipped if none is running)

check: $(VENV)/.test  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The tests start the command hundreds of times: compiled once, each start takes half as long.
unit: $(VENV)/.test
	@$(BIN)/python -m compileall -q sagespec images tests
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder $(PYTEST_ARGS)

images: $(VENV)/.local  ## build the images of images/ on the Docker engine
	$(BIN)/sagespec images build --runtime docker

locks: $(VENV)/bin/python  ## renew the locked packages of the images
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	UV=$(abspath $(BIN))/uv images/lock.sh

bench: $(VENV)/.test data  ## the figures README and docs quote
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/plan_1000.py
	$(BIN)/python benchmarks/serving.py
	$(BIN)/python -m benchmarks.gateway
	$(BIN)/python -m benchmarks.brought
	$(BIN)/python -m benchmarks.distributed exact
	$(BIN)/python -m benchmarks.distributed scaling
	$(BIN)/python -m benchmarks.quality

docs: $(VENV)/.local  ## generate docs/spec.md and docs/schema.json from the models
	$(BIN)/sagespec schema --docs > docs/spec.md
	$(BIN)/sagespec schema > docs/schema.json

clean:  ## stop what the demo runs; remove the environment and all generated files
	-@test -x $(BIN)/sagespec && $(BIN)/sagespec destroy --runtime process --yes
	-@test -x $(BIN)/sagespec && $(BIN)/sagespec -C examples/notebook destroy --runtime process --yes
	rm -rf $(VENV) .sagespec specs/data dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sagespec needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.local: pyproject.toml $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[local]'
	@touch $@

# SDK 2, as most notebooks are written for it; it adds a third of what SDK 3 does.
$(VENV)/.notebook: pyproject.toml $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[local,notebook]' 'sagemaker>=2.257,<3'
	@touch $(VENV)/.local $@

$(VENV)/.test: pyproject.toml $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[local,test]'
	@touch $(VENV)/.local $@
