/* The barrier: one 64-bit word, and a cell for each seat.

   Code stated here: shm/barrier.go and clients/c/barrier.c.

   word  {generation, phase, field | history}; every transition is one
         compare-and-swap of all of it, and sleepers compare its low half, which is
         all but the history
           FILL    field = how many have arrived
           ACTION  field = the seat that runs the action
           BROKEN  field = why
         history: how the last generations ended, BAD, OK or DEATH
   cell  0 = observer, 1 = party, 2|generation<<2 = this seat's death is being
         charged to that generation

   The arrival that completes a generation moves on to the next one at once, or by
   way of ACTION if there is an action. A waiter knows its generation, and learns
   from the history how that ended. A death of a party breaks one generation: the
   one that its cell is charged with, or if that had ended already the one that
   stands then. A party that leaves in order clears its cell, and breaks nothing.
   Removed: the state is stored, then the word broken; who loads the word looks at
   the state after that.

   Every `:: atomic` is one access to shared memory, or one futex call. A client
   may be killed between any two of them, the daemon too: its successor starts the
   recovery again from the top.

   Checked, and what pan prints if it does not hold:
     1. success is told only for a generation that all
        reached, with its action done                    reached, acted[
     2. at rest everybody asleep is one of the arrived
        of the generation that stands, and it is not
        full                                             !(stranded)
     3. ... and all of the arrived are asleep there      (field==sleepers)
     4. a party's death breaks a generation ...          charged
     5. ... and no more than one; nobody else's does     breaks<=deaths
     6. all of a generation are told the same            told[
     7. at rest recovery is done                         rpc==0
     8. after remove nobody sleeps                       !((sleepers&&removed))

   Shape: NC clients arrive, ITER rounds each, at a barrier of PARTIES; one observer
     resets RESETS times, aborts ABORTS times; KILLS DKILLS; TIMEOUTS (client 0)
     ACTION    with an action
     RAISES    (ACTION) it may fail
     DECLARED  clients are parties before they first arrive
     CLOSE     clients leave in order after their rounds
     QUIT      (ACTION) a leader may leave in order instead of ending its action
     PAIR      clients 0 and 1 are threads of one process: one seat, one death
     SOCK      the daemon acts for the last client; its death cuts that short, and
               the client asks whether it leads, and does not arrive again
     DESTROY   the barrier is removed
     STATE_FIRST  (DESTROY) who waits looks at the state, then loads the word (sound
               too: a reset moves the generation)

   Must fail:
     NO_DEATHWAKE      a death breaks, but wakes nobody
     NO_START_SWEEP    (SOCK) the successor does not sweep
     REMEMBERED        (SOCK) a client arrives again without a look at its cell,
                       which its first arrival may not have reached
     NO_HIST           a generation that is over counts as reached
     RELEASE_FIRST     (ACTION) all are released, then the action runs
     LEADER_BLIND      (ACTION) the leader completes by a store
     NO_ACTION_DEATH   (ACTION) a death in ACTION breaks nothing
     CLEAR_FIRST       recovery clears the cell, then breaks
     NO_CHARGE         the cell does not say which generation the death breaks
     OBSERVERS         an observer's death breaks too
     CLOSE_BREAKS      (CLOSE) an orderly end is recovered like a death
     QUIT_ALONE        (QUIT) an orderly end breaks nothing, not even what it leads
     TIMEOUT_BLIND     (TIMEOUTS) a timeout breaks what stands, whatever that is
     REMOVE_STATE_ONLY (DESTROY) the state is stored and all are woken, no more
     BREAK_FIRST       (DESTROY) the word is broken, then the state stored: a reset
                       comes in between
     NO_LOOK           (DESTROY) nobody looks at the state: a reset brings the
                       barrier back                                              */

#ifndef NC
#define NC 2
#endif
#ifndef PARTIES
#define PARTIES 2
#endif
#ifndef ITER
#define ITER 1
#endif
#ifndef RESETS
#define RESETS 0
#endif
#ifndef ABORTS
#define ABORTS 0
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef DKILLS
#define DKILLS 0
#endif

#define N      (NC+1)     /* the observer is last */
#define GENS   6          /* generations, at most */
#define BAD    0
#define OK     1
#define DEATH  2          /* in the history; as a reason it is a bit */
#define OTHER  1          /* the other reasons: timeout, abort, a failed action */

#ifdef PAIR
#define SEAT(i) (i == 0 -> 1 : i)
#else
#define SEAT(i) i
#endif
#define ME SEAT(i)

