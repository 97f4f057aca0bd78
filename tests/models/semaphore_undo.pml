/* The semaphore with undo: a dead holder's permits come back.

   Code stated here: shm/semaphore_undo.go and clients/c/semaphore.c. How the latch
   itself sleeps and wakes is mutex.pml with -DLATCH, here its word only excludes;
   the eventcount is eventcount.pml.

   latch   an owner word: free, a seat, or the daemon of an epoch
   total   permits made; held[seat] those taken. Authoritative: their stores are
           the commit points
   avail   derived: total - sum(held)
   ec[0]   eventcount of those who want one: a signal wakes as many as came free,
           and the woken settles (re-arms, or passes on)
   ec[1]   eventcount of those who want more: a signal wakes all, nobody owes

   Recovery of C zeroes held[C] and rebuilds. A latch of dead seats, of all dead
   seats, is stolen by recovery; a latch of an older daemon epoch by anybody, who
   rebuilds first. For a client on the socket the daemon takes the latch as itself
   and writes the client's cell; after the daemon's death the cell tells whether
   the acquire was done.

   Every `:: atomic` is one access to shared memory, or one futex call. A client
   may be killed between any two of them, the daemon too: its successor starts the
   recovery again from the top.

   Checked, and what pan prints if it does not hold:
     1. the latch excludes; derived state is right in it   inside==0, avail==
     2. never more granted than there is                   <=total
     3. each holds what it was told it holds, the dead
        nothing; at rest every permit is accounted for     held[i]==have[i],
                                                           held[k]==have[k]
     4. at rest nobody sleeps who could have what it wants !(could)
     5. ... nor unannounced: the next signal would be lost !(unheard)
     6. ... the latch is free, recovery done               latch==0, rpc==0
     7. ... and after remove nobody sleeps                 !((sleeping&&removed))

   Shape: N clients, client i wants NEEDi; P permits at creation; client 0 posts
     one more at its end; KILLS DKILLS TIMEOUTS (client 1 times out, or is cancelled
     after a wake)
     SOCK      the daemon acts for client N-1
     KEEP      clients other than 0 may keep what they have for ever
     DESTROY   the object is destroyed
     WAKE_ONE  a signal on ec[0] wakes one, however many came free (sound: the
               woken passes on)

   Must fail:
     NO_REARM          the woken does not set W again
     NO_PASSON         the woken sets W again, but wakes nobody
     NO_DUTY           leaves after a wake without waking another
     NO_DEATHWAKE      recovery wakes nobody
     NO_REBUILD        recovery does not rebuild
     CLIENT_NO_REBUILD nor does a client that steals an older epoch's latch
     ADD_BACK          recovery adds what the dead held to what is available, and
                       zeroes the cell
     ZERO_LATE         recovery rebuilds before it zeroes
     STEAL_ONLY_C      recovery of C takes the latch from C only
     STEAL_LIVE        recovery takes the latch from anybody
     NO_START_SWEEP    (SOCK) the successor does not sweep
     BUMP_ONE          a death moves and wakes the word of those who want one only
     SIGNAL_ONE_WORD   a release signals those who want one only
     ONE_WORD          all sleep on one word, a signal wakes one
     M_FLAG            ... or all, if a flag says that somebody wants more: a
                       newcomer swallows the wake that is under way
     REDO              (SOCK) the client's acquire is simply repeated after the
                       daemon's death
     DESTROY_NO_BUMP   (DESTROY) destroy wakes, but does not bump               */

#ifndef N
#define N 3
#endif
#ifndef P
#define P 2
#endif
#ifndef NEED0
#define NEED0 1
#endif
#ifndef NEED1
#define NEED1 2
#endif
#ifndef NEED2
#define NEED2 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef DKILLS
#define DKILLS 0
#endif

#define DMN  8            /* the daemon: DMN + epoch */
#define W    1
#define NEED(k) (k == 0 -> NEED0 : (k == 1 -> NEED1 : NEED2))
#define ONE  0
#define MANY 1
#if defined(ONE_WORD) || defined(M_FLAG)
#define WORD(k) ONE
#else
#define WORD(k) (NEED(k) > 1)
#endif

mtype = {
  a_latch, a_rebuild, a_look, a_hold, a_avail, a_settle, a_step, a_unlatch, a_wake,
  a_announce, a_unlatch_wait, a_removed, a_wait, slept, leave, owned,
  r_latch, r_rebuild, r_hold, p_latch, p_rebuild, p_total,
  s_avail, s_one, s_many, s_unlatch, s_wake_one, s_wake_many, resume,
  k_latch, k_zero, k_rebuild, k_zero_late, k_bump_one, k_bump_many, k_unlatch, k_wake_one,
  k_wake_many, k_done, x_state, x_bump_one, x_bump_many, x_wake_one, x_wake_many, done
};
#define idle 0

