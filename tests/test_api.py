"""The public names: light to import, and callable however the packages below were imported."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_loads_nothing_heavy() -> None:
    run("import sys, cutaway; heavy = {'torch', 'numpy', 'rich', 'tyro'} & set(sys.modules); assert not heavy, heavy")


@pytest.mark.parametrize("first", ["", "import cutaway.train.trainer", "from cutaway.train import config"])
@pytest.mark.slow
def test_train_is_a_verb_and_a_package(first: str) -> None:
    run(
        f"{first}\nimport cutaway, cutaway.train.config as config\n"
        "try: cutaway.train('no such preset')\n"
        "except Exception as error: assert 'there is no preset' in str(error), error\n"
        "from cutaway.train.trainer import Trainer\nassert callable(cutaway.train) and config.TrainConfig"
    )


def test_every_public_name_is_there() -> None:
    import cutaway

    for name in cutaway.__all__:
        assert getattr(cutaway, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cutaway.nothing
