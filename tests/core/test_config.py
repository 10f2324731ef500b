"""Configuration: YAML 1.2, overrides, and every problem told at once with its line and the closest valid key."""

from pathlib import Path

import pytest
from pydantic import Field

from rodna.core.config import MAX_CONFIG_BYTES, Planned, Section, load, merge, parse_override, read_yaml
from rodna.core.errors import ConfigError


class Source(Section):
    path: str
    licence: str = ""


class Train(Section):
    learning_rate: float = Field(default=1e-3, gt=0)
    batch_size: int | Planned = "planned"
    compile: bool = True


class Whole(Section):
    language: str = ""
    sources: dict[str, Source] = Field(default_factory=dict)
    train: Train = Train()


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "project.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(tmp_path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(Whole, write(tmp_path, text), overrides=overrides)
    return str(caught.value)


def test_yaml_1_2_reads_the_language_no_and_small_numbers_as_meant(tmp_path):
    whole = load(Whole, write(tmp_path, "language: no\ntrain:\n  learning_rate: 3e-4\n"))
    assert whole.language == "no"
    assert whole.train.learning_rate == 3e-4


def test_a_later_layer_wins_default_preset_file_override(tmp_path):
    path = write(tmp_path, "train:\n  batch_size: 8\n")
    base = {"train": {"batch_size": 4, "learning_rate": 0.5}}
    whole = load(Whole, path, base=base, overrides=["train.compile=false"])
    assert whole.train == Train(batch_size=8, learning_rate=0.5, compile=False)
    assert load(Whole, path, base=base, overrides=["train.batch_size=2"]).train.batch_size == 2


def test_a_section_whose_lines_are_all_comments_has_its_defaults(tmp_path):
    assert load(Whole, write(tmp_path, "train:\n  # learning_rate: 1\n")).train == Train()


def test_five_mistakes_are_five_lines_each_with_its_place(tmp_path):
    text = (
        "langauge: be\n"  # 1
        "sources:\n"
        "  interviews:\n"
        "    licence: CC0\n"  # no path
        "  float:\n"
        "    path: 3\n"
        "train:\n"
        "  learning_rate: -1\n"
        "  batch_size: many\n"
    )
    message = problems(tmp_path, text)
    assert message.startswith("5 problems in the configuration\n")
    assert "langauge (line 1): unknown key; did you mean `language`?" in message
    assert "sources.interviews.path (line 3): required, but not given" in message
    assert "sources.float.path (line 6): should be a valid string (found 3)" in message
    assert "train.learning_rate (line 8): should be greater than 0 (found -1)" in message
    assert "train.batch_size (line 9): should be a valid integer or 'planned' (found 'many')" in message
    assert "project.yaml" in message
    assert len([line for line in message.splitlines() if line.startswith("  - ")]) == 5


def test_a_problem_in_an_override_is_blamed_on_the_override_not_on_a_line(tmp_path):
    message = problems(tmp_path, "train:\n  learning_rate: 1\n", "train.learning_rate=fast")
    assert "train.learning_rate (--set): should be a valid number" in message
    assert "line" not in message.splitlines()[1]


def test_an_unknown_key_with_no_near_name_lists_the_valid_ones(tmp_path):
    assert "train.zzzzz (line 2): unknown key; valid keys here: batch_size, compile, learning_rate" in problems(
        tmp_path, "train:\n  zzzzz: 1\n"
    )


def test_an_unknown_key_inside_a_source_suggests_the_keys_of_a_source(tmp_path):
    assert "sources.a.license (line 4): unknown key; did you mean `licence`?" in problems(
        tmp_path, "sources:\n  a:\n    path: x\n    license: CC0\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\nb: 2\n", r"not valid YAML: .*\n  where: .*project.yaml, line 2"),
        ("a: 1\na: 2\n", r"not valid YAML: found duplicate key \"a\".*\n  where: .*line 2"),
        ("a: &x 1\nb: *x\n", r"YAML aliases .* are not supported"),
        ("- 1\n- 2\n", r"expected `key: value` lines, found a CommentedSeq"),
        ("[" * 5000, r"not valid YAML: it is nested too deeply"),
    ],
)
def test_what_is_not_a_yaml_mapping_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_yaml(write(tmp_path, text))


def test_bytes_that_are_not_utf_8_are_refused(tmp_path):
    path = tmp_path / "project.yaml"
    path.write_bytes("language: беларуская".encode("cp1251"))
    with pytest.raises(ConfigError, match=r"the file is not UTF-8: byte 10 .*\n.*project.yaml\n  fix:   save it as UTF-8"):
        read_yaml(path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    path = tmp_path / "project.yaml"
    path.write_bytes("language: be\n".encode("utf-8-sig"))
    assert load(Whole, path).language == "be"


def test_a_file_too_large_to_be_a_configuration_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"more than 1,048,576 bytes"):
        read_yaml(write(tmp_path, "#" * (MAX_CONFIG_BYTES + 1)))


def test_a_missing_file_says_how_to_create_one(tmp_path):
    with pytest.raises(ConfigError, match=r"No such file.*\n.*\n  fix:   run `rodna init"):
        read_yaml(tmp_path / "absent.yaml")


def test_an_empty_file_is_an_empty_mapping(tmp_path):
    assert load(Whole, write(tmp_path, "")) == Whole()


@pytest.mark.parametrize("text", ["train", "=1", "train.=1", ".a=1"])
def test_what_is_not_an_assignment_is_refused(text):
    with pytest.raises(ConfigError, match=r"not an assignment: .*\n  where: --set\n  fix:   write --set section.key=value"):
        parse_override(text)


def test_an_override_that_is_not_yaml_is_refused():
    with pytest.raises(ConfigError, match=r"the value of a is not valid YAML: '\[1'"):
        parse_override("a=[1")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a.b=3e-4", {"a": {"b": 3e-4}}),
        ("a=no", {"a": "no"}),
        ("a=[1, x]", {"a": [1, "x"]}),
        ("a={b: true}", {"a": {"b": True}}),
        ("a=x=y", {"a": "x=y"}),
        ("a=", {"a": None}),
    ],
)
def test_overrides_are_yaml_values(text, tree):
    assert parse_override(text) == tree


def test_merging_keeps_what_is_not_overlaid():
    assert merge({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}, "c": 4}) == {"a": {"x": 1, "y": 3}, "b": 1, "c": 4}


def test_an_override_with_a_place_changes_that_item_of_a_list_and_no_other():
    below = {"a": [{"x": 1, "y": 2}, {"x": 3}, 4]}

    assert merge(below, parse_override("a.1.x=5")) == {"a": [{"x": 1, "y": 2}, {"x": 5}, 4]}
    assert merge(below, parse_override("a.2=6")) == {"a": [{"x": 1, "y": 2}, {"x": 3}, 6]}
    assert merge(below, parse_override("a=[7]")) == {"a": [7]}
    assert merge(below, parse_override("a.3=8")) == {"a": {"3": 8}}, "there is no such place: validation will say so"
    assert below == {"a": [{"x": 1, "y": 2}, {"x": 3}, 4]}
