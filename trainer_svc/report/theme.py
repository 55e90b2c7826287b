"""Colours, names and the common look of all charts."""

from typing import Any

__all__ = ["BASE", "COLOURS", "INK", "SERIES", "TUNED", "Figure", "layout"]

Figure = dict[str, Any]
"""What plotly draws, as plain data."""

BASE, TUNED = "#8b95a7", "#0f7c6c"
"""Base policy grey, tuned policy green, wherever both appear."""
INK, GRID = "#1d2733", "#e8ebf0"
COLOURS = {"base": BASE, "tuned": TUNED}
SERIES = ("#0f7c6c", "#d9822b", "#3f6fb5", "#a8478f", "#6b7585", "#b5423f", "#5a9e3a")
"""Distinct in grey print too."""


def layout(height: int = 330, **extra: Any) -> dict[str, Any]:
    """Layout of a chart; `extra` overrides."""
    axis: dict[str, Any] = {
        "gridcolor": GRID,
        "zerolinecolor": "#cfd5de",
        "linecolor": "#cfd5de",
        "ticks": "outside",
    }
    axis |= {"ticks": "outside", "tickcolor": "#cfd5de", "automargin": True, "title": {"standoff": 8}}
    base: dict[str, Any] = {
        "height": height,
        "margin": {"l": 56, "r": 16, "t": 12, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "Inter, Segoe UI, Helvetica, Arial, sans-serif", "size": 13, "color": INK},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
        "hoverlabel": {"bgcolor": "white", "font": {"color": INK}},
        "xaxis": dict(axis),
        "yaxis": dict(axis),
    }
    for key, value in extra.items():
        base[key] = (
            {**base[key], **value} if isinstance(base.get(key), dict) and isinstance(value, dict) else value
        )
    return base
