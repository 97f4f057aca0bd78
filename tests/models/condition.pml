/* The condition, bound to a mutex: an eventcount for predicates that only its
   users know.

   Code stated here: shm/condition.go and clients/c/condition.c, with the mutex of
   mutex.pml without notice and token, which are checked there.

   m    the mutex: an owner word with W and I, and its own sleepers
   c    seq<<1 | W. Every update is one read-modify-write: the daemon moves it
        without holding m

   Wait announces (one `or`) while m is held, lets m go, sleeps on what it has
   announced, and takes m again, which ends neither with the deadline nor with a
   cancellation. Notify holds m all the time: it moves c, wakes n, and clears W if
   that found fewer than n, for then nobody sleeps, and nobody announces before m is
   free. Who was cancelled after a wake takes m and notifies one; a timeout owes
   nothing. A death moves c and wakes all, m held or not.

   Removing the condition stores the state, moves c and wakes all; a waiter looks at
   the state after it has announced. Removing the mutex takes its word over for
   ever, then moves c and wakes all: a waiter who finds the mutex removed, when he
   lets it go or takes it again, leaves.

   Every `:: atomic` is one access to shared memory, or one futex call. A client
   may be killed between any two of them, the daemon too: its successor starts the
   recovery again from the top.

   Checked, and what pan prints if it does not hold:
     1. m excludes                                      holder==0, holder==(i+1)
     2. at rest nobody sleeps who could go on           !(could)
     3. ... nor unannounced: the next notify is lost    !((sleeping&& !((c&1))))
     4. ... m is free, nobody sleeps on it, recovery is
        done                                            !(held), rpc==0
     5. ... and nobody sleeps after either is removed   !((sleeping&&ended))
     6. the word of a removed mutex never changes again m==(15|16)
     7. PAY: wakes by notify that found nobody <= times
        W was set                                       pay<=wsets

   Shape: NW waiters of one item each, waiter 1 wants to see NEED1 of them; NN
     notifiers, the first PN items and notifications in each of NI rounds (PN=9: one
     item and notify_all); KILLS DKILLS TIMEOUTS (waiter 1 times out, or is cancelled
     after a wake)
     PAIR             waiters 0 and 1 are threads of one process: one seat, one death
     SOCK             the daemon acts for the last notifier; its death cuts that short
     CONDITION_FIRST  a death is recovered in the condition before the mutex (sound
                      too: the two are separate objects)
     DESTROY          the condition is removed
     MUTEX_DESTROY    the mutex is removed
     RELOCK_ENDS      waiter 1 may give up taking m again: it passes a wake on as a
                      death does, without m
     UNLOCK_ANY       somebody unlocks m under a notify: one that clears W wakes all
     ONLY_LOST        without 3: the same bugs as lost wake-ups

   Must fail:
     NO_DEATHWAKE      a death moves c, but wakes nobody
     NO_BUMP           a death wakes all, but does not move c
     NO_DUTY           leaves after a wake without notifying another
     NO_START_SWEEP    (SOCK) the successor sweeps the mutex, not the condition
     CLEAR_FIRST       notify clears W whatever its wake finds
     WAKE_AFTER_UNLOCK notify lets m go before it wakes and clears
     STORE_ANNOUNCE    announced by load and store: a death's bump is lost
     RELOCK_NO_ALARM   (RELOCK_ENDS) it just leaves
     CLEAR_ALONE       (UNLOCK_ANY) it wakes nobody more: who announced meanwhile
                       sleeps unannounced
     UNLOCK_FIRST      m is let go before the announcement
     STICKY            (PAY) W is never cleared: one call per notify for ever
     DESTROY_NO_BUMP   (DESTROY) the state is stored and all are woken, c stays
     STATE_FIRST       (DESTROY) a waiter looks at the state, then announces
     MUTEX_ALONE       (MUTEX_DESTROY) the condition is not told
     MUTEX_NO_BUMP     (MUTEX_DESTROY) ... all are woken, c stays
     MUTEX_BUMP_FIRST  (MUTEX_DESTROY) ... told before the word is taken over
     SLEEP_ANYWAY      (MUTEX_DESTROY) a waiter who finds the mutex removed when he
                       lets it go sleeps as usual                              */

