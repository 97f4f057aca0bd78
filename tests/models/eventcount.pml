/* Derived state under a latch, and waiting on it: the eventcount whose waiters
   bit is cleared again.

   Code stated here: shm/eventcount.go and shm/latch.go. How the latch itself
   sleeps and wakes is mutex.pml with -DLATCH; here its word only excludes.

   latch   an owner word: free, a seat, or the daemon of an epoch
   stock   what there is, authoritative: its store is the commit point
   items   derived from stock, and what the predicate looks at
   ec      seq<<1 | W

   The waker clears W, in the same read-modify-write that moves seq. Whoever was
   woken owes a duty, which it does in its next latch section: others may still go
   on: next seq, W clear, wake one; else: set W again. If it leaves without taking
   it wakes one. Latches of dead seats, of all dead seats, are stolen by recovery;
   a latch of an older daemon epoch by anybody. Whoever steals rebuilds first.

   Every `:: atomic` is one access to shared memory, or one futex call. A client
   may be killed between any two of them, the daemon too: its successor starts the
   recovery again from the top.

   Checked, and what pan prints if it does not hold:
     1. the latch excludes; derived state is right in it   inside==0, items==stock
     2. at rest nobody sleeps beside an item               !(((items>0)&&sleeping))
     3. ... nor unannounced: the next signal would be lost !((sleeping&& !((ec&1))))
     4. ... the latch is free, recovery done               latch==0, rpc==0
     5. ... and after destroy nobody sleeps                !((sleeping&&removed))
     6. PAY: wakes by signals <= times W was set           pay<=wsets

   Shape: NT consumers of one item each, consumer 0 TI rounds; NR producers, the
     first PN items in each of RI rounds; KILLS DKILLS TIMEOUTS (consumer 1 times
     out, or is cancelled after a wake)
     SOCK     the daemon acts for the first producer, with the latch as itself
     DESTROY  the object is destroyed
     FK1      a death wakes one (enough when every waiter wants the same)
     ONLY_LOST  without 3: the same bugs as lost wake-ups

   Must fail:
     NO_REARM          the woken does not set W again
     NO_PASSON         the woken sets W again, but wakes nobody
     NO_DUTY           leaves after a wake without waking another
     NO_DEATHWAKE      recovery wakes nobody
     NO_REBUILD        recovery does not rebuild
     CLIENT_NO_REBUILD nor does a client that steals an older epoch's latch
     STEAL_ONLY_C      recovery of C takes the latch from C only
     STEAL_LIVE        recovery takes the latch from anybody
     NO_START_SWEEP    (SOCK) the successor does not sweep
     CHECK_FIRST       announced after the latch is let go
     CASCLEAR          W is cleared by compare-and-swap after a wake that found
                       nobody, and there is no duty
     STICKY            (PAY) W is never cleared: one call per signal for ever
     DESTROY_NO_BUMP   destroy wakes, but does not bump
     STATE_FIRST       (DESTROY) the waiter looks at the state before it announces */

#ifndef NT
#define NT 3
#endif
#ifndef NR
#define NR 2
#endif
#ifndef TI
#define TI 1
#endif
#ifndef RI
#define RI 1
#endif
#ifndef PN
#define PN 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef DKILLS
#define DKILLS 0
#endif

#define N    (NT+NR)
#define DMN  8            /* the daemon: DMN + epoch */
#define W    1

#if defined(STICKY) || defined(CASCLEAR)
#define CLEAR_AND_STEP 2  /* W stays */
#define NOBODY_OWES
#else
#define CLEAR_AND_STEP 1  /* odd to even: next seq, and W is clear */
#endif

mtype = {
  c_latch, c_rebuild, c_look, c_commit, c_items, c_settle, c_arm, c_step,
  c_unlatch, c_wake, c_announce, c_unlatch_wait, c_removed, c_wait, c_slept, c_leave,
  p_latch, p_rebuild, p_commit, p_items, p_signal, p_unlatch, p_wake, p_clear, next,
  r_latch, r_rebuild, r_bump, r_unlatch, r_wake, r_done,
  x_state, x_bump, x_wake, done
};
#define idle 0

