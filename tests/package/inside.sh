#!/bin/bash
# Run in a Debian that has booted with systemd and has nothing of Adit: what the package does from its installation to its purge.
# Prints a line for each thing that holds; ends with 1 at the first that does not.
set -uo pipefail

OLD=/root/old.deb NEW=/root/new.deb
ADDRESS=bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk
CONFIG=/etc/adit

holds() { printf 'ok   %s\n' "$*"; }
fails() {
  printf 'FAIL %s\n' "$*"
  journalctl --no-pager -o cat -n 40 -u 'adit-*' 2>&1 | sed 's/^/  | /'
  exit 1
}
# check WHAT COMMAND...
check() {
  local what=$1
  shift
  "$@" >/root/output 2>&1 && holds "$what" || { sed 's/^/  | /' /root/output; fails "$what"; }
}
# until_holds SECONDS WHAT COMMAND...
until_holds() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  while ! "$@" >/root/output 2>&1; do
    [ "$SECONDS" -lt "$end" ] || { sed 's/^/  | /' /root/output; fails "$what"; }
    sleep 0.2
  done
  holds "$what"
}
is_active() { systemctl is-active -q "adit-$1"; }
is_inactive() { ! is_active "$1"; }
logged() { journalctl --no-pager -o cat -u "adit-$1" | grep -q -- "$2"; }
of_unit() { systemctl show -P "$2" "adit-$1"; }
# share URL SECONDS: whether a miner has a share accepted there within that time.
share() {
  local pid end=$((SECONDS + $2)) found=1
  adit --log-level debug miner "$1" --user "$ADDRESS.lab" --nominal-hash-rate 1000 >/root/miner.log 2>&1 &
  pid=$!
  while [ "$SECONDS" -lt "$end" ]; do
    grep -q miner.share_accepted /root/miner.log && { found=0; break; }
    sleep 0.2
  done
  kill "$pid"
  wait "$pid" 2>/dev/null
  [ "$found" -eq 0 ] || tail -n 5 /root/miner.log
  return "$found"
}
url() { adit url -c "$1" | grep -o "$2://[^ ]*" | head -n 1; }

export LANG=C.UTF-8
check 'the version before is installed' dpkg -i "$OLD"
check 'the program says its version' adit --version
check 'its user is there' getent passwd adit
for role in pool jd-server jd-client template translator relay; do
  check "without a configuration adit-$role is not started" sh -c "systemctl start adit-$role && ! systemctl is-active -q adit-$role"
done

# A pool of one's own: two commands.
begun=$(date +%s%N)
check 'a configuration is made' adit init pool --address $ADDRESS --node embedded --relay none --listen 0.0.0.0:3333 --monitoring 127.0.0.1:9090 --out $CONFIG/pool-config.toml
check 'the pool is started, and says that it serves' systemctl enable --now adit-pool
until_holds 10 'the chain gives it work' logged pool 'event=pool.templates state=ready'
tcp=$(url $CONFIG/pool-config.toml stratum2+tcp)
iroh=$(url $CONFIG/pool-config.toml stratum2+iroh)
check 'a share is accepted over TCP' share "$tcp" 60
holds "from the first command to the first accepted share: $((($(date +%s%N) - begun) / 1000000)) ms"
check 'a share is accepted over iroh' share "$iroh" 60
check 'it runs as its own user' [ "$(stat -c %U "/proc/$(of_unit pool MainPID)")" = adit ]
check 'nobody else can look into its folder' [ "$(stat -Lc '%U %a' /var/lib/adit/pool)" = 'adit 700' ]
check 'its key is root'"'"'s alone' [ "$(stat -c '%U %a' $CONFIG/authority.key)" = 'root 600' ]

# The watchdog ends what hangs, and systemd starts it again.
mkdir -p /run/systemd/system/adit-pool.service.d
printf '[Service]\nWatchdogSec=3\n' >/run/systemd/system/adit-pool.service.d/test.conf
systemctl daemon-reload
systemctl restart adit-pool
sleep 7
check 'a pool that answers stays' [ "$(of_unit pool NRestarts)" = 0 ]
pid=$(of_unit pool MainPID)
kill -STOP "$pid"
restarted() { [ "$(of_unit pool NRestarts)" -ge 1 ] && is_active pool && [ "$(of_unit pool MainPID)" != "$pid" ]; }
until_holds 40 'a pool that hangs is ended and started again' restarted
rm -r /run/systemd/system/adit-pool.service.d
systemctl daemon-reload
check 'the same address as before works' share "$iroh" 60

# The farm's door: one more unit, by the pool's URL.
check 'a translator is configured by the URL' adit init translator --url "$iroh" --user $ADDRESS --listen 0.0.0.0:34255 --hash-rate 1_000.0 --monitoring 127.0.0.1:9092 --out $CONFIG/tproxy-config.toml
check 'the translator is started' systemctl enable --now adit-translator
check 'a share of a Stratum V1 miner is accepted' share stratum+tcp://127.0.0.1:34255 60

