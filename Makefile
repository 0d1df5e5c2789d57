# `make demo` and `make test` set up everything they need and may be run again at any time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
SYSTEM_PACKAGES := libgl1 libglib2.0-0 libegl1 libusb-1.0-0
SYSTEM_LIBRARIES := libGL.so.1 libgthread-2.0 libEGL.so.1 libusb-1.0.so.0

.PHONY: setup demo test lint docs ops clean system

setup: $(STAMP)

# System packages only where their libraries are missing; without root this only says what to install.
system:
	@found=$$(PATH="$$PATH:/usr/sbin:/sbin" ldconfig -p); missing=; \
	for library in $(SYSTEM_LIBRARIES); do \
	  case "$$found" in *$$library*) ;; *) missing=yes ;; esac; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq $(SYSTEM_PACKAGES); \
	  else echo "Please install: $(SYSTEM_PACKAGES)" >&2; exit 1; fi; fi

$(STAMP): setup.py | system
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "Could not make $(VENV); on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install -q --upgrade pip setuptools wheel
	$(BIN)/python -m pip install -q torch==2.13.0
	$(BIN)/python -m pip install -q -e '.[mm,lidar,dev]'
	@touch $@

demo: setup
	$(BIN)/python tools/al_compare.py configs/sandbox/streets_random.py configs/sandbox/streets_entropy.py \
	  --seeds 0 --work-dir work_dirs/demo --html work_dirs/demo/report.html

# A file stays with one process, and processes that all use all cores are many times slower.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The pages of docs/ as a site in build/site.
docs: setup
	$(BIN)/python -m pip install -q -e '.[docs]'
	$(BIN)/mkdocs build --strict

# The compiled operators of mmcv, from source: 12 minutes of one core. `make test` then also compares
# them with those in plain torch. FORCE_CUDA=1 builds those of GPUs on a machine without one.
ops: setup
	$(BIN)/python -m pip install -q ninja
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --force-reinstall --no-deps --no-cache-dir \
	  --no-build-isolation --no-binary onedl-mmcv onedl-mmcv
	$(BIN)/python -c "from dense_al.ops import install; print('operators of mmcv:', install())"

clean:
	rm -rf work_dirs build *.egg-info