mtype = { FILL, ACTING, BROKEN };
mtype = {
  a_cell, a_load, a_state, a_count, a_lead, act, acting, a_done, a_raise, a_wake,
  over, overslept, w_load, w_state, wait, slept, late, w_break, resume,
  leave, next, o_load, o_reset, o_abort, o_wake,
  r_cell, r_led, r_quit, r_gen, r_charge, r_load, r_break, r_wake, r_clear, r_wake_again, r_done,
  x_state, x_load, x_break, x_wake, done
};
#define idle 0

/* the word */
byte gen, field; mtype phase = FILL;
byte hist[GENS];          /* by generation; the code keeps the last eight */
byte cell[N];             /* by seat */
bool removed;             /* the segment's state word */
bool asleep[NC];          /* the kernel's queue on the word */
bool todo[N];             /* by seat: its end is not yet recovered */
#ifdef QUIT
bool orderly[N];          /* ... which was no death */
#define ORDERLY orderly[c]
#else
#define ORDERLY false
#endif
mtype rpc = idle; bool sweep;
byte kills, dkills;

/* ghosts */
byte arrived[GENS];
byte acted[GENS];         /* 2 = the action is done */
byte told[GENS];          /* 1 = success, 2 = broken */
byte in_gen[NC];              /* the generation that each sleeper waits for */
byte breaks, deaths;      /* generations broken by a death; deaths of parties */
bool party[N]; byte when[N];   /* was a party when it died, in generation when */
#ifdef PAIR
bool pair_dead;
#define PAIR_DEAD (i < 2 && pair_dead)
#else
#define PAIR_DEAD false
#endif

inline wake_all() {
  asleep[0] = false; asleep[1] = false;
#if NC > 2
  asleep[2] = false;
#endif
}

#define AT(s) (pc == s)
#define GO(s) pc = s
#define LOAD  g = gen; p = phase; f = field
#define SAME  (g == gen && p == phase && f == field)
#define FORGET g = 0; p = 0; f = 0; mine = 0; it = 0

#if defined(DESTROY) && !defined(NO_LOOK)
#define REMOVED removed
#else
#define REMOVED false
#endif

#define SUCCESS(x) reached = (hist[x] == OK && arrived[x] == PARTIES); assert(reached); \
       assert(acted[x] == ACTED); TELL(x, 1)
#define TELL(x, what) told[x] = told[x] | what; assert(told[x] != 3)
#ifdef ACTION
#define ACTED 2
#define LEAD phase = ACTING; field = ME + 1; mine = g; GO(act)
#else
#define ACTED 0
#define LEAD hist[g] = OK; NEXT; SUCCESS(g); GO(a_wake)
#endif
#define NEXT gen = gen + 1; phase = FILL; field = 0
#define BREAK(why) phase = BROKEN; field = why

#ifdef REMEMBERED
#define AGAIN a_load
#else
#define AGAIN a_cell
#endif

/* What is done with the word that was loaded; the state was looked at after it. */
inline arrival() {
  if
  :: REMOVED || p == BROKEN -> GO(leave)
  :: !REMOVED && p == ACTING -> GO(over)
  :: !REMOVED && p == FILL && f + 1 < PARTIES -> GO(a_count)
  :: !REMOVED && p == FILL && f + 1 >= PARTIES -> GO(a_lead)
  fi
}
inline waiting() {
  if
  :: g == mine && p == BROKEN -> TELL(g, 2); GO(leave)
  :: g == mine && REMOVED && p != BROKEN -> GO(leave)
  :: g == mine && !REMOVED && p != BROKEN -> GO(wait)
  :: g != mine -> learned()
  fi
}
inline learned() {        /* the generation is over: how did it end? */
#ifndef NO_HIST
  if
  :: hist[mine] == OK -> SUCCESS(mine)
  :: else -> TELL(mine, 2)
  fi;
#else
  SUCCESS(mine);
#endif
  GO(leave)
}

