/* The queue: one authoritative word per slot, two eventcounts, under a latch.

   Code stated here: shm/queue*.go and clients/c/queue.c. How the latch itself
   sleeps and wakes is mutex.pml with -DLATCH, here its word only excludes; the
   eventcount alone is eventcount.pml.

   latch   an owner word: free, a seat, or the daemon of an epoch
   word    one per slot: state, seat, deliveries; authoritative, its stores are the
           commit points. FREE keeps the seat of who freed it
   seq     one per slot, stored before READY; a free slot keeps it
   closed  no more puts; authoritative, never cleared
   ready   the slots in READY in the order of seq; free those in FREE; next the next
           seq: all derived
   ec[0]   eventcount of consumers (not empty), ec[1] of producers (not full): a
           signal clears W, and the woken settles (re-arms, or passes on)

   put       FREE to READY under one latch; or reserve, fill, commit: by WRITING
   take      READY to FREE under one latch, copied before; or lease, read, ack
   nack, and recovery of a dead consumer: back to READY with its own seq, hence to
             the front, in order; DEAD after so many deliveries
   shutdown  closed, both words moved, all woken; reserved slots may be committed yet
  redeliver DEAD to READY, a store each, rebuild, all consumers woken
   recovery  of C: WRITING of C is FREE, LEASED of C is READY or DEAD, rebuild

   Latches of dead seats, of all dead seats, are stolen by recovery; a latch of an
   older daemon epoch by anybody, who rebuilds first. For a client on the socket the
   daemon takes the latch as itself, and writes the client's seat into the slot;
   after the daemon's death the client looks what it holds, and repeats its ack.

   Every `:: atomic` is one access to shared memory, or one futex call. A client
   may be killed between any two of them, the daemon too: its successor starts the
   recovery again from the top.

   Checked, and what pan prints if it does not hold:
     1. the latch excludes; derived state is right in it   inside==0, exact
     2. nothing lost, nothing invented: what was committed
        is acked, or in READY, LEASED of the living, DEAD   committed==
     3. nothing delivered after its ack, no ack twice;
        acked is only what the acker holds                 !(acked[id]), theirs
     4. FIFO per producer; the oldest first, so what comes
        back comes first                                   n>=first[by], oldest
     5. a message is read as it was written                pay[s]==id
     6. a number is never given twice                      seq[s]>given
     7. no more deliveries than the bound                  tries(word[s])<=
     8. at rest nobody sleeps beside what it waits for     !(beside)
     9. ... nor unannounced: the next signal would be lost !(unheard)
    10. ... nor after shutdown                             !(ended)
    11. ... the latch is free, recovery done               latch==0, rpc==0
    12. ... nobody's slot is WRITING or LEASED             !=1, !=3

   Shape: NP producers, MSGS messages by the first, one by each other; NC consumers,
     CI rounds by the first, one by each other (deliveries are counted up to 3: not
     more rounds in all); S slots (1 or 2); KILLS DKILLS
     TIMEOUTS (the last client times out, or is cancelled after a wake)
     PUT       producers put under one latch; else reserve, fill, commit
     TAKE      consumers take under one latch; else lease, read, ack
     ABORT     the first producer gives up its first reservation
     NACK      each consumer gives its first lease back
     BOUND     that many deliveries, then DEAD
     SHUTDOWN  the queue is shut down by one more client
     REDELIVER ... dead letters are made messages again, once
     SOCK      the daemon acts for client SOCK

   Must fail:
     NO_REARM          the woken does not set W again
     NO_PASSON         the woken sets W again, but wakes nobody
     NO_DUTY           leaves after a wake without waking another
     NO_DEATHWAKE      recovery wakes nobody
     NO_REBUILD        recovery does not rebuild
     CLIENT_NO_REBUILD nor does a client that steals an older epoch's latch
     DERIVED_FIRST     recovery rebuilds before it has looked at the slots
     STEAL_ONLY_C      recovery of C takes the latch from C only
     STEAL_LIVE        recovery takes the latch from anybody
     NO_START_SWEEP    (SOCK) the successor does not sweep
     TWO_STORES        state and seat are stored one after the other
     ONE_WORD          producers and consumers sleep on one word
     EARLY_READY       READY before the payload is there
     ACK_FIRST         acked before it is copied out
     ACK_BLIND         (SOCK) a repeated ack does not look whose lease it ends
     NACK_BACK         what comes back goes to the back
     NACK_FRONT        ... goes to the very front: two leases that are given back
                       in the order of their taking change places
     NACK_SILENT       what comes back wakes nobody
     FORGET_SEQ        rebuilt from the slots in use only, next goes back
     NO_BOUND          (BOUND) recovery gives back whatever the deliveries
     DROP_LEASED       recovery frees what a dead consumer had leased
     SHUTDOWN_NO_WAKE  shutdown moves the words, but wakes nobody
     SHUTDOWN_NO_BUMP  shutdown wakes, but does not move the words
     SHUTDOWN_LATE     closed is stored after the wakes
     SHUTDOWN_HALF     shutdown tells the producers only
     REDELIVER_SILENT  redeliver wakes nobody
     ABORT_SILENT      (ABORT) a slot that was given up wakes nobody            */

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
  p_latch, p_rebuild, p_look, p_pop, p_writing, p_seat, p_settle, p_step, p_unlatch, p_pass,
  p_fill, p_again, p_rebuild_again, p_seq, p_ready, p_push, p_signal,
  p_over, p_pass_on, p_wake, p_late_fill, p_abort, p_give, p_signal_give, p_over_give, p_wake_give,
  c_latch, c_rebuild, c_look, c_pop, c_leased, c_seat, c_copy, c_settle, c_step, c_unlatch, c_pass,
  c_read, c_again, c_rebuild_again, c_ack, c_free, c_signal, c_back, c_insert, c_signal_back,
  c_over, c_pass_on, c_wake, c_over_back, c_wake_back, c_late_read,
  announce, unlatch_wait, to_wait, slept, leave, leave_ended, next, resume,
  r_latch, r_slots, r_rebuild, r_bump_ne, r_bump_nf, r_unlatch, r_wake_ne, r_wake_nf, r_done,
  x_latch, x_rebuild, x_closed, x_dead, x_unlatch, x_bump_ne, x_clear_ne, x_wake_ne, x_bump_nf, x_clear_nf,
  x_wake_nf, x_late, done
};
#define idle 0

