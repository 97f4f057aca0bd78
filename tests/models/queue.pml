/* The queue: one authoritative word per slot, a latch for each side, and between the
   sides two rings of entries, which say by their tags whether they are there.

   Code stated here: shm/queue*.go and clients/c/queue*.c. How a latch itself sleeps
   and wakes is mutex.pml with -DLATCH, here its word only excludes; the eventcount
   across two latches, and both latches together, in small: eventcount_sides.pml.

   latch   PUT and TAKE, each an owner word: free, a seat, or the daemon of an epoch
   word    one per slot: state, seat, deliveries; authoritative, its stores are the
           commit points. FREE keeps the seat of who freed it
   seq     one per slot, stored before READY; a free slot keeps it
   closed  no more puts; authoritative, never cleared
   ready   ring of READY slots in the order of seq: the put side adds at rt, the take
           side takes at rh; free_ ring of FREE slots that were used: ft, fh; slots from
           fresh on were never used; next the next seq: all derived
   ec[0]   eventcount of consumers (not empty), ec[1] of producers (not full): a
           signal clears W, and the woken settles (re-arms, or passes on)

   put       FREE to READY under PUT; or reserve, fill, commit: by WRITING
   take      READY to FREE under TAKE, copied before; or lease, read, ack
   nack      back to READY with its own seq, inserted at the head of the ring, hence to
             the front, in order; DEAD after so many deliveries
   abort     back to FREE, inserted at the head of its ring
   shutdown  closed, under PUT; both words moved, all woken; reserved slots may be
             committed yet
  redeliver  DEAD to READY, a store each, to the front, sorted; as many woken
   both      PUT, then a try of TAKE: by repair, which is the work of a client that finds
             the latch of an older daemon, by counts, and by recovery
   recovery  of C: WRITING of C is FREE, LEASED of C is READY or DEAD, rebuild
   empty     a look without the latch: head, entry, head. So a rebuild hides the heads first,
             and stores them last, and a head goes on after the commit and before the slot
             is added to the other ring

   Latches of dead seats, of all dead seats, are taken by recovery. For a client on the
   socket the daemon takes latches as itself, and writes the client's seat into the slot;
   after the daemon's death the client looks what it holds, and repeats its ack.

   Every `:: atomic` is one access to shared memory, or one futex call. A tail is moved in
   one step with the entry there, a head with the commit before it: nobody but their own
   side reads them, under its latch, but for `empty`, which may find what is just gone. A
   client may be killed between any two, the daemon too: its successor starts the recovery
   again from the top.

   Checked, and what pan prints if it does not hold:
     1. a latch excludes; derived state is right with both  inside[, exact
     2. nothing lost, nothing invented: what was committed
        is acked, or in READY, LEASED of the living, DEAD   committed==
     3. nothing delivered after its ack, no ack twice;
        acked is only what the acker holds                 !(acked[id]), theirs
     4. FIFO per producer; the oldest first, so what comes
        back comes first                                   n>=first[by], oldest
     5. a message is read as it was written                pay[s]==id
     6. a number is never given twice                      seq[s]>given
     7. no more deliveries than the bound                  tries(word[s])<=
     8. an entry means that the slot is the side's, and is
        there once                                         handed, once
     9. at rest nobody sleeps beside what it waits for     !(beside)
    10. ... nor unannounced: the next signal would be lost !(unheard)
    11. ... nor after shutdown                             !(ended)
    12. ... the latches are free, recovery done            latch[0]==0, latch[1]==0, rpc==0
    13. ... nobody's slot is WRITING or LEASED             !=1, !=3
    14. the end is told when nothing put before is left    ended_well
    15. empty says so only if it was so meanwhile          gap

   Shape: NP producers, MSGS messages by the first, one by each other; NC consumers,
     CI rounds by the first, one by each other (deliveries are counted up to 3: not
     more rounds in all); S slots (1 or 2); KILLS DKILLS
     TIMEOUTS (the last client times out, or is cancelled after a wake)
     PUT_ONLY  producers put under one latch; else reserve, fill, commit
     TAKE_ONLY consumers take under one latch; else lease, read, ack
     ABORT     the first producer gives up its first reservation
     NACK      each consumer gives its first lease back
     BOUND     that many deliveries, then DEAD
     SHUTDOWN  the queue is shut down by one more client
     REDELIVER ... dead letters are made messages again, once
     COUNTS    ... looks with both latches
     POLL      ... looks without a latch whether the queue is empty
     SOCK      the daemon acts for client SOCK
     NO_ZERO   a rebuild leaves old entries in the rings: no matter

   Must fail:
     NO_LOOK           announced, and asleep without the second look
     LOOK_FIRST        settles with the look before the or
     NO_REARM          the woken does not set W again
     NO_PASSON         the woken sets W again, but wakes nobody
     NO_DUTY           leaves after a wake without waking another
     NO_DEATHWAKE      recovery wakes nobody
     NO_REBUILD        recovery does not rebuild
     CLIENT_NO_REBUILD nor does a client that finds an older epoch's latch
     REBUILD_ONE       that client rebuilds with that latch only
     DERIVED_FIRST     recovery rebuilds before it has looked at the slots
     STEAL_ONLY_C      recovery of C takes latches from C only
     STEAL_LIVE        recovery takes a latch from anybody
     HOLD_AND_WAIT     who has PUT waits for TAKE
     PUT_FREE          recovery in vain leaves PUT free, not as it was found
     NO_START_SWEEP    (SOCK) the successor does not sweep
     TWO_STORES        state and seat are stored one after the other
     ONE_WORD          producers and consumers sleep on one word
     EARLY_READY       READY before the payload is there
     ENTRY_FIRST       the entry before READY
     FREE_FIRST        the entry of the free ring before FREE
     BY_POSITION       a consumer looks at rt, which is moved before the entry is stored
     POP_LATE          fh is moved after the entry was handed over: a slot twice in the rings
     POP_AGAIN         ... or fresh, whichever a second look says: a slot came back meanwhile
     ACK_FIRST         acked before it is copied out
     ACK_BLIND         (SOCK) a repeated ack does not look whose lease it ends
     NACK_BACK         what comes back goes to the back, into the next entry of the put side
     NACK_SHIFT        ... or what it comes before does
     ABORT_BACK        what is given up goes to the back, into the next entry of the take side
     NACK_FRONT        ... goes to the very front: two leases that are given back
                       in the order of their taking change places
     NACK_SILENT       what comes back wakes nobody
     FORGET_SEQ        rebuilt from the slots in use only, next goes back
     FREE_USED         rebuilt from FREE slots with a message's number only: others are lost
     NO_BOUND          (BOUND) recovery gives back whatever the deliveries
     DROP_LEASED       recovery frees what a dead consumer had leased
     SHUTDOWN_NO_WAKE  shutdown moves the words, but wakes nobody
     SHUTDOWN_NO_BUMP  shutdown wakes, but does not move the words
     SHUTDOWN_LATE     closed is stored after the wakes
     SHUTDOWN_HALF     shutdown tells the producers only
     ENDED_EARLY       closed is looked at after the entry, and that not once more
     CLOSED_ONCE       the second look, after the announcement, is not at closed
     REDELIVER_SILENT  redeliver wakes nobody
     REDELIVER_UNSORTED  it pushes to the front, and that is all
     ABORT_SILENT      (ABORT) a slot that was given up wakes nobody
     HEAD_ONCE         (POLL) empty does not look at the head again
     NO_HIDE           (POLL) a rebuild does not hide the head: it looks like an empty queue
     POP_EARLY         (POLL) rh goes on before the commit: what a death brings back is not seen
     HEAD_FIRST        (POLL) an insert moves the head before its entry is there
     SAME_TAGS         (POLL) a rebuild takes the same tags again
     HALF_TAGS         (POLL) the tags of a rebuild are half of all further: after two
                       they are the same                                           */

