"""A run beside the published numbers, and the difference in words: its one home."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nextaim_kit.catalog import Published, Study

TAGS = {
    "pub": "a publication says so",
    "slides": "only slides say so",
    "code": "read in the authors' public code",
    "calc": "computed from published numbers",
    "recall": "from memory, not checked",
    "guess": "a guess",
}
NO_RUN, NOT_MEASURED, NOT_PUBLISHED = "not run yet", "not in this run", "not published"

Interval = tuple[float, float]


@dataclass(frozen=True)
class Reference:
    """A published number beside ours, with the difference in words."""

    published: Published
    words: str

    @property
    def text(self) -> str:
        """Value with spread or interval, such as ``0.64 ± 0.08``."""
        p = self.published
        if p.spread is not None:
            return f"{number(p.value)} ± {number(p.spread)}"
        interval = published_interval(p)
        bracket = f" [{number(interval[0])}, {number(interval[1])}]" if interval else ""
        return number(p.value) + bracket

    @property
    def tag_meaning(self) -> str:
        """The tag in words."""
        return TAGS[self.published.tag]


_SPELLED = {
    "auc": "AUC",
    "ct": "CT",
    "ss": "SS",
    "dsc": "DSC",
    "hd95": "HD95",
    "hu": "HU",
    "ibsi": "IBSI",
    "mae": "mean absolute error",
    "combat": "ComBat",
    "n": "number",
    "rho": "rank correlation",
}


def in_words(name: str) -> str:
    """Name of a metric as a person would write it."""
    return " ".join(_SPELLED.get(word, word) for word in name.split("_"))


@dataclass(frozen=True)
class Comparison:
    """One metric: what this kit measured, None before any run, and what was published."""

    name: str
    measured: Mapping[str, Any] | None = None
    references: list[Reference] = field(default_factory=list)

    @property
    def label(self) -> str:
        """Name of the metric as it was published, else its own in plain words.

        Where versions of a method published it, as in ``Dice, v1`` and ``Dice, v2``: without them.
        """
        names = {r.published.metric for r in self.references}
        if len(names) > 1:
            names = {name.rpartition(", ")[0] or name for name in names}
        return names.pop() if len(names) == 1 else in_words(self.name)

    @property
    def text(self) -> str:
        """Our value with its interval and unit, such as ``0.847 [0.811, 0.882]``."""
        return measured_text(self.measured) if self.measured else "-"

    @property
    def value(self) -> str:
        """Our value with its unit; a dash where there is none."""
        return measured_text(self.measured, bracket=False) if self.measured else "-"

    @property
    def interval(self) -> str:
        """Our interval in brackets; empty where there is none."""
        interval = measured_interval(self.measured) if self.measured else None
        return f"[{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""

    @property
    def words(self) -> str:
        """What is said where nothing was published."""
        return "" if self.references else NOT_PUBLISHED


def compare(record: Mapping[str, Any], study: Study) -> list[Comparison]:
    """Put the metrics of a run beside what was published for its stage.

    Parameters
    ----------
    record : mapping
        A run record; its ``stage`` and ``metrics`` are read. Without ``data`` it stands for a
        notebook that was not run.
    study : Study

    Returns
    -------
    list of Comparison
        Those with a published number first, in the order of the study file.
    """
    measured = {m["name"]: m for m in record["metrics"]}

    def words(ours: Mapping[str, Any] | None, published: Published) -> str:
        return NOT_MEASURED if ours is None and "data" in record else difference(ours, published)

    by_name: dict[str, list[Published]] = {}
    for published in study.published:
        if published.notebook == record["stage"]:
            by_name.setdefault(published.matches or published.metric, []).append(published)
    return [
        Comparison(
            name,
            measured.get(name),
            [Reference(p, words(measured.get(name), p)) for p in by_name.get(name, [])],
        )
        for name in dict.fromkeys([*by_name, *measured])
    ]


def difference(measured: Mapping[str, Any] | None, published: Published) -> str:
    """Difference between our value and a published one, in words.

    Says whether the published value lies inside our interval, or, where we have none, whether
    ours lies inside the published one. It never says "better": for some metrics low is good.
    """
    if measured is None:
        return NO_RUN
    gap = _gap(measured["value"], published.value)
    if gap == "equal" and not measured_interval(measured):
        return gap
    return f"{gap}, {_position(measured, published)}"


def _gap(value: float, published: float) -> str:
    gap = value - published
    if abs(gap) < 5e-4 * max(abs(published), 1e-9):
        return "equal"
    size = f"{abs(gap):.0f}" if abs(gap) >= 10 else f"{abs(gap):.2g}"
    return f"{size} {'above' if gap > 0 else 'below'}"


def _position(measured: Mapping[str, Any], published: Published) -> str:
    ours, theirs = measured_interval(measured), published_interval(published)
    if ours and _inside(published.value, ours):
        return "inside our interval"
    if ours and theirs:
        overlap = ours[0] <= theirs[1] and theirs[0] <= ours[1]
        return "the intervals overlap" if overlap else "the intervals do not overlap"
    if ours:
        return "outside our interval; published value has no interval"
    if theirs:
        side = "inside" if _inside(measured["value"], theirs) else "outside"
        return f"{side} the published spread; ours has no interval"
    return "neither has an interval"


def _inside(value: float, interval: Interval) -> bool:
    return interval[0] <= value <= interval[1]


def measured_interval(measured: Mapping[str, Any]) -> Interval | None:
    """Interval of one of our metrics, or None."""
    low, high = measured.get("low"), measured.get("high")
    return None if low is None or high is None else (low, high)


def published_interval(published: Published) -> Interval | None:
    """Interval of a published number: low to high, else value ± spread, else None."""
    if published.low is not None and published.high is not None:
        return published.low, published.high
    if published.spread is not None:
        return published.value - published.spread, published.value + published.spread
    return None


def measured_text(measured: Mapping[str, Any], *, bracket: bool = True) -> str:
    """One of our metrics as text: value, interval, unit; to three digits where not a count."""
    interval = measured_interval(measured)
    text = f"{measured['value']:.3f}" if interval else number(measured["value"])
    if interval and bracket:
        text += f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    return f"{text} {measured.get('unit') or ''}".rstrip()


def number(value: float) -> str:
    """A number to three digits behind the point, whole ones without any."""
    if float(value).is_integer():
        return f"{value:.0f}" if abs(value) < 1e6 else f"{value:.3g}"
    if abs(value) < 5e-4:
        return f"{value:.1e}"
    if abs(value) >= 100:
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}"
    text = f"{value:.3f}"
    return text[:-1] if text.endswith("0") else text


def is_synthetic(record: Mapping[str, Any]) -> bool:
    """Whether any of the data that a run used are synthetic."""
    return any(d.get("synthetic") for d in record["data"])


def data_text(record: Mapping[str, Any]) -> str:
    """Names of the data that a run used, each once."""
    return ", ".join(dict.fromkeys(str(d["name"]) for d in record["data"])) or "none"


def terms_text(record: Mapping[str, Any]) -> str:
    """License, agreement and last day of the real data that a run used, where they are known."""
    lines = []
    for one in record["data"]:
        known = one.get("licence") if one.get("licence") != "unknown" else ""
        until = f"until {one['until']}" if one.get("until") else ""
        named = [str(part) for part in (known, one.get("agreement"), until) if part]
        if named and not one.get("synthetic"):
            lines.append(f"{one['name']}: {'; '.join(named)}")
    return ", ".join(lines)
