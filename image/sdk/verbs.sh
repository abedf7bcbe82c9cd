#!/bin/bash
# What `./dev VERB` does once it stands on Debian 13, in the SDK root or natively. `dev` starts it with the verb and its
# arguments; `--check-arguments` first, on the machine itself, only to find slips before anything is made.
#   NEARFIELD_CACHE       where the compiler cache and others live      NEARFIELD_STARTED_IN  the caller's folder
#   NEARFIELD_OWNER_HOME  the person's home (theirs is the .npmrc)      NEARFIELD_SDK         the root's name, or "native"
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
readonly kPresets='release debug asan tsan'

say() { printf 'dev: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
benchmarks() { (cd "$repo/tests/bench" && shopt -s nullglob && echo *.py); }
misused() { say "$1"; say "'./dev help' lists what there is"; exit 2; }

is_preset() { [[ " $kPresets " == *" $1 "* ]]; }
is_number() { [[ $1 =~ ^[1-9][0-9]{0,5}$ ]]; }

# --- arguments -------------------------------------------------------------------------------------------------------------

presets=()  # the presets to build and test
targets=()  # what to build in them; nothing: everything
label=''
regex=''
jobs=$(nproc)
seconds=60

parse() {
  local verb=$1
  shift
  case $verb in
    run | exec | shell) ;;
    bench)
      [[ $1 =~ ^[a-z0-9_]+$ && -e $repo/tests/bench/$1.py ]] ||
        misused "there is no benchmark '$1' in tests/bench: $(benchmarks)"
      ;;
    lint | fmt) [[ $# -eq 0 ]] || misused "$verb takes no arguments" ;;
    clean)
      while [[ $# -gt 0 ]]; do
        case $1 in --yes | --all) shift ;; *) misused "clean does not know '$1'" ;; esac
      done
      ;;
    build)
      presets=(release)
      if [[ $# -gt 0 ]] && is_preset "$1"; then presets=("$1"); shift; fi
      [[ ${1:-} != -* ]] || misused "build does not know '$1'"
      targets=("$@")
      ;;
    fuzz)
      while [[ $# -gt 0 ]]; do
        case $1 in
          --seconds) is_number "${2:-}" || misused "--seconds wants a number of seconds"; seconds=$2; shift 2 ;;
          -*) misused "fuzz does not know '$1'" ;;
          *) targets+=("$1"); shift ;;
        esac
      done
      ;;
    soak)
      [[ $1 == tcp ]] || misused "there is nothing to soak called '$1': tcp"
      shift
      while [[ $# -gt 0 ]]; do
        case $1 in
          --seconds | --count | --seed) [[ ${2:-} =~ ^[0-9]{1,18}$ ]] || misused "$1 wants a number"; shift 2 ;;
          *) misused "soak tcp does not know '$1'" ;;
        esac
      done
      ;;
    test)
      while [[ $# -gt 0 ]]; do
        case $1 in
          --preset) is_preset "${2:-}" || misused "--preset wants one of $kPresets"; presets+=("$2"); shift 2 ;;
          --label) [[ -n ${2:-} ]] || misused "--label wants unit, system or fuzz"; label=$2; shift 2 ;;
          -R) [[ -n ${2:-} ]] || misused "-R wants a regular expression"; regex=$2; shift 2 ;;
          -j) is_number "${2:-}" || misused "-j wants a number of jobs"; jobs=$2; shift 2 ;;
          *) misused "test does not know '$1'" ;;
        esac
      done
      ;;
  esac
}

# --- building ----------------------------------------------------------------------------------------------------------------

lock_build() {
  mkdir -p "$repo/build"
  exec 7>"$repo/build/.lock"
  flock -n 7 || say "another ./dev is building in this checkout: waiting for it"
  until flock -w 1 7; do :; done
}

