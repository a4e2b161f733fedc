"""Which texts give a secret away: commands, notes and names in other languages. The values are made up."""

from time import process_time

import pytest

from holdtrue.core.secret_commands import gives_password
from holdtrue.core.secret_detection import find_secrets
from holdtrue.core.secret_names import is_password_name, is_secret_name
from holdtrue.core.secret_texts import gives_secret

COMMANDS = [
    "mysql -phunter2 shop",
    "mysql -pPASSWORD",
    "mysql -u root -p'hunter 2' -e 'select 1'",
    "/usr/bin/mysqldump -uapp -phunter2 shop > dump.sql",
    "mariadb-dump -phunter2 shop",
    "sudo mysqladmin -phunter2 ping",
    "docker exec db mysql -phunter2 -e 'show tables'",
    "kubectl exec db-0 -- mysql -phunter2",
    "sh -c 'mysql -phunter2 shop'",
    "bash -lc \"sleep 1; sh -c 'mysql -phunter2'\"",
    "count=$(mysql -phunter2 -e 'select 1')",
    "cd /srv &&\n  mysql \\\n    -u app \\\n    -phunter2",
    "sshpass -p hunter2 ssh app@host",
    "sshpass -phunter2 scp a host:",
    "redis-cli -h cache -a hunter2 ping",
    "mongodump --host db -u app -p hunter2",
    "curl -u app:hunter2 https://example.org",
    "curl -uapp:hunter2 https://example.org",
    "curl --user app:hunter2 https://example.org",
    "curl --user=app:hunter2 https://example.org",
    "curl -x proxy -U app:hunter2 https://example.org",
    "http -a app:hunter2 example.org",
    "docker login -u ci -p hunter2 registry.example.org",
    "helm registry login -u ci -phunter2 registry.example.org",
    "echo hunter2 | docker login -u ci --password-stdin",
    "echo 'hunter2' | sudo -S apt-get update",
    "printf '%s' hunter2 | podman login --password-stdin quay.io",
    "echo app:hunter2 | chpasswd",
    "sqlcmd -S db -U sa -P hunter2",
    "zip -P hunter2 out.zip data",
    "7z a -phunter2 out.7z data",
    "ldapsearch -D cn=admin -w hunter2 -b dc=example",
    "snmpget -v3 -u app -A hunter2-auth host sysName.0",
    "smbclient //host/share -U app%hunter2",
    "lftp -u app,hunter2 sftp://host",
    "openssl enc -aes-256-cbc -pass pass:hunter2 -in a",
    "openssl rsa -passin pass:hunter2 -in key.pem",
    "sqlplus app/hunter2@db/ORCL",
    "aws configure set aws_secret_access_key hunter2hunter2",
    "npm config set //registry.example.org/:_authToken hunter2hunter2",
    "PGPASSWORD=hunter2 psql -h db",
    "PGPASSWORD='hunter 2' psql -h db",
    "env MYSQL_PWD=hunter2 mysql shop",
    "java -Djavax.net.ssl.keyStorePassword=hunter2 -jar app.jar",
    "wget --http-password=hunter2 https://example.org",
    "curl -H 'X-Vault-Token: abc123def456' https://vault",
    "HTTPS://app:hunter2@example.org/path",
]

NOTES = [
    "password: hunter2",
    "Runs every night. Password: hunter2",
    "user: app, password: geheim",
    "password: 'geheim'",
    "The admin password (production): Sommer2026!",
    "**Password:** hunter2",
    "API key: 4f9a8b7c6d",
    "token: abc123def456.",
    "password = hunter2",
    "[database]\nuser = app\npassword = geheim\n",
    "db:\n  password: hunter2\n",
    "pw for the vault token:\ntoken: `abc123def456`",
    "Passwort: hunter2",
    "Kennwort: geheim",
    "mot de passe: soleil",
    "Contraseña: verano",
    "senha: verao2026",
    "пароль: hunter2",
    "密码: hunter2",
]