byte latch, epoch, stock, items, ec;
bool removed;             /* the segment's state word */
bool asleep[NT];          /* the kernel's queue on ec */
bool dead[DMN+4];         /* by owner: seats 1..N, no daemon */
bool todo[N+1];           /* by seat: its death is not yet recovered */
mtype rpc = idle; bool sweep;
byte kills, dkills;

/* ghosts */
byte inside;              /* who is in the latch section */
#ifdef PAY
byte pay, wsets;
#define SETS_W if :: !(ec & W) -> wsets++ :: else fi
#define PAYS   pay++; assert(pay <= wsets)
#else
#define SETS_W skip
#define PAYS   skip
#endif

inline wake_one() {
  if
  :: asleep[0] -> asleep[0] = false; woke = true
#if NT > 1
  :: asleep[1] -> asleep[1] = false; woke = true
#endif
#if NT > 2
  :: asleep[2] -> asleep[2] = false; woke = true
#endif
  :: else -> woke = false
  fi
}
inline wake_all() {
  asleep[0] = false;
#if NT > 1
  asleep[1] = false;
#endif
#if NT > 2
  asleep[2] = false;
#endif
}

#define AT(s) (pc == s)
#define GO(s) pc = s

/* A latch that the daemon of an older epoch has left behind. */
#define OLDER(l) ((l) >= DMN && (l) < DMN + epoch)

/* Takes the latch as `who`, and goes on at `held`, by way of `rebuild` if stolen. */
#ifdef CLIENT_NO_REBUILD
#define REBUILD
#else
#define REBUILD items = stock
#endif
#define LATCH(at, rebuild, held, who) \
  :: atomic { AT(at) && latch == 0 -> latch = who; ENTER(i+1); assert(items == stock); GO(held) } \
  :: atomic { AT(at) && OLDER(latch) -> latch = who; ENTER(i+1); GO(rebuild) } \
  :: atomic { AT(rebuild) -> REBUILD; assert(items == stock); GO(held) }
#define ENTER(who) assert(inside == 0); inside = who
#define UNLATCH latch = 0; inside = 0

#define KILL(may, forget) \
  :: atomic { kills > 0 && may && !AT(next) -> kills--; dead[i+1] = true; todo[i+1] = true; \
       if :: inside == i+1 -> inside = 0 :: else fi; \
       forget; GO(done); break }