proctype client(byte i) {
  mtype pc = a_cell, p; byte g, f, mine, it; bool reached;
  {
end:                      /* it may sleep for ever if nobody comes: watch() looks */
  do
  :: atomic { AT(a_cell) -> cell[ME] = 1; GO(a_load) }
#ifdef STATE_FIRST
  :: atomic { AT(a_load) -> if :: removed -> GO(leave) :: else -> GO(a_state) fi }
  :: atomic { AT(a_state) -> LOAD; GO(a_load);
       if
       :: p == BROKEN -> GO(leave)
       :: p == ACTING -> GO(over)
       :: p == FILL && f + 1 < PARTIES -> GO(a_count)
       :: p == FILL && f + 1 >= PARTIES -> GO(a_lead)
       fi }
#elif defined(DESTROY)
  :: atomic { AT(a_load) -> LOAD; GO(a_state) }
  :: atomic { AT(a_state) -> arrival() }
#else
  :: atomic { AT(a_load) -> LOAD; arrival() }
#endif
  :: atomic { AT(a_count) ->
       if
       :: SAME -> field = f + 1; arrived[g] = f + 1; mine = g; GO(w_load)
       :: else -> GO(a_load)
       fi }
  :: atomic { AT(a_lead) ->
       if
       :: SAME -> arrived[g] = f + 1;
#ifdef RELEASE_FIRST
            hist[g] = OK; mine = g; NEXT; wake_all(); GO(act)
#else
            LEAD
#endif
       :: else -> GO(a_load)
       fi }
  :: atomic { AT(act) -> acted[mine] = 1; GO(acting) }
#ifdef QUIT
  :: atomic { AT(acting) -> todo[ME] = true; orderly[ME] = true; FORGET; GO(done); break }
#endif
#ifdef RAISES
  :: atomic { AT(act) -> g = mine; p = ACTING; f = ME + 1; GO(a_raise) }
#endif
#ifdef RELEASE_FIRST
  :: atomic { AT(acting) -> acted[mine] = 2; GO(leave) }
#else
  :: atomic { AT(acting) -> acted[mine] = 2; g = mine; p = ACTING; f = ME + 1; GO(a_done) }
#endif
  :: atomic { AT(a_done) ->
       if
#ifdef LEADER_BLIND
       :: true -> hist[mine] = OK; gen = mine + 1; phase = FILL; field = 0; SUCCESS(mine);
            GO(a_wake)
#else
       :: SAME -> hist[g] = OK; NEXT; SUCCESS(mine); GO(a_wake)
       :: else -> TELL(mine, 2); GO(leave)
#endif
       fi }
  :: atomic { AT(a_raise) ->
       if
       :: SAME -> BREAK(OTHER); TELL(mine, 2); GO(a_wake)
       :: else -> TELL(mine, 2); GO(leave)
       fi }
  :: atomic { AT(a_wake) -> wake_all(); GO(leave) }

  /* one too many while the action runs: for the next generation */
  :: atomic { AT(over) ->
       if
       :: SAME -> in_gen[i] = g; asleep[i] = true; GO(overslept)
       :: else -> GO(a_load)
       fi }
  :: atomic { AT(overslept) && !asleep[i] -> in_gen[i] = 0; GO(a_load) }
#ifdef TIMEOUTS
  :: atomic { AT(overslept) && asleep[i] && i == 0 -> in_gen[i] = 0; asleep[i] = false; GO(leave) }
#endif

#ifdef STATE_FIRST
  :: atomic { AT(w_load) -> if :: removed -> GO(leave) :: else -> GO(w_state) fi }
  :: atomic { AT(w_state) -> LOAD;
       if
       :: g == mine && p == BROKEN -> TELL(g, 2); GO(leave)
       :: g == mine && p != BROKEN -> GO(wait)
       :: g != mine -> learned()
       fi }
#elif defined(DESTROY)
  :: atomic { AT(w_load) -> LOAD; GO(w_state) }
  :: atomic { AT(w_state) -> waiting() }
#else
  :: atomic { AT(w_load) -> LOAD; waiting() }
#endif
  :: atomic { AT(wait) ->
       if
       :: SAME -> in_gen[i] = g; asleep[i] = true; GO(slept)
       :: else -> GO(w_load)
       fi }
  :: atomic { AT(slept) && !asleep[i] -> in_gen[i] = 0; GO(w_load) }
#ifdef TIMEOUTS
  :: atomic { AT(slept) && asleep[i] && i == 0 -> in_gen[i] = 0; asleep[i] = false; GO(late) }
  :: atomic { AT(late) -> LOAD;
       if
#ifdef TIMEOUT_BLIND
       :: p != BROKEN -> GO(w_break)
       :: p == BROKEN -> GO(leave)
#else
       :: g == mine && p != BROKEN -> GO(w_break)
       :: g == mine && p == BROKEN -> TELL(g, 2); GO(leave)
       :: g != mine -> learned()
#endif
       fi }
  :: atomic { AT(w_break) ->
       if
       :: SAME -> BREAK(OTHER); TELL(mine, 2); GO(a_wake)
       :: else -> GO(late)
       fi }
#endif

  :: atomic { AT(leave) -> g = 0; p = 0; f = 0; mine = 0; it++;
       if
       :: it < ITER -> GO(AGAIN)
       :: else -> it = 0; GO(next)
       fi }
  :: atomic { AT(next) ->
#ifdef CLOSE_BREAKS
       todo[ME] = true;
#elif defined(CLOSE)
       cell[ME] = 0;
#endif
       GO(done); break }

#ifdef SOCK
  /* the daemon died in the middle of a call, and not of the action, which is the
     client's own; what comes of the call the client does not learn */
  :: atomic { i == NC-1 && dkills > 0 && !AT(act) && !AT(acting) && !AT(leave) && !AT(next) ->
       dkills--; rpc = idle; asleep[i] = false; in_gen[i] = 0;
#ifndef NO_START_SWEEP
       sweep = true;
#endif
       GO(resume) }
  :: atomic { AT(resume) && !sweep ->
       if
       :: phase == ACTING && field == ME + 1 -> mine = gen; GO(act)
       :: else -> GO(leave)
       fi }
#endif
  :: atomic { kills > 0 -> kills--; todo[ME] = true;
       if
       :: cell[ME] != 0 -> deaths++; party[ME] = true; when[ME] = gen
       :: else
       fi;
       asleep[i] = false; in_gen[i] = 0;
#ifdef PAIR
       if
       :: i < 2 -> asleep[0] = false; asleep[1] = false; in_gen[0] = 0; in_gen[1] = 0;
            pair_dead = true          /* last: the unless cuts in here */
       :: else
       fi;
#endif
       FORGET; GO(done); break }
  od
  } unless { atomic { PAIR_DEAD && !AT(done) -> FORGET; GO(done) } }
}

