"""A kind of task that plgg does not know: the example of docs/tasks.md, in a module of its own."""

import importlib.util
import re
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs" / "tasks.md"


def _loaded():
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "my_package.py"
        path.write_text(code, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("my_package", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


Count = _loaded().Count