HARMLESS = [
    # Commands
    "mysql -p shop",
    "mysql -u root -p -e 'select 1'",
    "mysql -p$MYSQL_PASSWORD shop",
    'mysql -p"${MYSQL_PASSWORD}" shop',
    "mysql -p$(cat /run/secrets/mysql) shop",
    "mysql -p{{ prefect.blocks.secret.mysql }} shop",
    "mysql -P 3306 -u app shop",
    "ssh -p 2222 app@host",
    "ssh -p2222 app@host",
    "docker run -p 8080:80 -p8443:443 nginx",
    "docker run -u app:staff nginx",
    "mkdir -p /srv/app-data && cp -pr source target",
    "tar -pxzf archive.tgz",
    "nmap -p1-65535 host",
    "sshpass -e ssh app@host",
    "sshpass -f /run/secrets/ssh ssh app@host",
    'sshpass -p "$SSH_PASSWORD" ssh app@host',
    "redis-cli -h cache -p 6379 ping",
    "redis-cli -a $REDIS_PASSWORD ping",
    "curl -u app https://example.org",
    "curl -u app: https://example.org",
    'curl -u "$USER:$TOKEN" https://example.org',
    "curl -u app:{{ $TOKEN }} https://example.org",
    "curl -fsSL https://example.org/install.sh | sh",
    "curl --user-agent mozilla:5.0-compatible https://example.org",
    "docker login -u ci --password-stdin registry.example.org",
    "echo $TOKEN | docker login -u ci --password-stdin",
    'echo "${REGISTRY_PASSWORD}" | docker login --password-stdin',
    "echo starting | tee log",
    "cat token | docker login --password-stdin",
    "openssl rsa -passin env:KEY_PASSWORD -in key.pem",
    "openssl rsa -passin file:/run/secrets/key -in key.pem",
    "zip -r out.zip data",
    "7z x archive.7z -o/srv/data",
    "sqlplus /nolog",
    "sqlplus app@db",
    "pulumi config set region eu-central-1",
    "git config credential.helper store",
    "prefect config set PREFECT_API_URL=https://prefect.example.org/api",
    "python -m flows.report --tokens-per-minute 4000",
    "set -euo pipefail; password=$1",
    "npx mysql-schema-tool -print",
    "python -c 'token = get_token(); print(len(token))'",
    # Notes
    "Password: see Vault",
    "password: required",
    "Password: must have at least 12 characters",
    "password: string",
    "password: SecretStr, folder: str",
    "def log_in(password: str | None = None, token: Token = Depends(current_token))",
    "password = os.environ['PASSWORD']",
    "password = settings.database.password",
    "password: {{ prefect.blocks.secret.db }}",
    "password: ${DB_PASSWORD}",
    "password: <your password>",
    "password: your_password",
    "password: ********",
    "PASSWORD: PASSWORD",
    "token: bearer",
    "token: read-only, expires after 30 days",
    "scopes: token:read token:write secret:manage",
    "secret: sha256-hashed",
    "Secrets: Vault, mount kv, version 2",
    "secret: kv2/data/app",
    "API keys: ask the platform team",
    "private key: ed25519",
    "tokens: 4096",
    "max tokens: 4096tokens",
    "The password is kept in Vault: ask the platform team",
    "If the password == expected: continue",
    "pass: all 12 checks",
    "compass: north",
    "Token lifetime: 15m",
    "password file: /run/secrets/db",
    "password_file: /run/secrets/db42",
    "credentials: production",
    "token url: https://login.example.org/oauth2/v2.0/token",
    "sends the report to ops1@example.org; token: ops1@example.org",
    "twist://password:login/#team1",
    "Passwort: siehe Vault",
    "mots-clés: soleil, été2026",
    "palabra clave: verano2026",
    "parole: verano2026",
]


@pytest.mark.parametrize("text", [*COMMANDS, *NOTES])
def test_a_text_that_gives_a_secret_away_is_found_and_not_repeated(text: str) -> None:
    (found,) = find_secrets({"description": f"Nightly run.\n{text}\nEnd."})
    assert found.at == "description"
    assert "hunter2" not in found.why


