import gzip

import pytest
from tests.corpus.markup import PATTERNS, leftovers

LEFT = {
    "wiki link": "гл. [[Мова|мову]] тут",
    "wiki template": "тэкст {{няма крыніцы}} тут",
    "wiki table": "да\n|-\nпасля",
    "wiki heading": "а\n== Раздзел ==\nб",
    "wiki emphasis": "гэта '''мова''' тут",
    "wiki reference": "слова<ref name=a>Кніга",
    "wiki magic word": "__NOTOC__ тэкст",
    "HTML tag with attributes": 'тэкст <a href="x">спасылка',
    "HTML tags in a pair": "гэта <b>мова</b> тут",
    "HTML line break": "адзін<br/>два",
    "HTML comment": "а <!-- б --> в",
    "HTML entity": "а&nbsp;б",
    "XML declaration": '<?xml version="1.0"?>',
    "RTF control": r"{\rtf1\ansi тэкст",
    "subtitle time": "1\n00:00:01,000 --> 00:00:02,000\nДзень",
    "subtitle override": r"{\an8}Дзень",
    "style sheet": "тэкст\n.a { color: red; }\n",
    "script": 'document.write("x");',
    "WARC header": "WARC/1.0\nWARC-Type: response",
    "object replacement": "а\ufffcб",
}

LEGITIMATE = [
    "У HTML тэг <b> значыць тоўсты, а <table> — табліцу; &amp; — гэта амперсанд.",
    "if (a[i] && b[[1]] == c) { x = y; }",
    "for f in *.txt; do [[ -f $f ]] && echo ${f}; done",
    "dh_install | grep a || true\n| слова",
    "Сям'я, 'двукоссе' і l''arbre. О'Генры",
    "$ sed -e 's/a/b/' file > out; cat <<EOF",
    "#include <stdio.h>\nint main(void) { return 0; }",
    "Файл C:\\temp\\new і \\section{Уводзіны}",
    "Set onclick to window.location='file2.svg';",
    "12:30 --> 13:00, 00:01:02 — гэта час",
    "a == b == c\n=====\nЗагаловак",
    "std::vector<int> x; List<String> y; i < 5 > 3",
    "__init__ і __NAME__",
    "{name} {{ }} і %{version}",
]


def test_every_kind_has_an_example():
    assert LEFT.keys() == PATTERNS.keys()


@pytest.mark.parametrize("kind", LEFT)
def test_markup_left_in_text_is_found_with_an_example(kind):
    found = leftovers(LEFT[kind])
    assert kind in found
    assert found[kind]


@pytest.mark.parametrize("text", LEGITIMATE)
def test_text_about_markup_and_programs_is_left_alone(text):
    assert leftovers(text) == {}


def test_a_real_manual_about_programming_and_real_corpora_pass(shared_data):
    with gzip.open(shared_data / "dirty" / "debian_books" / "maint-guide.ca.txt.gz", "rt", encoding="utf-8") as file:
        assert leftovers(file.read()) == {}
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in sorted((shared_data / "corpora" / "be").glob("*.txt"))]
    assert [leftovers(text) for text in texts] == [{}] * len(texts)
