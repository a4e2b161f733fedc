"""Passwords in a command that no name announces: `mysql -pVALUE`, `curl -u user:VALUE`.

The options are from the manual pages of the programs. A password that is a plain argument, as in
`htpasswd -b file user VALUE`, is not found.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from holdtrue.core.secret_names import is_secret_name
from holdtrue.core.secret_references import is_given

_WHOLE: Final = ""
"""For an option whose whole value is the password; for others, the separator before the password."""

_MYSQL: Final = (
    "mysql mysqldump mysqladmin mysqlimport mysqlshow mysqlcheck mysqlbinlog mysqlslap mysqlpump mysqlsh xtrabackup"
    " mydumper myloader mariadb mariadb-dump mariadb-admin mariadb-import mariadb-show mariadb-check mariadb-backup"
)
_ARCHIVERS: Final = "7z 7za 7zz 7zr rar unrar"
_REGISTRIES: Final = "docker podman nerdctl buildah skopeo helm oras crane az oc cf"
_PROGRAMS: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    (_MYSQL, {"-p": _WHOLE}),
    (_ARCHIVERS, {"-p": _WHOLE}),
    (_REGISTRIES, {"-p": _WHOLE}),
    ("sshpass mongo mongosh mongodump mongorestore mongoexport mongoimport cqlsh beeline", {"-p": _WHOLE}),
    ("redis-cli valkey-cli keydb-cli", {"-a": _WHOLE}),
    ("sqlcmd bcp osql isql tsql mosquitto_pub mosquitto_sub ipmitool zip unzip", {"-P": _WHOLE}),
    ("ldapsearch ldapadd ldapmodify ldapdelete ldappasswd ldapwhoami ldapcompare", {"-w": _WHOLE}),
    ("snmpget snmpgetnext snmpwalk snmpbulkwalk snmpset snmptrap", {"-A": _WHOLE, "-X": _WHOLE}),
    ("openssl", {"-passin": "pass:", "-passout": "pass:", "-pass": "pass:"}),
    ("curl", {"-u": ":", "--user": ":", "-U": ":", "--proxy-user": ":"}),
    ("http https xh", {"-a": ":", "--auth": ":"}),
    ("smbclient rpcclient smbmap", {"-U": "%"}),
    ("lftp", {"-u": ","}),
)
_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {program: options for programs, options in _PROGRAMS for program in programs.split()}
)
_SAME_WORD_ONLY: Final = frozenset((*_MYSQL.split(), *_ARCHIVERS.split()))
"""Programs whose password is in the same word as `-p`: the next word is something else, such as a database."""

_ONLY_TO_LOG_IN: Final = frozenset(_REGISTRIES.split())
"""Programs whose `-p` is a password after `login` only: `docker run -p` is a port."""

_ORACLE: Final = frozenset({"sqlplus", "sqlldr", "expdp", "impdp", "rman"})
_ORACLE_LOGIN: Final = re.compile(r"[\w$#.]+/(?P<password>[^\s/@]+)(?:@\S*)?")

_TAKE_PASSWORD: Final = frozenset({"--password-stdin", "--pass-stdin", "chpasswd"})
"""Words of a command that reads a password from standard input; `sudo -S` does so too."""

_SETTINGS: Final = frozenset({"config", "configure", "variable"})
"""What programs call the settings that their subcommand `set` takes as name and value."""

_SHORTEST: Final = 4
_DEPTH: Final = 3
"""How deep commands within the quotes of another are searched: `sh -c "..."`."""

_NAMES: Final = "|".join(map(re.escape, sorted({*_OPTIONS, *_ORACLE, *_SETTINGS, "echo", "printf"})))
_MAY_GIVE_ONE: Final = re.compile(rf"(?<![\w-])(?:{_NAMES})(?![\w-])")
_WORD: Final = re.compile(
    r"(?P<end>\|\|?|&&?|[;\n])|(?P<word>(?:\"(?:[^\"\\]|\\.)*+\"|'[^']*+'|\\.|[^\s;|&'\"\\])+)|['\"\\]", re.DOTALL
)
_QUOTED: Final = re.compile(r"\"((?:[^\"\\]|\\.)*+)\"|'([^']*+)'", re.DOTALL)
_BEFORE_PROGRAM: Final = re.compile(r"[$(`{!@=/]")
"""What may stand before a program's name: a folder, and the beginning of an assignment, a substitution or a group."""


