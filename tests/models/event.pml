/* The event with manual reset: one word, {generation<<2 | W<<1 | S}, and nobody's.

   Code stated here: shm/event.go and clients/c/event.c. An event that resets
   itself is a semaphore of at most one permit: semaphore.pml with MAX=1 RESET.

   S is set, W is the waiters bit, and never both: a set clears W, and only who
   finds S clear announces. Set and pulse move the generation on and clear W in
   their compare-and-swap, and wake all if W was there; a pulse leaves S clear. A
   waiter goes when it sees S, or another generation than in its first load. So
   nobody owes anything: whoever clears W wakes everybody. A death wakes all and
   leaves the word as it is. Removed is a word of its own, all ones, which has S
   and W both: no set, pulse, reset or announcement makes it, and none changes it.

   Every `:: atomic` is one access to shared memory, or one futex call. A client
   may be killed between any two of them.

   Checked, and what pan prints if it does not hold:
     1. at rest nobody sleeps who may go: not while S,
        nor after a set or pulse since his first load  !(late)
     2. ... nor unannounced: the next set would be
        lost                                           !((sleeping&& !((word&2))))
     3. ... and after remove nobody sleeps, and the
        word never changes again                       sleeping&&removed, word==255
     4. S and W are never set together                 (word&3)!=3
     5. who goes saw S, or a set or pulse came while
        he waited                                      given!=before[i]
     6. a set stays until a reset                      !((on&& !((word&1))))
     7. PAY: wakes by set and pulse <= times W was set pay<=wsets

   Shape: NW waiters, waiter 0 WI rounds; beside them ONE or two or three changers:
     reset+set, set+reset, pulse (ONE: pulse only, TWO: without the first);
     KILLS; TIMEOUTS (waiter 1 times out or is cancelled)
     PAIR      waiters 0 and 1 are threads of one process: one death
     SOCK      the daemon acts for the last changer; its death (DKILLS) cuts it short
     DESTROY   the event is destroyed; DKILLS inside that

   Must fail:
     NO_DEATHWAKE      a death wakes nobody
     NO_START_SWEEP    (SOCK) the successor does not sweep
     NO_GEN            a waiter goes only when it sees S: a pulse is lost
     GEN_EACH_LOAD     the generation of the last load counts, not of the first
     GEN_KEPT          (TWO) a set leaves the generation: set and reset are lost
     RESET_STORE       reset by load and store: a set in between is lost
     ANNOUNCE_STORE    announced by load and store: a set in between is lost
     WAKE_ONE          a set wakes one
     SET_KEEPS_W       (PAY) a set leaves W: one call per set for ever
     REMOVE_STATE_ONLY (DESTROY) the state is stored, all are woken, the word stays
     REMOVE_CLEARS_W   (DESTROY) ... W is cleared too: another one sets it again
     RESET_BLIND       (DESTROY) reset by fetch-and: the word comes back to life   */

#ifndef NW
#define NW 2
#endif
#ifndef WI
#define WI 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef DKILLS
#define DKILLS 0
#endif

#ifdef ONE
#define NC 1
#elif defined(TWO)
#define NC 2
#else
#define NC 3
#endif
#define N     (NW+NC)
#define S     1
#define W     2
#define GONE  255         /* removed */
#define GEN(x) (x >> 2)

#ifdef GEN_KEPT
#define SET_OF(x)   ((x & (255-W)) | S)
#else
#define SET_OF(x)   (((GEN(x)+1) << 2) | S | KEPT(x))
#endif
#define PULSE_OF(x) (((GEN(x)+1) << 2) | KEPT(x))
#ifdef SET_KEEPS_W
#define KEPT(x) (x & W)
#else
#define KEPT(x) 0
#endif

#if defined(REMOVE_STATE_ONLY) || defined(REMOVE_CLEARS_W)
#define BY_STATE          /* the word does not say that it is removed */
#endif

mtype = {
  first, load, announce, store, look, wait, slept, next,
  s_load, s_cas, p_load, p_cas, w_all, r_load, r_cas,
  x_state, x_word, x_wake, done
};

byte word;
bool removed;             /* the segment's state word */
bool asleep[NW];          /* the kernel's queue on word */
byte gen[NW];             /* of each waiter's first load; his own */
bool owed[N];             /* its death is not yet recovered */
bool sweep;               /* a new daemon has yet to look at every object */
byte kills, dkills;

