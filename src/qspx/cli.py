"""The command line: read the arguments, call one public function, print and write what it gives.

Nothing heavy is imported before a command runs, so that `qspx --help` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, no_type_check

import typer
from typer.core import TyperGroup

FAILED_CHECK, BAD_INPUT, INTERRUPTED = 1, 2, 130
NONE: list[str] = []  # the default of options that may be repeated; typer copies it


class Commands(TyperGroup):
    """Turns errors into one message and an exit code; `--debug` adds the traceback."""

    def invoke(self, ctx: Any) -> Any:
        from qspx._errors import QspxError

        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            hint = " The same command resumes where it stopped." if ctx.invoked_subcommand in ("cohort", "fih") else ""
            typer.echo(f"Interrupted.{hint}", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except (QspxError, OSError) as error:
            if ctx.meta.get("qspx.debug"):
                traceback.print_exc()
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(BAD_INPUT) from None


@no_type_check  # typer finds the context by this annotation, but passes an object of its base class
def _remember(ctx: typer.Context, value: bool) -> bool:
    ctx.meta["qspx.debug"] = value
    return value


def _version(value: bool) -> bool:
    if value:
        import qspx

        typer.echo(f"qspx {qspx.__version__}")
        raise typer.Exit
    return value


app = typer.Typer(
    cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", callback=_remember)]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file (Python).", show_default=False)]
ExperimentPath = Annotated[
    Path, typer.Argument(metavar="EXPERIMENT", help="An experiment file (TOML).", show_default=False)
]
RunFolder = Annotated[
    Path,
    typer.Option(
        "--out", metavar="DIR", help="Folder for the run; an earlier run there is resumed.", show_default=False
    ),
]
Switch = Annotated[
    list[str],
    typer.Option("--switch", metavar="NAME=VALUE", help="A switch of the model file; repeatable.", show_default=False),
]


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
):
    """Quantitative systems pharmacology: models, virtual patients, and the first-in-human dose.

    \b
    Examples:
      qspx check models/isb2001.py
      qspx simulate models/isb2001.py --dose "5 ug/kg" --into depot --until 28 --observable nACT
      qspx fih experiments/isb2001_fih/demo.toml --out runs/demo

    Exit codes: 0 done, 1 a check failed, 2 bad input, 130 interrupted.
    """


@app.command(short_help="Check a model: units, structure, published numbers.")
def check(
    model: ModelFile,
    switch: Switch = NONE,
    published: Annotated[bool, typer.Option(help="Compute the published numbers too; may take a minute.")] = True,
    tables: Annotated[bool, typer.Option(help="Print species, parameters and observables.")] = True,
    debug: Debug = False,
) -> None:
    """Check a model: its units, its structure, and the numbers that its publication reports.

    Exit code 1 if mass balance or valency is violated, a parameter is unused, or a published number is not met.

    \b
    Examples:
      qspx check models/isb2001.py
      qspx check models/isb2001.py --switch q1=true --switch q2=true
      qspx check my_model.py --no-published --no-tables
    """
    prepare()
    from qspx.experiment.arguments import read_switches
    from qspx.experiment.shown import published_text
    from qspx.loading import load_model

    found = load_model(model, **read_switches(switch))
    typer.echo(f"{found}\n" if tables else f"{found!r}\n")
    if tables and len(observed := found.observable_table()):
        typer.echo(f"{observed.to_string(index=False)}\n")
    typer.echo("units: consistent")
    lints = found.lints()
    lines = [f"{'note' if lint.note else 'structure'}: {lint}" for lint in lints]
    typer.echo("\n".join(lines) or "structure: nothing to report")
    failed = any(not lint.deviation and not lint.note for lint in lints)
    if published and found.published:
        typer.echo(f"computing {len(found.published)} published numbers ...", err=True)
        table = found.published_table()
        typer.echo(f"\n{published_text(table)}")
        failed |= not all(table["passed"])
    if failed:
        raise typer.Exit(FAILED_CHECK)


@app.command(short_help="Simulate one subject under one regimen.")
def simulate(
    model: ModelFile,
    dose: Annotated[
        str,
        typer.Option(help='Amount with unit, "5 ug/kg"; or one for each time, "0.5,1.5,5 ug/kg".', show_default=False),
    ],
    into: Annotated[str, typer.Option(help="Species that receives the doses.", show_default=False)],
    until: Annotated[float, typer.Option(help="End of the simulation, in the model's time unit.", show_default=False)],
    at: Annotated[str, typer.Option(help="Times of the doses, with commas between them.")] = "0",
    observable: Annotated[
        list[str], typer.Option(help="What to report; repeatable. Default: all.", show_default=False)
    ] = NONE,
    duration: Annotated[
        float | None, typer.Option(help="Duration of each dose as an infusion.", show_default=False)
    ] = None,
    set_: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A parameter, CL=0.3 or 'CL=0.3 L/day'; repeatable.", show_default=False
        ),
    ] = NONE,
    switch: Switch = NONE,
    points: Annotated[int, typer.Option(min=2, help="Number of sampling times.")] = 201,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all times as CSV.", show_default=False)
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw a figure (SVG, PDF or PNG).", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Simulate one subject under one regimen.

    \b
    Examples:
      qspx simulate models/isb2001.py --dose "5 ug/kg" --into depot --until 28 --observable C --observable nACT
      qspx simulate models/isb2001.py --dose "0.5,1.5,5 ug/kg" --at 0,3,7 --into depot --until 28 \\
          --observable nACT --set "CL=0.3 L/day" --out nact.csv --plot nact.svg
    """
    prepare()
    import numpy as np

    import qspx
    from qspx._errors import ConfigError
    from qspx.experiment.arguments import read_regimen, read_settings, read_switches
    from qspx.experiment.shown import plot_solution, solution_frame, solution_text

    found = qspx.load_model(model, **read_switches(switch))
    regimen = read_regimen(dose, into, at, duration, found.time_unit)
    start = min(0.0, regimen.doses[0].at)
    if not until > start:
        raise ConfigError(f"--until must be after the start of the simulation ({start:g}), but is {until:g}.")
    solution = qspx.simulate(
        found,
        regimen,
        np.linspace(start, until, points),
        observables=observable or None,
        parameters=read_settings(set_, found),
    )
    typer.echo(f"{found.name}: {regimen}")
    typer.echo(solution_text(solution))
    if out is not None:
        solution_frame(solution).to_csv(out, index=False)
        typer.echo(f"Table:  {out}")
    if plot is not None:
        plot_solution(solution, plot)
        typer.echo(f"Figure: {plot}")


