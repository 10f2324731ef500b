"""The text of a page of HTML: what a reader came for, without what surrounds it. No rule knows a language.

lexbor parses as browsers do and removes scripts, forms and navigation; what is left is written out again, so that one regular expression is
enough to go through it. Text gathers in blocks (paragraphs, headings, items, cells); then elements that are named as menus, footers or
banners go, unless much of the page is in them, and so do those that hold little but links.
"""

import html
import re
from dataclasses import dataclass, field

from rodna.corpus.extractors.declarations import without_declarations
from rodna.corpus.extractors.spaces import squeezed

LEFT_OUT = [
    *("script", "style", "noscript", "template", "iframe", "frame", "noembed", "noframes", "svg", "canvas", "audio", "video", "object"),
    *("embed", "applet", "map", "select", "option", "optgroup", "datalist", "button", "textarea", "input", "dialog", "nav", "rp", "rt"),
    *("annotation", "annotation-xml"),
]
"""Elements whose content is no running text: programs, drawings, controls, navigation, readings above CJK characters."""

TAB, LINE, PARAGRAPH = "\t", "\n", "\n\n"
_GAPS = {
    tag: gap
    for gap, tags in {
        1: "td th",
        2: "address article aside body caption center dd details dir div dt fieldset figcaption footer form header hgroup legend li main "
        "menu search section summary tbody tfoot thead tr",
        3: "blockquote dl figure h1 h2 h3 h4 h5 h6 hr listing ol p plaintext pre table ul xmp",
    }.items()
    for tag in tags.split()
}
"""How much room a browser leaves around an element: 1 between two cells, 2 a new line, 3 a blank line."""
_SEPARATORS = ("", TAB, LINE, PARAGRAPH)
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())  # noqa: SIM905 - as in the standard
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_VERBATIM = frozenset(("pre", "listing", "xmp", "plaintext"))
_PROSE = frozenset(("p", "blockquote", "figure", "caption", "figcaption", "hr", *_HEADINGS, *_VERBATIM))
_LINK_LISTS = frozenset(_GAPS) - _PROSE - {"body"}

# Possessive: inside `<xmp>` markup stands as somebody wrote it, with quotes that nothing closes.
_TOKEN = re.compile(r'<!--.*?-->|<(/?)([a-zA-Z][^\s>]*+)((?>(?:[^">]++|"[^"]*+")*))>', re.DOTALL)
_NAMES = re.compile(r'\b(?:class|id|role)="([^"]*)"')
_HIDDEN = re.compile(r'(?:^|\s)hidden(?:=|\s|$)|aria-hidden="true"|style="[^"]*(?:display:\s*none|visibility:\s*hidden)', re.IGNORECASE)
_HIDDEN_NAMES = re.compile(
    r"(?:^|[\s_-])(?:sr-only|visually-?hidden|screen-reader-text|skip-?(?:link|to|nav)\w*|jump-link|editsection|noprint)(?:$|[\s_-])",
    re.IGNORECASE,
)
_ASIDE_NAMES = re.compile(
    r"bread-?crumb|foot-?(?:er|bar|links)|side-?bar|navigation|nav-?(?:bar|box|header|footer|links|list|menu)|pagination|newsletter|advert|masthead"
    r"|catlinks|tool-?bar|related-|social-?(?:media|links|share)|share-|sharing|site-?(?:header|nav|info)|contentinfo"
    r"|(?:^|[\s_-])(?:nav|menus?|menubar|toc|crumbs?|pager|share|social|ads?|promo|search|login|signin|widget|related|banner|jump|dialog"
    r"|subscribe|tablist|tags?)(?:$|[\s_-])",
    re.IGNORECASE,
)
_BANNER_NAMES = re.compile(r"cookie|gdpr|consent(?:$|[\s_-])", re.IGNORECASE)
_ASIDE, _BANNER, _HIDE_INLINE, _HIDE = 1, 2, 3, 4

ASIDE_SHARE = 0.3
BANNER_SHARE = 0.8
"""An element named as a menu, or as a cookie banner, stays where it holds more than this share of the page's text outside links."""
LINK_SHARE = 0.7
"""A list or box of which more is links than this is for finding one's way."""
SENTENCE_CHARACTERS = 100
"""... unless some block in it has this much text outside links."""
PROSE_LINK_SHARE = 0.85
"""... or is a paragraph of which no more than this is links."""
MIN_LINKS = 3
"""Fewer links than this make no menu."""


