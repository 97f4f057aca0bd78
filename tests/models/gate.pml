/* The gate: a process lets one of its goroutines at a time wait for a lock in the
   kernel, the others wait for that one in the process.

   Code stated here: shm/lock.go, LockWait, enter and lockSlow, with shm/contender.go.
   The lock is that of mutex.pml, without notice and token.

   Who finds the lock held passes the gate, a channel of one place; when it has the
   lock or leaves, it gives the place back, not later: who holds the lock holds no gate.
   Who leaves at the gate has not announced itself and owes nothing; who leaves behind
   it has the leaving duty as in mutex.pml, whoever stands at the gate.

   Every `:: atomic` is one access to shared memory, one futex call, or one step of the
   channel. The process may be killed between any two of them, with all its goroutines.

   Checked, and what pan prints if it does not hold:
     1. the lock excludes                              holder==0, holder==(i+1)
     2. nobody waits for ever while he could go on,
        in the kernel or at the gate                   invalid end state
     3. one goroutine of the process is in the kernel  inside<=1
     4. at rest the lock and the gate are free         !(held)

   Shape: G goroutines of one process, the others up to N are processes of their own
     without a gate; ITER rounds of goroutine 0; KILLS; TIMEOUTS (goroutine 1 leaves: at
     the gate, or behind it, timed out or cancelled after a wake)
     HAND      goroutine 0 leaves the unlock to client N-1, which does nothing else
               (unlock_any)

   Must fail:
     GATE_KEPT      who leaves behind the gate does not give it back
     GATE_TILL_UNLOCK  (HAND) who has the lock gives the gate back as it unlocks
     NO_DUTY        leaves after a wake without passing it on
     DUTY_TO_NEXT   ... if somebody stands at the gate, who may leave there too
     DROP_W         who has slept takes the lock without W
     NO_DEATHWAKE   a death wakes nobody
     NO_GATE        there is no gate: 3 does not hold                           */

#ifndef G
#define G 2
#endif
#ifndef N
#define N 4
#endif
#ifndef ITER
#define ITER 1
#endif
#ifndef KILLS
#define KILLS 0
#endif

/* The word: owner:3 | W. */
#define OWN 7
#define W   8
#define OWNER(x) ((x) & OWN)
#define SEAT(i) (i < G -> 1 : i + 1)
#define ME SEAT(i)

mtype = {
  try, gate_try, gate_wait, load, take, set_w, wait, slept, leave, out_in, out,
  body, handed_over, unhand, unlock, u_wake, next, r_free, r_gentle, r_wake, r_done, done
};
#define idle 0

byte word;
byte gate;                /* goroutine + 1 that has its place */
byte at_gate;             /* how many wait for it */
bool asleep[N];           /* the kernel's queue on word */
bool todo[N+1];           /* by seat: its death is not yet recovered */
bool dead;                /* the process of the goroutines */
mtype rpc = idle;
byte kills;

/* ghosts */
byte holder;              /* thread + 1 */
byte inside;              /* goroutines behind the gate */
bool handed;

inline wake_one() {
  if
  :: asleep[0] -> asleep[0] = false
  :: asleep[1] -> asleep[1] = false
  :: asleep[2] -> asleep[2] = false
#if N > 3
  :: asleep[3] -> asleep[3] = false
#endif
#if N > 4
  :: asleep[4] -> asleep[4] = false
#endif
  :: else
  fi
}

#define AT(s) (pc == s)
#define GO(s) pc = s
#define FORGET old = 0; keep = 0; it = 0; duty = false

#ifdef NO_GATE
#define PASSES true
#else
#define PASSES (gate == 0)
#endif
#define PASS gate = i+1; inside++; assert(inside <= 1); GO(load)
#define GIVE_BACK gate = 0; inside--

#ifdef DUTY_TO_NEXT
#define OWES (duty && !at_gate)
#elif defined(NO_DUTY)
#define OWES false
#else
#define OWES duty
#endif
#define LEAVES (i == 1 && duty)
#ifdef GATE_TILL_UNLOCK
#define TAKEN body
#else
#define TAKEN out_in
#endif

