"""One HTML file that needs nothing beside it: the look that all pages share."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tfkd._version import __version__

__all__ = ["page"]

_CSS = Path(__file__).parent / "templates" / "report.css"


def page(
    template: Path,
    facts: Mapping[str, Any],
    *,
    filters: Mapping[str, Callable[..., Any]] | None = None,
    tests: Mapping[str, Callable[..., bool]] | None = None,
) -> str:
    """Fills a template; a name that it lacks is an error, and text is escaped.

    Args:
        template: The Jinja template, a file.
        facts: Its names. `css`, `made` (date and time) and `version` are there without being given.
        filters: Further filters of the template, by name.
        tests: Further tests of the template, by name.

    Returns:
        HTML text.
    """
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters or {}
    environment.tests |= tests or {}
    return environment.get_template(template.name).render(
        css=Markup(_CSS.read_text(encoding="utf-8")),
        made=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        version=__version__,
        **facts,
    )
