# Finds a Debian mirror and makes the SDK root; sourced by `dev`, which brings say, die, supervise, give_back, repo, cache.
# A root is named after what it is made of, is built beside its final name and renamed when complete: a folder with a final
# name is always whole. One lock in the cache lets one `dev` make a root while others wait for it; a second lock, shared by
# everybody inside a root, keeps `clean` from removing it under them.
# shellcheck shell=bash disable=SC2154

readonly kSuite=trixie
readonly kRecipe=2           # counts changes in how a root is made, so that a change makes a new one
readonly kRootNeedsMb=4500   # a finished root takes about 2900, and the packages lie beside it while it is made
readonly kAptHelper=/usr/lib/apt/apt-helper
apt_folder=/etc/apt

packages() { sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$sdk_dir/packages.list" | sort -u; }

root_hash=$({ echo "$kSuite $kRecipe"; packages; } | sha256sum | cut -c 1-12)
root=$cache/sdk-$root_hash

# Whether this machine is a Debian 13 with everything installed; then no root is needed.
native_is_complete() {
  local id='' codename=''
  id=$(. /etc/os-release && echo "${ID:-}")
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  [[ $id == debian && $codename == "$kSuite" ]] || return 1
  local installed
  # shellcheck disable=SC2016
  installed=$(packages | xargs dpkg-query -W -f '${db:Status-Status}\n' 2>/dev/null | grep -cx installed)
  [[ $installed == "$(packages | wc -l)" ]]
}

can_unshare() {
  # shellcheck disable=SC2016
  unshare --mount --propagation private --pid --fork bash -c 'mount -t tmpfs nearfield /mnt' 2>/dev/null
}

make_cache_folder() {
  local made=() path=$cache
  while [[ ! -d $path ]]; do made+=("$path"); path=${path%/*}; done
  mkdir -p "$cache" || die "cannot make $cache: set XDG_CACHE_HOME to a folder on a local disk"
  [[ ${#made[@]} -eq 0 || -z ${SUDO_UID:-} ]] || chown "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "${made[@]}"
}

# --- the mirror ----------------------------------------------------------------------------------------------------------

# Prints "address suite components..." for every enabled binary source apt reads, in both of its formats.
apt_sources() {
  local file
  for file in "$apt_folder"/sources.list "$apt_folder"/sources.list.d/*.list; do
    [[ -r $file ]] || continue
    sed -n -E 's/#.*//; s/^[[:space:]]*deb[[:space:]]+(\[[^]]*\][[:space:]]*)?//p' "$file"
  done
  for file in "$apt_folder"/sources.list.d/*.sources; do
    [[ -r $file ]] || continue
    awk '
      function flush(  i, j, u, s) {
        if (value["types"] ~ /(^| )deb( |$)/ && tolower(value["enabled"]) !~ /no|false|0/) {
          split(value["uris"], u); split(value["suites"], s)
          for (i = 1; i in u; i++) for (j = 1; j in s; j++) print u[i], s[j], value["components"]
        }
        split("", value); field = ""
      }
      /^#/ { next }
      /^[ \t]*$/ { flush(); next }
      /^[^ \t:]+:/ { field = tolower(substr($0, 1, index($0, ":") - 1)); $0 = substr($0, index($0, ":") + 1) }
      { gsub(/[ \t]+/, " "); sub(/^ /, ""); sub(/ $/, "")
        value[field] = value[field] (value[field] == "" ? "" : " ") $0 }
      END { flush() }' "$file"
  done
}

# Prints the addresses of sources that may be the archive (`main`) or its security updates (`security`), likeliest first.
mirror_candidates() {
  local kind=$1 address suite components likely=() others=() list
  while read -r address suite components; do
    [[ " $components " == *" main "* ]] || continue
    case $suite in
      *security* | */updates) [[ $kind == security ]] || continue ;;
      *) [[ $kind == main ]] || continue ;;
    esac
    if [[ $address == mirror+file:* ]]; then  # a file of mirrors, as in Debian's cloud images: the first one
      list=${address#mirror+file:}
      address=$(sed -e 's/#.*//' -e 's/[[:space:]].*//' -e '/^$/d' "$list" 2>/dev/null | head -n 1)
    fi
    case $address in
      http*://*debian | http*://*debian/ | http*://*debian-security | http*://*debian-security/) likely+=("$address") ;;
      http://* | https://* | tor+http*://*) others+=("$address") ;;
    esac
  done < <(apt_sources)
  printf '%s\n' "${likely[@]}" "${others[@]}" | sed '/^$/d' | awk '!seen[$0]++' | head -n 8
}

