/* The eventcount across two latches, and the two latches together: who waits holds the
   latch of his side, who signals has that of the other side, or none any more.

   Code stated here: shm/eventcount.go, shm/queue.go and shm/queue_recover.go, and the
   same of clients/c. Rings, slots and all operations are queue.pml; how one latch sleeps
   and wakes is mutex.pml with -DLATCH, here it only excludes. The eventcount under one
   latch is eventcount.pml.

   latch   PUT and TAKE, each an owner word: free, a seat, or the daemon of an epoch
   stock   READY slots, authoritative: its store is the commit point
   stored  entries that the put side added to the ring, taken those that the take side
           went past; an entry is there if stored > taken. Derived: stored - taken = stock
   ec      seq<<1 | W

   put      under PUT: commit, entry; unlatch; signal: if W is set, a compare-and-swap to
            the next seq, W clear; wake
   take     under TAKE: nothing there: set W, look again, now there: begin again, a duty
            stays; else sleep. The woken settles: sets W, then looks: more: signals
   both     (repair, counts) PUT, then a try of TAKE. In vain: PUT is put back as it was
            found, TAKE alone waited for, and all begun again. So nobody waits for a latch
            while he holds the other
   repair   by who finds the latch of an older daemon: puts it back, takes both, rebuilds
   recovery tries PUT, then TAKE; in vain: puts PUT back as it was found; again later. With
            both: rebuild, ec moved, all woken
   sweep    by the successor of a daemon: if both latches are free: the alarm: to the next
            seq, W clear, in one compare-and-swap; all woken. Else a recovery

   Every `:: atomic` is one access to shared memory, or one futex call. A client may be
   killed between any two of them, the daemon too: its successor starts the recovery
   again from the top.

   Checked, and what pan prints if it does not hold:
     1. a latch excludes                                   inside[
     2. derived state is right, with both latches, and
        at rest                                            (stored==(taken+stock))
     3. an entry means a message                           stock>0
     4. at rest nobody sleeps beside an entry              !(((stored>taken)&&sleeping))
     5. ... nor unannounced: the next signal would be lost !((sleeping&& !((ec&1))))
     6. ... the latches are free, recovery done            latch[0]==0, latch[1]==0, rpc==0
     7. PAY: wakes by signals <= times W was set           pay<=wsets

   Shape: NT consumers of one message each, consumer 0 TI rounds; NR producers, the first
     PN messages under one latch, RI rounds; KILLS DKILLS
     COUNTS    one more client looks with both latches
     TIMEOUTS  consumer 1 times out, or is cancelled after a wake; repairs are given up
     SOCK      the daemon acts for client SOCK
     TAKE_FIRST  recovery tries TAKE first: no matter, as nobody waits for one latch
               while he holds the other
     ONLY_LOST without 5: the same bugs as lost wake-ups

   Must fail:
     NO_LOOK           announced, and asleep without the second look
     DROP_DUTY         the second look finds something, and the duty is forgotten
     LOOK_FIRST        settles with the look before the or
     NO_REARM          the woken does not set W again
     NO_PASSON         the woken sets W again, but wakes nobody
     NO_DUTY           leaves after a wake without waking another
     NO_DEATHWAKE      recovery wakes nobody
     PLAIN_ADD         (PAY) two who signal both add: each pays for a wake
     SIGNAL_FIRST      looks for waiters before the entry is there
     ENTRY_FIRST       the entry before the commit
     NO_REBUILD        recovery does not rebuild
     CLIENT_NO_REBUILD nor does a client that finds an older epoch's latch
     REBUILD_ONE       that client rebuilds with that latch only
     STEAL_ONLY_C      recovery of C takes latches from C only
     STEAL_LIVE        recovery takes a latch from anybody
     HOLD_AND_WAIT     who has PUT waits for TAKE: its holder is dead, and recovery waits
                       for PUT
     PUT_FREE          recovery in vain leaves PUT free, not as it was found
     CLIENT_PUT_FREE   so does a client
     NO_START_SWEEP    (SOCK) the successor does not sweep
     ALARM_CLEARS      (SOCK) W is cleared in a step of its own, which does not move the
                       word: somebody's next or makes it what a sleeper compares
     SWEEP_BLIND       (SOCK) it takes a living client's latch for one without a past,
                       while that client has the older daemon's word in its pocket   */

