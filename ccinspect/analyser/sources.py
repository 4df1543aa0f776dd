"""Who put a block into the context: `system`, `user`, `assistant`, `reasoning`, `tool:NAME`, `mcp:SERVER/TOOL`,
`bash:PROGRAM`; and what for: the activity."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from ccinspect.analyser.scripts import first_call
from ccinspect.analyser.shell import Command, main_command
from ccinspect.wire.jsontext import as_list, as_text
from ccinspect.wire.model import JsonObject, ToolCall


class Activity(StrEnum):
    READ = "read"
    SEARCH = "search"
    EDIT = "edit"
    VCS = "vcs"
    TEST = "test"
    COMMAND = "command"
    WEB = "web"
    ORCHESTRATION = "orchestration"
    MCP = "mcp"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ToolRef:
    """A tool, and the MCP server that offers it."""

    name: str
    server: str | None = None

    @property
    def source(self) -> str:
        return f"mcp:{self.server}/{self.name}" if self.server else f"tool:{self.name}"


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What a tool call says of itself, and of its result."""

    tool: ToolRef
    source: str
    activity: Activity
    file: str | None = None


_MCP_NAME = re.compile(r"mcp__(.{1,100}?)__(.{1,200})|mcp[._](?!tool)([A-Za-z0-9-]{1,100})[._](.{1,200})", re.DOTALL)
_MCP_NAMESPACE = re.compile(r"mcp__(.{1,200}?)(?:__)?", re.DOTALL)
_OF_THE_CLIENT = ("function", "custom")
_LONGEST_NAME = 200


def tool_ref(name: str, server: str | None = None, kind: str = "") -> ToolRef:
    """Take an MCP tool's name apart: `mcp__github__get_issue`, `mcp_github_get_issue`, or one with its server apart.

    `kind` is the tool's on the wire: functions can stand in a namespace. That of an MCP server is called `mcp__github`
    (Codex); others are the agent's own way to group its tools.
    """
    name = name[:_LONGEST_NAME]
    match = _MCP_NAME.fullmatch(name)
    if match:
        return ToolRef(match[2] or match[4], match[1] or match[3])
    server = server[:_LONGEST_NAME] if server else None
    if server and kind in _OF_THE_CLIENT:
        namespace = _MCP_NAMESPACE.fullmatch(server)
        return ToolRef(name, namespace[1]) if namespace else ToolRef(f"{server}.{name}")
    return ToolRef(name, server)


# Cline and its kin reach all MCP tools through one of their own.
_MCP_CALLERS = frozenset(("use_mcp_tool", "access_mcp_resource", "call_mcp_tool"))
_SHELLS = (
    "bash shell local_shell local_shell_call exec_command run_shell_command execute_command run_terminal_cmd "
    "run_in_terminal container.exec shell_command run_command terminal execute_bash execute_shell unified_exec "
    "powershell"
)
_TOOLS: dict[Activity, str] = {
    Activity.READ: "read read_file readfile view cat open_file notebookread read_many_files fs_read list_directory ls "
    "list_dir list_files listdir view_file get_file_contents view_image readmcpresource bashoutput taskoutput",
    Activity.SEARCH: "grep glob search search_files codebase_search file_search grep_search search_file_content find "
    "ripgrep semantic_search list_code_definition_names find_files code_search toolsearch tool_search lsp",
    Activity.EDIT: "edit write write_file writefile multiedit notebookedit apply_patch str_replace str_replace_editor "
    "replace str_replace_based_edit_tool write_to_file replace_in_file apply_diff edit_file create_file insert_edit "
    "patch fs_write search_replace delete_file insert_content text_editor multi_edit",
    Activity.WEB: "webfetch websearch web_fetch web_search fetch google_web_search browser browser_action url_context "
    "web_search_call webfetchtool url_fetch brave_search google_search fetch_webpage",
    Activity.ORCHESTRATION: "task agent todowrite todoread todo_write todo_read update_plan exitplanmode skill wait "
    "exit_plan_mode enterplanmode spawn_agent send_input wait_agent close_agent new_task switch_mode slashcommand "
    "attempt_completion askuserquestion ask_followup_question taskcreate taskupdate tasklist taskget taskstop delegate "
    "killshell kill_shell save_memory write_todos manage_todo_list plan_mode_respond runsubagent sendmessage",
    Activity.COMMAND: "code_execution code_interpreter write_stdin python repl exec",
    Activity.TEST: "run_tests runtests test run_test",
    Activity.VCS: "git commit gh",
}
_PROGRAMS: dict[Activity, str] = {
    Activity.READ: "cat head tail less more ls tree stat file wc nl bat eza du od xxd jq yq pdftotext",
    Activity.SEARCH: "grep rg egrep fgrep ag ack find fd fdfind locate which whereis",
    Activity.EDIT: "apply_patch patch touch cp mv rm mkdir ln chmod tee truncate",
    Activity.VCS: "git gh hg svn jj glab",
    Activity.TEST: "pytest tox nox jest vitest mocha rspec phpunit ctest gotestsum nextest playwright cypress",
    Activity.WEB: "curl wget http https lynx w3m xh",
}
_RUNNER_NAMES = "cargo go npm pnpm yarn bun make just dotnet mvn gradle gradlew mix swift deno rake"

