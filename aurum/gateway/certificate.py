"""Check the validity dates of the gateway's certificate, which nginx does not check."""

from __future__ import annotations

import ssl
import subprocess
import time

from aurum.gateway.render import GatewayError
from aurum.settings import Settings


def date_problem(settings: Settings) -> str:
    """Describe what is wrong with the certificate's dates; "" if it is valid now.

    Raises GatewayError if the certificate can't be read.
    """
    path = settings.gateway_certificate
    # openssl, not a library: the gateway's image has none, and Python's ssl can't read the dates.
    command = ["openssl", "x509", "-noout", "-startdate", "-enddate", "-in", str(path)]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise GatewayError(
            "openssl is missing; on Debian or Ubuntu: apt-get install openssl"
        ) from None
    if shown.returncode:
        raise GatewayError(
            f"AURUM_GATEWAY_CERTIFICATE: {path} is not a certificate: {shown.stderr.strip()}"
        )
    begin, end = (line.partition("=")[2] for line in shown.stdout.splitlines())
    now = time.time()
    if ssl.cert_time_to_seconds(begin) > now:
        return f"AURUM_GATEWAY_CERTIFICATE: {path} is not valid before {begin}"
    if ssl.cert_time_to_seconds(end) <= now:
        return f"AURUM_GATEWAY_CERTIFICATE: {path} has expired: it was valid until {end}"
    return ""
