/* Side segments of a queue, where long messages lie.

   Code stated here: shm/queue_side.go, shm/queue_disown.go, clients/c/queue_side.c,
   daemon/side.go. A slot names the one that it has also while no message lies there;
   who has the slot reserved and has mapped that writes there, and asks nobody. The
   daemon takes one from a slot, for another slot or for good, while clients go on
   and die anywhere. Latches and rings are queue.pml's: here a slot is chosen at
   random, with the latch of the producers.

   Checked, and what pan prints if it does not hold:
     1. what a consumer finds is what was committed,
        in a side segment that there is            memory[number]==message[s]
     2. at rest each belongs to one slot           n==there[t]
     3. everybody is answered, and ends            invalid end state

   Shape: P producers, M messages of one and 1 of each other; S slots; N numbers are
     ever given; KILLS deaths of clients; DKILLS deaths of the daemon while it takes
     one from a slot

   Must fail:
     BLIND      the daemon takes one without the latch
     NAMED      who asks for another stores no 0 first, and the daemon does not insist
     UNCHECKED  the daemon does not look whose the reservation is   */

#ifndef P
#define P 2
#endif
#ifndef M
#define M 2
#endif
#ifndef S
#define S 2
#endif
#ifndef N
#define N 3
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef DKILLS
#define DKILLS 0
#endif

#define FREE 0
#define WRITING 1
#define READY 2
#define LEASED 3
#define CONSUMER P
#define DAEMON (P + 1)
#define NOBODY 255

byte state[S], owner[S], side[S], message[S]; /* message: a ghost, of the commit */
byte has[S];                                  /* the daemon's table, and its journal */
byte memory[N + 1];                           /* what lies in a side segment; 0 = nothing */
bool there[N + 1];
byte last = 0;
byte latch = NOBODY;
byte asked[P], answer[P]; /* a slot and 1 more; a number, N + 1 = refused */
byte kills = KILLS, dkills = DKILLS, producing = P;

#define DIE if :: atomic { kills > 0 -> kills--; goto died } :: skip fi
#define ENTER(me) atomic { latch == NOBODY -> latch = me }
#define LEAVE latch = NOBODY
#define IDLE(s) (state[s] == FREE)

inline recover(me)
{
	atomic {
		latch == NOBODY || latch == me;
		latch = NOBODY;
		for (s : 0 .. S - 1) {
			if
			:: owner[s] == me && state[s] == WRITING -> state[s] = FREE; owner[s] = NOBODY
			:: owner[s] == me && state[s] == LEASED -> state[s] = READY; owner[s] = NOBODY
			:: else
			fi
		}
	}
}

proctype Producer(byte me)
{
	byte i = 0, s, number;
	do
	:: i < (me == 0 -> M : 1) ->
		ENTER(me);
		if
		:: atomic { state[0] == FREE -> s = 0 }
		:: atomic { S > 1 && state[S - 1] == FREE -> s = S - 1 }
		:: atomic { state[0] != FREE && state[S - 1] != FREE -> LEAVE };
			atomic { state[0] == FREE || state[S - 1] == FREE || producing == 0 };
			goto again
		fi;
		DIE;
		owner[s] = me;
		state[s] = WRITING;
		DIE;
		LEAVE;
		number = side[s];
		DIE;
		if
		:: number != 0 /* it is mapped, and large enough */
		:: skip;
#ifndef NAMED
			side[s] = 0;
#endif
			DIE;
			asked[me] = s + 1;
			DIE;
			atomic { answer[me] != 0 -> number = answer[me]; answer[me] = 0 };
			DIE;
		fi;
		if
		:: number <= N -> memory[number] = me * M + i + 1
		:: else
		fi;
		DIE;
		ENTER(me);
		DIE;
		if
		:: number > N -> state[s] = FREE; owner[s] = NOBODY
		:: else ->
			side[s] = number;
			DIE;
			d_step { message[s] = me * M + i + 1; owner[s] = NOBODY; state[s] = READY }
		fi;
		DIE;
		LEAVE;
		i++;
again:		skip
	:: else -> break
	od;
	goto ended;
died:	recover(me);
ended:	producing--
}

