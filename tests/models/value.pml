/* Value and array: a sequence word for snapshots, a change word for waiters,
   and the lock that orders the writers.

   Code stated here: shm/sequence.go, shm/change.go and their C twins
   clients/c/sequence.c, clients/c/change.c. How the lock itself sleeps and
   wakes is mutex.pml; here its word only excludes.

   seq = count<<2 | DIRTY | ODD   stored only by the holder of the lock, or by
                                  recovery for a dead holder
   chg = count<<1 | W             an eventcount, bumped by every change and
                                  every death, always by read-modify-write

   With -DFOREIGN the array is bound to another mutex object: lk and dep are that
   object's, seq, chg, wdep and `writer` (the owner word of the writer, set before
   ODD, cleared after even) are the array's. One death is then two recoveries,
   the array's first.

   Clients: 0 and 1 write (lock twice, nested brackets, d0 == d1 outside of a
   bracket), 2 changes an element atomically, 3 takes snapshots, 4 waits for a
   change. Every `:: atomic` is one access to shared memory, or one futex call.

   Checked, and what pan prints if it does not hold:
     1. one writer, whose depths are clean             holder==0, (dep==0)&&(wdep==0)
     2. the next owner is told of half written data    !(torn)||note
     3. a snapshot without DIRTY is not torn           (s1&2)||(c0==c1)
     4. at rest no change is missed                    !((asleep[4]&&...
     5. ... no snapshot reader sleeps                  !(asleep[3])
     6. ... seq is even, and DIRTY if data is torn     !((seq&1)), ...(torn))||(seq&2)
     7. ... the lock is free, recovery done            (lk&7), rpc==0
     8. ... and after destroy nobody sleeps            5, !((asleep[4]&&removed))

   Shape: SITER (snapshots) KILLS DKILLS TIMEOUTS, NO_ATOM NO_SNAP NO_CHANGE
     ONE_WRITER leave a client out
     DESTROY        the array is destroyed while writer 0 never ends its bracket
     MUTEX_DESTROY  (FOREIGN) the mutex is destroyed, the array lives on

   Must fail:
     NO_BROADCAST    a death wakes nobody
     NO_BUMP         a death wakes, but does not bump
     NO_RECHECK      a snapshot does not load seq again
     SEQ_BACK        recovery restores the former even seq
     RELEASE_FIRST   recovery releases the lock before seq is even
     NO_DIRTY        recovery makes seq even and no more
     DIRTY_ODD_ONLY  DIRTY only if the holder died inside a bracket: the next
                     owner repairs through a raw view, snapshots see it half done
     NEST_BAD        an inner end makes seq even
     VER_AFTER       version read after the data
     BUMP_FIRST      bumped before the change
     NO_RESET_DEPTH  recovery leaves the depths
     MUTEX_FIRST     (FOREIGN) the mutex is recovered before the array
     WRITER_ONLY     (FOREIGN) recovery looks at `writer` only
     LOCK_ONLY       (FOREIGN, MUTEX_DESTROY) ... at the mutex's owner only
     DESTROY_NO_BUMP (DESTROY) destroy wakes, but does not bump                */

#ifndef KILLS
#define KILLS 0
#endif
#ifndef DKILLS
#define DKILLS 0
#endif
#ifndef SITER
#define SITER 1
#endif

#define N     5
#define OWN   7           /* lk = owner | I */
#define GONE  7
#define I     8
#define ODD   1           /* of seq */
#define DIRTY 2
#define COUNT 4
#define W     1           /* of chg */
#define OWNER(x) ((x) & OWN)

mtype = {
  w_lock, w_dep, w_fix0, w_fix1, w_mark_seq, w_mark_lk, w_writer, w_odd, w_depth,
  w_d0, w_inner, w_d1, w_outer, w_even, w_clear, w_undep, w_unlock,
  b_add, b_clear, b_wake,
  a_add, a_done,
  s_seq, s_d0, s_d1, s_again, s_announce, s_removed, s_check, s_wait, s_slept,
  c_version, c_d0, c_d1, c_a, c_load, c_removed, c_set_w, c_wait, c_slept,
  r_writer, r_owner, r_seq, r_depth, r_clear, r_bump, r_clear_w, r_wake,
  r_mutex, r_dep, r_lk, r_done,
  x_state, x_lk, x_bump, x_clear_w, x_wake, done
};
#define idle 0