#ifndef NT
#define NT 2
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
#define PUT  0
#define TAKE 1

mtype = {
  c_latch, c_look, c_taken, c_commit, c_settle, c_settle_look, c_signal, c_unlatch, c_wake,
  c_announce, c_second, c_unlatch_again, c_unlatch_wait, c_wait, c_slept, c_leave,
  p_latch, p_commit, p_entry, p_unlatch, p_signal, p_add, p_wake, p_late, next,
  put_back, b_put, b_take, b_wait, b_taken, b_stored, b_check, b_over, b_over_put,
  r_first, r_second, r_taken, r_stored, r_bump, r_unlatch, r_unlatch_put, r_wake, r_done,
  s_look, s_look_take, s_bump, s_clear, done
};
#define idle 0

byte latch[2], epoch, stock, stored, taken, ec;
bool asleep[NT];          /* the kernel's queue on ec */
bool dead[DMN+4];         /* by owner: seats 1..N+1, no daemon */
bool todo[N+2];           /* by seat: its death is not yet recovered */
mtype rpc = idle; bool sweep; byte found;
byte kills, dkills;

/* ghosts */
byte inside[2];           /* who is in the latch section */
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
  :: asleep[0] -> asleep[0] = false
#if NT > 1
  :: asleep[1] -> asleep[1] = false
#endif
#if NT > 2
  :: asleep[2] -> asleep[2] = false
#endif
  :: else
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
#define THERE (stored > taken)
#define EXACT stored == taken + stock

/* A latch that the daemon of an older epoch has left behind. */
#define OLDER(l) (latch[l] >= DMN && latch[l] < DMN + epoch)
#define OPEN(l)  (latch[l] == 0 || OLDER(l))
#define ENTER(l, who) assert(inside[l] == 0); inside[l] = who
#define UNLATCH(l) latch[l] = 0; inside[l] = 0
#define OUT(who) \
  if :: inside[PUT] == who -> inside[PUT] = 0 :: else fi; \
  if :: inside[TAKE] == who -> inside[TAKE] = 0 :: else fi

#ifdef SOCK
#define DAEMON_ACTS (i == SOCK)
#define WHO (i == SOCK -> DMN + epoch : i+1)
#define DAEMON_DIES(forget) \
  :: atomic { DAEMON_ACTS && dkills > 0 && !AT(next) -> dkills--; epoch++; rpc = idle; found = 0; SWEEPS; \
       OUT(i+1); OUT(DMN); forget; GO(done); break }
#ifdef NO_START_SWEEP
#define SWEEPS skip
#else
#define SWEEPS sweep = true
#endif
#else
#define DAEMON_ACTS false
#define WHO i+1
#define DAEMON_DIES(forget)
#endif

/* Takes the latch of one side. A client that finds an older daemon's puts it back and
   repairs first; side says which. */
#if defined(CLIENT_NO_REBUILD)
#define STOLEN(l, held) ENTER(l, i+1); GO(held)
#elif defined(REBUILD_ONE)
#define STOLEN(l, held) ENTER(l, i+1); side = l; GO(b_taken)
#else
#define STOLEN(l, held) side = l; GO(put_back)
#endif
#define LATCH(at, l, held) \
  :: atomic { AT(at) && latch[l] == 0 -> latch[l] = WHO; ENTER(l, i+1); GO(held) } \
  :: atomic { AT(at) && OLDER(l) -> old = latch[l]; latch[l] = WHO; STOLEN(l, held) } \
  :: atomic { AT(put_back) -> latch[side] = old; old = 0; side = 0; GO(b_put) }

