"""The report: a model that learned by heart is called memorised, one that learned nothing no change, and the page says what
the numbers say."""

from __future__ import annotations

import dataclasses
import json
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from voice.copier import pairs, text
from voice.reports import SETTINGS, Made, make_reports

from cutaway.base.errors import DataError, UsageError
from cutaway.interop.conversations import write_conversations
from cutaway.text.bpe import BPETokenizer
from cutaway.voice.learned import both_sides, learned
from cutaway.voice.report import collect
from cutaway.voice.report_page import report_page
from cutaway.voice.report_texts import marked_output, source_texts
from cutaway.voice.report_told import shown
from cutaway.voice.resplits import SplitLosses, summarize_splits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_reports(tmp_path_factory.mktemp("base"))


def test_a_model_that_learned_by_heart_is_called_memorised(made: Made) -> None:
    told = made.memorised
    assert told.verdict.name == "memorised"
    assert told.memorization.verdict == "copies"
    assert told.extraction.exact.train.value > 0.5 > told.extraction.exact.held_out.value
    assert told.membership.by_loss.auc.value == 1.0
    first = told.outputs[0]
    mark = first["marks"][0]
    source = told.sources[mark["source"]]["text"]
    copied = first["text"][mark["start"] : mark["end"]]
    assert len(copied.split()) > 30
    assert " ".join(copied.split()) == " ".join(source[mark["at"] : mark["at_end"]].split())


def test_one_that_learned_nothing_is_no_change(made: Made) -> None:
    told = made.untrained
    assert told.verdict.name == "no change"
    assert told.losses.bits_difference.value == told.forgetting.change.value == 0.0
    assert told.memorization.verdict != "copies"


@pytest.mark.slow
def test_with_two_held_out_pieces_nothing_is_claimed(made: Made) -> None:
    few = both_sides(
        made.writing.train, [one for one in made.writing.held_out if one.about["source"] in ("held 0", "held 1")]
    )
    answers = made.answers["base"]
    told = collect(made.base, made.base, few, answers, answers, settings=SETTINGS)
    assert told.verdict.name == "not enough data to say"
    assert "Not enough data to say" in report_page(json.loads(json.dumps(told.as_dict())))


@pytest.mark.slow
def test_the_same_again_gives_the_same(made: Made) -> None:
    answers = made.answers
    again = collect(made.base, made.tuned, made.writing, answers["base"], answers["me"], "full", settings=SETTINGS)
    assert again.as_dict() == made.memorised.as_dict()


def test_held_out_pieces_are_never_in_the_training_text(made: Made, tmp_path: Path) -> None:
    assert not made.writing.train_texts.keys() & made.writing.held_out_texts.keys()
    assert set(made.memorised.sources) <= set(made.writing.train_texts)
    assert {mark["source"] for one in made.memorised.outputs for mark in one["marks"]} <= set(made.writing.train_texts)
    with pytest.raises(DataError, match="both in training and held out"):
        both_sides(pairs(["a", "b"]), pairs(["b"]))
    hidden = [dataclasses.replace(one, about=one.about | {"source": "other"}) for one in pairs(["b"])]
    with pytest.raises(DataError, match="stands whole in the training text"):
        both_sides(pairs(["a", "b"]), hidden)
    with pytest.raises(DataError, match="first: cutaway voice pairs"):
        learned(tmp_path)
    write_conversations(tmp_path / "train.jsonl", pairs(["a", "b"]))
    with pytest.raises(DataError, match="holds nothing out"):
        learned(tmp_path)
    write_conversations(tmp_path / "held_out.jsonl", pairs(["c"]))
    (tmp_path / "pieces.jsonl").write_text('{"name": "c", "title": "See"}\n')
    found = learned(tmp_path)
    assert (found.title("c"), found.title("a"), list(found.held_out_texts)) == ("See", "a", ["c"])
    assert found.held_out_texts["c"] == text("c")


def test_another_base_is_refused(made: Made) -> None:
    other = dataclasses.replace(made.base, name="other", tokenizer=BPETokenizer.train([text("other")], 300))
    with pytest.raises(UsageError, match="'other' cuts text into other tokens"):
        collect(other, made.tuned, made.writing, made.answers["base"], made.answers["me"], settings=SETTINGS)


