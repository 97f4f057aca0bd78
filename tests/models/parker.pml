/* The parker: one thread of a process sleeps for many of its goroutines, on all their
   words at once (futex_waitv) and on a control word of its own.

   Code stated here: shm/parker.go, board and waitShared; around it the plain semaphore
   of semaphore.pml, or with -DMUTEX the lock of mutex.pml.

   A goroutine puts an entry on the board, {word, expected}, and pokes: control moves on,
   and the thread wakes. The thread loads control, looks at every entry, under a lock
   of the process, and answers those whose word is not the expected one; then it sleeps
   on the rest while control is what it loaded. Any wake brings it back, whichever entry
   that was for. Who leaves marks his entry, pokes, and waits for the answer: whoever
   leaves unanswered may take a wake along.

   An entry whose word is the expected one goes on sleeping although the kernel may have
   spent a wake on it, and owes nothing if it leaves then. That is sound if a wake comes
   after a change of the word, and if the expected word itself says that a waiter is
   announced and that there is nothing to have: then somebody has announced since, and
   to be woken would be to look, and to sleep again. A semaphore's word is such (1: no
   permit, W), which a take and a post between two looks restore; so is an owner word
   with W; eventcounts, events, the barrier's and the rwlock's words never come back or
   are waited for by their level.

   Every `:: atomic` is one access to shared memory or to control, one futex call, one
   step of futex_waitv on one word, or one step under the process's lock.

   Checked, and what pan prints if it does not hold:
     1. at rest nobody waits for what there is         !(beside)
     2. ... nor unannounced                            !(unheard)
     3. ... and the kernel knows of every entry        !(forgotten)
     4. MUTEX: it excludes                             holder==0, holder==(i+1)

   Shape: goroutines 0 and 1 wait on the board; client 2 waits by itself, in another
     process; NP posters post PN permits each; MUTEX: all three take
     and release, goroutine 0 ITER times; TIMEOUTS (goroutine 1); CANCEL (goroutine 1,
     which then owes a duty whatever the answer); KILLS (the process of the goroutines)
     BARGER      client 3 takes a permit if there is one, and puts it back
     NO_WAITV    without futex_waitv: the thread looks again and again, and the kernel
                 knows of no entry

   Must fail:
     NO_POKE        an entry is added without a poke
     POKE_FIRST     poked, then added
     SEEN_LATE      control is loaded after the entries were looked at
     LEAVE_UNASKED  (TIMEOUTS) who leaves does not wait for the answer
     MARK_FIRST     (TIMEOUTS) the mark counts before the word is compared
     REARM          an entry whose word has changed sleeps on the new value
     NO_DUTY        (TIMEOUTS) an answered entry leaves without its duty
     NO_DEATHWAKE   a death wakes nobody
     NEVER_EQUAL    an entry on which a wake was spent finds its word changed. Not a bug
                    but the case that this is about, and a proof that it is reached  */

#ifndef NP
#define NP 1
#endif
#ifndef PN
#define PN 1
#endif
#ifndef ITER
#define ITER 1
#endif
#ifndef KILLS
#define KILLS 0
#endif

#define E 2               /* entries of the board */
#ifdef MUTEX
#define N 3
#else
#define N (3+NP)
#endif
#define W   1
#define OWN 14            /* MUTEX: owner<<1 | W */
#define VALUE(x) ((x) >> 1)

mtype = {
  load, take, announce, sleep, poke, poke_wake, asked, answered, wait, slept, pass_on, leave,
  remove, owned, unlock, u_wake, next, p_load, p_post, p_wake, b_try, b_back, b_wake, done,
  t_seen, t_lock, t_look, t_queue, t_control, t_sleep, t_poll
};

byte word;
bool moved;               /* control is not what the thread has loaded: poked since */
bool mu;                  /* the process's lock of the board */
bool on[E], marked[E];    /* on the board; leaves */
byte expected[E];
bool kept[E];             /* what the thread sleeps on */
mtype answer[E];          /* 0 none yet */
mtype = { woken, expired };
bool queued[E];           /* the kernel's queue: of the board's thread on each word ... */
bool on_control;          /* ... and on control */
bool up;                  /* the thread was woken, or a word did not compare */
bool asleep;              /* ... and of client 2, on the word */
bool dead, todo;          /* the process of the goroutines */
byte kills;

