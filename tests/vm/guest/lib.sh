# lib.sh - what the scripts in the guest share. Two "hosts" are the two ends of a veth pair, each
# with a soft-RoCE device, all in one namespace (soft-RoCE does not work in another one on this
# kernel). Rail N is the pair aN - bN with 10.9.N.1 and 10.9.N.2 and the devices rxe_aN and rxe_bN.
#
# A named result is a line: "PASS name", "FAIL name", "SKIP: name: why".
failures=0

pass() { echo "PASS $1"; }
fail() {
	echo "FAIL $1"
	failures=$((failures + 1))
}
skip() { echo "SKIP: $1: $2"; }

# check NAME COMMAND...: the command's status is the result; its output is shown.
check() {
	local name=$1
	shift
	if "$@"; then pass "$name"; else fail "$name"; fi
}

# wait_for SECONDS COMMAND...: until the command succeeds; fails at the bound.
wait_for() {
	local until=$(($(date +%s) + $1))
	shift
	until "$@" 2>/dev/null; do
		[ "$(date +%s)" -lt "$until" ] || return 1
		sleep 0.05
	done
}

has_gid() { grep -q ffff: "/sys/class/infiniband/$1/ports/1/gids/1"; }

# rail_up N: makes rail N.
rail_up() {
	local side n=$1 address=0
	ip link add "a$n" type veth peer name "b$n"
	for side in "a$n" "b$n"; do
		address=$((address + 1))
		ip addr add "10.9.$n.$address/24" dev "$side"
		echo 1 >"/proc/sys/net/ipv4/conf/$side/accept_local"
		echo 0 >"/proc/sys/net/ipv4/conf/$side/rp_filter"
		echo 1 >"/proc/sys/net/ipv4/conf/$side/arp_ignore"
		echo 2 >"/proc/sys/net/ipv4/conf/$side/arp_announce"
		ip link set "$side" mtu 4200 up
	done
	for side in "a$n" "b$n"; do
		rdma link add "rxe_$side" type rxe netdev "$side"
	done
	for side in "a$n" "b$n"; do
		wait_for 10 has_gid "rxe_$side" || {
			echo "rxe_$side has no GID"
			return 1
		}
	done
}

# net_up RAILS: the loopback and that many rails.
net_up() {
	local n
	ulimit -l unlimited
	ip link set lo up
	echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
	for ((n = 0; n < $1; n++)); do
		rail_up "$n" || return 1
	done
}
