#!/bin/sh
# Install and start a DaCHS server of the Virtual Observatory on this machine, and fetch from it.
# Opt-in (make test-vo): Debian packages with PostgreSQL, and root. Usage: run.sh PYTHON
set -eu
python=$1
here=$(dirname "$0")
port=8080
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
	echo "make test-vo needs Debian or Ubuntu and root: it installs gavodachs2-server"; exit 1
fi
if ! dpkg -s gavodachs2-server >/dev/null 2>&1; then
	apt-get update -qq
	# Its post-install fails while PostgreSQL does not run: that is mended below.
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gavodachs2-server || true
fi
cluster=$(pg_lsclusters -h | head -n 1)
version=$(echo "$cluster" | cut -d' ' -f1)
case $cluster in *down*) pg_ctlcluster "$version" main start;; esac
until su postgres -c "psql -c 'select 1'" >/dev/null 2>&1; do sleep 1; done
DEBIAN_FRONTEND=noninteractive dpkg --configure -a
if ! grep -q galcnn.test /etc/gavo.rc 2>/dev/null; then
	[ ! -e /etc/gavo.rc ] || cp /etc/gavo.rc /etc/gavo.rc.before-galcnn
	cat >/etc/gavo.rc <<-END
	[ivoa]
	authority: galcnn.test
	[web]
	bindAddress: 127.0.0.1
	serverPort: $port
	serverURL: http://localhost:$port
	END
fi
inputs=/var/gavo/inputs/galcnn
mkdir -p "$inputs"
cp "$here/q.rd" "$inputs/"
"$python" -m tests.surveys.dachs.coadds "$inputs/data"
chown -R dachsroot "$inputs"
su dachsroot -s /bin/sh -c "cd $inputs && dachs imp //obscore && dachs imp q"
log=$(mktemp)
su dachsroot -s /bin/sh -c "exec dachs serve debug" >"$log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; cat "$log" >&2' EXIT
tries=0
until "$python" -c "import urllib.request as u; u.urlopen('http://localhost:$port/galcnn/q/i/siap.xml?FORMAT=METADATA', timeout=5)" 2>/dev/null; do
	tries=$((tries + 1)); [ $tries -lt 60 ] || { echo "DaCHS does not answer"; exit 1; }
	sleep 1
done
GALCNN_DACHS=http://localhost:$port "$python" -m pytest tests/surveys/test_dachs.py
trap - EXIT
kill $server
wait $server || true