def test_prompts_of_held_out_pieces_in_turn_whole_first(made: Made) -> None:
    asked = made.writing.prompts(3, 1, 50)
    assert [one.source for one in asked] == ["held 0", "held 1", "held 2"]
    assert all(one.text.startswith("Write an essay") and one.max_tokens == 50 for one in asked)
    sample = made.writing.sample(5, seed=0)
    assert len({one.about["source"] for one in sample}) == 5


class Numbers(HTMLParser):
    """Every number of a page with its path, every id, every link inside the page, and what is asked from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.elsewhere: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "data":
            self.found.append((given["data-path"] or "", given["value"] or ""))
        if given.get("id"):
            self.ids.append(str(given["id"]))
        for name in ("href", "src", "action", "data"):
            if given.get(name):
                (self.links if str(given[name]).startswith("#") else self.elsewhere).append(str(given[name]))
        assert tag not in ("script", "link", "iframe", "object", "img")


def at(data: Any, path: str) -> Any:
    while path:
        if isinstance(data, list):
            head, _, path = path.partition(".")
            data = data[int(head)]
        else:
            name = max((key for key in data if path == key or path.startswith(f"{key}.")), key=len)
            data, path = data[name], path[len(name) + 1 :]
    return data


@pytest.mark.parametrize("which", ["memorised", "untrained"])
def test_the_page_says_what_report_json_says(made: Made, which: str) -> None:
    data = json.loads(json.dumps(getattr(made, which).as_dict(), allow_nan=False))
    page = report_page(data)
    read = Numbers()
    read.feed(page)
    assert len(read.found) > 50
    for path, value in read.found:
        assert float(value) == at(data, path), path
    assert not read.elsewhere
    assert not re.search(r"https?://|url\(|@import", page)
    assert len(read.ids) == len(set(read.ids))
    assert {link[1:] for link in read.links} <= set(read.ids)
    there = {path for path, _ in read.found}
    wanted = {"losses.base.bits_per_byte.value", "losses.bits_difference.low", "memorization.shares.8.observed.value",
              "extraction.exact.train.value", "membership.calibrated.auc.value"}  # fmt: skip
    assert {path for path in wanted if at(data, path) is not None} <= there
    for side, name in (("base", "base"), ("tuned", "tuned")):
        assert re.search(rf'data-path="losses.{side}.bits_per_byte.value">[^<]+</data> {name}', page)
    for sentence in ("verdict", "losses", "gap", "forgetting", "memorization", "extraction", "style", "two_sample"):
        assert escape(data[sentence]["sentence"]) in page, sentence


def test_numbers_are_rounded_and_never_to_nothing(made: Made) -> None:
    assert [shown(x, ".3f") for x in (0.00004, -0.5, 0.0, 1.0)] == ["4e\u221205", "\u22120.500", "0.000", "1.000"]
    assert (shown(12345, "d"), shown(0.123, ".1%"), shown(7, ".3f")) == ("12,345", "12.3%", "7")


def test_splits_are_said(made: Made) -> None:
    splits = summarize_splits([SplitLosses(i, ("held 1",), 0.5, 9, 2.0, 2.0 + i / 10, 1.0, 1.5) for i in range(3)])
    page = report_page(json.loads(json.dumps(dataclasses.replace(made.untrained, splits=splits).as_dict())))
    assert "Trained 3 times with other texts held out" in page
    assert 'data-path="splits.change.low"' in page


def test_what_is_marked_is_safe_and_leads_there_and_back() -> None:
    told = "a < b & <script>x</script> one two"
    marks = [{"start": 4, "end": 9, "words": 2, "source": "es\"say", "at": 2, "at_end": 6},
             {"start": 27, "end": 34, "words": 2, "source": "es\"say", "at": 4, "at_end": 9}]  # fmt: skip
    answer = marked_output(0, told, marks)
    assert "<script>" not in answer
    assert re.sub(r"<sup>.*?</sup>|<[^>]*>", "", answer) == "a &lt; b &amp; &lt;script&gt;x&lt;/script&gt; one two"
    there = source_texts([{"marks": marks}], {'es"say': {"title": "T<", "text": "0123456789<"}})
    assert re.sub(r"<sup>.*?</sup>|<[^>]*>", "", there.partition("</summary>")[2]) == "0123456789&lt;"
    for name in ("1a", "1b"):
        assert f'href="#s-{name}"' in answer
        assert f'id="s-{name}"' in there
        assert f'href="#o-{name}"' in there