#ifndef S
#define S 2
#endif
#ifndef NP
#define NP 1
#endif
#ifndef NC
#define NC 2
#endif
#ifndef MSGS
#define MSGS 2
#endif
#ifndef CI
#define CI 1
#endif
#ifndef BOUND
#define BOUND 100
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef DKILLS
#define DKILLS 0
#endif

#define N    (NP+NC)
#define DMN  8            /* the daemon: DMN + epoch */
#define W    1
#define PUT  0
#define TAKE 1

/* The slot's word: deliveries:2 | seat:3 | state:3. */
#define FREE    0
#define WRITING 1
#define READY   2
#define LEASED  3
#define DEAD    4
#define state(x) ((x) & 7)
#define seat(x)  (((x) >> 3) & 7)
#define tries(x) ((x) >> 6)
#define MADE(st, who, del) ((st) | ((who) << 3) | ((del) << 6))
#define ME (i+1)

#define NE 0
#ifdef ONE_WORD
#define NF 0
#else
#define NF 1
#endif

mtype = {
  p_latch, p_look, p_writing, p_seat, p_settle, p_settle_look, p_unlatch, p_pass, p_pass_wake,
  p_fill, p_again, p_seq, p_ready, p_push, p_late_pop, p_over, p_signal,
  p_pass_on, p_pass_on_wake, p_wake, p_late_fill, p_abort, p_give, p_over_give, p_signal_give, p_wake_give,
  c_latch, c_look, c_closed, c_last, c_leased, c_seat, c_copy, c_settle, c_settle_look, c_unlatch, c_pass, c_pass_wake,
  c_read, c_again, c_ack, c_free, c_over, c_signal, c_back, c_insert, c_shift, c_gap, c_place, c_head,
  c_over_back, c_signal_back, c_pass_on, c_pass_on_wake, c_wake, c_wake_back, c_late_read,
  announce, second, second_closed, unlatch_again, unlatch_wait, to_wait, slept, leave, leave_ended, next, resume,
  b_put, b_take, b_wait, b_look, b_hide, b_entries, b_head, b_over, b_over_put,
  r_first, r_second, r_slots, r_hide, r_entries, r_head, r_bump_ne, r_bump_nf, r_unlatch, r_unlatch_put, r_wake_ne,
  r_wake_nf, r_done, s_look, s_look_take, s_bump_ne, s_bump_nf,
  x_latch, x_closed, x_dead, x_front, x_sort, x_swap, x_unlatch, x_signal, x_wake, x_bump_ne, x_wake_ne, x_bump_nf,
  x_wake_nf, x_late, e_head, e_again, e_entry, e_last, done
};
#define idle 0

byte latch[2], epoch, ec[2];
byte word[S], seq[S], pay[S];
bool closed;
byte rh, rt, fh, ft, ready[S], free_[S], fresh, next_seq = 1;
bool asleep[N];           /* the kernel's queues; which one is WORD(i) */
bool dead[DMN+4];         /* by owner: seats 1..N+1, no daemon */
bool todo[N+2];           /* by seat: its death is not yet recovered */
mtype rpc = idle; bool sweep; byte found;
byte kills, dkills;

/* ghosts */
byte inside[2];           /* who is in the latch section */
byte inside_id[S];        /* the message that READY was stored for */
byte committed, taken, given, first[NP];
bool acked[1 + NP*MSGS], seen[1 + NP*MSGS];
#define ID(p, n) (1 + (p)*MSGS + (n))
#define BY(id)   (((id) - 1) / MSGS)
#define NTH(id)  (((id) - 1) % MSGS)
#ifdef SHUTDOWN
byte closed_seq;          /* the next number when closed was stored */
#endif
#ifdef POLL
byte content; bool gap;   /* messages to be taken; there was none since the look began */
#define CAME   content++
#define WENT   content--; gap = gap || content == 0
#define CAME_ALL content = READIES
#else
#define CAME   skip
#define WENT   skip
#define CAME_ALL skip
#endif

#define WORD(k) (k < NP -> NF : NE)
#define ON(k, w) (asleep[k] && WORD(k) == w)
inline wake_one(w) {
  if
  :: ON(0, w) -> asleep[0] = false
  :: ON(1, w) -> asleep[1] = false
#if NP+NC > 2
  :: ON(2, w) -> asleep[2] = false
#endif
#if NP+NC > 3
  :: ON(3, w) -> asleep[3] = false
#endif
  :: else
  fi
}
inline wake_all(w) {
  asleep[0] = asleep[0] && WORD(0) != w;
  asleep[1] = asleep[1] && WORD(1) != w;
#if NP+NC > 2
  asleep[2] = asleep[2] && WORD(2) != w;
#endif
#if NP+NC > 3
  asleep[3] = asleep[3] && WORD(3) != w;
#endif
}

/* ---- the rings. A position is hidden:1 | tag:4 | place:1, an entry tag:4 | slot + 1:2. */
#define HIDDEN   32
#define TAG(p)   (((p) >> 1) & 15)
#define PLACE(p) ((p) & 1)
#define POSITION(tag, place) ((((tag) & 15) << 1) | (place))
#define NEXT(p)  POSITION(TAG(p) + 1, S - 1 - PLACE(p))
#define BACK(p)  POSITION(TAG(p) + 15, S - 1 - PLACE(p))
#define ENTRY(p, s) ((TAG(p) << 2) | ((s) + 1))
#define SLOT(e)  (((e) & 3) - 1)
#define IN(ring, p) (((ring[PLACE(p)]) & 3) != 0 && ((ring[PLACE(p)]) >> 2) == TAG(p))
#define AT_HEAD(ring, h) SLOT(ring[PLACE(h)])
/* Which slot of two is there, or comes before. */
#define LIVE(ring, h, s) (IN(ring, h) && (AT_HEAD(ring, h) == s || \
  (S > 1 && IN(ring, NEXT(h)) && AT_HEAD(ring, NEXT(h)) == s)))

