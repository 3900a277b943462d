#!/bin/sh
# A script that starts Python, as many a start.sh does.
"$1" -m uvicorn clocked:app --host 127.0.0.1 --port "$2" &
trap 'kill $!; wait $!' TERM
wait $!