proctype consumer(byte i) {
  mtype pc = c_latch; byte v, it; bool woke, duty, need;
end:                      /* it may sleep for ever if there is nothing: watch() looks */
  do
  LATCH(c_latch, c_rebuild, c_look, i+1)
  :: atomic { AT(c_look) -> GO((items > 0 -> c_commit : c_announce));
#if defined(CHECK_FIRST) || defined(STATE_FIRST)
       if :: items == 0 -> duty = false; GO(c_unlatch_wait) :: else fi
#endif
     }
  :: atomic { AT(c_commit) -> stock--; GO(c_items) }
  :: atomic { AT(c_items) -> items--; GO((duty -> c_settle : c_unlatch)) }

#ifdef NO_REARM
  :: atomic { AT(c_settle) -> GO(c_unlatch) }
#elif defined(NO_PASSON)
  :: atomic { AT(c_settle) -> SETS_W; ec = ec | W; GO(c_unlatch) }
#else
  :: atomic { AT(c_settle) -> need = (items > 0); SETS_W; ec = ec | W; GO((need -> c_step : c_unlatch)) }
  :: atomic { AT(c_step) -> ec = ec + 1; GO(c_unlatch) }
#endif
  :: atomic { AT(c_unlatch) -> UNLATCH; GO((need -> c_wake : next)) }
  :: atomic { AT(c_wake) -> wake_one(); woke = 0; GO(next) }

#ifdef CHECK_FIRST
  :: atomic { AT(c_unlatch_wait) -> UNLATCH; GO(c_announce) }
  :: atomic { AT(c_announce) -> ec = ec | W; v = ec; GO(c_wait) }
#elif defined(STATE_FIRST)
  :: atomic { AT(c_unlatch_wait) && removed -> UNLATCH; GO(next) }
  :: atomic { AT(c_unlatch_wait) && !removed -> GO(c_announce) }
  :: atomic { AT(c_announce) -> ec = ec | W; v = ec; GO(c_arm) }
  :: atomic { AT(c_arm) -> UNLATCH; GO(c_wait) }
#else
  :: atomic { AT(c_announce) -> SETS_W; ec = ec | W; v = ec; duty = false; GO(c_unlatch_wait) }
#ifdef DESTROY
  :: atomic { AT(c_unlatch_wait) -> UNLATCH; GO(c_removed) }
  :: atomic { AT(c_removed) -> GO((removed -> next : c_wait)) }
#else
  :: atomic { AT(c_unlatch_wait) -> UNLATCH; GO(c_wait) }
#endif
#endif
  :: atomic { AT(c_wait) ->
       if
       :: ec == v -> asleep[i] = true; GO(c_slept)
       :: else -> GO(c_latch)
       fi;
       v = 0 }
#ifdef NOBODY_OWES
  :: atomic { AT(c_slept) && !asleep[i] -> GO(c_latch) }
#else
  :: atomic { AT(c_slept) && !asleep[i] -> duty = true; GO(c_latch) }
#endif
#ifdef TIMEOUTS
  :: atomic { AT(c_slept) && asleep[i] && i == 1 -> asleep[i] = false; GO(next) }
#ifdef NO_DUTY
  :: atomic { AT(c_latch) && duty && i == 1 -> GO(next) }
#else
  :: atomic { AT(c_latch) && duty && i == 1 -> GO(c_leave) }
#endif
  :: atomic { AT(c_leave) -> wake_one(); woke = 0; GO(next) }
#endif

  :: atomic { AT(next) -> duty = false; need = false; v = 0; it++;
       if
       :: it < (i == 0 -> TI : 1) -> GO(c_latch)
       :: else -> it = 0; GO(done); break
       fi }
  KILL(true, asleep[i] = false; v = 0; it = 0; duty = false; need = false)
  od
}

#ifdef SOCK
#define DAEMON_ACTS (i == NT)
#define WHO (i == NT -> DMN + epoch : i+1)
#else
#define DAEMON_ACTS false
#define WHO i+1
#endif

proctype producer(byte i) {
  mtype pc = p_latch; byte it, k, s; bool woke, need;
  do
#define COUNT (i == NT -> PN : 1)
  LATCH(p_latch, p_rebuild, p_commit, WHO)
  :: atomic { AT(p_commit) -> stock = stock + COUNT; GO(p_items) }
  :: atomic { AT(p_items) -> items = items + COUNT; GO(p_signal) }
  :: atomic { AT(p_signal) -> GO(p_unlatch);
       if
       :: ec & W -> PAYS; ec = ec + CLEAR_AND_STEP; s = ec; need = true
       :: else
       fi }
  :: atomic { AT(p_unlatch) -> UNLATCH; GO((need -> p_wake : next)) }
  :: atomic { AT(p_wake) -> k = COUNT; GO(next);
       do
       :: k > 0 -> wake_one(); k--
       :: else -> break
       od;
#ifdef CASCLEAR
       if
       :: !woke -> GO(p_clear)
       :: else
       fi;
#endif
       woke = 0 }
  :: atomic { AT(p_clear) -> GO(next);
       if
       :: ec == s -> ec = ec & (255-W)
       :: else
       fi }
  :: atomic { AT(next) -> s = 0; need = false; it++;
       if
       :: it < (i == NT -> RI : 1) -> GO(p_latch)
       :: else -> it = 0; GO(done); break
       fi }

#ifdef SOCK
  /* the daemon dies in the middle: the call's outcome is unknown to the client,
     the latch stays the old epoch's */
  :: atomic { DAEMON_ACTS && dkills > 0 && !AT(next) ->
       dkills--; epoch++; rpc = idle;
#ifndef NO_START_SWEEP
       sweep = true;
#endif
       if :: inside == i+1 || inside == DMN -> inside = 0 :: else fi;
       s = 0; it = 0; need = false; GO(done); break }
#endif
  KILL(!DAEMON_ACTS, s = 0; it = 0; need = false)
  od
}

