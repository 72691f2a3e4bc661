#!/bin/sh
# A complete responder in shell: no open port and no library of h8s, only NATS.
#
#     ./plain-responder.sh nats://127.0.0.1:4222
#     curl http://localhost:8080/time
#
# It needs the `nats` program (https://github.com/nats-io/natscli). The project's tests run plain-responder.py instead of this
# script, because that program is not needed to build h8s.
set -eu
url=${1:-nats://127.0.0.1:4222}

# Announce the path repeatedly: gateways forget an announcement that is not repeated within a minute.
interest='{"host":"localhost","path":"/time","method":"GET"}'
while nats --server "$url" pub h8s.control.interest.register.localhost "$interest"; do sleep 5; done &
announcing=$!
trap 'kill "$announcing"; nats --server "$url" pub h8s.control.interest.unregister.localhost "$interest"' EXIT

# One message in, one message out: without a status it is 200.
nats --server "$url" reply 'h8s.http.GET.localhost._.time' --queue h8s --command 'date'