byte latch, epoch, avail = P, total = P, ec[2];
byte held[N];
bool removed;             /* the segment's state word */
bool asleep[N];           /* the kernel's queues; which one is WORD(i) */
bool dead[DMN+4];         /* by owner: seats 1..N, no daemon */
bool todo[N+1];           /* by seat: its death is not yet recovered */
mtype rpc = idle; bool sweep;
byte kills, dkills;
#ifdef M_FLAG
bool more_wanted;
#endif

/* ghosts */
byte inside;              /* who is in the latch section */
byte have[N];             /* what each client was told it holds */
byte posts;

#define ON(k, w) (asleep[k] && WORD(k) == w)
inline wake_one() {
  if
  :: ON(0, ONE) -> asleep[0] = false
  :: ON(1, ONE) -> asleep[1] = false
#if N > 2
  :: ON(2, ONE) -> asleep[2] = false
#endif
  :: else
  fi
}
inline wake_all(w) {
  asleep[0] = asleep[0] && WORD(0) != w;
  asleep[1] = asleep[1] && WORD(1) != w;
#if N > 2
  asleep[2] = asleep[2] && WORD(2) != w;
#endif
}
#if N > 2
#define HELD (held[0] + held[1] + held[2])
#else
#define HELD (held[0] + held[1])
#endif
#define REST (total - HELD)

#define AT(s) (pc == s)
#define GO(s) pc = s

/* A latch that the daemon of an older epoch has left behind. */
#define OLDER(l) ((l) >= DMN && (l) < DMN + epoch)

#ifdef CLIENT_NO_REBUILD
#define REBUILD
#else
#define REBUILD avail = REST
#endif
#define LATCH(at, rebuild, held_at) \
  :: atomic { AT(at) && latch == 0 -> latch = WHO; ENTER(i+1); assert(avail == REST); GO(held_at) } \
  :: atomic { AT(at) && OLDER(latch) -> latch = WHO; ENTER(i+1); GO(rebuild) } \
  :: atomic { AT(rebuild) -> REBUILD; assert(avail == REST); GO(held_at) }
#define ENTER(who) assert(inside == 0); inside = who
#define UNLATCH latch = 0; inside = 0

#ifdef SOCK
#define DAEMON_ACTS (i == N-1)
#define WHO (i == N-1 -> DMN + epoch : i+1)
/* The daemon finishes what it does for a client before it recovers it. */
#define MAY_DIE (!DAEMON_ACTS || AT(slept) || AT(owned))
#else
#define DAEMON_ACTS false
#define WHO i+1
#define MAY_DIE true
#endif

inline clear_locals() {   /* equal states must look equal */
  v = 0; wakes = 0; give = 0; want = 0; due_one = false; due_many = false; duty = false; post = false
}

