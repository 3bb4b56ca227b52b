# Sourced by experiments that work from a pod of their own, the visitor, on the node of the pod they are after. It
# ends by itself after its time, whatever becomes of the script that made it.
# shellcheck shell=bash
# shellcheck disable=SC2154 # set in experiment.sh and by the experiments

visitor="" visitor_namespace=""

in_visitor_namespace() {
    kubectl ${context:+--context "$context"} --namespace "$visitor_namespace" "$@"
}

# Makes the visitor of the manifest on stdin, and waits until it says by its readiness that the harm is done.
send_visitor() {
    local manifest
    manifest=$(cat)
    if [ "$dry_run" = yes ]; then
        printf 'would create in %s:\n%s\n' "$visitor_namespace" "$manifest"
        exit 0
    fi
    in_visitor_namespace create --filename - <<<"$manifest" >/dev/null 2>"$scratch/errors" ||
        inconclusive "the cluster doesn't take pod $visitor: $(tr '\n' ' ' <"$scratch/errors")"
    local deadline state
    deadline=$(($(now_ms) + 120000))
    while (($(now_ms) < deadline)); do
        state=$(in_visitor_namespace get pod "$visitor" --output \
            'jsonpath={.status.phase}|{.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null) || state=""
        case $state in
        *"|True") return ;;
        Failed* | Succeeded*) inconclusive "$visitor ended without doing anything: $(visitor_log)" ;;
        esac
        sleep 0.5
    done
    inconclusive "$visitor does not run: $(visitor_log)"
}

visitor_log() {
    in_visitor_namespace logs "$visitor" --tail 3 2>/dev/null | tr '\n' ' ' || true
}

# Its own end undoes what it did, so it is asked, not killed.
dismiss_visitor() {
    [ -n "$visitor" ] && [ "$dry_run" = no ] || return 0
    in_visitor_namespace delete pod "$visitor" --ignore-not-found --wait=true --timeout=60s >/dev/null &&
        visitor=""
}

restore() {
    if [ -n "$visitor" ] && [ "$dry_run" = no ]; then say "taking $visitor away"; fi
    dismiss_visitor
}

# Lets the harm last, sees that it did, ends it, and measures from there.
outlast() {
    local until
    until=$(($(now_ms) + seconds * 1000))
    while (($(now_ms) < until)); do sleep 0.5; done
    dismiss_visitor || inconclusive "$visitor can't be taken away"
    await_recovery "$(now_ms)"
    verdict
}
