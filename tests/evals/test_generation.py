import pytest

from rodna.corpus.documents import Document
from rodna.evals.config import EvalConfig
from rodna.evals.data import EvaluationData
from rodna.evals.measure import all_results
from rodna.evals.writing.generation import beginning, choose_prompts, evaluate, in_loops, reference_texts

HELD_OUT = [
    "Над ціхай ракою стаяла старая хата, і ў хаце той жыла бабуля з унукам.",
    "Увосень лісце жаўцее і падае долу, а птушкі ляцяць у вырай.",
    "Кароткі сказ.",
    "На рынку прадавалі яблыкі, мёд і свежы хлеб з печы.",
]
TRAIN = ["У лесе жыў воўк, які вельмі любіў слухаць песні пра далёкія моры і высокія горы.", "Яблыкі растуць у садзе за старой хатай."]
CONFIG = EvalConfig(num_samples=4, bootstrap_samples=100)


class Parrot:
    """A language model that says the same to everyone, or to each what it was given to say."""

    def __init__(self, *texts):
        self.texts, self.description = texts, {"where": "here", "kind": "parrot"}

    def generate(self, prompts, sampling):
        return [self.texts[index % len(self.texts)] for index in range(len(prompts))]


def data(train=TRAIN, train_ids=()):
    documents = [Document(str(n), text, "s", "be") for n, text in enumerate(HELD_OUT)]
    num_bytes = sum(len(t.encode()) for t in train)
    return EvaluationData("be", documents, tokens=None, train=train, train_bytes=num_bytes, validation=[], train_ids=train_ids)


def measured(*texts, train=TRAIN, config=CONFIG):
    evaluation = evaluate(Parrot(*texts), data(train), config)
    return {result.metric: result for result in all_results(evaluation, samples=100, seed=0)}


@pytest.mark.parametrize(
    ("text", "looped"),
    [
        ("ха" * 20, 40),
        ("well, " + "и так далее " * 5 + "end", 61),
        ("............", 0),
        ("one two three four five six seven", 0),
        ("", 0),
        ("食飯" * 13, 26),
        ("я і ён. я і ён. я і ён.", 0),
    ],
)
def test_characters_in_loops_are_counted(text, looped):
    assert in_loops(text) == looped


def test_a_beginning_ends_with_a_whole_word_and_is_at_most_half_of_the_text():
    assert beginning("Над ціхай ракою стаяла хата", 12) == "Над ціхай"
    assert beginning("Над ціхай ракою", 100) == "Над"
    assert beginning("我哋今日去食飯", 100) == "我哋今"
    assert beginning("слова", 100) == ""
    assert beginning("", 5) == ""


def test_half_of_the_prompts_begin_like_held_out_documents_and_half_are_empty():
    prompts = choose_prompts(HELD_OUT, CONFIG)
    assert [bool(prompt.text) for prompt in prompts] == [True, True, False, False]
    assert all(HELD_OUT[prompt.document].startswith(prompt.text) for prompt in prompts[:2])
    assert [prompt.document for prompt in prompts[2:]] == [-1, -1]
    assert choose_prompts(HELD_OUT, CONFIG) == prompts


def test_the_reference_has_as_many_characters_as_the_samples():
    texts = ["x" * 30, "y" * 25]
    pieces = reference_texts(data(), texts, seed=0)
    assert sum(map(len, pieces)) == 55
    assert max(map(len, pieces)) <= 30


def test_a_model_that_copies_is_found_out():
    found = measured(TRAIN[0])
    assert found["copied_characters"].value == 1
    assert found["copied_characters"].detail["reference"] == 0
    assert found["longest_copy"].value == len(TRAIN[0])
    assert found["longest_copy"].detail["copy"] == TRAIN[0]
    assert found["longest_copy"].detail["reference"] < 15
    assert (found["texts_with_copies"].value, found["texts_with_copies"].n) == (1, 4)
    assert found["unseen_5_grams"].value == 0
    assert found["unseen_5_grams"].detail["reference"] > 0.5


def test_a_model_that_goes_round_in_circles_is_found_out():
    found = measured("і зноў " * 10)
    assert (found["loops"].value, found["looped_characters"].value) == (1, 1)
    assert found["distinct_1"].value == pytest.approx(2 / 80)
    assert found["distinct_1"].detail["reference"] > 0.8


def test_a_model_that_leaves_its_script_and_language_is_found_out():
    ours, theirs = measured(HELD_OUT[1]), measured("The leaves turn yellow in autumn and the birds fly away to the south.")
    assert (ours["in_script"].value, theirs["in_script"].value) == (1, 0)
    assert (ours["in_language"].value, theirs["in_language"].value) == (1, 0)
    assert theirs["in_language"].detail["taken_for"] == "be"
    assert theirs["in_language"].detail["languages"] == {"en": 4}