@dataclass
class _Element:
    parent: int
    tag: str
    flag: int
    num_characters: int = 0
    num_linked: int = 0
    num_links: int = 0
    longest: int = 0


@dataclass
class _Block:
    """A stretch of text between two block elements; `gap` is the room before it, `element` the innermost element around it."""

    text: str
    gap: int
    element: int
    heading: int


@dataclass
class _Page:
    elements: list[_Element] = field(default_factory=list)
    blocks: list[_Block] = field(default_factory=list)


def text_of(markup: str) -> tuple[str, str]:
    """Return the text of a page and its title; empty strings where there is none.

    Paragraphs are parted by a blank line, items and rows by a newline, cells by a tab; `<br>` and `<pre>` keep their lines.
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(_without_depth(without_declarations(markup)))
    title_node = tree.css_first("title")
    title = " ".join(title_node.text().split())[:200] if title_node is not None else ""
    tree.strip_tags(LEFT_OUT)
    body = tree.body
    if body is None or not body.html:
        return "", title
    page = _read(body.html)
    if not page.blocks:
        # Some pages show themselves by script.
        page = _read(body.html, shows_all=True)
    return _written(page.blocks, _kept(page)), title


MAX_DEPTH = 1000
_MANY_TAGS = 20_000
_OPEN_OR_CLOSE = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")


def _without_depth(markup: str) -> str:
    """Leave out the tags that lie deeper than any page has them: parsers take quadratic time over those."""
    if markup.count("<") < _MANY_TAGS:
        return markup
    depth, parts, start = 0, [], 0
    for match in _OPEN_OR_CLOSE.finditer(markup):
        if match[2].lower() in _VOID or match[2].lower() in ("p", "li", "td", "tr", "th", "option", "dt", "dd"):
            continue
        depth = max(0, depth - 1) if match[1] else depth + 1
        if depth > MAX_DEPTH:
            end = markup.find(">", match.end())
            if start <= match.start():
                parts.append(markup[start : match.start()])
                start = end + 1 if end >= 0 else len(markup)
    return "".join([*parts, markup[start:]])


def _flag(attributes: str, known: dict[str, int]) -> int:
    """Return whether an element's attributes say that it is hidden, or beside the page's matter."""
    flag = known.get(attributes)
    if flag is None:
        flag = known[attributes] = (
            _HIDE
            if ("hidden" in attributes or "style" in attributes) and _HIDDEN.search(attributes)
            else max((_flag_of_name(name, known) for name in _NAMES.findall(attributes)), default=0)
        )
    return flag


def _flag_of_name(name: str, known: dict[str, int]) -> int:
    # Kept by the single name too: of attributes as a whole, ids make most unlike all others. No name is written as attributes are.
    flag = known.get(name)
    if flag is None:
        hidden, banner, aside = _HIDDEN_NAMES.search(name), _BANNER_NAMES.search(name), _ASIDE_NAMES.search(name)
        flag = known[name] = _HIDE_INLINE if hidden else _BANNER if banner else _ASIDE if aside else 0
    return flag


def _read(markup: str, *, shows_all: bool = False) -> _Page:
    """Gather the blocks and elements of a page that lexbor has written out."""
    page, known = _Page(), {}
    elements = page.elements
    elements.append(_Element(-1, "body", 0))
    stack: list[int] = []
    current, gap, num_in_link, num_linked, hidden_from, verbatim_from, heading = 0, 3, 0, 0, -1, -1, 0
    words: list[str] = []
    pieces = _TOKEN.split(markup)
    for index in range(0, len(pieces), 4):
        text = pieces[index]
        if text and hidden_from < 0:
            words.append(text)
            if num_in_link:
                num_linked += len("".join(text.split()))
        if index + 2 >= len(pieces):
            break
        tag = pieces[index + 2]
        if tag is None:
            continue
        if tag == "br":
            if hidden_from < 0:
                words.append("\0")
            continue
        room = _GAPS.get(tag, 0)
        if room:
            if words:
                gap = _flush(words, page, current, gap, heading, num_linked, verbatim=verbatim_from >= 0)
                num_linked = 0
            gap = max(gap, room)
        if pieces[index + 1]:
            # The end of an element: what lexbor writes is always well-formed.
            if not stack:
                continue
            parent = stack.pop()
            if parent >= 0:
                current = parent
            elif parent == -2:
                num_in_link -= 1
            depth = len(stack)
            if hidden_from >= depth:
                hidden_from = -1
            if verbatim_from >= depth:
                verbatim_from = -1
            if tag in _HEADINGS:
                heading = 0
            continue
        if tag in _VOID:
            continue
        attributes = pieces[index + 3]
        flag = _flag(attributes, known) if attributes and not (attributes.startswith(" href") and tag == "a") else 0
        if flag and hidden_from < 0 and (flag == _HIDE or (flag == _HIDE_INLINE and not room)) and tag != "body" and not shows_all:
            hidden_from = len(stack)
        if room and tag != "body":
            stack.append(current)
            elements.append(_Element(current, tag, flag))
            current = len(elements) - 1
            if tag in _VERBATIM and verbatim_from < 0:
                verbatim_from = len(stack) - 1
            heading = _HEADINGS.get(tag, heading)
        elif tag == "a" and "href=" in attributes:
            stack.append(-2)
            num_in_link += 1
            elements[current].num_links += 1
        else:
            stack.append(-1)
    if words:
        _flush(words, page, current, gap, heading, num_linked, verbatim=False)
    return page


def _flush(words: list[str], page: _Page, element: int, gap: int, heading: int, num_linked: int, *, verbatim: bool) -> int:
    """Make a block of what has gathered, if it is more than space; return the room that is then still to be left."""
    raw = "".join(words)
    words.clear()
    if verbatim:
        text = raw.replace("\0", "\n").strip("\n")
        if text.isspace():
            text = ""
    elif "\0" in raw:
        text = "\n".join(squeezed(line.replace("&nbsp;", " ")) for line in raw.split("\0")).strip("\n")
    else:
        text = squeezed(raw.replace("&nbsp;", " ") if "&" in raw else raw)
    if not text:
        return gap
    if "&" in text:
        text = html.unescape(text)
    page.blocks.append(_Block(text, gap, element, heading))
    owner = page.elements[element]
    num_characters = len(text) - text.count(" ")
    owner.num_characters += num_characters
    owner.num_linked += num_linked
    is_prose = owner.tag == "p" and num_linked < PROSE_LINK_SHARE * num_characters
    owner.longest = max(owner.longest, SENTENCE_CHARACTERS if is_prose else num_characters - num_linked)
    return 0


def _kept(page: _Page) -> list[bool]:
    """Return which blocks are the page's matter."""
    elements = page.elements
    for element in reversed(elements[1:]):
        parent = elements[element.parent]
        parent.num_characters += element.num_characters
        parent.num_linked += element.num_linked
        parent.num_links += element.num_links
        parent.longest = max(parent.longest, element.longest)
    total = max(1, elements[0].num_characters - elements[0].num_linked)
    for is_gone in (lambda element: _is_beside(element, total) or _is_links(element), lambda element: _is_beside(element, total)):
        gone = [False] * len(elements)
        for index, element in enumerate(elements[1:], 1):
            gone[index] = gone[element.parent] or is_gone(element)
        kept = [not gone[block.element] for block in page.blocks]
        if any(kept):
            return _without_orphans(page.blocks, kept)
        # A page of nothing but links: then these are its matter.
    return [True] * len(page.blocks)


