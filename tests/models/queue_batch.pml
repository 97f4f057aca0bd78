/* The queue's batches, lease times and join: several commits under one latch hold, and
   the wake-ups that they owe, across the two latches of the sides.

   Code stated here: shm/queue_batch.go, shm/queue_deadline.go, shm/queue_join.go. The
   single operations, order, payload, the rings, the daemon's deaths and its acting for
   others are queue.pml; the eventcount alone, and what recovery does if it does not get
   both latches, eventcount_sides.pml: here it waits.

   latch   PUT and TAKE, each an owner word: free, a seat, or the daemon
   st      one per slot, with owner and deliveries; authoritative, each store a commit
   over    one per slot: the deadline of its lease is past; time passes at any moment
   ready   the entries of the slots in READY, added by the put side and taken, and put in
           again, by the take side; free those of FREE, the other way; leased how many:
           derived
   ec      eventcounts: NE of consumers, NF of producers, ID of who joins

   put     up to K of FREE to READY, with an entry each, under PUT; then one signal; k wake k
   lease   up to CK of READY to LEASED; then ack of all under TAKE, or (NACK) of the first,
           and the others back to READY
   signal  without the latch, after the entries; of NE and NF clears W, and the woken
           settles (sets it again, or passes on); of ID under TAKE, by the commit that leaves
           no entry ready and nothing leased: wakes all
   wait    set W, look again: there now: begin again, a duty stays; else sleep
   expiry  LEASED to READY or DEAD of what is over, by who wants a message or joins,
           before it looks; who then sleeps wakes by itself when a lease is over,
           also one that was given later
   recovery of C: LEASED of C is READY or DEAD, rebuild, all three words moved, all woken

   Every `:: atomic` is one access to shared memory, or one futex call. A client may be
   killed between any two of them.

   Checked, and what pan prints if it does not hold:
     1. a latch excludes; derived state is right with both  inside[, exact
     2. nothing lost, nothing invented, whatever prefix of
        a batch was committed                              committed==
     3. an ack ends the lease of who made it, no later one theirs
     4. at rest nobody sleeps beside what it waits for     !(beside)
     5. ... nor unannounced: the next signal would be lost !(unheard)
     6. ... the latches are free, recovery done            latch[0]==0, latch[1]==0, !(owed)

   Shape: MSGS messages by one producer in batches of K; NC consumers, one round each, in
     batches of CK; NJ clients that join; S = 2 slots; KILLS
     NACK      all but the first of a batch are given back
     EXPIRY    leases end; STALL: consumer 1 never acknowledges
     BOUND     that many deliveries, then DEAD
     SAME      the consumers are threads of one client

   Must fail:
     WAKE_ONE      a batch of k wakes one, and who is woken wakes nobody
     CLEAR_W       the signal clears W, and who is woken owes nothing
     NO_LOOK       announced, and asleep without the second look
     NO_BROADCAST  recovery wakes nobody
     NO_REBUILD    recovery does not rebuild
     ONE_LATCH     recovery takes the latch of the dead only
     EXPIRY_SILENT who finds that leases are over wakes nobody
     SLEEP_LONG    (EXPIRY) who sleeps does not wake by itself
     SLEEP_SEEN    (EXPIRY) ... only if there was a lease when it went to sleep
     ACK_BLIND     (EXPIRY SAME) ack does not compare the deliveries
     JOIN_SILENT   the last ack does not signal who joins
     JOIN_ONE      it wakes one of them                                              */

#define S 2
#ifndef K
#define K 2
#endif
#ifndef CK
#define CK 1
#endif
#ifndef MSGS
#define MSGS 2
#endif
#ifndef NC
#define NC 2
#endif
#ifndef NJ
#define NJ 0
#endif
#ifndef BOUND
#define BOUND 100
#endif
#ifndef KILLS
#define KILLS 0
#endif

#define N   (1+NC+NJ)      /* 0 produces, then who consumes, then who joins */
#define DMN 9
#define W   1
#define PUT  0
#define TAKE 1
#define MINE(i) ((i) == 0 -> PUT : TAKE)

#define FREE   0
#define READY  1
#define LEASED 2
#define DEAD   3

#define NE 0
#define NF 1
#define ID 2
#define WORD(k) ((k) == 0 -> NF : ((k) <= NC -> NE : ID))

