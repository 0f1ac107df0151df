# What an operator does with granary.deb, in a fresh Debian that systemd has started: install, look at the unit, write,
# make a key, listen for others with TLS, upgrade, stop, remove, purge. Ends at the first thing that is not as it should be.
set -eu
cd /root
umask 077

step() { echo "-- $*"; }

# Shows what the server has said, and ends.
fail() {
    journalctl --no-pager --output=cat --unit=granary | tail -n 40
    echo "FAILED: $*"
    exit 1
}

# Says so where a command does not do what it should.
must() { "$@" || fail "$*"; }
must_not() { if "$@"; then fail "this should not have been possible: $*"; fi; }

# Waits until a command succeeds, for a minute at the most.
wait_until() {
    tries=0
    until "$@" > /dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || { "$@" || fail "after a minute still: $*"; }
        sleep 0.1
    done
}

pid() { systemctl show --property=MainPID --value granary; }
other_pid() { [ "$(pid)" != 0 ] && [ "$(pid)" != "$1" ]; }
has() { grep --quiet --extended-regexp "$1" "$2" || { cat "$2"; fail "$2 has no line like '$1'"; }; }
doe() { granary get --source clinic provider john-doe; }

# Here a system call that the unit forbids kills the server, so that none goes unseen.
drop_ins=/etc/systemd/system/granary.service.d
mkdir $drop_ins
printf '[Service]\nSystemCallErrorNumber=kill\n' > $drop_ins/test.conf

step install
must dpkg --install granary.deb
must [ "$(granary --version)" = "granary $(dpkg-query --show --showformat='${Version}' granary)" ]
must systemctl --quiet is-active granary
must systemctl --quiet is-enabled granary
must granary source list
must [ -s /usr/share/doc/granary/copyright ]
must [ -s /usr/share/doc/granary/guides/operator.md ]
must [ -s /usr/share/doc/granary/how-to/import-a-csv.md ]
must [ -s /usr/share/doc/granary/images/console-task.png ]
must [ -s /usr/share/doc/granary/THIRD-PARTY.gz ]
must [ -s /usr/share/man/man1/granary.1.gz ]
must [ -s /usr/share/bash-completion/completions/granary ]

step the unit
must systemd-analyze verify /lib/systemd/system/granary.service
# Tenths: what is left is for the network that it serves.
systemd-analyze security --no-pager --offline=true --threshold=12 /lib/systemd/system/granary.service > said || fail "security: $(cat said)"
tail -n 1 said
must [ "$(stat --format=%U:%G /proc/"$(pid)")" = granary:granary ]
must [ "$(stat --format=%U:%a /var/lib/granary)" = granary:700 ]
must [ "$(stat --format=%U:%a /etc/default/granary)" = root:640 ]
has '^CapBnd:\s0+$' /proc/"$(pid)"/status
has '^NoNewPrivs:\s1$' /proc/"$(pid)"/status
has '^Seccomp:\s2$' /proc/"$(pid)"/status
journalctl --output=cat --unit=granary > said
must_not grep 'may not have more files open' said

step the settings
granary serve --help > help
for name in $(sed -n 's/^#\?\(GRANARY_[A-Z_]*\)=.*/\1/p' /etc/default/granary); do
    case $name in
    GRANARY_LOG | GRANARY_LIMIT_*) ;;
    *) has "env: $name(=|\])" help ;;
    esac
done

step bulk requests
cat > provider.json << 'END'
{"properties": {"name": {"type": "symbol", "rules": [{"required": true}]}}}
END
echo '{"id": "john-doe", "data": {"name": "John Doe"}}' > providers.ndjson
# Enough to be spooled to files of its own; and the same, of which nothing fits the profile.
seq --format='{"id": "provider-%.0f", "data": {"name": "Jane Doe"}}' 20000 >> providers.ndjson
sed 's/"name"/"title"/' providers.ndjson > rejected.ndjson
must granary source apply clinic
must granary profile apply --source clinic provider -f provider.json
must granary bulk providers.ndjson --source clinic --type provider --wait
ended=0
granary bulk rejected.ndjson --source clinic --type provider 2> said || ended=$?
must [ $ended = 3 ]
must doe > said

step killed
before=$(pid)
kill -KILL "$before"
wait_until other_pid "$before"
wait_until doe

step a key, and TLS for others
granary key create --role admin --name operations > admin.key || fail "no key"
doe 2> said && fail "a call without a key was answered"
has 'carries no key' said
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=granary \
    -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost \
    -keyout /etc/ssl/private/granary.key -out /etc/ssl/certs/granary.pem 2> /dev/null
cat > $drop_ins/tls.conf << 'END'
[Service]
LoadCredential=tls.pem:/etc/ssl/certs/granary.pem
LoadCredential=tls.key:/etc/ssl/private/granary.key
Environment=GRANARY_TLS_CERT=%d/tls.pem GRANARY_TLS_KEY=%d/tls.key
END
echo GRANARY_LISTEN=0.0.0.0:8443 >> /etc/default/granary
must systemctl daemon-reload
must systemctl restart granary
# The smallest Debian knows no names.
grep --quiet localhost /etc/hosts 2> /dev/null || echo '127.0.0.1 localhost' >> /etc/hosts
export GRANARY_SERVER=https://localhost:8443 GRANARY_CA_FILE=/etc/ssl/certs/granary.pem
export GRANARY_KEY_FILE=admin.key
must doe > said

step a port below 1024
cat > $drop_ins/port.conf << 'END'
[Service]
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
PrivateUsers=no
END
echo GRANARY_LISTEN=0.0.0.0:443 >> /etc/default/granary
must systemctl daemon-reload
must systemctl restart granary
export GRANARY_SERVER=https://localhost
must doe > said

step upgrade
before=$(pid)
must dpkg --install granary.deb
must other_pid "$before"
must doe > said
has '^GRANARY_LISTEN=0.0.0.0:443$' /etc/default/granary

step stop
must systemctl stop granary
must [ "$(systemctl show --property=Result --value granary)" = success ]
must [ "$(systemctl show --property=ExecMainStatus --value granary)" = 0 ]
journalctl --output=cat --unit=granary > said
has '^ *Stopped' said
runuser -u granary -- granary key create --role reader --data /var/lib/granary/data > reader.key || fail "no key"
must systemctl start granary
export GRANARY_KEY_FILE=reader.key
must doe > said

step remove
before=$(pid)
dpkg --remove granary > said 2>&1 || fail "remove: $(cat said)"
has 'the records stay in /var/lib/granary' said
must_not [ -d /proc/"$before" ]
must_not [ -e /usr/bin/granary ]
must [ -d /var/lib/granary/data ]
must [ -e /etc/default/granary ]

step purge
dpkg --purge granary > said 2>&1 || fail "purge: $(cat said)"
has 'removing /var/lib/granary with all records' said
must_not [ -e /var/lib/granary ]
must_not [ -e /etc/default/granary ]
step done