# The others, each in its own sandbox.
check 'a template provider is configured' adit init template --network regtest --node embedded --relay none --listen 0.0.0.0:8442 --monitoring 127.0.0.1:9093 --out $CONFIG/template-config.toml
check 'the template provider is started' systemctl enable --now adit-template
until_holds 10 'its chain gives it work' logged template 'state=ready'
check 'a relay is configured' adit init relay --http 0.0.0.0:80 --https none --out $CONFIG/relay.toml
check 'the relay is started, on a port of root' systemctl enable --now adit-relay
# On Bitcoin Core, if it is here: the pool's declarator by itself, and a job declarator client that declares to it.
if [ -x /opt/bitcoin/bitcoin-node ]; then
  useradd --system --user-group bitcoin
  cat >/etc/systemd/system/bitcoind.service <<'END'
[Service]
User=bitcoin
StateDirectory=bitcoin
RuntimeDirectory=bitcoin
RuntimeDirectoryMode=0750
Environment=LD_LIBRARY_PATH=/opt/bitcoin
ExecStart=/opt/bitcoin/bitcoin-node -regtest -datadir=/var/lib/bitcoin -rpccookiefile=/run/bitcoin/cookie -rpccookieperms=group -listen=0
END
  for role in pool jd-server jd-client; do
    mkdir -p /etc/systemd/system/adit-$role.service.d
    printf '[Service]\nSupplementaryGroups=bitcoin\n' >/etc/systemd/system/adit-$role.service.d/node.conf
  done
  systemctl daemon-reload
  check 'Bitcoin Core is started' systemctl start bitcoind
  until_holds 30 'it has its cookie' [ -s /run/bitcoin/cookie ]
  # with_cookie FILE: a configuration names the node's cookie.
  with_cookie() { sed -i '/^\[template_provider_type.BitcoinRpc\]/a cookie_file = "/run/bitcoin/cookie"' "$1" && grep -q cookie_file "$1"; }
  rm $CONFIG/pool-config.toml
  check 'the pool is configured for the node' adit init pool --address $ADDRESS --node http://127.0.0.1:18443 --relay none --listen 0.0.0.0:3333 --monitoring 127.0.0.1:9090 --out $CONFIG/pool-config.toml
  check 'by its cookie' with_cookie $CONFIG/pool-config.toml
  check 'a key for the tokens is made' adit keys token --out $CONFIG/jds.key
  printf '[jds]\nlisten_address = "0.0.0.0:3334"\ntoken_key_file = "%s"\n' $CONFIG/jds.key >>$CONFIG/pool-config.toml
  check 'the pool restarts' systemctl restart adit-pool
  until_holds 20 'the node gives it work' logged pool 'event=pool.templates state=ready message="" height=1'
  check 'a share is accepted' share "$iroh" 60
  check 'its declarator is started' systemctl enable --now adit-jd-server
  declarator=$(adit url --role jd-server -c $CONFIG/pool-config.toml | grep -o 'stratum2+iroh://[^ ]*')
  check 'a job declarator client is configured' adit init jd-client --pool-url "$iroh" --jds-url "$declarator" --user $ADDRESS --address $ADDRESS --node http://127.0.0.1:18443 --out $CONFIG/jdc-config.toml
  check 'by the cookie' with_cookie $CONFIG/jdc-config.toml
  check 'the job declarator client is started' systemctl enable --now adit-jd-client
  until_holds 30 'the pool takes its work' logged jd-client jd_client.pool_work
  check 'a share is accepted there' share "$(url $CONFIG/jdc-config.toml stratum2+tcp)" 60
  check 'the wrong group cannot read the cookie' bash -c "rm /etc/systemd/system/adit-pool.service.d/node.conf && systemctl daemon-reload && adit doctor -c $CONFIG/pool-config.toml >/dev/null; systemctl restart adit-pool; sleep 2; journalctl -o cat -u adit-pool | grep -q 'runs as adit'"
  printf '[Service]\nSupplementaryGroups=bitcoin\n' >/etc/systemd/system/adit-pool.service.d/node.conf
  systemctl daemon-reload
  systemctl restart adit-pool
else
  echo 'skip what needs Bitcoin Core: `./dev interop` builds it'
fi

# Upgraded, stopped, removed, purged.
pid=$(of_unit pool MainPID)
check 'it is upgraded' dpkg -i "$NEW"
renewed() { is_active pool && [ "$(of_unit pool MainPID)" != "$pid" ]; }
until_holds 20 'the pool runs anew' renewed
check 'the configuration is as it was' adit check -c $CONFIG/pool-config.toml
check 'a share is accepted after the upgrade' share "$iroh" 60
check 'the pool is stopped' systemctl stop adit-pool
check 'it ended by itself' [ "$(of_unit pool Result) $(of_unit pool ExecMainStatus)" = 'success 0' ]
check 'no block waits' [ -z "$(find /var/lib/adit/pool -name '*.block')" ]
check 'a configuration that is wrong is not started again and again' bash -c "echo 'nonsense' >>$CONFIG/pool-config.toml; ! systemctl start adit-pool; sleep 3; [ \"\$(systemctl show -P NRestarts adit-pool)\" = 0 ]"
check 'it is removed' dpkg -r adit
for role in pool jd-server jd-client translator template relay; do check "adit-$role has ended" is_inactive $role; done
check 'nothing is left of it in the system' sh -c '! find /usr /etc/systemd -name "*adit*" -not -name "adit-*.service.d" | grep .'
check 'keys and configurations are kept' [ -e $CONFIG/authority.key ]
check 'it is purged' dpkg -P adit
check 'nothing is kept' sh -c '! ls -d /etc/adit /var/lib/adit 2>/dev/null'
echo 'all of it holds'
