# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Comptoir authors
"""Recompute sku_true_cost row by row, from the raw tables, and compare with what comptoir wrote.

    python costs.py make FOLDER                   write random small shops, one folder each
    python costs.py check FOLDER ANSWER.csv …     compare the answers of the shops in FOLDER, in order
    python costs.py demo SHOP ANSWER.csv          compare the answer for a whole demo shop, with storage at 5 %

Sums are fractions, so that nothing here is rounded before the end. A part of a pool may differ from its exact share by
less than two ten thousandths, for the last one goes by remainder; the parts of a pool must add up to it exactly. What is
not a part of a pool must be the exact number, rounded. Leaves with 1 and the first differences.
"""

import csv
import datetime as dt
import random
import sys
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import pandas as pd

POOLS = ["fulfillment", "payment_fees", "acquisition_marketing", "overhead"]
DIRECT = ["purchase_cost", "inbound_packaging", "storage_cost", "returns_sav"]
UNITS = ["units_sold", "units_returned", "net_revenue"]

# What each random shop is asked; main() below and the test in oracle.rs go through them in the same order.
ASKED = [
    {},
    {"fulfillment_key": "revenue", "resale_basis": "observed"},
    {"fulfillment_key": "half", "unattributed_spend": "leave"},
    {"fulfillment_key": "equal", "period": "month"},
    {"from_date": "2024-01-20", "to_date": "2024-02-25"},
    {"period": "month", "overhead_key": "quantity"},
]


def read(folder: Path, name: str) -> list[dict]:
    """A table as rows; empty cells are None."""
    table = pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
    return [{k: v or None for k, v in row.items()} for row in table.to_dict("records")]


def money(text: str | None) -> Fraction:
    """An amount, nothing where there is none."""
    return Fraction(text or 0)


def day(text: str) -> dt.date:
    """The day of a date or a time."""
    return dt.date.fromisoformat(text[:10])