byte lk;
byte dep, wdep;           /* lock depth, bracket depth: stores of the owner only */
byte writer;              /* FOREIGN: the seat inside a bracket */
byte seq, chg;
byte d0, d1, a;           /* the data */
bool removed;             /* the array's state word */
bool asleep[N];           /* the kernel's queue on chg */
bool over[N], todo[N];
mtype rpc = idle;
byte kills, dkills;

/* ghosts */
byte holder;
bool torn;                /* half written by a death, not yet repaired */
byte seen0, seen1, seena; /* what the change waiter's version stands for */

#define AT(s) (pc == s)
#define GO(s) pc = s

inline wake_all() { asleep[3] = false; asleep[4] = false }

/* SIGKILL; also what a client that ends does. */
#define KILL :: atomic { kills > 0 -> kills--; asleep[i] = false; todo[i] = true; over[i] = true; FORGET; break }

/* The change word's bump, as part of a client's loop. */
#define BUMP \
  :: atomic { AT(b_add) -> w = chg & W; chg = chg + 2; GO((w -> b_clear : after)); w = 0 } \
  :: atomic { AT(b_clear) -> chg = chg & (255-W); GO(b_wake) } \
  :: atomic { AT(b_wake) -> wake_all(); GO(after) }
#define BUMP_THEN(s) after = s; GO(b_add)

#ifdef BUMP_FIRST
#define END_BRACKET BUMP_THEN(w_even)
#define EVEN_THEN(s) GO(s)
#else
#define END_BRACKET GO(w_even)
#define EVEN_THEN(s) BUMP_THEN(s)
#endif

proctype client_writer(byte i) {
  mtype pc = w_lock, after; bool note, w;
#define FORGET \
     if \
     :: holder == i+1 -> holder = 0; if :: d0 != d1 -> torn = true :: else fi \
     :: else \
     fi; \
     pc = done; after = 0; note = 0; w = 0
  do
  :: atomic { AT(w_lock) && OWNER(lk) == 0 ->
       note = (lk & I) != 0; lk = (i+1) | (lk & I);
       assert(holder == 0); holder = i+1;
       assert(dep == 0 && wdep == 0);
       assert(!torn || note);
       GO(w_dep) }
  :: atomic { AT(w_lock) && OWNER(lk) == GONE -> over[i] = true; FORGET; break }
  :: atomic { AT(w_dep) -> dep = 1; GO((note -> w_fix0 : w_writer)) }

  /* repair through a raw view, outside of any bracket; then mark consistent */
  :: atomic { AT(w_fix0) -> d0 = 5; GO(w_fix1) }
  :: atomic { AT(w_fix1) -> d1 = 5; torn = false; GO(w_mark_seq) }
  :: atomic { AT(w_mark_seq) -> seq = seq & (255-DIRTY); GO(w_mark_lk) }
  :: atomic { AT(w_mark_lk) -> note = false;
       if
       :: OWNER(lk) == i+1 -> lk = lk & (255-I)
       :: else
       fi;
       BUMP_THEN(w_writer) }

  /* begin write, and a nested begin */
#ifdef FOREIGN
  :: atomic { AT(w_writer) -> writer = i+1; GO(w_odd) }
#else
  :: atomic { AT(w_writer) -> GO(w_odd) }
#endif
  :: atomic { AT(w_odd) -> seq = seq | ODD; GO(w_depth) }
  :: atomic { AT(w_depth) -> wdep = 2; GO(w_d0) }

  :: atomic { AT(w_d0) -> d0 = i+1; GO(w_inner) }
#ifdef NEST_BAD
  :: atomic { AT(w_inner) -> wdep = 1; seq = (seq & (255-ODD)) + COUNT; BUMP_THEN(w_d1) }
#else
  :: atomic { AT(w_inner) -> wdep = 1; GO(w_d1) }
#endif
#ifdef DESTROY
  :: atomic { AT(w_d1) && (i != 0 || (over[3] && over[4])) -> d1 = i+1; GO(w_outer) }
#else
  :: atomic { AT(w_d1) -> d1 = i+1; GO(w_outer) }
#endif

  /* end write */
  :: atomic { AT(w_outer) -> wdep = 0; END_BRACKET }
#ifdef FOREIGN
  :: atomic { AT(w_even) -> seq = (seq & (255-ODD)) + COUNT; GO(w_clear) }
  :: atomic { AT(w_clear) -> writer = 0; EVEN_THEN(w_undep) }
#else
  :: atomic { AT(w_even) -> seq = (seq & (255-ODD)) + COUNT; EVEN_THEN(w_undep) }
#endif
  :: atomic { AT(w_undep) -> dep = 0; GO(w_unlock) }
  :: atomic { AT(w_unlock) -> holder = 0;
       if
       :: OWNER(lk) == i+1 -> lk = lk & I
       :: else
       fi;
       over[i] = true; FORGET; break }
  BUMP
  KILL
  od
#undef FORGET
}

