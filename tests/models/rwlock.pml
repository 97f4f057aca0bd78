/* The fair reader-writer lock: a word for the writer, a cell for each seat's readers.

   Code stated here: shm/rwlock*.go and clients/c/rwlock.c, without the writer's token.

   word  owner | HELD | PREP | R (readers want) | I | W
   cell  active, want: threads of that seat; or removed

   A reader announces itself in its cell, then looks at the word: it is kept out by a
   writer who does not prepare. Then it takes that back, declares that it wants to come
   in (want, then R), and sleeps on the word; want stays up until it is in or gives up.
   A writer who finds R clears it as it takes the word, and prepares: that keeps nobody
   out, and ends when each cell has been seen without want. Then it keeps readers out
   and waits until each cell has been seen without active. Who leaves a cell wakes it
   if there is a writer. A thread that reads may read again without a look at the word.
   A death zeroes the cell and frees the word, with R, for it may have been letting
   readers in, and with I if it was inside. Removed: the word for ever, a bit in each
   cell, and all are woken.

   Every `:: atomic` is one access to shared memory, or one futex call. A client may be
   killed between any two of them, the daemon too: its successor starts again.

   Checked, and what pan prints if it does not hold:
     1. a writer is alone                               readers==0, writer==0
     2. who comes in is told when a writer died inside
        and nobody has repaired                         !(dirty)||told
     3. once R is set for a reader at most one writer
        comes in before it                              skips[
     4. nobody sleeps for ever while he could go on,
        the lock is free at last, nothing is left in
        the cells                                       invalid end state, !(busy)
     5. after remove nobody comes in, the word never
        changes again, and everybody finishes           !(gone), word==7
     6. recovery always comes to its end                rpc==0
     7. LIVE_R: beside writers without end the reader comes in; LIVE_W: beside readers
        without end the writer does (weak fairness)     acceptance cycle

   Shape: N clients, R of them readers (RITER rounds), the rest writers (WITER); KILLS
     DKILLS TIMEOUTS (reader 0 and the first writer leave, timed out or cancelled)
     NEST      readers read again inside
     PAIR      readers 0 and 1 are threads of one process: one cell, one death
     TRY       reader 0 and the first writer do not wait, but leave at once
     REMOVE    the lock is destroyed
     HOLD      (REMOVE) reader 0 stays inside until all others have finished
     LIVE_R LIVE_W

   Must fail:
     NO_DEATHWAKE      a death frees, but wakes nobody
     NO_NOTICE         a death of a writer inside leaves no I
     CHECK_FIRST       a reader looks at the word, then announces itself
     NO_PREP           no turn for readers: not bounded; LIVE_R starves the reader
     PREP_ACTIVE       (LIVE_W) preparing waits for those inside too: the writer starves
     DROP_WANT         want is given up for the try
     CLEAR_LATE        R is cleared when the preparing ends
     LOSE_R            who withdraws, or dies, outside does not leave R
     NO_BYPASS         (NEST) a thread that reads looks at the word as any other
     NO_CELL_WAKE      who leaves a cell wakes nobody
     REMOVE_WORD_ONLY  (REMOVE, HOLD) the cells are not told: a writer sleeps on one for ever
     UNLOCK_BLIND      (REMOVE) a writer unlocks by exchange: the word comes back to life */

#ifndef R
#define R 1               /* readers 0..R-1, writers R..N-1 */
#endif
#ifndef N
#define N 3
#endif
#ifndef RITER
#define RITER 1
#endif
#ifndef WITER
#define WITER 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef DKILLS
#define DKILLS 0
#endif

/* The word. */
#define OWN   7
#define HELD  8
#define I     16
#define W     32
#define PREP  64
#define WANTED 128
#define GONE  7           /* removed */
#define OWNER(x) ((x) & OWN)
#define KEEPS_OUT(x) (OWNER(x) != 0 && !((x) & PREP))
/* A cell. */
#define ACTIVE  7
#define WANT    56
#define WANT1   8
#define REMOVED 64

