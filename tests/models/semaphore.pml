/* The plain semaphore: one word, {value<<1 | W}, and nobody's permits.

   Code stated here: shm/semaphore.go and clients/c/semaphore.c, without undo.

   The poster clears W, in the compare-and-swap that adds. Whoever was woken owes
   a duty: it takes with W set again, and wakes one more if permits remain; or it
   finds none, and leaves W set before it sleeps again; or it leaves and wakes one
   in its stead. A death wakes one, whoever it was and whatever it did: the one
   that wakes has the duty. Removed is a word of its own, all ones: no sequence of
   posts and takes leads there, for whoever sets W has taken one.

   Every `:: atomic` is one access to shared memory, or one futex call. A client
   may be killed between any two of them.

   Checked, and what pan prints if it does not hold:
     1. permits are neither lost nor made              (word>>1)==(posted-taken)
     2. never more than the maximum                    (word>>1)<=
     3. at rest nobody sleeps beside a permit          !(((word>>1)>0)&&sleeping)
     4. ... nor unannounced: the next post would be
        lost                                           !((sleeping&& !((word&1))))
     5. ... and after remove nobody sleeps, and the
        word never changes again                       sleeping&&removed, word==255
     6. PAY: wakes by posts <= times W was set         pay<=wsets

   Shape: NT takers of one permit each, taker 0 TI rounds; NR posters, the first
     PN permits in each of RI rounds; MAX; KILLS; TIMEOUTS (taker 1 times out, or
     is cancelled after a wake); DKILLS with SOCK or DESTROY
     PAIR      takers 0 and 1 are threads of one process: one death
     SOCK      the daemon acts for the first poster; its death cuts the call short
     DESTROY   the object is destroyed
     RESET     somebody resets: takes what there is, as the auto-reset event's reset
     FKALL     a death wakes all (sound too)
     HERD      a post wakes all and nobody has a duty (sound too)
     ONLY_LOST without 4: the same bugs as lost wake-ups

   Must fail:
     NO_REARM          the woken takes without setting W again
     NO_PASSON         the woken sets W again, but wakes nobody
     NO_DUTY           leaves after a wake without waking another
     NO_DEATHWAKE      a death wakes nobody
     NO_START_SWEEP    (SOCK) the successor does not sweep
     CASCLEAR          W is cleared by compare-and-swap after a wake that found
                       nobody, and there is no duty: a take and a post in between
                       restore the same word
     STICKY            (PAY) W is never cleared: one call per post for ever
     POST_BLIND        the maximum is looked at, then the post adds
     CHECK_FIRST       (DESTROY) the state is looked at before W is set, and the
                       word stays
     REMOVE_STATE_ONLY (DESTROY) the state is stored and all are woken; the word
                       stays
     REMOVE_CLEARS_W   (DESTROY) ... W is cleared too, to turn away who is on his
                       way to sleep: another one sets it again before that       */

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
#ifndef MAX
#define MAX 100
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef DKILLS
#define DKILLS 0
#endif

#define N    (NT+NR)
#define W    1
#define GONE 255          /* removed */
#define VALUE(x) (x >> 1)

#if defined(STICKY) || defined(CASCLEAR)
#define POSTED(x) (x + 2*COUNT)
#define NOBODY_OWES
#else
#define POSTED(x) ((x + 2*COUNT) & (255-W))
#endif
#ifdef HERD
#define NOBODY_OWES
#endif

#if defined(CHECK_FIRST) || defined(REMOVE_STATE_ONLY) || defined(REMOVE_CLEARS_W)
#define BY_STATE          /* the word does not say that it is removed */
#endif
#ifdef CHECK_FIRST
#define BEFORE look
#define ANNOUNCED wait
#elif defined(BY_STATE)
#define BEFORE announce
#define ANNOUNCED look
#else
#define BEFORE announce
#define ANNOUNCED wait
#endif

mtype = {
  load, take, announce, look, wait, slept, pass_on, leave, next,
  p_load, p_post, p_wake, p_clear,
  x_state, x_word, x_wake, done
};

