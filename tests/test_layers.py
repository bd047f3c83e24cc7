"""Which file may import what: torch code stands alone, and Hydra stays at the rim."""

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
SRC = REPO / "src"
FILES = sorted(SRC.rglob("*.py"))

HYDRA_MAY_BE_IN = [
    "digits/config/*.py",
    *("digits/sweeps/follow.py", "digits/sweeps/grid.py"),
    "hydra_plugins/digits_optuna/*.py",
    *(
        f"digits/search/{name}.py"
        for name in ("best", "outcome", "plan", "search", "searchable", "space", "trial", "results")
    ),
    *(
        f"digits/training/{name}.py"
        for name in ("build", "run", "report", "resume", "processes", "tensorboard")
    ),
]
PURE = [
    *("digits/data/*.py", "digits/augmentation/*.py", "digits/*.py"),
    "digits/ensembles/average.py",
    *(
        f"digits/models/{name}.py"
        for name in ("convnet", "max_norm", "mlp", "noisy_mlp", "options", "weight_decay")
    ),
]
LIGHTNING_MAY_BE_IN = [
    "digits/data/datamodule.py",
    *(f"digits/{name}.py" for name in ("artifact", "heavy", "recorded")),
]


def imports(path: Path) -> set[str]:
    """The modules that a file imports, also within functions and for types only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            assert node.module
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def reach(path: Path) -> set[str]:
    """The packages that a file imports, itself or through others of this project."""
    seen, todo, found = set(), [path], set()
    while todo:
        file = todo.pop()
        seen.add(file)
        found |= packages(file)
        for name in imports(file):
            module = SRC / name.replace(".", "/")
            todo += {
                each
                for each in (module.with_suffix(".py"), module / "__init__.py")
                if each.exists() and each not in seen
            }
    return found


def matches(path: Path, patterns: list[str]) -> bool:
    return any(path.relative_to(SRC).match(pattern) for pattern in patterns)


def name(path: Path) -> str:
    return str(path.relative_to(SRC))


def test_there_are_files_to_look_at() -> None:
    assert len(FILES) > 20
    assert all(any(matches(path, [pattern]) for path in FILES) for pattern in PURE)


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if matches(path, PURE) and not matches(path, LIGHTNING_MAY_BE_IN)],
    ids=name,
)
def test_pure_code_imports_neither_lightning_nor_hydra(path: Path) -> None:
    assert not packages(path) & {"pytorch_lightning", "lightning", "hydra", "omegaconf"}


@pytest.mark.parametrize(
    "path",
    [
        SRC / "digits" / f"{name}.py"
        for name in ("models/mlp", "data/mnist", "data/statistics", "randomness", "statistics")
    ],
    ids=name,
)
def test_pure_code_does_not_import_them_through_other_files_either(path: Path) -> None:
    assert not reach(path) & {"pytorch_lightning", "lightning", "hydra", "omegaconf"}


@pytest.mark.parametrize(
    "path", [path for path in FILES if not matches(path, HYDRA_MAY_BE_IN)], ids=name
)
def test_hydra_is_imported_at_the_rim_only(path: Path) -> None:
    assert not packages(path) & {"hydra", "omegaconf"}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_imports_the_entry_script(path: Path) -> None:
    assert "train" not in packages(path)


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.is_relative_to(SRC / "digits" / "data")], ids=name
)
def test_the_data_know_nothing_of_models_or_training(path: Path) -> None:
    above = ("digits.models", "digits.training", "digits.config", "digits.artifact")
    assert not [module for module in imports(path) if module.startswith(above)]


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.is_relative_to(SRC / "digits" / "models")], ids=name
)
def test_models_know_nothing_of_the_run_around_them(path: Path) -> None:
    above = ("digits.training", "digits.config", "digits.artifact")
    assert not [module for module in imports(path) if module.startswith(above)]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_file_is_named_after_nothing(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "common", "base", "misc"}
    assert path.parent.name not in {"utils", "helpers", "common"}
