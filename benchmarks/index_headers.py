"""How many headers per second `make index` reads from warm cache; docs/results/benchmarks.md has the results.

    .venv/bin/python benchmarks/index_headers.py FOLDER [--files 20000] [--jobs 1 2] [--repeats 3]

FOLDER: a DICOM series, such as ~/.cache/vertegrade-test-data/lidc-idri-0001/dicom (tests/helpers/lidc.py fetches it).
Its files are linked into as many folders as it takes. The time is that of the whole index (walk, headers, series, rows)
without the program's imports; CPU time is that of all processes, which other work on the machine hardly changes.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

from vertegrade.index.folder import index_folder


def linked(source: Path, folder: Path, count: int) -> int:
    """Links to the files of `source`, in folders of one series each; how many."""
    files = sorted(path.resolve() for path in source.iterdir() if path.is_file())
    for number in range(count):
        copy, place = divmod(number, len(files))
        series = folder / f"{copy:05d}"
        series.mkdir(exist_ok=True)
        (series / files[place].name).symlink_to(files[place])
    return count


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    """Measure and print the rows of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        count = linked(given.folder, Path(temporary), given.files)
        index_folder(Path(temporary), b"warms the cache", 1)
        print(f"{count} files; load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print("| processes | headers/s, wall | headers/s of CPU time |")
        print("|---|---|---|")
        for jobs in given.jobs:
            runs = []
            for _ in range(given.repeats):
                cpu, wall = cpu_seconds(), time.perf_counter()
                found = index_folder(Path(temporary), b"key", jobs)
                runs.append((time.perf_counter() - wall, cpu_seconds() - cpu))
                if found.slices != count:
                    raise SystemExit(f"{found.slices} CT images were found, not {count}")
            wall, cpu = (median(values) for values in zip(*runs, strict=True))
            print(f"| {jobs} | {count / wall:.0f} | {count / cpu:.0f} |", flush=True)


if __name__ == "__main__":
    main()