#ifndef NW
#define NW 2
#endif
#ifndef NN
#define NN 1
#endif
#ifndef NI
#define NI 1
#endif
#ifndef PN
#define PN 1
#endif
#ifndef NEED1
#define NEED1 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef DKILLS
#define DKILLS 0
#endif

#define N    (NW+NN)
#define ALL  9
/* The mutex word: owner:3 | W | I. */
#define OWN  7
#define MW   8
#define MI   16
#define GONE 7
#define OWNER(x) ((x) & OWN)
#define AS_REMOVED (GONE | MW | MI)
#define W    1

#ifdef PAIR
#define SEAT(i) (i == 0 -> 1 : i)
#else
#define SEAT(i) (i + 1)
#endif
#define ME SEAT(i)

mtype = {
  m_load, m_take, m_set_w, m_wait, m_slept, m_free, m_wake,
  look, early, announce, store, state, wait, slept, expired, pass_on,
  change, n_bump, n_wake, n_clear, n_all, alarm, alarm_wake, m_duty, n_late, n_late_clear, resume, next,
  r_free, r_gentle, r_gwake, r_bump, r_wake, r_done,
  x_state, x_word, x_mwake, x_bump, x_wake, done
};
#define idle 0

byte m, c, items;
bool removed;             /* the state word of the condition's segment */
bool wants[N];            /* the kernel's queue on m */
bool asleep[NW];          /* the kernel's queue on c */
bool todo[N+1];           /* by seat: its death is not yet recovered */
mtype rpc = idle; bool sweep;
byte kills, dkills;

/* ghosts */
byte holder;              /* thread + 1 */
bool gone;                /* the mutex is removed, and that is done with */
#ifdef PAIR
bool pair_dead;
#define PAIR_DEAD (i < 2 && pair_dead)
#else
#define PAIR_DEAD false
#endif
#ifdef PAY
byte pay, wsets;
#define SETS_W if :: !(c & W) -> wsets++ :: else fi
#define PAYS   if :: found == 0 -> pay++; assert(pay <= wsets) :: else fi
#else
#define SETS_W skip
#define PAYS   skip
#endif

inline wake_m() {
  if
  :: wants[0] -> wants[0] = false
  :: wants[1] -> wants[1] = false
#if NW+NN > 2
  :: wants[2] -> wants[2] = false
#endif
#if NW+NN > 3
  :: wants[3] -> wants[3] = false
#endif
  :: else
  fi
}
inline wake_m_all() {
  wants[0] = false; wants[1] = false;
#if NW+NN > 2
  wants[2] = false;
#endif
#if NW+NN > 3
  wants[3] = false;
#endif
}
inline wake_c() {
  if
  :: asleep[0] -> asleep[0] = false; found++
#if NW > 1
  :: asleep[1] -> asleep[1] = false; found++
#endif
#if NW > 2
  :: asleep[2] -> asleep[2] = false; found++
#endif
  :: else
  fi
}
inline wake_c_all() {
  asleep[0] = false;
#if NW > 1
  asleep[1] = false;
#endif
#if NW > 2
  asleep[2] = false;
#endif
}

#define AT(s) (pc == s)
#define GO(s) pc = s
#define LEAVE(then) after = then; GO(m_free)     /* let m go, then */
#define ENTER(then) after = then; GO(m_load)

#ifdef UNLOCK_ANY
bool notifying;           /* the first notifier has changed the predicate, and holds m still */
#define NOTIFYING if :: i == NW -> notifying = true :: else fi
#define UNLOCKED (OWNER(m) != ME)
#define HELD_STILL if :: i == NW -> notifying = false :: else fi
#else
#define NOTIFYING skip
#define UNLOCKED false
#define HELD_STILL assert(holder == (i+1))
#endif

