# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Comptoir authors
"""Recompute price_elasticity with statsmodels and pyfixest, from raw data, and compare to 1e-8 with what comptoir wrote.

    python elasticity.py DATA DEMO ANSWERS

DATA is the folder of public data, or - where there is none; DEMO a demo shop in CSV; ANSWERS a folder of comptoir's
answers. The periods are made anew with pandas, the regressions are those of the packages, with dummies written out.
Prints one line and leaves with 0, or the first differences and 1.
"""

import sys
import warnings
from pathlib import Path

# The packages warn about each other; what counts here are the numbers.
warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pyfixest as pf  # noqa: E402
import statsmodels.api as sm  # noqa: E402
from scipy import stats  # noqa: E402

failures: list[str] = []
compared = 0


def same(what: str, found: float, expected: float, digits: float = 1e-8) -> None:
    """Notes a difference of more than `digits`, relative to values above 1."""
    global compared
    compared += 1
    if not abs(found - expected) <= digits * max(1.0, abs(expected)):
        failures.append(f"{what}: {found!r}, expected {expected!r}")


def least_squares(quantity: pd.Series, price: pd.Series, controls: pd.DataFrame):
    """ln quantity on ln price and controls, HC1, Student's t."""
    x = sm.add_constant(controls.assign(lp=np.log(price)), has_constant="add")
    return sm.OLS(np.log(quantity), x).fit(cov_type="HC1", use_t=True)


def orange_juice(data: Path, answers: Path) -> None:
    """Per brand, pooled, and by the aggregate function."""
    oj = pd.read_csv(data / "oj/oj.csv")
    table = pd.read_csv(answers / "oj.csv").set_index("sku")
    function = pd.read_csv(answers / "oj_function.csv").rename(columns=lambda c: c.split(".")[-1]).set_index("brand")
    for brand, rows in [*oj.groupby("brand"), ("all", oj)]:
        fit = least_squares(rows["sales"], rows["price"], rows[[]])
        low, high = fit.conf_int().loc["lp"]
        expected = {
            "elasticity": fit.params["lp"], "std_error": fit.bse["lp"], "ci_low": low, "ci_high": high,
            "p_value": fit.pvalues["lp"], "r2": fit.rsquared,
        }
        for column, value in expected.items():
            for name, found in [("analysis", table), ("function", function)]:
                same(f"oj {brand} {column}, {name}", found.loc[brand, column], value)
        same(f"oj {brand} intercept", function.loc[brand, "intercept"], fit.params["const"])
    for brand, published in {
        "all": -1.601307, "dominicks": -3.3775, "minute.maid": -3.3207, "tropicana": -2.7118
    }.items():
        same(f"oj {brand} as published", table.loc[brand, "elasticity"], published, 5e-5)
    # With brand dummies: what is left when each brand's mean is taken out.
    fit = pf.feols("lq ~ lp | brand", oj.assign(lq=np.log(oj["sales"]), lp=np.log(oj["price"])), vcov="hetero")
    same("oj with brand dummies", fit.coef()["lp"], -3.138691, 5e-7)
    featured = pd.read_csv(answers / "oj_promo.csv").set_index("sku")
    for brand, rows in oj.groupby("brand"):
        fit = least_squares(rows["sales"], rows["price"], rows[["feat"]].astype(float))
        same(f"oj {brand} beside promotions", featured.loc[brand, "elasticity"], fit.params["lp"])
        same(f"oj {brand} beside promotions, error", featured.loc[brand, "std_error"], fit.bse["lp"])


def weeks(demo: Path) -> pd.DataFrame:
    """What each sku sold in each week from its first to its last sale, at which price, and what happened."""
    orders = pd.read_csv(demo / "orders.csv", dtype={"order_id": str})
    lines = pd.read_csv(demo / "order_lines.csv", dtype={"order_id": str})
    truth = lambda c: c.astype(str).str.lower() == "true"  # noqa: E731
    orders = orders[orders["cancelled_timestamp"].isna() & ~truth(orders["is_test_order"])]
    lines = lines[~truth(lines["is_gift_card"])].merge(orders[["order_id", "created_timestamp"]], on="order_id")
    monday = lambda day: pd.to_datetime(day, format="mixed").dt.to_period("W-SUN").dt.start_time  # noqa: E731
    lines["week"] = monday(lines["created_timestamp"])
    lines["net"] = lines["price"] * lines["quantity"] - lines["total_discount"]
    sold = lines.groupby(["sku", "week"])[["quantity", "net"]].sum()
    stock = pd.read_csv(demo / "stock.csv")
    left = stock.groupby(["sku", "snapshot_date"], as_index=False)["available_quantity"].sum()
    left = left[left["available_quantity"] <= 0]
    empty = set(zip(left["sku"], monday(left["snapshot_date"])))
    calendar = pd.read_csv(demo / "calendar.csv")
    promos = set(monday(calendar.loc[calendar["type"] == "promotion", "date"]))
    tables = []
    for sku, of in sold.groupby(level="sku"):
        of = of.droplevel("sku")
        of = of.reindex(pd.date_range(of.index.min(), of.index.max(), freq="7D"))
        of["price"] = of["net"] / of["quantity"]
        of["quantity"] = of["quantity"].fillna(0.0)
        of["promo"] = of.index.isin(promos)
        known = of["price"].notna().to_numpy()
        price, promo = of["price"].to_numpy(), of["promo"].to_numpy()
        filled = price.copy()
        for i in np.flatnonzero(~known):
            usable = known if promo[i] or not (known & ~promo).any() else known & ~promo
            places = np.flatnonzero(usable)
            distance = abs(places - i)
            filled[i] = np.exp(np.log(price[places[distance == distance.min()]]).mean())
        of["price"] = filled
        of["empty"] = [(sku, week) in empty for week in of.index]
        tables.append(of.assign(sku=sku, week=of.index))
    return pd.concat(tables, ignore_index=True)


