# Sourced by the experiments of this folder: options, what is measured, reports. Needs bash 5, kubectl and, with
# --url, curl.
#
# An experiment answers with its exit code: 0 passed, 1 failed (too slow, or too many failed requests),
# 2 inconclusive (it could not break anything, or could not see), 64 wrong arguments, 130 interrupted.
# shellcheck shell=bash
# shellcheck disable=SC2034 # the experiments read what is set here

namespace=seawall-dev context="" service="" selector="" url=""
sla=30 wait=0 seconds=30 max_failed=1 seed=$RANDOM report=target/chaos dry_run=no

me=${0##*/}
scratch="" prober="" before=0 sent=0 failed=0 recovery_ms=-1 target=""

say() { printf '%s: %s\n' "$me" "$*" >&2; }

usage_error() {
    say "$*; see $me --help"
    exit 64
}

shared_options() {
    cat <<'TEXT'
  --service NAME       whose pods: those labelled app.kubernetes.io/name=NAME
  --selector LABELS    other labels than that
  --namespace NAME     default seawall-dev
  --context NAME       of kubectl; default the current one
  --sla SECONDS        to be as ready as before; default 30
  --wait SECONDS       when to give up; default three times the SLA
  --url URL            asked five times a second meanwhile; at most --max-failed of the answers may fail
  --max-failed PERCENT default 1; needs --url
  --seed NUMBER        makes the choice of pods repeatable
  --report FOLDER      for NAME.json and NAME.xml (JUnit); default target/chaos
  --dry-run            say what would be done, change nothing
  --help
Exit code: 0 passed, 1 failed, 2 inconclusive, 64 wrong arguments, 130 interrupted.
TEXT
}

# what, value, smallest, largest
number() {
    [[ $2 =~ ^(0|[1-9][0-9]{0,8})$ ]] || usage_error "$1 must be a whole number, not '$2'"
    (($2 >= $3 && $2 <= $4)) || usage_error "$1 must be $3 to $4, not $2"
}

# what, value: a name as Kubernetes allows it, so it can stand in any command, file name or report.
name() {
    [[ $2 =~ ^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$ ]] || usage_error "$1 '$2' is no name"
}

# Takes one option that all experiments share; false if it is none. Sets $taken to the words it took.
shared_option() {
    taken=2
    case $1 in
    --help) help; exit 0 ;;
    --dry-run) dry_run=yes taken=1; return ;;
    --service | --selector | --namespace | --context | --sla | --wait | --url | --max-failed | --seed | --report) ;;
    *) return 1 ;;
    esac
    [ $# -ge 2 ] || usage_error "$1 needs a value"
    case $1 in
    --service) service=$2 ;;
    --selector) selector=$2 ;;
    --namespace) namespace=$2 ;;
    --context) context=$2 ;;
    --sla) sla=$2 ;;
    --wait) wait=$2 ;;
    --url) url=$2 ;;
    --max-failed) max_failed=$2 ;;
    --seed) seed=$2 ;;
    --report) report=$2 ;;
    esac
}

