# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Comptoir authors
"""Recompute rfm_score with pandas, from the raw data, and compare every cell with what comptoir wrote.

    python rfm.py DATA CDNOW.csv ONLINE_RETAIL.csv

The definitions are those of the literature, not of sql/customers/rfm_score.sql: ranks in place of bounds, and the
segments as an ordered list of rules. Money is counted in ten thousandths, as integers, so that both sides are exact.
Prints one line and leaves with 0, or the first differences and 1.
"""

import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

SCORES = 5


def cdnow(data: Path) -> pd.DataFrame:
    """The orders of CDNOW: every line is one."""
    lines = pd.read_csv(data / "cdnow/CDNOW_master.txt", sep=r"\s+", dtype=str)
    orders = pd.DataFrame(
        {
            "customer_id": lines["customer_id"],
            "ordered_at": pd.to_datetime(lines["date"], format="%Y%m%d"),
            "units": lines["dollar_value"].map(units),
        }
    )
    published = (orders["customer_id"].nunique(), Decimal(int(orders["units"].sum())) / 10_000)
    if published != (23_570, Decimal("2500315.63")):
        sys.exit(f"this is not the CDNOW that was published: {published[0]} customers, {published[1]} dollars")
    return orders


def online_retail(data: Path) -> pd.DataFrame:
    """The orders of Online Retail: the lines of one invoice of one customer, cancellations among them."""
    lines = pd.read_csv(data / "online_retail/online_retail.csv.gz", dtype=str)
    lines["ordered_at"] = pd.to_datetime(lines["InvoiceDate"])
    lines["units"] = lines["Quantity"].astype("int64") * lines["UnitPrice"].map(units)
    invoices = lines.groupby(["CustomerID", "InvoiceNo"], dropna=False, as_index=False)
    orders = invoices.agg(ordered_at=("ordered_at", "min"), units=("units", "sum"))
    cancelled = orders["InvoiceNo"].str.startswith("C")
    if not (orders.loc[cancelled, "units"] <= 0).all():
        sys.exit("a cancellation adds to the sales")
    return orders.rename(columns={"CustomerID": "customer_id"})


def units(amount: str) -> int:
    """An amount in ten thousandths, exactly."""
    exact = Decimal(amount) * 10_000
    if exact != int(exact):
        raise ValueError(f"{amount} has more than four decimals")
    return int(exact)


def rfm_score(orders: pd.DataFrame) -> pd.DataFrame:
    """One row per customer, every cell as comptoir writes it to CSV."""
    as_of = orders["ordered_at"].max()
    orders = orders[orders["customer_id"].notna()]
    bought = orders[orders["units"] > 0].groupby("customer_id")
    customers = pd.DataFrame({"units": orders.groupby("customer_id")["units"].sum()})
    customers["frequency"] = bought.size().reindex(customers.index, fill_value=0)
    customers["last_order_at"] = bought["ordered_at"].max()

    scored = customers[customers["frequency"] > 0].copy()
    scored["recency_days"] = (as_of - scored["last_order_at"]) // pd.Timedelta(days=1)
    r, f, m = score(-scored["recency_days"]), score(scored["frequency"]), score(scored["units"])
    scored["segment"] = segment(r, f, m)
    for name, values in {"r_score": r, "f_score": f, "m_score": m}.items():
        scored[name] = values
    scored["rfm_score"] = r.astype(str) + f.astype(str) + m.astype(str)

    table = pd.DataFrame(index=customers.index)
    table["last_order_at"] = customers["last_order_at"].dt.strftime("%Y-%m-%dT%H:%M:%S")
    table["recency_days"] = scored["recency_days"].astype(str)
    table["frequency"] = customers["frequency"].astype(str)
    table["monetary"] = customers["units"].map(lambda u: f"{Decimal(u).scaleb(-4):.4f}")
    for name in ["r_score", "f_score", "m_score", "rfm_score", "segment"]:
        table[name] = scored[name].astype(str)
    table["is_scored"] = np.where(customers["frequency"] > 0, "true", "false")
    unpaid, negative = customers["frequency"] == 0, customers["units"] < 0
    table["warnings"] = np.select([unpaid, negative], ["no_positive_order", "negative_monetary"], "")
    return table.fillna("").sort_index()


def score(values: pd.Series) -> pd.Series:
    """From 1 to SCORES by the lowest rank among equals."""
    before = values.rank(method="min").astype("int64") - 1
    return 1 + SCORES * before // len(values)


def segment(r: pd.Series, f: pd.Series, m: pd.Series) -> np.ndarray:
    """The eight segments: the first rule that holds."""
    mean = (f + m) / 2
    rules = [
        ("cant_lose_them", (r == 1) & (f >= 4) & (m >= 4)),
        ("lost", (r == 1) & (f == 1)),
        ("at_risk", (r <= 2) & (mean >= 3)),
        ("hibernating", r <= 2),
        ("champions", ((r == 5) & (f >= 4) & (m >= 4)) | ((r == 4) & (f == 5) & (m == 5))),
        ("loyal_customers", (r >= 3) & (f >= 3) & (mean >= 3.5)),
        ("new_customers", (r >= 4) & (f == 1)),
    ]
    return np.select([holds for _, holds in rules], [name for name, _ in rules], "potential_loyalists")


def differences(expected: pd.DataFrame, written: Path) -> list[str]:
    """What comptoir wrote otherwise, or twice, or not at all."""
    found = pd.read_csv(written, dtype=str, keep_default_na=False).set_index("customer_id").sort_index()
    if list(found.columns) != list(expected.columns):
        return [f"columns {list(found.columns)}, expected {list(expected.columns)}"]
    if not found.index.equals(expected.index):
        odd = found.index.symmetric_difference(expected.index)
        return [f"{len(found)} customers, expected {len(expected)}; only one side has {list(odd[:5])}"]
    rows, columns = np.nonzero((found != expected).to_numpy())
    return [
        f"customer {found.index[i]}: {found.columns[j]} is {found.iat[i, j]!r}, expected {expected.iat[i, j]!r}"
        for i, j in zip(rows, columns)
    ]


def main(data: str, cdnow_csv: str, online_retail_csv: str) -> int:
    """The exit code."""
    failed, summaries = False, []
    for name, orders, written in [
        ("CDNOW", cdnow(Path(data)), Path(cdnow_csv)),
        ("Online Retail", online_retail(Path(data)), Path(online_retail_csv)),
    ]:
        expected = rfm_score(orders)
        if wrong := differences(expected, written):
            failed = True
            print(f"{name}: {len(wrong)} differences from pandas", *wrong[:10], sep="\n  ", file=sys.stderr)
        monetary = Decimal(int(orders.loc[orders["customer_id"].notna(), "units"].sum())).scaleb(-4)
        unscored = (expected["is_scored"] == "false").sum()
        summaries.append(f"{name} {len(expected)} customers ({unscored} unscored), {monetary}")
    if not failed:
        print("as pandas has it: " + "; ".join(summaries))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
