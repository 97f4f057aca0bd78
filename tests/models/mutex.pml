/* The mutex, and the latch that is built like it: an owner word with two flags.

   Code stated here: shm/lock.go and clients/c/lock.c; with -DLATCH
   shm/latch.go.

   Every `:: atomic` is one access to shared memory, or one futex call, with the
   local work that follows it. A client may be killed between any two of them,
   the daemon too: its successor starts the recovery again from the top.

   Checked, and what pan prints if it does not hold:
     1. mutual exclusion                                  holder==0, holder==(i+1)
     2. who gets the lock is told when an owner died in
        the critical section and nobody has repaired      !(dirty)||notice
        LATCH: is never shown half done derived state     !(dirty)
     3. nobody sleeps for ever while he could go on       invalid end state
     4. token and depth are clean when the lock changes
        hands, and stay their owner's                     tok==0, dep==0, tok==(i+1)
     5. STRICT: nobody gets the lock after an owner has
        let it go unrepaired                              !(ruined)
     6. after remove nobody gets the lock, the word never
        changes again, and everybody finishes, even if    !(gone), word==((7|8)|16),
        the owner never lets go (HOLD)                    invalid end state
     7. recovery always comes to its end                  rpc==0

   Shape:
     N ITER KILLS DKILLS   clients, rounds of client 0, how many deaths at most
     TIMEOUTS    client 1 may time out, or be cancelled after a wake
     SPURIOUS    client 0 may be interrupted, or wake for nothing
     RECURSIVE   with token and depth
     STRICT      an owner may let go unrepaired: then NOT_RECOVERABLE for ever
     REMOVE      the mutex is destroyed at any time
     HOLD        client 0 keeps the lock until all others have finished
     PAIR        clients 0 and 1 are threads of one process: one seat, one death
     UNLOCK_ANY  client 0 locks, client 1 unlocks
     SOCK        the daemon acts for client N-1; its death cuts the call short
     LATCH       recovery takes the word over, rebuilds, releases; no notice
     WAKE_ALL    a death wakes all, instead of the gentle wake (sound too)
     POISON_TAKE (STRICT) poisoned is looked at after the take only, and wakes
                 need not be for all (sound too, and simpler)
     ONLY_HARM   without the first half of 4: the same bugs by what they do

   Must fail:
     NO_BROADCAST       a death wakes only if the dead one owned the word
     GENTLE_NO_SET      the gentle wake leaves a locked word without W
     GENTLE_NO_WAKE     the gentle wake leaves a free word without a wake
     NO_NOTICE          recovery does not set I
     UNLOCK_DROPS_I     unlock clears I, though nobody has repaired
     RECOVER_BLIND      (REMOVE) recovery stores where it has to compare
     DROP_W             who has slept takes the lock without W (glibc BZ#20973)
     NO_DUTY            (TIMEOUTS) leaves after a wake without passing it on
     TOKEN_LATE         token cleared after the release
     TOKEN_KEPT         token never cleared
     NO_RESET           recovery leaves token and depth
     RESET_LATE         recovery clears them after the release
     XCHG_UNLOCK        (REMOVE) unlock by exchange: the word comes back to life
     MARK_BLIND         (REMOVE) mark consistent does not look who owns the word
     REMOVE_STATE_ONLY  (REMOVE, HOLD) the state is stored, the word stays
     REMOVE_AS_DAEMON   (REMOVE) "removed" is the owner that the daemon itself
                        locks with, here as the last client
     POISON_LATE        poisoned after the release
     POISON_NO_RECHECK  poisoned is looked at before the take only
     POISON_WAKE_ONE    poison wakes one, and who finds it wakes nobody
     POISON_NO_PASSON   poison wakes all, but who finds it wakes nobody
     NO_START_SWEEP     (SOCK) the successor does not sweep
     STEAL_ONLY_C       (LATCH) recovery of C takes the latch from C only
     STEAL_LIVE         (LATCH) ... from anybody
     CLIENT_NO_REBUILD  (LATCH) who steals an older epoch's latch does not rebuild
     NO_STRAY           (UNLOCK_ANY) an unlock never hits a stranger's lock. Not a
                        bug but a limit: the one who locked dies after handing
                        over, recovery frees the lock, a stranger takes it, and
                        then the late unlock comes                             */

