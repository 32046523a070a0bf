#!/bin/sh
# Trigon agent installer. Everything runs from main() on the last line, so that a download cut short does nothing.
#
#   --token TOKEN   the one-time enrollment token (needed to enroll)
#   --upgrade       bring the program of this enrolled node to the console's version; "trigon-agent upgrade" does it
#   --name NAME     this node's name; default: the token's, else the host name
#   --no-service    install and enroll, but start nothing
#   --no-packages   install no package of the distribution: a director of a pair needs keepalived
#   --dry-run       run every check, change nothing
#
# Exit codes: 0 done · 2 usage · 10 not root · 11 system or architecture · 12 kernel module · 13 tools · 14 console unreachable ·
# 15 certificate · 16 agent port · 17 token · 18 service manager · 19 Node runtime · 30 download · 31 checksum · 32 program does not
# run · 33 enrollment · 34 service did not start.
set -eu

main() {
  VERSION='{{VERSION}}'
  CONSOLE_URL='{{CONSOLE_URL}}'
  AGENT_URL='{{AGENT_URL}}'
  BUNDLE_SHA256='{{BUNDLE_SHA256}}'
  NODE_SHA256_X64='{{NODE_SHA256_X64}}'
  NODE_SHA256_ARM64='{{NODE_SHA256_ARM64}}'
  CA_PEM='{{CA_PEM}}'
  PREFIX=/opt/trigon
  STATE="${TRIGON_STATE:-/var/lib/trigon}"
  UNIT=/etc/systemd/system/trigon-agent.service
  COMMAND=/usr/local/bin/trigon-agent
  console_host=${CONSOLE_URL#https://}
  console_host=${console_host%%/*}
  agent_host=${AGENT_URL#https://}
  agent_host=${agent_host%%/*}

  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  export PATH LC_ALL=C
  umask 077
  failed=0
  failures=''
  role=''
  staging=''
  work=''
  read_arguments "$@"

  printf 'Trigon agent installer %s\n' "$VERSION"
  work=$(mktemp -d)
  trap clean_up EXIT
  trap 'exit 130' INT TERM HUP
  printf '%s\n' "$CA_PEM" >"$work/ca.pem"

  check_root
  check_system
  check_downloader
  check_authority
  check_console
  check_token
  check_modules
  check_tools
  check_keepalived
  check_agent_port
  check_runtime
  check_service_manager
  if [ "$failed" -ne 0 ]; then
    tell_console preflightFailed "$failures"
    printf '\nNothing was changed. Fix the above and run the same line again.\n' >&2
    exit "$failed"
  fi
  announce
  if [ "$dry_run" = yes ]; then
    printf '  dry run: nothing was changed\n'
    exit 0
  fi

  install_keepalived
  download_program
  [ "$upgrade" = yes ] || enroll
  install_program
  start_service
  printf '  upgrade any time: sudo trigon-agent upgrade · remove: sudo trigon-agent uninstall\n'
}

read_arguments() {
  token=''
  upgrade=no
  name=''
  service=yes
  packages=yes
  dry_run=no
  while [ $# -gt 0 ]; do
    case $1 in
      --token) [ $# -ge 2 ] || usage '--token needs a value'; token=$2; shift ;;
      --token=*) token=${1#*=} ;;
      --name) [ $# -ge 2 ] || usage '--name needs a value'; name=$2; shift ;;
      --name=*) name=${1#*=} ;;
      --upgrade) upgrade=yes ;;
      --no-service) service=no ;;
      --no-packages) packages=no ;;
      --dry-run) dry_run=yes ;;
      *) usage "unknown argument: $1" ;;
    esac
    shift
  done
  if [ "$upgrade" = yes ]; then
    [ -z "$token$name" ] || usage 'a node that is upgraded keeps its identity: neither --token nor --name'
    # Who starts the agent without systemd restarts it, too.
    [ -e "$UNIT" ] || service=no
    return 0
  fi
  [ -n "$token" ] || usage 'a token is needed'
  case $token in
    trg1.*) ;;
    *) usage 'this is not an enrollment token: it begins with trg1.' ;;
  esac
  case ${token#trg1.} in
    *[!A-Za-z0-9_-]* | '') usage 'this is not an enrollment token: characters are missing or wrong' ;;
  esac
  case $name in
    *[\"\\]*) usage 'a name has neither quotes nor backslashes' ;;
  esac
}

usage() {
  printf 'install.sh: %s\nusage: sh -s -- --token TOKEN|--upgrade [--name NAME] [--no-service] [--no-packages] [--dry-run]\n' "$1" >&2
  exit 2
}

clean_up() {
  [ -z "$work$staging" ] || rm -rf ${work:+"$work"} ${staging:+"$staging"}
}

ok() { printf '  ✓ %-16s %s\n' "$1" "$2"; }
note() { printf '  ! %-16s %s\n' "$1" "$2"; }
step() { printf '  → %-16s %s\n' "$1" "$2"; }

# fail CODE WHAT DETAIL FIX: says it, remembers the first code, goes on checking.
fail() {
  printf '  ✗ %-16s %s [%s]\n' "$2" "$3" "$1" >&2
  printf '    %-16s %s\n' 'fix:' "$4" >&2
  [ "$failed" -ne 0 ] || failed=$1
  failures="${failures:+$failures; }$2: $3"
}

# stop CODE WHAT DETAIL FIX: for what goes wrong after the checks.
stop() {
  fail "$@"
  tell_console preflightFailed "$failures"
  exit "$1"
}

check_root() {
  if [ "$(id -u)" -eq 0 ]; then
    ok root ''
  else
    fail 10 root 'this needs root' 'put sudo before sh in the line'
  fi
}

check_system() {
  system=$(uname -srm) # Linux 6.1.0-18-amd64 x86_64
  machine=${system##* }
  release=${system#* }
  release=${release%% *}
  case $machine in
    x86_64 | amd64) arch=x64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) arch='' ;;
  esac
  if [ "${system%% *}" != Linux ]; then
    fail 11 system "${system%% *} has no IPVS" 'use a Linux machine'
  elif [ -z "$arch" ]; then
    fail 11 architecture "$machine is not supported" 'use an x86_64 or aarch64 machine'
  else
    ok system "Linux $release, $machine"
  fi
}

check_downloader() {
  downloader=''
  if command -v curl >/dev/null 2>&1; then
    downloader=curl
  elif command -v wget >/dev/null 2>&1 && wget --help 2>&1 | grep -q -- --ca-certificate; then
    downloader=wget
  else
    fail 13 download 'neither curl nor GNU wget is here' "$(install_line curl)"
  fi
  for tool in tar gzip sha256sum sed; do
    command -v "$tool" >/dev/null 2>&1 || fail 13 tools "$tool is missing" "$(install_line "$tool")"
  done
}

# request OUTPUT URL [BODY]: sets http_status ('000' when there was no answer) and tls_error (yes when the certificate is not ours).
request() {
  http_status=000
  tls_error=no
  case $downloader in
    curl)
      if [ $# -gt 2 ]; then
        set -- "$1" "$2" -H 'content-type: application/json' --data-binary "@$3"
      fi
      out=$1 url=$2
      shift 2
      code=0
      http_status=$(curl -sS --proto '=https' --cacert "$work/ca.pem" --connect-timeout 5 --max-time 300 -o "$out" \
        -w '%{http_code}' "$@" "$url" </dev/null 2>"$work/error") || code=$?
      # 35, 51, 60, 77: the handshake failed or the certificate is not signed by our CA
      case $code in 51 | 60 | 77) tls_error=yes ;; esac
      ;;
    wget)
      if [ $# -gt 2 ]; then
        set -- "$1" "$2" --header 'content-type: application/json' --post-file "$3"
      fi
      out=$1 url=$2
      shift 2
      code=0
      wget -nv -S --content-on-error --ca-certificate "$work/ca.pem" --max-redirect 0 --tries 1 --connect-timeout 5 \
        --read-timeout 300 -O "$out" "$@" "$url" </dev/null 2>"$work/error" || code=$?
      http_status=$(sed -n 's|^ *HTTP/[0-9.]* \([0-9]*\).*|\1|p' "$work/error" | tail -n 1)
      [ -n "$http_status" ] || http_status=000
      if [ "$code" -eq 5 ]; then tls_error=yes; fi
      ;;
    *) return 0 ;;
  esac
}

# The token names the CA it was made under: a script of one appliance with a token of another stops here.
check_authority() {
  console=down
  command -v base64 >/dev/null 2>&1 || {
    fail 13 tools 'base64 is missing' "$(install_line coreutils)"
    return 0
  }
  actual=$(certificate_digest "$work/ca.pem")
  if [ "$upgrade" = yes ]; then
    if ! is_enrolled; then
      console=unknown
      fail 17 identity 'this machine is no node' 'enroll it with a line from the console'
    elif [ "$(certificate_digest "$STATE/identity/ca.pem")" != "$actual" ]; then
      console=unknown
      fail 15 identity 'this node belongs to another appliance than this script' 'run: trigon-agent upgrade'
    fi
    return 0
  fi
  encoded=${token#trg1.}
  while :; do
    case $encoded in
      *-*) encoded=${encoded%%-*}+${encoded#*-} ;;
      *_*) encoded=${encoded%%_*}/${encoded#*_} ;;
      *) break ;;
    esac
  done
  while [ $((${#encoded} % 4)) -ne 0 ]; do encoded="$encoded="; done
  base64 -d >"$work/token.json" 2>/dev/null <<END || true
$encoded
END
  json_field caSha256 "$work/token.json"
  expected=$value
  if [ -z "$expected" ]; then
    console=unknown
    fail 17 token 'it cannot be read' 'copy the whole line again from the console'
  elif [ "$expected" != "$actual" ]; then
    console=unknown
    fail 15 token 'it belongs to another appliance than this script' 'copy the whole line again from the console'
  fi
}

# certificate_digest FILE: SHA-256 of the first certificate, in hex.
certificate_digest() {
  digest=$(sed -n '/-----END/q; /-----/!p' "$1" | base64 -d 2>/dev/null | sha256sum)
  printf '%s' "${digest%% *}"
}

# Its answer says what the token is for: check_token reads it.
check_console() {
  [ -n "$downloader" ] && [ "$console" = down ] || return 0
  if [ "$upgrade" = yes ]; then
    request "$work/answer" "$CONSOLE_URL/enroll/install.sh"
  else
    say_progress preflight ''
  fi
  if [ "$tls_error" = yes ]; then
    fail 15 console "$console_host shows a certificate of another authority" \
      'somebody may be in between, or this line is of another appliance: copy a new one from the console'
  elif [ "$http_status" = 000 ]; then
    fail 14 console "$console_host does not answer: $(tail -n 1 "$work/error")" \
      'check name resolution and firewalls between this machine and the console'
  else
    console=up
    ok console "$console_host (certificate matches)"
  fi
}

# json_field NAME FILE: sets value to a string member of a flat JSON text; '' when there is none. Starts no program: each takes its time.
json_field() {
  value=''
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      *"\"$1\""*)
        line=${line#*"\"$1\""}
        line=${line#"${line%%[! :]*}"}
        case $line in
          '"'*'"'*)
            value=${line#'"'}
            value=${value%%'"'*}
            ;;
        esac
        return 0
        ;;
    esac
  done <"$2"
}

json_text() {
  printf '%s' "$1" | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g'
}

# tell_console STAGE MESSAGE: what the waiting row in the console shows.
tell_console() {
  [ "$console" = up ] && [ "$upgrade" = no ] || return 0
  say_progress "$1" "$2"
}

say_progress() {
  text=''
  [ -z "$2" ] || text=$(json_text "$2")
  printf '{"token":"%s","stage":"%s","message":"%s"}' "$token" "$1" "$text" >"$work/progress.json"
  request "$work/answer" "$CONSOLE_URL/enroll/v1/progress" "$work/progress.json"
}

is_enrolled() { [ -s "$STATE/identity/enrollment.json" ]; }

check_token() {
  [ "$console" = up ] || return 0
  if [ "$upgrade" = yes ]; then
    json_field role "$STATE/identity/enrollment.json"
    role=$value
    json_field name "$STATE/identity/enrollment.json"
    ok identity "$value, a $(role_words)"
    return 0
  fi
  json_field role "$work/answer"
  role=$value
  json_field code "$work/answer"
  refused=$value
  if [ "$http_status" = 200 ]; then
    ok token "for a $(role_words)"
  elif [ "$refused" = token.used ] && is_enrolled; then
    ok token 'used by this machine before: its identity is kept'
  else
    case $refused in
      token.used) fail 17 token 'it was used already' 'create a new one in the console: Nodes, Enroll' ;;
      token.expired) fail 17 token 'it has expired' 'create a new one in the console: Nodes, Enroll' ;;
      token.revoked) fail 17 token 'it was revoked' 'create a new one in the console: Nodes, Enroll' ;;
      token.invalid) fail 17 token 'the console does not know it' 'copy the whole line again from the console' ;;
      *) fail 17 token "the console could not check it (HTTP $http_status)" 'try again; see the log of the controller' ;;
    esac
  fi
}

role_words() {
  case $role in
    director) printf director ;;
    realServer) printf 'real server' ;;
    *) printf node ;;
  esac
}

# has_module NAME: loaded, built in or loadable. Loads nothing.
has_module() {
  [ -d "/sys/module/$1" ] && return 0
  case $1 in
    ip_vs) [ -e /proc/net/ip_vs ] && return 0 ;;
    ipip) [ -d /proc/sys/net/ipv4/conf/tunl0 ] && return 0 ;;
  esac
  modprobe -n -q "$1" >/dev/null 2>&1 && return 0
  modinfo "$1" >/dev/null 2>&1 && return 0
  grep -q "/$1\.ko" "/lib/modules/$release/modules.builtin" 2>/dev/null
}

check_modules() {
  need='' wish=''
  case $role in
    director) need='ip_vs' wish='ip_vs_rr ip_vs_wrr ip_vs_wlc ip_vs_sh ip_vs_mh' ;;
    realServer) wish='ipip' ;;
  esac
  missing=''
  for module in $need; do
    has_module "$module" || missing="${missing:+$missing }$module"
  done
  if [ -n "$missing" ]; then
    fail 12 'kernel modules' "$missing: not in Linux $release" "$(kernel_line)"
  elif [ -n "$need" ]; then
    ok 'kernel modules' "$need"
  fi
  for module in $wish; do
    has_module "$module" || note 'kernel modules' "$module is missing: $(without "$module")"
  done
}

without() {
  case $1 in
    ipip) printf 'no Tunnel service can end here (DR, NAT and full NAT can)' ;;
    *) printf 'services with the scheduler %s cannot run here' "${1#ip_vs_}" ;;
  esac
}

kernel_line() {
  if command -v apt-get >/dev/null 2>&1; then
    printf 'apt-get install linux-image-amd64 (Ubuntu: linux-image-generic), then boot it; a container cannot be a director'
  elif command -v dnf >/dev/null 2>&1; then
    printf 'dnf install kernel-modules-core kernel-modules, then boot that kernel'
  else
    printf 'boot a kernel with CONFIG_IP_VS'
  fi
}

# install_line TOOL…: the one line that brings them on this distribution.
install_line() {
  names=''
  for wanted in "$@"; do
    case $wanted in
      modprobe) package=kmod ;;
      iptables) if command -v dnf >/dev/null 2>&1; then package=iptables-nft; else package=iptables; fi ;;
      arping) if command -v apt-get >/dev/null 2>&1; then package=iputils-arping; else package=iputils; fi ;;
      sha256sum) package=coreutils ;;
      *) package=$wanted ;;
    esac
    names="$names $package"
  done
  if command -v apt-get >/dev/null 2>&1; then
    printf 'apt-get install -y%s' "$names"
  elif command -v dnf >/dev/null 2>&1; then
    printf 'dnf install -y%s' "$names"
  elif command -v yum >/dev/null 2>&1; then
    printf 'yum install -y%s' "$names"
  elif command -v zypper >/dev/null 2>&1; then
    printf 'zypper install -y%s' "$names"
  else
    printf 'install:%s' "$names"
  fi
}

check_tools() {
  case $role in
    director) tools='modprobe iptables arping' ;;
    *) tools='modprobe iptables' ;;
  esac
  missing=''
  for tool in $tools; do
    command -v "$tool" >/dev/null 2>&1 || missing="${missing:+$missing }$tool"
  done
  if [ -n "$missing" ]; then
    # shellcheck disable=SC2086 # a list of words
    fail 13 tools "missing: $missing" "$(install_line $missing)"
  else
    ok tools "$tools"
  fi
}

# Only a group in mode vrrp needs it, so that a director without it is no failure. The agent runs one of its own, by its own configuration.
check_keepalived() {
  bring_keepalived=no
  [ "$role" = director ] || return 0
  if command -v keepalived >/dev/null 2>&1; then
    ok keepalived 'is here, for pairs of directors'
    if [ -s /etc/keepalived/keepalived.conf ] && systemctl is-active keepalived.service </dev/null >/dev/null 2>&1; then
      note keepalived 'one of your own is running (keepalived.service): it stays as it is'
    fi
  elif [ "$packages" = yes ] && command -v apt-get >/dev/null 2>&1; then
    bring_keepalived=yes
    ok keepalived 'comes by apt-get, for pairs of directors'
  else
    note keepalived "is missing: this director cannot be one of a pair; $(keepalived_line)"
  fi
}

keepalived_line() {
  if command -v apt-get >/dev/null 2>&1; then
    printf 'apt-get install -y --no-install-recommends keepalived'
  else
    install_line keepalived
  fi
}

# The package would start a service of its own: masked meanwhile and not enabled after, since the agent runs keepalived itself.
install_keepalived() {
  brought=no
  [ "$bring_keepalived" = yes ] || return 0
  systemctl mask --runtime keepalived.service </dev/null >/dev/null 2>&1 || true
  if apt_install || { apt-get update </dev/null >/dev/null 2>&1 && apt_install; }; then
    brought=yes
    systemctl disable keepalived.service </dev/null >/dev/null 2>&1 || true
  fi
  systemctl unmask --runtime keepalived.service </dev/null >/dev/null 2>&1 || true
  if [ "$brought" = yes ]; then
    ok keepalived "installed; its own service is off ($(command -v keepalived))"
  else
    # Everything but a pair works without it.
    note keepalived "could not be installed ($(tail -n 1 "$work/error")): for a pair run: $(keepalived_line)"
  fi
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends keepalived </dev/null >/dev/null 2>"$work/error"
}

# Without a client certificate the agent port hangs up after its own handshake: reached, and its certificate was checked.
check_agent_port() {
  [ -n "$downloader" ] || return 0
  case $downloader in
    curl)
      code=0
      curl -sS --proto '=https' --cacert "$work/ca.pem" --connect-timeout 5 --max-time 10 -o /dev/null "$AGENT_URL/" \
        </dev/null 2>"$work/error" || code=$?
      case $code in
        5 | 6 | 7 | 28) reached=no ;;
        51 | 60 | 77) reached=foreign ;;
        *) reached=yes ;;
      esac
      ;;
    *)
      wget --ca-certificate "$work/ca.pem" --tries 1 --timeout 5 -O /dev/null "$AGENT_URL/" </dev/null 2>"$work/error" || true
      if grep -Eq 'cannot verify|not trusted|known issuer|does not match' "$work/error"; then
        reached=foreign
      elif grep -q connected "$work/error"; then
        reached=yes
      else
        reached=no
      fi
      ;;
  esac
  case $reached in
    yes) ok 'agent port' "$agent_host" ;;
    foreign) fail 15 'agent port' "$agent_host shows a certificate of another authority" 'check what is between this machine and the console' ;;
    *) fail 16 'agent port' "$agent_host does not answer: $(tail -n 1 "$work/error")" "open $agent_host (TCP) in the firewalls between" ;;
  esac
}

# suitable_node: a Node of 20.19 or newer where a service finds it.
suitable_node() {
  command -v node >/dev/null 2>&1 || return 1
  node_version=$(node --version 2>/dev/null </dev/null) || return 1
  node_major=${node_version#v}
  node_minor=${node_major#*.}
  node_major=${node_major%%.*}
  node_minor=${node_minor%%.*}
  [ "$node_major" -gt 20 ] || { [ "$node_major" -eq 20 ] && [ "$node_minor" -ge 19 ]; }
}

check_runtime() {
  bring_node=no
  node_sha256=''
  if suitable_node; then
    ok 'Node runtime' "$node_version is here"
    return 0
  fi
  case $arch in
    x64) node_sha256=$NODE_SHA256_X64 ;;
    arm64) node_sha256=$NODE_SHA256_ARM64 ;;
  esac
  if [ -z "$node_sha256" ]; then
    fail 19 'Node runtime' "the console has none for ${machine:-this machine}" 'install Node 20.19 or newer under /usr or /usr/local'
  elif [ -e /lib/ld-musl-x86_64.so.1 ] || [ -e /lib/ld-musl-aarch64.so.1 ]; then
    fail 19 'Node runtime' 'the one the console brings needs glibc' 'install nodejs 20.19 or newer from your distribution'
  else
    bring_node=yes
    ok 'Node runtime' "comes from the console, under $PREFIX/node"
  fi
}

check_service_manager() {
  [ "$service" = yes ] || return 0
  if command -v systemctl >/dev/null 2>&1; then
    ok systemd ''
  else
    fail 18 systemd 'systemctl is not here' 'add --no-service and start "trigon-agent run" with your own service manager'
  fi
}

announce() {
  if [ "$service" = yes ]; then
    step 'will install' "$PREFIX, $COMMAND, trigon-agent.service"
  else
    step 'will install' "$PREFIX, $COMMAND (no service)"
  fi
  [ "$bring_keepalived" = no ] || step '' 'keepalived, by apt-get (--no-packages: not)'
  if [ "$upgrade" = yes ]; then
    step '' 'the agent starts anew; what it set up stays, and traffic goes on'
  else
    step '' 'enrolling by itself changes no network setting'
  fi
}

# download NAME SHA256: into the staging folder, checked.
download() {
  request "$staging/$1" "$CONSOLE_URL/enroll/$1"
  [ "$http_status" = 200 ] || stop 30 download "$1: HTTP $http_status $(tail -n 1 "$work/error")" 'run the same line again'
  printf '%s  %s\n' "$2" "$staging/$1" | sha256sum -c - >/dev/null 2>&1 ||
    stop 31 download "$1 is not the file this script was made for" 'copy the line again from the console: a newer version was installed there'
}

download_program() {
  [ -d "${PREFIX%/*}" ] || mkdir -p "${PREFIX%/*}"
  staging=$(mktemp -d "${PREFIX%/*}/.trigon-install.XXXXXX")
  chmod 755 "$staging"
  download agent.tgz "$BUNDLE_SHA256"
  (umask 022 && mkdir "$staging/program" && tar -xzf "$staging/agent.tgz" -C "$staging/program")
  if [ "$bring_node" = yes ]; then
    download "node-$arch.tar.gz" "$node_sha256"
    (umask 022 && mkdir -p "$staging/program/node" && tar -xzf "$staging/node-$arch.tar.gz" -C "$staging/program/node")
    "$staging/program/node/bin/node" --version >/dev/null 2>"$work/error" </dev/null ||
      stop 32 'Node runtime' "does not run here: $(tail -n 1 "$work/error")" 'install Node 20.19 or newer from your distribution'
  fi
  [ -x "$staging/program/bin/trigon-agent" ] || stop 32 program 'the bundle holds no bin/trigon-agent' 'build the agent again on the console'
}

enroll() {
  set -- enroll --url "$CONSOLE_URL" --token "$token" --ca "$work/ca.pem"
  [ -z "$name" ] || set -- "$@" --name "$name"
  if ! PATH="$staging/program/node/bin:$PATH" TRIGON_STATE="$STATE" "$staging/program/bin/trigon-agent" "$@" \
    >"$work/enrolled" 2>"$work/error" </dev/null; then
    sed 's/^/    /' "$work/error" >&2
    stop 33 enroll "$(tail -n 1 "$work/error")" 'create a new token in the console and run its line'
  fi
  record="$STATE/identity/enrollment.json"
  json_field name "$record"
  enrolled=$value
  json_field nodeId "$record"
  ok "enrolled as" "$enrolled ($value)   open $CONSOLE_URL/nodes/$value"
}

install_program() {
  [ ! -e "$PREFIX.old" ] || rm -rf "$PREFIX.old"
  [ ! -e "$PREFIX" ] || mv "$PREFIX" "$PREFIX.old"
  mv "$staging/program" "$PREFIX"
  [ ! -e "$PREFIX.old" ] || rm -rf "$PREFIX.old"
  cp "$work/ca.pem" "$PREFIX/ca.pem"
  chmod 644 "$PREFIX/ca.pem"
  [ -d "${COMMAND%/*}" ] || mkdir -p "${COMMAND%/*}"
  ln -sfn "$PREFIX/bin/trigon-agent" "$COMMAND"
  # Uninstalling tells of it: by then it may be somebody else's tool, too.
  [ "$brought" = no ] || printf 'keepalived\n' >"$STATE/installed-packages"
  ok installed "$PREFIX, $COMMAND"
}

start_service() {
  if [ "$service" = no ]; then
    if [ "$upgrade" = yes ]; then
      step 'not restarted' 'restart "trigon-agent run" where you start it'
    else
      step 'not started' 'start it with: sudo trigon-agent run'
    fi
    return 0
  fi
  [ -d "${UNIT%/*}" ] || mkdir -p "${UNIT%/*}"
  known=no
  [ ! -e "$UNIT" ] || known=yes
  cat >"$UNIT" <<'TRIGON_UNIT'
{{UNIT}}
TRIGON_UNIT
  chmod 644 "$UNIT"
  if [ "$known" = no ]; then
    # To enable a unit reads it.
    systemctl enable --now trigon-agent.service </dev/null >/dev/null 2>"$work/error" ||
      stop 34 service "$(tail -n 1 "$work/error")" 'systemctl status trigon-agent'
  else
    systemctl daemon-reload </dev/null >/dev/null 2>&1 || true
    systemctl enable trigon-agent.service </dev/null >/dev/null 2>"$work/error" ||
      stop 34 service "$(tail -n 1 "$work/error")" 'systemctl status trigon-agent'
    systemctl restart trigon-agent.service </dev/null >/dev/null 2>"$work/error" ||
      stop 34 service "$(tail -n 1 "$work/error")" 'journalctl -u trigon-agent'
  fi
  tries=0
  until systemctl is-active trigon-agent.service </dev/null >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 10 ] || stop 34 service 'trigon-agent.service does not stay up' 'journalctl -u trigon-agent'
    sleep 1
  done
  ok service 'trigon-agent.service is running and starts at boot'
}

main "$@"