_ACTIVITY_OF = {name: activity for activity, names in _TOOLS.items() for name in names.split()}
_PROGRAM_ACTIVITY_OF = {name: activity for activity, names in _PROGRAMS.items() for name in names.split()}
_SHELL_NAMES = frozenset(_SHELLS.split())
_RUNNERS = frozenset(_RUNNER_NAMES.split())
_MODULE_TESTS = frozenset(("pytest", "unittest", "nox", "tox", "doctest"))


def command_activity(command: Command) -> Activity:
    """What a shell command is run for."""
    words = command.words
    if command.program in _RUNNERS and words and (words[0].startswith("test") or words[0] in ("check", "nextest")):
        return Activity.TEST
    if command.program in _RUNNERS and len(words) > 1 and words[0] == "run" and words[1].startswith("test"):
        return Activity.TEST
    if command.program.startswith("python") and len(words) > 1 and words[0] == "-m" and words[1] in _MODULE_TESTS:
        return Activity.TEST
    if command.program == "sed":
        return Activity.EDIT if any(word.startswith("-i") or word == "--in-place" for word in words) else Activity.READ
    return _PROGRAM_ACTIVITY_OF.get(command.program, Activity.COMMAND)


def call_facts(call: ToolCall) -> CallFacts:
    """Source, activity and file of a tool call; its result has the same."""
    arguments = call.arguments if isinstance(call.arguments, dict) else {}
    ref = _called(call, arguments)
    if ref.server:
        return CallFacts(ref, ref.source, Activity.MCP, _file(arguments))
    if inner := first_call(call):
        # Only one level deep: what a script calls is never itself a script.
        return replace(call_facts(inner), tool=ref)
    name = call.name.lower()
    if name in _SHELL_NAMES:
        command = main_command(shell_text(call))
        if command is not None:
            return CallFacts(ref, f"bash:{command.program}", command_activity(command), _file_of_command(command))
        return CallFacts(ref, ref.source, Activity.COMMAND)
    file = _patched(call) if name in ("apply_patch", "patch") else _file(arguments)
    return CallFacts(ref, ref.source, _ACTIVITY_OF.get(name, Activity.OTHER), file)


def _called(call: ToolCall, arguments: JsonObject) -> ToolRef:
    if call.name in _MCP_CALLERS and as_text(arguments.get("server_name")):
        tool = as_text(arguments.get("tool_name")) or as_text(arguments.get("uri")) or call.name
        return tool_ref(tool, as_text(arguments["server_name"]))
    return tool_ref(call.name, call.server, call.kind)


def shell_text(call: ToolCall) -> str | list[str]:
    """The command line of a call to a shell tool, as text or as a list of words."""
    if isinstance(call.arguments, str):
        return call.arguments
    for source in (call.arguments, call.arguments.get("action")):
        if isinstance(source, dict):
            value = source.get("command") or source.get("cmd") or source.get("script") or source.get("CommandLine")
            if isinstance(value, str):
                return value
            if words := [word for word in as_list(value) if isinstance(word, str)]:
                return words
    return ""


_FILE_KEYS = (
    "file_path", "path", "filePath", "absolute_path", "target_file", "notebook_path", "filename", "file",
    "relative_path", "relative_workspace_path", "AbsolutePath", "TargetFile",
)  # fmt: skip
_LONGEST_PATH = 400


def _file(arguments: JsonObject) -> str | None:
    for key in _FILE_KEYS:
        value = arguments.get(key)
        if isinstance(value, str) and value and "\n" not in value:
            return value[:_LONGEST_PATH]
    return None


_PATCHED = re.compile(r"^\*\*\* (?:Update|Add|Delete) File: (.{1,400})$", re.MULTILINE)


def _patched(call: ToolCall) -> str | None:
    text = call.arguments if isinstance(call.arguments, str) else as_text(call.arguments.get("input"))
    match = _PATCHED.search(text[:10_000])
    return match[1].strip() if match else None


_ONE_FILE = frozenset(("cat", "head", "tail", "nl", "bat", "less", "more"))


def _file_of_command(command: Command) -> str | None:
    """The file that `cat FILE` or `sed -n 1,9p FILE` shows, if it is one."""
    names = [word for word in command.words if not word.startswith("-") and not word.isdigit()]
    if command.program == "sed" and "-n" in command.words:
        names = names[1:]
    elif command.program not in _ONE_FILE:
        return None
    return names[0][:_LONGEST_PATH] if len(names) == 1 and re.search(r"[./]", names[0]) else None
