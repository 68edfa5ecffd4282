"""What the report says beyond the dose rationale: the calibrations, the virtual patients, and what happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cytokine
import killing
import numpy as np
import pandas as pd
import pharmacokinetics as pk
from doses import RESPONDED, STARTED
from populations import MIAO
from reading import LAST_FIRST_DOSE_SAMPLE, il6, iv_pk, sc_pk
from reading import killing as killing_data

import qspx
from qspx import fih
from qspx.report import Callout, Heading, Items, axes_figure, calibration, frame_table, text
from qspx.report.drawing import BLUE, GREEN, GREY, ORANGE, PALETTE, new_figure, style
from qspx.report.figures import forest

CONTEXT = fih.RationaleContext(
    product="Teclistamab",
    mechanism="Bispecific IgG4 antibody that binds BCMA on myeloma cells and CD3 on T cells.",
    indication="Relapsed or refractory multiple myeloma",
    question_of_interest="Which intravenous starting dose do the methods give from what could be known before the "
    "first patient, and how does it compare with what happened?",
    context_of_use="Retrospective: a test of methods and models on public data. No decision rests on it.",
    model_influence="None on a decision; the comparison judges the model.",
    decision_consequence="None here; for a new molecule high: severe cytokine release.",
    model_risk="Not applicable to a retrospective comparison",
    model_impact="Not applicable to a retrospective comparison",
    route="intravenous",
    population_description="Virtual adults of 70 kg; spread of pharmacokinetics from Betts 2018 (antibodies), of "
    "soluble BCMA from Hibma 2026, of cells and receptors from ranges of Poels 2025, shapes and some widths assumed.",
)

LIMITATIONS = [
    "The system around the drug (marrow, T cells, soluble BCMA) was published in 2025 and parts of it were estimated "
    "on elranatamab in man: nothing of teclistamab in man enters the doses of sections 1 to 11, but not all of what "
    "does was known in 2017.",
    "The equilibrium of trimers falls beyond 3 nM with the affinities as measured; the killing curve stays flat to "
    "512 nM. The binding model is wrong there, and only its rising limb is used.",
    "Receptor numbers of H929 and of patients' myeloma cells are assumed equal; the killing curve tells the product "
    "of receptor numbers over affinities only. Median numbers in patients that have been reported are lower.",
    "Public descriptions of marrow differ (0.37 to 2.2 L, cell numbers, how drug gets there); another one is tried in "
    "the section on what happened.",
    "The serum assay is taken to measure total drug; free drug in serum would be about a tenth at these doses.",
    "The digitised IV points mix patients of a cohort, so that the scatter around the curve holds differences between "
    "patients, and the data cannot tell them apart.",
    "All coefficients of variation tagged assumed are ours; the width of the 95 % criterion follows from them.",
    "Intravenous doses are taken as boluses; the length of the infusion is not in the data.",
    "Killing of normal BCMA-positive cells, cytokines other than IL-6, antibodies against the drug and premedication "
    "are not modelled.",
]


def outcome_table(rationales: tuple[Any, Any, Any]) -> pd.DataFrame:
    """Every dose beside the two of the trial."""
    rows = []
    for basis, rationale in zip(("before", "after", "after, IL-6"), rationales, strict=True):
        for e in sorted(rationale.estimates, key=lambda e: e.dose_ug_per_kg):
            low, _, high = e.interval or (float("nan"),) * 3
            rows.append([basis, e.method, e.dose_ug_per_kg, low, high, STARTED / e.dose_ug_per_kg,
                         e.dose_ug_per_kg / RESPONDED])  # fmt: skip
    return pd.DataFrame(rows, columns=["basis", "method", "dose", "low", "high", "started", "responded"])


def sections(**found: Any) -> list[Any]:
    """Blocks for `write_report`."""
    parts = (what_happened(found["rationales"], found["predictions"], found["menon"]),
             human_pk(found["pharmacokinetics"], found["choices"], found["before"]),
             in_vitro(found["killed"], found["levels"], found["affinities"]),
             il6_section(found["released"]), virtual(found["populations"]), wrong(found))  # fmt: skip
    return [block for part in parts for block in part]


def what_happened(rationales: tuple[Any, Any, Any], predictions: pd.DataFrame, menon: float) -> Iterator[Any]:
    yield Heading("What happened, beside every method", "outcome")
    yield text(
        f"The trial began with {STARTED:g} µg/kg intravenously every two weeks; first responses came at {RESPONDED:g} "
        f"µg/kg intravenously, {RESPONDED / STARTED:.0f} times the start, or "
        f"{fih.steps_between(STARTED, RESPONDED):.1f} half-log steps. “Before” uses the pharmacokinetics of a typical "
        "antibody; “after” those fitted to teclistamab in man, which no first-in-human dose could have used. No "
        "threshold was chosen with these outcomes in view: the levels are those of MABEL (10, 20 and 50 % of the "
        "effect in vitro)."
    )  # fmt: skip
    yield frame_table(
        outcome_table(rationales), "outcome", "Every method against what happened.",
        titles={"basis": "Knowledge", "low": "5 %", "high": "95 %", "started": "Start of the trial",
                "responded": "Dose"},
        units={"dose": "µg/kg", "low": "µg/kg", "high": "µg/kg", "started": "÷ dose", "responded": "÷ first response"},
        widths={"method": 34},
        notes=("Closed forms have intervals from draws of what they take from fits and from the spread of volumes of "
               "antibodies; simulated criteria from draws of typical values and resampled patients.",),
    )  # fmt: skip
    marks = {"start": STARTED, "first responses": RESPONDED}
    for name, rationale, words in (("before", rationales[0], "before the first patient"),
                                   ("after", rationales[1], "with human pharmacokinetics as fitted")):  # fmt: skip
        yield axes_figure(forest(rationale.estimates, marks=marks), f"outcome-{name}",
                          f"Doses {words}, and the two doses of the trial.")  # fmt: skip
    yield frame_table(
        predictions, "predicted-at-given", "Predicted at doses that were given (single dose, 14 days).",
        titles={"signal_5": "Trimers, 5 %", "signal_50": "median", "signal_95": "95 %",
                "share_above_EC20": "Share above EC20", "occupied": "BCMA occupied", "IL6": "IL-6"},
        units={"dose": "µg/kg", "signal_5": "÷ EC20", "signal_50": "÷ EC20", "signal_95": "÷ EC20", "IL6": "pg/mL"},
        notes=("Trimers: peak per myeloma cell in marrow over those of EC20 in vitro. Before the first patient IL-6 is "
               "that of the published release (elranatamab); calibrated, that of the fitted release under "
               "dexamethasone.",),
    )  # fmt: skip
    yield text(
        "In the marrow of Menon 2026 (0.37 L with 1.8·10⁹ T cells, in place of 1.75 L) the typical patient reaches "
        f"the trimers of EC20 at {menon:.3g} µg/kg intravenously: the same molecule, the same killing curve, another "
        "public description of marrow."
    )


def human_pk(fits: dict[str, Any], choices: pd.DataFrame, before: Any) -> Iterator[Any]:
    yield Heading("Calibration: human pharmacokinetics", "calibration-pk")
    yield text(
        "Concentrations were digitised from figures; reading them off is taken to add 10 % (standard deviation of the "
        "logarithm) to the scatter that is estimated. Body weight was not reported: 74 kg, the reference of Miao "
        "2023."
    )
    yield from calibration(fits["all"].title, fits["all"].problem, fits["all"].fit, note=fits["all"].note,
                           identifiability=fits["all"].verdict)  # fmt: skip
    one = fits["reduced"]
    yield from calibration(one.title, one.problem, one.fit, note=one.note, identifiability=one.verdict,
                           profiles=one.profiles)  # fmt: skip
    yield frame_table(pk.compared(one.fit), "pk-published", "Estimates beside the published population model.",
                      titles={"low": "2.5 %", "high": "97.5 %", "inside": "Published value inside"},
                      notes=("Miao 2023, 338 patients. CL1, CL2 in L/day, V1 in L, ka per day.",))  # fmt: skip
    task = pk.Task(MIAO.Miao2023(), "C", "central")
    prior = pk.fold_errors(pk.Task(before, "total_ng_mL", "A"), "before the first patient")
    errors = [prior[prior["arm"] != "SC step-up"], pk.fold_errors(task, "published"),
              pk.fold_errors(task, "fitted", {k: one.values[k] for k in ("CL1", "V1", "ka", "F")})]  # fmt: skip
    yield frame_table(pd.concat(errors), "pk-fold-errors", "Predicted over measured concentration.",
                      titles={"ratio": "Predicted ÷ measured", "fold_error": "Fold error"},
                      notes=("Geometric means. “Before the first patient”: a typical antibody (Betts 2018), nothing of "
                             "teclistamab; “published”: typical patient of Miao 2023, nothing fitted.",))  # fmt: skip
    yield frame_table(choices, "pk-choices", "The same fit under other choices.")
    yield pk_figure(one)
    one = fits["system"]
    yield from calibration(one.title, one.problem, one.fit, note=one.note, identifiability=one.verdict)


def pk_figure(one: Any) -> Any:
    iv, sc = iv_pk(everything=True), sc_pk()
    published = {k: v for k, v in pk.PUBLISHED.items() if k in one.problem.names}
    days = np.linspace(0.01, 36.0, 200)
    curves = {"fitted": one.problem.curves(one.values, days),
              "published": one.problem.curves({**one.values, **published}, days)}  # fmt: skip
    with style():
        figure, (left, right) = new_figure(3.0, 1, 2)
        for colour, (arm, rows) in zip(PALETTE, iv.groupby("arm", sort=False), strict=False):
            left.plot(rows["time"], rows["value"] * 1000, "o", color=colour, markersize=3, label=arm)
            for line, found in zip(("-", ":"), curves.values(), strict=True):
                curve = found[(found["arm"] == arm) & (found["time"] < LAST_FIRST_DOSE_SAMPLE + 1)]
                left.plot(curve["time"], curve["prediction"], line, color=colour, linewidth=1)
        right.plot(sc["time"], sc["value"] * 1000, "o", color=BLUE, markersize=3)
        for line, found in zip(("-", ":"), curves.values(), strict=True):
            curve = found[found["arm"] == "SC step-up"]
            right.plot(curve["time"], curve["prediction"], line, color=BLUE, linewidth=1)
        left.legend(fontsize=6)
        for ax, title in ((left, "intravenous"), (right, "subcutaneous, step-up")):
            ax.set_yscale("log")
            ax.set(xlabel="time (day)", ylabel="serum concentration (ng/mL)", title=title)
        right.set_ylim(bottom=10)
    return axes_figure(left, "pk-curves", "Serum concentrations: points digitised, lines fitted, dots the typical "
                                          "patient "
                       "of the published population model.")  # fmt: skip


def in_vitro(fits: dict[str, Any], levels: pd.DataFrame, affinities: pd.DataFrame) -> Iterator[Any]:
    yield Heading("Calibration: killing in vitro", "calibration-killing")
    for key in ("sigmoid", "rising", "densities", "all", "affinity"):
        one = fits[key]
        yield from calibration(one.title, one.problem, one.fit, note=one.note, identifiability=one.verdict,
                               profiles=one.profiles)  # fmt: skip
    compared = {one.title: one.fit for key, one in fits.items() if key != "densities"}
    yield frame_table(killing.variants(compared), "killing-variants", "How well each variant describes the curve.",
                      titles={"KD_CD3": "KD of CD3"}, units={"KD_CD3": "nM"}, widths={"variant": 40},
                      notes=("AIC compares variants with the same points only.",))  # fmt: skip
    yield frame_table(affinities, "killing-affinities", "The binding model at fixed affinities for CD3, all points.",
                      titles={"KD_CD3": "KD of CD3", "lost": "Lost"}, units={"KD_CD3": "nM", "X50": "per cell"},
                      notes=("A loss of 1.92 in log-likelihood is the limit of the 95 % interval.",))  # fmt: skip
    best = levels[levels["draw"] == 0].set_index("level")
    spread = levels[levels["draw"] > 0].groupby("level")[["concentration", "trimers"]].quantile([0.05, 0.95]).unstack()
    rows = [[f"EC{100 * x:g}", best.loc[x, "concentration"], *spread.loc[x, "concentration"], best.loc[x, "trimers"],
             *spread.loc[x, "trimers"]] for x in best.index]  # fmt: skip
    columns = ["level", "concentration", "c_low", "c_high", "trimers", "t_low", "t_high"]
    yield frame_table(pd.DataFrame(rows, columns=columns), "killing-levels",
                      "Concentration and trimers per cell at levels of the effect, binding model.",
                      titles={"c_low": "5 %", "c_high": "95 %", "t_low": "5 %", "t_high": "95 %"},
                      units={"concentration": "nM", "c_low": "nM", "c_high": "nM", "trimers": "per cell",
                             "t_low": "per cell", "t_high": "per cell"})  # fmt: skip
    yield killing_figure(fits)


def killing_figure(fits: dict[str, Any]) -> Any:
    grid = np.geomspace(3e-4, 600.0, 80)
    frame = killing_data()
    lines = (("sigmoid", GREY, "--"), ("rising", BLUE, "-"), ("all", ORANGE, "-"), ("affinity", GREEN, "-"))
    with style():
        figure, ax = new_figure(3.0)
        low, high = (killing_data(c)["value"] for c in ("low", "high"))
        ax.errorbar(frame["concentration"], frame["value"], [frame["value"] - low, high - frame["value"]], fmt="o",
                    color="black", markersize=3, linewidth=0.8)  # fmt: skip
        for key, colour, line in lines:
            one = fits[key]
            model = one.problem.model
            cohort = killing.cohort_of(model, one.problem.names, np.array([list(one.values.values())]))
            protocol = qspx.Protocol.escalation(qspx.Regimen.single(1.0, "nM", "C"), list(grid))
            wanted = qspx.Last("cytotoxicity", end=48.0)
            result = qspx.simulate_cohort(model, cohort, protocol, summaries=[wanted], progress=False)
            ax.plot(grid, result.metric(wanted.name)[:, 0], line, color=colour, linewidth=1, label=one.title)
        ax.set_xscale("log")
        ax.set(xlabel="teclistamab (nM)", ylabel="share of H929 cells dead after 48 h", ylim=(0, 1))
        ax.legend(fontsize=6)
    return axes_figure(ax, "killing-curves", "Killing of H929: median and range over donors (digitised), and four "
                                             "models. "
                       "With the affinities as measured, trimers fall beyond 3 nM; the killing does not.")  # fmt: skip


def il6_section(fits: dict[str, Any]) -> Iterator[Any]:
    yield Heading("Calibration: IL-6", "calibration-il6")
    for one in fits.values():
        yield from calibration(one.title, one.problem, one.fit, note=one.note, identifiability=one.verdict,
                               profiles=one.profiles)  # fmt: skip
    peaks = [cytokine.peaks(one.problem, one.values, one.title) for one in fits.values()]
    yield frame_table(pd.concat(peaks), "il6-peaks", "Highest IL-6 after each of the first three doses.",
                      units={"measured": "pg/mL", "predicted": "pg/mL"}, titles={"ratio": "Predicted ÷ "
                                                                                          "measured"})  # fmt: skip
    data, hours = il6(), np.linspace(0.5, 504.0, 250)
    with style():
        figure, ax = new_figure(2.8)
        ax.plot(data["time"] / 24, data["value"], "o", color="black", markersize=3)
        for one, colour in zip(fits.values(), (ORANGE, BLUE), strict=True):
            curve = one.problem.curves(one.values, hours)
            ax.plot(curve["time"] / 24, curve["prediction"], color=colour, linewidth=1, label=one.title)
        ax.set_yscale("log")
        ax.set(xlabel="time (day)", ylabel="IL-6 (pg/mL)")
        ax.legend(fontsize=6)
    yield axes_figure(ax, "il6-curves", "Mean serum IL-6 under subcutaneous step-up (digitised), release as "
                                        "published for "
                      "elranatamab, and fitted.")  # fmt: skip


def virtual(populations: tuple[Any, Any]) -> Iterator[Any]:
    yield Heading("Virtual patients", "virtual-patients")
    yield text(
        "Two populations. Before the first patient: pharmacokinetics spread as among antibodies. Calibrated: typical "
        "values as fitted here, with their standard errors carried to the dose intervals; spread between patients "
        "from the published population model, because means and mixed points cannot tell it. Both share the spread of "
        "the system."
    )
    for name, joint in zip(("before", "calibrated"), populations, strict=True):
        frame = joint.describe()[["parameter", "distribution", "median", "cv", "p05", "p95"]]
        yield frame_table(frame, f"population-{name}", f"Spread between virtual patients, {name}.")


def wrong(found: dict[str, Any]) -> Iterator[Any]:
    """Where the model is wrong, with the numbers of this run."""
    fits, killed, released = found["pharmacokinetics"], found["killed"], found["released"]
    spr, free = (float(killed[k].fit.objective.log_likelihood(killed[k].fit.x)) for k in ("all", "affinity"))
    peaks = {k: cytokine.peaks(one.problem, one.values, k)["ratio"].tolist() for k, one in released.items()}
    at = found["predictions"].set_index(["system", "dose"])["signal_50"]
    at_bounds = [n for n, b in zip(fits["all"].problem.names, fits["all"].fit.at_bound, strict=True) if b]
    residual = fits["reduced"].problem.predict(fits["reduced"].fit.x)
    worst = residual.iloc[int(residual["residual"].abs().to_numpy().argmax())]
    tried = found["affinities"]
    least = float(tried[tried["lost"] < 1.92]["KD_CD3"].min())
    yield Heading("Where the model is wrong", "wrong")
    yield Callout("Warning", "Misfits and what the data cannot tell", (
        "What follows is computed in this run; limitations are listed in the section on uncertainty.",))  # fmt: skip
    yield Items((
        "Killing beyond 3 nM: with the affinities as measured the binding model falls to "
        f"{_predicted(killed['all'], '512 nM'):.0%} dead at 512 nM, measured 90 %. Freeing the affinity for CD3 gains "
        f"{free - spr:.1f} in log-likelihood for one parameter and drives it to "
        f"{killed['affinity'].values['KD_CD3']:.3g} nM, against 20.8 nM as published; the smallest affinity constant "
        f"tried that stays within 1.92 of the best is {least:.3g} nM. Either arms in a synapse do not compete as in "
        "solution, or killing does not follow the number of trimers.",
        f"IL-6: the release published for elranatamab predicts {peaks['published'][0]:.1f}, "
        f"{peaks['published'][1]:.1f} and {peaks['published'][2]:.1f} times the measured mean peaks after doses 1, 2 "
        f"and 3; fitted, {peaks['fitted'][0]:.2f}, {peaks['fitted'][1]:.2f} and {peaks['fitted'][2]:.2f} times. "
        "Measured peaks rise from dose to dose, and IL-6 falls within hours of each dose, as after dexamethasone, "
        "which the block does not know. Even fitted, its curve is nearly flat: it is no basis for a dose under "
        "premedication.",
        f"Trimers: at {RESPONDED:g} µg/kg, where patients first responded, the median virtual patient has "
        f"{at['before the first patient', RESPONDED]:.2g} times the trimers of EC20 before the first patient and "
        f"{at['calibrated', RESPONDED]:.2g} times calibrated; at {STARTED:g} µg/kg "
        f"{at['before the first patient', STARTED]:.1g} times. The order of magnitude is right, its interval spans "
        "ten-fold and more, and another public marrow moves it again: agreement of a median is no validation.",
        f"Pharmacokinetics: {', '.join(at_bounds) or 'no parameter'} ended at a bound when everything was estimated. "
        "Clearance at the start, the volume and absorption are told; how clearance falls, distribution and (closely) "
        "bioavailability are not.",
        f"The worst point of the pharmacokinetics is {worst['arm']} at day {worst['time']:.2g}: "
        f"{worst['residual']:.1f} standard deviations. The first step-up sample lies below first-order absorption as "
        "fitted, and two values share the time of the second dose: times of step-up doses are uncertain by half a day.",
    ))  # fmt: skip


def _predicted(one: Any, arm: str) -> float:
    frame = one.problem.predict(one.fit.x)
    return float(frame[frame["arm"] == arm]["prediction"].iloc[0])