/* Lock and unlock; `after` says where to go on, `lost` where to if removed. */
#define MUTEX(lost) \
  :: atomic { AT(m_load) -> old = m; \
       if \
       :: OWNER(old) == 0 -> GO(m_take) \
       :: OWNER(old) == GONE -> GO(next) \
       :: else -> GO((old & MW -> m_wait : m_set_w)) \
       fi } \
  :: atomic { AT(m_take) -> \
       if \
       :: m == old -> m = ME | keep | (old & MW); assert(holder == 0); holder = i+1; \
            keep = 0; GO(after); after = 0 \
       :: else -> GO(m_load) \
       fi; \
       old = 0 } \
  :: atomic { AT(m_set_w) -> \
       if \
       :: m == old -> m = old | MW; old = m; GO(m_wait) \
       :: else -> GO(m_load); old = 0 \
       fi } \
  :: atomic { AT(m_wait) -> keep = MW; \
       if \
       :: m == old -> wants[i] = true; GO(m_slept) \
       :: else -> GO(m_load) \
       fi; \
       old = 0 } \
  :: atomic { AT(m_slept) && !wants[i] -> GO(m_load) } \
  :: atomic { AT(m_free) -> HELD_STILL; if :: holder == i+1 -> holder = 0 :: else fi; \
       if \
       :: OWNER(m) == GONE || UNLOCKED -> GO(lost); after = 0 \
       :: OWNER(m) == ME && (m & MW) -> m = 0; GO(m_wake) \
       :: OWNER(m) != GONE && !UNLOCKED && !(m & MW) -> assert(OWNER(m) == ME); m = 0; \
            GO(after); after = 0 \
       fi } \
  :: atomic { AT(m_wake) -> wake_m(); GO(after); after = 0 }

/* Notify k, with m held; then m is let go, on the way to `after`. */
#ifdef CLEAR_FIRST
#define MOVE 1            /* odd to even: W is clear */
#else
#define MOVE 2
#endif
#ifdef STICKY
#define CLEAR skip
#else
#define CLEAR c = c & (255-W)
#endif
#if defined(UNLOCK_ANY) && !defined(CLEAR_ALONE)
#define CLEARED n_all
#else
#define CLEARED m_free
#endif
#define NOTIFY(k) \
  :: atomic { AT(n_bump) -> \
       if \
       :: c & W -> c = c + MOVE; GO(n_wake) \
       :: else -> GO(m_free) \
       fi } \
  :: atomic { AT(n_wake) -> found = 0; \
       if \
       :: k == ALL -> do :: wake_c(); if :: !ASLEEP -> break :: else fi od \
       :: else -> j = k; do :: j > 0 -> wake_c(); j-- :: else -> break od \
       fi; \
       PAYS; GO((found < k -> n_clear : m_free)); found = 0 } \
  :: atomic { AT(n_clear) -> CLEAR; GO(CLEARED) } \
  :: atomic { AT(n_all) -> wake_c_all(); GO(m_free) }

#if NW > 2
#define ASLEEP (asleep[0] || asleep[1] || asleep[2])
#elif NW > 1
#define ASLEEP (asleep[0] || asleep[1])
#else
#define ASLEEP asleep[0]
#endif

#ifdef RELOCK_ENDS
bool woken;               /* waiter 1: it owes a wake-up that it has had */
#define WOKEN if :: i == 1 -> woken = true :: else fi
#define SPENT if :: i == 1 -> woken = false :: else fi
#else
#define WOKEN skip
#define SPENT skip
#endif
#define FORGET old = 0; keep = 0; after = 0; v = 0
#define CUT(k) asleep[k] = false; wants[k] = false; if :: holder == k+1 -> holder = 0 :: else fi

