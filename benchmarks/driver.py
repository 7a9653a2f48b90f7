"""Contenders as processes that answer one order at a time, and the rounds in which they are asked in turn."""

import json
import math
import subprocess

from tools.environment import ROOT

FEWEST, ENOUGH = 3, 8.0  # rounds of everyone; seconds that the further rounds of the fastest may take
SHORTEST = 0.1  # a call that is shorter is repeated until this many seconds are measured


class Contender:
    """A process that reads orders and writes answers, one JSON line each."""

    def __init__(self, name, command, log=None, environ=None):
        self.name = name
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log, "text": True}
        self.process = subprocess.Popen([str(part) for part in command], cwd=ROOT, env=environ, **pipes)

    def greeting(self):
        """What it says of itself once its library is imported; ends the run where it cannot be."""
        answer = self.answer()
        if "error" in answer:
            raise SystemExit(f"benchmarks: {self.name} did not start: {answer['error']}")
        return answer

    def ask(self, order, **arguments):
        try:
            print(json.dumps([order, arguments]), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # the answer says so
        return self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": f"{self.name}: its process ended"}

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def checked(answer):
    """The answer, unless it is an error: then the run ends with it."""
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer


def failure(answer):
    """The last line of a contender's error."""
    return "failed: " + answer["error"].strip().splitlines()[-1][:200]


def interleaved(asked, rounds):
    """Time each of `asked`, pairs (contender, arguments of "time"), once a round; who begins changes by turns.

    Returns one list of seconds for each of `asked`.
    """
    seconds = [[] for _ in asked]
    for number in range(rounds):
        for place in range(len(asked)):
            which = (place + number) % len(asked)
            contender, arguments = asked[which]
            seconds[which].append(checked(contender.ask("time", **arguments))["seconds"])
    return seconds


def rounds_for(one_round, most):
    """How many rounds: as many as fit into ENOUGH seconds, at most `most`."""
    return int(min(most, ENOUGH // max(one_round, 1e-9)))


def repeats_for(seconds, lasting=SHORTEST):
    """How often a call is repeated so that `lasting` seconds, and SHORTEST at least, are measured."""
    return max(1, math.ceil(max(lasting, SHORTEST) / max(seconds, 1e-6)))
