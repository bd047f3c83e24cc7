"""What pyproject.toml cannot say: the wheel takes conf/, which stays beside train.py, along."""

import shutil

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConf(build_py):
    """Build the package with a copy of conf/ in it."""

    def run(self):
        super().run()
        if not self.editable_mode:  # which finds conf/ where it is
            folder = f"{self.build_lib}/digits/conf"
            shutil.rmtree(folder, ignore_errors=True)  # of an earlier build
            shutil.copytree("conf", folder, ignore=shutil.ignore_patterns("local"))


setup(cmdclass={"build_py": BuildWithConf})
