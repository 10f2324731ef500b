"""A corpus' figures as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rodna.corpus.inspect import balances, ledger_of, without_licence
from rodna.corpus.words import OwnWords

NUM_LISTED = 12
LEAST_SHARE = 0.0005
"""Labels of less of the text are summed up."""
BLOCKS = "▁▂▃▄▅▆▇█"


def print_corpus(statistics: Mapping[str, Any], distributions: Any, own: Mapping[str, OwnWords], against: Mapping[str, OwnWords]) -> None:
    """Print everything `rodna corpus inspect` shows on stdout.

    Args:
        statistics: of the corpus.
        distributions: `corpus.distributions.Distributions`; None where the cleaned documents are gone.
        own: source -> the words only it has.
        against: text compared with -> words that only the corpus has.
    """
    from rich.console import Console

    console = Console(highlight=False)
    for table in (
        _ledger(statistics), _sources(statistics), _make_up(statistics), _distributions(distributions), _copies(statistics),
        _mix(statistics), _contamination(statistics), _words(own, against),
    ):  # fmt: skip
        if table is not None and table.row_count:
            console.print(table)
    if missing := without_licence(statistics):
        console.print(f"NO LICENCE GIVEN: {', '.join(missing)}. Nothing made from this can be published.", style="bold red", markup=False)


def table_of(title: str, *columns: str, numbers: Sequence[str] = ()) -> Any:
    """Return an empty table; the columns in `numbers` are aligned as numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table


def add(table: Any, *cells: object, style: str = "") -> None:
    """Add a row of plain text: brackets in it are no markup, control characters command no terminal."""
    from rich.text import Text

    from rodna.cli.output import printable

    table.add_row(*(cell if isinstance(cell, Text) else Text(printable(str(cell))) for cell in cells), style=style)


def _ledger(statistics: Mapping[str, Any]) -> Any:
    numbers = ("documents", "bytes", "left", "bytes left")
    good = balances(statistics)
    table = table_of("What became of every document", "step", "what it did", *numbers, numbers=numbers)
    table.caption = "The account balances to the document and the byte." if good else "THE ACCOUNT DOES NOT BALANCE: please report it."
    for entry in ledger_of(statistics):
        left = (f"{entry.documents_left:,}", f"{entry.bytes_left:,}")
        if entry.step:
            documents = f"{entry.documents:+,}" if entry.documents else ""
            add(table, entry.step, entry.what.replace("_", " "), documents, f"{entry.size_bytes:+,}", *left)
        else:
            add(table, "", entry.what, "", "", *left, style="bold")
    return table


def _sources(statistics: Mapping[str, Any]) -> Any:
    from rich.text import Text

    from rodna.core.text import human_bytes

    table = table_of("Sources", "source", "licence", "origin", "kept", "of", "text", "share", numbers=("kept", "of", "text", "share"))
    sizes = {name: sum(split["bytes"] for split in source["splits"].values()) for name, source in statistics["sources"].items()}
    whole = max(1, sum(sizes.values()))
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        source = statistics["sources"][name]
        licence = source["licence"] or Text("NO LICENCE GIVEN", style="bold red")
        add(table, name, licence, source["origin"], f"{source['kept']:,}", f"{source['read']:,}", human_bytes(size), f"{size / whole:.1%}")
    return table


def _make_up(statistics: Mapping[str, Any]) -> Any:
    from rodna.core.text import human_bytes

    table = table_of("What the kept text is made of", "", "what", "share", "text", numbers=("share", "text"))
    whole = max(1, statistics["total"]["bytes"])
    for script, share in list(statistics["scripts"].items())[:NUM_LISTED]:
        add(table, "script", script, f"{share:.2%}", "")
    common = [entry for entry in statistics["languages"][:NUM_LISTED] if entry["bytes"] >= LEAST_SHARE * whole]
    for entry in common:
        add(table, "language", entry["language"] or "cannot be told", f"{entry['bytes'] / whole:.2%}", human_bytes(entry["bytes"]))
    if len(common) < len(statistics["languages"]):
        rest = sum(entry["bytes"] for entry in statistics["languages"]) - sum(entry["bytes"] for entry in common)
        add(table, "language", f"{len(statistics['languages']) - len(common)} more labels", f"{rest / whole:.2%}", human_bytes(rest))
    if statistics["mixed"]["documents"]:
        size = statistics["mixed"]["bytes"]
        add(table, "language", f"mixed: {statistics['mixed']['documents']:,} documents", f"{size / whole:.2%}", human_bytes(size))
    for entry in statistics["domains"][:NUM_LISTED]:
        add(table, "domain", entry["domain"], f"{entry['bytes'] / whole:.2%}", human_bytes(entry["bytes"]))
    return table