proctype client(byte i) {
  mtype pc = a_latch; byte v, give, wakes, want; bool duty, due_one, due_many, post;
  want = NEED(i); post = (i == 0);
end:                      /* it may sleep for ever if there is too little: watch() looks */
  do
  /* ---- acquire */
  LATCH(a_latch, a_rebuild, a_look)
  :: atomic { AT(a_look) -> GO((avail >= want -> a_hold : a_announce)) }
  :: atomic { AT(a_hold) -> held[i] = held[i] + want; assert(HELD <= total); GO(a_avail) }
  :: atomic { AT(a_avail) -> avail = avail - want; GO((duty -> a_settle : a_unlatch)) }
#ifdef NO_REARM
  :: atomic { AT(a_settle) -> duty = false; GO(a_unlatch) }
#elif defined(NO_PASSON)
  :: atomic { AT(a_settle) -> duty = false; ec[ONE] = ec[ONE] | W; GO(a_unlatch) }
#else
  :: atomic { AT(a_settle) -> duty = false; ec[ONE] = ec[ONE] | W; due_one = (avail > 0);
       GO((due_one -> a_step : a_unlatch)) }
#endif
  :: atomic { AT(a_step) -> ec[ONE]++; GO(a_unlatch) }
  :: atomic { AT(a_unlatch) -> UNLATCH; GO((due_one -> a_wake : owned)) }
  :: atomic { AT(a_wake) -> wake_one(); due_one = false; GO(owned) }

  :: atomic { AT(a_announce) -> ec[WORD(i)] = ec[WORD(i)] | W; v = ec[WORD(i)]; duty = false;
#ifdef M_FLAG
       more_wanted = more_wanted || want > 1;
#endif
       GO(a_unlatch_wait) }
#ifdef DESTROY
  :: atomic { AT(a_unlatch_wait) -> UNLATCH; GO(a_removed) }
  :: atomic { AT(a_removed) -> GO((removed -> done : a_wait)) }
#else
  :: atomic { AT(a_unlatch_wait) -> UNLATCH; GO(a_wait) }
#endif
  :: atomic { AT(a_wait) ->
       if
       :: ec[WORD(i)] == v -> asleep[i] = true; GO(slept)
       :: else -> GO(a_latch)
       fi;
       v = 0 }
  :: atomic { AT(slept) && !asleep[i] -> duty = (WORD(i) == ONE); GO(a_latch) }
#ifdef TIMEOUTS
  :: atomic { AT(slept) && asleep[i] && i == 1 -> asleep[i] = false; GO(done) }
  :: atomic { AT(a_latch) && duty && i == 1 -> duty = false; GO(leave) }
#ifdef NO_DUTY
  :: atomic { AT(leave) -> GO(done) }
#else
  :: atomic { AT(leave) -> wake_one(); GO(done) }
#endif
#endif

  /* ---- the program has it, and releases it */
  :: atomic { AT(owned) -> have[i] = want; assert(held[i] == have[i]); GO(r_latch) }
#ifdef KEEP
  :: atomic { AT(owned) && i != 0 -> have[i] = want; GO(done) }
#endif
  LATCH(r_latch, r_rebuild, r_hold)
  :: atomic { AT(r_hold) -> assert(held[i] == have[i]);
       held[i] = held[i] - want; have[i] = 0; give = want; GO(s_avail) }

  /* ---- post */
  LATCH(p_latch, p_rebuild, p_total)
  :: atomic { AT(p_total) -> total++; posts++; post = false; give = 1; GO(s_avail) }

  /* ---- after either: derived state, and the signals */
  :: atomic { AT(s_avail) -> avail = avail + give; GO(s_one) }
  :: atomic { AT(s_one) -> GO(s_many);
       if
       :: ec[ONE] & W -> ec[ONE]++; due_one = true
#ifdef M_FLAG
            ; due_many = more_wanted; more_wanted = false
#endif
       :: else
       fi }
#ifdef SIGNAL_ONE_WORD
  :: atomic { AT(s_many) -> GO(s_unlatch) }
#else
  :: atomic { AT(s_many) -> GO(s_unlatch);
       if
       :: ec[MANY] & W -> ec[MANY]++; due_many = true
       :: else
       fi }
#endif
  :: atomic { AT(s_unlatch) -> UNLATCH; GO((due_one -> s_wake_one : (due_many -> s_wake_many : done))) }
  :: atomic { AT(s_wake_one) -> due_one = false; GO((due_many -> s_wake_many : done));
#if defined(WAKE_ONE) || defined(ONE_WORD) || defined(M_FLAG)
       wakes = 1;
#else
       wakes = give;
#endif
       do
       :: wakes > 0 -> wake_one(); wakes--
       :: else -> break
       od }
#ifdef M_FLAG
  :: atomic { AT(s_wake_many) -> due_many = false; wake_all(ONE); GO(done) }
#else
  :: atomic { AT(s_wake_many) -> due_many = false; wake_all(MANY); GO(done) }
#endif

  :: atomic { AT(done) ->
       if
       :: post -> give = 0; GO(p_latch)
       :: else -> clear_locals(); break
       fi }

#ifdef SOCK
  /* The daemon dies in the middle. The client comes back and looks what it holds. */
  :: atomic { DAEMON_ACTS && dkills > 0 && !AT(done) && !AT(resume) -> dkills--; epoch++; rpc = idle;
#ifndef NO_START_SWEEP
       sweep = true;
#endif
       if :: inside == i+1 || inside == DMN -> inside = 0 :: else fi;
       asleep[i] = false; v = 0; give = 0; wakes = 0; duty = false; due_one = false; due_many = false;
       GO(resume) }
#ifdef REDO
  :: atomic { AT(resume) -> GO((have[i] -> r_latch : a_latch)) }
#else
  /* it wanted to acquire, or to release: what is done is done */
  :: atomic { AT(resume) -> GO((held[i] -> owned : (have[i] -> done : a_latch))); have[i] = held[i] }
#endif
#endif
  :: atomic { kills > 0 && MAY_DIE && !AT(done) -> kills--; dead[i+1] = true; todo[i+1] = true;
       if :: inside == i+1 -> inside = 0 :: else fi;
       asleep[i] = false; have[i] = 0; clear_locals(); GO(done); break }
  od
}

#if defined(ZERO_LATE)
#define FIRST k_rebuild
#define THEN  k_zero
#define LAST  k_bump_one
#else
#define FIRST (c -> k_zero : k_rebuild)
#define THEN  k_bump_one
#define LAST  k_rebuild
#endif

