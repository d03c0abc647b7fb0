"""`fmnist COMMAND ...`: which command; `python -m fmnist.COMMAND ...` is the same."""

import ast
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

# What follows the command is its own affair: it is handed on as it was typed.
HELP = """usage: fmnist COMMAND ...

{commands}

fmnist COMMAND --help says more of a command, fmnist --version which it is.
For Tab to complete commands, groups, options and settings, put the line for
your shell where it reads its settings:

  bash  eval "$(fmnist completion bash)"
  zsh   eval "$(fmnist completion zsh)"      (after compinit)
  fish  fmnist completion fish | source
"""

# Each hands the line up to the cursor to `fmnist completion --line`, which prints words. A space
# follows those that are whole.
SCRIPTS = {
    "bash": r"""_fmnist() {
    local line="${COMP_LINE:0:COMP_POINT}" index
    local word="${line##* }"
    COMPREPLY=($(fmnist completion --line "$line" 2> /dev/null))
    for index in "${!COMPREPLY[@]}"; do
        [[ ${COMPREPLY[index]} == *[=./] ]] || COMPREPLY[index]+=" "
        # bash completes what follows the last = of a word where = ends words.
        [[ $COMP_WORDBREAKS == *=* && $word == *=* ]] &&
            COMPREPLY[index]="${COMPREPLY[index]#"${word%"${word##*=}"}"}"
    done
}
complete -o nospace -o default -F _fmnist fmnist
""",
    "zsh": r"""_fmnist() {
    local -a found
    found=($(fmnist completion --line "$LBUFFER" 2> /dev/null))
    (( $#found )) || { _files; return }
    compadd -Q -S '' -- ${(M)found:#*[=./]}
    compadd -Q -- ${found:#*[=./]}
}
compdef _fmnist fmnist
""",
    "fish": r"""function __fmnist
    fmnist completion --line (commandline --current-process --cut-at-cursor | string collect) \
        2> /dev/null | string split --no-empty ' '
end
complete --command fmnist --arguments '(__fmnist)'
""",
}


# Files whose name is not the command's: that of a room is taken.
CALLED = {"dataset": "data"}


def commands() -> dict[str, str]:
    """Name and purpose of every command: the files beside this one that say how to call them."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        first = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
        usage, colon, purpose = first.partition("`: ")
        if colon and usage.startswith(f"`python -m fmnist.{path.stem}"):
            found[CALLED.get(path.stem, path.stem)] = purpose
    return found


def start(name: str, *arguments: str) -> NoReturn:
    """Become `python -m fmnist.NAME ARGUMENTS`: the same process, its name, folder and signals."""
    sys.stdout.flush()
    module = next((stem for stem, called in CALLED.items() if called == name), name)
    os.execv(sys.executable, [sys.executable, "-m", f"fmnist.{module}", *arguments])


def completion(arguments: Sequence[str]) -> int:
    """A shell's script, or the words that can end a line.

    Those that follow `fmnist train`, `plan` and `data` are Hydra's, asked for as its scripts do.
    """
    match arguments:
        case [shell] if shell in SCRIPTS:
            print(SCRIPTS[shell], end="")
        case ["--line", line]:
            words = line.split()
            if len(words) < 3 and not (len(words) == 2 and line[-1].isspace()):
                names = [*commands(), "completion"]
                print(*(name for name in names if name.startswith("".join(words[1:]))))
            elif words[1] in ("train", "plan", "data"):
                os.environ["COMP_LINE"] = "fmnist.train " + "".join(line.split(maxsplit=2)[2:])
                start("train", "-sc", "query=bash")
        case _:
            print(f"error: fmnist completion: {', '.join(SCRIPTS)}", file=sys.stderr)
            return 2
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    name, *rest = [*(sys.argv[1:] if arguments is None else arguments)] or ["--help"]
    known = commands()
    if name in ("--help", "-h", "help"):
        width = max(map(len, known)) + 2
        print(
            HELP.format(commands="\n".join(f"  {n:{width}}{p}" for n, p in known.items())), end=""
        )
        return 0
    if name in ("--version", "-V"):
        import fmnist

        print(f"fmnist {fmnist.__version__}")
        return 0
    if name == "completion":
        return completion(rest)
    if name in known:
        start(name, *rest)
    from fmnist.config.words import near_or_all

    print(f"error: {name}: no command{near_or_all(name, known)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