#ifdef SLEEP_ANYWAY
#define FREED_LOST (v != 0 -> wait : next)
#else
#define FREED_LOST next
#endif
#ifdef UNLOCK_FIRST
#define ANNOUNCE LEAVE(announce)
#define ANNOUNCED GO(wait)
#elif defined(STATE_FIRST)
#define ANNOUNCE GO(early)
#define ANNOUNCED LEAVE(wait)
#elif defined(STORE_ANNOUNCE)
#define ANNOUNCE GO(store)
#define ANNOUNCED LEAVE(wait)
#elif defined(DESTROY)
#define ANNOUNCE GO(announce)
#define ANNOUNCED GO(state)
#else
#define ANNOUNCE GO(announce)
#define ANNOUNCED LEAVE(wait)
#endif

proctype waiter(byte i) {
  mtype pc = m_load, after = look; byte old, keep, v, j, found;
#define NEED (i == 1 -> NEED1 : 1)
  {
end:                      /* it may sleep for ever if nobody notifies: watch() looks */
  do
  MUTEX(FREED_LOST)
  :: atomic { AT(look) -> SPENT;
       if
       :: items >= NEED -> items--; LEAVE(next)
       :: else -> ANNOUNCE
       fi }
#ifdef STATE_FIRST
  :: atomic { AT(early) ->
       if
       :: removed -> LEAVE(next)
       :: else -> GO(announce)
       fi }
#endif
#ifdef STORE_ANNOUNCE
  :: atomic { AT(store) -> v = c; GO(announce) }
  :: atomic { AT(announce) -> v = v | W; c = v; ANNOUNCED }
#else
  :: atomic { AT(announce) -> SETS_W; c = c | W; v = c; ANNOUNCED }
#endif
  :: atomic { AT(state) ->
       if
       :: removed -> LEAVE(next)
       :: else -> LEAVE(wait)
       fi }
  :: atomic { AT(wait) ->
       if
       :: c == v -> asleep[i] = true; GO(slept)
       :: else -> ENTER(look)
       fi;
       v = 0 }
  :: atomic { AT(slept) && !asleep[i] -> WOKEN; ENTER(look) }
#ifdef TIMEOUTS
  /* expired; woken, and then cancelled: not to look at the predicate */
  :: atomic { AT(slept) && asleep[i] && i == 1 -> asleep[i] = false; ENTER(expired) }
  :: atomic { AT(slept) && !asleep[i] && i == 1 -> ENTER(pass_on) }
  :: atomic { AT(expired) -> LEAVE(next) }
#ifdef NO_DUTY
  :: atomic { AT(pass_on) -> LEAVE(next) }
#else
  :: atomic { AT(pass_on) -> after = next; GO(n_bump) }
#endif
  NOTIFY(1)
#endif
#ifdef RELOCK_ENDS
  /* gives up while it waits for m: what it owes there is mutex.pml's leaving duty */
  :: atomic { (AT(m_load) || AT(m_slept)) && i == 1 && woken -> wants[i] = false; old = 0; GO(m_duty) }
  :: atomic { AT(m_duty) ->
       if
       :: OWNER(m) == 0 || OWNER(m) == GONE -> wake_m()
       :: else -> m = m | MW
       fi;
       after = 0; keep = 0;
#ifdef RELOCK_NO_ALARM
       GO(next)
#else
       GO(alarm)
#endif
     }
  :: atomic { AT(alarm) -> c = c + 2; GO(alarm_wake) }
  :: atomic { AT(alarm_wake) -> wake_c_all(); GO(next) }
#endif
  :: atomic { AT(next) -> FORGET; GO(done); break }
  :: atomic { kills > 0 && !AT(next) -> kills--; todo[ME] = true;
       CUT(i);
#ifdef PAIR
       if
       :: i < 2 -> CUT(0); CUT(1); pair_dead = true     /* last: the unless cuts in here */
       :: else
       fi;
#endif
       FORGET; GO(done); break }
  od
  } unless { atomic { PAIR_DEAD && !AT(done) -> FORGET; GO(done) } }
}

