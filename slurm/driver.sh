#!/usr/bin/env bash
# Snakemake itself as a job, where login nodes end long processes. From the project's folder:
#
#     sbatch --partition=cpu slurm/driver.sh --configfile mine.yaml
#
# It needs little, but must outlive the workflow: when its time is up, submit it again and the workflow continues.
#SBATCH --job-name=vertegrade
#SBATCH --output=vertegrade-%j.log
#SBATCH --cpus-per-task=1
#SBATCH --mem=2G
#SBATCH --time=7-00:00:00
# Five minutes before the end Snakemake is interrupted: it cancels its jobs, and a training saves its state.
#SBATCH --signal=B:INT@300
set -euo pipefail

# A driver that was killed left its lock. Submit no second driver for the same results while one runs.
.venv/bin/snakemake --profile slurm --unlock "$@"

# In place of this shell, so that the signal reaches Snakemake.
exec .venv/bin/snakemake --profile slurm "$@"
