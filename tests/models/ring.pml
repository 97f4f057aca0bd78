/* A ring with one producer and one consumer: a stream, or one direction of a pipe.

   Code stated here: shm/ring*.go, shm/stream.go, shm/pipe.go; clients/c/ring.c, stream.c, pipe.c.

   tail  position | died | closed                head  position | told | died | closed
   Each is one word, on a line with its owner and its attention, a count that only grows.

   A commit exchanges the own word and then loads the own attention: if that is not what
   was woken for, all are woken, and what was loaded before the exchange is what they were
   woken for. Who sleeps on the other side's word judges it, adds to the attention of its
   line, loads the word and the state again, and sleeps on the value that was judged.
   Before each operation the own attention is compared with what it was at the last look:
   if it moved, everything is looked at.

   A producer that finds a mark in the tail lets END go before its first message. The
   consumer is told of an end once: by the mark, which it notes in the head (told), or by
   END, which it skips if told is set. An end of a pipe is not claimed again, and its
   reader's end refuses the writer.

   Producers 0 and 1, one after the other, consumers 2 and 3. Every `:: atomic` is one
   access to shared memory, or one futex call. A client may be killed between any two of
   them, the daemon too: its successor starts again.

   Checked, and what pan prints if it does not hold:
     1. what is received is what was committed,
        in order                                        x==sent
     2. an end is told only where one was, once         endat[, !(told[
     3. every end that lies behind is told              untold
     4. nobody sleeps for ever while there is something
        for it, or after removal; no role is left with
        the dead                                        !(late)
     5. a send or receive that begins after the pipe's
        reader has ended, or after removal, does nothing  !(blind)
     6. recovery always comes to its end                invalid end state

   Shape: MSGS of each producer, CAP, KILLS DKILLS
     TIMEOUTS  consumer 2 leaves while it waits, or is cancelled
     ONE_PROD ONE_CONS  without client 1, or 3
     OPEN      a producer that has sent everything keeps the role
     PIPE      a pipe; client 1 and 3 are refused
     REMOVE    the object is destroyed

   Must fail:
     NO_BROADCAST      recovery wakes nobody
     WOKEN_AFTER       they were woken for what attention is after the exchange
     ATTENTION_EARLY   attention is loaded before the exchange only
     RELOAD_BLIND      it sleeps on a value that it has not judged
     SEP_READ          the marks are not loaded together with the position
     OWNER_FIRST       recovery frees the role, then marks
     CLOSE_OWNER_FIRST an orderly end likewise
     NO_TOLD           the consumer does not note that it was told
     CLEAR_END         a successor wipes the mark, with no END
     DEAF_END          (PIPE) the reader's end leaves the tail's attention as it is
     CLAIM_BLIND       (PIPE) a claim does not look at the marks after it
     REMOVE_STATE_ONLY (REMOVE) the words stay as they are
     REMOVE_STATE_LAST (REMOVE) the words first, then the state
     REMOVE_QUIET      (REMOVE) attention stays as it is */

#ifndef MSGS
#define MSGS 1
#endif
#ifndef CAP
#define CAP 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef DKILLS
#define DKILLS 0
#endif
#define MAXP   8          /* positions: all messages and ENDs */
#define CLOSED 1
#define DIED   2

#ifdef PIPE
#define IS_PIPE true
#else
#define IS_PIPE false
#endif
#ifdef CLEAR_END
#define NEEDS_END false
#else
#define NEEDS_END (tmark != 0)
#endif
#ifdef DEAF_END
#define HEARS false
#else
#define HEARS true
#endif

mtype = {
  claim, check, begin, attend, look, look_head, look_state, room, load, marks, state, announce,
  again, again_state, wait, slept, put, get, before, commit, after, wake, end_mark, end_late, end_tail,
  end_head, end_wake, end_free, x_state, x_tail, x_head, x_quiet, x_quiet2, x_wake, done
};

byte tpos, tmark;         /* the tail's word */
byte hpos, hmark; bool htold; /* the head's word */
byte ta, ha;              /* attention */
byte po, co;              /* owners: 1 + client */
byte data[CAP];           /* 0 = END, else a message */
bool removed;             /* the segment's state word */
bool asleep[4];           /* the kernel's queues: 0 and 1 on the head, 2 and 3 on the tail */
bool owed[4];             /* its death is not yet recovered */
bool dead[4];
byte kills, dkills;

/* ghosts */
byte sent[MAXP];
bool endat[MAXP], told[MAXP];
byte serial;
bool readerGone;          /* the pipe's reader has ended, up to the last store */
bool allGone;             /* removal is through */

#define AT(s) (pc == s)
#define GO(s) pc = s

