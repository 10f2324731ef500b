"""The frame all pages share: one file that holds everything, needs nothing from outside and no script to be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from rodna import __version__
from rodna.corpus.language import parse_language


@dataclass(frozen=True)
class Section:
    """One section of the page; without facts, the line that says so.

    `id` is also the name of its template.
    """

    id: str
    title: str
    heading: str
    facts: Any
    missing: str


def render_page(
    *, language: str, name: str, heading: str, opening: Sequence[str], sections: Sequence[Section], folder: str, styles: Sequence[str]
) -> str:
    """Return a page.

    Args:
        language: BCP-47 tag of the text that is shown; empty where none is.
        name: of the project.
        heading: the page's title.
        opening: the few facts under it.
        sections: in order.
        folder: of the sections' templates.
        styles: names of the style sheets, among the templates.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rodna.publish"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = "".join(files("rodna.publish").joinpath(f"templates/{sheet}").read_text(encoding="utf-8") for sheet in styles)
    return environment.get_template("page.html.jinja").render(
        name=name,
        heading=heading,
        folder=folder,
        text=parse_language(language) if language else None,
        version=__version__,
        style=Markup(style),
        opening=opening,
        sections=sections,
    )
