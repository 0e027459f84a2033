# Each target does its own set-up: a virtual environment in .venv with the pinned packages of envs/.
PYTHON ?= python3
CORES ?= all
STUDY ?= toy
# On Linux pip takes PyTorch's CUDA build (several GB) where an index offers it. For the CPU build:
# make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# Processes that share the tests out, of which one waits most of the time for those that it started. Each holds about 1 GB.
WORKERS ?= 3

BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
# Every job is a process of its own: it finds the package compiled, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE
# The demo, the smoke study and the tests download nothing: a stage that tries is an error.
OFFLINE := HF_HUB_OFFLINE=1
PYTEST := $(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/python -m pytest
# Quiet about jobs, and so about why one failed: that is asked for afterwards.
study = $(OFFLINE) $(BIN)/snakemake --cores $(CORES) --quiet host rules --config study=$(1) \
	|| { $(BIN)/snakemake status --config study=$(1); exit 1; }
# The order is that of tests/conftest.py, the longest first.
PROCESSES := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
# Files of slow tests alone that each process would import, to run none: TRL, peft and all that the workflow's tests take.
SLOW_TO_IMPORT := 'tests/adapters/test_trl*' 'tests/workflow/*'

.PHONY: help demo quick open smoke pocket bundle rebuild test test-fast test-verl test-vllm test-slurm test-page test-records test-envs check-gpu site check dry-run dry-run-oldest format pins clean
.DEFAULT_GOAL := help

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1 \t/p' $(MAKEFILE_LIST) | expand -t 16

demo: .venv/runtime ## the study `toy`: data, base model, 8 trainings, evaluation, tables and figures (12 minutes on 2 cores)
	$(call study,toy)
	@$(BIN)/python -m tokencredit.analysis summary --config config --study toy --results results

quick: .venv-analysis/runtime ## a study that was run, from records in this repository: page and figures in the browser (nothing is trained, no torch)
	@PYTHONPATH=workflow .venv-analysis/bin/python -m tokencredit rebuild docs/results/toy-core.tar.gz --part toy-paper --cores $(CORES)
	@PYTHONPATH=workflow .venv-analysis/bin/python -m tokencredit.analysis summary --config config --study toy-paper --results results
	@$(MAKE) --no-print-directory open STUDY=toy-paper

open: ## the page of a study in the browser: make open STUDY=toy
	@$(PYTHON) -m webbrowser -t "file://$(CURDIR)/results/$(STUDY)/index.html" || true
	@echo "results/$(STUDY)/index.html; all studies: results/index.html"

smoke: .venv/runtime ## the same graph with everything tiny (about two minutes)
	$(call study,smoke)
	@$(BIN)/python -m tokencredit.analysis summary --config config --study smoke --results results

pocket: .venv/runtime ## the study `pocket`: a pretrained model of 135 million weights from the Python registry, 6 trainings (docs/pocket.md)
	$(call study,pocket)
	@$(BIN)/python -m tokencredit.analysis summary --config config --study pocket --results results

bundle: .venv/runtime ## the stored records of a finished study in one archive, bundle-STUDY.tar.gz: make bundle STUDY=toy
	$(BIN)/tokencredit bundle pack --study $(STUDY) --out bundle-$(STUDY).tar.gz

rebuild: .venv-analysis/runtime ## tables, figures and page from an archive, without torch: make rebuild BUNDLE=bundle-toy.tar.gz
	@PYTHONPATH=workflow .venv-analysis/bin/python -m tokencredit rebuild $(BUNDLE) --cores $(CORES)

test: .venv/development ## all tests, the smoke study included, in WORKERS processes (3)
	$(PYTEST) $(PROCESSES)

test-fast: .venv/development ## the tests while you work: without those that draw, start processes, take seconds (slow) or run Snakemake (workflow)
	$(PYTEST) $(PROCESSES) -m 'not slow and not workflow and not slurm and not browser' $(addprefix --ignore-glob=,$(SLOW_TO_IMPORT))

test-verl: .venv-verl/development ## the adapter for verl against verl itself, in an environment of its own
	$(OFFLINE) OMP_NUM_THREADS=1 .venv-verl/bin/python -m pytest tests/adapters/test_verl.py tests/adapters/test_verl_hooks.py

test-vllm: .venv-vllm/development ## vLLM as the sampler, in an environment of its own (3 GB, CPU build), with a study of its own
	$(OFFLINE) OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest tests/engines/test_vllm_*.py tests/workflow/test_smoke_vllm.py

test-slurm: .venv/development ## the Slurm profile on a real Slurm of two nodes, which is installed and started here (root)
	tests/slurm/cluster.sh install
	$(PYTEST) -m slurm tests/slurm

test-page: .venv/development ## the page of a study in Chromium, which is installed where it is missing (root)
	tests/analysis/chromium.sh
	$(PYTEST) -m browser tests/analysis

# In a clone, and one bundle after the other, for bundles of parts of one study may hold other runs of the same name.
test-records: .venv-analysis/runtime ## the tables and figures of docs/results from their records, without torch, in a clone of this repository
	@clone=$$(mktemp --directory) && git clone --quiet . $$clone && for records in docs/results/*.tar.gz; do \
		(cd $$clone && git clean --quiet -dffx results .snakemake && \
		PYTHONPATH=workflow $(CURDIR)/.venv-analysis/bin/python -m tests.forks -m tokencredit rebuild $$records --cores 1) || exit 1; \
	done && rm -rf $$clone

site: .venv/development ## the documentation as a static site in results/site, every link checked, with the pages of studies that are here
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --config-file workflow/site/mkdocs.yml
	@echo results/site/index.html

check: .venv/development ## formatters and linters of Python and Snakemake
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check --compact-diff Snakefile workflow/rules
	$(BIN)/snakemake --lint

check-gpu: .venv/development ## does this node compute right numbers on its GPUs, and how fast: results/nodes/ (10 minutes; without a GPU what a CPU can)
	$(OFFLINE) $(BIN)/tokencredit check-gpu

test-envs: .venv/development ## resolve the conda environments of envs/ for Linux with GPUs, and say what could not be checked
	TOKENCREDIT_RESOLVE=1 $(BIN)/python -m pytest tests/workflow/test_resolution.py

dry-run: .venv-dry-run/runtime ## the jobs of every study, counted and held against its configuration, in an environment without torch
	@PYTHONPATH=workflow .venv-dry-run/bin/python -m tokencredit dry-run

dry-run-oldest: .venv-oldest/runtime ## the same with the oldest Snakemake that the Snakefile allows
	@PYTHONPATH=workflow .venv-oldest/bin/python -m tokencredit dry-run

format: .venv/development ## write the code as `make check` wants it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/snakefmt Snakefile workflow/rules

pins: .venv/development ## write the pinned versions of envs/ from what is installed in .venv; asks a package index
	$(BIN)/python envs/pin.py

clean: ## delete the results of the demo and the smoke studies, all embedded models and data, and caches; other studies of them train anew
	rm -rf $(foreach study,toy smoke smoke-vllm,results/$(study) results/logs/*/$(study) results/logs/*/$(study).*)
	rm -rf $(foreach folder,models logs/pretrain,results/$(folder)/embedded-*)
	rm -rf $(foreach folder,data data/overlap logs/prepare logs/overlap,results/$(folder)/toy-*)
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find workflow tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=…")'
	$(PYTHON) -m venv .venv

.venv/runtime: envs/requirements.txt pyproject.toml | .venv/bin/python
	$(PIP_INSTALL) -r envs/requirements.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/development: envs/requirements-dev.txt .venv/runtime
	$(PIP_INSTALL) -r envs/requirements-dev.txt
	@touch $@

.venv-dry-run/runtime: envs/requirements-dry-run.txt
	$(PYTHON) -m venv .venv-dry-run
	$(subst $(BIN),.venv-dry-run/bin,$(PIP_INSTALL)) -r envs/requirements-dry-run.txt
	@touch $@

.venv-oldest/runtime: envs/requirements-dry-run.txt Snakefile
	$(PYTHON) -m venv .venv-oldest
	$(subst $(BIN),.venv-oldest/bin,$(PIP_INSTALL)) -r envs/requirements-dry-run.txt
	$(subst $(BIN),.venv-oldest/bin,$(PIP_INSTALL)) snakemake==$$(sed -n 's/^min_version("\(.*\)")/\1/p' Snakefile)
	@touch $@

.venv-analysis/runtime: envs/requirements-dry-run.txt envs/analysis.yaml
	$(PYTHON) -m venv .venv-analysis
	$(subst $(BIN),.venv-analysis/bin,$(PIP_INSTALL)) -r envs/requirements-dry-run.txt $$(sed -n 's/^ *- \(.*==.*\)/\1/p' envs/analysis.yaml)
	@touch $@

.venv-verl/development: envs/requirements-dev.txt envs/requirements-verl.txt pyproject.toml
	$(PYTHON) -m venv .venv-verl
	$(subst $(BIN),.venv-verl/bin,$(PIP_INSTALL)) -r envs/requirements-dev.txt
	$(subst $(BIN),.venv-verl/bin,$(PIP_INSTALL)) --no-deps -r envs/requirements-verl.txt
	$(subst $(BIN),.venv-verl/bin,$(PIP_INSTALL)) --no-deps --no-build-isolation --editable .
	@touch $@

# torch first, with its own dependencies: they differ between the CPU and the CUDA build. Of this environment the tests alone use a part,
# which Python compiles when it is imported: to compile all takes as long as the tests.
.venv-vllm/development: envs/requirements-vllm.txt pyproject.toml
	$(PYTHON) -m venv .venv-vllm
	$(subst $(BIN),.venv-vllm/bin,$(PIP_INSTALL)) --no-compile --constraint envs/requirements-vllm.txt torch
	$(subst $(BIN),.venv-vllm/bin,$(PIP_INSTALL)) --no-compile --no-deps -r envs/requirements-vllm.txt
	$(subst $(BIN),.venv-vllm/bin,$(PIP_INSTALL)) --no-deps --no-build-isolation --editable .
	@touch $@
