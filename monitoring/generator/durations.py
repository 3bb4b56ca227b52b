"""Durations as Prometheus writes them."""
import re

UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def seconds(text):
    """1h30m -> 5400"""
    parts = re.findall(r"(\d+)([dhms])", text)
    if "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration")
    return sum(int(number) * UNITS[unit] for number, unit in parts)


def text(number):
    """5400 -> 1h30m"""
    found = ""
    for unit, size in UNITS.items():
        count, number = divmod(number, size)
        found += f"{count}{unit}" if count else ""
    return found or "0s"