byte word;
bool removed;             /* the segment's state word */
bool asleep[NT];          /* the kernel's queue on word */
bool todo[N];             /* its death is not yet recovered */
bool sweep;               /* a new daemon has yet to look at every object */
byte kills, dkills;

/* ghosts */
byte taken, posted;
#ifdef PAY
byte pay, wsets;
#define SETS_W wsets++
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

#define NONE(x) (VALUE(x) == 0)
#ifdef NO_REARM
#define TAKEN(x) (x - 2)
#else
#define TAKEN(x) ((x - 2) | (duty -> W : 0))
#endif

#ifdef PAY
#define SETS_W_AGAIN if :: duty && !(old & W) -> SETS_W :: else fi
#else
#define SETS_W_AGAIN skip
#endif

#define DIE dies(); break
inline dies() {
  todo[i] = true; old = 0; it = 0; GO(done)
}

proctype taker(byte i) {
  mtype pc = load; byte old, it; bool woke, duty, more;
end:                      /* it may sleep for ever if there is nothing: watch() looks */
  do
  :: atomic { AT(load) -> old = word;
       if
       :: old == GONE -> GO(next)
       :: old != GONE && !NONE(old) -> GO(take)
       :: NONE(old) && !(old & W) -> GO(BEFORE)
       :: NONE(old) && (old & W) -> duty = false; old = 0; GO(ANNOUNCED)
#ifdef TIMEOUTS
       :: old != GONE && duty && i == 1 -> old = 0; GO(leave)
#endif
       fi }
  :: atomic { AT(take) ->
       if
       :: word == old -> SETS_W_AGAIN;
#ifndef NO_PASSON
            more = (duty && VALUE(old) > 1);   /* posts may have found W clear */
#endif
            word = TAKEN(old); taken++; GO((more -> pass_on : next))
       :: else -> GO(load)
       fi;
       old = 0; more = 0 }
  :: atomic { AT(announce) ->
       if
       :: word == old -> word = old | W; SETS_W; duty = false; GO(ANNOUNCED)
       :: else -> GO(load)
       fi;
       old = 0 }
#ifdef CHECK_FIRST
  :: atomic { AT(look) -> GO((removed -> next : announce)) }
#else
  :: atomic { AT(look) -> GO((removed -> next : wait)) }
#endif
  :: atomic { AT(wait) ->
       if
       :: word == W -> asleep[i] = true; GO(slept)
       :: else -> GO(load)
       fi }
#ifdef NOBODY_OWES
  :: atomic { AT(slept) && !asleep[i] -> GO(load) }
#else
  :: atomic { AT(slept) && !asleep[i] -> duty = true; GO(load) }
#endif
#ifdef TIMEOUTS
  :: atomic { AT(slept) && asleep[i] && i == 1 -> asleep[i] = false; GO(next) }
#endif
  :: atomic { AT(pass_on) -> wake_one(); woke = 0; GO(next) }
#ifdef NO_DUTY
  :: atomic { AT(leave) -> GO(next) }
#else
  :: atomic { AT(leave) -> wake_one(); woke = 0; GO(next) }
#endif

  :: atomic { AT(next) -> duty = false; old = 0; it++;
       if
       :: it < (i == 0 -> TI : 1) -> GO(load)
       :: else -> it = 0; GO(done); break
       fi }
  :: atomic { kills > 0 && !AT(next) -> kills--; asleep[i] = false; duty = false; DIE }
#ifdef PAIR
  :: atomic { i == 1 && todo[0] -> asleep[i] = false; duty = false; dies(); todo[1] = false; break }
#endif
  od
}

#ifdef SOCK
#define DAEMON_ACTS (i == NT)
#else
#define DAEMON_ACTS false
#endif