proctype client_atomic(byte i) {
  mtype pc, after; bool w;
#define FORGET pc = done; after = 0; w = 0
#ifdef BUMP_FIRST
  BUMP_THEN(a_add);
  do
  :: atomic { AT(a_add) -> a = a + 1; GO(a_done) }
#else
  GO(a_add);
  do
  :: atomic { AT(a_add) -> a = a + 1; BUMP_THEN(a_done) }
#endif
  :: atomic { AT(a_done) -> over[i] = true; FORGET; break }
  BUMP
  KILL
  od
#undef FORGET
}

proctype client_snapshot(byte i) {
  mtype pc = s_seq; byte s1, c0, c1, v, it;
#define FORGET pc = done; s1 = 0; c0 = 0; c1 = 0; v = 0; it = 0
  do
  :: atomic { AT(s_seq) -> s1 = seq; GO((s1 & ODD -> s_announce : s_d0)) }
  :: atomic { AT(s_d0) -> c0 = d0; GO(s_d1) }
  :: atomic { AT(s_d1) -> c1 = d1; GO(s_again) }
  :: atomic { AT(s_again) ->
       if
#ifndef NO_RECHECK
       :: seq != s1 -> GO(s_seq)
       :: seq == s1 ->
#else
       :: true ->
#endif
            assert((s1 & DIRTY) || c0 == c1);
            it++;
            if
            :: it < SITER -> GO(s_seq)
            :: else -> over[i] = true; FORGET; break
            fi
       fi;
       s1 = 0; c0 = 0; c1 = 0 }

  /* wait for even: announce, look again, sleep on what was announced */
  :: atomic { AT(s_announce) -> chg = chg | W; v = chg; s1 = 0; GO(s_removed) }
#ifdef DESTROY
  :: atomic { AT(s_removed) && !removed -> GO(s_check) }
  :: atomic { AT(s_removed) && removed -> over[i] = true; FORGET; break }
#else
  :: atomic { AT(s_removed) -> GO(s_check) }
#endif
  :: atomic { AT(s_check) -> GO((seq & ODD -> s_wait : s_seq)) }
  :: atomic { AT(s_wait) ->
       if
       :: chg == v -> asleep[i] = true; GO(s_slept)
       :: else -> GO(s_seq)
       fi;
       v = 0 }
  :: atomic { AT(s_slept) && !asleep[i] -> GO(s_seq) }
#ifdef TIMEOUTS
  :: atomic { AT(s_slept) && asleep[i] -> asleep[i] = false; over[i] = true; FORGET; break }
#endif
  KILL
  od
#undef FORGET
}