/* Both latches, then `got`; over again at `at`. */
#ifdef CLIENT_PUT_FREE
#define AS_FOUND 0
#else
#define AS_FOUND old
#endif
#ifdef HOLD_AND_WAIT
#define IN_VAIN false
#else
#define IN_VAIN !OPEN(TAKE)
#endif
#define BOTH(got, at) \
  :: atomic { AT(b_put) && OPEN(PUT) -> old = latch[PUT]; latch[PUT] = WHO; GO(b_take) } \
  :: atomic { AT(b_take) && OPEN(TAKE) -> stolen = (OLDER(TAKE) || OLDER_WORD(old)); old = 0; latch[TAKE] = WHO; \
       ENTER(PUT, i+1); ENTER(TAKE, i+1); GO(got) } \
  :: atomic { AT(b_take) && IN_VAIN -> latch[PUT] = AS_FOUND; old = 0; GO(b_wait) } \
  :: atomic { AT(b_wait) && OPEN(TAKE) -> GO(b_put) } \
  :: atomic { AT(b_taken) -> taken = 0; GO(b_stored) } \
  :: atomic { AT(b_stored) -> stored = stock; GO(b_check) } \
  :: atomic { AT(b_check) -> stolen = false; SURE; GO(b_over) } \
  OVER(at)
#define OLDER_WORD(x) (x >= DMN && x < DMN + epoch)
#ifdef REBUILD_ONE
#define SURE skip
#define OVER(at) :: atomic { AT(b_over) -> UNLATCH(side); side = 0; old = 0; GO(at) }
#else
#define SURE assert(EXACT)
#define OVER(at) \
  :: atomic { AT(b_over) -> UNLATCH(TAKE); GO(b_over_put) } \
  :: atomic { AT(b_over_put) -> UNLATCH(PUT); GO(at) }
#endif

#define KILL(forget) \
  :: atomic { kills > 0 && !DAEMON_ACTS && !AT(next) -> kills--; dead[i+1] = true; todo[i+1] = true; \
       OUT(i+1); old = 0; side = 0; stolen = false; forget; GO(done); break }
#ifdef TIMEOUTS
#define GIVES_UP(at) :: atomic { AT(b_put) || AT(b_wait) -> GO(at) }
#else
#define GIVES_UP(at)
#endif

#ifdef PLAIN_ADD
#define SIGNAL(at, then, add) \
  :: atomic { AT(at) -> GO((ec & W -> add : then)) } \
  :: atomic { AT(add) -> PAYS; ec++; due = true; GO(then) }
#else
#define SIGNAL(at, then, add) \
  :: atomic { AT(at) -> if :: ec & W -> PAYS; ec++; due = true :: else fi; GO(then) }
#endif

