"""Lays a `conf/` in the working directory over the package's own. Hydra imports this at starts."""

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class ConfHere(SearchPathPlugin):
    """Has Hydra look into `conf/` in the working directory first, for this project only."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        here = Path("conf").absolute()
        for each in list(search_path.get_path()):
            folder = Path(each.path.removeprefix("file://"))
            is_ours = (
                each.provider == "main" and (folder / "hydra/job_logging/digits.yaml").exists()
            )
            if is_ours and here.is_dir() and not here.samefile(folder):
                search_path.prepend("working-directory", f"file://{here}", anchor="main")
