"""Tables of a comparison as Markdown, CSV and LaTeX."""

import csv
import io
import re
from collections.abc import Sequence

from rodna.evals.compare.types import Comparison, Match
from rodna.publish.comparison.tables import Table, compared, notes, tables
from rodna.publish.comparison.words import summary, verdict_line
from rodna.publish.facts.view import MINUS

CSV_COLUMNS = (
    "task", "metric", "unit", "direction", "how", "items", "units", "baseline", "baseline_value", "baseline_low", "baseline_high",
    "baseline_seeds", "model", "value", "low", "high", "seeds", "difference", "difference_low", "difference_high", "p", "p_corrected",
    "verdict", "notes",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula. Reference: OWASP, "CSV injection"."""
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "–": "--",
    MINUS: "$-$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "\N{NO-BREAK SPACE}": "~", '"': "''", "\n": " ",
}  # fmt: skip


def verdicts(comparison: Comparison) -> list[str]:
    """Return what was found, in sentences: of each model the sum, then every verdict."""
    others = [name for name in comparison.names if name != comparison.baseline]
    found = [summary(comparison, name) for name in others]
    return [*found, *(verdict_line(comparison, match, item) for match in compared(comparison) for item in match.differences)]


def markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown that any text of the evaluations leaves intact."""
    lines = [f"# Comparison with {_markdown(comparison.baseline)}", ""]
    lines += [f"- {_markdown(text)}" for text in verdicts(comparison)]
    for table in tables(comparison):
        lines += ["", f"## {_markdown(table.title)}", ""]
        lines.append("| " + " | ".join(_markdown(column.title) for column in table.columns) + " |")
        lines.append("|" + "|".join(" ---: " if column.number else " --- " for column in table.columns) + "|")
        for number, row in enumerate(table.rows):
            cells = (_markdown(cell) for cell in row.cells)
            lines.append(
                "| " + " | ".join(f"**{cell}**" if (number, place) in table.marks else cell for place, cell in enumerate(cells)) + " |"
            )
        lines += ["", _markdown(table.note)] if table.note else []
    if said := notes(comparison):
        lines += ["", "## Notes", "", *(f"- {_markdown(note)}" for note in said)]
    return "\n".join(lines) + "\n"


def _markdown(text: object) -> str:
    """Return text in which no character is markup."""
    plain = " ".join(str(text).split())
    escaped = re.sub(r"([\\`*_\[\]|#~$])", r"\\\1", plain)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def csv_text(comparison: Comparison) -> str:
    """Return one row for every model and number beside the baseline's, with all digits; what is not compared has its reason in `notes`."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for match in comparison.matches:
        for name in comparison.names:
            if name != comparison.baseline or comparison.baseline in match.excluded:
                writer.writerow([_cell(value) for value in _record(comparison, match, name)])
    return file.getvalue()


def _record(comparison: Comparison, match: Match, name: str) -> list[object]:
    base, own = match.estimates.get(comparison.baseline), match.estimates.get(name)
    found = next((item for item in match.differences if item.name == name), None)
    verdict = "not compared" if name in match.excluded else found.verdict if found else "no verdict"
    said = match.excluded.get(name) or "; ".join([*match.notes, *match.warnings])
    return [
        match.task, match.metric, match.unit, match.direction, match.how, match.n, match.num_units, comparison.baseline,
        *((base.value, base.low, base.high, base.seeds) if base else ("",) * 4), name,
        *((own.value, own.low, own.high, own.seeds) if own else (match.left_out.get(name, ""), "", "", "")),
        *((found.value, found.low, found.high, found.p, found.p_holm) if found else ("",) * 5), verdict, said,
    ]  # fmt: skip


def _cell(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if isinstance(value, float):
        return repr(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def latex(comparison: Comparison) -> str:
    r"""Return the tables for LaTeX, each in a `table` with \label; needs the package booktabs, and an engine that knows Unicode."""
    parts = ["% Needs \\usepackage{booktabs}. Names in other scripts than Latin need XeLaTeX or LuaLaTeX and a font that has them."]
    parts += [_latex_table(table) for table in tables(comparison)]
    return "\n\n".join(parts) + "\n"


def _latex_table(table: Table) -> str:
    kinds = "".join("r" if column.number else "p{0.25\\linewidth}" if column.style == "why" else "l" for column in table.columns)
    label = re.sub(r"[^a-z]+", "-", table.title.split(" from ")[0].lower()).strip("-")
    rows = [_latex_row([cell for cell in row.cells], table, number) for number, row in enumerate(table.rows)]
    caption = escape_latex(f"{table.title}. {table.note}" if table.note else f"{table.title}.")
    return "\n".join([
        "\\begin{table}", "\\centering\\small", f"\\begin{{tabular}}{{{kinds}}}", "\\toprule",
        " & ".join(escape_latex(column.title) for column in table.columns) + r" \\", "\\midrule", *rows, "\\bottomrule",
        "\\end{tabular}", f"\\caption{{{caption}}}", f"\\label{{tab:{label}}}", "\\end{table}",
    ])  # fmt: skip


def _latex_row(cells: Sequence[object], table: Table, number: int) -> str:
    escaped = [escape_latex(cell) for cell in cells]
    return " & ".join(f"\\textbf{{{cell}}}" if (number, place) in table.marks else cell for place, cell in enumerate(escaped)) + r" \\"


def escape_latex(text: object) -> str:
    """Return text in which LaTeX sees no command."""
    return "".join(LATEX.get(character, character) for character in str(text))