def reference(folder: Path, asked: dict) -> dict:
    """(sku, bucket) → the components; None where one is not known."""
    bucket = lambda d: d.replace(day=1) if asked.get("period") == "month" else None
    low = dt.date.fromisoformat(asked.get("from_date", "0001-01-01"))
    high = dt.date.fromisoformat(asked.get("to_date", "9999-12-31"))
    rows = lambda name, column: [r for r in read(folder, name) if low <= day(r[column]) <= high]

    orders = {}
    for o in read(folder, "orders"):
        if o["is_test_order"] != "true" and not o["cancelled_timestamp"]:
            orders[o["order_id"]] = o
    first = {}
    for o in sorted(orders.values(), key=lambda o: (o["created_timestamp"], o["order_id"])):
        if o["customer_id"]:
            first.setdefault(o["customer_id"], o["order_id"])
    firsts = set(first.values())
    orders = {k: o for k, o in orders.items() if low <= day(o["created_timestamp"]) <= high}

    back = defaultdict(list)
    for r in read(folder, "returns"):
        back[r["order_line_id"]].append(r)
    lines = defaultdict(list)
    for l in read(folder, "order_lines"):
        if l["order_id"] in orders:
            l["units"] = int(l["quantity"])
            l["paid"] = money(l["price"]) * l["units"] - money(l["total_discount"])
            l["net"] = l["paid"] - sum(money(r["subtotal"]) for r in back[l["order_line_id"]])
            if l["is_gift_card"] == "true":
                l["net"] = Fraction(0)
            lines[l["order_id"]].append(l)

    products = {p["sku"]: p for p in read(folder, "products")}
    history = defaultdict(list)
    for c in read(folder, "product_costs"):
        history[c["sku"]].append((day(c["valid_from"]), day(c["valid_to"]) if c["valid_to"] else dt.date.max, c))
    made_of = defaultdict(list)
    for b in read(folder, "bom"):
        made_of[b["bundle_sku"]].append((b["sku"], int(b["quantity"])))

    def own_cost(sku, on):
        known = [c for begin, end, c in sorted(history[sku], key=lambda h: h[0]) if begin <= on <= end]
        known = known[-1]["unit_cost_amount"] if known else None
        known = known or products.get(sku, {}).get("unit_cost_amount")
        return None if known is None else Fraction(known)

    def parts(sku):
        """The parts that are no bundles, with how many."""
        found = defaultdict(int)
        for part, times in made_of[sku]:
            for leaf, n in parts(part).items() if part in made_of and made_of[part] else [(part, 1)]:
                found[leaf] += n * times
        return found

    total = defaultdict(lambda: defaultdict(Fraction))
    costed = defaultdict(list)  # (sku, bucket) → (day, net units, units back, lost)
    seen = set()
    firsts_of = defaultdict(Fraction)  # (channel, month) → first orders
    shares = []  # of first orders: (sku, bucket, channel, month, share)
    for k, order in orders.items():
        on = day(order["created_timestamp"])
        if k in firsts:
            firsts_of[order["channel"] or "(unknown)", on.replace(day=1)] += 1
        basket = lines[k]

        def share(line, key):
            whole = lambda f: sum(f(l) for l in basket)
            units = lambda l: max(l["units"], 0)
            amount = {"revenue": lambda l: max(l["net"], 0), "paid": lambda l: max(l["paid"], 0)}.get(key)
            if amount and whole(amount) > 0:
                return Fraction(amount(line)) / whole(amount)
            if key == "equal" or whole(units) == 0:
                return Fraction(1, len(basket))
            by_units = Fraction(units(line), whole(units))
            return (by_units + Fraction(1, len(basket))) / 2 if key == "half" else by_units

        shipping = max(money(order["shipping_expense"]) - money(order["shipping_cost"]), 0)
        for l in basket:
            at = (l["sku"], bucket(on))
            seen.add(at)
            t = total[at]
            returned = sum(int(r["refunded_quantity"]) for r in back[l["order_line_id"]])
            lost = sum(int(r["refunded_quantity"]) for r in back[l["order_line_id"]] if r["is_restocked"] == "false")
            t["units_sold"] += l["units"]
            t["units_returned"] += returned
            t["net_revenue"] += l["net"]
            t["fulfillment"] += (money(order["pick_pack_cost"]) + shipping) * share(l, asked.get("fulfillment_key", "quantity"))
            t["payment_fees"] += money(order["payment_fee"]) * share(l, "paid")
            t["handling"] += sum(money(r["handling_cost"]) + money(r["return_shipping_cost"]) for r in back[l["order_line_id"]])
            costed[at].append((on, l["units"] - returned, returned, lost))
            if k in firsts:
                shares.append((at, (order["channel"] or "(unknown)", on.replace(day=1)), share(l, "revenue")))

    stock_value, stock_days = defaultdict(list), defaultdict(set)
    days = [day(o["created_timestamp"]) for k, o in orders.items() if lines[k]]
    for s in rows("stock", "snapshot_date"):
        on = day(s["snapshot_date"])
        days.append(on)
        seen.add((s["sku"], bucket(on)))
        stock_days[bucket(on)].add(on)
        if int(s["on_hand_quantity"]) > 0:
            said = Fraction(s["unit_cost_amount"]) if s["unit_cost_amount"] else None
            stock_value[s["sku"], bucket(on)].append((on, int(s["on_hand_quantity"]), said))
    tickets = defaultdict(Fraction)
    for s in rows("support_tickets", "created_at"):
        if s["sku"]:
            days.append(day(s["created_at"]))
            seen.add((s["sku"], bucket(day(s["created_at"]))))
            tickets[s["sku"], bucket(day(s["created_at"]))] += money(s["cost"])

    # Pools of a period: ad spend and overhead.
    pools = defaultdict(lambda: defaultdict(Fraction))
    spent, left = defaultdict(Fraction), defaultdict(Fraction)
    for s in rows("ad_spend", "date_day"):
        spent[s["channel"] or "(unknown)", day(s["date_day"]).replace(day=1)] += money(s["spend"])
    for (channel, month), amount in spent.items():
        if firsts_of[channel, month]:
            pools[bucket(month)]["acquisition_marketing"] += amount
        else:
            left[bucket(month)] += amount
    won = defaultdict(Fraction)
    for at, key, part in shares:
        won[at[1]] += part
        if spent[key]:
            total[at]["acquisition_marketing"] += spent[key] * part / firsts_of[key]
    if asked.get("unattributed_spend") != "leave":
        for at, _, part in shares:
            total[at]["acquisition_marketing"] += left[at[1]] * part / won[at[1]]
        for b in won:
            pools[b]["acquisition_marketing"] += left[b]
    for c in rows("costs", "date"):
        b = bucket(day(c["date"]))
        key = asked.get("overhead_key", c["allocation_key"] or "revenue")
        mine = [at for at in seen if at[1] == b]
        net = lambda at: max(total[at]["units_sold"] - total[at]["units_returned"], 0)
        size = lambda column: lambda at: net(at) * money(products.get(at[0], {}).get(column))
        revenue = lambda at: max(total[at]["net_revenue"], 0)
        weights = {"quantity": net, "volume": size("volume_cm3"), "weight": size("weight_g")}
        for weight in [weights.get(key, revenue), revenue, net, lambda at: 1]:
            whole = sum(weight(at) for at in mine)
            if whole > 0:
                for at in mine:
                    total[at]["overhead"] += money(c["amount"]) * weight(at) / whole
                pools[b]["overhead"] += money(c["amount"])
                break

    answer = {}
    for at in seen:
        sku, b = at
        t, product = total[at], products.get(sku, {})
        leaves = parts(sku) if made_of.get(sku) else {}

        sales = costed[at]
        asked_days = [on for on, net, back_, _ in sales]
        by_parts = leaves and all(own_cost(leaf, on) is not None for on in asked_days for leaf in leaves)
        by_own = all(own_cost(sku, on) is not None for on in asked_days)
        if by_parts:
            unit = lambda on: sum(own_cost(leaf, on) * n for leaf, n in leaves.items())
        elif by_own:
            unit = lambda on: own_cost(sku, on)
        else:
            unit = None
        purchase = None if unit is None else sum((net * unit(on) for on, net, _, _ in sales), Fraction(0))

        def extra(column):
            """What a unit costs beside its price: the product's own figure, or its parts'."""
            if product.get(column) is not None:
                return Fraction(product[column])
            if leaves and all(products.get(leaf, {}).get(column) is not None for leaf in leaves):
                return sum(Fraction(products[leaf][column]) * n for leaf, n in leaves.items())
            return None

        packaging, inbound = extra("packaging_cost"), extra("inbound_cost")
        net_units = t["units_sold"] - t["units_returned"]
        sold = t["units_sold"] or t["units_returned"]
        if not sold:
            packed = Fraction(0)
        else:
            packed = None if packaging is None or inbound is None else net_units * (packaging + inbound)
        came_back = t["units_returned"]
        returns_sav = t["handling"] + tickets[at]
        if came_back:
            if unit is None or packaging is None or inbound is None:
                returns_sav = None
            else:
                landed = [(n, lost, unit(on)) for on, _, n, lost in sales]
                if product.get("resale_rate") is not None and asked.get("resale_basis") != "observed":
                    worth = sum(n * (u + packaging + inbound) for n, _, u in landed)
                    returns_sav += worth * (1 - Fraction(product["resale_rate"]))
                else:
                    returns_sav += sum(lost * (u + packaging + inbound) for _, lost, u in landed)

        begin, end = max(low, min(days)), min(high, max(days))
        if "from_date" in asked:
            begin, end = low, high
        if b:
            last = (b.replace(day=28) + dt.timedelta(days=4)).replace(day=1) - dt.timedelta(days=1)
            begin, end = max(b, begin), min(last, end)
        storage = None
        if stock_days[b]:
            leaf_value = lambda on: sum(own_cost(leaf, on) * n for leaf, n in leaves.items())
            leaves_known = lambda on: leaves and all(own_cost(leaf, on) is not None for leaf in leaves)
            counted = stock_value[at]
            if all(said or own_cost(sku, on) is not None for on, _, said in counted):
                value = sum(n * (said or own_cost(sku, on)) for on, n, said in counted)
            elif all(said or leaves_known(on) for on, _, said in counted):
                value = sum(n * (said or leaf_value(on)) for on, n, said in counted)
            else:
                value = None
            if value is not None:
                storage = value * Fraction(5, 100) * ((end - begin).days + 1) / (365 * len(stock_days[b]))
        answer[at] = {
            **{c: t[c] for c in UNITS + POOLS},
            "purchase_cost": purchase,
            "inbound_packaging": packed,
            "storage_cost": storage,
            "returns_sav": returns_sav,
        }
    for at in seen:
        for name in ["fulfillment", "payment_fees"]:
            pools[at[1]][name] += answer[at][name]
    return {"skus": answer, "pools": pools}