#ifdef SAME
#define ME 1
#else
#define ME (i+1)
#endif

mtype = {
  enter, expire, look, pop, commit, push, deadline, leased_, count_, more, settle, settle_look, over_, signal, wake,
  signal_own, wake_own, idle_, idle_signal, signal_back, wake_back, wake_idle, announce, second, again_unlatch,
  leave_asleep, slept, read_, again, end_, end_wake, end_push, end_next, end_signal, unlatch, done
};

byte latch[2], st[S], own[S], tries[S], ec[3], leased;
bool over[S], ready[S], free_[S];
bool asleep[N], dead[DMN], todo[N];
byte kills;

/* ghosts */
byte inside[2], committed, acked, holder[S];

#define AT(x) (pc == x)
#define GO(x) pc = x
#define ANY_FREE  (free_[0] || free_[1])
#define ANY_READY (ready[0] || ready[1])
#define IDLE      (!ANY_READY && leased == 0)
#define IS(k, x)  (st[k] == x)
#define ONE(k, x) (IS(k, x) -> 1 : 0)
#define ALL(x)    (ONE(0, x) + ONE(1, x))
#define EXACT (free_[0] == IS(0, FREE) && free_[1] == IS(1, FREE) && ready[0] == IS(0, READY) && \
  ready[1] == IS(1, READY) && leased == ALL(LEASED))
#define SURE exact = EXACT; assert(exact); exact = 0
#define UNLATCH inside[MINE(i)] = 0; latch[MINE(i)] = 0
#define OVER(k) (IS(k, LEASED) && over[k])

/* One futex call: wakes up to n of who sleeps on a word, any of them. */
inline wake_up(w, n) {
  do
  :: n > 0 && asleep[0] && WORD(0) == w -> asleep[0] = false; n--
  :: n > 0 && asleep[1] && WORD(1) == w -> asleep[1] = false; n--
#if N > 2
  :: n > 0 && asleep[2] && WORD(2) == w -> asleep[2] = false; n--
#endif
#if N > 3
  :: n > 0 && asleep[3] && WORD(3) == w -> asleep[3] = false; n--
#endif
  :: n == 0 || !((asleep[0] && WORD(0) == w) || (asleep[1] && WORD(1) == w)
#if N > 2
       || (asleep[2] && WORD(2) == w)
#endif
#if N > 3
       || (asleep[3] && WORD(3) == w)
#endif
     ) -> break
  od;
  n = 0
}

#define GIVEN_BACK(k) (tries[k] >= BOUND -> DEAD : READY)
#define SIGNAL(w, due, n) if :: ec[w] & W -> ec[w]++; due = n :: else fi
#ifdef JOIN_ONE
#define JOINERS 1
#else
#define JOINERS 9
#endif
#ifdef JOIN_SILENT
#define LOOKS_IDLE false
#else
#define LOOKS_IDLE IDLE
#endif
/* With the latch of the takers: nobody else makes it idle, and a message that comes
   meanwhile has them look again. */
#define IDLES(at, signals, then) \
  :: atomic { AT(at) -> GO((LOOKS_IDLE -> signals : then)) } \
  :: atomic { AT(signals) -> SIGNAL(ID, joins, JOINERS); GO(then) }
#ifdef WAKE_ONE
#define AS_MANY(k) 1
#define PASSES(more) false
#else
#define AS_MANY(k) k
#define PASSES(more) (more)
#endif
#define ANY (i == 0 -> ANY_FREE : ANY_READY)
#ifdef CLEAR_W
#define SETTLES(then) :: atomic { AT(settle) -> duty = false; GO(then) }
#else
#define SETTLES(then) \
  :: atomic { AT(settle) -> duty = false; ec[WORD(i)] = ec[WORD(i)] | W; GO(settle_look) } \
  :: atomic { AT(settle_look) -> pass = PASSES(ANY); GO(then) }
#endif
/* More is there for others: one signal, without the latch. */
#define PASSES_ON(then) \
  :: atomic { AT(signal_own) && !pass -> GO(then) } \
  :: atomic { AT(signal_own) && pass -> pass = false; SIGNAL(WORD(i), due, 1); GO(wake_own) } \
  :: atomic { AT(wake_own) -> wake_up(WORD(i), due); GO(then) }