def gives_password(text: str, depth: int = 0) -> bool:
    """Whether a command in the text contains a program's password."""
    if depth > _DEPTH or _MAY_GIVE_ONE.search(text) is None:
        return False
    commands = _commands(text)
    return any(_is_piped(first, second) for first, second in pairwise(commands)) or any(
        _sets(command)
        or any(_positions(command))
        or any(gives_password(word, depth + 1) for word in command if " " in word)
        for command in commands
    )


def arguments(items: Sequence[object]) -> Iterator[tuple[str, str] | None]:
    """For each item of a list that may be the words of a command: name and value of the secret that it gives.

    `["run", "--db-password", "x"]` gives one called `db-password`, `["mysql", "-px"]` one called `password`.
    """
    words = [item if isinstance(item, str) else "" for item in items]
    given = dict(_positions(words))
    for index, (before, word) in enumerate(pairwise(("", *words))):
        option = before.lstrip("-")
        if index in given:
            yield "password", given[index]
        elif before.startswith("-") and is_secret_name(option) and word and not word.startswith("-"):
            yield option, word
        else:
            yield None


def _commands(text: str) -> list[list[str]]:
    """The words of each command in a script, without their quotes."""
    commands: list[list[str]] = [[]]
    for found in _WORD.finditer(text.replace("\\\n", " ")):
        if found["end"]:
            commands.append([])
        elif found["word"]:
            commands[-1].append(_QUOTED.sub(lambda part: part[1] or part[2] or "", found["word"]))
    return commands


def _positions(command: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Index and password of each word that gives one to a program that stands before it."""
    for start, word in enumerate(command, start=1):
        program = _program(word)
        if program in _ORACLE or program in _OPTIONS:
            found = _arguments_of(program, command[start:])
            yield from ((start + index, password) for index, password in found if _is_value(password))


def _program(word: str) -> str:
    return _BEFORE_PROGRAM.split(word)[-1].removesuffix(".exe")


def _arguments_of(program: str, words: Sequence[str]) -> Iterator[tuple[int, str]]:
    if program in _ORACLE:
        return _oracle_logins(words)
    if program in _ONLY_TO_LOG_IN and "login" not in words:
        return iter(())
    return _option_values(words, _OPTIONS[program], next_word=program not in _SAME_WORD_ONLY)


def _option_values(words: Sequence[str], options: Mapping[str, str], *, next_word: bool) -> Iterator[tuple[int, str]]:
    for index, word in enumerate(words):
        for option, separator in options.items():
            if word == option:
                place, value = index + 1, "".join(words[index + 1 : index + 2]) if next_word else ""
            elif word.startswith(f"{option}=") or (word.startswith(option) and not option.startswith("--")):
                place, value = index, word.removeprefix(option).removeprefix("=")
            else:
                continue
            yield place, value if separator == _WHOLE else value.partition(separator)[2]


def _oracle_logins(words: Sequence[str]) -> Iterator[tuple[int, str]]:
    for index, word in enumerate(words):
        login = _ORACLE_LOGIN.fullmatch(word)
        if login is not None:
            yield index, login["password"]


def _sets(command: Sequence[str]) -> bool:
    """`aws configure set aws_secret_access_key VALUE`, `npm config set //registry/:_authToken VALUE`."""
    return any(
        noun in _SETTINGS and verb == "set" and name[:1] != "-" and is_secret_name(name) and _is_value(value)
        for noun, verb, name, value in zip(command, command[1:], command[2:], command[3:], strict=False)
    )


def _is_piped(first: Sequence[str], second: Sequence[str]) -> bool:
    """`echo VALUE | docker login --password-stdin`."""
    prints = len(first) > 1 and _program(first[0]) in ("echo", "printf") and _is_value(first[-1])
    return prints and (not _TAKE_PASSWORD.isdisjoint(second) or {"sudo", "-S"} <= set(second))


def _is_value(text: str) -> bool:
    return len(text) >= _SHORTEST and not text.startswith("-") and is_given(text)