configure() {
  local folder=$repo/build/$1 stamp
  stamp="$NEARFIELD_SDK $(sha256sum <"$repo/CMakePresets.json")"
  [[ -e $folder/build.ninja && $(cat "$folder/.configured" 2>/dev/null) == "$stamp" ]] && return 0
  # Objects made with other headers or by another compiler look fresh to ninja; the compiler cache makes this cheap.
  rm -rf "$folder"
  mkdir -p "$folder"
  say "configuring $1"
  (cd "$repo" && cmake --preset "$1") >"$folder/configure.log" 2>&1 ||
    { cat "$folder/configure.log" >&2; die "cmake could not configure $1: see above"; }
  echo "$stamp" >"$folder/.configured"
}

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  lock_build
  configure "$preset"
  say "building $preset"
  ninja -C "$repo/build/$preset" -j "$jobs" "$@" >&2 7>&- || die "the build of $preset failed: see above"
  exec 7>&-
}

# The players of the listening page and the browser's driver, from the lock file.
npm_packages() {
  [[ -e $repo/package-lock.json ]] || return 0
  local stamp
  stamp="$NEARFIELD_SDK $(sha256sum <"$repo/package-lock.json")"
  [[ $(cat "$repo/node_modules/.installed" 2>/dev/null) == "$stamp" ]] && return 0
  lock_build
  say "installing npm packages"
  (cd "$repo" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
    npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --cache "$NEARFIELD_CACHE/npm" \
    --userconfig "$NEARFIELD_OWNER_HOME/.npmrc") >&2 7>&- ||
    die "npm could not install what package-lock.json names: check the network and the registry of ~/.npmrc"
  echo "$stamp" >"$repo/node_modules/.installed"
  exec 7>&-
}

# --- lint --------------------------------------------------------------------------------------------------------------------

sources() {
  (cd "$repo" && find cache dataplane tests -type f \( -name '*.h' -o -name '*.cc' \) -not -path '*/corpus/*' | sort)
}

check_format() { sources | (cd "$repo" && xargs -r clang-format-19 --dry-run -Werror); }

