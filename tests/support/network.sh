#!/usr/bin/env bash
# Loads the nftables rules on stdin into a network of two machines and prints what can still be reached. Must be root,
# in a network namespace of its own (`unshare --net`), which is the firewall's side.
#   network.sh PYTHON
set -euo pipefail
python=$1

unshare --net sleep 60 &
neighbour=$!
there() { nsenter --target "$neighbour" --net "$@"; }
listening=()
trap 'kill "$neighbour" "${listening[@]}" 2>/dev/null' EXIT
own=$(readlink /proc/$$/ns/net)
# Just as a process becomes another program, its namespace cannot be read.
until theirs=$(readlink "/proc/$neighbour/ns/net") && [[ $theirs != "$own" ]]; do sleep 0.05; done

# The neighbour is everything else: the gateway, a host of the LAN, the metadata service and the internet.
ip link add inner type veth peer name outer netns "$neighbour"
ip address add 172.30.0.2/24 dev inner
ip link set lo up
ip link set inner up
ip route add default via 172.30.0.1
for address in 172.30.0.1/24 10.1.2.3/32 169.254.169.254/32 203.0.113.9/32; do
    there ip address add "$address" dev outer
done
there ip link set lo up
there ip link set outer up

serve() { # PORT...
    exec "$python" -c '
import socket, sys, time
kept = [socket.create_server(("0.0.0.0", int(port))) for port in sys.argv[1:]]
time.sleep(60)' "$@"
}
serve 80 8191 9000 &
listening+=($!)
nsenter --target "$neighbour" --net "$python" -c '
import socket, time
kept = socket.create_server(("0.0.0.0", 80))
time.sleep(60)' &
listening+=($!)

ask='
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])).close()
    print("answered")
except TimeoutError:
    print("no answer")
except OSError:
    print("refused")'
outward() { "$python" -c "$ask" "$1" 80 "$2"; }
inward() { there "$python" -c "$ask" 172.30.0.2 "$1" "$2"; }

# Before the rules everything must answer, or what they refuse would prove nothing.
for address in 203.0.113.9 10.1.2.3 169.254.169.254 172.30.0.1 127.0.0.1; do
    for ((try = 0; try < 50; try++)); do
        [[ $(outward "$address" 1) == answered ]] && break
        sleep 0.1
    done
    ((try < 50)) || echo "open: $address does not answer"
done
[[ $(inward 8191 5) == answered && $(inward 9000 5) == answered ]] && echo "open: all answer"

nft -f -
for address in 203.0.113.9 10.1.2.3 169.254.169.254 172.30.0.1 127.0.0.1; do
    echo "out $address $(outward "$address" 5)"
done
for port in 8191 9000; do
    echo "in $port $(inward "$port" 2)"
done
