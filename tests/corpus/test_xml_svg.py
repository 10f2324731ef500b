import pytest
from tests.corpus.markup import leftovers

from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected, svg, xml


def read(tmp_path, content, extractor=xml, **limits):
    path = tmp_path / "a.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(extractor.extract(path, Source(path="."), Limits(**limits)))


def lines(tmp_path, content, extractor=xml):
    (piece,) = read(tmp_path, content, extractor)
    assert isinstance(piece, Piece)
    return piece.text.split("\n")


def test_docbook_paragraphs_lists_and_inline_elements(tmp_path):
    content = """<?xml version="1.0"?><book xmlns="http://docbook.org/ns/docbook"><title>Кніга</title><chapter><para>Націсніце
      <menuchoice><guimenu>Файл</guimenu> <guimenuitem>Новы</guimenuitem></menuchoice>, каб <emphasis>пачаць</emphasis>.</para>
      <itemizedlist><listitem><para>адзін</para></listitem><listitem><para>два</para></listitem></itemizedlist></chapter></book>"""
    assert lines(tmp_path, content) == ["Кніга", "Націсніце Файл Новы, каб пачаць.", "адзін", "два"]


def test_tei_words_make_a_line_and_the_header_is_left_out(tmp_path):
    content = """<TEI xmlns="http://www.tei-c.org/ns/1.0"><teiHeader><p>Права</p></teiHeader><text><body>
      <s><w>Кот</w><pc>,</pc><w>які</w><w>спіць</w><pc>.</pc></s><s><w>Добра</w><pc>!</pc></s>
      <p>Звычайны <hi>абзац</hi> тут.</p></body></text></TEI>"""
    assert lines(tmp_path, content) == ["Кот, які спіць.", "Добра!", "Звычайны абзац тут."]


def test_records_give_a_line_a_field_and_comments_and_attributes_nothing(tmp_path):
    content = '<r a="x"><!-- не --><?pi не?><i id="1"><n>Назва адна</n><d>Апісанне &amp; тэкст</d></i></r>'
    assert lines(tmp_path, content) == ["Назва адна", "Апісанне & тэкст"]


def test_a_feed_gives_a_document_an_item(tmp_path):
    long = "Гэта доўгая навіна пра тое, што адбылося ўчора ў горадзе. " * 6
    content = f"""<rss xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>Стужка</title>
      <item><title>Навіна</title><link>https://x.example/1</link><pubDate>Mon, 1 Jan 2024</pubDate><description>Коратка</description>
      <content:encoded><![CDATA[<p>{long}</p><script>x</script>]]></content:encoded></item>
      <item><title>Пустая</title><link>https://x.example/2</link></item></channel></rss>"""
    item, empty = read(tmp_path, content)
    assert isinstance(item, Piece)
    assert item.text.strip() == long.strip()
    assert item.meta == {"title": "Навіна", "url": "https://x.example/1", "date": "Mon, 1 Jan 2024"}
    assert (empty.reason, empty.detail) == ("no_text", "item 2 of the feed has no text: Пустая")
    entry = '<title>Т</title><link href="https://y.example"/><summary>Проста словы.</summary>'
    atom = f'<feed xmlns="http://www.w3.org/2005/Atom"><entry>{entry}</entry></feed>'
    assert read(tmp_path, atom) == [Piece("Проста словы.", {"title": "Т", "url": "https://y.example"})]


def test_internal_entities_are_resolved_and_files_never_read(tmp_path):
    (tmp_path / "secret.txt").write_text("сакрэт", encoding="utf-8")
    content = f'<!DOCTYPE a [<!ENTITY p "Праграма"><!ENTITY s SYSTEM "file://{tmp_path}/secret.txt">]><a><b>&p; тут</b></a>'
    assert lines(tmp_path, content) == ["Праграма тут"]
    found = read(tmp_path, content.replace("&p;", "&s;"))
    assert "сакрэт" not in str(found)


def test_broken_deep_and_explosive_files_are_rejected(tmp_path):
    bomb = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
    cases = {
        "xml_bomb": f'<!DOCTYPE m [<!ENTITY l0 "lol lol lol">{bomb}]><m>&l9;</m>',
        "too_deep": "<a>" * 5000 + "х" + "</a>" * 5000,
        "invalid_xml": "<a><b>тэкст</a>",
        "no_text": "<a><b/></a>",
    }
    assert {reason: [item.reason for item in read(tmp_path, content)] for reason, content in cases.items()} == {r: [r] for r in cases}
    (large,) = read(tmp_path, "<a>" + "х" * 3000 + "</a>", max_page_bytes=2000)
    assert isinstance(large, Rejected)
    assert (large.reason, large.detail) == ("page_too_large", "6,007 bytes; XML is read whole, up to 2,000")


@pytest.mark.parametrize("encoding", ["utf-16", "windows-1251"])
def test_a_declared_encoding_is_used(tmp_path, encoding):
    assert lines(tmp_path, f'<?xml version="1.0" encoding="{encoding}"?><a>Ўсё добра</a>'.encode(encoding)) == ["Ўсё добра"]


def test_a_drawing_gives_its_lines_in_order(tmp_path):
    content = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:s="http://sodipodi.sourceforge.net/DTD/sodipodi-0.dtd"><title>Карта</title>
      <defs><style>.a {fill: red}</style></defs><metadata><x>Схавана</x></metadata><desc>Апісанне карты</desc>
      <text x="1" y="1"><tspan s:role="line">Першы</tspan><tspan s:role="line">Другі <tspan style="x">радок</tspan></tspan></text>
      <flowRoot><flowPara>Абзац адзін</flowPara><flowPara>Абзац два</flowPara></flowRoot>
      <g><text>Надпіс<title>падказка</title></text></g></svg>"""
    (piece,) = read(tmp_path, content, svg)
    assert piece == Piece("Апісанне карты\nПершы\nДругі радок\nАбзац адзін\nАбзац два\nНадпіс", {"title": "Карта"})
    (rejected,) = read(tmp_path, "<svg><path d='m1'/></svg>", svg)
    assert rejected.detail == "nothing in the drawing is text (letters may have been turned into shapes)"
    (broken,) = read(tmp_path, "<svg><text>а", svg)
    assert broken.reason == "invalid_xml"


def test_real_tutorials_and_feed_leave_no_markup(shared_data):
    dirty = shared_data / "dirty"
    for path in sorted((dirty / "debian_inkscape_tutorials_be").glob("*.svg")):
        (piece,) = svg.extract(path, Source(path="."), Limits())
        assert isinstance(piece, Piece)
        assert not leftovers(piece.text)
        assert len(piece.text) > 3000
    items = list(xml.extract(dirty / "markitdown" / "test_rss.xml", Source(path="."), Limits()))
    assert len(items) == 10
    assert not [leftovers(item.text) for item in items if isinstance(item, Rejected) or leftovers(item.text)]
