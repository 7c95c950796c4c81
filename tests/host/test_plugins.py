"""The plugin host: what is found, what is refused and why, and what is chosen."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from ralnode.api import PluginError
from ralnode.host import plugin_dirs
from ralnode.host.choose import Chosen, check_tables, choose
from ralnode.host.config import Config
from ralnode.host.node_options import NodeOptions, UseOptions
from ralnode.host.plugin_find import Where
from ralnode.host.plugins import PluginSet, load

HEAD = "from dataclasses import dataclass\nfrom ralnode.api import Provider, hookimpl, NoOptions\n"


def planner(name: str = "mine", extra: str = "") -> str:
    provider = f"Provider({name!r}, lambda context, options: None, summary='a test')"
    return f"{HEAD}@hookimpl\ndef provide_planner():\n    return {provider}\n{extra}\n"


@pytest.fixture
def drop_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An own drop-in directory, no others; what it put into the interpreter is taken out again."""
    monkeypatch.setattr(plugin_dirs, "SYSTEM_DIR", tmp_path / "none")
    before, modules = list(sys.path), set(sys.modules)
    directory = tmp_path / "plugins"
    directory.mkdir(mode=0o755)
    yield directory
    sys.path[:] = before
    for name in set(sys.modules) - modules:
        if name.startswith("ralnode_t_"):
            del sys.modules[name]


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / f"ralnode_t_{name}.py"
    path.write_text(text)
    path.chmod(0o644)
    return path


def load_from(*directories: Path, **environ: str) -> PluginSet:
    """Ours stay out, so that the tests do not depend on them."""
    return load(Where({"HOME": "/nonexistent", **environ}, directories), builtin=False)


def reason(found: PluginSet, name: str) -> str:
    return next(each.reason for each in found.refused if each.name == name)


def chosen_by(found: PluginSet, **use: object) -> Chosen:
    return choose(found, Config(NodeOptions(), UseOptions(**use)))  # type: ignore[arg-type]


# --- finding ------------------------------------------------------------------------------------------------------------


def test_a_single_file_is_a_plugin(drop_in: Path) -> None:
    path = write(drop_in, "one", planner("mine"))
    found = load_from(drop_in)
    assert found.refused == []
    (row,) = found.rows()
    assert (row.name, row.origin, row.role, row.providers, row.summary) == (
        "t_one",
        str(path),
        "planner",
        ("mine",),
        "a test",
    )
    assert not row.active
    assert found.rows(frozenset({("planner", "mine")}))[0].active


def test_directories_come_from_flag_variable_machine_and_user(tmp_path: Path) -> None:
    environ = {"RALNODE_PLUGINS_DIR": f"/b{os.pathsep}/c", "XDG_CONFIG_HOME": str(tmp_path), "HOME": "/h"}
    named = plugin_dirs.directories(environ, [Path("/a"), Path("/b")])
    assert [str(path) for path, _origin in named] == [
        "/a",
        "/b",
        "/c",
        "/etc/ralnode/plugins",
        f"{tmp_path}/ralnode/plugins",
    ]


def test_a_directory_that_was_named_must_be_there_but_a_default_need_not(tmp_path: Path, drop_in: Path) -> None:
    found = load_from(tmp_path / "no")
    assert [(each.name, each.reason) for each in found.refused] == [
        ("no", "--plugins-dir names it, but there is no such directory")
    ]


def test_a_distribution_installed_with_target_is_found_by_its_entry_point(drop_in: Path) -> None:
    package = drop_in / "ralnode_t_dist"
    package.mkdir()
    (package / "__init__.py").write_text(planner("installed"))
    info = drop_in / "ralnode_t_dist-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ralnode-t-dist\nVersion: 2.5\n")
    (info / "entry_points.txt").write_text("[ralnode.plugins]\nplanner_installed = ralnode_t_dist\n")
    found = load_from(drop_in)
    assert found.refused == []
    (row,) = found.rows()
    assert (row.name, row.version, row.origin) == ("planner_installed", "2.5", f"ralnode-t-dist in {drop_in}")


def test_our_own_plugins_are_found_as_built_in(drop_in: Path) -> None:
    found = load(Where({"HOME": "/nonexistent"}))
    names = {each.name for each in found.plugins} | {each.name for each in found.refused}
    assert {"storage_sqlite", "transport_http", "gossip_swim", "planner_rendezvous", "ui_web"} <= names
    assert {each.origin for each in found.plugins} | {each.origin for each in found.refused} == {"built in"}