#ifdef BY_POSITION
#define MESSAGE_THERE (rh != rt)
#else
#define MESSAGE_THERE IN(ready, rh)
#endif
#define SLOT_THERE (IN(free_, fh) || fresh < S)

#define IS(k, st) (state(word[k]) == st)
#define ONE(k, st) (IS(k, st) -> 1 : 0)
#define USED(k) (k < fresh && IS(k, FREE) -> 1 : 0)
#if S == 1
#define ALL(st)  ONE(0, st)
#define FREES    USED(0)
#define OLDEST(s) true
#define ORDERED  true
#define FRESH_OK (fresh == 1 || IS(0, FREE))
#else
#define ALL(st)  (ONE(0, st) + ONE(1, st))
#define FREES    (USED(0) + USED(1))
#define OLDEST(s) (!IS(1-s, READY) || seq[s] < seq[1-s])
#define ORDERED  (seq[AT_HEAD(ready, rh)] < seq[AT_HEAD(ready, NEXT(rh))])
#define FRESH_OK ((fresh > 0 || IS(0, FREE)) && (fresh > 1 || IS(1, FREE)))
#endif
#define READIES ALL(READY)
/* A ring of n slots in a state. */
#define RING_OK(ring, h, t, n, st) (n == 0 -> !IN(ring, h) && t == h : \
  IN(ring, h) && IS(AT_HEAD(ring, h), st) && (n == 1 -> (S == 1 || !IN(ring, NEXT(h))) && t == NEXT(h) : \
  IN(ring, NEXT(h)) && IS(AT_HEAD(ring, NEXT(h)), st) && AT_HEAD(ring, h) != AT_HEAD(ring, NEXT(h)) && \
  t == NEXT(NEXT(h))))
#define EXACT (RING_OK(ready, rh, rt, READIES, READY) && RING_OK(free_, fh, ft, FREES, FREE) && \
  (READIES < 2 || ORDERED) && FRESH_OK)
#define SURE(expression) exact = expression; assert(exact); exact = 0

/* In place 0, with other tags. The heads are hidden first, and come last. */
#if defined(SAME_TAGS)
#define MOVED(p) POSITION(TAG(p), 0)
#elif defined(HALF_TAGS)
#define MOVED(p) POSITION(TAG(p) + 8, 0)
#else
#define MOVED(p) POSITION(TAG(p) + 11, 0)
#endif
#ifdef FORGET_SEQ
#define COUNTS_SEQ(k) !IS(k, FREE)
#else
#define COUNTS_SEQ(k) true
#endif
#define TAKE_MAX(k) if :: COUNTS_SEQ(k) && seq[k] >= next_seq -> next_seq = seq[k] + 1 :: else fi
#ifdef FREE_USED
#define COMES_BACK(k) (k < fresh && IS(k, FREE) && seq[k] != 0)
#else
#define COMES_BACK(k) (k < fresh && IS(k, FREE))
#endif
#define WAS_USED(k) (!IS(k, FREE) || seq[k] != 0)
#define ADD(ring, t, s) ring[PLACE(t)] = ENTRY(t, s); t = NEXT(t)
#ifdef NO_ZERO
#define ZERO(e) skip
#else
#define ZERO(e) e = 0
#endif
inline rebuild_entries() {
  next_seq = 1; TAKE_MAX(0);
  ZERO(ready[0]); ZERO(free_[0]);
  fh = MOVED(fh); ft = fh; rt = MOVED(rh);
#if S == 1
  fresh = (WAS_USED(0) -> 1 : 0);
  if :: IS(0, READY) -> ADD(ready, rt, 0) :: else fi
#else
  TAKE_MAX(1);
  ZERO(ready[1]); ZERO(free_[1]);
  fresh = (WAS_USED(1) -> 2 : (WAS_USED(0) -> 1 : 0));
  if
  :: IS(0, READY) && IS(1, READY) && seq[1] < seq[0] -> ADD(ready, rt, 1); ADD(ready, rt, 0)
  :: IS(0, READY) && !(IS(1, READY) && seq[1] < seq[0]) ->
     ADD(ready, rt, 0);
     if :: IS(1, READY) -> ADD(ready, rt, 1) :: else fi
  :: !IS(0, READY) && IS(1, READY) -> ADD(ready, rt, 1)
  :: else
  fi;
  if :: COMES_BACK(1) -> ADD(free_, ft, 1) :: else fi
#endif
  ; if :: COMES_BACK(0) -> ADD(free_, ft, 0) :: else fi
}
#ifdef NO_HIDE
#define HIDE_HEAD skip
#else
#define HIDE_HEAD rh = rh | HIDDEN
#endif
#define REBUILD_HEAD rh = MOVED(rh); CAME_ALL

#define AT(s) (pc == s)
#define GO(s) pc = s

/* A latch that the daemon of an older epoch has left behind. */
#define OLDER(l) (latch[l] >= DMN && latch[l] < DMN + epoch)
#define OPEN(l)  (latch[l] == 0 || OLDER(l))
#define ENTER(l, who) assert(inside[l] == 0); inside[l] = who
#define UNLATCH(l) latch[l] = 0; inside[l] = 0
#define OUT(who) \
  if :: inside[PUT] == who -> inside[PUT] = 0 :: else fi; \
  if :: inside[TAKE] == who -> inside[TAKE] = 0 :: else fi
#define MINE (i < NP -> PUT : TAKE)

#if defined(CLIENT_NO_REBUILD)
#define STOLEN(l, held) latch[l] = WHO; ENTER(l, i+1); GO(held)
#elif defined(REBUILD_ONE)
#define STOLEN(l, held) latch[l] = WHO; ENTER(l, i+1); GO(b_hide)
#else
#define STOLEN(l, held) GO(b_put)
#endif
#define LATCH(at, l, held, who) \
  :: atomic { AT(at) && latch[l] == 0 -> latch[l] = who; ENTER(l, i+1); GO(held) } \
  :: atomic { AT(at) && OLDER(l) -> STOLEN(l, held) }

/* Both latches: PUT, then a try of TAKE; in vain: PUT is put back as it was found. */
#ifdef HOLD_AND_WAIT
#define IN_VAIN false
#else
#define IN_VAIN !OPEN(TAKE)
#endif
#define BOTH(note, got, who) \
  :: atomic { AT(b_put) && OPEN(PUT) -> old = latch[PUT]; latch[PUT] = who; GO(b_take) } \
  :: atomic { AT(b_take) && OPEN(TAKE) -> note; latch[TAKE] = who; old = 0; \
       ENTER(PUT, i+1); ENTER(TAKE, i+1); GO(got) } \
  :: atomic { AT(b_take) && IN_VAIN -> latch[PUT] = old; old = 0; GO(b_wait) } \
  :: atomic { AT(b_wait) && OPEN(TAKE) -> GO(b_put) }
