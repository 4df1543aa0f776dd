from __future__ import annotations

import pytest

from ccinspect.analyser.sources import Activity, ToolRef, call_facts, tool_ref
from ccinspect.wire.model import ToolCall


@pytest.mark.parametrize(
    ("name", "server", "ref", "source"),
    [
        ("Read", None, ToolRef("Read"), "tool:Read"),
        ("mcp__github__get_issue", None, ToolRef("get_issue", "github"), "mcp:github/get_issue"),
        ("mcp__a__b__c", None, ToolRef("b__c", "a"), "mcp:a/b__c"),
        ("mcp_linear_list", None, ToolRef("list", "linear"), "mcp:linear/list"),
        ("use_mcp_tool", None, ToolRef("use_mcp_tool"), "tool:use_mcp_tool"),
        ("ask", "docs", ToolRef("ask", "docs"), "mcp:docs/ask"),
        ("mcp__", None, ToolRef("mcp__"), "tool:mcp__"),
        ("", None, ToolRef(""), "tool:"),
    ],
)
def test_tools_and_their_servers(name, server, ref, source):
    assert tool_ref(name, server) == ref
    assert ref.source == source


@pytest.mark.parametrize(
    ("script", "source", "file"),
    [
        ('text(await tools.exec_command({"cmd": "cat src/a.py", "workdir": "/x"}));', "bash:cat", "src/a.py"),
        ("const r = await tools.exec_command({ cmd: 'git status' })", "bash:git", None),
        ("await tools.exec_command({cmd: `rg \\`x\\``})", "bash:rg", None),
        ('await tools.exec_command({cmd: "grep \\"a b\\"", tty: true})', "bash:grep", None),
        ('await tools.mcp__sky__weather({city: "Bonn"}); await tools.exec_command({})', "mcp:sky/weather", None),
        ("await tools.exec_command(command)", "tool:exec_command", None),
        ("await tools.clock__curr_time({})", "tool:clock__curr_time", None),
        ("for (", "tool:functions.exec", None),
        ('tools.exec_command({cmd: "' + "x" * 20_000, "tool:exec_command", None),
    ],
)
def test_a_script_is_what_it_calls_first(script, source, file):
    """Codex runs its tools from JavaScript; the tool that the model called stays `exec`."""
    facts = call_facts(ToolCall(id="1", name="exec", arguments=script, server="functions", kind="custom"))
    assert (facts.source, facts.file) == (source, file)
    assert facts.tool == ToolRef("functions.exec")


@pytest.mark.parametrize(
    ("server", "ref"),
    [
        ("mcp__github", ToolRef("ask", "github")),
        ("mcp__github__", ToolRef("ask", "github")),
        ("mcp__my__docs__", ToolRef("ask", "my__docs")),
        ("collaboration", ToolRef("collaboration.ask")),
        ("mcp__", ToolRef("mcp__.ask")),
    ],
)
def test_a_namespace_is_a_server_only_when_it_is_called_one(server, ref):
    assert tool_ref("ask", server, "function") == tool_ref("ask", server, "custom") == ref
    assert tool_ref("ask", server, "mcp") == ToolRef("ask", server)


def facts(name, **arguments):
    return call_facts(ToolCall(id="1", name=name, arguments=arguments))


@pytest.mark.parametrize(
    ("name", "arguments", "source", "activity", "file"),
    [
        ("Read", {"file_path": "/a.py"}, "tool:Read", "read", "/a.py"),
        ("read_file", {"absolute_path": "/a.py"}, "tool:read_file", "read", "/a.py"),
        ("Edit", {"file_path": "/a.py", "old_string": "x"}, "tool:Edit", "edit", "/a.py"),
        ("Grep", {"pattern": "x", "path": "/src"}, "tool:Grep", "search", "/src"),
        ("WebFetch", {"url": "https://example.com"}, "tool:WebFetch", "web", None),
        ("Task", {"prompt": "look"}, "tool:Task", "orchestration", None),
        ("TodoWrite", {"todos": []}, "tool:TodoWrite", "orchestration", None),
        ("mcp__github__get_issue", {"path": "x"}, "mcp:github/get_issue", "mcp", "x"),
        ("use_mcp_tool", {"server_name": "db", "tool_name": "query"}, "mcp:db/query", "mcp", None),
        ("Bash", {"command": "cd /x && git diff"}, "bash:git", "vcs", None),
        ("Bash", {"command": "cat src/a.py"}, "bash:cat", "read", "src/a.py"),
        ("Bash", {"command": "sed -n 1,40p src/a.py"}, "bash:sed", "read", "src/a.py"),
        ("Bash", {"command": "sed -i s/a/b/ src/a.py"}, "bash:sed", "edit", None),
        ("Bash", {"command": "cat a.py b.py"}, "bash:cat", "read", None),
        ("Bash", {"command": "rg foo | wc -l"}, "bash:rg", "search", None),
        ("Bash", {"command": "python -m pytest -q"}, "bash:python", "test", None),
        ("Bash", {"command": "npm run test:unit"}, "bash:npm", "test", None),
        ("Bash", {"command": "cargo test"}, "bash:cargo", "test", None),
        ("Bash", {"command": "cargo build"}, "bash:cargo", "command", None),
        ("Bash", {"command": "curl -s http://127.0.0.1"}, "bash:curl", "web", None),
        ("Bash", {"command": ""}, "tool:Bash", "command", None),
        ("shell", {"command": ["bash", "-lc", "git log"]}, "bash:git", "vcs", None),
        ("exec_command", {"cmd": "ls -la"}, "bash:ls", "read", None),
        ("local_shell", {"action": {"command": ["pytest"]}}, "bash:pytest", "test", None),
        ("run_shell_command", {"command": "ls"}, "bash:ls", "read", None),
        ("something_new", {"path": 5}, "tool:something_new", "other", None),
    ],
)
def test_what_a_call_says_of_itself(name, arguments, source, activity, file):
    found = facts(name, **arguments)
    assert (found.source, found.activity, found.file) == (source, Activity(activity), file)


def test_a_patch_names_its_file():
    patch = "*** Begin Patch\n*** Update File: src/a.py\n@@\n-x\n+y\n*** End Patch"
    assert call_facts(ToolCall(id="1", name="apply_patch", arguments=patch)).file == "src/a.py"
    assert facts("apply_patch", input=patch).file == "src/a.py"


def test_broken_arguments_are_no_trouble():
    assert call_facts(ToolCall(id="1", name="Read", arguments='{"file_pa')).source == "tool:Read"
    assert call_facts(ToolCall(id="1", name="Bash", arguments="git status")).source == "bash:git"