#ifdef PAIR
#define SEAT(k) (k == 1 -> 0 : k)
#else
#define SEAT(k) k
#endif
#define CELL cell[SEAT(i)]
#define ME  (i + 1)

mtype = {
  look, enter, check, back, back_wake, declare, set_wanted, load, set_w, wait, slept,
  try, try_check, try_back, try_wake, drop, drop_look, drop_wake, inside,
  n_enter, n_leave, leave, l_look, l_wake, gave_up, next,
  o_load, o_take, o_set_w, o_wait, o_slept, p_scan, p_wait, p_slept, p_end,
  d_scan, d_wait, d_slept, d_end, writes, repair, mark, unlock, u_wake, withdraw,
  r_cell, r_word, r_wake_cell, r_wake, r_done,
  x_word, x_cell, x_wake_cell, x_wake, done
};
#define idle 0

byte word, cell[R];       /* cells by seat; writers' own are 0 */
bool asleep[N];           /* the kernel's queue on the word */
bool on_cell[R*N];        /* ... on each cell */
bool todo[N];             /* by client: its death is not yet recovered */
mtype rpc = idle;
byte kills, dkills;

/* ghosts */
byte readers, writer;     /* who is inside */
bool dirty;               /* a writer died inside, nobody has repaired since */
bool gone;                /* removed */
byte in[R];               /* reads of each reader */
bool waits[R]; byte skips[R];   /* R is set for it; writers who came in since */
bool fin[N];
#ifdef PAIR
bool pair_dead;
#define PAIR_DEAD (i < 2 && pair_dead)
#else
#define PAIR_DEAD false
#endif

#if N > 3
#define CLEAR(a, o) a[o] = false; a[o+1] = false; a[o+2] = false; a[o+3] = false
#elif N > 2
#define CLEAR(a, o) a[o] = false; a[o+1] = false; a[o+2] = false
#else
#define CLEAR(a, o) a[o] = false; a[o+1] = false
#endif
inline wake_word() { CLEAR(asleep, 0) }
inline wake_cell(k) { CLEAR(on_cell, (k)*N) }
#ifdef NO_CELL_WAKE
#define WAKE_CELL skip
#else
#define WAKE_CELL wake_cell(SEAT(i))
#endif

#define AT(s) (pc == s)
#define GO(s) pc = s

inline came_in() {
  assert(writer == 0); assert(!gone); assert(!dirty || (old & I));
  readers++; in[i]++; waits[i] = false; skips[i] = 0
}

#ifdef DROP_WANT
#define TRY_IN  cell[SEAT(i)] + 1 - WANT1
#define TRY_OUT cell[SEAT(i)] - 1 + WANT1
#else
#define TRY_IN  cell[SEAT(i)] + 1
#define TRY_OUT cell[SEAT(i)] - 1
#endif
#ifdef HOLD
#define MAY_LEAVE (i != 0 || (fin[1] && (N < 3 || fin[N-1])))
#else
#define MAY_LEAVE true
#endif
#if defined(TRY)
#define TRIES(k) (i == k)
#else
#define TRIES(k) false
#endif

#if defined(LIVE_R) || defined(LIVE_W)
#define PASSED_OVER(k) skip
#else
#define PASSED_OVER(k) skips[k]++; assert(skips[k] <= 1)
#endif
#define READER_CUT(k) asleep[k] = false; readers = readers - in[k]; in[k] = 0; waits[k] = false; skips[k] = 0
#define READER_FORGET old = 0; it = 0; depth = 0; wanting = false; came = false