#define REBUILDS \
  :: atomic { AT(b_hide) -> HIDE_HEAD; GO(b_entries) } \
  :: atomic { AT(b_entries) -> rebuild_entries(); GO(b_head) } \
  :: atomic { AT(b_head) -> REBUILD_HEAD; CLIENT_SURE; GO(b_over) }
#ifdef REBUILD_ONE
#define CLIENT_SURE skip
#define OVER(l, at) :: atomic { AT(b_over) -> UNLATCH(l); GO(at) }
#else
#define CLIENT_SURE SURE(EXACT)
#define OVER(l, at) \
  :: atomic { AT(b_over) -> UNLATCH(TAKE); GO(b_over_put) } \
  :: atomic { AT(b_over_put) -> UNLATCH(PUT); GO(at) }
#endif
#define REPAIR(l, at) BOTH(skip, b_hide, WHO) REBUILDS OVER(l, at)

#ifdef SOCK
#define DAEMON_ACTS (i == SOCK)
#define WHO (i == SOCK -> DMN + epoch : i+1)
/* The daemon finishes what it does for a client before it recovers it. */
#define MAY_DIE (!DAEMON_ACTS || AT(slept) || AT(c_read) || AT(p_fill))
#define DAEMON_DIES(forget) \
  :: atomic { DAEMON_ACTS && dkills > 0 && !AT(next) && !AT(resume) -> dkills--; epoch++; rpc = idle; found = 0; \
       SWEEPS; OUT(i+1); OUT(DMN); \
       asleep[i] = false; v = 0; old = 0; due = false; pass = false; duty = false; forget; GO(resume) }
#ifdef NO_START_SWEEP
#define SWEEPS skip
#else
#define SWEEPS sweep = true
#endif
#else
#define DAEMON_ACTS false
#define WHO (i+1)
#define MAY_DIE true
#endif

#define KILL(forget) \
  :: atomic { kills > 0 && MAY_DIE && !AT(next) -> kills--; dead[i+1] = true; todo[i+1] = true; OUT(i+1); \
       asleep[i] = false; v = 0; it = 0; old = 0; due = false; pass = false; duty = false; forget; GO(done); break }

/* The last client times out, or is cancelled after a wake. */
#define LAST_ONE (i == N-1)

/* Announced, with the latch held, then the second look; woken, it is at `at` with a duty. */
#ifdef NO_LOOK
#define LOOKS(there) false
#else
#define LOOKS(there) there
#endif
#define WAITING(at, there, or_closed) \
  :: atomic { AT(announce) -> ec[WORD(i)] = ec[WORD(i)] | W; v = ec[WORD(i)]; GO(second) } \
  :: atomic { AT(second) -> GO((LOOKS(there) -> unlatch_again : second_closed)) } \
  :: atomic { AT(second_closed) -> duty = duty && or_closed; GO((or_closed -> unlatch_again : unlatch_wait)) } \
  :: atomic { AT(unlatch_again) -> UNLATCH(MINE); v = 0; GO(at) } \
  :: atomic { AT(unlatch_wait) -> UNLATCH(MINE); GO(to_wait) } \
  :: atomic { AT(to_wait) -> \
       if \
       :: ec[WORD(i)] == v -> asleep[i] = true; GO(slept) \
       :: else -> GO(at) \
       fi; \
       v = 0 } \
  :: atomic { AT(slept) && !asleep[i] -> duty = true; GO(at) } \
  :: atomic { AT(leave_ended) -> UNLATCH(MINE); duty = false; GO(next) }
#ifdef NO_DUTY
#define LEAVES skip
#else
#define LEAVES wake_one(WORD(i))
#endif
#define TIMES_OUT(at) \
  :: atomic { AT(slept) && asleep[i] && LAST_ONE -> asleep[i] = false; GO(next) } \
  :: atomic { AT(at) && duty && LAST_ONE -> duty = false; GO(leave) } \
  :: atomic { AT(leave) -> LEAVES; GO(next) }

/* The duty of a woken one that took: `more` is left for others. */
#if defined(NO_REARM)
#define SETTLES(at, look, more, then) :: atomic { AT(at) -> duty = false; GO(then) }
#elif defined(NO_PASSON)
#define SETTLES(at, look, more, then) \
  :: atomic { AT(at) -> duty = false; ec[WORD(i)] = ec[WORD(i)] | W; GO(then) }
#elif defined(LOOK_FIRST)
#define SETTLES(at, look, more, then) \
  :: atomic { AT(at) -> duty = false; pass = more; GO(look) } \
  :: atomic { AT(look) -> ec[WORD(i)] = ec[WORD(i)] | W; GO(then) }
#else
#define SETTLES(at, look, more, then) \
  :: atomic { AT(at) -> duty = false; ec[WORD(i)] = ec[WORD(i)] | W; GO(look) } \
  :: atomic { AT(look) -> pass = more; GO(then) }
#endif
/* `more`: signals one, without the latch. */
#define PASSES_ON(at, wake, then) \
  :: atomic { AT(at) -> pass = false; SIGNAL(WORD(i), pass); GO((pass -> wake : then)) } \
  :: atomic { AT(wake) -> wake_one(WORD(i)); pass = false; GO(then) }
/* Moved on, W clear, whether it was set or not: one compare-and-swap. */
#define ALARM(w) ec[w] = (ec[w] | W) + 1
#define SIGNAL(w, flag) if :: ec[w] & W -> ec[w]++; flag = true :: else fi

#ifdef EARLY_READY
#define AFTER p_late_fill
#else
#define AFTER next
#endif
#ifdef ABORT
#define COMMIT (i == 0 && it == 0 -> p_abort : p_seq)
#else
#define COMMIT p_seq
#endif
#ifdef PUT_ONLY
#define SETTLED_PUT p_over
#else
#define SETTLED_PUT p_unlatch
#endif
#ifdef POP_AGAIN
#define WAS_FRESH !IN(free_, fh)
#else
#define WAS_FRESH (s == fresh)
#endif
#define GOES if :: WAS_FRESH -> fresh++ :: else -> fh = NEXT(fh) fi

