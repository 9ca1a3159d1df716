"""Faults at exact moments: Python imports this at its start when a test puts this folder on PYTHONPATH.

Our files appear by a rename, the last moment at which a fault can still hurt: everything is written, nothing has its
final name. The plan (VERTEGRADE_FAULTS, JSON) lists faults {file, do, times, amount}; each happens `times` times over
all processes, when a file that matches the pattern `file` is about to be renamed.
"""

import atexit
import fnmatch
import json
import os
import signal
import subprocess
import sys
import time


def signalled(number):
    return lambda plan, fault, path: os.kill(os.getpid(), number)


def newest_checkpoint(path):
    """The newest finished checkpoint beside `path`, and its size."""
    folder = os.path.dirname(path)
    names = [name for name in os.listdir(folder) if name.startswith("step-") and name.endswith(".safetensors")]
    newest = os.path.join(folder, max(names))
    return newest, os.path.getsize(newest)


def cut_and_kill(plan, fault, path):
    newest, size = newest_checkpoint(path)
    os.truncate(newest, size // 2)
    os.kill(os.getpid(), signal.SIGKILL)


def zero_and_kill(plan, fault, path):
    newest, size = newest_checkpoint(path)
    with open(newest, "r+b") as file:
        file.write(bytes(size))
    os.kill(os.getpid(), signal.SIGKILL)


def wait(plan, fault, path):
    """Say that the moment has come, and go on when the test allows it."""
    while not os.path.exists(f"{plan}.go"):
        time.sleep(0.1)


def take_memory(plan, fault, path):
    """Use `amount` MB for as long as it takes SLURM to see it; each page is touched, so that it counts."""
    taken = bytearray(fault["amount"] * 2**20)
    taken[::4096] = b"x" * len(taken[::4096])
    time.sleep(20)


def show_late(plan, fault, path):
    """As NFS does: the job sees its file, others only `amount` seconds after the job has ended."""
    path = os.path.abspath(path)

    def hide():
        os.rename(path, f"{path}-hidden")
        later = f'sleep {fault["amount"]}; mv "$0-hidden" "$0"'
        subprocess.Popen(["sh", "-c", later, path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    atexit.register(hide)


def other_time(plan, fault, path):
    """As on a node whose clock is `amount` seconds fast, where nodes give files their times."""
    wrong = time.time() + fault["amount"]
    os.utime(fault["written"], (wrong, wrong))


ACTIONS = {
    "kill": signalled(signal.SIGKILL),
    "term": signalled(signal.SIGTERM),
    "usr1": signalled(signal.SIGUSR1),
    "cut and kill": cut_and_kill,
    "zero and kill": zero_and_kill,
    "wait": wait,
    "take memory": take_memory,
    "show late": show_late,
    "other time": other_time,
}


def take_turn(plan, number, times):
    """True for `times` callers in all, in whichever process."""
    for turn in range(times):
        try:
            os.close(os.open(f"{plan}.{number}.{turn}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        return True
    return False


def watch(plan):
    with open(plan, encoding="utf-8") as file:
        faults = json.load(file)

    def hook(event, arguments):
        if event != "os.rename":
            return
        written, path = map(os.fspath, arguments[:2])
        for number, fault in enumerate(faults):
            if fnmatch.fnmatch(path, fault["file"]) and take_turn(plan, number, fault["times"]):
                ACTIONS[fault["do"]](plan, {**fault, "written": written}, path)
                return

    sys.addaudithook(hook)


if "VERTEGRADE_FAULTS" in os.environ:
    watch(os.environ["VERTEGRADE_FAULTS"])
