# Every target sets up what it needs: `make train` and `make test` work on a fresh clone.
PYTHON ?= python3
CONFIG ?= configs/phantom.yaml
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers

.PHONY: venv train evaluate test fuzz lint bench bench-peers clean

# The stamps are newer than the requirements they satisfy.
$(VENV)/.runtime: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 12) else f"fgf_keras needs Python 3.11 or 3.12; $(PYTHON) is {v[0]}.{v[1]}. Name another: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

venv: $(VENV)/.runtime

train: $(VENV)/.runtime
	$(BIN)/python train.py --config $(CONFIG) $(ARGS)

evaluate: $(VENV)/.runtime
	$(BIN)/python evaluate.py --run $(RUN) $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

# What `make test` leaves out for its length: 28,000 damaged DICOM files through the readers, each under a
# time limit; a few minutes.
fuzz: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/training_step.py $(ARGS)
	$(BIN)/python benchmarks/flow.py $(ARGS)
	$(BIN)/python benchmarks/input_pipeline.py $(ARGS)

# What benchmarks compare with, in an environment of its own; about two gigabytes.
$(PEERS)/.ready: benchmarks/requirements-peers.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements-peers.txt
	touch $@

# Beside PyTorch and JAX, and beside what this machine can do at most.
bench-peers: $(VENV)/.runtime $(PEERS)/.ready
	$(BIN)/python benchmarks/peers.py --peer $(PEERS)/bin/python $(ARGS)
	$(BIN)/python benchmarks/limit.py

clean:
	rm -rf $(VENV) $(PEERS) build dist *.egg-info .pytest_cache .ruff_cache