proctype consumer(byte i) {
  mtype pc = c_latch; byte v, it, old, side; bool duty, due, stolen;
end:                      /* it may sleep for ever if there is nothing: watch() looks */
  do
  LATCH(c_latch, TAKE, c_look)
  BOTH(b_taken, c_latch)
  :: atomic { AT(c_look) -> GO((THERE -> c_taken : c_announce)) }
  :: atomic { AT(c_taken) -> assert(stock > 0); taken++; GO(c_commit) }
  :: atomic { AT(c_commit) -> stock--; GO((duty -> c_settle : c_unlatch)) }

#if defined(NO_REARM)
  :: atomic { AT(c_settle) -> GO(c_unlatch) }
#elif defined(NO_PASSON)
  :: atomic { AT(c_settle) -> SETS_W; ec = ec | W; GO(c_unlatch) }
#elif defined(LOOK_FIRST)
  :: atomic { AT(c_settle) -> due = THERE; GO(c_settle_look) }
  :: atomic { AT(c_settle_look) -> SETS_W; ec = ec | W; GO((due -> c_signal : c_unlatch)); due = false }
#else
  :: atomic { AT(c_settle) -> SETS_W; ec = ec | W; GO(c_settle_look) }
  :: atomic { AT(c_settle_look) -> GO((THERE -> c_signal : c_unlatch)) }
#endif
  SIGNAL(c_signal, c_unlatch, p_add)
  :: atomic { AT(c_unlatch) -> UNLATCH(TAKE); GO((due -> c_wake : next)) }
  :: atomic { AT(c_wake) -> due = false; wake_one(); GO(next) }

#ifdef NO_LOOK
  :: atomic { AT(c_announce) -> SETS_W; ec = ec | W; v = ec; duty = false; GO(c_unlatch_wait) }
#else
  :: atomic { AT(c_announce) -> SETS_W; ec = ec | W; v = ec; GO(c_second) }
#ifdef DROP_DUTY
  :: atomic { AT(c_second) -> duty = false; GO((THERE -> c_unlatch_again : c_unlatch_wait)) }
#else
  :: atomic { AT(c_second) -> duty = duty && THERE; GO((THERE -> c_unlatch_again : c_unlatch_wait)) }
#endif
  :: atomic { AT(c_unlatch_again) -> UNLATCH(TAKE); v = 0; GO(c_latch) }
#endif
  :: atomic { AT(c_unlatch_wait) -> UNLATCH(TAKE); GO(c_wait) }
  :: atomic { AT(c_wait) ->
       if
       :: ec == v -> asleep[i] = true; GO(c_slept)
       :: else -> GO(c_latch)
       fi;
       v = 0 }
  :: atomic { AT(c_slept) && !asleep[i] -> duty = true; GO(c_latch) }
#ifdef TIMEOUTS
  :: atomic { AT(c_slept) && asleep[i] && i == 1 -> asleep[i] = false; GO(next) }
  :: atomic { AT(c_latch) && duty && i == 1 -> GO(c_leave) }
#endif
  GIVES_UP(c_leave)
#ifdef NO_DUTY
  :: atomic { AT(c_leave) -> GO(next) }
#else
  :: atomic { AT(c_leave) -> if :: duty -> wake_one() :: else fi; GO(next) }
#endif

  :: atomic { AT(next) -> duty = false; due = false; it++;
       if
       :: it < (i == 0 -> TI : 1) -> GO(c_latch)
       :: else -> it = 0; GO(done); break
       fi }
  DAEMON_DIES(asleep[i] = false; v = 0; it = 0; old = 0; side = 0; stolen = false; duty = false; due = false)
  KILL(asleep[i] = false; v = 0; it = 0; duty = false; due = false)
  od
}

proctype producer(byte i) {
  mtype pc = p_latch; byte it, k, old, side; bool due, stolen;
  do
#define COUNT (i == NT -> PN : 1)
  LATCH(p_latch, PUT, p_commit)
  BOTH(b_taken, p_latch)
#ifdef ENTRY_FIRST
  :: atomic { AT(p_commit) -> stored++; GO(p_entry) }
  :: atomic { AT(p_entry) -> stock++; k++; GO((k < COUNT -> p_commit : p_unlatch)) }
#else
  :: atomic { AT(p_commit) -> stock++; GO(p_entry) }
#ifdef SIGNAL_FIRST
  :: atomic { AT(p_entry) -> k++; due = (ec & W); GO(p_late) }
  :: atomic { AT(p_late) -> stored++; GO((k < COUNT -> p_commit : p_unlatch)) }
#else
  :: atomic { AT(p_entry) -> stored++; k++; GO((k < COUNT -> p_commit : p_unlatch)) }
#endif
#endif
#ifdef SIGNAL_FIRST
  :: atomic { AT(p_unlatch) -> UNLATCH(PUT); GO((due -> p_signal : p_wake)); due = false }
#else
  :: atomic { AT(p_unlatch) -> UNLATCH(PUT); GO(p_signal) }
#endif
  SIGNAL(p_signal, p_wake, p_add)
  :: atomic { AT(p_wake) ->
       do
       :: due && k > 0 -> wake_one(); k--
       :: else -> break
       od;
       k = 0; GO(next) }
  GIVES_UP(next)
  :: atomic { AT(next) -> due = false; it++;
       if
       :: it < (i == NT -> RI : 1) -> GO(p_latch)
       :: else -> it = 0; GO(done); break
       fi }
  DAEMON_DIES(k = 0; it = 0; old = 0; side = 0; stolen = false; due = false)
  KILL(k = 0; it = 0; due = false)
  od
}