#ifndef N
#define N 3
#endif
#ifndef ITER
#define ITER 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef DKILLS
#define DKILLS 0
#endif

/* The word: owner:3 | W | I. Owner 0 is free, 1..4 are seats. */
#define OWN 7
#define W   8
#define I   16
#define DMN0 5            /* LATCH: the daemon, first epoch; 6 is the second */
#define GONE 7            /* removed */
#define OWNER(x) ((x) & OWN)

#ifdef PAIR
#define SEAT(i) (i == 0 -> 1 : i)
#define MATE(i) (i == 0 -> 1 : (i == 1 -> 0 : i))
#else
#ifdef REMOVE_AS_DAEMON
#define SEAT(i) (i == N-1 -> GONE : i + 1)    /* the last client is the daemon */
#else
#define SEAT(i) (i + 1)
#endif
#define MATE(i) i
#endif
#define ME SEAT(i)

#ifdef STRICT
#define STRICTLY(x) ((x) & I)
#else
#define STRICTLY(x) 0
#endif

mtype = {
  try, load, check, pass_on, take, recheck, rebuild, set_w, wait, slept, leave,
  owned, nest, nest_tok, unnest, body, repair, mark, hand, handed_over,
  u_tok, u_load, u_spoil, u_cas, u_late_tok, u_late_spoil, u_wake, next,
  resume, killed, done,
  r_load, r_tok, r_dep, r_cas, r_late, r_rebuild, r_release, r_wake,
  g_load, g_set_w, g_wake, r_done,
  x_state, x_load, x_cas, x_wake
};

byte word;
bool poisoned;            /* STRICT: let go unrepaired, for ever */
bool removed;             /* the segment's state word */
byte tok, dep;            /* owner-only fields beside the word */
bool asleep[N];           /* the kernel's queue on word */
mtype pc[N];              /* where each client is */
bool dead_seat[8];
bool todo[8];             /* by seat: its death is not yet recovered */
#define idle 0
mtype rpc = idle;         /* where recovery is */
bool sweep;               /* a new daemon has yet to look at every object */
byte epoch = DMN0;
byte kills, dkills;

/* ghosts */
byte holder;              /* thread + 1 */
bool dirty;               /* an owner died inside, nobody has repaired since */
bool ruined;              /* STRICT: an owner has let go unrepaired */
bool gone;                /* remove has taken the word */
bool handed, stray;       /* UNLOCK_ANY: handed over; the one who locked is dead */

inline wake_one() {
  if
  :: asleep[0] -> asleep[0] = false
  :: asleep[1] -> asleep[1] = false
#if N > 2
  :: asleep[2] -> asleep[2] = false
#endif
#if N > 3
  :: asleep[3] -> asleep[3] = false
#endif
  :: else -> skip
  fi
}
inline wake_all() {
  asleep[0] = false; asleep[1] = false;
#if N > 2
  asleep[2] = false;
#endif
#if N > 3
  asleep[3] = false;
#endif
}

#define OVER(k) (pc[k] == done || pc[k] == killed)
#if N == 2
#define REST_OVER OVER(1)
#elif N == 3
#define REST_OVER (OVER(1) && OVER(2))
#else
#define REST_OVER (OVER(1) && OVER(2) && OVER(3))
#endif
#define ALL_OVER (OVER(0) && REST_OVER)
#ifdef HOLD
#define MAY_LEAVE (i != 0 || REST_OVER)
#else
#define MAY_LEAVE 1
#endif

#ifdef ONLY_HARM          /* let a stale token show by what it does */
#define CLEAN skip
#else
#define CLEAN assert(tok == 0); assert(dep == 0)
#endif

#ifdef UNLOCK_ANY
#define LOST assert(gone || stray)            /* the word is not his any more */
#ifdef NO_STRAY
#define RIGHTLY(o) (OWNER(o) == ME || (OWNER(o) == 1 && handed))
#else
#define RIGHTLY(o) (OWNER(o) == ME || (OWNER(o) == 1 && handed) || stray)
#endif
#else
#define LOST assert(gone)
#endif