@pytest.mark.parametrize("text", HARMLESS)
def test_a_text_that_gives_nothing_away_is_not(text: str) -> None:
    assert find_secrets({"description": text}) == ()
    assert find_secrets({"description": f"Nightly run.\n{text}\nEnd."}) == ()


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (["run", "--db-password", "hunter2"], "[2]"),
        (["run", "--token", "hunter2", "--verbose"], "[2]"),
        (["mysql", "-uapp", "-phunter2"], "[2]"),
        (["sshpass", "-p", "hunter2", "ssh", "host"], "[2]"),
        (["curl", "-u", "app:hunter2", "https://example.org"], "[2]"),
        (["sh", "-c", "mysql -phunter2"], "[2]"),
        ({"command": ["docker", "login", "-p", "hunter2"]}, "command[3]"),
    ],
)
def test_a_command_that_is_a_list_is_looked_at_too(value: object, at: str) -> None:
    assert [item.at for item in find_secrets(value)] == [at]


@pytest.mark.parametrize(
    "value",
    [
        ["run", "--token", "--verbose"],
        ["run", "--token", "$TOKEN"],
        ["run", "--password-file", "/run/secrets/db"],
        ["mysql", "-p"],
        ["curl", "-u", "app"],
        ["docker", "run", "-p", "8080:80"],
        ["token", "scope", "audience"],
        ["--token", 5, None],
        [],
    ],
)
def test_a_list_that_gives_nothing_away_is_not(value: object) -> None:
    assert find_secrets(value) == ()


@pytest.mark.parametrize(
    "name",
    [
        *("passwort", "datenbankPasswort", "DB_PASSWORT", "dbPasswörter", "Kennwort", "kennwoerter", "geheimnis"),
        *("api_schlüssel", "geheimschluessel", "motDePasse", "mot de passe", "motdepasse", "MDP", "clé_secrète"),
        *("contraseña", "contrasena", "Contraseñas", "clave_secreta", "senha", "db_senha", "palavra-passe"),
        *("parola", "chiave_segreta", "wachtwoord", "passord", "lösenord", "adgangskode", "salasana", "hasło"),
        *(
            "heslo",
            "jelszó",
            "lozinka",
            "şifre",
            "пароль",
            "ПАРОЛЬ",
            "db_пароль",
            "密码",
            "パスワード",
            "비밀번호",
            "סיסמה",
        ),
    ],
)
def test_names_in_other_languages_are_known(name: str) -> None:
    assert is_secret_name(name)
    (found,) = find_secrets({name: "in clear text"})
    assert found.at == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "passwort_datei",
            "passwort-pfad",
            "mot_de_passe_file",
            "contraseña_path",
            "палитра",
            "密码文件",
            "parolecontrol",
        ),
        *(
            "palabra_clave",
            "clave_primaria",
            "parole",
            "anhaslo",
            "keyword",
            "schlüsselwort",
            "clé_primaire",
            "enclave",
        ),
    ],
)
def test_names_of_other_things_are_not(name: str) -> None:
    assert not is_secret_name(name)


def test_a_password_is_told_from_a_token() -> None:
    assert is_password_name("DB_PASSWORD")
    assert is_password_name("пароль")
    assert not is_password_name("API_TOKEN")
    assert not is_password_name("password_file")


@pytest.mark.parametrize(
    "part",
    [
        *("mysql -p", "mysql '", 'mysql "', 'echo "\\', "curl -u a:", "password: ", "password:", "a b c d e ", ": : "),
        *("-p ", "'\"", "password (", "token = ", "мот: ", "sqlplus a/", "sh -c 'sh -c \"mysql -p ", "\\\n", "`: `"),
    ],
)
def test_a_long_text_of_anything_takes_no_long_time(part: str) -> None:
    text = part * 20_000
    began = process_time()
    gives_secret(text)
    gives_password(f"mysql {text}")
    find_secrets({"items": [text[:50]] * 2_000})
    assert process_time() - began < 10
