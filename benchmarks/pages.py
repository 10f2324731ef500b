"""Tables in the pages of docs/, between two marks."""

from pathlib import Path

from rodna.core.errors import RodnaError
from rodna.core.files import write_text

BEGIN, END = "<!-- results begin -->", "<!-- results end -->"


def put_between_marks(page: Path, text: str) -> None:
    """Put a text between the marks of a page.

    Raises:
        RodnaError: it has no such marks.
    """
    before, mark, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise RodnaError("there is no place for the tables", where=str(page), fix=f"put {BEGIN} and {END} on lines of their own")
    write_text(page, f"{before}{BEGIN}\n\n{text}\n{END}{after}")