def differences(folder: Path, asked: dict, written: Path) -> list[str]:
    """What comptoir wrote otherwise."""
    expected = reference(folder, asked)
    wrong, found = [], {}
    with written.open() as file:
        for row in csv.DictReader(file):
            b = dt.date.fromisoformat(row["period_start"]).replace(day=1) if asked.get("period") == "month" else None
            if (row["sku"], b) in found:
                wrong.append(f"{row['sku']} stands there twice")
            found[row["sku"], b] = row
    if found.keys() != expected["skus"].keys():
        return wrong + [f"only one side has {sorted(map(str, found.keys() ^ expected['skus'].keys()))[:5]}"]
    for at, values in sorted(expected["skus"].items(), key=str):
        for column, value in values.items():
            text = found[at][column]
            off = Fraction(1, 10_000) * (2 if column in POOLS else Fraction(1, 2) + Fraction(1, 1000))
            if (value is None) != (text == "") or (value is not None and abs(Fraction(text) - value) > off):
                wrong.append(f"{at[0]} {at[1] or ''} {column} is {text or 'NULL'}, expected {value and float(value)}")
    for b, pools in expected["pools"].items():
        mine = [row for (_, other), row in found.items() if other == b]
        for name, pool in pools.items():
            spread = sum(Fraction(row[name] or 0) for row in mine)
            if mine and spread != pool:
                wrong.append(f"{b or ''} {name}: {float(spread)} of {float(pool)} is spread")
    return wrong


