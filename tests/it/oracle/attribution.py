# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Comptoir authors
"""Compare the analyses of attribution with ChannelAttribution, a linear solve of numpy, and the definition in plain Python.

    python attribution.py DATA PATHS.csv ORDERS.csv TOUCHPOINTS.csv JOURNEYS.csv TOUCHES.csv

PATHS.csv is what path_attribution made of ChannelAttribution's own data. ORDERS.csv has the orders of a demo shop with
their net sales; JOURNEYS.csv and TOUCHES.csv are what weighted_attribution made of them and TOUCHPOINTS.csv at its two
grains, for all models but Markov's. The twin walks over the
orders one by one and knows nothing of windows, runs or sweeps. Prints one line and leaves with 0, or the first
differences and 1.
"""

import csv
import sys
import types
import warnings
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

WEIGHTS = (0.3, 0.4, 0.3)
LOOKBACK = timedelta(days=30)
HALF_LIFE = timedelta(days=7)


def channel_attribution():
    """The package, without the plots that it loads and this does not need."""
    for name in ["matplotlib", "matplotlib.pyplot", "matplotlib.colors", "matplotlib.cm"]:
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["matplotlib"].pyplot = sys.modules["matplotlib.pyplot"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ChannelAttribution

        return ChannelAttribution


def heuristics(paths: pd.DataFrame) -> pd.DataFrame:
    """First, last and linear touch by ChannelAttribution."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return channel_attribution().heuristic_models(
            paths, "path", "total_conversions", var_value="total_conversion_value", flg_pro=False
        ).set_index("channel_name")


def simulated(paths: pd.DataFrame) -> pd.Series:
    """Removal effects by ChannelAttribution's simulation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = channel_attribution().markov_model(
            paths, "path", "total_conversions", var_value="total_conversion_value", var_null="total_null",
            out_more=True, conv_par=0.03, seed=1, flg_pro=False,
        )
    return found["removal_effects"].set_index("channel_name")["removal_effects_conversion"]


def solved(paths: pd.DataFrame) -> dict[str, float]:
    """Removal effects by solving the chain anew without each channel."""
    counts: dict[tuple[str, str], float] = defaultdict(float)
    for row in paths.itertuples():
        steps = row.path.split(" > ")
        steps = [step for i, step in enumerate(steps) if i == 0 or step != steps[i - 1]]
        for pair in zip(["(start)", *steps], steps):
            counts[pair] += row.total_conversions + row.total_null
        counts[steps[-1], "(conversion)"] += row.total_conversions
        counts[steps[-1], "(null)"] += row.total_null
    states = sorted({state for pair in counts for state in pair} - {"(conversion)", "(null)"})
    place = {state: i for i, state in enumerate(states)}
    between = np.zeros((len(states), len(states)))
    converts = np.zeros(len(states))
    for (a, b), count in counts.items():
        total = sum(c for (from_, _), c in counts.items() if from_ == a)
        if b == "(conversion)":
            converts[place[a]] = count / total
        elif b != "(null)":
            between[place[a], place[b]] = count / total

    def rate(without: str | None) -> float:
        chain, ends = between.copy(), converts.copy()
        if without:
            chain[place[without]] = 0
            ends[place[without]] = 0
        return np.linalg.solve(np.eye(len(states)) - chain, ends)[place["(start)"]]

    return {state: 1 - rate(state) / rate(None) for state in states if state != "(start)"}


def check_paths(data: Path, written: Path) -> list[str]:
    """Differences over ChannelAttribution's data."""
    paths = pd.read_csv(data / "attribution/path_data.csv")
    found = pd.read_csv(written, keep_default_na=False, na_values=[""]).set_index(["model", "channel"])
    wrong = []

    def compare(what: str, left: float, right: float, tolerance: float) -> None:
        if not abs(left - right) <= tolerance:
            wrong.append(f"{what}: {left} is not {right}")

    expected = heuristics(paths)
    if len(expected) != 12:
        wrong.append(f"ChannelAttribution has {len(expected)} channels")
    for model, name in [("first", "first_touch"), ("last", "last_touch"), ("linear", "linear_touch")]:
        for channel, row in expected.iterrows():
            ours = found.loc[(model, channel)]
            compare(f"{model} {channel} conversions", ours["conversions"], row[f"{name}_conversions"], 1e-7)
            compare(f"{model} {channel} value", ours["value"], row[f"{name}_value"], 1e-7)
    total = paths["total_conversions"].sum()
    for model, of_model in found.groupby("model"):
        compare(f"{model} in all", of_model["conversions"].sum(), total, 1e-6)
        compare(f"{model} in all", of_model["value"].sum(), paths["total_conversion_value"].sum(), 1e-6)
    exact, chance = solved(paths), simulated(paths)
    for channel, effect in exact.items():
        ours = found.loc[("markov", channel)]
        compare(f"removal effect of {channel}", ours["removal_effect"], effect, 1e-12)
        compare(f"simulated effect of {channel}", ours["removal_effect"], chance[channel], 0.02)
        compare(f"markov {channel}", ours["conversions"], total * effect / sum(exact.values()), 1e-6)
    return wrong


