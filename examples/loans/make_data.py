"""Writes the example's data: made-up loans as a bank would export them, 2,000 to learn from and 500 to validate on.

Nothing is downloaded. Each row has an id, a date, texts, and here and there an empty field. Whether the loan was not
paid back stands last, as yes or no.
"""

from __future__ import annotations

import csv
import math
import random
from datetime import date, timedelta
from pathlib import Path

FOLDER = Path(__file__).parent / "data"
PURPOSES = ("car", "house", "small business", "wedding, or holidays")
STATES = ("CA", "FL", "NY", "TX", "WA")


def main() -> None:
    chance = random.Random(7)  # noqa: S311 (made-up data)
    loans = [loan(number, chance) for number in range(2500)]
    write("loans.csv", loans[:2000], list(loans[0]))
    write("validation.csv", loans[2000:], sorted(loans[0]))


def loan(number: int, chance: random.Random) -> dict[str, object]:
    income, amount = round(chance.lognormvariate(10.9, 0.4)), chance.randrange(1000, 40_000, 100)
    home, fico, years = chance.choice(("rent", "own", "mortgage")), chance.randrange(550, 850), chance.randrange(30)
    purpose = chance.choice(PURPOSES)
    risk = 4 * amount / income + (690 - fico) / 40 + (home == "rent") + 1.5 * (purpose == "small business") - 2.5
    return {
        "loan_id": f"LN-{number:05}",
        "issued_on": date(2015, 1, 1) + timedelta(days=chance.randrange(3000)),
        "purpose": purpose,
        "home_ownership": home,
        "state": chance.choice(STATES),
        "income": income if chance.random() > 0.04 else "",
        "amount": amount,
        "term_months": chance.choice((36, 60)),
        "fico": fico,
        "employment_years": years if chance.random() > 0.1 else "",
        "defaulted": "yes" if chance.random() < 1 / (1 + math.exp(-risk)) else "no",
    }


def write(name: str, loans: list[dict[str, object]], columns: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(loans)


if __name__ == "__main__":
    main()
