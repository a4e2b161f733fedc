"""Connections to one HTTP service, by the proxies and with the certificates that the environment names."""

import ssl
from collections.abc import Mapping
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3
from urllib3.util import Url, parse_url


def open_connections(address: str, *, at_once: int) -> urllib3.PoolManager:
    """Keep up to `at_once` connections to the service at `address`.

    Proxies are those of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, as every Python client takes them.

    Raises:
        ValueError, OSError: the proxy or the certificates that the environment names cannot be used.
    """
    url = parse_url(address)
    proxy = _proxy(url)
    # Reading a trust store takes longer than many an audit.
    context = _trust() if "https" in {url.scheme, proxy and proxy.scheme} else None
    if proxy is None:
        return urllib3.PoolManager(maxsize=at_once, ssl_context=context)
    return urllib3.ProxyManager(
        proxy.url,
        maxsize=at_once,
        ssl_context=context,
        proxy_ssl_context=context,
        proxy_headers=_authorization(proxy.auth),
    )


def _proxy(url: Url) -> Url | None:
    proxies = getproxies()
    proxy = proxies.get(url.scheme or "") or proxies.get("all")
    # An IPv6 address stands in brackets in one place, and without them in the other.
    if not proxy or proxy_bypass(url.netloc or "") or proxy_bypass((url.host or "").strip("[]")):
        return None
    return parse_url(proxy if "://" in proxy else f"http://{proxy}")


def _authorization(user_and_password: str | None) -> Mapping[str, str] | None:
    if user_and_password is None:
        return None
    return urllib3.make_headers(proxy_basic_auth=unquote(user_and_password), proxy_basic_auth_encoding="utf-8")


def _trust() -> ssl.SSLContext:
    """The machine's trust store or SSL_CERT_FILE; certifi's bundle only on a machine without."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        context.load_verify_locations(certifi.where())
    return context
