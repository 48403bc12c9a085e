"""The names the standard library defines, as a corpus of lines."""

from __future__ import annotations

from cutaway.text.config import DataConfig
from cutaway.text.corpus import read_corpus
from cutaway.text.identifiers import public_names


def test_public_definitions_are_found_and_lowered() -> None:
    source = "def Spam(): pass\nclass Eggs:\n    async def fry(self): ...\n    def _hidden(self): ...\n"
    source += "x = 'def no'\n# def nor\n"
    assert public_names([source, "def spam(): ..."]) == ["eggs", "fry", "spam"]


def test_the_standard_library_has_thousands() -> None:
    corpus = read_corpus(DataConfig("stdlib_names", documents="line"))
    names = [*corpus.train_texts, *corpus.validation_texts]
    assert {"dataclass", "namedtuple", "urlopen"} <= set(names)
    assert 3000 < len(names) < 100_000
    assert len(set(names)) == len(names)