def _is_beside(element: _Element, total: int) -> bool:
    if not element.flag and element.tag not in ("footer", "aside"):
        return False
    share = (element.num_characters - element.num_linked) / total
    return share <= (BANNER_SHARE if element.flag == _BANNER else ASIDE_SHARE)


def _is_links(element: _Element) -> bool:
    return element.tag in _LINK_LISTS and element.num_links >= MIN_LINKS and element.num_linked > LINK_SHARE * element.num_characters


def _without_orphans(blocks: list[_Block], kept: list[bool]) -> list[bool]:
    """Leave out headings whose whole section has gone."""
    # For each level, going backwards: what there is up to the next heading of that level or a higher one.
    has_text, has_lost = [False] * 7, [False] * 7
    for index in range(len(blocks) - 1, -1, -1):
        level = blocks[index].heading
        if kept[index] and level and has_lost[level] and not has_text[level]:
            kept[index] = False
        if level:
            has_text[level:] = has_lost[level:] = [False] * (7 - level)
        found = has_text if kept[index] else has_lost
        upper = level or 7
        found[:upper] = [True] * upper
    return kept


def _written(blocks: list[_Block], kept: list[bool]) -> str:
    """Return the text of the blocks that are kept, with the room between them."""
    parts: list[str] = []
    gap = 0
    for block, is_kept in zip(blocks, kept, strict=True):
        gap = max(gap, block.gap)
        if is_kept:
            parts += (_SEPARATORS[gap] if parts else "", block.text)
            gap = 0
    return "".join(parts)
