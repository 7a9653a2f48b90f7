"""The machine, and what is measured in fresh processes: peak memory, seconds of an import."""

import json
import os
import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from benchmarks.driver import Contender, failure
from tools.environment import ROOT
from tools.peers.environment import quiet

IMPORTS = """
import json, time
seconds, started = {}, time.perf_counter()
import tensorflow
seconds["tensorflow"] = time.perf_counter() - started
import xai_utils
seconds["xai_utils"] = time.perf_counter() - started - sum(seconds.values())
print(json.dumps(seconds))
"""


def imports(python, processes):
    """Seconds of TensorFlow's import, then of xai_utils', one value per fresh process."""
    found = []
    for _ in range(processes + 1):  # the first one reads the files from the disk
        done = subprocess.run(
            [python, "-c", IMPORTS],
            cwd=ROOT,
            env=quiet(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        found.append(json.loads(done.stdout))
    return {name: [one[name] for one in found[1:]] for name in found[0]}


def memory(command, setting, name):
    """Peak memory of one method in a process of its own, as a list of at most one row."""
    contender = Contender(name, command, subprocess.DEVNULL, quiet())
    try:
        contender.greeting()
        answer = contender.ask("memory", setting=asdict(setting))
    finally:
        contender.close()
    if answer.get("absent"):
        return []
    names = {key: getattr(setting, key) for key in ("purpose", "network", "method", "n", "amount")}
    found = names | {"contender": name, "seconds": [], "bytes": answer.get("bytes")}
    return [found | {"note": failure(answer)} if "error" in answer else found]


def describe():
    """Processor, cores, memory, system and versions; no names of hosts or users."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory": f"{pages / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "tensorflow": next((found for found in map(installed, ("tensorflow-cpu", "tensorflow")) if found), "?"),
        "keras": installed("keras"),
    }


def installed(name):
    try:
        return version(name)
    except ModuleNotFoundError:
        return None


def processor():
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