# Whether ADDRESS answers and has SUITE with LABEL. Uses apt's own downloader, hence apt's proxies and certificates.
is_archive() {
  local address=$1 suite=$2 label=$3 folder status=1
  [[ -x $kAptHelper ]] || return 0  # no apt here: mmdebstrap will find out
  folder=$(mktemp -d)
  if "$kAptHelper" -qq -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o APT::Sandbox::User=root \
      download-file "${address%/}/dists/$suite/InRelease" "$folder/InRelease" >/dev/null 2>&1 </dev/null &&
      grep -qx "Label: $label" "$folder/InRelease"; then
    status=0
  fi
  rm -rf "$folder"
  return "$status"
}

find_mirrors() {
  local candidate tried=()
  mirror=
  while read -r candidate; do
    if is_archive "$candidate" "$kSuite" Debian; then mirror=$candidate; break; fi
    tried+=("$candidate")
  done < <(if [[ -n ${NEARFIELD_MIRROR:-} ]]; then echo "$NEARFIELD_MIRROR"; else mirror_candidates main; fi)
  if [[ -z $mirror && ${#tried[@]} -eq 0 ]]; then
    die "apt on this system ($(. /etc/os-release && echo "${PRETTY_NAME:-unknown}")) names no Debian mirror: set" \
      "NEARFIELD_MIRROR to the address of one"
  elif [[ -z $mirror ]]; then
    die "no Debian 13 at ${tried[*]}: check the network and apt's proxy settings, or set NEARFIELD_MIRROR to the" \
      "address of another Debian mirror"
  fi

  security_mirror=
  while read -r candidate; do
    if is_archive "$candidate" "$kSuite-security" Debian-Security; then security_mirror=$candidate; break; fi
  done < <(if [[ -n ${NEARFIELD_SECURITY_MIRROR:-} ]]; then echo "$NEARFIELD_SECURITY_MIRROR"; else
             [[ -n ${NEARFIELD_MIRROR:-} ]] || mirror_candidates security
             echo "${mirror%/}-security"
           fi)
  [[ -n $security_mirror ]] ||
    die "found Debian 13 at $mirror but not its security updates: set NEARFIELD_SECURITY_MIRROR to their address"
}

# The host's apt settings that say how to reach a mirror, one option a line: proxies, certificates, logins, address family.
apt_network_options() {
  command -v apt-config >/dev/null || return 0
  apt-config dump | sed -E '/^Acquire::(http|https|Retries|ForceIPv4|ForceIPv6)(::| )/!d; / "";$/d'
  [[ ! -e /etc/apt/auth.conf ]] || echo 'Dir::Etc::netrc "/etc/apt/auth.conf";'
  [[ ! -d /etc/apt/auth.conf.d ]] || echo 'Dir::Etc::netrcparts "/etc/apt/auth.conf.d";'
}

# --- the root --------------------------------------------------------------------------------------------------------------

# Installs mmdebstrap and keys that know Debian 13 where they are missing.
prepare_host() {
  local need=()
  command -v mmdebstrap >/dev/null || need+=(mmdebstrap)
  compgen -G '/usr/share/keyrings/debian-archive-trixie*' >/dev/null || need+=(debian-archive-keyring)
  [[ ${#need[@]} -gt 0 ]] || return 0
  command -v apt-get >/dev/null ||
    die "needs ${need[*]} and finds no apt to install it with: install it, or use Debian 12 or 13"
  say "installing ${need[*]} with apt"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0)
  # Fresh lists first: an image of last month knows package versions that the mirror no longer has. A source that fails
  # here may be one nobody needs, so only the installation decides.
  "${apt[@]}" update >/dev/null 2>&1 || true
  "${apt[@]}" install --no-install-recommends "${need[@]}" >/dev/null ||
    die "apt could not install ${need[*]}: see its lines above; 'apt-get install ${need[*]}' must work"
}

keyring() {
  local file
  for file in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg}; do
    [[ -e $file ]] && { echo "$file"; return 0; }
  done
  die "no keys of Debian in /usr/share/keyrings: install debian-archive-keyring"
}

# Every 15 s a line, for logs that show no progress bar. Ends with the process that started it.
heartbeat() {
  local folder=$1 started=$SECONDS never parent
  exec {never}<> <(:)  # nothing ever comes out of it: a pause without a `sleep` that would outlive us
  until read -r -t 15 -u "$never"; do
    read -r _ _ _ parent _ <"/proc/$BASHPID/stat"
    [[ $parent == "$$" ]] || return 0
    say "still making the SDK root: $((SECONDS - started)) s, $(du -sm "$folder" 2>/dev/null | cut -f 1) MB"
  done
}

unfinished=
heart=
discard_unfinished() {
  [[ -z $heart ]] || kill "$heart" 2>/dev/null || true
  # Its mounts went with the namespace it was made in; --one-file-system is the belt to those braces.
  [[ -z $unfinished ]] || rm -rf --one-file-system "$unfinished"
  give_back
}

make_root() {
  make_cache_folder
  exec 8>"$cache/making.lock" 9>"$root.lock"
  if [[ ! -d $root ]]; then
    flock -n 8 || say "another ./dev is making the SDK root: waiting for it"
    until flock -w 1 8; do :; done
    [[ -d $root ]] || make_root_locked
    flock -u 8
  fi
  flock -s 9
}

make_root_locked() {
  local folder option options=() status=0 free
  for folder in "$cache"/sdk-*.tmp; do  # of a run that was killed
    [[ ! -d $folder ]] || rm -rf --one-file-system "$folder"
  done
  free=$(df --output=avail -m "$cache" | tail -n 1)
  [[ $free -ge $kRootNeedsMb ]] ||
    die "the SDK root needs $kRootNeedsMb MB and $cache has ${free// /}: free some space ('./dev clean' removes old roots)," \
      "or set XDG_CACHE_HOME to a folder on another disk"
  prepare_host
  find_mirrors
  while read -r option; do options+=("--aptopt=$option"); done < <(apt_network_options)

  unfinished=$root.tmp
  trap discard_unfinished EXIT
  say "making the SDK root: Debian 13 with $(packages | wc -l) packages from $mirror (once; a few minutes)"
  if [[ ! -t 2 ]]; then heartbeat "$unfinished" 8>&- 9>&- & heart=$!; fi
  # INITRD: the kernel of the list is for guests of tests, which boot from the root itself.
  supervise --host env INITRD=No mmdebstrap --mode=root --variant=apt --keyring="$(keyring)" "${options[@]}" \
    --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Retries "3"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --include="$(packages | paste -sd ,)" "$kSuite" "$unfinished" \
    "deb $mirror $kSuite main" "deb $mirror $kSuite-updates main" \
    "deb $security_mirror $kSuite-security main" </dev/null || status=$?
  if [[ $stopped_by -ne 0 ]]; then
    say "stopped: nothing of the unfinished root stays"
    exit "$stopped_by"
  fi
  [[ $status -eq 0 ]] || die "the SDK root could not be made: see the lines above; the next ./dev starts afresh"
  mv -T "$unfinished" "$root"
  unfinished=
  [[ -z $heart ]] || kill "$heart" 2>/dev/null || true
  heart=
  trap give_back EXIT
  local old
  old=$(roots | grep -vcx "$root") || true
  [[ $old == 0 ]] || say "older SDK roots in $cache: $old; './dev clean' offers to remove them"
}

# --- cleaning up ---------------------------------------------------------------------------------------------------------

roots() { find "$cache" -maxdepth 1 -type d -regextype posix-extended -regex '.*/sdk-[0-9a-f]{12}' 2>/dev/null | sort; }

clean_needs_root() {
  [[ -n $(roots) || (-e $repo/build && -n $(find "$repo/build" ! -uid "$EUID" -print -quit)) ]]
}

remove_root() {
  (
    exec 9>"$1.lock"
    flock -n 9 || { say "${1##*/} is in use and stays"; exit 0; }
    rm -rf --one-file-system "$1" "$1.lock"
    say "removed ${1##*/}"
  )
}

clean() {
  local option yes='' all='' path answer
  for option in "$@"; do
    case $option in --yes) yes=1 ;; --all) all=1 yes=1 ;; esac
  done
  rm -rf --one-file-system "$repo/build"
  say "removed build"
  for path in $(roots); do
    [[ $path != "$root" || -n $all ]] || continue
    if [[ -n $yes ]]; then
      remove_root "$path"
    elif [[ -t 0 && -t 2 ]]; then
      read -r -p "dev: remove the old SDK root $path ($(du -sm "$path" | cut -f 1) MB)? [y/N] " answer || answer=n
      [[ $answer != [yY]* ]] || remove_root "$path"
    else
      say "old SDK root $path: './dev clean --yes' removes it"
    fi
  done
  if [[ -n $all ]]; then
    rm -rf --one-file-system "$repo/node_modules" "$cache"/{ccache,npm,tidy}
    say "removed the caches"
  fi
}