proctype reader(byte i) {
  mtype pc = look; byte old, it, depth; bool wanting, came;
  {
  do
  /* ---- read lock: is it worth a try? */
  :: atomic { AT(look) -> old = word;
       if
       :: OWNER(old) == GONE -> GO(gave_up)
       :: OWNER(old) != GONE && KEEPS_OUT(old) -> GO((TRIES(0) -> gave_up : declare))
       :: !KEEPS_OUT(old) -> GO(enter)
#ifndef CHECK_FIRST
       :: depth == 0 -> GO(enter)      /* the fast way does not look before */
#endif
       fi;
#ifdef CHECK_FIRST
       if :: AT(enter) -> skip :: else -> old = 0 fi
#else
       old = 0
#endif
     }
  :: atomic { AT(enter) ->
       if
       :: CELL & REMOVED -> GO(gave_up)
#ifdef CHECK_FIRST
       :: !(CELL & REMOVED) -> CELL = CELL + 1; came_in(); GO(inside)
#else
       :: !(CELL & REMOVED) -> CELL = CELL + 1; GO(check)
#endif
       fi }
  :: atomic { AT(check) -> old = word;
       if
       :: KEEPS_OUT(old) -> GO(back)
       :: else -> came_in(); GO(inside)
       fi;
       old = 0 }
  :: atomic { AT(back) -> CELL = CELL - 1; GO(back_wake) }
  :: atomic { AT(back_wake) -> WAKE_CELL; GO((TRIES(0) -> gave_up : declare)) }

  /* ---- kept out */
  :: atomic { AT(declare) ->
       if
       :: CELL & REMOVED -> GO(gave_up)
       :: else -> CELL = CELL + WANT1; wanting = true; GO(set_wanted)
       fi }
  :: atomic { AT(set_wanted) -> GO(load);
       if :: OWNER(word) != GONE -> word = word | WANTED; waits[i] = true :: else fi }
  :: atomic { AT(load) -> old = word;
       if
       :: OWNER(old) == GONE -> GO(drop)
       :: OWNER(old) != GONE && KEEPS_OUT(old) -> GO((old & W -> wait : set_w))
       :: !KEEPS_OUT(old) -> old = 0; GO(try)
       fi }
  :: atomic { AT(set_w) ->
       if
       :: word == old -> word = old | W; old = word; GO(wait)
       :: else -> old = 0; GO(load)
       fi }
  :: atomic { AT(wait) ->
       if
       :: word == old -> asleep[i] = true; GO(slept)
       :: else -> GO(load)
       fi;
       old = 0 }
  :: atomic { AT(slept) && !asleep[i] -> GO(load) }
#ifdef TIMEOUTS
  :: atomic { (AT(slept) || AT(load)) && i == 0 -> asleep[i] = false; waits[i] = false; skips[i] = 0;
       GO(drop) }
#endif
  :: atomic { AT(try) ->
       if
       :: CELL & REMOVED -> GO(drop)
       :: else -> CELL = TRY_IN; GO(try_check)
       fi }
  :: atomic { AT(try_check) -> old = word;
       if
       :: KEEPS_OUT(old) -> GO(try_back)
       :: else -> came_in(); came = true;
#ifdef DROP_WANT
            wanting = false; GO(drop_look)
#else
            GO(drop)
#endif
       fi;
       old = 0 }
  :: atomic { AT(try_back) -> CELL = TRY_OUT; GO(try_wake) }
  :: atomic { AT(try_wake) -> WAKE_CELL; GO(load) }

  /* ---- inside, or in vain: want goes */
  :: atomic { AT(drop) -> CELL = CELL - WANT1; wanting = false; old = 0; GO(drop_look) }
  :: atomic { AT(drop_look) -> GO((OWNER(word) -> drop_wake : (came -> inside : gave_up))) }
  :: atomic { AT(drop_wake) -> WAKE_CELL; GO((came -> inside : gave_up)) }

  :: atomic { AT(inside) -> came = false;
       if
#ifdef NEST
#ifdef NO_BYPASS
       :: depth == 0 -> depth = 1; GO(look)
#else
       :: depth == 0 -> depth = 1; GO(n_enter)
#endif
#endif
       :: true -> GO(leave)
       fi }
  :: atomic { AT(n_enter) ->
       if
       :: CELL & REMOVED -> GO(leave)
       :: else -> CELL = CELL + 1; readers++; in[i]++; GO(leave)
       fi }
  :: atomic { AT(leave) && MAY_LEAVE -> CELL = CELL - 1; readers--; in[i]--; GO(l_look) }
  :: atomic { AT(l_look) -> GO((OWNER(word) -> l_wake : (in[i] -> leave : next))) }
  :: atomic { AT(l_wake) -> WAKE_CELL; GO((in[i] -> leave : next)) }
  :: atomic { AT(gave_up) -> GO((in[i] -> leave : next)) }

  :: atomic { AT(next) -> depth = 0; waits[i] = false; skips[i] = 0;
#ifdef LIVE_W
       GO(look)
#else
       it++;
       if
       :: it < RITER -> GO(look)
       :: else -> it = 0; fin[i] = true; GO(done); break
       fi
#endif
     }
  :: atomic { kills > 0 -> kills--; todo[i] = true; fin[i] = true; READER_CUT(i); READER_FORGET; GO(done);
#ifdef PAIR
       if
       :: i < 2 -> READER_CUT(0); READER_CUT(1); todo[0] = true;
            pair_dead = true           /* last: the unless cuts in here */
       :: else
       fi;
#endif
       break }
  od
  } unless { atomic { PAIR_DEAD && !AT(done) -> READER_FORGET; GO(done) } }
}

