"""README and docs: what they tell one to type works, and what they name is there."""

import argparse
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep
from omegaconf import OmegaConf

from digits.__main__ import make_parser
from digits.config.resolvers import register_resolvers

REPO = Path(__file__).parent.parent
PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]
FOUND = "experiment=search"
"""What a search of the docs writes."""
MADE = ("conf/model/wide.yaml", "conf/local/default.yaml")
"""What README and docs have one write."""


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.M | re.S):
        if language in languages:
            yield block


def commands(start: str) -> list[str]:
    """Return what is typed in blocks of code and between backticks, a command each, sorted."""
    found = set()
    for page in PAGES:
        typed = re.findall(r"`([^`\n]+)`", page.read_text())
        for block in blocks(page, "bash", "console"):
            lines = block.replace("\\\n", " ").splitlines()
            typed += [part for line in lines for part in line.removeprefix("$ ").split(" && ")]
        found |= {line.strip() for line in typed if line.startswith(start)}
    return sorted(found)


def words(command: str) -> list[str]:
    """Return a command's arguments, up to where its output goes."""
    arguments = shlex.split(command, comments=True)
    return arguments[: arguments.index(">")] if ">" in arguments else arguments


def jobs(overrides: list[str]) -> Iterator[list[str]]:
    """Yield a sweep's first and last job; of an interval, its lower end stands for all."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    for place in (0, -1) if any(each.is_sweep_override() for each in parsed) else (0,):
        job = []
        for override in parsed:
            value = override.value()
            if isinstance(value, IntervalSweep):
                job.append(f"{override.get_key_element()}={value.start}")
            elif override.is_sweep_override():
                element = list(override.sweep_string_iterator())[place]
                job.append(f"{override.get_key_element()}={element}")
            else:
                job.append(str(override.input_line))
        yield job


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the configuration, with the network that the README adds to it."""
    folder = tmp_path_factory.mktemp("docs") / "conf"
    shutil.copytree(REPO / "conf", folder)
    (example,) = blocks(REPO / "README.md", "yaml")
    (folder / "model" / "wide.yaml").write_text(example)
    register_resolvers()
    return folder


@pytest.mark.parametrize("command", commands("python train.py"))
def test_each_training_composes(command: str, conf: Path) -> None:
    overrides = [word for word in words(command)[2:] if not word.startswith("-")]
    if "model=dropuot" in overrides or FOUND in overrides:
        return
    with initialize_config_dir(str(conf), version_base=None):
        for job in jobs(overrides):
            config = compose("config", [*job, "name=docs"], return_hydra_config=True)
            keys = [override.lstrip("+").partition("=")[0] for override in job]
            assert all(OmegaConf.select(config, key) is not None for key in keys if "." in key)


def verbs(parser: argparse.ArgumentParser) -> list[str]:
    return [verb for action in parser._subparsers._actions[1:] for verb in action.choices or ()]  # type: ignore[union-attr]


@pytest.mark.parametrize("command", commands("digits "))
def test_each_verb_parses(command: str) -> None:
    name, *arguments = words(command)[1:]
    if name.isupper():  # VERB stands for any of them
        return
    if arguments:
        assert make_parser().parse_args([name, *arguments])
    else:  # in a sentence, without its arguments
        assert name in verbs(make_parser())


def test_the_readmes_first_line_with_pytest_is_what_the_checks_run() -> None:
    line = next(each for each in (REPO / "README.md").read_text().splitlines() if "pytest" in each)
    assert line == 'pip install -e ".[dev]" && pytest'


def test_the_readme_is_a_face_and_not_a_manual() -> None:
    assert len((REPO / "README.md").read_text().splitlines()) <= 250


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_file_that_is_named_or_linked_exists(page: Path) -> None:
    text = page.read_text()
    folders = "src|tests|conf|docs|benchmarks"
    named = re.findall(rf"[`\s]((?:{folders})/[\w./-]*\w)", text)
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    missing = [each for each in named if not (REPO / each).exists() and each not in MADE]
    missing += [each for each in linked if not (page.parent / each).exists()]
    assert not missing


def test_each_heading_that_the_readme_links_to_exists() -> None:
    for link, anchor in re.findall(r"\]\((docs/[^)#]+)#([^)]+)", PAGES[0].read_text()):
        headings = re.findall(r"^#+ (.*)$", (REPO / link).read_text(), re.M)
        slugs = [re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings]
        assert anchor in slugs


def test_the_tree_names_what_is_there() -> None:
    (tree,) = [block for block in blocks(REPO / "README.md", "") if "train.py  " in block]
    package = REPO / "src" / "digits"
    named = re.findall(r"[\w/]+(?:\.py|/)", tree)
    everywhere = {path.name for path in (*package.rglob("*"), *REPO.glob("*"))}
    everywhere |= {path.name for path in (REPO / "benchmarks").iterdir()}
    for each in named:
        name = each.rstrip("/").rpartition("/")[2]
        assert name in everywhere | {"hydra_plugins", "digits"}, each


def test_every_page_is_in_the_sites_navigation() -> None:
    # PyYAML reads it because mkdocs.yml uses none of mkdocs's own tags.
    navigation: Any = yaml.safe_load((REPO / "mkdocs.yml").read_text())["nav"]
    assert sorted(navigation) == [page.name for page in PAGES[1:]]


def test_the_readmes_network_is_a_classifier_of_ten_digits() -> None:
    (example,) = [block for block in blocks(REPO / "README.md", "python") if "class " in block]
    names: dict[str, Any] = {"__name__": "wide"}
    exec(example, names)
    network = names["WideClassifier"](width=16).network
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
