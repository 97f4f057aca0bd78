# SPDX-License-Identifier: Apache-2.0
#
# worker.sh NUMBER - a worker of the demo that is a shell script around the program
# shmd ($SHMD_BIN). It starts a dozen processes for a file, and so does far fewer
# than the others; but it takes part in full, with a lease, a permit and the lock,
# and may be the one that repairs. worker.go, c/worker.c and worker.py do the same.
# It finds the daemon by SHMD_SOCKET.
set -eu
shmd=$SHMD_BIN
export LC_ALL=C

# Counts anew. The lock is held. A shell has no monotonic clock: the coordinator takes
# the time when it hears of it.
repair() {
	counted=$("$shmd" get demo/progress)
	recount=$("$shmd" get demo/results | awk '$5 > 0 { n++ } END { print n + 0 }')
	"$shmd" set demo/progress "$recount"
	pid=$("$shmd" stat demo/progress --json | sed -n '/"last_death"/,/}/ s/.*"pid": *\([0-9]*\).*/\1/p')
	echo "repair pid=$pid counted=$counted recount=$recount locked_ns=0 repaired_ns=0"
}

case $1 in
message) # NUMBER: works on the message on standard input, under its lease
	# A worker that fails ends; take would go on with the message for ever.
	trap '[ $? -eq 0 ] || kill "$PPID"' EXIT
	number=$2
	read -r message # [FILE,"PATH IN BASE64"]
	message=${message#[}
	file=${message%%,*}
	path=${message#*\"}
	# The x keeps the newlines that a path may end with.
	path=$(printf %s "${path%\"*}" | base64 -d && echo x)
	path=${path%x}
	[ "$SHMD_DELIVERIES" -eq 1 ] || echo "redelivered $file deliveries=$SHMD_DELIVERIES leased_ns=0"
	# wc has its own idea of what is in a word: let there be nothing but x in words.
	counts=$("$shmd" acquire demo/files -- sh "$0" measure "$path")
	set -- $counts # lines, words, bytes
	"$shmd" set demo/results "$file,0" "$3" "$1" "$2" "$SHMD_DELIVERIES"
	"$shmd" lock demo/progress --mark-consistent -- sh "$0" count "$file" "$number" "$SHMD_DELIVERIES"
	;;
measure) # PATH: under a permit
	exec <"$2"
	tr -c ' \t\n\v\f\r' x | wc -lwc
	;;
count) # FILE NUMBER DELIVERIES: under the lock
	[ -z "${SHMD_OWNER_DIED-}" ] || repair
	# A message that comes for the first time is of a file that nobody has counted.
	if [ "$4" -eq 1 ] || [ "$("$shmd" get demo/results "$2,4")" -eq 0 ]; then
		"$shmd" set demo/progress --add 1 >/dev/null
		"$shmd" set demo/results "$2,4" "$3"
	fi
	;;
*)
	echo ready
	read -r _
	# It ends when the queue was shut down and is empty.
	exec "$shmd" take --lease --follow demo/queue -- sh "$0" message "$1"
	;;
esac
