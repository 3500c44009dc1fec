#!/bin/sh
# SPDX-License-Identifier: MIT
# kerb-conformance itself: exit codes, the last line, that a wrong expectation is seen, what is skipped and why.
# Usage: tool.sh KERB_CONFORMANCE
set -u
tool=$1
nodes=${KERB_DATA:-}/onnx_backend_v1.16.0/node
[ -d "$nodes" ] || { echo "no $nodes: set KERB_DATA"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

# expect CODE LAST-LINE ARGUMENT...
expect() {
    code=$1 last=$2
    shift 2
    "$tool" "$@" > "$work/out" 2> "$work/err"
    got=$?
    if [ "$got" != "$code" ] || { [ -n "$last" ] && [ "$(tail -n 1 "$work/out")" != "$last" ]; }; then
        echo "kerb-conformance $*: exit code $got, expected $code; last line \"$(tail -n 1 "$work/out")\", expected \"$last\""
        cat "$work/err"
        failures=$((failures + 1))
    fi
}
# has TEXT: the last call's standard output holds it
has() {
    grep -qF -- "$1" "$work/out" || { echo "\"$1\" is missing in:"; cat "$work/out"; failures=$((failures + 1)); }
}

expect 2 "" # no folder
expect 2 "" "$work/nowhere"
expect 2 "" "$work" # no case below it
expect 2 "" --backend nonesuch "$nodes/test_relu"
expect 2 "" --only Nonesuch "$nodes/test_relu"
expect 2 "" --bogus "$nodes/test_relu"
expect 0 "1 passed, 0 failed, 0 skipped" "$nodes/test_relu"
expect 0 "1 passed, 0 failed, 0 skipped" --no-passes --only Relu "$nodes/test_relu"
expect 1 "1 passed, 0 failed, 0 skipped" --least 2 "$nodes/test_relu"
expect 0 "0 passed, 0 failed, 1 skipped" "$nodes/test_nonzero_example"
has "skipped 1: NonZero"

cp -r "$nodes/test_relu" "$work/case"
cp "$work/case/test_data_set_0/input_0.pb" "$work/case/test_data_set_0/output_0.pb"
expect 1 "0 passed, 1 failed, 0 skipped" "$work/case"
has "failed case: output 0 [0,1,0]: got 0, expected -0.977" # the first element that Relu changes
printf 'damaged' > "$work/case/model.onnx"
expect 1 "0 passed, 1 failed, 0 skipped" "$work/case"
rm -r "$work/case/test_data_set_0"
cp "$nodes/test_relu/model.onnx" "$work/case"
expect 1 "0 passed, 1 failed, 0 skipped" "$work/case"
has "test_data_set_0"

expect 0 "" --json "$nodes/test_relu"
has '"passed": 1'
tail -n 1 "$work/err" | grep -qx "1 passed, 0 failed, 0 skipped" || { echo "--json: no summary on standard error"; failures=$((failures + 1)); }
exit $((failures > 0))