def spark(counts: Sequence[int]) -> str:
    """Return a histogram as one line of blocks; any bin that holds something is seen."""
    most = max(counts, default=0)
    if not most:
        return ""
    return "".join(" " if not count else BLOCKS[min(len(BLOCKS) - 1, count * len(BLOCKS) // (most + 1))] for count in counts)


def _distributions(found: Any) -> Any:
    if found is None:
        return None
    table = table_of("Histograms of documents", "measure", "from", "", "to", "threshold", "beyond", numbers=("from", "beyond"))
    table.columns[2].no_wrap = table.columns[0].no_wrap = True
    for item in (found.length, *found.language, *found.quality):
        side = {"high": "> ", "low": "< ", "": ""}[item.bad]
        bounds = " to ".join(f"{bound:.2g}" for bound in item.bounds)
        beyond = f"{item.num_beyond:,}" if item.bad and item.bounds else ""
        # Two bins to a block: a line of 80 characters has room for no more.
        pairs = [sum(item.counts[index : index + 2]) for index in range(0, len(item.counts), 2)]
        low, high = (f"{edge:,.0f}" if item.scale == "log" else f"{edge:.2g}" for edge in (item.edges[0], item.edges[-1]))
        add(table, item.name.replace("_", " "), low, spark(item.counts if item.scale == "log" else pairs), high, side + bounds, beyond)
    return table


def _copies(statistics: Mapping[str, Any]) -> Any:
    copies = statistics["selection"].get("copies", {})
    table = table_of("Copies", "what", "from", "to", "number", numbers=("from", "to", "number"))
    for low, high, count in copies.get("similarity", []):
        if count:
            add(table, "near copies dropped, by similarity", f"{low:.0%}", f"{high:.0%}", f"{count:,}")
    for low, high, groups, inside in copies.get("clusters", []):
        add(table, f"groups of documents that are alike ({inside:,} documents)", f"{low:,}", f"{high:,}", f"{groups:,}")
    return table


def _mix(statistics: Mapping[str, Any]) -> Any:
    from rodna.core.text import human_bytes

    numbers = ("times", "before", "after", "share before", "share after", "left out")
    table = table_of("Effect of mixing on the training text", "source", *numbers, numbers=numbers)
    for entry in statistics["selection"].get("mix", []):
        add(table, entry["source"], f"{entry['factor']:.3g}", human_bytes(entry["bytes_before"]), human_bytes(entry["bytes_after"]),
            f"{entry['share_before']:.1%}", f"{entry['share_after']:.1%}", f"{entry['documents_left_out']:,}")  # fmt: skip
    return table


def _contamination(statistics: Mapping[str, Any]) -> Any:
    hits = statistics["selection"].get("contamination", [])
    table = table_of(
        "Held-out text met in training", "training document", "found in", "characters", "of it", "done", numbers=("characters", "of it")
    )
    for hit in hits[:NUM_LISTED]:
        found = hit["held_out"] or f"benchmark {hit['benchmark']}: {hit['text'][:60]}"
        add(table, hit["document"], found, f"{hit['num_characters']:,}", f"{hit['share']:.0%}", "dropped" if hit["dropped"] else "cut")
    if len(hits) > NUM_LISTED:
        table.caption = f"and {len(hits) - NUM_LISTED:,} more"
    return table


def _words(own: Mapping[str, OwnWords], against: Mapping[str, OwnWords]) -> Any:
    table = table_of("Words only this text has", "text", "number", "most frequent", numbers=("number",))
    notes: list[str] = []
    lists = [(f"not in {name}", words) for name, words in against.items()] + (list(own.items()) if len(own) > 1 else [])
    for name, words in lists:
        add(table, name, f"{words.num_words:,}", ", ".join(f"{word} {number:,}" for word, number in words.words[:NUM_LISTED]))
        if words.share_read < 1:
            notes.append(f"found in a sample of {words.share_read:.1%} of the documents")
        if words.forgot_below:
            notes.append(f"words met fewer than {words.forgot_below:,} times may be missing")
    table.caption = "; ".join(dict.fromkeys(notes)) or None
    return table