/* The compare-and-swap to `me` has succeeded; o is what it replaced. */
inline taken(o) {
  assert(holder == 0); assert(!gone); CLEAN;
  holder = i + 1;
  notice = (o & I) != 0;
#ifdef LATCH
#ifdef CLIENT_NO_REBUILD
  pc[i] = owned
#else
  pc[i] = (OWNER(o) -> rebuild : owned)
#endif
#else
#ifdef POISON_NO_RECHECK
  pc[i] = owned
#else
  pc[i] = (STRICTLY(o) -> recheck : owned)
#endif
#endif
}

inline clear_locals() {      /* equal states must look equal */
  old = 0; keep = 0; woken = false; notice = false; leaving = false
}

#define AT(s) (pc[i] == s)
#define GO(s) pc[i] = (s)

#if defined(RECURSIVE) && !defined(TOKEN_LATE) && !defined(TOKEN_KEPT)
#define UNLOCK u_tok
#else
#define UNLOCK u_load
#endif

/* What a lock call makes of the word it has loaded. */
#ifdef LATCH
#define FREE(x) (OWNER(x) == 0 || (OWNER(x) >= DMN0 && OWNER(x) < epoch))
#else
#define FREE(x) (OWNER(x) == 0)
#endif
#ifdef LATCH
#define REMOVED(x) false
#elif defined(REMOVE_STATE_ONLY)
#define REMOVED(x) (OWNER(x) != 0 && removed)
#elif defined(REMOVE_AS_DAEMON)
#define REMOVED(x) (OWNER(x) == GONE && removed)
#else
#define REMOVED(x) (OWNER(x) == GONE)
#endif
/* Two loads, but nobody else can make the token his, or take it from him. */
#ifdef RECURSIVE
#define HELD_HERE(x) (OWNER(x) == ME && tok == i+1)
#else
#define HELD_HERE(x) false
#endif
#define BUSY(x) (!FREE(x) && !REMOVED(x) && !HELD_HERE(x))
#ifdef POISON_TAKE
#define TAKE(x) take
#else
#define TAKE(x) (STRICTLY(x) -> check : take)
#endif

