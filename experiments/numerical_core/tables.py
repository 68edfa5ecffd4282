"""The results of `scripts/bench_solvers.py` as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from .contest import SPREAD, Contest
from .equal_error import TARGETS as ERROR_TARGETS
from .measure import Row

ALONE = 0.10  # share of the cores used by other processes above which nothing is to be quoted
LOUD = 1.0  # load per core above which nothing is to be quoted where that share is not known


def number(x: float, digits: int = 3) -> str:
    """Three significant digits, thousands separated; a dash where there is none."""
    if x is None or math.isnan(x):
        return "–"
    if math.isinf(x):
        return "∞"
    if x == 0:
        return "0"
    if abs(x) < 1e-2:
        return f"{x:.1e}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(x))))
    return f"{round(x, digits - 1 - math.floor(math.log10(abs(x)))):,.{places}f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def publishable(loads: Sequence[float], others: Sequence[float]) -> bool:
    """The load average counts the benchmark's own threads, so what others used decides where it is known."""
    return max(loads) <= LOUD if any(map(math.isnan, others)) else max(others) <= ALONE


def banner(loads: Sequence[float], others: Sequence[float]) -> str:
    """Load averages per core, and shares of the cores that other processes used."""
    used = "an unknown share" if any(map(math.isnan, others)) else f"at most {max(others):.0%}"
    told = f"load average per core at most {max(loads):.2f}, other processes used {used} of the cores"
    if publishable(loads, others):
        return f"Machine: {told}."
    return (
        f"**NOT PUBLISHABLE: {told} (limit: {ALONE:.0%}; where it is not known, a load of {LOUD:g}). CPU times are "
        "indicative; wall times and thread scaling are not to be used.**"
    )


def workload_table(contest: Contest) -> str:
    head = ["peer", "CPU µs/patient, median", "least", "wall µs/patient, median", "ratio of CPU to native"]
    head += ["largest error", "median error", "steps", "patients × repeats", "not finished"]
    rows = []
    for key, row in contest.rows.items():
        if row.note:
            rows.append([row.peer, row.note, *[""] * 8])
            continue
        rows.append(
            [
                row.peer,
                number(row.cpu_median),
                number(row.cpu_least),
                number(row.wall_median),
                number(contest.ratio(key)),
                f"{row.worst:.1e}",
                f"{row.median_error:.1e}",
                number(row.steps, 4),
                f"{row.patients:,} × {len(row.cpu)}",
                str(row.failed) if row.failed else "",
            ]
        )
    size = contest.size
    words = (
        f"{size['states']} states, {size['Jacobian entries']} Jacobian entries, {size['rates operations']} operations "
        f"in the rates; load per core {contest.load[0]:.2f} before and {contest.load[1]:.2f} after, "
        f"{contest.others:.0%} of the cores used by others. Generated right-hand "
        f"sides differ from the model's own function by at most {contest.right_hand_side:.0e}."
    )
    return f"### {contest.workload}\n\n{words}\n\n{table(head, rows)}"


def ratio_table(contests: Mapping[str, Contest]) -> str:
    keys = list(dict.fromkeys(key for c in contests.values() for key in c.rows))
    named: dict[str, Row] = {key: row for c in contests.values() for key, row in c.rows.items()}
    rows = [[named[key].peer, *(number(c.ratio(key)) for c in contests.values())] for key in keys if key != "native"]
    return table(["CPU time per patient over native", *contests], rows)


def compile_table(contests: Mapping[str, Contest]) -> str:
    rows = [["qspx: model to scalar programs", *(f"{c.lowering:.2f}" for c in contests.values())]]
    rows.append(["numba f and J (for scikit-sundae, SciPy)", *(f"{c.functions:.2f}" for c in contests.values())])
    keys = list(dict.fromkeys(key for c in contests.values() for key in c.rows if key != "native2"))
    for key in keys:
        named = next(c.rows[key].peer for c in contests.values() if key in c.rows)
        rows.append([named, *(number(c.rows[key].compile) if key in c.rows else "–" for c in contests.values())])
    return table(["seconds before the first patient", *contests], rows)


def lanes_table(contests: Mapping[str, Contest]) -> str:
    names = [c for c in contests.values() if c.lanes]
    rows = [
        ["lanes", *(str(c.lanes["lanes"]) for c in names)],
        ["lanes refilled from a queue (what runs)", *(f"{c.lanes['queue']:.3f}" for c in names)],
        [f"the same at CV {SPREAD:.0%}", *(f"{c.lanes[f'queue, CV {SPREAD:.0%}']:.3f}" for c in names)],
        ["groups in lock-step (not what runs)", *(f"{c.lanes['groups']:.3f}" for c in names)],
        ["2 threads over 1, wall", *(number(thread_scaling(c)) for c in names)],
    ]
    return table(["useful over executed lane-steps", *(c.workload for c in names)], rows)


def thread_scaling(contest: Contest) -> float:
    if "native2" not in contest.rows or "native" not in contest.rows:
        return math.nan
    return contest.rows["native"].wall_least / contest.rows["native2"].wall_least


def equal_error_table(contest: Contest) -> str:
    if not contest.equal_error:
        return ""
    own = next(r["costs"] for r in contest.equal_error if r["key"] == "native")
    rows = []
    for r in contest.equal_error:
        cells = []
        for target in ERROR_TARGETS:
            cost = r["costs"][f"{target:g}"]  # type: ignore[index]
            ratio = cost / own[f"{target:g}"]  # type: ignore[index]
            cells += [number(cost), number(ratio)]
        rows.append([str(r["peer"]), *cells])
    head = [f"{contest.workload}, CPU µs/patient"]
    for target in ERROR_TARGETS:
        head += [f"at error {target:g}", "ratio"]
    return table(head, rows)


def setting_list(contests: Mapping[str, Contest]) -> str:
    """Peer: settings; chunks by workload."""
    found: dict[str, dict[str, list[str]]] = {}
    told: dict[str, str] = {}
    for c in contests.values():
        for row in c.rows.values():
            if not row.note:
                told[row.peer], _, chunk = row.settings.partition("; chunk ")
                found.setdefault(row.peer, {}).setdefault(chunk, []).append(c.workload)
    lines = []
    for peer, chunks in found.items():
        tuned = ", ".join(f"{chunk} ({', '.join(names)})" for chunk, names in chunks.items() if chunk)
        lines.append(f"- {peer}: {told[peer]}{f'; patients per chunk {tuned}' if tuned else ''}.")
    return "\n".join(lines)