#ifdef NO_PREP
#define TAKE   ME | (old & (I|W|WANTED))
#define PREPARES false
#elif defined(CLEAR_LATE)
#define TAKE   ME | (old & (I|W|WANTED)) | (old & WANTED -> PREP : 0)
#define PREPARES (old & WANTED)
#define PREPARED 255-PREP-WANTED
#else
#define TAKE   ME | (old & (I|W)) | (old & WANTED -> PREP : 0)
#define PREPARES (old & WANTED)
#define PREPARED 255-PREP
#endif
#ifndef PREPARED
#define PREPARED 255
#endif
#ifdef PREP_ACTIVE
#define P_BITS (WANT|ACTIVE)
#else
#define P_BITS WANT
#endif
#ifdef LOSE_R
#define LEFT_OUTSIDE WANTED & word
#else
#define LEFT_OUTSIDE WANTED
#endif

/* Wait until each cell has been without the bits once. */
#define SCAN(scan, sleep, woken, bits, end) \
  :: atomic { AT(scan) -> v = cell[k]; \
       if \
       :: !(v & (bits)) -> v = 0; k++; if :: k < CELLS -> skip :: else -> k = 0; GO(end) fi \
       :: (v & (bits)) && (v & REMOVED) -> v = 0; k = 0; GO(next) \
       :: (v & (bits)) && !(v & REMOVED) && TRIES(R) -> v = 0; k = 0; GO(withdraw) \
       :: (v & (bits)) && !(v & REMOVED) && !TRIES(R) -> GO(sleep) \
       fi } \
  :: atomic { AT(sleep) -> \
       if \
       :: cell[k] == v -> on_cell[k*N+i] = true; GO(woken) \
       :: else -> GO(scan) \
       fi; \
       v = 0 } \
  :: atomic { AT(woken) && !on_cell[k*N+i] -> GO(scan) }
#ifdef PAIR
#define CELLS 1
#else
#define CELLS R
#endif

#ifdef LIVE_R
#define WRITER_NEXT old = 0
#else
#define WRITER_NEXT old = 0; it++
#endif
#define WRITER_FORGET old = 0; v = 0; k = 0; it = 0