byte latch, epoch, ec[2];
byte word[S], seq[S], pay[S];
bool closed;
byte next_seq = 1, ready[S], ready_count; bool in_free[S];
bool asleep[N];           /* the kernel's queues; which one is WORD(i) */
bool dead[DMN+4];         /* by owner: seats 1..N, no daemon */
bool todo[N+2];           /* by seat: its death is not yet recovered */
mtype rpc = idle; bool sweep;
byte kills, dkills;

/* ghosts */
byte inside;              /* who is in the latch section */
byte inside_id[S];        /* the message that READY was stored for */
byte committed, taken, given, first[NP];
bool acked[1 + NP*MSGS], seen[1 + NP*MSGS];
#define ID(p, n) (1 + (p)*MSGS + (n))
#define BY(id)   (((id) - 1) / MSGS)
#define NTH(id)  (((id) - 1) % MSGS)

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

/* What is derived; for S of 1 or 2 written out. */
#define IS(k, st) (state(word[k]) == st)
#if S == 1
#define ANY_FREE in_free[0]
#define READIES  (IS(0, READY) -> 1 : 0)
#define ORDERED  true
#define OLDEST(s) true
#define FREES_OK (in_free[0] == IS(0, FREE))
#define ONE_READY_OK (ready_count == 0 || IS(0, READY))
#else
#define ANY_FREE (in_free[0] || in_free[1])
#define READIES  ((IS(0, READY) -> 1 : 0) + (IS(1, READY) -> 1 : 0))
#define ORDERED  (ready_count < 2 || (ready[0] != ready[1] && seq[ready[0]] < seq[ready[1]]))
#define OLDEST(s) (!IS(1-s, READY) || seq[s] < seq[1-s])
#define FREES_OK (in_free[0] == IS(0, FREE) && in_free[1] == IS(1, FREE))
#define ONE_READY_OK (ready_count == 0 || IS(ready[0], READY))
#endif
#define EXACT (FREES_OK && ready_count == READIES && ONE_READY_OK && ORDERED)