/* ghosts */
byte holder;
byte posted, taken;

#ifdef NEVER_EQUAL
bool spent[E];
#define SPENT(k) spent[k] = true
#define FOUND(k) assert(!(spent[k] && answer[k] == 0)); spent[k] = false
#else
#define SPENT(k) skip
#define FOUND(k) skip
#endif

/* A wake for any of its entries brings the board's thread back. */
inline wake_one() {
  if
  :: queued[0] -> queued[0] = false; up = true; SPENT(0)
  :: queued[1] -> queued[1] = false; up = true; SPENT(1)
  :: asleep -> asleep = false
  :: else
  fi
}

#define AT(s) (pc == s)
#define GO(s) pc = s
#define LEAVER (i == 1)

#ifdef MUTEX
#define ME       ((i+1) << 1)
#define FREE(x)  (((x) & OWN) == 0)
#define TAKEN(x) (ME | ((x) & W) | keep)
#define WAITING(x) ((x) | W)
#define KEEP W
#else
#define FREE(x)  (VALUE(x) > 0)
#define TAKEN(x) (((x) - 2) | (duty -> W : 0))
#define WAITING(x) W
#define KEEP 0
#endif

#define SLEEP (i == 2 -> wait : sleep)
#define FORGET old = 0; keep = 0; it = 0; duty = false; leaving = false

/* Waiter i: 0 and 1 by the board, 2 by itself. */
proctype waiter(byte i) {
  mtype pc = load; byte old, keep, it; bool duty, leaving, more;
  {
#ifndef MUTEX
end:                      /* it may sleep for ever if there is nothing: watch() looks */
#endif
  do
  :: atomic { AT(load) -> old = word;
       if
       :: FREE(old) -> GO(take)
       :: !FREE(old) && leaving && LEAVER ->
#ifdef NO_DUTY
            GO(next)
#elif defined(MUTEX)
            GO((old & W -> next : leave))
#else
            GO(leave)
#endif
       :: !FREE(old) && !leaving -> GO((old & W -> SLEEP : announce))
       fi }
  :: atomic { AT(take) ->
       if
       :: word == old ->
#ifdef MUTEX
            word = TAKEN(old); assert(holder == 0); holder = i+1; GO(owned)
#else
            more = duty && VALUE(old) > 1; word = TAKEN(old); taken++;
            GO((more -> pass_on : next)); more = false
#endif
       :: else -> GO(load)
       fi;
       old = 0 }
  :: atomic { AT(announce) ->
       if
       :: word == old -> word = WAITING(old); old = word; GO(SLEEP)
       :: else -> old = 0; GO(load)
       fi }
  :: atomic { AT(sleep) && !mu -> duty = false; keep = KEEP;
#ifdef POKE_FIRST
       GO(poke)
#else
       expected[i] = old; on[i] = true; old = 0;
#ifdef NO_POKE
       GO(asked)
#else
       GO(poke)
#endif
#endif
     }

  /* ---- by the board */
  :: atomic { AT(poke) -> moved = true; GO(poke_wake) }
  :: atomic { AT(poke_wake) -> if :: on_control -> on_control = false; up = true :: else fi;
#ifdef POKE_FIRST
       if :: leaving -> GO(asked) :: !leaving && !mu -> expected[i] = old; on[i] = true; old = 0; GO(asked) fi
#else
       GO(asked)
#endif
     }
  :: atomic { AT(asked) && i < 2 && answer[i] != 0 ->
       duty = (answer[i] == woken); answer[i] = 0; on[i] = false; marked[i] = false;
#ifdef CANCEL
       if :: leaving -> duty = true :: else fi;
#endif
       GO((leaving && !duty -> next : load)) }
#if defined(TIMEOUTS) || defined(CANCEL)
  :: atomic { AT(asked) && LEAVER && !leaving && !mu -> leaving = true;
#ifdef LEAVE_UNASKED
       on[i] = false; answer[i] = 0; GO(next)
#else
       marked[i] = true; GO(poke)
#endif
     }
#endif

  /* ---- by itself */
  :: atomic { AT(wait) -> duty = false; keep = KEEP;
       if
       :: word == old -> asleep = true; GO(slept)
       :: else -> GO(load)
       fi;
       old = 0 }
  :: atomic { AT(slept) && !asleep -> duty = true; GO(load) }

  :: atomic { AT(pass_on) -> wake_one(); GO(next) }
#ifdef MUTEX
  :: atomic { AT(leave) -> if :: word == old -> word = old | W; GO(next) :: else -> GO(load) fi; old = 0 }
  :: atomic { AT(owned) -> keep = 0; duty = false; GO(unlock) }
  :: atomic { AT(unlock) -> assert(holder == i+1); holder = 0; old = word; word = 0;
       GO((old & W -> u_wake : next)); old = 0 }
  :: atomic { AT(u_wake) -> wake_one(); GO(next) }
#else
  :: atomic { AT(leave) -> wake_one(); GO(next) }
#endif
  :: atomic { AT(next) -> old = 0; keep = 0; duty = false; it++;
       if
       :: it < ITER && i == 0 && !leaving -> GO(load)
       :: else -> FORGET; GO(done); break
       fi }
  :: atomic { kills > 0 && i == 0 && !AT(next) -> kills--; todo = true;
       on[0] = false; on[1] = false; queued[0] = false; queued[1] = false;
       kept[0] = false; kept[1] = false;
       answer[0] = 0; answer[1] = 0; expected[0] = 0; expected[1] = 0; marked[1] = false;
       on_control = false; up = false; mu = false; moved = false;
       if :: holder == 1 || holder == 2 -> holder = 0 :: else fi;
       FORGET; GO(done); dead = true; break }           /* last: the unless cuts in here */
  od
  } unless { atomic { dead && i < 2 && !AT(done) -> FORGET; GO(done) } }
}

