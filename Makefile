# Every target sets up what it needs: `make train` and `make test` work on a fresh clone.
PYTHON ?= python3
CONFIG ?= configs/phantom.yaml
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers

.PHONY: venv train watch evaluate test golden browser slow lint bench bench-peers performance clean

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

# TensorBoard; http://localhost:6006/#custom_scalars is where to look first.
watch: $(VENV)/.runtime
	$(BIN)/tensorboard --logdir runs $(ARGS)

evaluate: $(VENV)/.runtime
	$(BIN)/python evaluate.py --run $(RUN) $(ARGS)

# Files of tests side by side, which takes little more than half the time on two cores.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

# Small runs of every command; their numbers must be the ones in tests/golden/expected, bit for bit. For changes of
# structure; on another processor ARGS="--tolerance 1e-3". Five minutes.
golden: $(VENV)/.runtime
	$(BIN)/python tests/golden/golden.py $(ARGS)

# A test looks at TensorBoard's page with it, and is left out where it is not there; needs the rights to install.
browser:
	command -v chromium || apt-get install --yes --no-install-recommends chromium

# What `make test` leaves out for its length: 28,000 damaged DICOM files through the readers, each under a
# time limit; benchmarks on small cases; the largest of Keras's known blocks; more combinations of settings.
# Tens of minutes.
slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

# A few minutes on a quiet machine: time and memory of training steps (256 px, batch 8, or as ARGS says), the
# flow against explicit Euler, and how time and memory grow, at few and small points.
bench: $(VENV)/.dev
	$(BIN)/python benchmarks/training_step.py --size 256 --batch 8 $(ARGS)
	$(BIN)/python benchmarks/flow.py
	$(BIN)/python benchmarks/input_pipeline.py
	$(BIN)/python benchmarks/scaling.py --quick

# Writes tables and plots of docs/performance.md anew; best on a machine that does nothing else.
STEPS := keras_plain_step raw_plain_step reward_as_one_would_write_it reward_sum_step roi_plain_step roi_reward_step
performance: $(VENV)/.dev
	$(BIN)/python benchmarks/training_step.py --sizes 192 256 512 --batches 8 16 --variants $(STEPS) \
	    --write docs/performance.md
	$(BIN)/python benchmarks/scaling.py --plots docs/images --write docs/performance.md

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