proctype client_change(byte i) {
  mtype pc; byte ver, c;
#define FORGET pc = done; ver = 0; c = 0
#ifdef VER_AFTER
  GO(c_d0);
#else
  GO(c_version);
#endif
end:                      /* without a change it may sleep for ever: watch() looks */
  do
#ifdef VER_AFTER
  :: atomic { AT(c_version) -> ver = chg / 2; GO(c_load) }
  :: atomic { AT(c_a) -> seena = a; GO(c_version) }
#else
  :: atomic { AT(c_version) -> ver = chg / 2; GO(c_d0) }
  :: atomic { AT(c_a) -> seena = a; GO(c_load) }
#endif
  :: atomic { AT(c_d0) -> seen0 = d0; GO(c_d1) }
  :: atomic { AT(c_d1) -> seen1 = d1; GO(c_a) }

  :: atomic { AT(c_load) -> c = chg;
       if
       :: c / 2 != ver -> over[i] = true; FORGET; break
       :: else -> GO(c_removed)
       fi }
#ifdef DESTROY
  :: atomic { AT(c_removed) && !removed -> GO((c & W -> c_wait : c_set_w)) }
  :: atomic { AT(c_removed) && removed -> over[i] = true; FORGET; break }
#else
  :: atomic { AT(c_removed) -> GO((c & W -> c_wait : c_set_w)) }
#endif
  :: atomic { AT(c_set_w) ->
       if
       :: chg == c -> c = c | W; chg = c; GO(c_wait)
       :: else -> c = 0; GO(c_load)
       fi }
  :: atomic { AT(c_wait) ->
       if
       :: chg == c -> asleep[i] = true; GO(c_slept)
       :: else -> GO(c_load)
       fi;
       c = 0 }
  :: atomic { AT(c_slept) && !asleep[i] -> GO(c_load) }
#ifdef TIMEOUTS
  :: atomic { AT(c_slept) && asleep[i] -> asleep[i] = false; over[i] = true; FORGET; break }
#endif
  KILL
  od
#undef FORGET
}

#define R(s) (rpc == s)
#define RGO(s) rpc = s

#ifdef FOREIGN
#ifdef MUTEX_FIRST
#define FIRST        r_mutex
#define AFTER_MUTEX  r_writer
#define AFTER_ARRAY  r_done
#else
#define FIRST        r_writer
#define AFTER_MUTEX  r_done
#define AFTER_ARRAY  r_mutex
#endif
#else
#define FIRST        r_owner
#ifdef RELEASE_FIRST
#define AFTER_MUTEX  r_seq
#define AFTER_SEQ    r_bump
#else
#define AFTER_MUTEX  r_bump
#endif
#define AFTER_ARRAY  r_done
#endif

#ifndef AFTER_SEQ
#define AFTER_SEQ    r_depth
#endif