#if defined(NACK_BACK)
#define BEFORE(s) false
#elif defined(NACK_FRONT)
#define BEFORE(s) (tries(word[s]) > 0)
#else
#define BEFORE(s) (seq[s] < seq[ready[0]])
#endif
/* s goes before what is younger. */
inline insert(s) {
#if S == 1
  ready[0] = s
#else
  if
  :: ready_count == 0 -> ready[0] = s
  :: ready_count == 1 && BEFORE(s) -> ready[1] = ready[0]; ready[0] = s
  :: ready_count == 1 && !BEFORE(s) -> ready[1] = s
  fi
#endif
  ; ready_count++
}
inline pop_ready() {
#if S > 1
  ready[0] = ready[1]; ready[1] = 0;
#else
  ready[0] = 0;
#endif
  ready_count--
}
#ifdef FORGET_SEQ
#define COUNTS(k) !IS(k, FREE)
#else
#define COUNTS(k) true
#endif
#define TAKE_MAX(k) if :: COUNTS(k) && seq[k] >= next_seq -> next_seq = seq[k] + 1 :: else fi
inline rebuild() {
  in_free[0] = IS(0, FREE);
  ready_count = READIES; ready[0] = 0; next_seq = 1;
  TAKE_MAX(0);
#if S > 1
  in_free[1] = IS(1, FREE);
  TAKE_MAX(1);
  ready[1] = 0;
  if
  :: IS(0, READY) && IS(1, READY) && seq[1] < seq[0] -> ready[0] = 1
  :: IS(0, READY) && IS(1, READY) && seq[0] < seq[1] -> ready[1] = 1
  :: !IS(0, READY) && IS(1, READY) -> ready[0] = 1
  :: else
  fi
#endif
}

#define AT(s) (pc == s)
#define GO(s) pc = s

/* A latch that the daemon of an older epoch has left behind. */
#define OLDER(l) ((l) >= DMN && (l) < DMN + epoch)

#ifdef CLIENT_NO_REBUILD
#define REBUILD skip
#else
#define REBUILD rebuild()
#endif
#define LATCH(at, again, held, who) \
  :: atomic { AT(at) && latch == 0 -> latch = who; ENTER(i+1); exact = EXACT; assert(exact); exact = 0; GO(held) } \
  :: atomic { AT(at) && OLDER(latch) -> latch = who; ENTER(i+1); GO(again) } \
  :: atomic { AT(again) -> REBUILD; exact = EXACT; assert(exact); exact = 0; GO(held) }
#define ENTER(who) assert(inside == 0); inside = who
#define UNLATCH latch = 0; inside = 0

#ifdef SOCK
#define DAEMON_ACTS (i == SOCK)
#define WHO (i == SOCK -> DMN + epoch : i+1)
/* The daemon finishes what it does for a client before it recovers it. */
#define MAY_DIE (!DAEMON_ACTS || AT(slept) || AT(c_read) || AT(p_fill))
#define DAEMON_DIES(forget) \
  :: atomic { DAEMON_ACTS && dkills > 0 && !AT(next) && !AT(resume) -> dkills--; epoch++; rpc = idle; SWEEPS; \
       if :: inside == i+1 || inside == DMN -> inside = 0 :: else fi; \
       asleep[i] = false; v = 0; due = false; pass = false; duty = false; forget; GO(resume) }
#ifdef NO_START_SWEEP
#define SWEEPS skip
#else
#define SWEEPS sweep = true
#endif
#else
#define DAEMON_ACTS false
#define WHO i+1
#define MAY_DIE true
#endif

#define KILL(forget) \
  :: atomic { kills > 0 && MAY_DIE && !AT(next) -> kills--; dead[i+1] = true; todo[i+1] = true; \
       if :: inside == i+1 -> inside = 0 :: else fi; \
       asleep[i] = false; v = 0; it = 0; due = false; pass = false; duty = false; forget; GO(done); break }

/* The last client times out, or is cancelled after a wake. */
#define LAST_ONE (i == N-1)

