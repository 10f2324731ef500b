"""Comments and tags in wikitext: what is not wikitext inside them is left out or protected, before brackets are looked at."""

import re

from rodna.corpus.extractors.wikitidy import CAPTION_END, CAPTION_START, GONE, PROTECT

_TAG = re.compile(r"<!--|<(/?)([A-Za-z][A-Za-z0-9]*)((?:\s[^<>]*)?)/?>|<(/?)([A-Za-z]+)/>")
_LEFT_OUT = frozenset(
    """ref references score hiero timeline graph mapframe maplink templatedata templatestyles imagemap inputbox categorytree indicator
    includeonly section syntaxhighlight source style script categorylist dynamicpagelist rss charinsert""".split()  # noqa: SIM905
)
_VERBATIM = frozenset({"nowiki", "pre"})
_FORMULAS = frozenset({"math", "chem", "ce"})
_RAW = _LEFT_OUT | _VERBATIM | _FORMULAS | {"gallery"}
_BLOCKS = frozenset("p br div center blockquote li tr td th dd dt dl table ul ol hr h1 h2 h3 h4 h5 h6 caption poem".split())  # noqa: SIM905
_INLINE = frozenset(
    """abbr b bdi bdo big cite code data del dfn em font i ins kbd mark q rb rp rt rtc ruby s samp small span strike strong sub sup time tt
    u var wbr tbody thead tfoot noinclude onlyinclude langconvert translate tvar languages a img nobr""".split()  # noqa: SIM905
)
_CLOSERS = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in _RAW}
_NESTED_REFERENCE = re.compile(r"<ref(?:\s[^<>]*)?(?<!/)>", re.IGNORECASE)


def without_tags(text: str) -> str:
    """Resolve comments and tags: what is not wikitext inside them is left out or protected."""
    out: list[str] = []
    position, closers = 0, dict[str, int]()
    while match := _TAG.search(text, position):
        start, end = match.span()
        out.append(text[position:start])
        position = end
        if match[2] is None and match[5] is None:
            position = _after_comment(text, start, end, closers)
            continue
        name = (match[2] or match[5]).lower()
        is_closing, is_whole = bool(match[1] or match[4]), text[end - 2] == "/"
        if name not in _RAW:
            known = name in _BLOCKS or name in _INLINE
            out.append("\n" if name in _BLOCKS and not _is_bullet(text, start) else "" if known else match[0].translate(PROTECT))
        elif not (is_closing or is_whole):
            closer = _closer(text, name, end, closers)
            nested = _NESTED_REFERENCE.search(text, end, closer) if name == "ref" and closer > 0 else None
            if closer > 0 and nested is None:
                out.append(_raw(name, text[end:closer], match[0]))
                position = text.index(">", closer) + 1
    out.append(text[position:])
    return "".join(out)


def _is_bullet(text: str, start: int) -> bool:
    return text[max(0, start - 1) : start] in ("*", "#", ":", ";")


def _after_comment(text: str, start: int, end: int, closers: dict[str, int]) -> int:
    """Return where text goes on after a comment; one that is never closed hides nothing, one alone on its line leaves no blank line."""
    close = closers["!"] = text.find("-->", end) if closers.get("!", 0) >= 0 else -1
    if close < 0:
        return end
    after = close + 3
    return after + 1 if text[start - 1 : start] == "\n" and text[after : after + 1] == "\n" else after


def _closer(text: str, name: str, end: int, closers: dict[str, int]) -> int:
    """Return where the next closing tag is, -1 for none; each closing tag is looked for once."""
    known = closers.get(name, 0)
    if known >= 0 and known < end:
        match = _CLOSERS[name].search(text, end)
        known = closers[name] = match.start() if match else -1
    return known


def _raw(name: str, content: str, tag: str) -> str:
    if name in _VERBATIM:
        return content.translate(PROTECT) if name == "nowiki" else "\n" + content.translate(PROTECT) + "\n"
    if name in _FORMULAS:
        from rodna.corpus.extractors.formulas import plain_formula

        return (plain_formula(content) or GONE).translate(PROTECT)
    if name in ("syntaxhighlight", "source") and "inline" in tag:
        return content.translate(PROTECT)
    if name == "gallery":
        captions = [line.partition("|")[2].strip() for line in content.split("\n")]
        return "\n" + "\n".join(f"{CAPTION_START}{caption}{CAPTION_END}" for caption in captions if caption) + "\n"
    return GONE