check_shell() { (cd "$repo" && shellcheck -x -e SC2317,SC2329 dev .ci/run image/sdk/*.sh); }

passed=0
failed=0
skipped=0

lint_step() {
  local name=$1
  shift
  if "$@" >&2; then
    passed=$((passed + 1))
    say "lint: $name ok"
  else
    failed=$((failed + 1))
    say "lint: $name FAILED"
  fi
}

# Wants the release build: it holds the compile commands, the headers each source reads, and the check of lone headers.
lint() {
  lint_step 'include arrows' python3 "$repo/image/sdk/check_includes.py" "$repo"
  lint_step 'file lengths and lock files' python3 "$repo/image/sdk/check_files.py" "$repo"
  lint_step 'clang-format' check_format
  lint_step 'shell scripts' check_shell
  lint_step 'clang-tidy' python3 "$repo/image/sdk/tidy.py" --repo "$repo" --build "$repo/build/release" \
    --cache "$NEARFIELD_CACHE/tidy" --sdk "$NEARFIELD_SDK" --jobs "$jobs"
}

# --- tests -------------------------------------------------------------------------------------------------------------------

labels_of() {
  case $1 in
    release) echo 'unit|system' ;;
    asan) echo 'unit|fuzz' ;;
    *) echo unit ;;
  esac
}

# The number called NAME in the first element of a JUnit report.
reported() { tr '\n\t' '  ' <"$1" | sed -n -E "s/.*<testsuite [^>]*[ ]$2=\"([0-9]+)\".*/\1/p"; }

# run_tests PRESET LABELS: one run of ctest, counted.
run_tests() {
  local folder=$repo/build/$1 report=$repo/build/$1/tests.xml count fails skips
  rm -f "$report"
  say "testing $1 ($2)"
  ctest --test-dir "$folder" -L "^($2)\$" ${regex:+-R "$regex"} -j "$jobs" --output-on-failure --no-tests=ignore \
    --output-junit "$report" >&2 || true
  [[ -e $report ]] || die "ctest did not come to its end in $1"
  count=$(reported "$report" tests) fails=$(reported "$report" failures)
  skips=$(($(reported "$report" skipped) + $(reported "$report" disabled)))
  failed=$((failed + fails)) skipped=$((skipped + skips)) passed=$((passed + count - fails - skips))
}

test_everything() {
  local preset narrowed="$label$regex${presets[*]}"
  if [[ ${#presets[@]} -eq 0 ]]; then
    for preset in release asan tsan; do
      [[ -n $label && "|$(labels_of "$preset")|" != *"|$label|"* ]] || presets+=("$preset")
    done
    [[ ${#presets[@]} -gt 0 ]] || presets=(release)
  fi
  npm_packages
  for preset in "${presets[@]}"; do build "$preset"; done
  [[ -n $narrowed ]] || lint
  for preset in "${presets[@]}"; do run_tests "$preset" "${label:-$(labels_of "$preset")}"; done
  [[ $((passed + failed)) -gt 0 ]] || die "no test fits${label:+ --label $label}${regex:+ -R $regex}"
  local skips=''
  [[ $skipped -eq 0 ]] || skips=", $skipped skipped"
  echo "$passed passed, $failed failed$skips"
  [[ $failed -eq 0 ]]
}

fuzz() {
  local list=$repo/build/asan/fuzz/targets.tsv name program corpus found=''
  build asan
  while IFS=$'\t' read -r name program corpus; do
    [[ ${#targets[@]} -eq 0 || " ${targets[*]} " == *" $name "* ]] || continue
    found=1
    say "fuzzing $name for $seconds s; findings go to build/asan/fuzz/$name"
    mkdir -p "$repo/build/asan/fuzz/$name"
    "$program" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -print_final_stats=1 \
      -artifact_prefix="$repo/build/asan/fuzz/$name/" "$repo/build/asan/fuzz/$name" ${corpus:+"$corpus"} </dev/null >&2 ||
      die "$name found something: the input is in build/asan/fuzz/$name"
  done <"$list"
  [[ -n $found ]] || die "no such fuzz target: there are $(cut -f 1 "$list" | paste -sd ' ')"
}

# The program called NAME: a path, one of the SDK's, or one of ours (which is brought up to date first).
execute() {
  local name=$1 path=$1
  shift
  if [[ $name != */* ]]; then path=$(command -v "$name" || true); fi
  if [[ -z $path ]]; then
    lock_build
    configure release
    exec 7>&-
    if ninja -C "$repo/build/release" -t targets all 2>/dev/null | grep -q "^$name: phony"; then build release "$name"; fi
    path=$(find "$repo/build/release" -type f -perm -u+x -name "$name" -not -path '*/CMakeFiles/*' -print -quit)
    [[ -n $path ]] || die "there is no program '$name' in build/release nor in the SDK"
  fi
  cd "$NEARFIELD_STARTED_IN"
  exec "$path" "$@"
}

# --- the verb ----------------------------------------------------------------------------------------------------------------

main() {
  if [[ $1 == --check-arguments ]]; then
    shift
    parse "$@"
    exit 0
  fi
  local verb=$1 name
  shift
  parse "$verb" "$@"

  export CCACHE_DIR=$NEARFIELD_CACHE/ccache CCACHE_BASEDIR=$repo CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=5G
  export NEARFIELD_BUILD_DIR=$repo/build/release PYTHONDONTWRITEBYTECODE=1

  case $verb in
    run)
      [[ -e $repo/image/demo/run.py ]] || die "image/demo/run.py is missing from this checkout"
      npm_packages
      build release
      cd "$NEARFIELD_STARTED_IN"
      exec python3 "$repo/image/demo/run.py" "$@"
      ;;
    bench)
      npm_packages
      build release
      name=$1
      shift
      cd "$NEARFIELD_STARTED_IN"
      exec python3 "$repo/tests/bench/$name.py" "$@"
      ;;
    build) build "${presets[0]}" "${targets[@]}" ;;
    test) test_everything ;;
    fuzz) fuzz ;;
    soak)
      name=$1
      shift
      [[ $# -gt 0 ]] || set -- --seconds 3600
      execute "${name}_soak" "$@"
      ;;
    lint)
      build release
      lint
      [[ $failed -eq 0 ]] || die "$failed checks failed"
      ;;
    fmt) sources | (cd "$repo" && xargs -r clang-format-19 -i) ;;
    exec) execute "$@" ;;
    shell)
      say "a shell in the SDK root; the checkout is at $repo, what you change in the system is forgotten"
      cd "$NEARFIELD_STARTED_IN"
      exec bash "$@"
      ;;
  esac
}
main "$@"; exit
