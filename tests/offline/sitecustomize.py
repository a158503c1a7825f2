"""Python reads this at start-up where this folder is on PYTHONPATH: it then has no network.

Whoever tries to reach beyond this machine fails as on a computer without a cable, and is written
to standard error with REACHED_OUT before it.
"""

import errno
import socket
import sys

LOOPBACK = ("127.0.0.1", "::1", "localhost", "0.0.0.0", None)

_connect = socket.socket.connect
_getaddrinfo = socket.getaddrinfo


def _refuse(host):
    print(f"REACHED_OUT {host}", file=sys.stderr, flush=True)


def connect(self, address):
    if isinstance(address, tuple) and address[0] not in LOOPBACK:
        _refuse(address[0])
        raise OSError(errno.ENETUNREACH, "Network is unreachable")
    return _connect(self, address)


def getaddrinfo(host, *rest, **options):
    if host not in LOOPBACK:
        _refuse(host)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return _getaddrinfo(host, *rest, **options)


socket.socket.connect = connect
socket.getaddrinfo = getaddrinfo
