"""HAProxy as a traffic switch."""

from holdtrue.adapters.haproxy.switch import HaproxySwitch

__all__ = ["HaproxySwitch"]
