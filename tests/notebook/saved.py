"""A saved notebook's figures on a page without Python: what Jupyter's own viewers do, in a few lines."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from cutaway.notebook import Figure

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>saved</title>
<style>body { margin: 8px; background: white; font: 13px/1 serif } dt { float: left } p { color: red; margin: 40px }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } }</style></head>
<body><main></main><script type="module">
const models = %s;
for (const { state, buffers } of models) {
  const values = { ...state };
  for (const { path, data } of buffers) {
    values[path[0]] = new DataView(Uint8Array.from(atob(data), (c) => c.charCodeAt(0)).buffer);
  }
  const module = await import(URL.createObjectURL(new Blob([state._esm], { type: 'text/javascript' })));
  const el = document.querySelector('main').appendChild(document.createElement('div'));
  el.dataset.kind = state.kind;
  module.default.render({ model: { get: (name) => values[name], on() {}, off() {}, send() {} }, el });
}
document.body.dataset.done = '1';
</script></body></html>"""


def notebook_of(figures: list[Figure]) -> dict[str, Any]:
    """Return the metadata that Jupyter saves with a notebook that shows these figures."""
    from ipywidgets.embed import dependency_state, embed_data

    views = [figure.widget for figure in figures]
    state = embed_data(views, state=dependency_state(views))["manager_state"]
    return {"widgets": {WIDGET_STATE: json.loads(json.dumps(state, allow_nan=False))}}


def page_of(metadata: dict[str, Any], path: Path) -> str:
    """Write a page that shows a notebook's saved figures; return its address."""
    models = []
    for model in metadata["widgets"][WIDGET_STATE]["state"].values():
        if model["model_module"] == "anywidget":
            data = base64.b64decode(model["buffers"][0]["data"])
            header = json.loads(data[8 : 8 + int.from_bytes(data[4:8], "little")])
            state = model["state"] | {"kind": header["meta"]["kind"]}
            models.append({"state": state, "buffers": model["buffers"]})
    path.write_text(PAGE % json.dumps(models).replace("</", "<\\/"), encoding="utf-8")
    return path.as_uri()