def test_drop_in_directories_are_appended_so_that_the_bundle_wins(drop_in: Path) -> None:
    before = list(sys.path)
    (drop_in / "json.py").write_text("raise RuntimeError('shadowed the standard library')\n")
    write(drop_in, "shadow", "import json\njson.dumps(1)\n" + planner())
    assert load_from(drop_in).refused == []
    assert sys.path == [*before, str(drop_in)]


def test_a_folder_without_an_entry_point_is_named_rather_than_passed_over(drop_in: Path) -> None:
    (drop_in / "ralnode_t_folder").mkdir()
    (drop_in / "ralnode_t_folder" / "__init__.py").write_text(planner())
    assert "found by its entry point only" in reason(load_from(drop_in), "t_folder")


def test_the_variable_loads_exactly_what_it_names(drop_in: Path) -> None:
    for name in ("a", "b", "c"):
        write(drop_in, name, planner(name))
    found = load_from(drop_in, RALNODE_PLUGINS="t_a, ralnode_t_c")
    assert [each.name for each in found.plugins] == ["t_a", "t_c"]
    assert load_from(drop_in, RALNODE_PLUGINS="").plugins == []
    assert load_from(drop_in, RALNODE_PLUGINS="").missing == ()


def test_a_name_in_the_variable_that_is_not_there_stops_the_start_with_a_suggestion(drop_in: Path) -> None:
    write(drop_in, "alpha", planner())
    found = load_from(drop_in, RALNODE_PLUGINS="t_alpa")
    with pytest.raises(PluginError, match="t_alpa: there is no such plugin; did you mean 't_alpha'"):
        chosen_by(found)


# --- refusing -----------------------------------------------------------------------------------------------------------

BROKEN = {
    "syntax": ("def (:\n", "cannot be imported: SyntaxError"),
    "import": ("import ralnode_no_such_thing\n", "cannot be imported: ModuleNotFoundError"),
    "exits": ("import sys\nsys.exit(3)\n", "cannot be imported: SystemExit: 3"),
    "generator_exit": ("raise GeneratorExit\n", "cannot be imported: GeneratorExit"),
    "empty": ("x = 1\n", "it has no hook; put @hookimpl before a function such as provide_planner()"),
    "unmarked": ("def provide_storage(): pass\n", "put @hookimpl before a function such as provide_storage()"),
    "typo": (
        HEAD + "@hookimpl\ndef provide_planer(): pass\n",
        "no hook 'provide_planer'; did you mean 'provide_planner'",
    ),
    "argument": (HEAD + "@hookimpl\ndef provide_planner(view): pass\n", "are declared in the hookimpl but"),
    "raises": (HEAD + "@hookimpl\ndef provide_planner(): 1 / 0\n", "provide_planner() failed: ZeroDivisionError"),
    "exits_late": (
        HEAD + "@hookimpl\ndef provide_planner(): raise SystemExit\n",
        "provide_planner() failed: SystemExit",
    ),
    "type": (HEAD + "@hookimpl\ndef provide_planner(): return 'x'\n", "returned a str, not a Provider or None"),
    "list": (HEAD + "@hookimpl\ndef provide_planner(): return []\n", "returned a list, not a Provider or None"),
    "async": (HEAD + "@hookimpl\nasync def provide_planner(): pass\n", "returned a coroutine, not a Provider"),
    "nameless": (HEAD + "@hookimpl\ndef provide_planner(): return Provider('', print)\n", "gave the name ''"),
    "capital": (HEAD + "@hookimpl\ndef provide_planner(): return Provider('A b', print)\n", "gave the name 'A b'"),
    "number": (HEAD + "@hookimpl\ndef provide_planner(): return Provider(1, print)\n", "gave the name 1"),
    "build": (HEAD + "@hookimpl\ndef provide_planner(): return Provider('x', 3)\n", "a build that cannot be called: 3"),
    "plain": (
        HEAD + "@hookimpl\ndef provide_planner(): return Provider('x', print, dict)\n",
        "options that are no dataclass",
    ),
    "thawed": (
        HEAD
        + "@dataclass\nclass O:\n    a: int = 1\n@hookimpl\ndef provide_planner(): return Provider('x', print, O)\n",
        "options that are not frozen",
    ),
    "demanding": (
        HEAD
        + "@dataclass(frozen=True)\nclass O:\n    a: int\n@hookimpl\ndef provide_planner(): return Provider('x', print, O)\n",
        "the option 'a' of O has no default",
    ),
    "wrapper": (HEAD + "@hookimpl(wrapper=True)\ndef provide_planner():\n    yield\n", "is a hook wrapper"),
}


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_refused_by_name_and_the_others_live(drop_in: Path, kind: str) -> None:
    text, message = BROKEN[kind]
    bad = write(drop_in, kind, text)
    write(drop_in, "aa_good", planner("good_one"))
    write(drop_in, "zz_good", planner("good_two"))
    found = load_from(drop_in)
    (refused,) = found.refused
    assert (refused.name, refused.origin) == (f"t_{kind}", str(bad))
    assert message in refused.reason
    assert [each.provider.name for each in found.of_role("planner")] == ["good_one", "good_two"]