check_shared_options() {
    [ -n "$service" ] || usage_error "--service is missing"
    name --service "$service"
    name --namespace "$namespace"
    number --sla "$sla" 1 3600
    number --wait "$wait" 0 7200
    number --max-failed "$max_failed" 0 100
    number --seed "$seed" 0 999999999
    ((wait)) || wait=$((3 * sla))
    ((wait >= sla)) || usage_error "--wait is shorter than --sla"
    [[ -z $url || $url =~ ^https?://[^[:space:]\"\'\<\>]+$ ]] || usage_error "--url '$url' is no http address"
    [[ -z $context || $context =~ ^[A-Za-z0-9][A-Za-z0-9@:/._-]*$ ]] || usage_error "--context '$context' is no name"
    [ -n "$selector" ] || selector="app.kubernetes.io/name=$service"
    [[ $report != -* && -n $report ]] || usage_error "--report '$report' is no folder"
    [[ $selector =~ ^[A-Za-z0-9./=,_-]+$ ]] || usage_error "--selector '$selector' is no list of labels"
    RANDOM=$((seed % 32768))
    need kubectl
    [ -z "$url" ] || need curl
}

need() {
    command -v "$1" >/dev/null || inconclusive "$1 is missing"
}

k() {
    kubectl ${context:+--context "$context"} --namespace "$namespace" "$@"
}

# Changes the cluster, or says so.
change() {
    if [ "$dry_run" = yes ]; then
        printf 'would run: kubectl --namespace %s %s\n' "$namespace" "$*"
    else
        k "$@" >/dev/null
    fi
}

now_ms() {
    local micros=${EPOCHREALTIME/[.,]/}
    echo $((micros / 1000))
}

# Name, uid and node of each pod that is ready and not on its way out.
ready_pods() {
    local path='{range .items[*]}{.metadata.name}{"|"}{.metadata.uid}{"|"}{.spec.nodeName}{"|"}'
    path+='{.metadata.deletionTimestamp}{"|"}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}'
    k get pods --selector "$selector" --output "jsonpath=$path" |
        while IFS='|' read -r pod uid node leaving ready; do
            [ -n "$leaving" ] || [ "$ready" != True ] || echo "$pod $uid $node"
        done
}

# Sets $before and $pods, the ready pods in random order.
look() {
    local found line
    found=$(ready_pods) || inconclusive "kubectl can't list the pods of $service in $namespace"
    pods=()
    while read -r line; do
        [ -z "$line" ] || pods+=("$line")
    done <<<"$found"
    before=${#pods[@]}
    ((before)) || inconclusive "$service has no ready pod in $namespace"
    local i j swap
    for ((i = before - 1; i > 0; i--)); do
        j=$((RANDOM % (i + 1)))
        swap=${pods[i]} pods[i]=${pods[j]} pods[j]=$swap
    done
}

# Asks the address until it is stopped, one line for each answer.
probe() {
    local status
    while :; do
        status=$(curl --silent --output /dev/null --max-time 5 --write-out '%{http_code}' "$url" 2>/dev/null) || status=000
        # 429 and 4xx are answers; what says that something is broken counts.
        [[ $status =~ ^[234] ]] && echo ok || echo failed
        sleep 0.2
    done >>"$scratch/probes"
}

start_probe() {
    if [ -z "$url" ] || [ "$dry_run" = yes ]; then return; fi
    : >"$scratch/probes"
    probe &
    prober=$!
}

stop_probe() {
    [ -n "$prober" ] || return 0
    kill "$prober" 2>/dev/null || true
    wait "$prober" 2>/dev/null || true
    prober=""
    sent=$(wc -l <"$scratch/probes")
    failed=$(grep -c failed "$scratch/probes" || true)
}

# Waits until as many pods as before are ready, those with the uids given not counted. Sets $recovery_ms to the time
# since $1 (from now_ms); leaves it at -1 if that takes too long.
await_recovery() {
    local since=$1 gone=" ${2:-} " deadline ready found uid
    deadline=$((since + wait * 1000))
    while (($(now_ms) <= deadline)); do
        # What can't be seen now may be seen later; the deadline ends it.
        found=$(ready_pods 2>/dev/null) || found=""
        ready=0
        while read -r _ uid _; do
            [ -z "$uid" ] || [[ $gone == *" $uid "* ]] || ready=$((ready + 1))
        done <<<"$found"
        if ((ready >= before)); then
            recovery_ms=$(($(now_ms) - since))
            return 0
        fi
        sleep 0.5
    done
}

# Judges what was measured, reports, exits.
verdict() {
    stop_probe
    local recovery
    recovery="$((recovery_ms / 1000)).$(printf '%03d' $((recovery_ms % 1000))) s"
    if ((recovery_ms < 0)); then
        finish failed "$service is not as ready as before after $wait s"
    elif ((recovery_ms > sla * 1000)); then
        finish failed "$service was as ready as before after $recovery, later than $sla s"
    elif [ -n "$url" ] && ((sent == 0)); then
        finish inconclusive "nobody asked $url"
    elif ((failed * 100 > max_failed * sent)); then
        finish failed "$failed of $sent requests failed, more than $max_failed %"
    else
        finish passed "$service was as ready as before after $recovery${url:+; $failed of $sent requests failed}"
    fi
}

inconclusive() { finish inconclusive "$*"; }

escape() {
    local text=$1
    # Quoted, since a bare & stands for what was found, from bash 5.2 on.
    text=${text//&/"&amp;"} text=${text//</"&lt;"} text=${text//>/"&gt;"} text=${text//\"/"&quot;"}
    printf '%s' "$text"
}

# verdict, reason: writes the reports and exits.
finish() {
    say "$1: $2"
    local code=0 inner="" reason seconds_taken
    case $1 in
    failed) code=1 inner='<failure message="%s"/>' ;;
    inconclusive) code=2 inner='<error message="inconclusive: %s"/>' ;;
    esac
    [ "$dry_run" = no ] || exit "$code"
    reason=$(escape "$2")
    seconds_taken=$((recovery_ms < 0 ? 0 : recovery_ms / 1000)).$(printf '%03d' $((recovery_ms < 0 ? 0 : recovery_ms % 1000)))
    mkdir -p "$report"
    printf '{"experiment":"%s","service":"%s","namespace":"%s","target":"%s","verdict":"%s","reason":"%s","recovery_ms":%s,"sla_ms":%d,"sent":%d,"failed":%d,"seed":%d}\n' \
        "$me" "$service" "$namespace" "$target" "$1" "${2//[\"\\]/}" \
        "$( ((recovery_ms < 0)) && echo null || echo "$recovery_ms")" $((sla * 1000)) "$sent" "$failed" "$seed" \
        >"$report/$me-$service.json"
    # shellcheck disable=SC2059 # one of the formats above
    printf '<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="chaos" tests="1" failures="%d" errors="%d"><testcase classname="chaos.%s" name="%s" time="%s">%s</testcase></testsuite>\n' \
        $((code == 1)) $((code == 2)) "$me" "$service" "$seconds_taken" "$(printf "$inner" "$reason")" >"$report/$me-$service.xml"
    exit "$code"
}

# What an experiment does last, however it ends. Experiments that leave something behind define `restore`.
restore() { :; }

end() {
    local code=$?
    trap - EXIT
    # A second Ctrl-C must not keep it from putting back what it broke.
    trap '' INT TERM
    [ -z "$prober" ] || kill "$prober" 2>/dev/null || true
    restore || say "could not restore everything"
    [ -z "$scratch" ] || rm -rf "$scratch"
    exit "$code"
}

begin() {
    if ((BASH_VERSINFO[0] < 5)); then
        say "needs bash 5, this is $BASH_VERSION"
        exit 2
    fi
    scratch=$(mktemp -d)
    trap end EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}
