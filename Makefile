# Every target first makes the environment from requirements*.lock if it is missing or stale.
# PYTHON chooses the interpreter (3.11 to 3.13), VENV the environment's folder, TORCH the build of
# torch: cpu, gpu, or an index (binder/install).

VENV ?= .venv
STAMP = $(VENV)/.nextaim
BIN = $(VENV)/bin
# Once the environment stands, its own build of torch and its own interpreter are those that count.
TORCH ?= $(or $(shell sed -nE 's/^[0-9.]+:(.+):[0-9a-f]{64}$$/\1/p' $(STAMP) 2>/dev/null),cpu)
FITS = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell if grep -qs :.*: $(STAMP) && test -x $(BIN)/python; then echo $(BIN)/python; else \
    for python in python3 python3.13 python3.12 python3.11; do \
        if $$python -c '$(FITS)' 2>/dev/null; then echo $$python; exit; fi; done; \
    echo python3; fi)
NOTEBOOKS = ct_radiomics/extraction ct_radiomics/severity ct_radiomics/site_effect

.DEFAULT_GOAL := help
.PHONY: help environment run site test test-rest lint lab hub bench lock clean clean-runs
MAKEFLAGS += --no-print-directory

help: ## say what there is to make
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

run: environment ## run the radiomics study on the synthetic cohort, then show the board
	@echo "==> running $(NOTEBOOKS)"
	@$(BIN)/nextaim run $(NOTEBOOKS)
	@$(BIN)/nextaim board --html runs/board.html
	@echo "next: make lab opens the start page, where lessons begin; runs/board.html is the board"

site: environment ## run every notebook, then write all pages and results: site/index.html
	@echo "==> running every notebook (some 45 minutes the first time)"
	@$(BIN)/nextaim gallery --out gallery
	@echo "==> writing the pages"
	@$(BIN)/python docs/stage.py gallery build/site
	@$(BIN)/python -m sphinx -q -W --keep-going -d build/doctrees build/site site
	@echo "the site: site/index.html"

test: environment ## run the tests that need no service, with a notebook of each study
	@echo "==> testing"
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m "not rest"

test-rest: environment ## run all other tests: hub, browser, Slurm, killed processes, most notebooks
	@echo "==> testing the rest"
	@$(BIN)/python -m pytest -q -n $(WORKERS_AND_TWO) --dist loadscope -m rest

lint: environment ## check style, types, imports, packages, sizes, and that notebooks hold no outputs
	@echo "==> ruff" && $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "==> mypy" && $(BIN)/mypy
	@echo "==> import contracts" && $(BIN)/lint-imports
	@echo "==> lines of code by room" && $(BIN)/python .ci/lines.py
	@echo "==> packages" && $(BIN)/python .ci/packages.py
	@echo "==> notebooks" && find notebooks -name '*.ipynb' -not -path '*/.*' \
	    -exec $(BIN)/nbstripout --verify --keep-id {} +

lab: environment ## open JupyterLab on the start page; LAB="--no-browser --ip 0.0.0.0" from afar
	@$(BIN)/nextaim lab $(LAB)

hub: environment ## start a hub on 127.0.0.1 with the profiles of binder/hub/values.yaml
	@exec $(BIN)/jupyterhub --config binder/hub/jupyterhub_config.py

bench: environment ## measure speed, memory and storage beside what one would run instead (over half an hour)
	@echo "==> benchmarks/radiomics.py"
	@$(BIN)/python benchmarks/radiomics.py
	@echo "==> benchmarks/training_loop.py"
	@$(BIN)/python benchmarks/training_loop.py
	@echo "==> benchmarks/memory.py"
	@$(BIN)/python benchmarks/memory.py
	@echo "==> benchmarks/cache.py"
	@$(BIN)/python benchmarks/cache.py
	@echo "==> benchmarks/intervals.py"
	@$(BIN)/python benchmarks/intervals.py
	@echo "==> benchmarks/combat.py"
	@$(BIN)/python benchmarks/combat.py
	@echo "==> benchmarks/connectivity.py"
	@$(BIN)/python benchmarks/connectivity.py
	@echo "==> benchmarks/fuzz.py"
	@$(BIN)/python benchmarks/fuzz.py
	@echo "==> benchmarks/hard_cohorts.py"
	@$(BIN)/python benchmarks/hard_cohorts.py
	@echo "==> a hundred kills of a run, twenty of a sweep"
	@NEXTAIM_KILLS=100 $(BIN)/python -m pytest -q tests/runs/test_kills.py
	@NEXTAIM_KILLS=20 $(BIN)/python -m pytest -q tests/runs/sweep/test_kills.py
	@echo "==> benchmarks/quantify.py"
	@$(BIN)/python benchmarks/quantify.py
	@echo "==> benchmarks/detection.py"
	@$(BIN)/python benchmarks/detection.py
	@echo "==> benchmarks/superres.py"
	@$(BIN)/python benchmarks/superres.py
	@echo "==> benchmarks/tractography.py"
	@$(BIN)/python benchmarks/tractography.py
	@echo "==> benchmarks/estimates.py"
	@$(BIN)/python benchmarks/estimates.py
	@echo "==> benchmarks/dask_workers.py"
	@$(BIN)/python benchmarks/dask_workers.py
	@echo "==> benchmarks/reading.py"
	@$(BIN)/python benchmarks/reading.py
	@echo "==> benchmarks/store.py (10 minutes)"
	@$(BIN)/python benchmarks/store.py
	@echo "==> benchmarks/sweep.py (20 minutes)"
	@$(BIN)/python benchmarks/sweep.py