#ifdef SEEN_LATE
#define FIRST t_lock
#define THEN  t_seen
#else
#define FIRST t_seen
#define THEN  T_SLEEP
#endif
#ifdef NO_WAITV
#define T_SLEEP t_control
#else
#define T_SLEEP t_queue
#endif

/* The board's thread. */
proctype thread() {
  mtype pc = FIRST; byte k;
#ifdef MARK_FIRST
#define ANSWER (marked[k] -> expired : (word != expected[k] -> woken : 0))
#else
#define ANSWER (word != expected[k] -> woken : (marked[k] -> expired : 0))
#endif
  {
end:
  do
  :: atomic { AT(t_seen) -> moved = false;
#ifdef SEEN_LATE
       GO(T_SLEEP)
#else
       GO(t_lock)
#endif
     }
  :: atomic { AT(t_lock) && !mu -> mu = true; k = 0; GO(t_look) }
  :: atomic { AT(t_look) && k < E ->
       if
       :: on[k] && answer[k] == 0 ->
#ifdef REARM
            if
            :: marked[k] -> answer[k] = (word != expected[k] -> woken : expired)
            :: else -> expected[k] = word
            fi
#else
            answer[k] = ANSWER; FOUND(k)
#endif
       :: else
       fi;
       kept[k] = on[k] && answer[k] == 0; k++ }
  :: atomic { AT(t_look) && k == E -> mu = false; k = 0; up = false; GO(THEN) }

  /* ---- futex_waitv: control, then each word, in a critical section of its own */
  :: atomic { AT(t_queue) -> if :: !moved -> on_control = true; GO(t_control)
       :: else -> kept[0] = false; kept[1] = false; GO(FIRST) fi }
#ifdef NO_WAITV
  :: atomic { AT(t_control) -> if :: !moved -> on_control = true; GO(t_poll)
       :: else -> kept[0] = false; kept[1] = false; GO(FIRST) fi }
#define CHANGED(j) (kept[j] && word != expected[j])
  :: atomic { AT(t_poll) && (up || CHANGED(0) || CHANGED(1)) -> on_control = false;
       kept[0] = false; kept[1] = false; GO(FIRST) }
#else
  :: atomic { AT(t_control) && k < E ->
       if
       :: kept[k] && word == expected[k] -> queued[k] = true; kept[k] = false; k++
       :: kept[k] && word != expected[k] -> up = true; kept[0] = false; kept[1] = false; k = E
       :: !kept[k] -> k++
       fi }
  :: atomic { AT(t_control) && k == E -> k = 0; GO(t_sleep) }
  :: atomic { AT(t_sleep) && up ->
       queued[0] = false; queued[1] = false; on_control = false; GO(FIRST) }
#endif
  od
  } unless { atomic { dead -> k = 0; GO(done) } }
}