proctype recovery() {
  byte c;
end:
  do
#define PICK(k) :: atomic { rpc == idle && !sweep && todo[k] -> c = k; rpc = k_latch }
  PICK(1) PICK(2)
#if N > 2
  PICK(3)
#endif
  :: atomic { rpc == idle && sweep -> c = 0; rpc = k_latch }

  /* while a living client holds it: later again */
  :: atomic { rpc == k_latch && (latch == 0 || OLDER(latch)) -> latch = DMN + epoch; ENTER(DMN); rpc = FIRST }
#if defined(STEAL_LIVE)
  :: atomic { rpc == k_latch && latch > 0 && latch <= N ->
#elif defined(STEAL_ONLY_C)
  :: atomic { rpc == k_latch && latch == c && c != 0 ->
#else
  :: atomic { rpc == k_latch && dead[latch] ->
#endif
       latch = DMN + epoch; ENTER(DMN); rpc = FIRST }

#ifdef ADD_BACK
  :: atomic { rpc == k_zero -> avail = avail + held[c-1]; rpc = k_zero_late }
  :: atomic { rpc == k_zero_late -> held[c-1] = 0; rpc = k_bump_one }
#elif defined(ZERO_LATE)
  :: atomic { rpc == k_zero -> if :: c -> held[c-1] = 0 :: else fi; rpc = LAST }
#else
  :: atomic { rpc == k_zero -> held[c-1] = 0; rpc = LAST }
#endif
#ifdef NO_REBUILD
  :: atomic { rpc == k_rebuild -> rpc = THEN }
#else
  :: atomic { rpc == k_rebuild -> avail = REST; rpc = THEN }
#endif
  :: atomic { rpc == k_bump_one -> ec[ONE] = ec[ONE] + 2; rpc = k_bump_many }
#ifdef BUMP_ONE
  :: atomic { rpc == k_bump_many -> rpc = k_unlatch }
#else
  :: atomic { rpc == k_bump_many -> ec[MANY] = ec[MANY] + 2; rpc = k_unlatch }
#endif
  :: atomic { rpc == k_unlatch -> UNLATCH; rpc = k_wake_one }
#ifdef NO_DEATHWAKE
  :: atomic { rpc == k_wake_one -> rpc = k_wake_many }
#else
  :: atomic { rpc == k_wake_one -> wake_all(ONE); rpc = k_wake_many }
#endif
#if defined(NO_DEATHWAKE) || defined(BUMP_ONE)
  :: atomic { rpc == k_wake_many -> rpc = k_done }
#else
  :: atomic { rpc == k_wake_many -> wake_all(MANY); rpc = k_done }
#endif
  :: atomic { rpc == k_done ->
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
  :: atomic { AT(x_state) -> removed = true; GO(x_bump_one) }
#ifdef DESTROY_NO_BUMP
  :: atomic { AT(x_bump_one) -> GO(x_wake_one) }
#else
  :: atomic { AT(x_bump_one) -> ec[ONE] = ec[ONE] + 2; GO(x_bump_many) }
  :: atomic { AT(x_bump_many) -> ec[MANY] = ec[MANY] + 2; GO(x_wake_one) }
#endif
  :: atomic { AT(x_wake_one) -> wake_all(ONE); GO(x_wake_many) }
  :: atomic { AT(x_wake_many) -> wake_all(MANY); GO(done); break }
  od
}
#endif

#if N > 2
#define EACH(what) (what(0) || what(1) || what(2))
#else
#define EACH(what) (what(0) || what(1))
#endif
#define ASLEEP(k)  asleep[k]
#define COULD(k)   (asleep[k] && avail >= NEED(k))
#define UNHEARD(k) (asleep[k] && !(ec[WORD(k)] & W))

proctype watch() {
  bool sleeping, could, unheard; byte k;
end:
  atomic {
    timeout ->
    assert(rpc == idle);
    assert(latch == 0);
    assert(total == P + posts);
    assert(avail == REST);
    do
    :: k < N -> assert(held[k] == have[k]); k++
    :: else -> break
    od;
    sleeping = EACH(ASLEEP);
    assert(!(sleeping && removed));
    could = EACH(COULD);
    assert(!could);
    unheard = EACH(UNHEARD);
    assert(!unheard)
  }
}

init {
  byte k;
  atomic {
    /* An unspent kill would hide a deadlock, so the budget is chosen here. */
    do :: kills < KILLS -> kills++ :: break od;
    do :: dkills < DKILLS -> dkills++ :: break od;
    do :: k < N -> run client(k); k++ :: else -> break od;
    run recovery();
#ifdef DESTROY
    run remover();
#endif
    run watch(); k = 0
  }
}
