"""The pictures of a comparison as files of their own: SVG that follows light and dark, and PNG in light."""

import re

from markupsafe import Markup

from rodna.publish.comparison.plots import MARGIN, NAME_WIDTH, ROW_HEIGHT, VALUE_WIDTH, WIDTH, Curves, Picture, Rows

LIGHT = {
    "page": "#fcfbf8", "ink": "#1f2328", "soft": "#5c636b", "grid": "#e8e4da", "first": "#0b6e69", "second": "#b4500e", "third": "#6b4fa0",
    "bar": "#a9b4b8", "track": "#f0ede6",
}  # fmt: skip
DARK = {
    "page": "#14171a", "ink": "#e7e5df", "soft": "#a3a9ae", "grid": "#282d32", "first": "#63c5ba", "second": "#e9a468", "third": "#b7a3e3",
    "bar": "#5b666d", "track": "#20252a",
}  # fmt: skip
STYLE = """
text { font-family: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif;
  font-size: 13px; fill: var(--ink); }
.page { fill: var(--page); } text.title { font-size: 15px; font-weight: 600; } text.tick, text.soft { font-size: 12px; fill: var(--soft); }
.plot { overflow: visible; }
.grid { stroke: var(--grid); } .track { fill: var(--track); } .bar { fill: var(--bar); } .strong .bar { fill: var(--first); }
.interval { stroke: var(--ink); stroke-width: 1.5; } .zero { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 3 3; }
.line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.line.dashed { stroke-dasharray: 5 4; } .line.dotted { stroke-dasharray: 1 4; }
.mark { fill: currentColor; stroke: var(--page); stroke-width: 1.5; }
.whisker { stroke: currentColor; stroke-width: 1.75; } .dot { fill: currentColor; }
.dot.open { fill: var(--page); stroke: currentColor; stroke-width: 1.75; }
.first { color: var(--first); } .second { color: var(--second); } .third { color: var(--third); } .faint { color: var(--bar); }
.open { color: var(--soft); }
"""
CURVES_HEIGHT = 360
PNG_ZOOM = 2


def svg_of(picture: Picture) -> str:
    """Return a picture as an SVG file."""
    style = ":root { " + _variables(LIGHT) + " }\n@media (prefers-color-scheme: dark) { :root { " + _variables(DARK) + " } }" + STYLE
    return _draw(picture, style)


def png_of(picture: Picture) -> bytes | None:
    """Return a picture as a PNG file in light colours; None where the package resvg-py is not installed."""
    try:
        import resvg_py
    except ImportError:
        return None
    # It knows neither CSS variables nor strokes that do not stretch with the picture.
    style = re.sub(r"var\(--(\w+)\)", lambda found: LIGHT[found[1]], STYLE)
    style += ".line { stroke-width: 3.5; } .line.key { stroke-width: 2; }\n"
    style = re.sub(r"font-family: [^;]*;", 'font-family: "DejaVu Sans", "Noto Sans", "Liberation Sans", Arial, sans-serif;', style)
    return bytes(resvg_py.svg_to_bytes(svg_string=_draw(picture, style), zoom=PNG_ZOOM))


def _variables(colors: dict[str, str]) -> str:
    return " ".join(f"--{name}: {color};" for name, color in colors.items())


def _draw(picture: Picture, style: str) -> str:
    keys = picture.keys if len(picture.keys) > 1 or isinstance(picture, Rows) else ()
    top = 64 + (24 if keys else 0)
    body, height = _curves(picture, top) if isinstance(picture, Curves) else _rows(picture, top)
    return str(
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}"><title>{2}</title><style>{3}</style>'
            '<rect class="page" width="100%" height="100%"/><text class="title" x="{4}" y="28">{2}</text>'
            '<text class="soft" x="{4}" y="48">{5}</text>{6}{7}</svg>\n'
        ).format(WIDTH, height, picture.title, Markup(style), MARGIN, picture.unit, _legend(keys), body)
    )


def _legend(keys: tuple[tuple[str, str], ...] | object) -> Markup:
    found, x = Markup(""), MARGIN
    for style, text in keys if isinstance(keys, list | tuple) else ():
        found += Markup(
            '<line class="line key {0}" x1="{1}" x2="{2}" y1="68" y2="68"/><text class="soft" x="{3}" y="72">{4}</text>'
        ).format(style, x, x + 18, x + 25, text)
        x += 45 + 7 * len(text)
    return found


def _curves(picture: Curves, top: int) -> tuple[Markup, int]:
    svg = Markup('<svg x="{}" y="{}" width="{}" height="{}" overflow="visible">{}</svg>').format(
        MARGIN + 56, top + 10, WIDTH - 2 * MARGIN - 66, CURVES_HEIGHT, picture.svg
    )
    bottom = top + 10 + CURVES_HEIGHT
    name = Markup('<text class="soft" x="{}" y="{}" text-anchor="end">{}</text>').format(WIDTH - MARGIN, bottom + 42, picture.x_label)
    return svg + name, bottom + 60


def _rows(picture: Rows, top: int) -> tuple[Markup, int]:
    left, width = MARGIN + NAME_WIDTH + 16, WIDTH - 2 * MARGIN - NAME_WIDTH - VALUE_WIDTH - 32
    found, y = Markup(""), top
    for row in picture.rows:
        name = f"{row.name}, {row.note}" if row.note else row.name
        found += Markup(
            '<g class="{0}"><text x="{1}" y="{2}">{3}</text><svg x="{4}" y="{5}" width="{6}" height="18" overflow="visible">{7}</svg>'
            '<text x="{8}" y="{2}" text-anchor="end">{9}</text></g>'
        ).format(row.style, MARGIN, y + 18, _short(name), left, y + 5, width, row.strip, WIDTH - MARGIN, row.value)
        y += ROW_HEIGHT
    if picture.axis is not None:
        for tick in picture.axis.ticks:
            x = left + width * picture.axis.percent(tick) / 100
            found += Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                round(x, 1), y + 16, picture.axis.write(tick)
            )
        y += 24
    return found, y + 16


def _short(name: str) -> str:
    """Return a name that fits its column, its end kept: parts of one task begin alike."""
    most = NAME_WIDTH // 7
    return name if len(name) <= most else f"…{name[1 - most :]}"