proctype writers(byte i) {
  mtype pc = o_load; byte old, v, k, it;
  do
  :: atomic { AT(o_load) -> old = word;
       if
       :: OWNER(old) == GONE -> GO(next)
       :: OWNER(old) == 0 -> GO(o_take)
       :: OWNER(old) != 0 && OWNER(old) != GONE && TRIES(R) -> GO(next)
       :: OWNER(old) != 0 && OWNER(old) != GONE && !TRIES(R) -> GO((old & W -> o_wait : o_set_w))
       fi }
  :: atomic { AT(o_take) ->
       if
       :: word == old -> word = TAKE; GO((PREPARES -> p_scan : d_scan))
       :: else -> GO(o_load)
       fi;
       old = 0 }
  :: atomic { AT(o_set_w) ->
       if
       :: word == old -> word = old | W; old = word; GO(o_wait)
       :: else -> old = 0; GO(o_load)
       fi }
  :: atomic { AT(o_wait) ->
       if
       :: word == old -> asleep[i] = true; GO(o_slept)
       :: else -> GO(o_load)
       fi;
       old = 0 }
  :: atomic { AT(o_slept) && !asleep[i] -> GO(o_load) }

  SCAN(p_scan, p_wait, p_slept, P_BITS, p_end)
  :: atomic { AT(p_end) ->
       if
       :: OWNER(word) == GONE -> GO(next)
       :: else -> assert(OWNER(word) == ME); word = word & (PREPARED); GO(d_scan)
       fi }
  SCAN(d_scan, d_wait, d_slept, ACTIVE, d_end)
  :: atomic { AT(d_end) ->
       if
       :: OWNER(word) == GONE -> GO(next)
       :: else -> assert(OWNER(word) == ME); old = word; word = word | HELD;
            assert(readers == 0); assert(writer == 0); assert(!gone); assert(!dirty || (old & I));
            writer = ME;
            do
            :: k < R -> if :: waits[k] -> PASSED_OVER(k) :: else -> skip fi; k++
            :: else -> k = 0; break
            od;
            GO(writes)
       fi }

  /* ---- inside */
  :: atomic { AT(writes) ->
       if
       :: old & I -> GO(repair)
       :: true -> GO(unlock)
       fi;
       old = 0 }
  :: atomic { AT(repair) -> dirty = false; GO(mark) }
  :: atomic { AT(mark) -> GO(unlock);
       if :: OWNER(word) == ME -> word = word & (255-I) :: else fi }
#ifdef UNLOCK_BLIND
  :: atomic { AT(unlock) -> writer = 0; old = word; word = word & (I|WANTED);
       GO((old & W -> u_wake : next)); old = 0 }
#else
  :: atomic { AT(unlock) -> writer = 0;
       if
       :: OWNER(word) == GONE -> GO(next)
       :: else -> old = word; word = word & (I|WANTED); GO((old & W -> u_wake : next))
       fi;
       old = 0 }
#endif
  :: atomic { AT(u_wake) -> wake_word(); GO(next) }

  /* ---- leaves before it is inside */
#ifdef TIMEOUTS
  :: atomic { AT(o_slept) && i == R -> asleep[i] = false; GO(next) }
  :: atomic { (AT(p_slept) || AT(d_slept)) && i == R -> on_cell[k*N+i] = false; k = 0; GO(withdraw) }
  :: atomic { (AT(p_scan) || AT(d_scan)) && i == R -> k = 0; GO(withdraw) }
#endif
  :: atomic { AT(withdraw) ->
       if
       :: OWNER(word) == GONE -> GO(next)
       :: else -> old = word; word = (word & I) | (LEFT_OUTSIDE); GO((old & W -> u_wake : next))
       fi;
       old = 0 }

  :: atomic { AT(next) -> WRITER_NEXT;
#ifdef LIVE_R
       GO(o_load)
#else
       if
       :: it < WITER -> GO(o_load)
       :: else -> it = 0; fin[i] = true; GO(done); break
       fi
#endif
     }
  :: atomic { kills > 0 -> kills--; todo[i] = true; fin[i] = true; asleep[i] = false;
       if :: AT(p_slept) || AT(d_slept) -> on_cell[k*N+i] = false :: else fi;
       if :: writer == ME -> writer = 0; dirty = true :: else fi;
       WRITER_FORGET; GO(done); break }
  od
}