proctype client(byte i) {
  byte old, keep, it;
  bool woken, notice, leaving;           /* leaving: in the unlock call */

  do
  /* ---- lock: fast path */
  :: atomic { AT(try) ->
       if
       :: word == 0 -> word = ME; taken(0)
       :: else -> GO(load)
       fi }

  /* ---- lock: slow path */
  :: atomic { AT(load) -> old = word;
       if
       :: FREE(old) -> GO(TAKE(old))
       :: REMOVED(old) -> GO(next)
       :: HELD_HERE(old) -> assert(holder == (i+1)); GO(next)   /* depth++, he thinks */
       :: BUSY(old) -> GO((old & W -> wait : set_w))
#ifdef TIMEOUTS
       :: BUSY(old) && woken && i == 1 ->                       /* expired, or cancelled */
#ifdef NO_DUTY
            GO(next)
#else
            GO((old & W -> next : leave))
#endif
#endif
       fi }
  :: atomic { AT(check) ->
       if
       :: !poisoned -> GO(take)
#if defined(POISON_WAKE_ONE) || defined(POISON_NO_PASSON)
       :: poisoned -> GO(next)
#else
       :: poisoned -> GO((keep -> pass_on : next))
#endif
       fi }
  :: atomic { AT(pass_on) -> wake_all(); GO(next) }
  :: atomic { AT(take) ->
       if
       :: word == old ->
#ifdef DROP_W
            word = ME | (old & (W|I));
#else
            word = ME | keep | (old & (W|I));
#endif
            taken(old)
       :: else -> GO(load)
       fi }
  :: atomic { AT(recheck) -> GO((poisoned -> UNLOCK : owned)) }
  :: atomic { AT(rebuild) -> dirty = false; GO(owned) }
  :: atomic { AT(set_w) ->
       if
       :: word == old -> word = old | W; old = old | W; GO(wait)
       :: else -> GO(load)
       fi }
  :: atomic { AT(wait) -> keep = W; woken = false;
       if
       :: word == old -> GO(slept); asleep[i] = true
       :: else -> GO(load)                                      /* EAGAIN */
       fi }
  :: atomic { AT(slept) && !asleep[i] -> woken = true; GO(load) }
#ifdef TIMEOUTS
  :: atomic { AT(slept) && asleep[i] && i == 1 -> asleep[i] = false; GO(next) }
#endif
#ifdef SPURIOUS
  :: atomic { AT(slept) && asleep[i] && i == 0 -> asleep[i] = false; GO(load) }
  :: atomic { AT(slept) && asleep[i] && i == 0 -> asleep[i] = false; woken = true; GO(load) }
#endif
  :: atomic { AT(leave) ->                                      /* the leaving duty */
       if
       :: word == old -> word = old | W; GO(next)
       :: else -> GO(load)
       fi }

  /* ---- the lock is his */
  :: atomic { AT(owned) ->
#ifdef LATCH
       assert(!dirty);
#else
       assert(!dirty || notice);
#endif
       assert(!ruined);
#ifdef RECURSIVE
       tok = i + 1; GO(nest) }
  :: atomic { AT(nest) ->                                       /* lock again */
       if
       :: OWNER(word) == ME -> GO(nest_tok)
       :: else -> LOST; GO(body)
       fi }
  :: atomic { AT(nest_tok) -> assert(tok == (i+1)); dep = dep + 1; GO(unnest) }
  :: atomic { AT(unnest) -> dep = dep - 1;
#endif
       GO(body) }
  :: atomic { AT(body) && MAY_LEAVE ->
       if
       :: notice -> GO(repair)
       :: leaving = true;
#ifdef UNLOCK_ANY
          GO((i == 0 -> hand : UNLOCK))
#else
          GO(UNLOCK)
#endif
       fi }
  :: atomic { AT(repair) -> dirty = false; GO(mark) }
  :: atomic { AT(mark) -> notice = false; GO(body);
#ifdef MARK_BLIND
       word = word & (255-I)
#else
       if
       :: OWNER(word) == ME -> word = word & (255-I)
       :: else -> LOST
       fi
#endif
     }

  /* ---- unlock */
  :: atomic { AT(u_tok) -> tok = 0; GO(u_load) }
#ifdef XCHG_UNLOCK
  :: atomic { AT(u_load) -> old = word; word = word & I; holder = 0; GO((old & W -> u_wake : next)) }
#else
  :: atomic { AT(u_load) -> old = word;
       if
#ifdef UNLOCK_ANY
       :: OWNER(old) == 0 || OWNER(old) == GONE -> LOST; GO(next)
#else
       :: OWNER(old) != ME -> LOST; GO(next)                    /* REMOVED */
#endif
#ifdef POISON_LATE
       :: else -> GO(u_cas)
#else
       :: else -> GO((STRICTLY(old) -> u_spoil : u_cas))
#endif
       fi }
  :: atomic { AT(u_spoil) -> poisoned = true; GO(u_cas) }
  :: atomic { AT(u_cas) ->
       if
#ifdef UNLOCK_DROPS_I
       :: word == old -> word = 0; holder = 0;
#else
       :: word == old -> word = old & I; holder = 0;
#endif
#ifdef UNLOCK_ANY
            assert(RIGHTLY(old));
            if
            :: OWNER(old) == 1 -> handed = false
            :: else
            fi;
#endif
            if
            :: STRICTLY(old) -> ruined = true
            :: else
            fi;
#ifdef POISON_LATE
            GO((STRICTLY(old) -> u_late_spoil : (old & W -> u_wake : next)))
#elif defined(TOKEN_LATE)
            GO(u_late_tok)
#else
            GO((old & W -> u_wake : next))
#endif
       :: else -> GO(u_load)
       fi }
  :: atomic { AT(u_late_tok) -> tok = 0; GO((old & W -> u_wake : next)) }
  :: atomic { AT(u_late_spoil) -> poisoned = true; GO((old & W -> u_wake : next)) }
#endif
  :: atomic { AT(u_wake) ->
       if
#if !defined(POISON_WAKE_ONE) && !defined(POISON_TAKE)
       :: STRICTLY(old) -> wake_all()
#endif
       :: else -> wake_one()
       fi;
       GO(next) }
  :: atomic { AT(next) -> clear_locals(); it++;
       if
       :: it < ITER && i == 0 -> GO(try)
       :: else -> it = 0; GO(done); break
       fi }

#ifdef UNLOCK_ANY
  /* client 0 leaves the lock to client 1 */
  :: atomic { AT(hand) && i == 0 && !handed && OVER(1) -> GO(u_load) }
  :: atomic { AT(hand) && i == 0 && !handed && !OVER(1) -> handed = true; GO(handed_over) }
  :: atomic { AT(handed_over) && !handed -> GO(next) }
  :: atomic { AT(handed_over) && handed && OVER(1) -> GO(u_load) }
  :: atomic { AT(hand) && i == 1 && handed -> leaving = true; GO(u_load) }
  :: atomic { AT(hand) && i == 1 && !handed && OVER(0) -> GO(next) }
#endif

#ifdef SOCK
  /* the daemon died in the middle of a call made for client N-1; after
     re-attaching the client asks what it holds */
  :: atomic { i == N-1 && dkills > 0 ->
       dkills--; rpc = idle; asleep[i] = false;
#ifndef NO_START_SWEEP
       sweep = true;
#endif
       if
       :: AT(body) || AT(repair) || AT(mark) -> skip           /* not in a call */
       :: else -> keep = 0; woken = false; old = 0; GO(resume)
       fi }
  :: atomic { AT(resume) && !sweep ->
       if
       :: OWNER(word) != ME -> GO((leaving -> next : try))
       :: OWNER(word) == ME && leaving -> GO(UNLOCK)
       :: OWNER(word) == ME && !leaving && dep > 0 -> GO(unnest)   /* so holdings tells the depth */
       :: OWNER(word) == ME && !leaving && dep == 0 ->
            notice = (word & I) != 0;
            GO((STRICTLY(word) -> recheck : owned))
       fi }
#endif

  /* ---- SIGKILL */
  :: atomic { kills > 0 && !AT(try) && !AT(killed) && !AT(done) ->
       kills--; dead_seat[ME] = true; todo[ME] = true;
       asleep[i] = false; asleep[MATE(i)] = false;
       if
       :: i == 0 && handed -> stray = true; holder = 0          /* client 1 is in charge */
       :: !(i == 0 && handed) && (holder == i+1 || holder == MATE(i)+1) -> holder = 0; dirty = true
       :: else
       fi;
       if
       :: pc[MATE(i)] != done -> pc[MATE(i)] = killed
       :: else
       fi;
       GO(killed); clear_locals(); it = 0; break }
#ifdef PAIR
  :: atomic { AT(killed) -> clear_locals(); it = 0; break }
#endif
  od
}