def read(table: Path) -> list[dict[str, str]]:
    with open(table, newline="") as file:
        return list(csv.DictReader(file))


def time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace(" ", "T"))


def exposures(touches: list[dict]) -> list[dict]:
    """A journey: direct touches count where there is no other, neighbours of one channel are one."""
    kept = [t for t in touches if t["channel"] != "direct"] or touches
    return [t for i, t in enumerate(kept) if i == 0 or t["channel"] != kept[i - 1]["channel"]]


def weights(model: str, at: datetime, journey: list[dict]) -> list[float]:
    n = len(journey)

    def by(first: float, middle: float, last: float) -> list[float]:
        if n == 1:
            return [1.0]
        if n == 2:
            return [first + middle / 2, last + middle / 2]
        return [first, *[middle / (n - 2)] * (n - 2), last]

    match model:
        case "first":
            return [1.0, *[0.0] * (n - 1)]
        case "last" | "last_non_direct":
            return [*[0.0] * (n - 1), 1.0]
        case "weighted":
            return by(*WEIGHTS)
        case "position":
            return by(0.4, 0.2, 0.4)
        case "time_decay":
            aged = [0.5 ** ((at - t["at"]) / HALF_LIFE) for t in journey]
            return [a / sum(aged) for a in aged]
        case _:
            return [1.0 / n] * n


MODELS = ["first", "last", "last_non_direct", "linear", "weighted", "position", "time_decay", "shapley"]


def twin(sales: Path, touchpoints: Path) -> dict[tuple[str, str, str], tuple[float, float]]:
    """Weight and credit by model, order and touch; a touch without a name is none."""
    touches = defaultdict(list)
    for touch in read(touchpoints):
        if touch["customer_id"]:
            touches[touch["customer_id"]].append(touch | {"at": time(touch["event_timestamp"])})
    orders = defaultdict(list)
    for order in read(sales):
        if Decimal(order["net_sales"]) > 0:
            value = Decimal(order["net_sales"])
            orders[order["customer_id"]].append((time(order["created_timestamp"]), order["order_id"], value))
    rows = {}
    for customer, of_customer in orders.items():
        for at, order, value in of_customer:
            before = max((t for t, _, _ in of_customer if t < at), default=datetime.min)
            window = [t for t in touches[customer] if customer and before < t["at"] <= at and t["at"] >= at - LOOKBACK]
            window.sort(key=lambda t: (t["at"], t["touchpoint_id"]))
            for model in MODELS:
                journey = exposures(window)
                if model == "shapley":
                    first = {t["channel"]: t for t in reversed(journey)}
                    journey = [t for t in journey if first[t["channel"]] is t]
                if not journey:
                    rows[model, order, ""] = (1.0, float(value))
                    continue
                for touch, weight in zip(journey, weights(model, at, journey)):
                    rows[model, order, touch["touchpoint_id"]] = (weight, weight * float(value))
    return rows


def check_shop(sales: Path, touchpoints: Path, journeys: Path, touches: Path) -> list[str]:
    """Differences over the demo shop."""
    expected, found, wrong = twin(sales, touchpoints), {}, []
    by_touch, totals = defaultdict(Decimal), defaultdict(Decimal)
    with open(journeys, newline="") as file:
        for row in csv.DictReader(file):
            key = (row["model"], row["order_id"], row["touchpoint_id"])
            if key in found:
                wrong.append(f"{key} is there twice")
            found[key] = (float(row["weight"]), float(row["credit_revenue"]))
            by_touch[row["model"], row["touchpoint_id"]] += Decimal(row["credit_revenue"])
            totals[row["model"]] += Decimal(row["credit_revenue"])
    wrong += [f"{key} is {found.get(key)}, expected {expected.get(key)}" for key in sorted(found.keys() ^ expected.keys())]
    for key in found.keys() & expected.keys():
        (weight, credit), (right_weight, right_credit) = found[key], expected[key]
        # Rounding leaves a ten-thousandth a position.
        if abs(weight - right_weight) > 1e-9 or abs(credit - right_credit) > 0.001:
            wrong.append(f"{key} is {found[key]}, expected {expected[key]}")
    of_touch = defaultdict(Decimal)
    with open(touches, newline="") as file:
        for row in csv.DictReader(file):
            of_touch[row["model"], row["touchpoint_id"]] += Decimal(row["credit_revenue"])
    for key in by_touch.keys() | of_touch.keys():
        if by_touch[key] != of_touch[key]:
            wrong.append(f"{key}: {of_touch[key]} at the grain of touches, {by_touch[key]} order by order")
    if len(set(totals.values())) != 1 or sorted(totals) != sorted(MODELS):
        wrong.append(f"the models add up to {dict(totals)}")
    return wrong


def main(data: str, paths: str, *shop: str) -> int:
    """The exit code."""
    failed = False
    for name, wrong in [
        ("path_data", check_paths(Path(data), Path(paths))),
        ("the demo shop", check_shop(*map(Path, shop))),
    ]:
        if wrong:
            failed = True
            print(f"{name}: {len(wrong)} differences", *wrong[:10], sep="\n  ", file=sys.stderr)
    if not failed:
        print("as ChannelAttribution, the linear solve and the definition have it")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