proctype recovery() {
  byte c;
end:
  do
#define PICK(k) :: atomic { rpc == idle && todo[k] -> c = k; rpc = r_cell }
  PICK(0) PICK(1)
#if N > 2
  PICK(2)
#endif
#if N > 3
  PICK(3)
#endif
  :: atomic { rpc == r_cell -> rpc = r_word;
       if :: c < R -> cell[SEAT(c)] = cell[SEAT(c)] & REMOVED :: else fi }
  :: atomic { rpc == r_word -> rpc = r_wake_cell;
       if
#ifdef NO_NOTICE
       :: OWNER(word) == c+1 -> word = (word & (I|W)) | (LEFT_OUTSIDE)
#else
       :: OWNER(word) == c+1 -> word = (word & (I|W)) | (word & HELD -> I : 0) | (LEFT_OUTSIDE)
#endif
       :: else
       fi }
#ifdef NO_DEATHWAKE
  :: atomic { rpc == r_wake_cell -> rpc = r_done }
#else
  :: atomic { rpc == r_wake_cell -> rpc = r_wake;
       if :: c < R -> wake_cell(SEAT(c)) :: else fi }
  :: atomic { rpc == r_wake -> wake_word(); rpc = r_done }
#endif
  :: atomic { rpc == r_done -> todo[c] = false; c = 0; rpc = idle }
  :: atomic { dkills > 0 && rpc != idle -> dkills--; c = 0; rpc = idle }
  od
}

#ifdef REMOVE
proctype remover() {
  mtype pc = x_word; byte k;
  do
  :: atomic { AT(x_word) -> word = GONE; gone = true;
#ifdef REMOVE_WORD_ONLY
       GO(x_wake)
#else
       GO(x_cell)
#endif
     }
  :: atomic { AT(x_cell) -> cell[k] = cell[k] | REMOVED; GO(x_wake_cell) }
  :: atomic { AT(x_wake_cell) -> wake_cell(k); k++; GO((k < CELLS -> x_cell : x_wake)) }
  :: atomic { AT(x_wake) -> wake_word(); k = 0; GO(done); break }
  :: atomic { dkills > 0 -> dkills--; k = 0; GO(x_word) }
  od
}
#endif

#if !defined(LIVE_R) && !defined(LIVE_W)
#define WATCHED
#endif
#ifdef WATCHED
proctype watch() {
  bool busy; byte k;
end:
  do
  :: atomic { gone && word != GONE -> assert(word == 7) }
  :: atomic { timeout ->
       assert(rpc == idle);
       do
       :: k < CELLS -> busy = busy || (cell[k] & (ACTIVE|WANT)); k++
       :: else -> break
       od;
       busy = busy || (!gone && OWNER(word)) || readers || writer;
       k = 0;
       do
       :: k < N -> busy = busy || asleep[k]; k++
       :: else -> break
       od;
       assert(!(busy)); break }
  od
}
#endif

init {
  byte k;
  atomic {
    /* An unspent kill would hide a deadlock, so the budget is chosen here. */
    do :: kills < KILLS -> kills++ :: break od;
    do :: dkills < DKILLS -> dkills++ :: break od;
    do :: k < R -> run reader(k); k++ :: else -> break od;
    do :: k < N -> run writers(k); k++ :: else -> break od;
#ifdef WATCHED
    run recovery();
    run watch();
#endif
#ifdef REMOVE
    run remover();
#endif
    k = 0
  }
}

#ifdef LIVE_R
ltl comes_in { <> (fin[0]) }
#endif
#ifdef LIVE_W
ltl comes_in { <> (fin[N-1]) }
#endif