def test_ctrl_c_during_loading_is_not_swallowed(drop_in: Path) -> None:
    write(drop_in, "interrupted", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_from(drop_in)


def test_a_plugin_that_offers_nothing_on_this_platform_is_loaded_without_a_role(drop_in: Path) -> None:
    write(drop_in, "other_os", HEAD + "@hookimpl\ndef provide_planner(): return None\n")
    found = load_from(drop_in)
    assert [(row.name, row.role, row.providers) for row in found.rows()] == [("t_other_os", "", ())]
    assert found.refused == []


def test_nothing_of_a_plugin_stays_when_one_of_its_hooks_is_broken(drop_in: Path) -> None:
    write(drop_in, "half", planner("fine", "@hookimpl\ndef provide_ui(): return 3"))
    found = load_from(drop_in)
    assert found.offers == []
    assert "provide_ui() returned an int" in reason(found, "t_half")


def test_two_providers_of_one_name_are_told_apart_by_refusing_the_later(drop_in: Path) -> None:
    first = write(drop_in, "a", planner("same"))
    write(drop_in, "b", planner("same"))
    found = load_from(drop_in)
    assert [each.plugin for each in found.offers] == ["t_a"]
    assert reason(found, "t_b") == (
        f"its planner is called 'same', as that of t_a ({first}); give one of them another name"
    )


def test_one_plugin_may_play_several_roles(drop_in: Path) -> None:
    extra = "@hookimpl\ndef provide_gateway():\n    return Provider('mine', lambda c, o: None)"
    write(drop_in, "two", planner("mine", extra))
    assert [(row.role, row.providers) for row in load_from(drop_in).rows()] == [
        ("planner", ("mine",)),
        ("gateway", ("mine",)),
    ]


def test_the_same_file_name_in_two_directories_is_refused(tmp_path: Path, drop_in: Path) -> None:
    second = tmp_path / "second"
    second.mkdir(mode=0o755)
    first = write(drop_in, "twin", planner("one"))
    write(second, "twin", planner("two"))
    found = load_from(drop_in, second)
    assert [each.provider.name for each in found.offers] == ["one"]
    assert f"a module named ralnode_t_twin is there already ({first})" in reason(found, "t_twin")


UNSAFE = [("directory", 0o777), ("directory", 0o775), ("file", 0o666), ("file", 0o664)]


@pytest.mark.parametrize(("what", "mode"), UNSAFE)
def test_what_others_may_write_is_refused_since_it_is_code(drop_in: Path, what: str, mode: int) -> None:
    bad = write(drop_in, "open", planner("open"))
    write(drop_in, "shut", planner("shut"))
    (drop_in if what == "directory" else bad).chmod(mode)
    found = load_from(drop_in)
    (refused,) = found.refused
    assert f"mode 0{mode:o}" in refused.reason
    assert f"chmod go-w {drop_in if what == 'directory' else bad}" in refused.reason
    assert [each.provider.name for each in found.offers] == ([] if what == "directory" else ["shut"])
    assert (str(drop_in) in sys.path) == (what == "file")


def test_a_module_that_others_may_write_spoils_its_directory(drop_in: Path) -> None:
    write(drop_in, "user", planner())
    (drop_in / "helper").mkdir()
    (drop_in / "helper" / "inner.py").write_text("")
    (drop_in / "helper" / "inner.py").chmod(0o666)
    found = load_from(drop_in)
    assert found.offers == []
    assert "inner.py" in found.refused[0].reason


def test_a_directory_below_one_that_others_may_rename_is_refused(tmp_path: Path, drop_in: Path) -> None:
    inner = tmp_path / "open" / "plugins"
    inner.mkdir(parents=True, mode=0o755)
    inner.parent.chmod(0o777)
    write(inner, "x", planner())
    assert f"others may write {inner.parent}" in load_from(inner).refused[0].reason
    inner.parent.chmod(0o1777)  # sticky, as /tmp: what is ours cannot be renamed by others
    assert load_from(inner).refused == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_file_of_another_user_is_refused(drop_in: Path) -> None:
    os.chown(write(drop_in, "theirs", planner()), 12345, 12345)
    assert "belongs to another user (uid 12345)" in reason(load_from(drop_in), "t_theirs")


def test_a_link_to_nothing_is_refused(drop_in: Path) -> None:
    (drop_in / "ralnode_t_gone.py").symlink_to(drop_in / "nothing.py")
    found = load_from(drop_in)
    assert found.offers == []


def test_too_large_a_directory_is_refused_rather_than_searched(drop_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_dirs, "ENTRIES_MAX", 3)
    for number in range(5):
        (drop_in / f"x{number}.py").write_text("")
    assert "more than 3 files" in load_from(drop_in).refused[0].reason


# --- choosing -----------------------------------------------------------------------------------------------------------


def test_with_two_planners_and_no_choice_the_node_refuses_to_guess(drop_in: Path) -> None:
    one, two = write(drop_in, "one", planner("first")), write(drop_in, "two", planner("second"))
    found = load_from(drop_in)
    with pytest.raises(PluginError) as caught:
        chosen_by(found)
    assert all(word in str(caught.value) for word in ("'first'", "'second'", str(one), str(two), "[use] planner"))
    assert chosen_by(found, planner="second").one("planner").provider.name == "second"


def test_a_single_planner_needs_no_choice_and_the_default_wins_among_several(drop_in: Path) -> None:
    write(drop_in, "one", planner("first"))
    assert chosen_by(load_from(drop_in)).one("planner").provider.name == "first"
    write(drop_in, "two", planner("rendezvous"))
    assert chosen_by(load_from(drop_in)).one("planner").provider.name == "rendezvous"


def test_a_name_that_nobody_provides_is_refused_with_a_suggestion(drop_in: Path) -> None:
    write(drop_in, "one", planner("scarce"))
    with pytest.raises(PluginError, match="there is no such planner; did you mean 'scarce'"):
        chosen_by(load_from(drop_in), planner="scarse")


def test_lists_take_what_they_name_and_defaults_otherwise(drop_in: Path) -> None:
    for name in ("static", "mdns", "carrier_pigeon"):
        hook = planner(name).replace("provide_planner", "provide_discovery")
        write(drop_in, name, hook)
    found = load_from(drop_in)
    assert [each.provider.name for each in chosen_by(found).by_role["discovery"]] == ["static", "mdns"]
    pigeons = chosen_by(found, discovery=("carrier_pigeon",))
    assert [each.provider.name for each in pigeons.by_role["discovery"]] == ["carrier_pigeon"]
    assert chosen_by(found, discovery=()).by_role["discovery"] == ()
    assert ("discovery", "carrier_pigeon") in pigeons.active


def test_a_role_that_nobody_plays_says_what_the_node_cannot_do(drop_in: Path) -> None:
    write(drop_in, "one", planner("first"))
    chosen = chosen_by(load_from(drop_in))
    assert "storage" in chosen.lacking
    with pytest.raises(PluginError, match="no plugin provides a storage: it cannot store or serve blocks"):
        chosen.one("storage")


def test_a_table_for_a_provider_that_is_not_there_is_a_typo(drop_in: Path) -> None:
    write(drop_in, "one", planner("scarce"))
    config = Config(NodeOptions(), UseOptions(), {"planner": {"scarse": {}}}, path=Path("f.toml"))
    with pytest.raises(PluginError, match=r"\[planner.scarse\] in f.toml: there is no planner 'scarse'; did you mean"):
        check_tables(load_from(drop_in), config)
    assert len(check_tables(load_from(drop_in, RALNODE_PLUGINS="t_one"), config)) == 1


# --- commands -----------------------------------------------------------------------------------------------------------


def test_plugins_add_words_to_the_command_line_and_one_that_fails_is_refused(drop_in: Path) -> None:
    write(drop_in, "words", HEAD + "@hookimpl\ndef register_commands(app):\n    app.command('hello')(lambda: None)\n")
    write(drop_in, "fails", HEAD + "@hookimpl\ndef register_commands(app):\n    raise RuntimeError('no')\n")
    found, app = load_from(drop_in), typer.Typer()
    assert [each.name for each in found.register_commands(app)] == ["t_fails"]
    assert [command.name for command in app.registered_commands] == ["hello"]


def test_two_loads_share_nothing(drop_in: Path) -> None:
    write(drop_in, "one", planner("first"))
    one, two = load_from(drop_in), load_from(drop_in)
    two.offers.clear()
    assert len(one.offers) == 1


def test_a_plugin_that_ends_the_interpreter_at_import_does_not_end_the_command(drop_in: Path) -> None:
    """In a process of its own, since that is what the plugin tries to end."""
    write(drop_in, "exits", "import sys\nsys.exit(3)\n")
    code = (
        "from pathlib import Path\nfrom ralnode.host.plugins import load\nfrom ralnode.host.plugin_find import Where\n"
        f"print(load(Where({{}}, (Path({str(drop_in)!r}),)), builtin=False).refused[0].name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "t_exits"), done.stderr