proctype recovery() {
  byte c; bool woke;
end:
  do
#define PICK(k) :: atomic { rpc == idle && !sweep && todo[k] -> c = k; rpc = r_latch }
  PICK(1) PICK(2)
#if NT+NR > 2
  PICK(3)
#endif
#if NT+NR > 3
  PICK(4)
#endif
#if NT+NR > 4
  PICK(5)
#endif
  :: atomic { rpc == idle && sweep -> c = 0; rpc = r_latch }

  /* while a living client holds it: later again */
  :: atomic { rpc == r_latch && (latch == 0 || OLDER(latch)) ->
       latch = DMN + epoch; ENTER(DMN); rpc = r_rebuild }
#if defined(STEAL_LIVE)
  :: atomic { rpc == r_latch && latch > 0 && latch <= N ->
#elif defined(STEAL_ONLY_C)
  :: atomic { rpc == r_latch && latch == c && c != 0 ->
#else
  :: atomic { rpc == r_latch && dead[latch] ->
#endif
       latch = DMN + epoch; ENTER(DMN); rpc = r_rebuild }
#ifdef NO_REBUILD
  :: atomic { rpc == r_rebuild -> rpc = r_bump }
#else
  :: atomic { rpc == r_rebuild -> items = stock; rpc = r_bump }
#endif
  :: atomic { rpc == r_bump -> ec = ec + 2; rpc = r_unlatch }
  :: atomic { rpc == r_unlatch -> UNLATCH; rpc = r_wake }
  :: atomic { rpc == r_wake -> rpc = r_done;
#ifdef NO_DEATHWAKE
       skip
#elif defined(FK1)
       wake_one()
#else
       wake_all()
#endif
     ; woke = 0 }
  :: atomic { rpc == r_done ->
       if
       :: c == 0 -> sweep = false
       :: else -> todo[c] = false
       fi;
       c = 0; rpc = idle }

#ifndef SOCK
  :: atomic { dkills > 0 && rpc != idle -> dkills--; epoch++; c = 0; rpc = idle;
       if :: inside == DMN -> inside = 0 :: else fi }
#endif
  od
}

#ifdef DESTROY
proctype remover() {
  mtype pc = x_state;
  do
  :: atomic { AT(x_state) -> removed = true; GO(x_bump) }
#ifdef DESTROY_NO_BUMP
  :: atomic { AT(x_bump) -> GO(x_wake) }
#else
  :: atomic { AT(x_bump) -> ec = ec + 2; GO(x_wake) }
#endif
  :: atomic { AT(x_wake) -> wake_all(); GO(done); break }
  od
}
#endif

#if NT > 2
#define ASLEEP (asleep[0] || asleep[1] || asleep[2])
#elif NT > 1
#define ASLEEP (asleep[0] || asleep[1])
#else
#define ASLEEP asleep[0]
#endif

proctype watch() {
  bool sleeping;
end:
  atomic {
    timeout ->
    sleeping = ASLEEP;
    assert(rpc == idle);
    assert(latch == 0);
    assert(items == stock);
    assert(!(items > 0 && sleeping));
#ifndef ONLY_LOST
    assert(!(sleeping && !(ec & W)));
#endif
    assert(!(sleeping && removed))
  }
}

init {
  byte k;
  atomic {
    /* An unspent kill would hide a deadlock, so the budget is chosen here. */
    do :: kills < KILLS -> kills++ :: break od;
    do :: dkills < DKILLS -> dkills++ :: break od;
    do :: k < NT -> run consumer(k); k++ :: else -> break od;
    do :: k < N -> run producer(k); k++ :: else -> break od;
    run recovery();
#ifdef DESTROY
    run remover();
#endif
    run watch(); k = 0
  }
}