proctype producer(byte i) {
  mtype pc = p_latch; byte v, it, s, id, old; bool duty, due, pass, exact, held, handed, once;
end:                      /* it may sleep for ever on a full queue: watch() looks */
  do
  LATCH(p_latch, PUT, p_look, WHO)
  :: atomic { AT(p_look) && (closed || !SLOT_THERE) -> GO((closed -> leave_ended : announce)) }
  :: atomic { AT(p_look) && !closed && SLOT_THERE -> id = ID(i, it);
       s = (IN(free_, fh) -> AT_HEAD(free_, fh) : fresh);
       handed = IS(s, FREE); assert(handed); handed = 0;
#ifdef PUT_ONLY
       GO(p_fill)
#else
       GO(p_writing)
#endif
     }

  /* ---- reserve: the slot is his */
#ifdef TWO_STORES
  :: atomic { AT(p_writing) -> word[s] = MADE(WRITING, 0, 0); GOES; GO(p_seat) }
  :: atomic { AT(p_seat) -> word[s] = MADE(WRITING, ME, 0); GO((duty -> p_settle : p_unlatch)) }
#else
  :: atomic { AT(p_writing) -> word[s] = MADE(WRITING, ME, 0); GOES; GO((duty -> p_settle : p_unlatch)) }
#endif
  SETTLES(p_settle, p_settle_look, SLOT_THERE, SETTLED_PUT)
  :: atomic { AT(p_unlatch) -> UNLATCH(PUT); held = true; GO((pass -> p_pass : p_fill)) }
  PASSES_ON(p_pass, p_pass_wake, p_fill)

  /* ---- the payload: outside the latch, or (PUT_ONLY) in it */
#if defined(EARLY_READY)
  :: atomic { AT(p_fill) -> GO(p_again) }
  :: atomic { AT(p_late_fill) -> pay[s] = id; GO(next) }
#elif defined(PUT_ONLY)
  :: atomic { AT(p_fill) -> pay[s] = id; GO(p_seq) }
#else
  :: atomic { AT(p_fill) -> pay[s] = id; GO(p_again) }
#endif

  /* ---- commit */
  LATCH(p_again, PUT, COMMIT, WHO)
#if defined(PUT_ONLY) && !defined(POP_LATE)
#define GOES_NOW GOES
#else
#define GOES_NOW skip
#endif
#define COMMITTED word[s] = MADE(READY, 0, 0); GOES_NOW; committed++; inside_id[s] = id; \
  assert(seq[s] > given); given = seq[s]; held = false
#define PUSHED once = !LIVE(ready, rh, s); assert(once); once = 0; ready[PLACE(rt)] = ENTRY(rt, s); CAME
#if defined(ENTRY_FIRST)
  :: atomic { AT(p_seq) -> seq[s] = next_seq; next_seq++; GO(p_push) }
  :: atomic { AT(p_push) -> PUSHED; rt = NEXT(rt); GO(p_ready) }
  :: atomic { AT(p_ready) -> COMMITTED; GO((duty -> p_settle : p_over)) }
#elif defined(BY_POSITION)
  :: atomic { AT(p_seq) -> seq[s] = next_seq; next_seq++; GO(p_ready) }
  :: atomic { AT(p_ready) -> COMMITTED; rt = NEXT(rt); GO(p_push) }
  :: atomic { AT(p_push) -> ready[PLACE(BACK(rt))] = ENTRY(BACK(rt), s); GO((duty -> p_settle : p_over)) }
#else
  :: atomic { AT(p_seq) -> seq[s] = next_seq; next_seq++; GO(p_ready) }
  :: atomic { AT(p_ready) -> COMMITTED; GO(p_push) }
#ifdef POP_LATE
  :: atomic { AT(p_push) -> PUSHED; rt = NEXT(rt); GO(p_late_pop) }
  :: atomic { AT(p_late_pop) -> GOES; GO((duty -> p_settle : p_over)) }
#else
  :: atomic { AT(p_push) -> PUSHED; rt = NEXT(rt); GO((duty -> p_settle : p_over)) }
#endif
#endif
  :: atomic { AT(p_over) -> UNLATCH(PUT); GO(p_signal) }
  :: atomic { AT(p_signal) -> SIGNAL(NE, due); GO((due -> p_wake : (pass -> p_pass_on : AFTER))) }
  :: atomic { AT(p_wake) -> wake_one(NE); due = false; GO((pass -> p_pass_on : AFTER)) }
  PASSES_ON(p_pass_on, p_pass_on_wake, AFTER)

  /* ---- abort: to the front of its ring */
  :: atomic { AT(p_abort) -> word[s] = MADE(FREE, 0, 0); held = false; GO(p_give) }
#ifdef ABORT
  :: atomic { AT(p_give) ->
#ifdef ABORT_BACK
       free_[PLACE((IN(free_, fh) -> NEXT(fh) : fh))] = ENTRY((IN(free_, fh) -> NEXT(fh) : fh), s);
#else
       once = !LIVE(free_, fh, s) && s < fresh; assert(once); once = 0;
       fh = BACK(fh); free_[PLACE(fh)] = ENTRY(fh, s);
#endif
       GO(p_over_give) }
#endif
  :: atomic { AT(p_over_give) -> UNLATCH(PUT); GO(p_signal_give) }
#ifdef ABORT_SILENT
  :: atomic { AT(p_signal_give) -> GO(next) }
#else
  :: atomic { AT(p_signal_give) -> SIGNAL(NF, due); GO((due -> p_wake_give : next)) }
#endif
  :: atomic { AT(p_wake_give) -> wake_one(NF); due = false; GO(next) }

  WAITING(p_latch, SLOT_THERE, false)
  REPAIR(PUT, (held -> p_again : p_latch))
#ifdef TIMEOUTS
  TIMES_OUT(p_latch)
#endif
  :: atomic { AT(next) -> s = 0; id = 0; duty = false; it++;
       if
       :: it < (i == 0 -> MSGS : 1) -> GO(p_latch)
       :: else -> it = 0; GO(done); break
       fi }
#ifdef SOCK
  /* It looks what it holds, and commits that; else it cannot know whether it has
     put, and does not put again. */
  DAEMON_DIES(held = false)
  :: atomic { AT(resume) ->
       if
       :: word[0] == MADE(WRITING, ME, 0) -> s = 0; held = true; id = ID(i, it); GO(p_fill)
#if S > 1
       :: word[1] == MADE(WRITING, ME, 0) -> s = 1; held = true; id = ID(i, it); GO(p_fill)
#endif
       :: else -> GO(next)
       fi }
#endif
  KILL(s = 0; id = 0; held = false)
  od
}

#ifdef TAKE_ONLY
#define SETTLED_TAKE c_over
#else
#define SETTLED_TAKE c_unlatch
#endif
#ifdef POP_EARLY
#define POPS_EARLY rh = NEXT(rh)
#define POPS WENT
#else
#define POPS_EARLY skip
#define POPS rh = NEXT(rh); WENT
#endif
#ifdef ENDED_EARLY
#define CLOSED_NOW leave_ended
#else
#define CLOSED_NOW c_last
#endif
#ifdef CLOSED_ONCE
#define NOW_CLOSED false
#else
#define NOW_CLOSED closed
#endif

