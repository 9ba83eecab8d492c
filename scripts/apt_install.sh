#!/bin/sh
# Install Debian packages as root, without starting the services in them: apt_install.sh PACKAGE...
set -eu
policy=/usr/sbin/policy-rc.d # 101: forbidden
if [ -e "$policy" ]; then policy=; else printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"; fi
status=0
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null || status=$?
[ -z "$policy" ] || rm -f "$policy"
exit "$status"
