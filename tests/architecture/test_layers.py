"""The shape of the code, held by tests: layers, laziness, one place for SQL, one door for untrusted text."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*ROOT.glob("claif_tui/**/*.py"), *ROOT.glob("engine/**/*.py")])
HEAVY = (
    "torch",
    "transformers",
    "numpy",
    "openai",
    "litellm",
    "textual",
    "rich",
    "aiohttp",
    "pydantic",
    "scipy",
)


def loaded_by(code: str) -> set[str]:
    """Run ``code`` in a fresh interpreter; return the top-level packages it loaded."""
    script = f"import sys\n{code}\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.split("\n")[-2].split())


def name(path: Path) -> str:
    """Return the path of a source file below the project's root."""
    return str(path.relative_to(ROOT))


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield every module that a tree imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_help_loads_nothing_heavy() -> None:
    code = (
        "sys.argv = ['claif-tui', '--help']\n"
        "from claif_tui.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )
    assert not loaded_by(code) & set(HEAVY)


@pytest.mark.parametrize(
    "module", ["claif_tui.core.pipeline", "claif_tui.core.store.store", "claif_tui.core.recipes"]
)
def test_core_loads_no_interface_and_no_torch(module: str) -> None:
    assert not loaded_by(f"import {module}") & {"textual", "rich", "torch", "transformers", "click", "litellm"}


def test_the_torch_free_modules_of_the_engine_are_torch_free() -> None:
    present = [
        m
        for m in ("config", "events", "rundir", "stats", "tasks", "errors")
        if (ROOT / f"engine/{m}.py").exists()
    ]
    assert "stats" in present
    for module in present:
        assert not loaded_by(f"import engine.{module}") & {"torch", "transformers", "numpy", "scipy"}


def reached_from(start: str) -> dict[str, str]:
    """Every module of the engine that ``start`` imports, at any remove and wherever the import stands, with by whom."""
    modules = {name(path)[:-3].replace("/", "."): path for path in SOURCES if name(path).startswith("engine/")}
    found, waiting = {start: ""}, [start]
    while waiting:
        one = waiting.pop()
        tree = ast.parse(modules[one].read_text("utf8"))
        below = {
            f"{node.module}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        for other in {*imports(tree), *below} & modules.keys() - found.keys():
            found[other] = one
            waiting.append(other)
    return found


def test_training_cannot_reach_a_reader_of_test_splits() -> None:
    readers = {f"engine.evaluate.{one}" for one in ("data", "sts", "transfer", "check")}
    for start in ("engine.trainer", "engine.selection", "engine.data"):
        found = reached_from(start)
        assert not readers & found.keys(), f"{start} reaches {readers & found.keys()}: {found}"
    assert "engine.evaluate.dev" in reached_from("engine.trainer")
    assert readers <= reached_from("engine.evaluating").keys() | {"engine.evaluate.check"}


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_layer_rules(path: Path) -> None:
    where = name(path)
    found = set(imports(ast.parse(path.read_text("utf8"))))
    allowed_engine = {f"engine.{m}" for m in ("config", "events", "rundir", "stats", "tasks", "errors")}
    if where.startswith("claif_tui/core/"):
        assert not {
            m for m in found if m.split(".")[0] in {"textual", "rich", "torch", "transformers", "click"}
        }
        assert not {m for m in found if m.startswith(("claif_tui.cli", "claif_tui.ui"))}
    if where.startswith("claif_tui/"):
        assert not {m for m in found if m.split(".")[0] == "engine"} - allowed_engine
    if where.startswith("claif_tui/cli/"):
        assert not {m for m in found if m.startswith(("claif_tui.ui", "textual"))}
    if where.startswith("claif_tui/ui/"):
        assert not {m for m in found if m.startswith("claif_tui.cli") or m.split(".")[0] == "sqlite3"}
    if where.startswith("engine/"):
        assert not {
            m for m in found if m.split(".")[0] in {"claif_tui", "textual", "rich", "sqlite3", "sqlite_utils"}
        }


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_every_module_says_why_it_exists_and_stays_small(path: Path) -> None:
    text = path.read_text("utf8")
    assert ast.get_docstring(ast.parse(text)), "a module opens with one line on why it exists"
    assert text.count("\n") <= 500, "split it: no module over 500 lines"


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name == "__init__.py"], ids=name)
def test_package_roots_are_empty(path: Path) -> None:
    body = ast.parse(path.read_text("utf8")).body
    assert not [n for n in body if isinstance(n, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)]


_SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|PRAGMA\s+\w+)\b", re.S
)


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_all_sql_lives_in_the_store(path: Path) -> None:
    if name(path).startswith("claif_tui/core/store/"):
        return
    tree = ast.parse(path.read_text("utf8"))
    strings = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    assert not [text for text in strings if _SQL.search(text)]


def _is_thread_worker(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(
        isinstance(d, ast.Call)
        and isinstance(d.func, ast.Name)
        and d.func.id == "work"
        and any(k.arg == "thread" and isinstance(k.value, ast.Constant) and k.value.value for k in d.keywords)
        for d in node.decorator_list
    )


@pytest.mark.parametrize("path", [p for p in SOURCES if name(p).startswith("claif_tui/ui/")], ids=name)
def test_interface_habits(path: Path) -> None:
    text = path.read_text("utf8")
    tree = ast.parse(text)
    assert not re.search(r"import .*\bescape\b", text), "escape() does not make text safe: use ui.safe"
    if path.name != "safe.py":
        assert "Content.from_markup(f" not in text
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for d in node.decorator_list:
                if isinstance(d, ast.Call) and isinstance(d.func, ast.Name) and d.func.id == "work":
                    given = {k.arg for k in d.keywords}
                    assert {"group", "exit_on_error"} <= given, (
                        f"{node.name}: a worker names its group and owns its errors"
                    )
        if isinstance(node, ast.FunctionDef) and _is_thread_worker(node):
            touched = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
            assert not touched & {"query_one", "mount", "push_screen", "refresh"}, (
                f"{node.name}: workers never touch widgets"
            )