/* No party: nothing breaks if it dies. */
proctype observer(byte i) {
  mtype pc = o_load, p; byte g, f, mine, it, resets = RESETS, aborts = ABORTS;
  do
  :: atomic { AT(o_load) && resets > 0 -> resets--; GO(o_reset) }
  :: atomic { AT(o_load) && aborts > 0 -> aborts--; LOAD; GO((p == BROKEN -> o_load : o_abort)) }
  :: atomic { AT(o_reset) ->                 /* its loop looks at no other word */
       hist[gen] = (phase == BROKEN && (field & DEATH) -> DEATH : BAD); NEXT; GO(o_wake) }
  :: atomic { AT(o_abort) ->
       if
       :: SAME -> BREAK(OTHER); GO(o_wake)
       :: else -> aborts++; GO(o_load)
       fi }
  :: atomic { AT(o_wake) -> wake_all(); GO(o_load) }
  :: atomic { AT(o_load) && resets == 0 && aborts == 0 -> FORGET; GO(done); break }
  :: atomic { kills > 0 -> kills--; todo[i] = true; FORGET; resets = 0; aborts = 0; GO(done); break }
  od
}

#ifdef NO_ACTION_DEATH
#define IGNORE (p == ACTING)
#else
#define IGNORE false
#endif
#define CHARGED_WITH (cell[c] >> 2)

