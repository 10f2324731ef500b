"""A translated benchmark, and its review being served."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from review_folder import Client, make_folder, serving


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("review"))


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / made.name)


@pytest.fixture
def client(folder: Path) -> Iterator[Client]:
    with serving(folder) as (client, _):
        yield client