#ifdef COUNTS
/* One look with both latches. */
proctype counter() {
  mtype pc = b_put; byte i = N, old, side; bool stolen;
  do
  BOTH((stolen -> b_taken : b_check), done)
  :: atomic { AT(done) -> break }
  KILL(skip)
  od
}
#endif

proctype recovery() {
  byte c;
end:
  do
#define PICK(k) :: atomic { rpc == idle && !sweep && todo[k] -> c = k; rpc = r_first }
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
#ifdef COUNTS
  PICK(N+1)
#endif
  :: atomic { rpc == idle && sweep -> c = 0; rpc = s_look }

  /* the successor looks whether there is anything to repair */
#ifdef SWEEP_BLIND
  :: atomic { rpc == s_look -> rpc = (OLDER(PUT) -> r_first : s_look_take) }
  :: atomic { rpc == s_look_take -> rpc = (OLDER(TAKE) -> r_first : s_bump) }
#else
  :: atomic { rpc == s_look -> rpc = (latch[PUT] != 0 -> r_first : s_look_take) }
  :: atomic { rpc == s_look_take -> rpc = (latch[TAKE] != 0 -> r_first : s_bump) }
#endif
#ifdef ALARM_CLEARS
  :: atomic { rpc == s_bump -> ec = ec + 2; rpc = s_clear }
  :: atomic { rpc == s_clear -> ec = ec & (255-W); rpc = r_wake }
#else
  :: atomic { rpc == s_bump -> ec = (ec | W) + 1; rpc = r_wake }
#endif

#if defined(STEAL_LIVE)
#define HIS(l) (OPEN(l) || latch[l] < DMN)
#elif defined(STEAL_ONLY_C)
#define HIS(l) (OPEN(l) || (latch[l] == c && c != 0))
#else
#define HIS(l) (OPEN(l) || dead[latch[l]])
#endif
#ifdef TAKE_FIRST
#define FIRST  TAKE
#define SECOND PUT
#else
#define FIRST  PUT
#define SECOND TAKE
#endif
#ifdef PUT_FREE
#define FOUND 0
#else
#define FOUND found
#endif
  /* while a living client holds it: later again */
  :: atomic { rpc == r_first && HIS(FIRST) -> found = latch[FIRST]; latch[FIRST] = DMN + epoch; rpc = r_second }
  :: atomic { rpc == r_second && HIS(SECOND) -> found = 0; latch[SECOND] = DMN + epoch; ENTER(PUT, DMN);
       ENTER(TAKE, DMN); rpc = r_taken }
  :: atomic { rpc == r_second && !HIS(SECOND) -> latch[FIRST] = FOUND; found = 0; rpc = r_first }
#ifdef NO_REBUILD
  :: atomic { rpc == r_taken -> rpc = r_bump }
#else
  :: atomic { rpc == r_taken -> taken = 0; rpc = r_stored }
  :: atomic { rpc == r_stored -> stored = stock; rpc = r_bump }
#endif
  :: atomic { rpc == r_bump -> ec = ec + 2; rpc = r_unlatch }
  :: atomic { rpc == r_unlatch -> UNLATCH(TAKE); rpc = r_unlatch_put }
  :: atomic { rpc == r_unlatch_put -> UNLATCH(PUT); rpc = r_wake }
#ifdef NO_DEATHWAKE
  :: atomic { rpc == r_wake -> rpc = r_done }
#else
  :: atomic { rpc == r_wake -> wake_all(); rpc = r_done }
#endif
  :: atomic { rpc == r_done ->
       if
       :: c == 0 -> sweep = false
       :: else -> todo[c] = false
       fi;
       c = 0; rpc = idle }

#ifndef SOCK
  :: atomic { dkills > 0 && rpc != idle -> dkills--; epoch++; c = 0; found = 0; rpc = idle; OUT(DMN) }
#endif
  od
}

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
    assert(latch[0] == 0);
    assert(latch[1] == 0);
    assert(EXACT);
    assert(!(THERE && sleeping));
#ifndef ONLY_LOST
    assert(!(sleeping && !(ec & W)));
#endif
    skip
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
#ifdef COUNTS
    run counter();
#endif
    run recovery();
    run watch(); k = 0
  }
}