proctype consumer(byte i) {
  mtype pc = c_latch; byte v, it, s, id, mine, old;
  bool duty, due, pass, exact, oldest, theirs, nacked, told, handed, once, ended_well;
end:                      /* it may sleep for ever if there is nothing: watch() looks */
  do
  LATCH(c_latch, TAKE, c_look, WHO)
  :: atomic { (AT(c_look) || AT(c_last)) && !MESSAGE_THERE -> GO((AT(c_last) -> leave_ended : c_closed)) }
  :: atomic { AT(c_closed) -> GO((closed -> CLOSED_NOW : announce)) }
#ifdef SHUTDOWN
  :: atomic { AT(leave_ended) -> ended_well = !(MESSAGE_THERE && seq[AT_HEAD(ready, rh)] < closed_seq);
       assert(ended_well); ended_well = 0; UNLATCH(TAKE); duty = false; GO(next) }
#endif
  :: atomic { (AT(c_look) || AT(c_last)) && MESSAGE_THERE ->
       handed = (ready[PLACE(rh)] & 3) != 0 && IS(AT_HEAD(ready, rh), READY); assert(handed); handed = 0;
       s = AT_HEAD(ready, rh); oldest = OLDEST(s); assert(oldest); oldest = 0;
       POPS_EARLY; id = inside_id[s]; mine = seq[s];
       assert(!acked[id]);
       if
       :: !seen[id] -> seen[id] = true; assert(NTH(id) >= first[BY(id)]); first[BY(id)] = NTH(id)
       :: else
       fi;
#ifdef TAKE_ONLY
       GO(c_copy)
#else
       GO(c_leased)
#endif
     }

  /* ---- take: copied before it is free */
  :: atomic { AT(c_copy) -> assert(pay[s] == id); GO(c_ack) }

  /* ---- lease */
#ifdef TWO_STORES
  :: atomic { AT(c_leased) -> word[s] = MADE(LEASED, 0, tries(word[s]) + 1); POPS; GO(c_seat) }
  :: atomic { AT(c_seat) -> word[s] = MADE(LEASED, ME, tries(word[s])); GO((duty -> c_settle : c_unlatch)) }
#else
  :: atomic { AT(c_leased) -> word[s] = MADE(LEASED, ME, tries(word[s]) + 1); POPS; assert(tries(word[s]) <= BOUND);
       GO((duty -> c_settle : c_unlatch)) }
#endif
  SETTLES(c_settle, c_settle_look, MESSAGE_THERE, SETTLED_TAKE)
  :: atomic { AT(c_unlatch) -> UNLATCH(TAKE); GO((pass -> c_pass : c_read)) }
  PASSES_ON(c_pass, c_pass_wake, c_read)
#ifdef ACK_FIRST
  :: atomic { AT(c_read) -> told = true; GO(c_again) }
  :: atomic { AT(c_late_read) -> assert(pay[s] == id); GO(next) }
#define READ_AFTER c_late_read
#else
  :: atomic { AT(c_read) -> told = true; assert(pay[s] == id); GO(c_again) }
#define READ_AFTER next
#endif

  /* ---- ack, which may be repeated: a lease has slot, seq and seat */
  LATCH(c_again, TAKE, c_ack, WHO)
#if defined(TAKE_ONLY)
#define HIS IS(s, READY)
#define POPS_NOW POPS
#elif defined(ACK_BLIND)
#define HIS (!IS(s, FREE))
#else
#define HIS (IS(s, LEASED) && seat(word[s]) == ME && seq[s] == mine)
#endif
#ifndef TAKE_ONLY
#define POPS_NOW skip
#endif
#define ACKED theirs = (inside_id[s] == id && !acked[id]); assert(theirs); theirs = 0; \
  word[s] = MADE(FREE, ME, 0); POPS_NOW; acked[id] = true; taken++
#define FREED once = !LIVE(free_, fh, s) && s < fresh; assert(once); once = 0; ADD(free_, ft, s)
#ifdef NACK
  :: atomic { AT(c_ack) && HIS && !nacked -> nacked = true; GO(c_back) }
#define ACKS (!nacked -> false : true)
#else
#define ACKS true
#endif
#ifdef FREE_FIRST
  :: atomic { AT(c_ack) && HIS && ACKS -> FREED; GO(c_free) }
  :: atomic { AT(c_free) -> ACKED; GO((duty -> c_settle : c_over)) }
#else
  :: atomic { AT(c_ack) && HIS && ACKS -> ACKED; GO(c_free) }
  :: atomic { AT(c_free) -> FREED; GO((duty -> c_settle : c_over)) }
#endif
  :: atomic { AT(c_ack) && !HIS -> assert(DAEMON_ACTS); UNLATCH(TAKE); GO(READ_AFTER) }     /* done before */
  :: atomic { AT(c_over) -> UNLATCH(TAKE); GO(c_signal) }
  :: atomic { AT(c_signal) -> SIGNAL(NF, due); GO((due -> c_wake : (pass -> c_pass_on : READ_AFTER))) }
  :: atomic { AT(c_wake) -> wake_one(NF); due = false; GO((pass -> c_pass_on : READ_AFTER)) }
  PASSES_ON(c_pass_on, c_pass_on_wake, READ_AFTER)

  /* ---- nack: inserted where its number belongs; the head is moved last */
#define GIVEN_BACK(x) MADE((tries(x) >= BOUND -> DEAD : READY), 0, tries(x))
#define OTHER AT_HEAD(ready, rh)
  :: atomic { AT(c_back) -> word[s] = GIVEN_BACK(word[s]); GO((IS(s, READY) -> c_insert : c_over_back)) }
#if defined(NACK_BACK)
  :: atomic { AT(c_insert) ->
       ready[PLACE((IN(ready, rh) -> NEXT(rh) : rh))] = ENTRY((IN(ready, rh) -> NEXT(rh) : rh), s); GO(c_over_back) }
#elif defined(NACK_SHIFT)
  :: atomic { AT(c_insert) ->
       if
       :: IN(ready, rh) && seq[OTHER] > seq[s] -> ready[PLACE(NEXT(rh))] = ENTRY(NEXT(rh), OTHER);
          ready[PLACE(rh)] = ENTRY(rh, s); GO(c_over_back)
       :: else -> GO((IN(ready, rh) -> c_shift : c_place))
       fi }
#elif defined(NACK_FRONT)
  :: atomic { AT(c_insert) -> GO(c_place) }
#elif defined(HEAD_FIRST)
  :: atomic { AT(c_insert) -> rh = BACK(rh); GO((IN(ready, NEXT(rh)) && seq[AT_HEAD(ready, NEXT(rh))] < seq[s] ->
       c_shift : c_place)) }
#else
  :: atomic { AT(c_insert) -> GO((IN(ready, rh) && seq[OTHER] < seq[s] -> c_shift : c_place)) }
#endif
#ifdef HEAD_FIRST
  :: atomic { AT(c_shift) -> ready[PLACE(rh)] = ENTRY(rh, AT_HEAD(ready, NEXT(rh))); GO(c_head) }
  :: atomic { AT(c_head) -> ready[PLACE(NEXT(rh))] = ENTRY(NEXT(rh), s); CAME; GO(c_over_back) }
  :: atomic { AT(c_place) -> ready[PLACE(rh)] = ENTRY(rh, s); CAME; GO(c_over_back) }
#else
  :: atomic { AT(c_shift) -> ready[PLACE(BACK(rh))] = ENTRY(BACK(rh), OTHER); GO(c_gap) }
  :: atomic { AT(c_gap) -> ready[PLACE(rh)] = ENTRY(rh, s); GO(c_head) }
  :: atomic { AT(c_place) -> ready[PLACE(BACK(rh))] = ENTRY(BACK(rh), s); GO(c_head) }
  :: atomic { AT(c_head) -> rh = BACK(rh); CAME; GO(c_over_back) }
#endif
  :: atomic { AT(c_over_back) -> UNLATCH(TAKE); GO((IS(s, DEAD) -> next : c_signal_back)) }
#ifdef NACK_SILENT
  :: atomic { AT(c_signal_back) -> GO(next) }
#else
  :: atomic { AT(c_signal_back) -> SIGNAL(NE, due); GO((due -> c_wake_back : next)) }
#endif
  :: atomic { AT(c_wake_back) -> wake_one(NE); due = false; GO(next) }

  WAITING(c_latch, MESSAGE_THERE, NOW_CLOSED)
  REPAIR(TAKE, (told -> c_again : c_latch))
#ifdef TIMEOUTS
  TIMES_OUT(c_latch)
#endif
  :: atomic { AT(next) -> s = 0; id = 0; mine = 0; duty = false; told = false; it++;
       if
       :: it < (i == NP -> CI : 1) -> GO(c_latch)
       :: else -> it = 0; nacked = false; GO(done); break
       fi }
#ifdef SOCK
  /* It repeats the ack of what it was told it has; else it looks what it holds. */
  DAEMON_DIES(skip)
  :: atomic { AT(resume) && told -> GO(c_again) }
  :: atomic { AT(resume) && !told ->
       if
       :: IS(0, LEASED) && seat(word[0]) == ME -> s = 0; id = inside_id[0]; mine = seq[0]; GO(c_read)
#if S > 1
       :: IS(1, LEASED) && seat(word[1]) == ME -> s = 1; id = inside_id[1]; mine = seq[1]; GO(c_read)
#endif
       :: else -> s = 0; id = 0; mine = 0; GO(c_latch)
       fi }
#endif
  KILL(s = 0; id = 0; mine = 0; told = false; nacked = false)
  od
}

