"""Tables of the README, from what run.py wrote.

python experiments/vpop_cholesterol/tables.py runs/vpop_cholesterol           # print them
python experiments/vpop_cholesterol/tables.py runs/vpop_cholesterol --write   # put them into README.md, keep the rows

The rows behind the tables of the README are in results/rows.csv and results/screening.json.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
START, END = "<!-- tables.py: start -->", "<!-- tables.py: end -->"
# sum of KS distances of Rieger 2018, mean and SD of five runs: 100 and 1,000 from its files, 7,500 from its figure
PUBLISHED = {
    "SA + A/R": {100: (0.673, 0.097), 1000: (0.209, 0.025), 7500: (0.0916, 0.012)},
    "NSA + A/R": {100: (0.163, 0.007), 1000: (0.064, 0.009), 7500: (0.0483, 0.004)},
    "MH + A/R": {100: (0.293, 0.056), 1000: (0.090, 0.012), 7500: (0.0427, 0.003)},
    "GA + A/R": {100: (0.185, 0.045), 1000: (0.166, 0.071), 7500: (0.1285, 0.044)},
}
TITLES = {"normal": "the published normal", "rows": "the people (rounded rows)"}


def mean_sd(x, digits=3):
    x = np.asarray(x, float)
    x = x[np.isfinite(x)]
    if not len(x):
        return ""
    if abs(x.mean()) < 1e-4:
        return "< 1e-4"
    return f"{x.mean():.{digits}f}" + (f" ± {x.std(ddof=1):.{digits}f}" if len(x) > 1 else "")


def percent(x):
    x = float(np.nanmean(x))
    return f"{100 * x:.1f} %" if x < 0.9995 else "100 %"


def line(rows, target, size, method):
    """One line of a table: numbers over seeds, times as medians."""
    r = {"method": method, "seeds": str(len(rows)), "patients": f"{rows['patients'].mean():,.0f}"}
    share = rows["effective"] / rows["patients"]
    r["effective"] = f"{rows['effective'].mean():,.0f} ({100 * share.mean():.1f} %)"
    r["ΣKS normal"] = mean_sd(rows["ks_sum[normal]"])
    if target == "normal":
        paper = PUBLISHED.get(method, {}).get(size)
        r["published"] = f"{paper[0]:g} ± {paper[1]:g}" if paper else ""
        r["median selection"] = mean_sd(rows["ks_median"])
    r["ΣKS rows"] = mean_sd(rows["ks_sum[rows]"])
    r["ΣKS rounded"] = mean_sd(rows["ks_sum[rounded]"])
    r["no weights"] = mean_sd(rows[f"ks_sum_unweighted[{'normal' if target == 'normal' else 'rounded'}]"])
    r["correlation error"] = mean_sd(rows[f"correlation_error[{'normal' if target == 'normal' else 'rows'}]"], 4)
    r["cosine median / 95 %"] = f"{rows['cosine_median'].mean():.2f} / {rows['cosine_95'].mean():.2f}"
    r["on a bound"] = percent(rows["on_bound"])
    r["strictly plausible"] = percent(rows["strictly_plausible"])
    r["reached"] = percent(rows["reached"]) if np.isfinite(rows["reached"]).any() else ""
    gradients = " (+ gradients)" if (rows["gradients"] > 0).any() else ""
    r["evaluations"] = f"{rows['evaluations'].mean():,.0f}{gradients}"
    r["CPU s"], r["wall s"] = known(rows["cpu_seconds"].median()), known(rows["seconds"].median())
    r["compiling s"], r["memory GB"] = known(rows["compile_seconds"].max()), known(rows["peak_memory_gb"].max())
    return r


def known(x):
    return "" if np.isnan(x) else f"{x:.0f}" if x >= 10 else f"{x:.1f}"


def markdown(lines):
    names = list(lines[0])
    head = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    return "\n".join([*head, *("| " + " | ".join(x[n] for n in names) + " |" for x in lines)])


def tables(rows, screening):
    """Markdown of all tables."""
    parts = []
    for target, title in TITLES.items():
        for size in sorted(rows.loc[rows["target"] == target, "size"].unique()):
            some = rows[(rows["target"] == target) & (rows["size"] == size)]
            lines = [line(g, target, size, m) for m, g in some.groupby("method", sort=False)]
            parts.append(f"**Target: {title}, {size:,} patients**\n\n{markdown(lines)}")
    lines = [
        {
            "screened": s["what"],
            "drawn": f"{s['drawn']:,}",
            "plausible": f"{round(s['plausible_share'] * s['drawn']):,}",
            "share": f"{100 * s['plausible_share']:.3f} ± {100 * s['se']:.3f} %",
            "CPU s": f"{s['cpu_seconds']:.0f}",
            "wall s": f"{s['seconds']:.0f}",
            "memory GB": f"{s['peak_memory_gb']:.1f}",
            "per 1000 plausible, CPU s": f"{s['cpu_seconds'] / s['plausible_share'] / s['drawn'] * 1000:.2f}",
        }
        for s in screening
    ]
    if lines:
        parts.append(f"**Uniform draws of the box, screened**\n\n{markdown(lines)}")
        last = screening[-1]["ledger"]
        parts.append("Who was drawn, with every bound that was broken:\n\n" + markdown([_texts(x) for x in last]))
    return "\n\n".join(parts)


def _texts(record):
    return {k: f"{v:,}" if isinstance(v, int) else f"{v:.5f}" if isinstance(v, float) else v for k, v in record.items()}


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("run", type=Path, nargs="?", default=HERE / "results", help="the directory that run.py wrote")
    ask.add_argument("--write", action="store_true", help="into README.md")
    args = ask.parse_args()
    path = args.run / "screening.json"
    text = tables(pd.read_csv(args.run / "rows.csv"), json.loads(path.read_text()) if path.exists() else [])
    if not args.write:
        print(text)
        return
    kept = HERE / "results"
    kept.mkdir(exist_ok=True)
    for name in ("rows.csv", "screening.json"):
        if (args.run / name).exists() and args.run.resolve() != kept:
            shutil.copy(args.run / name, kept / name)
    readme = HERE / "README.md"
    before, rest = readme.read_text().split(START)
    readme.write_text(f"{before}{START}\n\n{text}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