/* ghosts */
byte given;               /* sets and pulses so far */
byte before[NW];          /* ... at each waiter's first load */
bool on;                  /* set, and not reset since */
#ifdef PAY
byte pay, wsets;
#define SETS_W wsets++
#define PAYS   pay++; assert(pay <= wsets)
#else
#define SETS_W skip
#define PAYS   skip
#endif

inline wake_all() {
#ifdef WAKE_ONE
  if
  :: asleep[0] -> asleep[0] = false
#if NW > 1
  :: asleep[1] -> asleep[1] = false
#endif
  :: else
  fi
#else
  asleep[0] = false;
#if NW > 1
  asleep[1] = false;
#endif
#if NW > 2
  asleep[2] = false;
#endif
#endif
}

#define AT(s) (pc == s)
#define GO(s) pc = s

#ifdef SET_KEEPS_W
#define APART true
#else
#define APART ((word & 3) != 3 || word == GONE)
#endif
#ifdef NO_GEN
#define MAY_GO(x) (x & S)
#else
#define MAY_GO(x) ((x & S) || GEN(x) != gen[i])
#endif
#ifdef BY_STATE
#define REMOVED(x) false
#define ANNOUNCED look
#else
#define REMOVED(x) (x == GONE)
#define ANNOUNCED wait
#endif
#ifdef ANNOUNCE_STORE
#define ANNOUNCE store
#else
#define ANNOUNCE announce
#endif

inline sort() {           /* what a waiter makes of the word it has loaded */
  if
  :: REMOVED(old) -> GO(next)
  :: !REMOVED(old) && MAY_GO(old) ->
       assert((old & S) || given != before[i]); GO(next)
  :: else -> GO((old & W -> ANNOUNCED : ANNOUNCE))
  fi
}

#define KILLED asleep[i] = false; gen[i] = 0; before[i] = 0; old = 0; it = 0

proctype waiter(byte i) {
  mtype pc = first; byte old, it;
end:                      /* it may sleep for ever if nobody sets: watch() looks */
  do
  :: atomic { AT(first) -> old = word; gen[i] = GEN(old); before[i] = given; sort() }
  :: atomic { AT(load) -> old = word;
#ifdef GEN_EACH_LOAD
       gen[i] = GEN(old);
#endif
       sort() }
  :: atomic { AT(announce) ->
       if
       :: word == old -> word = old | W; old = word; SETS_W; GO(ANNOUNCED)
       :: else -> GO(load)
       fi }
  :: atomic { AT(store) -> word = old | W; old = word; GO(ANNOUNCED) }
  :: atomic { AT(look) -> GO((removed -> next : wait)) }
  :: atomic { AT(wait) ->
       if
       :: word == old -> asleep[i] = true; GO(slept)
       :: else -> GO(load)
       fi;
       old = 0 }
  :: atomic { AT(slept) && !asleep[i] -> GO(load) }
#ifdef TIMEOUTS
  :: atomic { (AT(slept) || AT(load)) && i == 1 -> asleep[i] = false; GO(next) }
#endif
  :: atomic { AT(next) -> gen[i] = 0; before[i] = 0; old = 0; it++;
       if
       :: it < (i == 0 -> WI : 1) -> GO(first)
       :: else -> it = 0; GO(done); break
       fi }
  :: atomic { kills > 0 && !AT(next) -> kills--; owed[i] = true; KILLED; GO(done); break }
#ifdef PAIR
  :: atomic { i == 1 && owed[0] -> KILLED; GO(done); break }
#endif
  od
}

#ifdef SOCK
#define DAEMON_ACTS (i == N-1)
#else
#define DAEMON_ACTS false
#endif
#ifdef BY_STATE
#define NO_MORE removed
#else
#define NO_MORE (old == GONE)
#endif