proctype Consumer()
{
	byte s, number;
	do
	:: atomic { state[0] == READY -> state[0] = LEASED; owner[0] = CONSUMER; s = 0 };
		goto look
	:: atomic { S > 1 && state[S - 1] == READY -> state[S - 1] = LEASED; owner[S - 1] = CONSUMER; s = S - 1 };
		goto look
	:: producing == 0 && state[0] != READY && state[S - 1] != READY -> break;
look:		number = side[s];
		DIE;
		assert(there[number] && memory[number] == message[s]); /* read */
		DIE;
		if
		:: owner[s] = NOBODY; state[s] = READY; DIE /* a nack */
		:: d_step { owner[s] = NOBODY; state[s] = FREE }
		fi
	od;
	goto ended;
died:	recover(CONSUMER);
	goto again;
again:	run Consumer();
ended:	skip
}

/* Takes what a slot has from it; done = it has. */
inline disown(t)
{
	done = false;
	if
	:: IDLE(t) ->
#ifndef BLIND
		if
		:: atomic { latch == NOBODY -> latch = DAEMON };
			if
			:: dkills > 0 -> dkills--; latch = NOBODY; goto reborn
			:: skip
			fi;
			if
			:: IDLE(t) -> side[t] = 0; done = true
			:: else
			fi;
			if
			:: dkills > 0 -> dkills--; latch = NOBODY; goto reborn
			:: skip
			fi;
			latch = NOBODY
		:: latch != NOBODY /* others are at the queue */
		fi
#else
		side[t] = 0;
		done = true
#endif
	:: else
	fi
}

inline drop(t)
{
	d_step { there[has[t]] = false; memory[has[t]] = 0; has[t] = 0 }
}

proctype Daemon()
{
	byte p, s, t;
	bool done, busy;
	goto again;
reborn:	if
	:: busy -> answer[p] = N + 1 /* the call is lost */
	:: else
	fi;
again:	busy = false;
	do
	:: atomic { asked[0] != 0 -> p = 0; s = asked[0] - 1; asked[0] = 0 }; goto serve
	:: atomic { P > 1 && asked[P - 1] != 0 -> p = P - 1; s = asked[P - 1] - 1; asked[P - 1] = 0 }; goto serve
	:: has[0] != 0 -> disown(0); if :: done -> drop(0) :: else fi /* memory is short */
	:: producing == 0 -> break;
serve:		busy = true;
#ifndef UNCHECKED
		if
		:: atomic { state[s] != WRITING || owner[s] != p -> answer[p] = N + 1; goto again }
		:: atomic { state[s] == WRITING && owner[s] == p }
		fi;
#ifndef NAMED
		if
		:: atomic { side[s] != 0 -> answer[p] = N + 1; goto again }
		:: atomic { side[s] == 0 }
		fi;
#endif
#endif
		if
		:: has[s] != 0 -> answer[p] = has[s]; goto again
		:: has[s] != 0 -> drop(s) /* it is too small */
		:: has[s] == 0
		fi;
		t = S - 1 - s;
		done = false;
		if
		:: t != s && has[t] != 0 -> disown(t)
		:: skip
		fi;
		if
		:: done -> d_step { has[s] = has[t]; has[t] = 0 }
		:: !done && last < N -> d_step { last++; there[last] = true; has[s] = last }
		:: !done && last == N -> answer[p] = N + 1; goto again
		fi;
		answer[p] = has[s];
		busy = false
	od;
	/* owned */
	for (t : 1 .. N) {
		byte n = 0;
		for (s : 0 .. S - 1) {
			n = n + (has[s] == t)
		}
		assert(n == there[t])
	}
}

init {
	atomic {
		byte i;
		for (i : 0 .. S - 1) { owner[i] = NOBODY }
		for (i : 0 .. P - 1) { run Producer(i) }
		run Consumer();
		run Daemon()
	}
}
