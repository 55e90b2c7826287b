"""A sweep on one page: the fronts of its seeds, and whether one setting is robust. It needs no network."""

from collections.abc import Sequence
from html import escape

from xenolith.analysis.fronts import Outcome, Standing, conclusion, front, standings

__all__ = ["sweep_page"]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 420, 340, 52, 42, 24
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2733;max-width:66rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;text-align:right;
border-bottom:1px solid #e3e8ee}td:nth-child(2),th:nth-child(2){text-align:left}.robust{background:#e7f4f1}
p.hint{color:#5b6877}svg text{font:12px system-ui,sans-serif;fill:#5b6877}.seeds{display:flex;gap:1.5rem;
flex-wrap:wrap}.say{font-weight:600}
"""


def sweep_page(
    name: str, outcomes: Sequence[Outcome], base: Sequence[Outcome], *, settings: int, seeds: int
) -> str:
    """Return the page (HTML).

    Parameters
    ----------
    name
        Of the sweep.
    outcomes
        Tuned policies, as far as there are.
    base
        The policy that runs start from, once for each seed that evaluated it.
    settings, seeds
        How many the sweep has.
    """
    found = standings(outcomes)
    numbers = {standing.setting: str(place + 1) for place, standing in enumerate(found)}
    shown = sorted({outcome.seed for outcome in outcomes})
    charts = "".join(
        _chart(
            f"seed {seed}",
            [outcome for outcome in outcomes if outcome.seed == seed],
            [outcome for outcome in base if outcome.seed == seed],
            numbers,
        )
        for seed in shown
    )
    body = (
        f"<h1>Sweep {escape(name)}: {settings} settings, {seeds} seeds</h1>"
        f"<p class='say'>{escape(conclusion(found, seeds, settings * seeds - len(outcomes)))}</p>"
        f"<div class='seeds'>{charts}</div>{_table(found, seeds)}"
        "<p class='hint'>On the front: no other setting of the seed has more novel or more metastable samples"
        " without fewer of the other kind. As good: the 95 % interval of its mSUN reaches the seed's best."
        " Robust: both in every seed."
        " Numbers in the charts are those of the table; the cross is the policy that the runs start from.</p>"
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>Sweep {escape(name)}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _chart(title: str, outcomes: Sequence[Outcome], base: Sequence[Outcome], numbers: dict[str, str]) -> str:
    points = [(100 * outcome.novel.value, 100 * outcome.metastable.value) for outcome in outcomes]
    start = [(100 * outcome.novel.value, 100 * outcome.metastable.value) for outcome in base]
    low_x, high_x = _span([x for x, _ in points + start])
    low_y, high_y = _span([y for _, y in points + start])

    def x(value: float) -> float:
        return _LEFT + (value - low_x) / (high_x - low_x) * (_WIDTH - _LEFT - 10)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low_y) / (high_y - low_y) * (_HEIGHT - _BOTTOM - _TOP)

    ahead = front(points)
    line = sorted((points[index] for index in ahead), key=lambda point: (point[0], -point[1]))
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line)
    marks = "".join(
        f"<circle cx='{x(a):.1f}' cy='{y(b):.1f}' r='4' fill='{'#0f7c6c' if index in ahead else '#9aa7b5'}'/>"
        f"<text x='{x(a) + 6:.1f}' y='{y(b) - 5:.1f}'>{numbers[outcomes[index].setting]}</text>"
        for index, (a, b) in enumerate(points)
    )
    crosses = "".join(
        f"<path d='M{x(a) - 5:.1f},{y(b):.1f}h10M{x(a):.1f},{y(b) - 5:.1f}v10' stroke='#1d2733'/>"
        for a, b in start
    )
    ticks = "".join(
        f"<text x='{x(value):.0f}' y='{_HEIGHT - _BOTTOM + 16}' text-anchor='middle'>{value:.0f}</text>"
        for value in (low_x, (low_x + high_x) / 2, high_x)
    ) + "".join(
        f"<text x='{_LEFT - 6}' y='{y(value) + 4:.0f}' text-anchor='end'>{value:.0f}</text>"
        for value in (low_y, (low_y + high_y) / 2, high_y)
    )
    frame = f"<path d='M{_LEFT},{_TOP}V{_HEIGHT - _BOTTOM}H{_WIDTH - 10}' stroke='#c9d2dc' fill='none'/>"
    names = (
        f"<text x='{(_WIDTH + _LEFT) / 2:.0f}' y='{_HEIGHT - 8}' text-anchor='middle'>novel, %</text>"
        f"<text transform='translate(13 {_HEIGHT / 2:.0f}) rotate(-90)' text-anchor='middle'>"
        "metastable, %</text>"
        f"<text x='{_LEFT}' y='14'>{escape(title)}</text>"
    )
    return (
        f"<svg width='{_WIDTH}' height='{_HEIGHT}' role='img'>{frame}"
        f"<polyline points='{path}' fill='none' stroke='#0f7c6c' stroke-dasharray='4 3'/>"
        f"{crosses}{marks}{ticks}{names}</svg>"
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=100.0)
    margin = max(1.0, 0.08 * (high - low))
    return max(0.0, low - margin), min(100.0, high + margin) if high < 100.0 else 100.0 + margin


def _table(found: Sequence[Standing], seeds: int) -> str:
    head = "".join(
        f"<th>{text}</th>"
        for text in (
            "", "setting", "mSUN, %", "worst seed", "novel, %", "metastable, %", "on the front", "as good",
        )
    )  # fmt: skip
    rows = "".join(
        f"<tr{' class=robust' if standing.robust(seeds) else ''}><td>{place + 1}</td>"
        f"<td>{escape(standing.setting)}</td><td>{100 * standing.msun:.1f}</td>"
        f"<td>{100 * standing.worst_msun:.1f}</td><td>{100 * standing.novel:.1f}</td>"
        f"<td>{100 * standing.metastable:.1f}</td><td>{standing.on_front} of {standing.seeds}</td>"
        f"<td>{standing.as_good} of {standing.seeds}</td></tr>"
        for place, standing in enumerate(found)
    )
    return f"<table><tr>{head}</tr>{rows}</table>"