lock: environment ## write the locks anew from what is installed, with hashes from the package index
	@$(BIN)/python .ci/lock.py

clean: ## remove the environment and the tools' caches; runs stay
	@echo "==> removing $(VENV) and caches (runs stay: make clean-runs removes them)"
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find nextaim_kit tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

clean-runs: ## remove all runs
	@echo "==> removing runs"
	@rm -rf runs

# --- the environment ---------------------------------------------------------------------------

WORKERS = $(shell $(BIN)/python -c \
    'from nextaim_kit.machine.limits import cpu_count; print(min(4, cpu_count()))')
WORKERS_AND_TWO = $$(($(WORKERS) + 2))  # two have the tests that wait for much of their time

# Python's version and a hash of what it is to hold; empty where PYTHON cannot be run.
LOCKS = requirements.lock requirements-dev.lock requirements-gpu.lock
WANTED = $(shell $(PYTHON) -c 'import sys, hashlib; print("%d.%d:$(TORCH):" % sys.version_info[:2] \
    + hashlib.sha256(b"".join(open(f, "rb").read() for f in sys.argv[1:])).hexdigest())' \
    $(LOCKS) pyproject.toml binder/install 2>/dev/null)
HELD = $(shell cat $(STAMP) 2>/dev/null)

# One line on what stands in the way of an installation; empty if nothing does.
OBSTACLE = $(shell \
    python() { $(PYTHON) -c "$$@" 2>/dev/null; }; \
    compiles() { $${CC:-$$(python 'import sysconfig as s; print(s.get_config_var("CC") or "cc")')} \
        -I$$(python 'import sysconfig as s; print(s.get_paths()["include"])') \
        -fsyntax-only -x c - >/dev/null 2>&1; }; \
    if ! command -v $(PYTHON) >/dev/null; then \
        echo "Python 3.11, 3.12 or 3.13 is needed, but $(PYTHON) is not found: install it," \
            "or name one as in make PYTHON=python3.12"; \
    elif ! python '$(FITS)'; then \
        echo "Python 3.11, 3.12 or 3.13 is needed, but $(PYTHON) is" \
            "$$(python 'import sys; print("%d.%d.%d" % sys.version_info[:3])'): name another" \
            "as in make PYTHON=python3.12"; \
    elif ! python 'import ensurepip, venv'; then \
        echo "$(PYTHON) cannot make environments: install its venv module (python3-venv)"; \
    elif ! echo 'int main(void) { return 0; }' | compiles; then \
        echo "a C compiler is needed to build pyradiomics, but none works$${CC:+ (CC is $$CC)}:" \
            "install gcc, or name one in CC"; \
    elif ! printf '\043include <Python.h>\n' | compiles; then \
        echo "the C headers of $(PYTHON) are missing (Python.h): install them (python3-dev)"; \
    fi)

STALE = $(filter-out $(HELD),$(or $(WANTED),unknown))

environment:
	$(if $(STALE),$(if $(OBSTACLE),$(error $(OBSTACLE))))
	$(if $(STALE),@$(INSTALL))

# "unfinished" stands in the stamp until the end: such an environment is begun anew, since a
# package may lie there half unpacked. A finished one of the same Python is brought up to date.
define INSTALL
set -eu; \
version() { "$$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }; \
say() { echo "==> $(VENV): $$*"; }; \
if [ "$(HELD)" = unfinished ] || \
   { [ -e $(VENV) ] && [ "$$(version $(BIN)/python)" != "$$(version $(PYTHON))" ]; }; then \
    say "interrupted, broken or of another Python, beginning anew"; \
    mkdir -p $(VENV); echo unfinished > $(STAMP); \
    find $(VENV) -mindepth 1 ! -path $(STAMP) -delete; \
fi; \
mkdir -p $(VENV); echo unfinished > $(STAMP); \
say "installing requirements*.lock with $(PYTHON) (3 to 5 minutes the first time)"; \
[ -x $(BIN)/pip ] || $(PYTHON) -m venv $(VENV); \
PATH="$(abspath $(BIN)):$$PATH" TORCH=$(TORCH) binder/install all; \
echo "$(WANTED)" > $(STAMP); \
say "ready"
endef
