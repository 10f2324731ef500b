"""A search for markup that an extractor should have removed, for tests of what is kept.

A manual about HTML or TeX may speak of `<table>` or `\\section`: single marks are no proof. What is searched for is either impossible
outside of markup, or it counts only where it stands as markup does: in pairs, at a line's start, with attributes.
"""

import re

HTML_NAMES = (
    "a|abbr|b|big|blockquote|body|br|center|code|dd|div|dl|dt|em|font|form|h[1-6]|head|hr|html|i|img|input|li|link|"
    "meta|nav|ol|option|p|pre|s|script|section|select|small|span|strong|style|sub|sup|table|tbody|td|th|thead|tr|tt|u|ul"
)

PATTERNS = {
    "wiki link": re.compile(r"\[\[:?[^\W\d_][^\[\]\n]{0,300}\]\]"),
    "wiki template": re.compile(r"\{\{[#\w][^{}\n]{0,300}\}\}|^\{\{[\w ]+$", re.MULTILINE),
    "wiki table": re.compile(r"^(?:\{\|.*|\|\}|\|-+|\|\+.*|\|[^|\n]*\|\|.*)$", re.MULTILINE),
    "wiki heading": re.compile(r"^(={2,6})[^=\n]+\1[ \t]*$", re.MULTILINE),
    "wiki emphasis": re.compile(r"(?<!')'{2,3}(?!')[^'\n]{1,200}(?<!')'{2,3}(?!')"),
    "wiki reference": re.compile(r"<ref(?:\s+name\s*=[^<>\n]*)?/?>|</ref>"),
    "wiki magic word": re.compile(r"\b__(?:NO)?(?:TOC|EDITSECTION|GALLERY|INDEX)__\b"),
    "HTML tag with attributes": re.compile(rf"<(?:{HTML_NAMES})\s+[\w:-]+\s*=\s*[\"'][^<>\n]*>", re.IGNORECASE),
    "HTML tags in a pair": re.compile(rf"<({HTML_NAMES})>[^<>\n]{{0,200}}</\1>", re.IGNORECASE),
    "HTML line break": re.compile(r"(?<=\w)<br\s*/?>(?=\s*\w)", re.IGNORECASE),
    "HTML comment": re.compile(r"<!--[^\n]{0,300}?-->"),
    "HTML entity": re.compile(r"(?<=\w)&(?:nbsp|lt|gt|quot|amp|apos|#\d{2,5}|#x[0-9a-fA-F]{2,4});(?=\w)|\w&(?:nbsp|quot|#\d{2,5});"),
    "XML declaration": re.compile(r"<\?xml\s+version|<!\[CDATA\[|<!DOCTYPE\s+\w+(?:\s|>)|\bxmlns(?::\w+)?=[\"']http"),
    "RTF control": re.compile(
        r"\{\\rtf1|\\(?:pard|fonttbl|colortbl|stylesheet)\b|(?:\\[a-z]{1,10}-?\d{0,5}[ ]?){3}|\\'[0-9a-f]{2}\\'[0-9a-f]{2}"
    ),
    "subtitle time": re.compile(r"\d\d:\d\d:\d\d[.,]\d{2,3}\s*-->\s*\d\d:\d\d"),
    "subtitle override": re.compile(r"\{\\(?:an?\d|pos\(|fad\(|[ibus][01]|c&H)[^{}\n]*\}"),
    "style sheet": re.compile(r"^[.#]?[\w-]+\s*\{\s*(?:[\w-]+\s*:[^;{}\n]+;\s*)+\}", re.MULTILINE),
    "script": re.compile(r"\b(?:document\.(?:getElementById|write)\([^\n]*\);|\bfunction\s*\(\)\s*\{[^\n]*;)"),
    "WARC header": re.compile(r"^WARC/1\.[01]$|^WARC-(?:Type|Record-ID|Date): ", re.MULTILINE),
    "object replacement": re.compile("[\ufffc\ufdd0-\ufdef]"),
}
EXAMPLE_CHARACTERS = 80


def leftovers(text: str) -> dict[str, str]:
    """Return each kind of markup found in a text, with the first example and what stands around it."""
    found = {}
    for kind, pattern in PATTERNS.items():
        match = pattern.search(text)
        if match:
            start = max(0, match.start() - 20)
            found[kind] = text[start : start + EXAMPLE_CHARACTERS].replace("\n", "\\n")
    return found