#ifdef EXPIRY_SILENT
#define SIGNAL_BACK skip
#else
#define SIGNAL_BACK SIGNAL(NE, back, came)
#endif
#if defined(SLEEP_LONG)
#define BY_ITSELF false
#elif defined(SLEEP_SEEN)
#define BY_ITSELF saw
#else
#define BY_ITSELF true
#endif

/* Waiting: announced, looked again, and unlatched; woken with a duty, or by itself without. */
#ifdef NO_LOOK
#define LOOKS(there) false
#else
#define LOOKS(there) (there)
#endif
#define WAITING(at, there) \
  :: atomic { AT(announce) -> v = ec[WORD(i)] | W; ec[WORD(i)] = v; saw = (leased > 0); GO(second) } \
  :: atomic { AT(second) -> duty = duty && LOOKS(there); GO((LOOKS(there) -> again_unlatch : leave_asleep)) } \
  :: atomic { AT(again_unlatch) -> UNLATCH; v = 0; saw = false; GO((came + joins > 0 -> signal_back : at)) } \
  :: atomic { AT(leave_asleep) -> UNLATCH; w8 = true; GO((came + joins > 0 -> signal_back : slept)) } \
  :: atomic { AT(slept) && w8 -> w8 = false; if :: ec[WORD(i)] == v -> asleep[i] = true :: else fi } \
  :: atomic { AT(slept) && !w8 && !asleep[i] -> v = 0; saw = false; duty = true; GO(at) } \
  :: atomic { AT(slept) && !w8 && asleep[i] && i > 0 && BY_ITSELF && (OVER(0) || OVER(1)) -> \
       asleep[i] = false; v = 0; saw = false; GO(at) }

/* What ended leases owe, once the latch is free. */
#define WAKES_BACK(then) \
  :: atomic { AT(signal_back) -> if :: came > 0 -> SIGNAL_BACK :: else fi; came = 0; GO(wake_back) } \
  :: atomic { AT(wake_back) -> wake_up(NE, back); GO(wake_idle) } \
  :: atomic { AT(wake_idle) -> wake_up(ID, joins); GO(then) }

/* Leases that are over, before a look: a store each. */
#ifdef EXPIRY
#define EXPIRES(then) \
  :: atomic { AT(expire) && s < S -> \
       if \
       :: OVER(s) -> st[s] = GIVEN_BACK(s); own[s] = 0; holder[s] = 0; GO(end_push) \
       :: else -> s++ \
       fi } \
  :: atomic { AT(end_push) -> leased--; ended = true; if :: IS(s, READY) -> ready[s] = true; came++ :: else fi; \
       s++; GO(expire) } \
  :: atomic { AT(expire) && s == S -> s = 0; GO((ended -> end_next : then)); ended = false } \
  IDLES(end_next, end_signal, then)
#define FIRST expire
#else
#define EXPIRES(then)
#define FIRST look
#endif

#define LATCH(at, held) \
  :: atomic { AT(at) && latch[MINE(i)] == 0 -> latch[MINE(i)] = i+1; assert(inside[MINE(i)] == 0); \
       inside[MINE(i)] = i+1; GO(held) }
#define KILL(clean) \
  :: atomic { kills > 0 && !AT(done) -> kills--; dead[i] = true; todo[i] = true; asleep[i] = false; \
       if :: inside[MINE(i)] == i+1 -> inside[MINE(i)] = 0 :: else fi; \
       v = 0; s = 0; k = 0; due = 0; back = 0; joins = 0; came = 0; w8 = false; saw = false; duty = false; \
       pass = false; ended = false; clean; GO(done); break }