/* Client i; a goroutine of the process if i < G. */
proctype client(byte i) {
#ifdef HAND
  mtype pc = (i == N-1 -> unhand : try);
#else
  mtype pc = try;
#endif
  byte old, keep, it; bool duty;
  {
  do
  :: atomic { AT(try) ->
       if
       :: OWNER(word) == 0 -> word = ME | (word & W); assert(holder == 0); holder = i+1; GO(body)
       :: else -> GO((i < G -> gate_try : load))
       fi }

  /* ---- the gate */
  :: atomic { AT(gate_try) ->
       if
       :: PASSES -> PASS
       :: else -> at_gate++; GO(gate_wait)
       fi }
  :: atomic { AT(gate_wait) && PASSES -> at_gate--; PASS }
#ifdef TIMEOUTS
  :: atomic { AT(gate_wait) && i == 1 -> at_gate--; GO(next) }
#endif

  /* ---- behind it: the contender */
  :: atomic { AT(load) -> old = word;
       if
       :: OWNER(old) == 0 -> GO(take)
       :: OWNER(old) != 0 && old & W -> GO(wait)
       :: OWNER(old) != 0 && !(old & W) -> GO(set_w)
#ifdef TIMEOUTS
       :: OWNER(old) != 0 && LEAVES -> GO((OWES && !(old & W) -> leave : out))
#endif
       fi }
  :: atomic { AT(take) ->
       if
#ifdef DROP_W
       :: word == old -> word = ME | (old & W);
#else
       :: word == old -> word = ME | keep | (old & W);
#endif
            assert(holder == 0); holder = i+1; keep = 0; duty = false; GO((i < G -> TAKEN : body))
       :: else -> GO(load)
       fi;
       old = 0 }
  :: atomic { AT(set_w) ->
       if
       :: word == old -> word = old | W; old = word; GO(wait)
       :: else -> old = 0; GO(load)
       fi }
  :: atomic { AT(wait) -> keep = W; duty = false;
       if
       :: word == old -> asleep[i] = true; GO(slept)
       :: else -> GO(load)
       fi;
       old = 0 }
  :: atomic { AT(slept) && !asleep[i] -> duty = true; GO(load) }
#ifdef TIMEOUTS
  :: atomic { AT(slept) && asleep[i] && i == 1 -> asleep[i] = false; GO(out) }
#endif
  :: atomic { AT(leave) ->
       if
       :: word == old -> word = old | W; GO(out)
       :: else -> GO(load)
       fi;
       old = 0 }
  :: atomic { AT(out_in) -> GIVE_BACK; GO(body) }
#ifdef GATE_KEPT
  :: atomic { AT(out) -> inside--; GO(next) }
#else
  :: atomic { AT(out) -> GIVE_BACK; GO(next) }
#endif

  /* ---- the lock is his */
#ifdef HAND
  :: atomic { AT(body) && i == 0 -> handed = true; GO(handed_over) }
  :: atomic { AT(handed_over) && !handed -> GO(next) }
  :: atomic { AT(unhand) && handed -> assert(holder == 1); handed = false; GO(unlock) }
  :: atomic { AT(body) && i != 0 -> GO(unlock) }
#else
  :: atomic { AT(body) -> GO(unlock) }
#endif
  :: atomic { AT(unlock) -> old = word; word = 0; holder = 0;
#ifdef GATE_TILL_UNLOCK
       if :: gate == i+1 -> GIVE_BACK :: else fi;
#endif
       GO((old & W -> u_wake : next)); old = 0 }
  :: atomic { AT(u_wake) -> wake_one(); GO(next) }
  :: atomic { AT(next) -> old = 0; keep = 0; duty = false; it++;
       if
       :: it < ITER && i == 0 -> GO(try)
       :: else -> it = 0; GO(done); break
       fi }

  :: atomic { kills > 0 && !AT(next) && !handed -> kills--; todo[ME] = true;
       if
       :: i < G -> asleep[0] = false; asleep[1] = false;
#if G > 2
            asleep[2] = false;
#endif
            if :: holder != 0 && holder <= G -> holder = 0 :: else fi;
            gate = 0; at_gate = 0; inside = 0; dead = true      /* last: the unless cuts in here */
       :: else -> asleep[i] = false;
            if :: holder == i+1 -> holder = 0 :: else fi
       fi;
       FORGET; GO(done); break }
  od
  } unless { atomic { dead && i < G && !AT(done) -> FORGET; GO(done) } }
}

proctype recovery() {
  byte c;
end:
  do
#define PICK(k) :: atomic { rpc == idle && todo[k] -> c = k; rpc = r_free }
  PICK(1) PICK(3)
#if N > 3
  PICK(4)
#endif
#if N > 4
  PICK(5)
#endif
  :: atomic { rpc == r_free -> rpc = r_gentle; if :: OWNER(word) == c -> word = word & W :: else fi }
#ifdef NO_DEATHWAKE
  :: atomic { rpc == r_gentle -> rpc = r_done }
#else
  :: atomic { rpc == r_gentle ->
       if
       :: OWNER(word) == 0 -> rpc = r_wake
       :: else -> word = word | W; rpc = r_done
       fi }
#endif
  :: atomic { rpc == r_wake -> wake_one(); rpc = r_done }
  :: atomic { rpc == r_done -> todo[c] = false; c = 0; rpc = idle }
  od
}

proctype watch() {
  bool held;
end:
  atomic {
    timeout ->
    held = OWNER(word) != 0 || gate != 0;
    if
    :: asleep[0] || asleep[1] || asleep[2] || at_gate -> skip    /* an invalid end state says more */
#if N > 3
    :: asleep[3]
#endif
    :: else -> assert(!held)
    fi
  }
}

init {
  byte k;
  atomic {
    /* An unspent kill would hide a deadlock, so the budget is chosen here. */
    do :: kills < KILLS -> kills++ :: break od;
    do :: k < N -> run client(k); k++ :: else -> break od;
    run recovery();
    run watch(); k = 0
  }
}
