"""How well and how fast pages of HTML are read, beside the libraries that do it, in one run.

    python benchmarks/corpus/extraction.py ../shared/data/dirty [--json FILE]

Gold: a Catalan book of which there is a TXT beside the HTML, both made by its publisher from one source. `book` is the whole TXT;
`book-toc` the same without its table of contents, which is navigation on paper (the HTML has it twice, in front and by chapter).
Silver: help pages in Lithuanian and Basque, a blog, a page of Wikipedia, one of search results. For these the reference is all text of
the elements in `SITES`, chosen by us per site, which no extractor is told. See metric.py for the measure.
All of these pages, the book too, were looked at while our rules were written: none is held out, so the libraries, which never saw
them, are at a disadvantage that new pages would not give them.

Speed is bytes of HTML a second of processor time on one core, best of three, all systems in turns on the same pages.
"""

import argparse
import gzip
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from metric import Match, character_match

CHAPTERS = ["index", "start", "first", "modify", "dreq", "dother", "build", "checkit", "update", "upload", "advanced"]
SITES = {
    "gimp_help_lt": ("gimp_help_lt/*.html", "body", "script, style, .navheader, .navfooter, .toc"),
    "libreoffice_help_eu": ("libreoffice_help_eu/*.html", "#DisplayArea", "script, style, .relatedtopics"),
    "blog": ("markitdown/test_blog.html", "article", "script, style, footer"),
    "wikipedia": (
        "markitdown/test_wikipedia.html",
        "#mw-content-text",
        "script, style, .mw-editsection, .navbox, .catlinks, .printfooter, .noprint",
    ),
    "search results": ("markitdown/test_serp.html", "#b_results", "script, style, [aria-hidden=true]"),
}
Extract = Callable[[str], str]


def systems() -> dict[str, Extract]:
    """Return what is compared; a library that is not installed is left out."""
    import lxml.html
    import trafilatura
    from resiliparse.extract.html2text import extract_plain_text
    from selectolax.lexbor import LexborHTMLParser

    from rodna.corpus.extractors.html_text import text_of

    def lxml_text(markup: str) -> str:
        body = lxml.html.document_fromstring(markup.encode()).find("body")
        for node in [] if body is None else list(body.iter("script", "style")):
            node.drop_tree()
        return "" if body is None else str(body.text_content())

    def selectolax_text(markup: str) -> str:
        tree = LexborHTMLParser(markup)
        tree.strip_tags(["script", "style"])
        return tree.body.text(separator=" ") if tree.body else ""

    found: dict[str, Extract] = {
        "rodna": lambda markup: text_of(markup)[0],
        "trafilatura": lambda markup: trafilatura.extract(markup) or "",
        "trafilatura (recall)": lambda markup: trafilatura.extract(markup, include_comments=False, favor_recall=True) or "",
        "resiliparse (main)": lambda markup: extract_plain_text(markup, main_content=True, alt_texts=False, list_bullets=False),
        "resiliparse (all)": lambda markup: extract_plain_text(markup, alt_texts=False, list_bullets=False),
        "selectolax (all)": selectolax_text,
        "lxml (all)": lxml_text,
    }
    try:
        from readability import Document
    except ImportError:
        return found

    def readability_text(markup: str) -> str:
        try:
            return str(lxml.html.fromstring(Document(markup).summary()).text_content())
        except Exception:  # it raises various errors where it finds no article
            return ""

    return {**found, "readability": readability_text}


def reference(markup: str, keep: str, leave_out: str) -> str:
    """Return all text of the elements that a selector names, less those that the other names."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(markup)
    for node in tree.css(leave_out):
        node.decompose()
    return "\n".join(node.text(separator=" ") for node in tree.css(keep))


def cases(dirty: Path) -> dict[str, list[tuple[list[str], str]]]:
    """Return, for each set of pages, lists of pages and the text that all of a list should give."""
    book = dirty / "debian_books"
    gold = gzip.decompress((book / "maint-guide.ca.txt.gz").read_bytes()).decode("utf-8")
    pages = [(book / "maint-guide-ca-html" / f"{name}.ca.html").read_text(encoding="utf-8") for name in CHAPTERS]
    contents, body = gold.index("\nSumari\n"), gold.index("\nCapítol 1. ")
    found = {"book": [(pages, gold)], "book-toc": [(pages, gold[:contents] + gold[body:])]}
    for name, (pattern, keep, leave_out) in SITES.items():
        markups = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(dirty.glob(pattern))]
        found[name] = [([markup], reference(markup, keep, leave_out)) for markup in markups]
    return found


def measure(extractors: dict[str, Extract], sets: dict[str, list[tuple[list[str], str]]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return, by set and system, precision, recall, F1 and bytes a second."""
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name, pairs in sets.items():
        results[name] = {}
        num_bytes = sum(len(page.encode()) for pages, _ in pairs for page in pages)
        seconds = dict.fromkeys(extractors, float("inf"))
        for _ in range(3):
            for system, extract in extractors.items():
                start = time.process_time()
                for pages, _ in pairs:
                    for page in pages:
                        extract(page)
                seconds[system] = min(seconds[system], time.process_time() - start)
        for system, extract in extractors.items():
            total = Match(0, 0, 0)
            for pages, gold in pairs:
                total += character_match("\n".join(extract(page) for page in pages), gold)
            results[name][system] = {
                "precision": total.precision,
                "recall": total.recall,
                "f1": total.f1,
                "bytes_per_second": num_bytes / seconds[system],
                "pages_per_second": sum(len(pages) for pages, _ in pairs) / seconds[system],
            }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dirty", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    logging.getLogger("readability").setLevel(logging.CRITICAL)
    results = measure(systems(), cases(arguments.dirty))
    for name, by_system in results.items():
        print(f"\n{name}")
        slow = by_system["trafilatura"]["bytes_per_second"]
        for system, found in by_system.items():
            print(
                f"  {system:21} P {found['precision']:.4f}  R {found['recall']:.4f}  F1 {found['f1']:.4f}  "
                f"{found['bytes_per_second'] / 1e6:6.1f} MB/s  {found['bytes_per_second'] / slow:5.1f} x trafilatura"
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