def make(folder: Path) -> None:
    """Small shops in which everything happens that can."""
    for number in range(len(ASKED)):
        rnd = random.Random(number)
        shop = folder / f"shop_{number}"
        shop.mkdir(parents=True)
        skus = [f"s{i}" for i in range(7)]
        start = dt.date(2024, 1, 3)
        on = lambda: start + dt.timedelta(days=rnd.randrange(70))
        cents = lambda high: f"{rnd.randrange(high * 100) / 100:.2f}"
        maybe = lambda value, p=0.8: value if rnd.random() < p else ""

        def write(name, header, rows):
            with (shop / f"{name}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([header.split(), *rows])

        orders, lines, returns = [], [], []
        for k in range(24):
            test, cancelled = k == 5 or rnd.random() < 0.05, k == 6 or rnd.random() < 0.05
            placed = f"{on()}T{rnd.randrange(10, 24)}:00:00"
            orders.append([
                f"o{k:02}", maybe(f"c{rnd.randrange(9)}", 0.85) if k else "c0", placed, f"2024-04-01T10:00:00" if cancelled else "",
                "true" if test else "false", "EUR", maybe(rnd.choice(["ads", "seo", "mail"]), 0.9) if k else "ads",
                cents(4), maybe(cents(9)) if k else "1.5", cents(6), cents(2),
            ])
            for n in range(rnd.randrange(1, 4)):
                card = rnd.random() < 0.08 or (k, n) == (0, 0)
                quantity = rnd.randrange(1, 5)
                price = 0 if rnd.random() < 0.1 else rnd.randrange(100, 9000)
                discount = rnd.randrange(price * quantity // 2 + 1)
                lines.append([f"l{k}-{n}", f"o{k:02}", "gift" if card else rnd.choice(skus), quantity, f"{price / 100:.2f}",
                              f"{discount / 100:.2f}", "true" if card else "false"])
                if not card and rnd.random() < 0.25 or (k, n) == (1, 0):
                    for units in [1] if quantity == 1 or rnd.random() < 0.7 else [1, quantity - 1]:
                        returns.append([f"l{k}-{n}", units, f"{(price * quantity - discount) * units // quantity / 100:.2f}",
                                        rnd.choice(["true", "false"]), cents(3), cents(5)])
        write("orders", "order_id customer_id created_timestamp cancelled_timestamp is_test_order currency channel "
              "pick_pack_cost shipping_expense shipping_cost payment_fee", orders)
        write("order_lines", "order_line_id order_id sku quantity price total_discount is_gift_card", lines)
        write("returns", "order_line_id refunded_quantity subtotal is_restocked handling_cost return_shipping_cost", returns)
        write("products", "sku title unit_cost_amount packaging_cost inbound_cost weight_g volume_cm3 resale_rate", [
            [s, f"thing {s}", maybe(cents(20), 0.7) if s != "s0" else "3.5", maybe(cents(2), 0.9) if s != "s0" else "0.5",
             cents(2), rnd.randrange(500), rnd.randrange(900), maybe(f"{rnd.randrange(101) / 100}", 0.8) if s != "s0" else "0.5"]
            for s in skus + ["gift"] if s != "s4"
        ])
        write("product_costs", "sku valid_from valid_to unit_cost_amount", [
            row for s in skus[:4] for row in [
                [s, "2023-01-01", "2024-01-31", cents(20)],
                [s, "2024-01-25" if s == "s1" else "2024-02-01", "" if s != "s2" else "2024-02-20", cents(20)],
            ]
        ])
        write("bom", "bundle_sku sku quantity", [["s5", "s0", 2], ["s5", "s6", 1], ["s6", "s1", 1], ["s6", "s3", 3]])
        write("stock", "snapshot_date sku location_id on_hand_quantity unit_cost_amount", [
            [start + dt.timedelta(days=d), s, w, rnd.randrange(-2, 20), maybe(cents(15), 0.3) if d else "4.5"]
            for d in range(0, 70, 7) for s in skus[:6] + ["shelf"] for w in ["w1", "w2"] if rnd.random() < 0.8
        ])
        write("ad_spend", "date_day channel spend cost_type currency", [
            [on(), maybe(rnd.choice(["ads", "seo", "mail", "radio"]), 0.9) if k else "ads", cents(90), "media", "EUR"] for k in range(15)
        ])
        write("costs", "date cost_type amount allocation_key", [
            [dt.date(2024, month, 1), kind, cents(300), key] for month in [1, 2, 3]
            for kind, key in [("rent", "volume"), ("salaries", ""), ("software", "quantity"), ("cars", "weight")]
        ])
        write("support_tickets", "sku created_at cost", [
            [maybe(rnd.choice(skus), 0.8) if k else "s1", f"{on()}T12:00:00", cents(9)] for k in range(8)
        ])


def main(command: str, folder: str, *answers: str) -> int:
    """The exit code."""
    if command == "make":
        make(Path(folder))
        return 0
    shops = [(Path(folder), {})] if command == "demo" else [(Path(folder) / f"shop_{n}", a) for n, a in enumerate(ASKED)]
    failed = 0
    if len(answers) != len(shops):
        sys.exit(f"{len(shops)} answers are needed, not {len(answers)}")
    for (shop, asked), answer in zip(shops, answers):
        if wrong := differences(shop, asked, Path(answer)):
            failed = 1
            print(f"{shop.name} {asked}: {len(wrong)} differences", *wrong[:12], sep="\n  ", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