@app.command(short_help="Turn an SBML file into a model file.")
def convert(
    sbml: Annotated[Path, typer.Argument(metavar="SBML", help="An SBML file.", show_default=False)],
    out: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file (Python) to write.", show_default=False)],
    ordinary_fast: Annotated[
        bool, typer.Option("--fast-as-ordinary", help="Take reactions marked fast as ordinary ones.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    debug: Debug = False,
) -> None:
    """Turn an SBML file (Level 2 or 3 core) into a model file of qspx, to be read, edited and simulated.

    Needs libSBML: pip install "qspx[sbml]". What qspx does not take is refused, with element and line.

    \b
    Examples:
      qspx convert BIOMD0000000613.xml models/peterson2010.py
      qspx convert BIOMD0000000490.xml models/demin2013.py --fast-as-ordinary
    """
    prepare()
    from qspx._errors import ConfigError
    from qspx.interchange import write_model_file

    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists; add --overwrite to replace it.")
    found = write_model_file(sbml, out, ordinary_fast=ordinary_fast)
    typer.echo(f"{found.model!r}")
    if found.dimensionless:
        typer.echo("units: left out, since those of the file do not fit its formulas")
        typer.echo(f"  {found.dimensionless}")
    if found.model.has_events:
        typer.echo("events: simulate it with `qspx.simulate_events`")
    typer.echo(f"Model:  {out}")


@app.command(short_help="Simulate the virtual patients of an experiment.")
def cohort(
    experiment: ExperimentPath,
    out: RunFolder,
    trajectories: Annotated[
        bool, typer.Option("--trajectories", help="Also keep the time courses of [profiles].")
    ] = False,
    debug: Debug = False,
) -> None:
    """Simulate the virtual patients of an experiment at each of its dose levels.

    Stored in parts as it runs; when interrupted, the same command resumes. Written to --out: metrics.parquet (one row
    per dose level and virtual patient), patients.parquet, manifest.json.

    \b
    Examples:
      qspx cohort experiments/isb2001_fih/isb2001.toml --out runs/isb2001_cohort
      qspx cohort my.toml --out runs/my --trajectories
    """
    prepare()
    from qspx.experiment import load_experiment, run_cohort
    from qspx.experiment.shown import cohort_text, ledger_text

    result = run_cohort(load_experiment(experiment), out, trajectories=trajectories)
    if result.metrics:
        typer.echo(f"{cohort_text(result)}\n")
    ledger = result.subject_ledger
    typer.echo(ledger_text(ledger.table(), ledger.total))
    typer.echo(f"Metrics: {out / 'metrics.parquet'}")


@app.command(short_help="The first-in-human dose rationale of an experiment.")
def fih(
    experiment: ExperimentPath,
    out: RunFolder,
    report: Annotated[bool, typer.Option(help="Write the report.")] = True,
    debug: Debug = False,
) -> None:
    """The first-in-human dose rationale of an experiment: every method's dose, the proposed dose beside it, a report.

    Stored in parts as it runs; when interrupted, the same command resumes.

    \b
    Examples:
      qspx fih experiments/isb2001_fih/demo.toml --out runs/demo
      qspx fih my.toml --out runs/my --no-report
    """
    prepare()
    from qspx.experiment import load_experiment, run_fih
    from qspx.experiment.shown import estimates_text, ledger_text

    file = load_experiment(experiment)
    rationale = run_fih(file, out)
    typer.echo(f"{file.content.title}\n\n{estimates_text(rationale)}\n")
    typer.echo(ledger_text(rationale.ledger, rationale.ledger_total))
    if report:
        from qspx.report import write_report

        typer.echo(f"Report: {write_report(rationale, out / 'report', title=file.content.title)}")


@app.command(short_help="Write the report of a finished run again.")
def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN_DIR", help="The --out of a finished `qspx fih`.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the report. Default: RUN_DIR/report.", show_default=False),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write the report of a finished run again, without simulating.

    \b
    Examples:
      qspx report runs/demo
      qspx report runs/demo --out ~/shared/isb2001
    """
    prepare()
    from qspx.experiment import RESULT, load_rationale
    from qspx.report import write_report

    rationale, title = load_rationale(run / RESULT)
    typer.echo(f"Report: {write_report(rationale, out or run / 'report', title=title or None)}")


def cache_folder() -> Path:
    """Where this system keeps the caches of a user's programs, and qspx in it."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "qspx" / "jax"


def prepare() -> None:
    """Settings that jax, equinox and matplotlib read when they are imported, unless the user has set them; float64."""
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_folder()))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
    # Without it, equinox's run-time checks are host callbacks, and jax does not cache programs that hold one.
    os.environ.setdefault("EQX_ON_ERROR", "nan")
    os.environ.setdefault("MPLBACKEND", "Agg")
    from qspx._precision import enable_x64

    enable_x64()