inline wakeC() { asleep[2] = false; asleep[3] = false }
inline wakeP() { asleep[0] = false; asleep[1] = false }

#define CLEAN_P asleep[i] = false; x = 0; seen = 0; looked = 0; woken = 0; now = 0; wpos = 0; wmark = 0; wtold = 0; blind = 0

proctype producer(byte i) {
  mtype pc = claim;
  byte x, m, seen, looked, woken, now, wpos, wmark; bool wtold, blind;
endp:                     /* it may sleep for ever if nobody reads: watch() looks */
  do
  :: atomic { AT(claim) && po == 0 -> po = i+1; GO((IS_PIPE -> check : begin)) }
  :: atomic { AT(claim) && removed -> GO(done); break }
#ifdef CLAIM_BLIND
  :: atomic { AT(check) -> GO(begin) }
#else
  :: atomic { AT(check) ->
       if
       :: tmark != 0 -> GO(end_free)
       :: else -> GO(begin)
       fi }
#endif
  :: atomic { AT(begin) -> assert(!IS_PIPE || !endat[tpos] || removed);
       x = (NEEDS_END -> 0 : 1); seen = hpos; looked = ta-1; woken = ta-1;
       if :: x != 0 -> serial++; x = serial :: else fi;
       GO(attend) }
  :: atomic { AT(attend) -> blind = readerGone || allGone; GO((ta == looked -> room : look)) }
  :: atomic { AT(look) -> looked = ta; GO((IS_PIPE -> look_head : look_state)) }
  :: atomic { AT(look_head) -> wmark = hmark; GO(look_state) }
  :: atomic { AT(look_state) ->
       if
       :: removed -> CLEAN_P; GO(done); break
       :: !removed && wmark != 0 -> GO(end_mark)
       :: else -> GO(room)
       fi; wmark = 0 }
  :: atomic { AT(room) -> GO((tpos - seen < CAP -> put : load)) }
  :: atomic { AT(load) -> wpos = hpos; wmark = hmark; wtold = htold; seen = hpos;
       if
       :: tpos - wpos < CAP && !(IS_PIPE && wmark != 0) -> wpos = 0; wmark = 0; wtold = 0; GO(put)
       :: else -> GO(state)
       fi }
  :: atomic { AT(state) ->
       if
       :: removed -> CLEAN_P; GO(done); break
       :: !removed && IS_PIPE && wmark != 0 -> GO(end_mark)
       :: else -> GO(announce)
       fi }
  :: atomic { AT(announce) -> ha++; GO(again) }
#ifdef RELOAD_BLIND
  :: atomic { AT(again) -> wpos = hpos; wmark = hmark; wtold = htold; GO(again_state) }
#else
  :: atomic { AT(again) -> GO((wpos == hpos && wmark == hmark && wtold == htold -> again_state : load)) }
#endif
  :: atomic { AT(again_state) -> GO((removed -> load : wait)) }
  :: atomic { AT(wait) ->
       if
       :: wpos == hpos && wmark == hmark && wtold == htold -> asleep[i] = true; GO(slept)
       :: else -> GO(load)
       fi; wpos = 0; wmark = 0; wtold = 0 }
  :: atomic { AT(slept) && !asleep[i] -> GO(load) }
  :: atomic { AT(put) -> data[tpos % CAP] = x; GO(before) }
  :: atomic { AT(before) -> now = ta; GO(commit) }
  :: atomic { AT(commit) -> assert(!blind); blind = false;
       sent[tpos] = x; tpos++; tmark = 0;
       GO(after) }
  :: atomic { AT(after) ->
#ifdef ATTENTION_EARLY
       if :: now != woken -> woken = now; GO(wake) :: else -> GO(attend) fi;
#else
       if
       :: ta != woken ->
#ifdef WOKEN_AFTER
            woken = ta;
#else
            woken = now;
#endif
            GO(wake)
       :: else -> GO(attend)
       fi;
#endif
       now = 0;
       if :: x != 0 -> m++ :: else fi;
       x = 0;
       if
       :: m < MSGS -> serial++; x = serial
       :: m >= MSGS && pc == attend -> GO(end_mark)
       :: else
       fi }
  :: atomic { AT(wake) -> wakeC(); GO((m < MSGS -> attend : end_mark)) }
#ifdef OPEN
  :: atomic { AT(end_mark) && m >= MSGS -> m = 0; CLEAN_P; GO(done); break }
#endif
#ifdef CLOSE_OWNER_FIRST
  :: atomic { AT(end_mark) -> po = 0; GO(end_late) }
  :: atomic { AT(end_late) ->
#else
  :: atomic { AT(end_mark) ->
#endif
       tmark = tmark | CLOSED; endat[tpos] = true; GO(end_tail) }
  :: atomic { AT(end_tail) -> ta++; GO(end_head) }
  :: atomic { AT(end_head) -> ha++; GO(end_wake) }
  :: atomic { AT(end_wake) -> wakeC(); wakeP(); GO(end_free) }
  :: atomic { AT(end_free) -> if :: po == i+1 -> po = 0 :: else fi; m = 0; CLEAN_P; GO(done); break }
  :: atomic { kills > 0 && !AT(claim) && !AT(done) -> kills--; owed[i] = true; dead[i] = true; m = 0; CLEAN_P;
       GO(done); break }
  od
}

#define CLEAN_C asleep[i] = false; x = 0; seen = 0; looked = 0; woken = 0; now = 0; wpos = 0; wmark = 0; e = 0; tell = 0; blind = 0

proctype consumer(byte i) {
  mtype pc = claim;
  byte x, seen, looked, woken, now, wpos, wmark; bool e, tell, blind;
endc:                     /* it may sleep for ever if nothing comes: watch() looks */
  do
  :: atomic { AT(claim) && co == 0 && !(IS_PIPE && i == 3) -> co = i+1; GO(begin) }
  :: atomic { AT(claim) && (removed || IS_PIPE && i == 3) -> GO(done); break }
  :: atomic { AT(begin) -> e = htold;                   /* one or of the head's word */
#ifndef PIPE
       hmark = 0;
#endif
       seen = hpos; looked = ha-1; woken = ha-1; GO(attend) }
  :: atomic { AT(attend) -> blind = allGone; GO((ha == looked -> room : look)) }
  :: atomic { AT(look) -> looked = ha; GO(look_state) }
  :: atomic { AT(look_state) ->
       if
       :: removed -> CLEAN_C; GO(done); break
       :: else -> GO(room)
       fi }
  :: atomic { AT(room) -> GO((hpos != seen -> get : load)) }
#ifdef SEP_READ
  :: atomic { AT(load) -> wpos = tpos; GO(marks) }
  :: atomic { AT(marks) -> wmark = tmark;
#else
  :: atomic { AT(load) -> wpos = tpos; wmark = tmark;
#endif
       if
       :: wpos != hpos -> seen = wpos; wpos = 0; wmark = 0; GO(get)
       :: else -> GO(state)
       fi }
  :: atomic { AT(state) ->
       if
       :: removed -> CLEAN_C; GO(done); break
       :: !removed && wmark != 0 && (IS_PIPE || !e) ->
            assert(endat[hpos]);
            if
            :: IS_PIPE -> assert(tpos == hpos); told[hpos] = true; GO(end_mark)
            :: else -> tell = true; GO(before)
            fi;
            wpos = 0; wmark = 0
       :: else -> GO(announce)
       fi }
  :: atomic { AT(announce) -> ta++; GO(again) }
#ifdef RELOAD_BLIND
  :: atomic { AT(again) -> wpos = tpos; wmark = tmark; GO(again_state) }
#else
  :: atomic { AT(again) -> GO((wpos == tpos && wmark == tmark -> again_state : load)) }
#endif
  :: atomic { AT(again_state) -> GO((removed -> load : wait)) }
  :: atomic { AT(wait) ->
       if
       :: wpos == tpos && wmark == tmark -> asleep[i] = true; GO(slept)
       :: else -> GO(load)
       fi; wpos = 0; wmark = 0 }
  :: atomic { AT(slept) && !asleep[i] -> GO(load) }
#ifdef TIMEOUTS
  :: atomic { (AT(slept) || AT(load)) && i == 2 -> asleep[i] = false; GO(end_mark) }
#endif
  :: atomic { AT(get) -> x = data[hpos % CAP]; assert(x == sent[hpos]); GO(before) }
  :: atomic { AT(before) -> now = ha; GO(commit) }
  :: atomic { AT(commit) -> assert(!blind); hmark = 0;
       if
       :: tell ->                                       /* the end, by the mark */
            assert(!told[hpos]); told[hpos] = true;
#ifndef NO_TOLD
            htold = true; e = true
#endif
       :: !tell && x == 0 && !e ->                      /* by END */
            assert(endat[hpos]); assert(!told[hpos]); told[hpos] = true; hpos++; htold = false
       :: else -> hpos++; htold = false; e = false
       fi;
       tell = false; x = 0; GO(after) }
  :: atomic { AT(after) ->
       if :: ha != woken -> woken = now; GO(wake) :: else -> GO(attend) fi;
       now = 0 }
  :: atomic { AT(wake) -> wakeP(); GO(attend) }
  :: atomic { AT(end_mark) -> hmark = hmark | CLOSED; GO(end_tail) }
  :: atomic { AT(end_tail) -> if :: HEARS -> ta++ :: else fi; GO(end_head) }
  :: atomic { AT(end_head) -> ha++; GO(end_wake); readerGone = IS_PIPE }
  :: atomic { AT(end_wake) -> wakeC(); wakeP(); GO(end_free) }
  :: atomic { AT(end_free) -> co = 0; CLEAN_C; GO(done); break }
  :: atomic { kills > 0 && !AT(claim) && !AT(done) -> kills--; owed[i] = true; dead[i] = true; CLEAN_C; GO(done); break }
  od
}

proctype recovery() {
  byte c; mtype pc = begin; bool p;
endr:
  do
  :: atomic { AT(begin) && (owed[0] || owed[1] || owed[2] || owed[3]) ->
       c = 0;
       do :: !owed[c] -> c++ :: else -> break od;
       p = c < 2;
       if
       :: p && po == c+1 || !p && co == c+1 ->
#ifdef OWNER_FIRST
            if :: p -> po = 0 :: else -> co = 0 fi;
#endif
            GO(end_mark)
       :: else -> GO(end_wake)
       fi }
  :: atomic { AT(end_mark) ->
       if
       :: p -> if :: !(tmark & CLOSED) -> tmark = tmark | DIED; endat[tpos] = true :: else fi
       :: else -> if :: !(hmark & CLOSED) -> hmark = hmark | DIED :: else fi
       fi;
       GO(end_tail) }
  :: atomic { AT(end_tail) -> if :: p || HEARS -> ta++ :: else fi; GO(end_head) }
  :: atomic { AT(end_head) -> ha++; if :: !p -> readerGone = IS_PIPE :: else fi; GO(end_free) }
  :: atomic { AT(end_free) -> if :: p -> po = 0 :: else -> co = 0 fi; GO(end_wake) }
  :: atomic { AT(end_wake) ->
#ifndef NO_BROADCAST
       wakeC(); wakeP();
#endif
       GO(after) }
  :: atomic { AT(after) -> owed[c] = false; c = 0; p = false; GO(begin) }
  :: atomic { dkills > 0 && !AT(begin) -> dkills--; c = 0; p = false; GO(begin) }
  od
}

#ifdef REMOVE
proctype remover() {
  mtype pc = x_state;
  do
#ifdef REMOVE_STATE_LAST
  :: atomic { AT(x_state) -> GO(x_tail) }
#else
  :: atomic { AT(x_state) -> removed = true; GO(x_tail) }
#endif
#ifdef REMOVE_STATE_ONLY
  :: atomic { AT(x_tail) -> GO(x_head) }
  :: atomic { AT(x_head) -> GO(x_quiet) }
#else
  :: atomic { AT(x_tail) -> tmark = CLOSED | DIED; GO(x_head) }
  :: atomic { AT(x_head) -> hmark = CLOSED | DIED; htold = true; GO(x_quiet) }
#endif
#ifdef REMOVE_QUIET
  :: atomic { AT(x_quiet) -> GO(x_quiet2) }
  :: atomic { AT(x_quiet2) -> GO(x_wake) }
#else
  :: atomic { AT(x_quiet) -> ta++; GO(x_quiet2) }
  :: atomic { AT(x_quiet2) -> ha++; GO(x_wake) }
#endif
  :: atomic { AT(x_wake) -> wakeC(); wakeP(); removed = true; allGone = true; GO(done); break }
  :: atomic { dkills > 0 && !AT(x_state) -> dkills--; GO(x_state) }
  od
}
#endif

#define SLEEPS_C (asleep[2] || asleep[3])
#define SLEEPS_P (asleep[0] || asleep[1])

proctype watch() {
  byte k; bool late, untold;
endw:
  atomic {
    timeout ->
    late = SLEEPS_C && (tpos != hpos || tmark != 0 && !htold) ||
           SLEEPS_P && (tpos - hpos < CAP || IS_PIPE && hmark != 0) ||
           (SLEEPS_C || SLEEPS_P) && removed ||
           po != 0 && dead[po-1] || co != 0 && dead[co-1];
    assert(!late);
    do
    :: k < hpos || k == hpos && SLEEPS_C ->
         untold = untold || (endat[k] && !told[k]); k++
    :: else -> break
    od;
    assert(removed || !untold);
    k = 0
  }
}

init {
  atomic {
    /* An unspent kill would hide a deadlock, so the budget is chosen here. */
    do :: kills < KILLS -> kills++ :: break od;
    do :: dkills < DKILLS -> dkills++ :: break od;
    run producer(0); run consumer(2);
#ifndef ONE_PROD
    run producer(1);
#endif
#ifndef ONE_CONS
    run consumer(3);
#endif
    run recovery();
#ifdef REMOVE
    run remover();
#endif
    run watch()
  }
}