def test_where_a_copy_is_from_is_listed_beside_what_people_share_with_the_training_text():
    train = ["першы тэкст", f"Пачатак. {TRAIN[0]} Канец."]
    copies = evaluate(Parrot("Ён казаў: " + TRAIN[0][7:60] + "!", "так"), data(train, ["адзін", "два"]), CONFIG).files["copies.json"]
    longest = copies["written"][0]
    assert longest["text"] == " " + TRAIN[0][7:60]
    assert (longest["document"], longest["at"], longest["start"]) == ("два", 9 + 6, 9)
    assert longest["around"] == train[1][: 9 + 60 + 40]
    assert longest["id"].startswith("document ")
    assert copies["held_out"][0]["length"] == max(item["length"] for item in copies["held_out"]) < 20


def test_made_up_words_are_found_and_listed_beside_those_of_people():
    train = ["над ціхай ракою стаяла хата. у хаце жыў дзед." * 2, "хлеб з печы і мёд на рынку прадавалі"]
    found = measured(" ціхай хатушцы, хатушцы стаяла.", train=train)
    assert found["real_words"].value == 2 / 4
    assert 0 < found["real_words"].detail["reference"] < 0.5
    assert found["real_words"].detail["attested_at_least"] == 2
    words = evaluate(Parrot(" ціхай хатушцы, хатушцы мёд."), data(train), CONFIG).files["non_words.json"]
    assert words["written"] == [
        {"word": "хатушцы", "count": 8, "in_training": 0},
        {"word": "мёд", "count": 4, "in_training": 1},
    ]
    assert {"word": "яблыкі", "count": 1, "in_training": 0} in words["held_out"]


def test_in_a_script_without_spaces_neighbouring_characters_are_looked_up_and_foreign_words_are_not():
    texts = ["我哋今日去食飯,你去唔去呀?佢話佢都想去食飯,不過今日好忙 OK.", "佢今日好忙,唔去食飯喇.我哋聽日再去啦,好唔好?"] * 2
    documents = [Document(str(n), text, "s", "yue") for n, text in enumerate(texts)]
    train = ["我哋今日去食飯,佢今日好忙."] * 2
    known = EvaluationData("yue", documents, tokens=None, train=train, train_bytes=200, validation=[])
    evaluation = evaluate(Parrot("我哋今日食忙哋"), known, CONFIG)
    found = {result.metric: result for result in all_results(evaluation, samples=100, seed=0)}
    assert "real_words" not in found
    # 我哋 哋今 今日 are known; 日食 食忙 忙哋 are not.
    assert found["attested_2_grams"].value == 3 / 6
    assert found["attested_3_grams"].value == 2 / 5
    assert found["attested_2_grams"].detail["reference"] == 1
    assert not any(name.startswith("attested") for name in measured("食飯"))


def test_the_same_text_to_everyone_is_like_itself_and_other_texts_are_not():
    same, other = measured(HELD_OUT[1]), measured(*HELD_OUT)
    assert same["self_bleu_8"].value == pytest.approx(1)
    assert other["self_bleu_8"].value < 0.2
    assert same["self_bleu_8"].detail["reference"] < 0.2


def test_every_item_carries_the_name_of_its_prompt_so_that_two_models_pair():
    evaluation = evaluate(Parrot("Ліст падае долу, а птушкі ляцяць у вырай."), data(), CONFIG)
    prompts = evaluation.files["samples.json"]
    expected = [f"document {prompt['document']}" for prompt in prompts[:2]] + ["nothing 2", "nothing 3"]
    assert {item.metric: list(item.ids) for item in evaluation.measurements}["copied_characters"] == expected
    assert len({item.prompt_digest for item in evaluation.measurements}) == 1
    other = evaluate(Parrot("так"), data(), EvalConfig(num_samples=4, bootstrap_samples=100, temperature=0))
    assert other.measurements[0].prompt_digest != evaluation.measurements[0].prompt_digest


def test_the_reference_has_an_interval_and_a_number_of_texts_too():
    found = measured("лес і поле, поле і лес")["unseen_3_grams"]
    low, high = found.detail["reference_interval"]
    assert low <= found.detail["reference"] <= high
    assert found.detail["reference_n"] >= 2
    assert found.low <= found.value <= found.high


def test_texts_without_what_is_counted_are_left_out_and_n_says_so():
    found = measured("", HELD_OUT[1])
    assert (found["loops"].n, found["in_script"].n, found["in_language"].n) == (4, 2, 2)
    assert found["empty"].value == 0.5


def test_samples_are_kept_with_their_prompts():
    samples = evaluate(Parrot("так"), data(), CONFIG).files["samples.json"]
    assert [sample["text"] for sample in samples] == ["так"] * 4
    assert HELD_OUT[samples[0]["document"]].startswith(samples[0]["prompt"])


@pytest.mark.parametrize("text", ["", "1", "\n", "?!"])
def test_a_model_that_says_nothing_is_no_reason_to_stop(text):
    found = measured(text)
    assert all(result.n for result in found.values())
    assert found["empty"].value == (not text.strip())


def test_no_samples_asked_for_means_none_made():
    evaluation = evaluate(Parrot("так"), data(), EvalConfig(num_samples=0))
    assert evaluation.results == []
    assert evaluation.files == {"samples.json": []}