proctype recovery() {
  mtype p; byte c, g, f;
end:
  do
#define PICK(k) :: atomic { rpc == idle && !sweep && todo[k] -> c = k; rpc = r_cell }
  PICK(0) PICK(1) PICK(2)
#if NC > 2
  PICK(3)
#endif
  :: atomic { rpc == idle && sweep -> c = N; rpc = r_wake_again }

#ifdef OBSERVERS
  :: atomic { rpc == r_cell -> rpc = (cell[c] > 1 -> r_load : r_gen) }
#else
  :: atomic { rpc == r_cell ->
       rpc = (ORDERLY -> r_led : (cell[c] == 0 -> r_wake_again : (cell[c] == 1 -> r_gen : r_load)));
#ifdef CLEAR_FIRST
       cell[c] = 0
#endif
     }
#endif
#ifdef QUIT_ALONE
  :: atomic { rpc == r_led -> rpc = r_clear }
#else
  :: atomic { rpc == r_led -> LOAD; rpc = (p == ACTING && f == c+1 -> r_quit : r_clear) }
#endif
  :: atomic { rpc == r_quit ->
       if
       :: SAME -> BREAK(OTHER); rpc = r_clear
       :: else -> rpc = r_led
       fi }
  :: atomic { rpc == r_gen -> g = gen; rpc = r_charge }
  :: atomic { rpc == r_charge -> cell[c] = 2 + (g << 2); g = 0; rpc = r_load }
  :: atomic { rpc == r_load -> LOAD;
       if
#ifdef NO_CHARGE
       :: p == BROKEN && (f & DEATH) -> rpc = r_clear
       :: else -> rpc = r_break
#else
       :: g == CHARGED_WITH && ((p == BROKEN && (f & DEATH)) || IGNORE) -> rpc = r_clear
       :: g == CHARGED_WITH && !(p == BROKEN && (f & DEATH)) && !IGNORE -> rpc = r_break
       :: g != CHARGED_WITH && hist[CHARGED_WITH] == DEATH -> rpc = r_clear
       :: g != CHARGED_WITH && hist[CHARGED_WITH] != DEATH -> rpc = r_charge
#endif
       fi }
  :: atomic { rpc == r_break ->
       if
       :: SAME -> BREAK((p == BROKEN -> f | DEATH : DEATH)); breaks++; rpc = r_wake
       :: else -> rpc = r_load
       fi }
#ifdef NO_DEATHWAKE
  :: atomic { rpc == r_wake -> rpc = r_clear }
  :: atomic { rpc == r_clear -> cell[c] = 0; rpc = r_done }
  :: atomic { rpc == r_wake_again -> rpc = r_done }
#else
  :: atomic { rpc == r_wake -> wake_all(); rpc = r_clear }
  :: atomic { rpc == r_clear -> cell[c] = 0; rpc = r_wake_again }
  :: atomic { rpc == r_wake_again -> wake_all(); rpc = r_done }
#endif
  :: atomic { rpc == r_done -> rpc = idle; p = 0; g = 0; f = 0;
       if
       :: c == N -> sweep = false
       :: else -> todo[c] = false
       fi;
       c = 0 }
#ifndef SOCK
  :: atomic { dkills > 0 && rpc != idle -> dkills--; rpc = idle; c = 0; p = 0; g = 0; f = 0 }
#endif
  od
}

#ifdef DESTROY
#ifdef BREAK_FIRST
#define X_FIRST x_load
#define X_AFTER x_state
#define X_STATE x_wake
#elif defined(REMOVE_STATE_ONLY)
#define X_FIRST x_state
#define X_STATE x_wake
#define X_AFTER x_wake
#else
#define X_FIRST x_state
#define X_STATE x_load
#define X_AFTER x_wake
#endif
proctype remover() {
  mtype pc = X_FIRST, p; byte g, f;
  do
  :: atomic { AT(x_state) -> removed = true; GO(X_STATE) }
  :: atomic { AT(x_load) -> LOAD; GO((p == BROKEN -> X_AFTER : x_break)) }
  :: atomic { AT(x_break) ->
       if
       :: SAME -> BREAK(OTHER); GO(X_AFTER)
       :: else -> GO(x_load)
       fi }
  :: atomic { AT(x_wake) -> wake_all(); p = 0; g = 0; f = 0; GO(done); break }
  :: atomic { dkills > 0 -> dkills--; p = 0; g = 0; f = 0; GO(X_FIRST) }
  od
}
#endif

#define STRANDED(k) (asleep[k] && !(in_gen[k] == gen && phase == FILL && field < PARTIES))
#define BY(x) (hist[x] == DEATH && (x) < gen)
#define CHARGED(k) (!party[k] || (phase == BROKEN && (field & DEATH)) || (when[k] == 0 && BY(0)) || \
  (when[k] <= 1 && BY(1)) || (when[k] <= 2 && BY(2)) || (when[k] <= 3 && BY(3)) || \
  (when[k] <= 4 && BY(4)) || (when[k] <= 5 && BY(5)))

proctype watch() {
  byte sleepers, k; bool stranded, charged;
end:
  atomic {
    timeout ->
    charged = true; stranded = false;
    do
    :: k < NC -> sleepers = sleepers + asleep[k]; stranded = stranded || STRANDED(k); k++
    :: else -> break
    od;
    k = 0;
    do
    :: k < N -> charged = charged && CHARGED(k); k++
    :: else -> break
    od;
    assert(rpc == idle);
    assert(breaks <= deaths);
    assert(!(sleepers && removed));
    if
    :: !removed ->
       assert(charged);
       assert(!stranded);
#ifndef SOCK
       if
       :: phase == FILL -> assert(field == sleepers)
       :: else
       fi
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
#ifdef DECLARED
    do :: k < NC -> cell[SEAT(k)] = 1; k++ :: else -> break od;
    k = 0;
#endif
    do :: k < NC -> run client(k); k++ :: else -> break od;
    if :: RESETS + ABORTS > 0 -> run observer(NC) :: else fi;
    run recovery();
#ifdef DESTROY
    run remover();
#endif
    run watch(); k = 0
  }
}