#ifdef SOCK
#define DAEMON_ACTS (i == N-1)
#else
#define DAEMON_ACTS false
#endif

proctype notifier(byte i) {
  mtype pc = m_load, after = change; byte old, keep, j, found, it, v;
#define COUNT (i == NW -> PN : 1)
  do
  MUTEX(next)
  :: atomic { AT(change) -> NOTIFYING; items = items + (COUNT == ALL -> 1 : COUNT); after = next; GO(n_bump) }
#ifdef WAKE_AFTER_UNLOCK
  :: atomic { AT(n_bump) ->
       if
       :: c & W -> c = c + 2; v = c; LEAVE(n_late)
       :: else -> GO(m_free)
       fi }
  :: atomic { AT(n_late) -> j = COUNT; do :: j > 0 -> wake_c(); j-- :: else -> break od;
       GO((found < COUNT -> n_late_clear : next)); found = 0 }
  :: atomic { AT(n_late_clear) -> if :: c == v -> c = c & (255-W) :: else fi; GO(next) }
#else
  NOTIFY(COUNT)
#endif
  :: atomic { AT(next) -> FORGET; it++;
       if
       :: it < (i == NW -> NI : 1) && OWNER(m) != GONE -> ENTER(change)
       :: else -> it = 0; GO(done); break
       fi }
#ifdef SOCK
  /* the daemon died in the middle of a call; after re-attaching the client asks
     what it holds, and does not repeat a notification */
  :: atomic { DAEMON_ACTS && dkills > 0 && !AT(next) -> dkills--; rpc = idle; wants[i] = false;
       sweep = true;
       if
       :: AT(change)      /* not in a call */
       :: else -> FORGET; GO(resume)
       fi }
  :: atomic { AT(resume) && !sweep ->
       if
       :: holder == i+1 -> LEAVE(next)
       :: else -> GO(next)
       fi }
#endif
  :: atomic { !DAEMON_ACTS && kills > 0 && !AT(next) -> kills--; todo[ME] = true; wants[i] = false;
       if :: holder == i+1 -> holder = 0 :: else fi;
       FORGET; it = 0; GO(done); break }
  od
}

#ifdef CONDITION_FIRST
#define R_FIRST   r_bump
#define R_AFTER_M r_done
#define R_AFTER_C r_free
#else
#define R_FIRST   r_free
#ifdef NO_START_SWEEP
#define R_AFTER_M (k == 0 -> r_done : r_bump)
#else
#define R_AFTER_M r_bump
#endif
#define R_AFTER_C r_done
#endif

proctype recovery() {
  byte k, found;
end:
  do
#define PICK(s) :: atomic { rpc == idle && !sweep && todo[s] -> k = s; rpc = R_FIRST }
  PICK(1) PICK(2)
#if NW+NN > 2
  PICK(3)
#endif
#if NW+NN > 3
  PICK(4)
#endif
  :: atomic { rpc == idle && sweep -> k = 0; rpc = R_FIRST }

  :: atomic { rpc == r_free -> rpc = r_gentle;
       if :: k != 0 && OWNER(m) == k -> m = MI | (m & MW) :: else fi }
  :: atomic { rpc == r_gentle ->
       if
       :: OWNER(m) == 0 || OWNER(m) == GONE -> rpc = r_gwake
       :: else -> m = m | MW; rpc = R_AFTER_M
       fi }
  :: atomic { rpc == r_gwake -> wake_m(); rpc = R_AFTER_M }
#ifdef NO_BUMP
  :: atomic { rpc == r_bump -> rpc = r_wake }
#else
  :: atomic { rpc == r_bump -> c = c + 2; rpc = r_wake }
#endif
#ifdef NO_DEATHWAKE
  :: atomic { rpc == r_wake -> rpc = R_AFTER_C }
#else
  :: atomic { rpc == r_wake -> wake_c_all(); rpc = R_AFTER_C }
#endif
  :: atomic { rpc == r_done ->
       if
       :: k == 0 -> sweep = false
       :: else -> todo[k] = false
       fi;
       k = 0; rpc = idle }
#ifndef SOCK
  :: atomic { dkills > 0 && rpc != idle -> dkills--; k = 0; rpc = idle }
#endif
  od
}

