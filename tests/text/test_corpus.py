from __future__ import annotations

from pathlib import Path

import pytest

from cutaway.base.errors import ConfigError, DataError
from cutaway.text.config import DataConfig
from cutaway.text.corpus import Corpus, read_corpus


def write(folder: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def texts(corpus: Corpus) -> set[str]:
    return {*corpus.train_texts, *corpus.validation_texts}


def test_a_single_text_is_split_by_position_as_nanogpt_does(tmp_path: Path) -> None:
    text = "".join(f"line {n}\n" for n in range(1000))
    corpus = read_corpus(DataConfig(str(write(tmp_path, play_txt=text) / "play.txt")))
    cut = int(len(text) * 0.9)
    assert corpus.train_texts == [text[:cut]]
    assert corpus.validation_texts == [text[cut:]]
    assert corpus.n_documents == 1


def test_lines_become_documents_and_equal_ones_stay_on_one_side(tmp_path: Path) -> None:
    names = [f"name{n % 90}" for n in range(300)]
    path = write(tmp_path, names_txt="\n".join(names) + "\n\n") / "names.txt"
    corpus = read_corpus(DataConfig(str(path), documents="line"))
    assert sorted(corpus.train_texts + corpus.validation_texts) == sorted(names)
    assert not set(corpus.train_texts) & set(corpus.validation_texts)
    assert 20 <= len(corpus.validation) <= 34
    assert corpus.skipped == {"blank lines": 1}
    assert corpus.train[0].name == "names.txt:1" or corpus.validation[0].name == "names.txt:1"


def test_a_folder_is_read_recursively_and_what_is_no_text_is_counted(tmp_path: Path) -> None:
    write(
        tmp_path,
        a_txt="one\r\ntwo",
        sub__b_md="\ufeffthree",
        c_png=b"\x89PNG\0\0",
        d_txt=" \n",
        e_txt=b"caf\xe9",
    )
    write(tmp_path / ".git", config_txt="hidden")
    corpus = read_corpus(DataConfig(str(tmp_path)))
    assert texts(corpus) == {"one\ntwo", "three"}
    assert corpus.skipped == {"binary": 1, "empty": 1, "not UTF-8": 1}
    assert "left out: 1 binary, 1 empty, 1 not UTF-8" in corpus.describe()
    found = read_corpus(DataConfig(str(tmp_path / "**" / "*.md")))
    assert "".join(found.train_texts + found.validation_texts) == "three"


def test_the_same_folder_gives_the_same_corpus_and_another_seed_another_split(tmp_path: Path) -> None:
    write(tmp_path, **{f"f{n}_txt": f"text {n}" for n in range(40)})
    config = DataConfig(str(tmp_path), validation_fraction=0.25)
    first, again, other = read_corpus(config), read_corpus(config), read_corpus(config, seed=1)
    assert first == again
    assert first.hash == again.hash != other.hash
    assert len(first.validation) == len(other.validation) == 10
    assert texts(first) == texts(other)


def test_max_files_takes_the_same_files_wherever_they_lie(tmp_path: Path) -> None:
    for place in ("here", "there"):
        write(tmp_path / place, **{f"f{n}_txt": f"text {n}" for n in range(40)})
    here, there = (read_corpus(DataConfig(str(tmp_path / place), max_files=7)) for place in ("here", "there"))
    assert here.n_files == 7
    assert here.hash == there.hash


def test_the_standard_library_is_code_first_without_one_machines_settings() -> None:
    corpus = read_corpus(DataConfig(max_files=150))
    names = {document.name for document in [*corpus.train, *corpus.validation]}
    assert len(names) == 150
    assert (len(corpus.train), len(corpus.validation)) == (135, 15)
    assert all(name.endswith(".py") for name in names)
    assert not any("/test" in f"/{name}" or name.startswith(("encodings", "_sysconfig")) for name in names)


@pytest.mark.parametrize(
    ("files", "source", "said"),
    [
        ({}, "", "has no files in it"),
        ({"a_txt": ""}, "", "a.txt: it is empty"),
        ({"a_txt": ""}, "a.txt", "a.txt: it is empty; expected UTF-8 text"),
        ({"a_png": b"\0\1"}, "a.png", "it is binary"),
        ({"a_png": b"\0\1", "b_png": b"\0", "c_txt": "\n"}, "", "of 3 files, 2 binary, 1 empty"),
        ({}, "nowhere.txt", "there is no file or folder"),
        ({}, "*.txt", "no file matches the pattern"),
    ],
)
def test_what_cannot_be_read_gets_one_line(
    tmp_path: Path, files: dict[str, str | bytes], source: str, said: str
) -> None:
    write(tmp_path, **files)
    with pytest.raises(DataError) as caught:
        read_corpus(DataConfig(str(tmp_path / source)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"validation_fraction": 1.0}, {"max_files": 0}, {"bpe_vocab_size": 100}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"data.{next(iter(wrong))}"):
        DataConfig(**wrong)


def test_nothing_is_kept_aside_when_not_asked_for(tmp_path: Path) -> None:
    write(tmp_path, a_txt="one", b_txt="two")
    corpus = read_corpus(DataConfig(str(tmp_path), validation_fraction=0.0))
    assert (len(corpus.train), len(corpus.validation)) == (2, 0)
