"""Peak memory of a conversion, for a process that a test starts to measure it."""

import os
from pathlib import Path

from helpers.series import convert


def memory_mib(name: str) -> float:
    """VmRSS or VmHWM (its peak) of this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def print_peaks(folders: list[str]) -> None:
    """What the conversion of each takes at its peak over what there was before, in MiB: in a fork, whose peak starts
    at zero, of a process that has no freed memory that would hide some of it."""
    for folder in folders:
        if os.fork() == 0:
            before = memory_mib("VmRSS")
            state = convert(Path(folder), Path(folder).parent / "out", resample_spacing=True)["state"]
            os.write(1, f"{state} {memory_mib('VmHWM') - before}\n".encode())
            os._exit(0)
        os.wait()