#ifdef UNLOCK_ANY
/* Unlocks under a notify of the first notifier, once. */
proctype stranger() {
  bool waiters;
end:
  atomic { notifying && OWNER(m) == NW+1 -> waiters = (m & MW) != 0; m = 0; holder = 0 };
  atomic { if :: waiters -> wake_m() :: else fi }
}
#endif

#ifdef DESTROY
proctype remover() {
  mtype pc = x_state;
  do
  :: atomic { AT(x_state) -> removed = true; GO(x_bump) }
#ifdef DESTROY_NO_BUMP
  :: atomic { AT(x_bump) -> GO(x_wake) }
#else
  :: atomic { AT(x_bump) -> c = c + 2; GO(x_wake) }
#endif
  :: atomic { AT(x_wake) -> wake_c_all(); GO(done); break }
  :: atomic { dkills > 0 -> dkills--; GO(x_state) }
  od
}
#endif

#ifdef MUTEX_DESTROY
#ifdef MUTEX_BUMP_FIRST
#define X_FIRST   x_bump
#define X_AFTER_M done
#define X_AFTER_C x_word
#else
#define X_FIRST   x_word
#ifdef MUTEX_ALONE
#define X_AFTER_M done
#else
#define X_AFTER_M x_bump
#endif
#define X_AFTER_C done
#endif
proctype mutex_remover() {
  mtype pc = X_FIRST;
  do
  :: atomic { AT(x_word) -> m = AS_REMOVED; GO(x_mwake) }
  :: atomic { AT(x_mwake) -> wake_m_all(); GO(X_AFTER_M) }
#ifdef MUTEX_NO_BUMP
  :: atomic { AT(x_bump) -> GO(x_wake) }
#else
  :: atomic { AT(x_bump) -> c = c + 2; GO(x_wake) }
#endif
  :: atomic { AT(x_wake) -> wake_c_all(); GO(X_AFTER_C) }
  :: atomic { AT(done) -> gone = true; break }
  :: atomic { dkills > 0 && !AT(done) -> dkills--; GO(X_FIRST) }
  od
}
#endif

#define COULD(k) (asleep[k] && items >= (k == 1 -> NEED1 : 1))

proctype watch() {
  bool sleeping, held, could, ended; byte k;
end:
  atomic {
    timeout ->
    sleeping = ASLEEP; ended = removed || gone;
    could = COULD(0);
#if NW > 1
    could = could || COULD(1);
#endif
#if NW > 2
    could = could || COULD(2);
#endif
    held = !gone && OWNER(m) != 0;
    k = 0;
    do :: k < N -> held = held || wants[k]; k++ :: else -> break od;
    assert(rpc == idle);
    assert(!(sleeping && ended));
    if
    :: gone -> assert(m == (15|16))
    :: else
    fi;
    assert(!held);
    assert(!(could));
#ifndef ONLY_LOST
    assert(!(sleeping && !(c & W)))
#endif
  }
}

init {
  byte k;
  atomic {
    /* An unspent kill would hide a deadlock, so the budget is chosen here. */
    do :: kills < KILLS -> kills++ :: break od;
    do :: dkills < DKILLS -> dkills++ :: break od;
    do :: k < NW -> run waiter(k); k++ :: else -> break od;
    do :: k < N -> run notifier(k); k++ :: else -> break od;
    run recovery();
#ifdef DESTROY
    run remover();
#endif
#ifdef MUTEX_DESTROY
    run mutex_remover();
#endif
#ifdef UNLOCK_ANY
    run stranger();
#endif
    run watch(); k = 0
  }
}
