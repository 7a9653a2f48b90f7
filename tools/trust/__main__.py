"""Ask of every method what chapter 13 asks, over trainings, orders, artefacts and attacks: hours, run by run.

    python -m tools.trust                        all tables that are not of these runs; interrupted, it goes on
    python -m tools.trust --budget               how many runs, and how long they take; nothing is run
    python -m tools.trust --only sanity_mnist1d  one table
    python -m tools.trust --one                  one run of each table that is left, to measure its seconds
    python -m tools.trust --again                the first run of each table, compared with the rows that are kept

Runs are made by as many processes as there are cores (XAI_JOBS says another number), each with one thread.
What a run gives lies in build/trust/ as soon as it is done; a table of results/ is written when all of its runs are
there.
"""

import argparse

from tools.environment import ROOT
from tools.trust import attacks, hans, redrawn, removed, retrained, sanity
from tools.trust.runs import Run, asked, budget, collect, current, differing, finish, measured, note


def runs() -> list[Run]:
    """All runs, those of one table one after another."""
    return [run for room in (retrained, removed, redrawn, sanity, hans, attacks) for run in room.runs()]


def main(arguments=None) -> int:
    """Say what it will take, then do what is left."""
    parser = argparse.ArgumentParser(prog="python -m tools.trust", description=__doc__.splitlines()[0])
    parser.add_argument("--budget", action="store_true", help="say how long it takes, and run nothing")
    parser.add_argument("--one", action="store_true", help="one run of each table, to measure its seconds")
    parser.add_argument("--again", action="store_true", help="the first run of each table anew: is it as it is kept?")
    kinds = list(dict.fromkeys(run.kind for run in runs()))
    parser.add_argument("--only", choices=kinds, nargs="+", help="some of the tables")
    options = parser.parse_args(arguments)
    parts = {kind: [run for run in runs() if run.kind == kind] for kind in options.only or kinds}
    if options.again:
        return again([part[0] for part in parts.values()])
    chosen = [run for kind, part in parts.items() if not current(kind, part) for run in part]
    left = [run for run in chosen if not run.path.is_file()]
    print(budget(left, measured()), flush=True)
    if options.budget:
        return 0
    first = list({each.kind: each for each in left[::-1]}.values())[::-1]
    for run, seconds in asked(finish, first if options.one else left):
        note(run, seconds)
        print(f"{run.name}: {seconds:.0f} s", flush=True)
    for kind in dict.fromkeys(run.kind for run in chosen):
        if path := collect(kind, chosen):
            print(f"written: {path.relative_to(ROOT)}", flush=True)
    return 0


def again(chosen: list[Run]) -> int:
    """Say which rows of these runs, made again, their tables do not have; 1 if there are any."""
    differ = 0
    for run, far in asked(differing, chosen):
        print(f"{run.name}: {len(far)} rows are not as results/{run.kind}.csv has them", flush=True)
        if not far.empty:
            print(far.to_string(index=False), flush=True)
        differ += len(far)
    return int(differ > 0)


if __name__ == "__main__":
    raise SystemExit(main())
