# Two commands for a newcomer: make demo, make test. Each sets up .venv by itself.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
EXTRAS := spiking,fit,cluster,docs,notebooks,dev
OUT    ?= out/demo

# Real data, where a folder of it lies beside the checkout; the library itself knows no such place.
ifneq ($(wildcard ../shared/data),)
export NEUROSIM_DATA ?= $(abspath ../shared/data)
endif

.PHONY: demo test lint docs notebooks bench gpu verify clean

$(VENV)/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "neurosim needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/neurosim compare results/digits-demo.toml --out $(OUT)

# Threads of torch and BLAS that wait by spinning make two workers, and whatever runs beside them, several times slower.
test: export OMP_NUM_THREADS = 1
test: $(VENV)/installed
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/installed
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

notebooks: $(VENV)/installed
	$(BIN)/python notebooks/execute.py

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks

# Eight minutes on a machine with a GPU; `python -m benchmarks.gpu` where nothing can be installed.
gpu: $(VENV)/installed
	$(BIN)/python -m benchmarks.gpu --out results/gpu.json

verify: $(VENV)/installed
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m slow
	for newer in python3.12 python3.13 python3.14; do \
	  ! $$newer -V >/dev/null 2>&1 || $(MAKE) test PYTHON=$$newer VENV=$(VENV)-$$newer || exit 1; \
	done
	$(BIN)/python -m benchmarks.verify --out results

clean:
	rm -rf $(VENV) build docs/_build