proctype poster(byte i) {
  mtype pc = p_load; byte old, it, k, s; bool woke;
  do
#define COUNT (i == NT -> PN : 1)
#ifdef BY_STATE
#define NO_MORE removed
#else
#define NO_MORE (old == GONE)
#endif
  :: atomic { AT(p_load) -> old = word;
       if
       :: NO_MORE || VALUE(old) > MAX - COUNT -> GO(next)
       :: else -> GO(p_post)
       fi }
  :: atomic { AT(p_post) ->
       if
#ifdef POST_BLIND
       :: true -> old = word;
#else
       :: word == old ->
#endif
            posted = posted + COUNT; word = POSTED(old); s = word;
            assert((word >> 1) <= MAX);
            if
            :: old & W -> PAYS; GO(p_wake)
            :: else -> GO(next)
            fi
#ifndef POST_BLIND
       :: else -> GO(p_load)
#endif
       fi;
       old = 0 }
  :: atomic { AT(p_wake) -> GO(next);
#ifdef HERD
       wake_all();
#else
       k = COUNT;
       do
       :: k > 0 -> wake_one(); k--
       :: else -> break
       od;
#endif
#ifdef CASCLEAR
       if
       :: !woke -> GO(p_clear)
       :: else
       fi;
#endif
       woke = 0 }
  :: atomic { AT(p_clear) -> GO(next);
       if
       :: word == s -> word = word & (255-W)
       :: else
       fi }
  :: atomic { AT(next) -> old = 0; s = 0; it++;
       if
       :: it < (i == NT -> RI : 1) -> GO(p_load)
       :: else -> it = 0; GO(done); break
       fi }
#ifdef SOCK
  :: atomic { DAEMON_ACTS && dkills > 0 && !AT(next) -> dkills--; old = 0; s = 0; it = 0;
#ifndef NO_START_SWEEP
       sweep = true;
#endif
       GO(done); break }
#endif
  :: atomic { !DAEMON_ACTS && kills > 0 && !AT(next) -> kills--; s = 0; DIE }
  od
}

proctype recovery() {
  byte c; bool woke;
end:
  do
  :: atomic { (sweep || todo[0] || todo[1] || todo[2]
#if NT+NR > 3
       || todo[3]
#endif
#if NT+NR > 4
       || todo[4]
#endif
       ) ->
       if
       :: sweep -> sweep = false
       :: else ->
            do
            :: !todo[c] -> c++
            :: else -> break
            od;
            todo[c] = false; c = 0
       fi;
#ifdef NO_DEATHWAKE
       skip
#elif defined(FKALL) || defined(NOBODY_OWES)
       wake_all()
#else
       wake_one()
#endif
     ; woke = 0 }
  od
}

#ifdef RESET
proctype resetter() {
  mtype pc = p_load; byte old;
  do
  :: atomic { AT(p_load) -> old = word;
       if
       :: old == GONE || NONE(old) -> GO(done); break
       :: else -> GO(p_post)
       fi }
  :: atomic { AT(p_post) ->
       if
       :: word == old -> word = old & W; taken = taken + VALUE(old); GO(done); old = 0; break
       :: else -> GO(p_load)
       fi;
       old = 0 }
  od
}
#endif

#ifdef DESTROY
proctype remover() {
  mtype pc = x_state;
  do
  :: atomic { AT(x_state) -> removed = true; GO(x_word) }
  :: atomic { AT(x_word) -> GO(x_wake);
#ifdef REMOVE_CLEARS_W
       word = word & (255-W)
#elif !defined(BY_STATE)
       word = GONE
#endif
     }
  :: atomic { AT(x_wake) -> wake_all(); GO(done); break }
  /* the successor finds the state, and goes on with the rest of it */
  :: atomic { dkills > 0 -> dkills--; GO(x_state) }
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
    assert(!(sleeping && removed));
#ifndef BY_STATE
    if
    :: removed -> assert(word == 255)
    :: else
    fi;
#endif
    if
    :: word != GONE ->
       assert((word >> 1) == posted - taken);
       assert(!((word >> 1) > 0 && sleeping));
#ifndef ONLY_LOST
       assert(!(sleeping && !(word & W)))
#endif
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
    do :: k < NT -> run taker(k); k++ :: else -> break od;
    do :: k < N -> run poster(k); k++ :: else -> break od;
    run recovery();
#ifdef RESET
    run resetter();
#endif
#ifdef DESTROY
    run remover();
#endif
    run watch(); k = 0
  }
}
