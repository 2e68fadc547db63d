"""A timeline of three scans, as `result.json` holds it."""

from datetime import date, timedelta

from plgg.data.result import Timeline, TimePoint, VolumeInterval

DAYS = (0, 90, 200)


def point(n, product, response, *, dated=True, **changes):
    fields = {
        "name": f"visit{n}",
        "prior": f"/very/secret/visit{n}",
        "scan_date": date(2024, 1, 1) + timedelta(DAYS[n]) if dated else None,
        "days": DAYS[n] if dated else None,
        "volume_ml": product / 50,
        "volume_interval": VolumeInterval(low_ml=1.0, high_ml=30.0, level=0.9, n_patients=20),
        "product_mm2": product,
        "is_measurable": True,
        "baseline_percent": None if n == 0 else (product - 1000) / 10,
        "nadir_percent": None,
        "volume_percent": None,
        "response": response,
        "is_confirmed": None if n == 0 else False,
        "confirmation": "" if n == 0 else "unconfirmed: one scan",
        "statement": "Less than before.",
    }
    return TimePoint(**(fields | changes))


def make_timeline(*, dated=True, **changes):
    fields = {
        "criteria": "RAPNO",
        "plane": "axial",
        "points": (
            point(0, 1000.0, "baseline", dated=dated),
            point(1, 450.0, "PR", dated=dated),
            point(2, 600.0, "PD", dated=dated, name="<b>now</b>", prior=None),
        ),
        "best_response": "PR",
        "best_confirmed": None,
        "warnings": ("not all were predicted by the same model",),
        "note": "Clinical status is not known.",
    }
    return Timeline(**(fields | changes))