def season(of: pd.DataFrame) -> pd.DataFrame:
    """A trend, and a dummy for each month but the first there is."""
    months = pd.get_dummies(of["week"].dt.month, prefix="m", drop_first=True).astype(float)
    trend = (of["week"] - pd.Timestamp("2023-01-01")).dt.days / 365.25
    return months.assign(trend=trend)


def skus(all_weeks: pd.DataFrame, answers: Path) -> None:
    """Per sku: log-log and Poisson, with and without controls."""
    counted = all_weeks[~all_weeks["promo"] & ~all_weeks["empty"]]
    for name, method, controls in [
        ("loglog_none", "loglog", "none"), ("loglog_season", "loglog", "season"),
        ("ppml_none", "ppml", "none"), ("ppml_season", "ppml", "season"),
    ]:
        table = pd.read_csv(answers / f"{name}.csv").set_index("sku")
        done = 0
        for sku, of in counted.groupby("sku"):
            if method == "loglog":
                of = of[of["quantity"] > 0]
            elif controls == "season":
                of = of[of.groupby(of["week"].dt.month)["quantity"].transform("sum") > 0]
            held = season(of) if controls == "season" else of[[]]
            found = table.loc[sku]
            if len(of) <= held.shape[1] + 12 or np.isnan(found["elasticity"]):
                continue
            x = sm.add_constant(held.assign(lp=np.log(of["price"])), has_constant="add")
            if np.linalg.matrix_rank(x) < x.shape[1]:
                continue
            if method == "loglog":
                fit = least_squares(of["quantity"], of["price"], held)
                df, r2, error = fit.df_resid, fit.rsquared, fit.bse["lp"]
            else:
                model = sm.GLM(of["quantity"], x, family=sm.families.Poisson())
                fit = model.fit(cov_type="HC1", tol=1e-14, maxiter=300, tol_criterion="params")
                df, r2 = len(of) - x.shape[1], 1 - fit.deviance / fit.null_deviance
                # For generalised linear models statsmodels leaves n / (n - k) out of HC1; pyfixest, below, does not.
                error = fit.bse["lp"] * np.sqrt(len(of) / df)
                # pyfixest is the second opinion.
                if controls == "none" and done % 10 == 0:
                    again = pf.fepois("quantity ~ lp", of.assign(lp=np.log(of["price"])), vcov="HC1", iwls_tol=1e-12)
                    same(f"{name} {sku} by pyfixest", found["elasticity"], again.coef()["lp"])
                    same(f"{name} {sku} error by pyfixest", found["std_error"], again.se()["lp"], 5e-6)
            done += 1
            same(f"{name} {sku} n_obs", found["n_obs"], len(of))
            same(f"{name} {sku} elasticity", found["elasticity"], fit.params["lp"])
            same(f"{name} {sku} std_error", found["std_error"], error)
            same(f"{name} {sku} r2", found["r2"], r2)
            margin = error * stats.t.ppf(0.975, df)
            same(f"{name} {sku} ci_low", found["ci_low"], fit.params["lp"] - margin)
            same(f"{name} {sku} ci_high", found["ci_high"], fit.params["lp"] + margin)
        if done < 20:
            failures.append(f"{name}: only {done} skus were compared")


def panels(all_weeks: pd.DataFrame, answers: Path) -> None:
    """All skus together, by pyfixest, with the weeks as they are and with promotions and empty shelves kept."""
    for name, counted in [
        ("", all_weeks[~all_weeks["promo"] & ~all_weeks["empty"]]), ("_all", all_weeks),
    ]:
        counted = counted.assign(lp=np.log(counted["price"]), week=counted["week"].astype(str))
        sold = counted[counted["quantity"] > 0].assign(lq=lambda d: np.log(d["quantity"]))
        exact = {"fixef_tol": 1e-13, "fixef_maxiter": 1_000_000}
        least = pf.feols("lq ~ lp | sku + week", sold, vcov={"CRV1": "sku"}, **exact)
        poisson = pf.fepois("quantity ~ lp | sku + week", counted, vcov={"CRV1": "sku"}, iwls_tol=1e-13, iwls_maxiter=100, **exact)
        for method, fit in [("panel", least), ("panel_ppml", poisson)]:
            found = pd.read_csv(answers / f"{method}{name}.csv").iloc[0]
            same(f"{method}{name} n_obs", found["n_obs"], fit._N)
            same(f"{method}{name} elasticity", found["elasticity"], fit.coef()["lp"])
            same(f"{method}{name} std_error", found["std_error"], fit.se()["lp"])


def main(data: str, demo: str, answers: str) -> int:
    """The exit code."""
    if data != "-":
        orange_juice(Path(data), Path(answers))
    all_weeks = weeks(Path(demo))
    skus(all_weeks, Path(answers))
    panels(all_weeks, Path(answers))
    if failures:
        print(f"{len(failures)} of {compared} differ", *failures[:20], sep="\n  ", file=sys.stderr)
        return 1
    print(f"as statsmodels and pyfixest have it: {compared} numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