#ifndef MUTEX
proctype poster(byte i) {
  mtype pc = p_load; byte old, k;
  do
  :: atomic { AT(p_load) -> old = word; GO(p_post) }
  :: atomic { AT(p_post) ->
       if
       :: word == old -> word = (old + 2*PN) & 254; posted = posted + PN; GO((old & W -> p_wake : next))
       :: else -> GO(p_load)
       fi;
       old = 0 }
  :: atomic { AT(p_wake) -> k = PN; do :: k > 0 -> wake_one(); k-- :: else -> break od; GO(next) }
  :: atomic { AT(next) -> GO(done); break }
  od
}
#endif

#ifdef BARGER
/* Never sleeps. So it restores words that others have slept on. */
proctype barger() {
  mtype pc = b_try; byte old;
  do
#ifdef MUTEX
  :: atomic { AT(b_try) -> if :: (word & OWN) == 0 -> word = (4 << 1) | (word & W); holder = 4; GO(b_back) :: else -> GO(next) fi }
  :: atomic { AT(b_back) -> old = word; word = 0; holder = 0; GO((old & W -> b_wake : next)) }
#else
  :: atomic { AT(b_try) -> if :: VALUE(word) > 0 -> word = word - 2; GO(b_back) :: else -> GO(next) fi }
  :: atomic { AT(b_back) -> old = word; word = (word + 2) & 254; GO((old & W -> b_wake : next)) }
#endif
  :: atomic { AT(b_wake) -> wake_one(); GO(next) }
  :: atomic { AT(next) -> old = 0; GO(done); break }
  od
}
#endif

proctype recovery() {
  mtype pc = load;
end:
  do
#ifdef NO_DEATHWAKE
  :: atomic { todo -> todo = false }
#elif defined(MUTEX)
  :: atomic { todo && AT(load) -> if :: (word & OWN) == 2 || (word & OWN) == 4 -> word = word & W :: else fi; GO(leave) }
  :: atomic { AT(leave) -> if :: (word & OWN) == 0 -> GO(u_wake) :: else -> word = word | W; todo = false; GO(load) fi }
  :: atomic { AT(u_wake) -> wake_one(); todo = false; GO(load) }
#else
  :: atomic { todo -> wake_one(); todo = false }
#endif
  od
}

#define SLEEPS(k) (on[k] && answer[k] == 0)

proctype watch() {
  bool sleeping, beside, unheard, forgotten;
end:
  atomic {
    timeout ->
    sleeping = SLEEPS(0) || SLEEPS(1) || asleep;
    beside = sleeping && FREE(word);
    unheard = sleeping && !(word & W);
#ifndef NO_WAITV
    forgotten = (SLEEPS(0) && !queued[0]) || (SLEEPS(1) && !queued[1]);
#endif
    assert(!(beside));
    assert(!(unheard));
    assert(!(forgotten))
  }
}

init {
  byte k;
  atomic {
    /* An unspent kill would hide a deadlock, so the budget is chosen here. */
    do :: kills < KILLS -> kills++ :: break od;
    do :: k < 3 -> run waiter(k); k++ :: else -> break od;
#ifndef MUTEX
    do :: k < N -> run poster(k); k++ :: else -> break od;
#endif
#ifdef BARGER
    run barger();
#endif
    run thread();
    run recovery();
    run watch(); k = 0
  }
}