proctype recovery() {
  byte c, k; bool exact;
end:
  do
#define PICK(n) :: atomic { rpc == idle && !sweep && todo[n] -> c = n; rpc = r_first }
  PICK(1) PICK(2)
#if NP+NC > 2
  PICK(3)
#endif
#if NP+NC > 3
  PICK(4)
#endif
#if defined(SHUTDOWN) || defined(REDELIVER) || defined(COUNTS) || defined(POLL)
  PICK(N+1)
#endif

#ifdef SOCK
  /* the successor: alarms all, if nobody is at the queue */
  :: atomic { rpc == idle && sweep -> c = 0; rpc = s_look }
  :: atomic { rpc == s_look -> rpc = (latch[PUT] != 0 -> r_first : s_look_take) }
  :: atomic { rpc == s_look_take -> rpc = (latch[TAKE] != 0 -> r_first : s_bump_ne) }
  :: atomic { rpc == s_bump_ne -> ALARM(NE); rpc = s_bump_nf }
  :: atomic { rpc == s_bump_nf -> ALARM(NF); rpc = r_wake_ne }
#endif

#ifdef DERIVED_FIRST
#define FIRST r_hide
#define THEN  r_slots
#define LAST  r_bump_ne
#else
#define FIRST r_slots
#define THEN  r_bump_ne
#define LAST  r_hide
#endif
#if defined(STEAL_LIVE)
#define STEALS(l) (OPEN(l) || latch[l] < DMN)
#elif defined(STEAL_ONLY_C)
#define STEALS(l) (OPEN(l) || (latch[l] == c && c != 0))
#else
#define STEALS(l) (OPEN(l) || dead[latch[l]])
#endif
#ifdef PUT_FREE
#define AS_FOUND 0
#else
#define AS_FOUND found
#endif
  /* while a living client holds one: later again */
  :: atomic { rpc == r_first && STEALS(PUT) -> found = latch[PUT]; latch[PUT] = DMN + epoch; rpc = r_second }
  :: atomic { rpc == r_second && STEALS(TAKE) -> found = 0; latch[TAKE] = DMN + epoch; ENTER(PUT, DMN);
       ENTER(TAKE, DMN); k = 0; rpc = FIRST }
  :: atomic { rpc == r_second && !STEALS(TAKE) -> latch[PUT] = AS_FOUND; found = 0; rpc = r_first }

  /* what C held, a store per slot; a seat of 0 is nobody's */
  :: atomic { rpc == r_slots && k < S ->
       if
       :: c && IS(k, WRITING) && seat(word[k]) == c -> word[k] = MADE(FREE, 0, 0)
#if defined(DROP_LEASED)
       :: c && IS(k, LEASED) && seat(word[k]) == c -> word[k] = MADE(FREE, 0, 0)
#elif defined(NO_BOUND)
       :: c && IS(k, LEASED) && seat(word[k]) == c -> word[k] = MADE(READY, 0, tries(word[k]))
#else
       :: c && IS(k, LEASED) && seat(word[k]) == c -> word[k] = GIVEN_BACK(word[k])
#endif
       :: else
       fi;
       k++ }
  :: atomic { rpc == r_slots && k == S -> k = 0; rpc = LAST }
#ifdef NO_REBUILD
  :: atomic { rpc == r_hide -> rpc = THEN }
#else
  :: atomic { rpc == r_hide -> HIDE_HEAD; rpc = r_entries }
  :: atomic { rpc == r_entries -> rebuild_entries(); rpc = r_head }
  :: atomic { rpc == r_head -> REBUILD_HEAD; rpc = THEN }
#endif
  :: atomic { rpc == r_bump_ne -> SURE(EXACT); ec[NE] = ec[NE] + 2; rpc = r_bump_nf }
  :: atomic { rpc == r_bump_nf -> ec[NF] = ec[NF] + 2; rpc = r_unlatch }
  :: atomic { rpc == r_unlatch -> UNLATCH(TAKE); rpc = r_unlatch_put }
  :: atomic { rpc == r_unlatch_put -> UNLATCH(PUT); rpc = r_wake_ne }
#ifdef NO_DEATHWAKE
  :: atomic { rpc == r_wake_ne -> rpc = r_done }
#else
  :: atomic { rpc == r_wake_ne -> wake_all(NE); rpc = r_wake_nf }
  :: atomic { rpc == r_wake_nf -> wake_all(NF); rpc = r_done }
#endif
  :: atomic { rpc == r_done ->
       if
       :: c == 0 -> sweep = false
       :: else -> todo[c] = false
       fi;
       c = 0; rpc = idle }

#ifndef SOCK
  :: atomic { dkills > 0 && rpc != idle -> dkills--; epoch++; c = 0; k = 0; found = 0; rpc = idle; OUT(DMN) }
#endif
  od
}