/* Two operations, one after the other. */
proctype changer(byte i; mtype op; mtype later) {
  mtype pc = op; byte old;
  do
  :: atomic { AT(s_load) -> old = word;
       if
       :: NO_MORE || (old & S) -> GO(next)
       :: else -> GO(s_cas)
       fi }
  :: atomic { AT(s_cas) ->
       if
       :: word == old -> word = SET_OF(old); given++; on = true; assert(APART);
            if
            :: old & W -> PAYS; GO(w_all)
            :: else -> GO(next)
            fi
       :: else -> GO(s_load)
       fi;
       old = 0 }
  :: atomic { AT(p_load) -> old = word; GO((NO_MORE -> next : p_cas)) }
  :: atomic { AT(p_cas) ->
       if
       :: word == old -> word = PULSE_OF(old); given++; on = false; assert(APART);
            if
            :: old & W -> PAYS; GO(w_all)
            :: else -> GO(next)
            fi
       :: else -> GO(p_load)
       fi;
       old = 0 }
  :: atomic { AT(w_all) -> wake_all(); GO(next) }

#ifdef RESET_BLIND
  :: atomic { AT(r_load) -> word = word & (255-S); on = false; GO(next) }
#else
  :: atomic { AT(r_load) -> old = word; GO((NO_MORE || !(old & S) -> next : r_cas)) }
#endif
#ifdef RESET_STORE
  :: atomic { AT(r_cas) -> if :: word == old -> on = false :: else fi;
       word = old & (255-S); GO(next) }
#else
  :: atomic { AT(r_cas) ->
       if
       :: word == old -> word = old & (255-S); on = false; GO(next)
       :: else -> GO(r_load)
       fi }
#endif
  :: atomic { AT(next) -> old = 0;
       if
       :: later != done -> GO(later); later = done
       :: else -> GO(done); break
       fi }
#ifdef SOCK
  :: atomic { DAEMON_ACTS && dkills > 0 && !AT(next) -> dkills--; old = 0; later = done;
#ifndef NO_START_SWEEP
       sweep = true;
#endif
       GO(done); break }
#endif
  :: atomic { !DAEMON_ACTS && kills > 0 && !AT(next) -> kills--; owed[i] = true; old = 0; later = done;
       GO(done); break }
  od
}

#if N == 3
#define UNRECOVERED (owed[0] || owed[1] || owed[2])
#elif N == 4
#define UNRECOVERED (owed[0] || owed[1] || owed[2] || owed[3])
#elif N == 5
#define UNRECOVERED (owed[0] || owed[1] || owed[2] || owed[3] || owed[4])
#else
#define UNRECOVERED (owed[0] || owed[1] || owed[2] || owed[3] || owed[4] || owed[5])
#endif

/* One call, so that there is nothing to die between. */
proctype recovery() {
  byte c;
end:
  do
  :: atomic { (sweep || UNRECOVERED) ->
       if
       :: sweep -> sweep = false
       :: else ->
            do
            :: !owed[c] -> c++
            :: else -> break
            od;
            owed[c] = false; c = 0
       fi;
#ifndef NO_DEATHWAKE
       wake_all()
#endif
     }
  od
}

#ifdef DESTROY
proctype remover() {
  mtype pc = x_state;
  do
  :: atomic { AT(x_state) -> removed = true; GO(x_word) }
  :: atomic { AT(x_word) -> GO(x_wake);
#ifdef REMOVE_CLEARS_W
       word = word & (255-W)
#elif !defined(BY_STATE)
       word = GONE; on = false
#endif
     }
  :: atomic { AT(x_wake) -> wake_all(); GO(done); break }
  /* the successor finds the state, and goes on with the rest of it */
  :: atomic { dkills > 0 -> dkills--; GO(x_state) }
  od
}
#endif

#define LATE(k) (asleep[k] && (on || given != before[k]))

proctype watch() {
  bool sleeping, late;
end:
  atomic {
    timeout ->
    sleeping = asleep[0]; late = LATE(0);
#if NW > 1
    sleeping = sleeping || asleep[1]; late = late || LATE(1);
#endif
#if NW > 2
    sleeping = sleeping || asleep[2]; late = late || LATE(2);
#endif
    assert(!(sleeping && removed));
#ifndef BY_STATE
    if
    :: removed -> assert(word == 255)
    :: else
    fi;
#endif
    if
    :: word != GONE ->
       assert(!late);
       assert(!(on && !(word & S)));
       assert(!(sleeping && !(word & W)))
    :: else
    fi
  }
}

init {
  byte k;
  atomic {
    /* An unspent kill would hide a deadlock, so the budget is chosen here. */
    do :: kills < KILLS -> kills++ :: break od;
    do :: dkills < DKILLS -> dkills++ :: break od;
    do :: k < NW -> run waiter(k); k++ :: else -> break od;
#if NC > 2
    run changer(k, r_load, s_load); k++;
#endif
#if NC > 1
    run changer(k, s_load, r_load); k++;
#endif
    run changer(k, p_load, done);
    run recovery();
#ifdef DESTROY
    run remover();
#endif
    run watch(); k = 0
  }
}
