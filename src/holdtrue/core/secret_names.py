"""What people call their secrets, in whatever spelling: `DB_PASSWORD`, `dbPassword`, `PGPASSWORD`, `db-passwords`.

Also in other languages: `datenbankPasswort`, `mot_de_passe`, `contraseña`, `пароль`.
"""

import re
import unicodedata
from typing import Final

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_PASSWORDS: Final = (
    r"password|passwd|passphrase|pwd"
    r"|passw(?:o|oe)rt(?:er)?|kennw(?:o|oe)rt(?:er)?|zugangscode|mots?_?de_?passe|(?:^|_)mdp|contrase(?:n|ny|ni)a"
    r"|(?:^|_)senha|palavra_?passe|(?:^|_)parola|wachtwoord(?:en)?|passord|adgangskode|l(?:o|oe)senord|salasana|(?:^|_)haslo"
    r"|(?:^|_)heslo|jelszo|(?:^|_)lozinka|(?:^|_)geslo|(?:^|_)sifre|kata_?sandi|mat_?khau|slaptazodis|(?:^|_)parool"
)
"""In English, German, French, Spanish, Portuguese, Italian, Dutch, the Nordic and Slavic languages, and others."""

_SECRET: Final = re.compile(
    rf"(?:{_PASSWORDS}|secret|secret_?id|token|credential|auth_?string|(?:^|_)cred"
    r"|(?<!by)(?<!com)(?<!sur)(?<!tres)pass"
    r"|(?:api|access|account|auth|encryption|hmac|master|private|secret|shared|signing|storage)_?key"
    r"|geheimnis(?:se)?|geheimwort|(?:api|geheim|privat|zugangs|zugriffs)_?schl(?:u|ue)ssel|cle_(?:api|secrete|privee)"
    r"|jeton|clave_(?:secreta|privada|api|de_acceso)|chave_(?:secreta|privada|api|de_acesso)"
    r"|chiave_(?:segreta|privata|api)|secreto|segredo|segreto)s?$"
)
"""The end of a name: what follows it (`_file`, `_path`, `_ref`) makes it the name of something else."""

_PASSWORD_NAME: Final = re.compile(rf"(?:{_PASSWORDS})s?$")
_OTHER_SCRIPT: Final = re.compile(
    r"(?:пароль|пароли|парола|лозинка|κωδικ[οό]ς|סיסמה|كلمة[ _](?:المرور|السر)|رمز[ _]عبور"
    r"|密码|密碼|口令|パスワード|비밀번호|암호|पासवर्ड|รหัสผ่าน)$"
)
_UNFOLDED: Final = str.maketrans(
    {"ß": "ss", "ł": "l", "ø": "o", "\N{LATIN SMALL LETTER DOTLESS I}": "i", "đ": "d", "æ": "ae"}
)
"""Letters that Unicode does not decompose into a Latin letter and its accent."""

_NO_SECRET: Final = re.compile(
    r"(?:^|_)(?:max|min|total|next|page|continuation|pagination|starting)"
    r"(?:_(?:page|continuation|new|input|output|prompt|completion))?_tokens?$"
)
"""Marks of a page in a long answer, and counts."""

_ABOUT: Final = frozenset(
    {
        *("file", "path", "folder", "variable", "name", "field", "key", "mount", "role", "arn", "url", "uri", "ref"),
        *(
            "block",
            "slug",
            "id",
            "source",
            "from",
            "provider",
            "engine",
            "kind",
            "type",
            "version",
            "format",
            "encoding",
        ),
        *(
            "title",
            "description",
            "pattern",
            "enum",
            "required",
            "examples",
            "algorithm",
            "audience",
            "issuer",
            "scope",
        ),
        *("user", "username", "host", "port", "address", "region", "policy", "at", "expires", "expiry", "ttl"),
        *("second", "minute", "hour", "day", "timeout", "count", "uses", "length", "size", "limit", "max", "min"),
    }
)
"""Last words of names of what is told about a secret beside it: where it is, what kind it is, how long it lives."""


def is_secret_name(name: str) -> bool:
    """Whether what is called so is a secret itself, not where one is."""
    joined = "_".join(_words(name))
    if _SECRET.search(joined) is None:
        return _is_of_other_script(name)
    return _NO_SECRET.search(joined) is None


def is_password_name(name: str) -> bool:
    """Whether it is the name of a password, not of a token, key or another secret."""
    return _PASSWORD_NAME.search("_".join(_words(name))) is not None or _is_of_other_script(name)


def is_credentials_name(name: str) -> bool:
    """Whether it is a secret's name under which a block is named, too."""
    return _words(name)[-1:] in (["credential"], ["credentials"])


def is_about_secret(name: str) -> bool:
    """Whether an entry called so, below a secret's name, tells something about the secret and is none."""
    last = "".join(_words(name)[-1:])
    return not last or last in _ABOUT or last.removesuffix("s") in _ABOUT


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name if name.isascii() else _without_accents(name))]


def _without_accents(name: str) -> str:
    taken_apart = unicodedata.normalize("NFKD", name.translate(_UNFOLDED))
    return "".join(character for character in taken_apart if not unicodedata.combining(character))


def _is_of_other_script(name: str) -> bool:
    if name.isascii():
        return False
    return _OTHER_SCRIPT.search(unicodedata.normalize("NFKC", name).casefold().rstrip("0123456789_-. ")) is not None