proctype recovery() {
  byte c;
end:
  do
#define PICK(k) :: atomic { R(idle) && todo[k] -> c = k; RGO(FIRST) }
  PICK(0) PICK(1) PICK(2) PICK(3) PICK(4)

  /* is seq the dead client's business? */
#ifdef FOREIGN
#ifdef LOCK_ONLY
  :: atomic { R(r_writer) -> RGO(r_owner) }
#elif defined(WRITER_ONLY)
  :: atomic { R(r_writer) -> RGO((writer == c+1 -> r_seq : r_bump)) }
#else
  :: atomic { R(r_writer) -> RGO((writer == c+1 -> r_seq : r_owner)) }
#endif
  :: atomic { R(r_owner) -> RGO((OWNER(lk) == c+1 -> r_seq : r_bump)) }
#elif defined(RELEASE_FIRST)
  :: atomic { R(r_owner) -> RGO((OWNER(lk) == c+1 -> r_depth : r_bump)) }
#else
  :: atomic { R(r_owner) -> RGO((OWNER(lk) == c+1 -> r_seq : r_bump)) }
#endif

  /* one store: even, a new count, dirty */
  :: atomic { R(r_seq) -> RGO(AFTER_SEQ);
       if
#ifdef DIRTY_ODD_ONLY
       :: seq & ODD ->
#else
       :: (seq & ODD) || !(seq & DIRTY) ->
#endif
#ifdef SEQ_BACK
            seq = (seq & (255-ODD)) | DIRTY
#elif defined(NO_DIRTY)
            seq = (seq & (255-ODD)) + COUNT
#else
            seq = ((seq & (255-ODD)) + COUNT) | DIRTY
#endif
       :: else
       fi }
#ifdef FOREIGN
  :: atomic { R(r_depth) -> wdep = 0; RGO(r_clear) }
  :: atomic { R(r_clear) -> writer = 0; RGO(r_bump) }
  :: atomic { R(r_mutex) -> RGO((OWNER(lk) == c+1 -> r_dep : AFTER_MUTEX)) }
  :: atomic { R(r_dep) -> dep = 0; RGO(r_lk) }
#else
#ifdef NO_RESET_DEPTH
  :: atomic { R(r_depth) -> RGO(r_lk) }
#else
  :: atomic { R(r_depth) -> wdep = 0; RGO(r_dep) }
  :: atomic { R(r_dep) -> dep = 0; RGO(r_lk) }
#endif
#endif
  /* the commit of this recovery: releases, with the notice for the next owner */
  :: atomic { R(r_lk) -> RGO(AFTER_MUTEX);
       if
       :: OWNER(lk) == c+1 -> lk = I
       :: else
       fi }

  /* always */
#ifdef NO_BUMP
  :: atomic { R(r_bump) -> RGO(r_wake) }
#else
  :: atomic { R(r_bump) -> chg = chg + 2; RGO(r_clear_w) }
  :: atomic { R(r_clear_w) -> chg = chg & (255-W); RGO(r_wake) }
#endif
#ifdef NO_BROADCAST
  :: atomic { R(r_wake) -> RGO(AFTER_ARRAY) }
#else
  :: atomic { R(r_wake) -> wake_all(); RGO(AFTER_ARRAY) }
#endif
  :: atomic { R(r_done) -> todo[c] = false; c = 0; RGO(idle) }

  /* the daemon dies; its successor starts again from the top */
  :: atomic { dkills > 0 && !R(idle) -> dkills--; c = 0; RGO(idle) }
  od
}

#if defined(DESTROY) || defined(MUTEX_DESTROY)
proctype remover() {
  mtype pc = x_state;
  do
#ifdef MUTEX_DESTROY
  :: atomic { AT(x_state) -> GO(x_lk) }
  :: atomic { AT(x_lk) -> lk = GONE | I; GO(done); break }
#else
  :: atomic { AT(x_state) -> removed = true; GO(x_lk) }
  :: atomic { AT(x_lk) -> lk = GONE | I; GO(x_bump) }
#ifdef DESTROY_NO_BUMP
  :: atomic { AT(x_bump) -> GO(x_wake) }
#else
  :: atomic { AT(x_bump) -> chg = chg + 2; GO(x_clear_w) }
  :: atomic { AT(x_clear_w) -> chg = chg & (255-W); GO(x_wake) }
#endif
  :: atomic { AT(x_wake) -> wake_all(); GO(done); break }
#endif
  :: atomic { dkills > 0 -> dkills--; GO(x_state) }
  od
}
#endif

proctype watch() {
end:
  timeout ->
  assert(R(idle));
  assert(!asleep[3]);
  assert(!(asleep[4] && (d0 != seen0 || d1 != seen1 || a != seena)));
  assert(!(asleep[4] && removed));
  assert(removed || !(seq & ODD));
  assert(removed || !torn || (seq & DIRTY));
  assert(OWNER(lk) == 0 || OWNER(lk) == GONE)
}

init {
  atomic {
    /* An unspent kill would hide a deadlock, so the budget is chosen here. */
    do :: kills < KILLS -> kills++ :: break od;
    do :: dkills < DKILLS -> dkills++ :: break od;
    run client_writer(0);
#ifdef ONE_WRITER
    over[1] = true;
#else
    run client_writer(1);
#endif
#ifdef NO_ATOM
    over[2] = true;
#else
    run client_atomic(2);
#endif
#ifdef NO_SNAP
    over[3] = true;
#else
    run client_snapshot(3);
#endif
#ifdef NO_CHANGE
    over[4] = true;
#else
    run client_change(4);
#endif
    run recovery();
#if defined(DESTROY) || defined(MUTEX_DESTROY)
    run remover();
#endif
    run watch()
  }
}