proctype producer(byte i) {
  mtype pc = enter; byte v, s, k, m, due, back, joins, came; bool duty, pass, w8, saw, ended;
end:
  do
  LATCH(enter, look)
  :: atomic { AT(look) -> GO((ANY_FREE -> pop : announce)) }
  :: atomic { AT(pop) -> s = (free_[0] -> 0 : 1); free_[s] = false; GO(commit) }
  :: atomic { AT(commit) -> assert(IS(s, FREE)); st[s] = READY; tries[s] = 0; committed++; GO(push) }
  :: atomic { AT(push) -> ready[s] = true; s = 0; k++; m++;
       GO((k < K && m < MSGS -> more : (duty -> settle : over_))) }
  :: atomic { AT(more) -> GO((ANY_FREE -> pop : (duty -> settle : over_))) }
  SETTLES(over_)
  :: atomic { AT(over_) -> UNLATCH; GO(signal) }
  :: atomic { AT(signal) -> SIGNAL(NE, due, AS_MANY(k)); k = 0; GO(wake) }
  :: atomic { AT(wake) -> wake_up(NE, due); GO(signal_own) }
  PASSES_ON(read_)
  :: atomic { AT(read_) -> if :: m < MSGS -> GO(enter) :: else -> m = 0; GO(done); break fi }
  WAITING(enter, ANY_FREE)
  KILL(m = 0)
  od
}

proctype consumer(byte i) {
  mtype pc = enter; byte v, s, k, due, back, joins, came, mine[S]; bool duty, pass, w8, saw, ended, theirs;
end:
  do
  LATCH(enter, FIRST)
  EXPIRES(look)
  :: atomic { AT(look) -> GO((ANY_READY -> pop : announce)) }
  :: atomic { AT(pop) -> s = (ready[0] -> 0 : 1); ready[s] = false; GO(deadline) }
  :: atomic { AT(deadline) -> over[s] = false; GO(leased_) }
  :: atomic { AT(leased_) -> assert(IS(s, READY)); st[s] = LEASED; own[s] = ME; tries[s]++; mine[s] = tries[s];
       holder[s] = i; GO(count_) }
  :: atomic { AT(count_) -> leased++; s = 0; k++; GO((k < CK && ANY_READY -> pop : (duty -> settle : over_))) }
  SETTLES(over_)
  :: atomic { AT(over_) -> UNLATCH; k = 0; GO((came + joins > 0 -> signal_back : signal_own)) }
  WAKES_BACK((v == 0 -> (mine[0] + mine[1] > 0 -> signal_own : enter) : slept))
#ifdef STALL
  PASSES_ON((i == 1 -> read_ : again))
  :: atomic { AT(read_) -> mine[0] = 0; mine[1] = 0; GO(done); break }
#else
  PASSES_ON(again)
#endif

  /* the leases end, a store each, in one hold */
  LATCH(again, end_)
#ifdef ACK_BLIND
#define HIS(x) (IS(x, LEASED) && own[x] == ME)
#else
#define HIS(x) (IS(x, LEASED) && own[x] == ME && tries[x] == mine[x])
#endif
  :: atomic { AT(end_) && s < S && (mine[s] == 0 || !HIS(s)) -> mine[s] = 0; s++ }
  :: atomic { AT(end_) && s < S && mine[s] != 0 && HIS(s) ->
       theirs = (holder[s] == i); assert(theirs); theirs = 0; holder[s] = 0; mine[s] = 0; own[s] = 0;
#ifdef NACK
       if
       :: k > 0 -> st[s] = GIVEN_BACK(s)
       :: else -> st[s] = FREE; acked++
       fi;
#else
       st[s] = FREE; acked++;
#endif
       GO(push) }
  :: atomic { AT(push) -> leased--;
       if
       :: IS(s, FREE) -> free_[s] = true; k++
       :: IS(s, READY) -> ready[s] = true; came++
       :: else
       fi;
       s++; GO(end_) }
  :: atomic { AT(end_) && s == S -> s = 0; GO(idle_) }
  IDLES(idle_, idle_signal, unlatch)
  :: atomic { AT(unlatch) -> UNLATCH; GO(signal) }
  :: atomic { AT(signal) -> if :: k > 0 -> SIGNAL(NF, due, AS_MANY(k)) :: else fi; k = 0; GO(wake) }
  :: atomic { AT(wake) -> wake_up(NF, due); GO(commit) }
  :: atomic { AT(commit) -> if :: came > 0 -> SIGNAL(NE, back, AS_MANY(came)) :: else fi; came = 0; GO(end_wake) }
  :: atomic { AT(end_wake) -> wake_up(NE, back); GO(more) }
  :: atomic { AT(more) -> wake_up(ID, joins); GO(done); break }
  WAITING(enter, ANY_READY)
  KILL(mine[0] = 0; mine[1] = 0)
  od
}