#if defined(SHUTDOWN) || defined(REDELIVER)
/* One more client, which may die like any other. */
#ifdef SHUTDOWN_LATE
#define CLOSES skip
#define CLOSES_LATE closed = true
#else
#define CLOSES closed = true
#define CLOSES_LATE skip
#endif
#ifdef SHUTDOWN
#define DO_IT x_closed
#define HIS_SIDE PUT
#define CLOSES_AT closed_seq = next_seq
#else
#define DO_IT x_dead
#define HIS_SIDE TAKE
#define CLOSES_AT skip
#endif
#if defined(SHUTDOWN_HALF)
#define UNLATCHED x_bump_nf
#elif defined(REDELIVER_SILENT)
#define UNLATCHED done
#elif defined(SHUTDOWN_NO_BUMP)
#define UNLATCHED x_wake_ne
#elif defined(REDELIVER)
#define UNLATCHED x_signal
#else
#define UNLATCHED x_bump_ne
#endif
#ifdef SHUTDOWN_NO_WAKE
#define WAKES(w) skip
#else
#define WAKES(w) wake_all(w)
#endif
#ifdef REDELIVER_UNSORTED
#define SORTED true
#else
#define SORTED (S == 1 || !IN(ready, rh) || !IN(ready, NEXT(rh)) || ORDERED)
#endif
proctype manager() {
  mtype pc = x_latch; byte i = N, k, old; bool exact, due;
  do
  LATCH(x_latch, HIS_SIDE, DO_IT, i+1)
  :: atomic { AT(x_closed) -> CLOSES; CLOSES_AT; GO(x_unlatch) }

  /* a store per slot, which then goes to the front; then the front is sorted */
  :: atomic { AT(x_dead) && k < S ->
       if
       :: IS(k, DEAD) -> word[k] = MADE(READY, 0, 0); GO(x_front)
       :: else -> k++
       fi }
  :: atomic { AT(x_front) -> rh = BACK(rh); ready[PLACE(rh)] = ENTRY(rh, k); CAME; k++; GO(x_dead) }
  :: atomic { AT(x_dead) && k == S -> k = 0; GO(x_sort) }
  :: atomic { AT(x_sort) && SORTED -> GO(x_unlatch) }
  :: atomic { AT(x_sort) && !SORTED -> k = AT_HEAD(ready, rh);
       ready[PLACE(rh)] = ENTRY(rh, AT_HEAD(ready, NEXT(rh))); GO(x_swap) }
  :: atomic { AT(x_swap) -> ready[PLACE(NEXT(rh))] = ENTRY(NEXT(rh), k); k = 0; GO(x_unlatch) }

  :: atomic { AT(x_unlatch) -> UNLATCH(HIS_SIDE); GO(UNLATCHED) }
  :: atomic { AT(x_signal) -> SIGNAL(NE, due); GO((due -> x_wake : done)) }
  :: atomic { AT(x_wake) -> due = false; wake_all(NE); GO(done) }
  :: atomic { AT(x_bump_ne) -> ALARM(NE); GO(x_wake_ne) }
  :: atomic { AT(x_wake_ne) -> WAKES(NE); GO(x_bump_nf) }
  :: atomic { AT(x_bump_nf) -> ALARM(NF); GO(x_wake_nf) }
  :: atomic { AT(x_wake_nf) -> WAKES(NF); GO(x_late) }
  :: atomic { AT(x_late) -> CLOSES_LATE; GO(done) }
  :: atomic { AT(done) -> break }
  BOTH(skip, b_hide, i+1)
  REBUILDS
  OVER(HIS_SIDE, x_latch)
  :: atomic { kills > 0 && !AT(done) -> kills--; dead[N+1] = true; todo[N+1] = true; k = 0; old = 0; due = false;
       OUT(N+1); GO(done); break }
  od
}
#elif defined(COUNTS)
/* One look with both latches. */
proctype manager() {
  mtype pc = b_put; byte i = N, old; bool stolen, exact;
  do
  BOTH(stolen = OLDER(TAKE) || old != 0, b_look, i+1)
  :: atomic { AT(b_look) -> GO((stolen -> b_hide : b_over)); SURE(stolen || EXACT) }
  REBUILDS
  OVER(PUT, done)
  :: atomic { AT(done) -> stolen = false; break }
  :: atomic { kills > 0 && !AT(done) -> kills--; dead[N+1] = true; todo[N+1] = true; old = 0; OUT(N+1);
       GO(done); break }
  od
}
#elif defined(POLL)
/* Empty, without a latch. */
proctype manager() {
  mtype pc = e_head; byte h, p; bool there;
#ifdef HEAD_ONCE
#define SAME_HEAD true
#else
#define SAME_HEAD (rh == h)
#endif
  do
  :: atomic { AT(e_head) -> gap = (content == 0); h = rh; GO(e_again) }
  :: atomic { AT(e_again) -> p = rh; GO(e_entry) }
  :: atomic { AT(e_entry) -> there = (p >= HIDDEN || IN(ready, p)); GO((there -> done : e_last)) }
  :: atomic { AT(e_last) -> assert(gap || !SAME_HEAD); GO(done) }
  :: atomic { AT(done) -> there = 0; h = 0; p = 0; break }
  od
}
#endif

#define UNHEARD(k) (asleep[k] && !(ec[WORD(k)] & W))
#define BESIDE(k)  (asleep[k] && (k < NP -> SLOT_THERE : IN(ready, rh)))

proctype watch() {
  bool beside, unheard, ended, exact; byte k;
end:
  atomic {
    timeout ->
    assert(rpc == idle);
    assert(latch[0] == 0);
    assert(latch[1] == 0);
    SURE(EXACT);
    assert(committed == taken + ALL(READY) + ALL(LEASED) + ALL(DEAD));
    do
    :: k < N ->
       beside = beside || BESIDE(k);
       unheard = unheard || UNHEARD(k);
       ended = ended || (closed && asleep[k]);
       k++
    :: else -> break
    od;
    assert(!beside);
    assert(!ended);
    k = 0;
    do                    /* everybody has come to its end, or sleeps: nobody holds anything */
    :: k < S -> assert(state(word[k]) != WRITING && state(word[k]) != LEASED); k++
    :: else -> break
    od;
    assert(!unheard)
  }
}

init {
  byte k;
  atomic {
    /* An unspent kill would hide a deadlock, so the budget is chosen here. */
    do :: kills < KILLS -> kills++ :: break od;
    do :: dkills < DKILLS -> dkills++ :: break od;
    do :: k < NP -> run producer(k); k++ :: else -> break od;
    do :: k < N -> run consumer(k); k++ :: else -> break od;
    run recovery();
#if defined(SHUTDOWN) || defined(REDELIVER) || defined(COUNTS) || defined(POLL)
    run manager();
#endif
    run watch(); k = 0
  }
}