/* The daemon recovers one death after the other. It may die between any two
   steps; whatever is still to do is then done again from the top. */
proctype recovery() {
  byte c, old;
end:
  do
#define PICK(k) :: atomic { rpc == idle && !sweep && todo[k] -> c = k; rpc = r_load }
  PICK(1) PICK(2) PICK(3) PICK(4)
  :: atomic { rpc == idle && sweep -> c = 0; rpc = g_load }      /* first of all */

#ifdef LATCH
  /* waits, by trying again later, while a living client holds it */
  :: atomic { rpc == r_load &&
#ifdef STEAL_LIVE
              true
#elif defined(STEAL_ONLY_C)
              (OWNER(word) == 0 || OWNER(word) >= DMN0 || OWNER(word) == c)
#else
              (OWNER(word) == 0 || OWNER(word) >= DMN0 || dead_seat[OWNER(word)])
#endif
              -> old = word; rpc = r_cas }
  :: atomic { rpc == r_cas ->
       if
       :: word == old -> word = epoch | (old & W); assert(holder == 0); dirty = true; rpc = r_rebuild
       :: else -> rpc = r_load
       fi }
  :: atomic { rpc == r_rebuild -> dirty = false; assert(holder == 0); rpc = r_release }
  :: atomic { rpc == r_release -> old = word; word = 0; rpc = (old & W -> r_wake : g_load) }
  :: atomic { rpc == r_wake -> wake_one(); rpc = g_load }
#else
  :: atomic { rpc == r_load -> old = word;
       if
#ifdef RESET_LATE
       :: OWNER(old) == c -> rpc = r_cas
#elif defined(RECURSIVE) && !defined(NO_RESET)
       :: OWNER(old) == c -> rpc = r_tok
#else
       :: OWNER(old) == c -> rpc = r_cas
#endif
#ifdef NO_BROADCAST
       :: else -> rpc = r_done
#else
       :: else -> rpc = g_load
#endif
       fi }
  :: atomic { rpc == r_tok -> tok = 0; rpc = r_dep }
  :: atomic { rpc == r_dep -> dep = 0; rpc = r_cas }
  :: atomic { rpc == r_cas ->
       if
#ifdef RECOVER_BLIND
       :: true -> word = I | (old & W);
#elif defined(NO_NOTICE)
       :: word == old -> word = old & W;
#else
       :: word == old -> word = I | (old & W);
#endif
#ifdef RESET_LATE
            rpc = r_late
#elif defined(NO_BROADCAST)
            rpc = (old & W -> g_wake : r_done)
#else
            rpc = g_load
#endif
#ifndef RECOVER_BLIND
       :: else -> rpc = r_load
#endif
       fi }
#ifdef RESET_LATE
  :: atomic { rpc == r_late -> tok = 0; dep = 0; rpc = g_load }
#endif
#endif

  /* the gentle wake: always, whoever owned the word */
#ifdef WAKE_ALL
  :: atomic { rpc == g_load -> wake_all(); rpc = r_done }
#else
  :: atomic { rpc == g_load -> old = word;
       if
#ifndef GENTLE_NO_WAKE
       :: OWNER(old) == 0 -> rpc = g_wake
#endif
#ifndef GENTLE_NO_SET
       :: OWNER(old) != 0 && !(old & W) -> rpc = g_set_w
#endif
       :: else -> rpc = r_done
       fi }
  :: atomic { rpc == g_set_w ->
       if
       :: word == old -> word = old | W; rpc = r_done
       :: else -> rpc = g_load
       fi }
#endif
  :: atomic { rpc == g_wake -> wake_one(); rpc = r_done }

  :: atomic { rpc == r_done ->
       if
       :: c == 0 -> sweep = false
       :: else -> todo[c] = false
       fi;
       c = 0; old = 0; rpc = idle }

#ifndef SOCK
  :: atomic { dkills > 0 && rpc != idle -> dkills--; c = 0; old = 0; rpc = idle;
#ifdef LATCH
       epoch++
#endif
     }
#endif
  od
}