proctype joiner(byte i) {
  mtype pc = enter; byte v, s, k, due, back, joins, came; bool duty, pass, w8, saw, ended;
end:
  do
  LATCH(enter, FIRST)
  EXPIRES(look)
  :: atomic { AT(look) -> duty = false; GO((IDLE -> over_ : announce)) }
  :: atomic { AT(over_) -> UNLATCH; GO((came + joins > 0 -> signal_back : done)) }
  WAKES_BACK((w8 -> slept : done))
  :: atomic { AT(done) -> break }
  WAITING(enter, false)
  KILL(skip)
  od
}

/* Time passes. */
proctype clock() {
end:
  do
  :: atomic { IS(0, LEASED) && !over[0] -> over[0] = true }
  :: atomic { IS(1, LEASED) && !over[1] -> over[1] = true }
  od
}

proctype recovery() {
  byte c, k, v; bool exact;
#define PICK(n) :: atomic { todo[n] -> c = n }
#define STEALS(l) (latch[l] == 0 || (latch[l] != DMN && dead[latch[l]-1]))
#define STEAL(l) atomic { STEALS(l) -> latch[l] = DMN; assert(inside[l] == 0); inside[l] = DMN }
#define GIVE(l) atomic { inside[l] = 0; latch[l] = 0 }
end:
  do
  :: if
     PICK(0) PICK(1)
#if N > 2
     PICK(2)
#endif
#if N > 3
     PICK(3)
#endif
     fi;
#ifdef ONE_LATCH
     if
     :: c == 0 -> STEAL(PUT)
     :: else -> STEAL(TAKE)
     fi;
#else
     STEAL(PUT);
     STEAL(TAKE);
#endif
     do
     :: atomic { k < S ->
          if
          :: IS(k, LEASED) && own[k] == c+1 -> st[k] = GIVEN_BACK(k); own[k] = 0; holder[k] = 0
          :: else
          fi;
          k++ }
     :: atomic { k == S -> k = 0; break }
     od;
#ifndef NO_REBUILD
     atomic { free_[0] = IS(0, FREE); free_[1] = IS(1, FREE); ready[0] = IS(0, READY); ready[1] = IS(1, READY);
       leased = ALL(LEASED) };
#endif
     atomic { SURE; ec[NE] = ec[NE] + 2 };
     atomic { ec[NF] = ec[NF] + 2 };
     atomic { ec[ID] = ec[ID] + 2 };
#ifdef ONE_LATCH
     if
     :: c == 0 -> GIVE(PUT)
     :: else -> GIVE(TAKE)
     fi;
#else
     GIVE(TAKE);
     GIVE(PUT);
#endif
#ifndef NO_BROADCAST
     atomic { v = 9; wake_up(NE, v) };
     atomic { v = 9; wake_up(NF, v) };
     atomic { v = 9; wake_up(ID, v) };
#endif
     atomic { todo[c] = false; c = 0 }
  od
}

#define UNHEARD(k) (asleep[k] && !(ec[WORD(k)] & W))
#define BESIDE(k)  (asleep[k] && (k == 0 -> ANY_FREE : OVER(0) || OVER(1) || (k <= NC -> ANY_READY : IDLE)))

proctype watch() {
  bool beside, unheard, owed, exact; byte k;
end:
  atomic {
    timeout ->
    assert(latch[0] == 0);
    assert(latch[1] == 0);
    SURE;
    assert(committed == acked + ALL(READY) + ALL(LEASED) + ALL(DEAD));
    do
    :: k < N -> beside = beside || BESIDE(k); unheard = unheard || UNHEARD(k); owed = owed || todo[k]; k++
    :: else -> break
    od;
    assert(!beside);
    assert(!owed);
    assert(!unheard)
  }
}

init {
  byte k;
  atomic {
    /* An unspent kill would hide a deadlock, so the budget is chosen here. */
    do :: kills < KILLS -> kills++ :: break od;
    free_[0] = true; free_[1] = true;
    run producer(0);
    k = 1;
    do :: k <= NC -> run consumer(k); k++ :: else -> break od;
    do :: k < N -> run joiner(k); k++ :: else -> break od;
#ifdef EXPIRY
    run clock();
#endif
    run recovery(); run watch(); k = 0
  }
}