/* Announced, with the latch held; woken, it is at `at` with a duty. */
#define WAITING(at) \
  :: atomic { AT(announce) -> ec[WORD(i)] = ec[WORD(i)] | W; v = ec[WORD(i)]; duty = false; GO(unlatch_wait) } \
  :: atomic { AT(unlatch_wait) -> UNLATCH; GO(to_wait) } \
  :: atomic { AT(to_wait) -> \
       if \
       :: ec[WORD(i)] == v -> asleep[i] = true; GO(slept) \
       :: else -> GO(at) \
       fi; \
       v = 0 } \
  :: atomic { AT(slept) && !asleep[i] -> duty = true; GO(at) } \
  :: atomic { AT(leave_ended) -> UNLATCH; duty = false; GO(next) }
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
#define SETTLE(more) pass = false
#elif defined(NO_PASSON)
#define SETTLE(more) ec[WORD(i)] = ec[WORD(i)] | W; pass = false
#else
#define SETTLE(more) ec[WORD(i)] = ec[WORD(i)] | W; pass = more
#endif
#define SIGNAL(w) if :: ec[w] & W -> ec[w]++; due = true :: else fi

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

proctype producer(byte i) {
  mtype pc = p_latch; byte v, it, s, id; bool duty, due, pass, exact, held;
end:                      /* it may sleep for ever on a full queue: watch() looks */
  do
  LATCH(p_latch, p_rebuild, p_look, WHO)
  :: atomic { AT(p_look) -> id = ID(i, it); GO((closed -> leave_ended : (ANY_FREE -> p_pop : announce))) }
  :: atomic { AT(p_pop) -> s = (in_free[0] -> 0 : 1); assert(IS(s, FREE)); in_free[s] = false;
#ifdef PUT
       GO(p_fill)
#else
       GO(p_writing)
#endif
     }

  /* ---- reserve: the slot is his */
#ifdef TWO_STORES
  :: atomic { AT(p_writing) -> word[s] = MADE(WRITING, 0, 0); GO(p_seat) }
  :: atomic { AT(p_seat) -> word[s] = MADE(WRITING, ME, 0); GO((duty -> p_settle : p_unlatch)) }
#else
  :: atomic { AT(p_writing) -> word[s] = MADE(WRITING, ME, 0); GO((duty -> p_settle : p_unlatch)) }
#endif
  :: atomic { AT(p_settle) -> duty = false; SETTLE(ANY_FREE);
#ifdef PUT
       GO((pass -> p_step : p_signal))
#else
       GO((pass -> p_step : p_unlatch))
#endif
     }
#ifdef PUT
  :: atomic { AT(p_step) -> ec[WORD(i)]++; GO(p_signal) }
#else
  :: atomic { AT(p_step) -> ec[WORD(i)]++; GO(p_unlatch) }
#endif
  :: atomic { AT(p_unlatch) -> UNLATCH; held = true; GO((pass -> p_pass : p_fill)) }
  :: atomic { AT(p_pass) -> wake_one(WORD(i)); pass = false; GO(p_fill) }

  /* ---- the payload: outside the latch, or (PUT) in it */
#if defined(EARLY_READY)
  :: atomic { AT(p_fill) -> GO(p_again) }
  :: atomic { AT(p_late_fill) -> pay[s] = id; GO(next) }
#elif defined(PUT)
  :: atomic { AT(p_fill) -> pay[s] = id; GO(p_seq) }
#else
  :: atomic { AT(p_fill) -> pay[s] = id; GO(p_again) }
#endif

  /* ---- commit */
  LATCH(p_again, p_rebuild_again, COMMIT, WHO)
  :: atomic { AT(p_seq) -> seq[s] = next_seq; GO(p_ready) }
  :: atomic { AT(p_ready) -> assert((held -> word[s] == MADE(WRITING, ME, 0) : IS(s, FREE)));
       word[s] = MADE(READY, 0, 0); committed++; inside_id[s] = id;
       assert(seq[s] > given); given = seq[s]; held = false; GO(p_push) }
  :: atomic { AT(p_push) -> insert(s); next_seq++; GO((duty -> p_settle : p_signal)) }
  :: atomic { AT(p_signal) -> SIGNAL(NE); GO(p_over) }
  :: atomic { AT(p_over) -> UNLATCH; GO((pass -> p_pass_on : (due -> p_wake : AFTER))) }
  :: atomic { AT(p_pass_on) -> wake_one(WORD(i)); pass = false; GO((due -> p_wake : AFTER)) }
  :: atomic { AT(p_wake) -> wake_one(NE); due = false; GO(AFTER) }

  /* ---- abort */
  :: atomic { AT(p_abort) -> word[s] = MADE(FREE, 0, 0); held = false; GO(p_give) }
#ifdef ABORT_SILENT
  :: atomic { AT(p_give) -> in_free[s] = true; GO(p_over_give) }
#else
  :: atomic { AT(p_give) -> in_free[s] = true; GO(p_signal_give) }
#endif
  :: atomic { AT(p_signal_give) -> SIGNAL(NF); GO(p_over_give) }
  :: atomic { AT(p_over_give) -> UNLATCH; GO((due -> p_wake_give : next)) }
  :: atomic { AT(p_wake_give) -> wake_one(NF); due = false; GO(next) }

  WAITING(p_latch)
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

proctype consumer(byte i) {
  mtype pc = c_latch; byte v, it, s, id, mine; bool duty, due, pass, exact, oldest, theirs, nacked, told;
end:                      /* it may sleep for ever if there is nothing: watch() looks */
  do
  LATCH(c_latch, c_rebuild, c_look, WHO)
  :: atomic { AT(c_look) -> GO((ready_count > 0 -> c_pop : (closed -> leave_ended : announce))) }
  :: atomic { AT(c_pop) -> s = ready[0]; assert(IS(s, READY)); oldest = OLDEST(s); assert(oldest); oldest = 0;
       pop_ready(); id = inside_id[s]; mine = seq[s];
       assert(!acked[id]);
       if
       :: !seen[id] -> seen[id] = true; assert(NTH(id) >= first[BY(id)]); first[BY(id)] = NTH(id)
       :: else
       fi;
#ifdef TAKE
       GO(c_copy)
#else
       GO(c_leased)
#endif
     }

  /* ---- take: copied before it is free */
  :: atomic { AT(c_copy) -> assert(pay[s] == id); GO(c_ack) }

  /* ---- lease */
#ifdef TWO_STORES
  :: atomic { AT(c_leased) -> word[s] = MADE(LEASED, 0, tries(word[s]) + 1); GO(c_seat) }
  :: atomic { AT(c_seat) -> word[s] = MADE(LEASED, ME, tries(word[s])); GO((duty -> c_settle : c_unlatch)) }
#else
  :: atomic { AT(c_leased) -> word[s] = MADE(LEASED, ME, tries(word[s]) + 1); assert(tries(word[s]) <= BOUND);
       GO((duty -> c_settle : c_unlatch)) }
#endif
  :: atomic { AT(c_settle) -> duty = false; SETTLE(ready_count > 0);
#ifdef TAKE
       GO((pass -> c_step : c_signal))
#else
       GO((pass -> c_step : c_unlatch))
#endif
     }
#ifdef TAKE
  :: atomic { AT(c_step) -> ec[WORD(i)]++; GO(c_signal) }
#else
  :: atomic { AT(c_step) -> ec[WORD(i)]++; GO(c_unlatch) }
#endif
  :: atomic { AT(c_unlatch) -> UNLATCH; GO((pass -> c_pass : c_read)) }
  :: atomic { AT(c_pass) -> wake_one(WORD(i)); pass = false; GO(c_read) }
#ifdef ACK_FIRST
  :: atomic { AT(c_read) -> told = true; GO(c_again) }
  :: atomic { AT(c_late_read) -> assert(pay[s] == id); GO(next) }
#define READ_AFTER c_late_read
#else
  :: atomic { AT(c_read) -> told = true; assert(pay[s] == id); GO(c_again) }
#define READ_AFTER next
#endif

  /* ---- ack, which may be repeated: a lease has slot, seq and seat */
  LATCH(c_again, c_rebuild_again, c_ack, WHO)
#if defined(TAKE)
#define HIS IS(s, READY)
#elif defined(ACK_BLIND)
#define HIS (!IS(s, FREE))
#else
#define HIS (IS(s, LEASED) && seat(word[s]) == ME && seq[s] == mine)
#endif
#ifdef NACK
  :: atomic { AT(c_ack) && HIS && !nacked -> nacked = true; GO(c_back) }
  :: atomic { AT(c_ack) && HIS && nacked ->
#else
  :: atomic { AT(c_ack) && HIS ->
#endif
       theirs = (inside_id[s] == id && !acked[id]); assert(theirs); theirs = 0;
       word[s] = MADE(FREE, ME, 0); acked[id] = true; taken++; GO(c_free) }
  :: atomic { AT(c_ack) && !HIS -> assert(DAEMON_ACTS); GO(c_over) }     /* done before */
  :: atomic { AT(c_free) -> in_free[s] = true; GO((duty -> c_settle : c_signal)) }
  :: atomic { AT(c_signal) -> SIGNAL(NF); GO(c_over) }
  :: atomic { AT(c_over) -> UNLATCH; GO((pass -> c_pass_on : (due -> c_wake : READ_AFTER))) }
  :: atomic { AT(c_pass_on) -> wake_one(WORD(i)); pass = false; GO((due -> c_wake : READ_AFTER)) }
  :: atomic { AT(c_wake) -> wake_one(NF); due = false; GO(READ_AFTER) }

  /* ---- nack */
#define GIVEN_BACK(x) MADE((tries(x) >= BOUND -> DEAD : READY), 0, tries(x))
  :: atomic { AT(c_back) -> word[s] = GIVEN_BACK(word[s]); GO((IS(s, READY) -> c_insert : c_over)) }
#ifdef NACK_SILENT
  :: atomic { AT(c_insert) -> insert(s); GO(c_over) }
#else
  :: atomic { AT(c_insert) -> insert(s); GO(c_signal_back) }
#endif
  :: atomic { AT(c_signal_back) -> SIGNAL(NE); GO(c_over_back) }
  :: atomic { AT(c_over_back) -> UNLATCH; GO((due -> c_wake_back : next)) }
  :: atomic { AT(c_wake_back) -> wake_one(NE); due = false; GO(next) }

  WAITING(c_latch)
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
  byte c, k;
end:
  do
#define PICK(n) :: atomic { rpc == idle && !sweep && todo[n] -> c = n; rpc = r_latch }
  PICK(1) PICK(2)
#if NP+NC > 2
  PICK(3)
#endif
#if NP+NC > 3
  PICK(4)
#endif
#if defined(SHUTDOWN) || defined(REDELIVER)
  PICK(N+1)
#endif
  :: atomic { rpc == idle && sweep -> c = 0; rpc = r_latch }

#ifdef DERIVED_FIRST
#define FIRST r_rebuild
#define THEN  r_slots
#define LAST  r_bump_ne
#else
#define FIRST r_slots
#define THEN  r_bump_ne
#define LAST  r_rebuild
#endif
  /* while a living client holds it: later again */
  :: atomic { rpc == r_latch && (latch == 0 || OLDER(latch)) ->
       latch = DMN + epoch; ENTER(DMN); k = 0; rpc = FIRST }
#if defined(STEAL_LIVE)
  :: atomic { rpc == r_latch && latch > 0 && latch < DMN ->
#elif defined(STEAL_ONLY_C)
  :: atomic { rpc == r_latch && latch == c && c != 0 ->
#else
  :: atomic { rpc == r_latch && dead[latch] ->
#endif
       latch = DMN + epoch; ENTER(DMN); k = 0; rpc = FIRST }

  /* the sweep, a store per slot; a seat of 0 is nobody's */
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
  :: atomic { rpc == r_rebuild -> rpc = THEN }
#else
  :: atomic { rpc == r_rebuild -> rebuild(); rpc = THEN }
#endif
  :: atomic { rpc == r_bump_ne -> ec[NE] = ec[NE] + 2; rpc = r_bump_nf }
  :: atomic { rpc == r_bump_nf -> ec[NF] = ec[NF] + 2; rpc = r_unlatch }
  :: atomic { rpc == r_unlatch -> UNLATCH; rpc = r_wake_ne }
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
  :: atomic { dkills > 0 && rpc != idle -> dkills--; epoch++; c = 0; k = 0; rpc = idle;
       if :: inside == DMN -> inside = 0 :: else fi }
#endif
  od
}

#if defined(SHUTDOWN) || defined(REDELIVER)
/* One more client, which may die like any other. It moves and wakes outside the
   latch, and clears W. */
#ifdef SHUTDOWN_LATE
#define CLOSES skip
#define CLOSES_LATE closed = true
#else
#define CLOSES closed = true
#define CLOSES_LATE skip
#endif
#ifdef SHUTDOWN
#define DO_IT x_closed
#define AFTER_NE x_bump_nf
#else
#define DO_IT x_dead
#define AFTER_NE done
#endif
#if defined(SHUTDOWN_HALF)
#define UNLATCHED x_bump_nf
#elif defined(REDELIVER_SILENT)
#define UNLATCHED done
#elif defined(SHUTDOWN_NO_BUMP)
#define UNLATCHED x_wake_ne
#else
#define UNLATCHED x_bump_ne
#endif
#ifdef SHUTDOWN_NO_WAKE
#define WAKES(w) skip
#else
#define WAKES(w) wake_all(w)
#endif
proctype manager() {
  mtype pc = x_latch; byte i = N, k; bool exact;
  do
  LATCH(x_latch, x_rebuild, DO_IT, i+1)
  :: atomic { AT(x_closed) -> CLOSES; GO(x_unlatch) }
  :: atomic { AT(x_dead) && k < S ->
       if
       :: IS(k, DEAD) -> word[k] = MADE(READY, 0, 0)
       :: else
       fi;
       k++ }
  :: atomic { AT(x_dead) && k == S -> k = 0; rebuild(); GO(x_unlatch) }
  :: atomic { AT(x_unlatch) -> UNLATCH; GO(UNLATCHED) }
  :: atomic { AT(x_bump_ne) -> ec[NE] = ec[NE] + 2; GO(x_clear_ne) }
  :: atomic { AT(x_clear_ne) -> ec[NE] = ec[NE] & (255-W); GO(x_wake_ne) }
  :: atomic { AT(x_wake_ne) -> WAKES(NE); GO(AFTER_NE) }
  :: atomic { AT(x_bump_nf) -> ec[NF] = ec[NF] + 2; GO(x_clear_nf) }
  :: atomic { AT(x_clear_nf) -> ec[NF] = ec[NF] & (255-W); GO(x_wake_nf) }
  :: atomic { AT(x_wake_nf) -> WAKES(NF); GO(x_late) }
  :: atomic { AT(x_late) -> CLOSES_LATE; GO(done) }
  :: atomic { AT(done) -> break }
  :: atomic { kills > 0 && !AT(done) -> kills--; dead[N+1] = true; todo[N+1] = true; k = 0;
       if :: inside == N+1 -> inside = 0 :: else fi;
       GO(done); break }
  od
}
#endif

#define UNHEARD(k) (asleep[k] && !(ec[WORD(k)] & W))
#define BESIDE(k)  (asleep[k] && (k < NP -> ANY_FREE : ready_count > 0))
#if S == 1
#define KEPT(st) (IS(0, st) -> 1 : 0)
#else
#define KEPT(st) ((IS(0, st) -> 1 : 0) + (IS(1, st) -> 1 : 0))
#endif

proctype watch() {
  bool beside, unheard, ended, exact; byte k;
end:
  atomic {
    timeout ->
    assert(rpc == idle);
    assert(latch == 0);
    exact = EXACT;
    assert(exact);
    assert(committed == taken + KEPT(READY) + KEPT(LEASED) + KEPT(DEAD));
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
    do :: k < S -> in_free[k] = true; k++ :: else -> break od;
    k = 0;
    do :: k < NP -> run producer(k); k++ :: else -> break od;
    do :: k < N -> run consumer(k); k++ :: else -> break od;
    run recovery();
#if defined(SHUTDOWN) || defined(REDELIVER)
    run manager();
#endif
    run watch(); k = 0
  }
}