#ifdef REMOVE
proctype remover() {
  byte old; mtype at = x_state;
  do
  :: atomic { at == x_state -> removed = true;
#ifdef REMOVE_STATE_ONLY
       at = x_wake
#else
       at = x_load
#endif
     }
  :: atomic { at == x_load -> old = word; at = x_cas }
  :: atomic { at == x_cas ->
       if
       :: word == old -> word = GONE | W | I; gone = true; at = x_wake
       :: else -> at = x_load
       fi }
  :: atomic { at == x_wake -> wake_all(); old = 0; at = done; break }
  :: atomic { dkills > 0 -> dkills--; old = 0; at = x_state }
  od
}
#endif

#define AS_REMOVED (GONE | W | I)

proctype watch() {
end:
  do
  :: atomic { gone && word != AS_REMOVED -> assert(word == AS_REMOVED) }
  :: timeout ->
       assert(rpc == idle);
       assert(gone || OWNER(word) == 0 || !ALL_OVER);
       break
  od
}

init {
  byte k;
  atomic {
    /* An unspent kill would hide a deadlock, so the budget is chosen here. */
    do :: kills < KILLS -> kills++ :: break od;
    do :: dkills < DKILLS -> dkills++ :: break od;
    do
    :: k < N ->
#ifdef UNLOCK_ANY
       pc[k] = (k == 1 -> hand : try);
#else
       pc[k] = try;
#endif
       run client(k); k++
    :: else -> break
    od;
    run recovery();
#ifdef REMOVE
    run remover();
#endif
    run watch(); k = 0
  }
}
