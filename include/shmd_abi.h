/* SPDX-License-Identifier: Apache-2.0
 *
 * shmd_abi.h - the shared bytes.
 *
 * This header describes what lies in a segment, for people and programs that
 * look at one: clients in other languages, tools, post-mortem readers. It is
 * not the C API (that is shmd.h) and may only change together with
 * SHMD_ABI_VERSION, shm/layout_unsafe.go, tests/abi/v1.json and the images beside it.
 *
 * A version, once it is frozen (tests/abi says which are), never changes. A segment that a later
 * daemon made says which is the oldest version whose programs can use it; the others refuse it.
 *
 * Rules of the bytes
 *   - Fixed width, little endian, no implicit padding; one layout for amd64 and
 *     arm64. Reserved bytes are named and zero.
 *   - Fields written by different parties lie on different cache lines.
 *   - Geometry (sizes, offsets, seats) is taken from the daemon's reply, never
 *     from these bytes: whoever may write a segment may forge it. The header's
 *     copy serves tools and post-mortem readers.
 *   - A word is loaded once, validated, then used.
 *   - Every store to a segment is one atomic instruction, so that a process
 *     killed at any instruction leaves a prefix of its stores behind.
 *
 * Contract of each field, in this order: who writes; who reads; which
 * atomicity; what zero means. "owner" is whoever the lock word names.
 * "immutable" = written by the daemon before the first client sees the segment.
 */
#ifndef SHMD_ABI_H
#define SHMD_ABI_H

#include <stddef.h>
#include <stdint.h>

#if !defined(__LP64__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "shmd needs a 64-bit little-endian target (amd64 or arm64); 32-bit and big-endian are not supported"
#endif

#ifdef __cplusplus
#define SHMD_ABI_ASSERT(cond, text) static_assert(cond, text)
#else
#define SHMD_ABI_ASSERT(cond, text) _Static_assert(cond, text)
#endif

/* "SHMDSEG" and a version digit, read as a little-endian number. */
#define SHMD_MAGIC 0x3047455344484d53ull
#define SHMD_ABI_VERSION 1u
#define SHMD_ABI_COMPAT 1u
/* First 8 bytes, big endian, of the SHA-256 of tests/abi/v1.json. */
#define SHMD_ABI_FINGERPRINT 0x7b878cc4cd3849f2ull

#define SHMD_PAGE_SIZE 4096u
#define SHMD_DATA_ALIGN 64u
#define SHMD_RANK_MAX 8u
#define SHMD_SEATS_DEFAULT 64u
#define SHMD_SEATS_LIMIT 4094u

/* ---- owner word (u32) ---------------------------------------------------
 *   31        waiters       somebody may sleep on the word; the releaser must
 *                           wake one
 *   30        inconsistent  an owner died holding the word; stays until an owner
 *                           marks the state consistent
 *   29 .. 12  generation    how often the seat has been given out, or the
 *                           daemon's epoch for seat 4095; a detector of stale
 *                           words, not the safety argument (a seat is reused
 *                           only after recovery swept the object)
 *   11 .. 0   seat          0 = free (then the generation is 0 too); 1..4094 = a
 *                           client's seat in this object; 4095 = the daemon
 *
 *  Lock and ownership are the same word, so taking the lock and registering as
 *  its owner is one atomic step. All 30 low bits set = the object was destroyed
 *  and the word never changes again; no generation and no epoch is that large.
 */
#define SHMD_OWNER_SEAT_MASK 0x00000fffu
#define SHMD_OWNER_GENERATION_SHIFT 12
#define SHMD_OWNER_GENERATION_MASK 0x3ffff000u
#define SHMD_OWNER_MASK 0x3fffffffu
#define SHMD_OWNER_INCONSISTENT 0x40000000u
#define SHMD_OWNER_WAITERS 0x80000000u
#define SHMD_OWNER_REMOVED 0x3fffffffu
#define SHMD_SEAT_DAEMON 0xfffu
#define SHMD_GENERATION_MAX 0x3fffeu

/* ---- latch (u32), an owner word that guards derived state ------------------
 *  Never a tombstone, and inconsistent only in a destroyed object, where it
 *  tells nobody anything and ends sleeps: what the dead leave is rebuilt before
 *  anybody sees it. Held without callback, allocation or system call.
 *
 *  free          compare-and-swap to the own owner word, the waiters bit kept
 *  seat 4095 with a generation below daemon_epoch
 *                may be taken likewise, by anybody, who rebuilds the derived
 *                state before anything else: that daemon is gone. (The epoch is
 *                loaded after the word.)
 *  held          give up if the state is REMOVED (loaded after the word), else
 *                spin briefly; set waiters by compare-and-swap; sleep on the
 *                compared value; whoever slept takes the word with waiters set.
 *                Who leaves after a wake sets waiters on a held word without it.
 *                Seat 4095 never sleeps: it tries.
 *  release       compare-and-swap to 0; wake 1 if waiters was set
 *  recovery      by the daemon, as seat 4095 with its epoch: takes the word from
 *                whatever is neither a living client nor itself (from a living
 *                one never: it comes again later), rebuilds, releases, and wakes
 *                1, or sets waiters if it is held again
 */

/* ---- semaphore word (u32), of a plain semaphore; futex ----------------------
 *   31 .. 1  permits  that can be acquired now
 *   0        waiters  somebody may sleep; cleared again by every release
 *
 *  All bits set = destroyed, for ever; nothing else leads there, since waiters
 *  is set beside permits by a take only.
 *
 *  acquire   permits: compare-and-swap to one less, waiters kept. None: set
 *            waiters, sleep on the value 1.
 *  woken     owes a duty: takes with waiters set, and wakes 1 if permits are
 *            left; or finds none and has set waiters; or leaves and wakes 1
 *  release   compare-and-swap to n more with waiters clear; if it was set: wake n
 *  recovery  wakes 1; the word is right after every prefix of what the dead did
 */
#define SHMD_SEMAPHORE_WAITERS 0x1u
#define SHMD_SEMAPHORE_PERMITS_MASK 0xfffffffeu
#define SHMD_SEMAPHORE_STEP 0x2u
#define SHMD_SEMAPHORE_REMOVED 0xffffffffu
#define SHMD_PERMITS_MAX 0x7fffffffu

/* ---- sequence word (u64) -------------------------------------------------
 *   63 .. 2  count   brackets ended and recoveries made
 *   1        dirty   an owner died holding the lock and nobody has marked the
 *                    data consistent since
 *   0        odd     data is being written
 */
#define SHMD_SEQUENCE_ODD 1ull
#define SHMD_SEQUENCE_DIRTY 2ull
#define SHMD_SEQUENCE_STEP 4ull

/* ---- eventcount (u64); futex on its low 32 bits ----------------------------
 *   63 .. 1  count    steps so far
 *   0        waiters  somebody may sleep; cleared again by whoever wakes
 *
 *  Every store is a read-modify-write. One past wait does not cost a system call
 *  for ever: a step that finds waiters clear makes none.
 *
 *  Without a lock (the change word):
 *    wait      load; check what is waited for, then the state; set waiters by
 *              compare-and-swap, or set it first and check then; sleep
 *    step      after the event: add 2; if waiters was set: clear it, wake all
 *    recovery, removal   add 2; clear waiters; wake all
 *  Under a latch (all waiters of one word want the same thing):
 *    wait      latched, predicate false: v = or 1; unlatch; check the state;
 *              sleep on v
 *    signal n  latched, after the commit: if waiters is set: add 1, which clears
 *              it; unlatch; wake n
 *    woken     owes a duty. After taking, latched: or 1; if there is more for
 *              others: add 1, unlatch, wake 1. Leaving without: wake 1.
 *    recovery  latched, after the rebuild: add 2; unlatch; wake all
 *  Across two latches (not_empty and not_full of a queue): who waits holds the latch of
 *  his side, who signals has that of the other, or none any more:
 *    wait      latched, nothing there: v = or 1; look again, at closed too: there now:
 *              unlatch, begin again, a duty stays; else unlatch; check the state; sleep on v
 *    signal n  after the entry of the ring was stored: if waiters is set: compare-and-swap
 *              to one more, which clears it, until one has; who did wakes n
 *    woken     owes a duty. After taking, latched: or 1; look: if there is more: signal 1.
 *              Leaving without: wake 1.
 *    recovery  with both latches, after the rebuild: add 2; unlatch; wake all
 *  The store of the entry and the load that looks for waiters, the or and the second look,
 *  are two and two in one order that all agree on: one of the two sees the other.
 */
#define SHMD_EVENTCOUNT_WAITERS 1ull
#define SHMD_EVENTCOUNT_STEP 2ull

/* ---- change word (u64), the eventcount of a value or array -----------------
 * Its count is the version that wait-for-change compares. */
#define SHMD_CHANGE_WAITERS SHMD_EVENTCOUNT_WAITERS
#define SHMD_CHANGE_STEP SHMD_EVENTCOUNT_STEP

/* ---- slot word (u64), what one slot of a queue is --------------------------
 *   43 .. 36  deliveries  how often its message was delivered; stays at 255
 *   35 .. 32  state       SHMD_SLOT_
 *   29 .. 12  generation  of the owner, as in an owner word
 *   11 .. 0   seat        0 = nobody (then the generation is 0 too)
 *
 *  The other bits are zero. The only authoritative word about the slot. Its store is the
 *  commit of every operation, and comes after those of seq, length, side and contents.
 *  Who stores it has the latch of the side that has the slot:
 *
 *  FREE     nothing; the owner acknowledged its last message, so that he may
 *           repeat that
 *  WRITING  reserved by the owner: ticket names the reservation
 *  READY    a message; nobody's
 *  LEASED   a message that the owner has: slot and seq name the lease
 *  DEAD     a message that was delivered often enough; nobody's
 *
 *  put      FREE -> READY                 take        READY -> FREE
 *  reserve  FREE -> WRITING               lease       READY -> LEASED
 *  commit   WRITING -> READY              ack         LEASED -> FREE
 *  abort    WRITING -> FREE               nack        LEASED -> READY or DEAD
 *  take_dead DEAD -> LEASED               redeliver   DEAD -> READY
 *  death of the owner: WRITING -> FREE, LEASED -> READY or DEAD
 *  expiry   LEASED -> READY or DEAD, as by nack: by whoever holds the latch and finds
 *           the deadline of the lease past. The lease holds until somebody does
 *  ack, nack and extend compare the deliveries too, so that they do not meet a later
 *  lease of the same client (once they stay at 255, they may)
 *
 *  FREE and WRITING are the producers', under put_latch; READY, LEASED and DEAD the
 *  consumers', under take_latch. A slot goes from side to side through a ring of entries:
 *  commit hands it to the consumers, take and ack hand it to the producers.
 *
 *  All else of a queue is derived. With both latches, after a death, and by whoever finds a
 *  latch left by an older daemon: ready = the READY slots in the order of seq; free = the
 *  FREE slots below fresh; fresh = above every slot that is not FREE or was used; the
 *  counts; next_seq = above every seq and ticket; expiry_ns = 0; both rings from place 0,
 *  with tags 2^31 + 2^17 further, and zeros where there is no entry. The heads are the first
 *  words that change, to SHMD_POSITION_PLACE_MASK for a place, and the last.
 *
 *  put_latch is taken first. Who has one of the two only tries for the other: its holder may
 *  be dead, and recovery needs both. Who does not get it puts back what he found in the
 *  first, with its waiters bit, of whom he wakes one, before he sleeps for the second.
 */
#define SHMD_SLOT_STATE_SHIFT 32
#define SHMD_SLOT_STATE_MASK 0x0000000f00000000ull
#define SHMD_SLOT_DELIVERIES_SHIFT 36
#define SHMD_SLOT_DELIVERIES_MASK 0x00000ff000000000ull
#define SHMD_SLOT_DELIVERIES_COUNTED 255u /* and not further */
#define SHMD_SLOT_FREE 0u
#define SHMD_SLOT_WRITING 1u
#define SHMD_SLOT_READY 2u
#define SHMD_SLOT_LEASED 3u
#define SHMD_SLOT_DEAD 4u

/* ---- position (u64), in the ready or the free ring of a queue ----------------
 *   63 .. 32  tag    of the entry that is there or will be; one more with each step
 *   31 .. 0   place  below the length of the queue; 0 follows the last
 */
#define SHMD_POSITION_TAG_SHIFT 32
#define SHMD_POSITION_PLACE_MASK 0x00000000ffffffffull

/* ---- entry (u64), of the ready or the free ring ------------------------------
 *   63 .. 32  tag    of the position at which it was put
 *   31 .. 0   slot   its number, and 1 more; 0 = none was ever put here
 *
 *  A ring has a head, where the side that takes from it is, and a tail, where the other
 *  one adds; neither reads the position of the other. An entry is there if it has the tag of
 *  the head. What is taken stays in the ring: the head's tag has gone on.
 *
 *  add     write the entry at the tail, then move the tail: one step further
 *  take    the entry at the head is there: after the commit, and before the slot is added
 *          to the other ring, move the head one step further
 *  insert  by the side that takes, of what comes back to it: from one step before the head on,
 *          the entries before which it does not belong one place to the front, then the
 *          entry, then the head. There is room, for the slot was in neither ring.
 *  look    without a latch: the head, the entry, the head again: the same, and no entry at a
 *          place that is one: the ring was empty, and will be if somebody dies
 */

/* ---- event (u32), of an event with manual reset; futex ----------------------
 *   31 .. 2  generation  sets and pulses so far
 *   1        waiters     somebody may sleep; cleared again by every set and pulse
 *   0        set         waits end at once; then waiters is clear
 *
 *  All bits set = destroyed, for ever; nothing else leads there, since set and
 *  waiters exclude each other. An event with auto reset has a semaphore word
 *  instead, of at most one permit.
 *
 *  wait      set: done. Else remember the generation; set waiters by compare-and-swap;
 *            sleep on the compared value; done when set, or of another generation
 *  set       not set: compare-and-swap to the next generation and set; if waiters
 *            was set: wake all
 *  pulse     compare-and-swap to the next generation, not set; likewise
 *  reset     compare-and-swap to the same generation, not set
 *  recovery  wakes all; the word is right after every prefix of what the dead did
 *
 *  Whoever clears waiters wakes all, so nobody owes a duty. A waiter sleeps beside
 *  its event if it is stopped, between its look and its sleep, for 2^30 sets.
 */
#define SHMD_EVENT_SET 0x1u
#define SHMD_EVENT_WAITERS 0x2u
#define SHMD_EVENT_GENERATION_MASK 0xfffffffcu
#define SHMD_EVENT_GENERATION_UNIT 0x4u
#define SHMD_EVENT_REMOVED 0xffffffffu

/* ---- barrier (u64); futex on its low 32 bits -----------------------------------
 *   63 .. 48  generation_high  generations so far, filled and broken ones; the high
 *                              16 of 34 bits
 *   47 .. 32  history          how the last 8 ended, 2 bits each, the newest lowest:
 *                              SHMD_BARRIER_WAS_
 *   31 .. 14  generation_low   its low 18 bits
 *   13 .. 2   field            FILL: how many have arrived, fewer than the parties.
 *                              ACTION: the seat that runs the action. BROKEN: why, the
 *                              SHMD_BARRIER_BY_ bits
 *   1 .. 0    phase            SHMD_BARRIER_, 3 is none
 *
 *  Every step is one compare-and-swap of the whole word.
 *
 *  arrive    BROKEN: nothing is done. ACTION: sleep, it belongs to the next generation.
 *            FILL: field + 1, then wait; or, as the last of the parties: ACTION with
 *            field = seat, run the action, then the next generation with OK in the
 *            history; both at once if there is no action
 *  wait      of generation g: while that is current, sleep; BROKEN: leave. When it is
 *            past, the history says how it ended; after more than 8: unknown
 *  timeout   of a waiter: BROKEN by TIMEOUT, unless g has ended. abort: BROKEN by ABORT.
 *            An action that fails: BROKEN by ACTION
 *  reset     from any phase: the next generation, with BAD or DIED in the history
 *  Each of these wakes all; there is no waiters bit.
 *  recovery  of a party that died: see struct shmd_barrier_cell. Wakes all.
 *  removal   the state first, then BROKEN by ABORT, and wakes all; who sleeps has
 *            looked at the state after the word
 */
#define SHMD_BARRIER_PHASE_MASK 0x3ull
#define SHMD_BARRIER_FIELD_SHIFT 2
#define SHMD_BARRIER_FIELD_MASK 0x3ffcull
#define SHMD_BARRIER_GENERATION_LOW_SHIFT 14
#define SHMD_BARRIER_GENERATION_LOW_MASK 0xffffc000ull
#define SHMD_BARRIER_HISTORY_SHIFT 32
#define SHMD_BARRIER_HISTORY_MASK 0x0000ffff00000000ull
#define SHMD_BARRIER_GENERATION_HIGH_SHIFT 48
#define SHMD_BARRIER_GENERATION_HIGH_MASK 0xffff000000000000ull
#define SHMD_BARRIER_FILL 0u
#define SHMD_BARRIER_ACTION 1u
#define SHMD_BARRIER_BROKEN 2u
#define SHMD_BARRIER_BY_TIMEOUT 0x1u
#define SHMD_BARRIER_BY_ABORT 0x2u
#define SHMD_BARRIER_BY_DEATH 0x4u
#define SHMD_BARRIER_BY_ACTION 0x8u
#define SHMD_BARRIER_WAS_BAD 0u
#define SHMD_BARRIER_WAS_OK 1u
#define SHMD_BARRIER_WAS_DEATH 2u
#define SHMD_BARRIER_HISTORY_LENGTH 8u
#define SHMD_PARTIES_MAX 4094u

/* ---- party (u64), what one seat is to a barrier --------------------------------
 *   35 .. 2  generation  to which its death is charged; else 0
 *   1        charged     the seat's client died as a party
 *   0        party       it has arrived once, or was declared a party at open
 *
 *  0 = an observer. The client and, at open, the daemon set party; only recovery
 *  does the rest:
 *    party  -> charged with the current generation: one store
 *    charged: that generation is current: BROKEN by DEATH, or DEATH among the reasons.
 *             It is past, by DEATH: done. It is past otherwise: charge the current one
 *             instead, and again. Then wake all; then 0.
 *  So one death breaks exactly one generation, whichever of these steps is repeated.
 *  A client that leaves in an orderly way breaks nothing: 0.
 */
#define SHMD_PARTY_PARTY 0x1ull
#define SHMD_PARTY_CHARGED 0x2ull
#define SHMD_PARTY_GENERATION_SHIFT 2
#define SHMD_PARTY_GENERATION_MASK 0x0000000ffffffffcull

/* ---- rwlock (u32); futex ---------------------------------------------------------
 *   31        waiters       somebody may sleep on the word
 *   30        inconsistent  a writer died inside; stays until a writer marks the data
 *                           consistent
 *   29        held          the writer is inside
 *   28        preparing     the writer lets the readers that want go first
 *   27        wanted        readers want to come in; the next writer must prepare
 *   26 .. 12  generation    of the writer's seat, its low 15 bits; else 0
 *   11 .. 0   seat          the writer; 0 = none
 *
 *  A writer that neither prepares nor is inside waits for the readers that are. All
 *  owner bits set = destroyed, for ever; no seat is that large. A word keeps new
 *  readers out if it has a writer that does not prepare.
 *
 *  read lock     own cell: active + 1; kept out: want + 1, active - 1, wake the cell; set
 *                wanted; sleep while kept out; active + 1; still kept out: active - 1, wake
 *                the cell, and again; inside: want - 1, and wake the cell if there is a
 *                writer. A thread that reads already: active + 1, whatever the word.
 *  read unlock   active - 1; if there is a writer, wake the cell
 *  write lock    free: compare-and-swap to own bits, keeping waiters and inconsistent; with
 *                wanted, which that clears: preparing. Then wait for each cell to have no
 *                want; clear preparing. Wait for each cell to have no active; set held.
 *  write unlock  to 0, keeping inconsistent and wanted; if waiters was set: wake all
 *  withdraw      of a writer outside: likewise, and set wanted
 *  recovery      cell of the dead: 0, wake it. Word of the dead: freed as by withdraw,
 *                and with held also inconsistent. Always wakes all.
 *  removal       the state first, the word for ever, the bit removed in every cell; wakes all
 *
 *  All of this is sequentially consistent: readers store the cell and load the word,
 *  writers store the word and load the cells. Bound: once a reader has set wanted, at
 *  most one writer section begins before it is inside.
 */
#define SHMD_RWLOCK_WAITERS 0x80000000u
#define SHMD_RWLOCK_INCONSISTENT 0x40000000u
#define SHMD_RWLOCK_HELD 0x20000000u
#define SHMD_RWLOCK_PREPARING 0x10000000u
#define SHMD_RWLOCK_WANTED 0x08000000u
#define SHMD_RWLOCK_GENERATION_MASK 0x07fff000u
#define SHMD_RWLOCK_SEAT_MASK 0x00000fffu
#define SHMD_RWLOCK_OWNER_MASK 0x07ffffffu
#define SHMD_RWLOCK_REMOVED 0x07ffffffu

/* ---- reader (u32), the threads of one seat at an rwlock; futex --------------------
 *   31        removed  the object was destroyed
 *   30 .. 16  want     threads that were kept out and want to come in
 *   15 .. 0   active   threads inside, and those that are trying
 */
#define SHMD_READER_REMOVED 0x80000000u
#define SHMD_READER_WANT_MASK 0x7fff0000u
#define SHMD_READER_WANT_UNIT 0x00010000u
#define SHMD_READER_ACTIVE_MASK 0x0000ffffu

/* ---- ring (u64), of each side of a ring; futex on its low 32 bits ------------------
 *   63 .. 3  position  bytes so far. tail: written; head: read
 *   2        ended     head of a stream: the end at this position was reported
 *   1        died      the side's client died
 *   0        closed    the side's client closed it, or ended in an orderly way
 *
 *  A ring goes one way: from whoever has the role of the producer, the owner of the tail
 *  line, to the consumer, the owner of the head line. A stream is rings[0]. A pipe is both:
 *  end 0 produces into rings[0] and consumes from rings[1], end 1 the other way round. It
 *  has one owner word for each end, in the tail line of the ring into which the end
 *  produces; those of its head lines stay 0.
 *
 *  tail - head <= capacity, else the ring is corrupt. Bytes lie at their position modulo
 *  the capacity, a power of two; with SHMD_FLAG_BYTES they are bare and go round. Else they
 *  are records, see struct shmd_record, and positions are multiples of 8.
 *
 *  claim     owner 0: compare-and-swap to the own owner bits; then the state. Producer of a
 *            stream whose tail has died or closed: the first record it commits is END, and
 *            that commit clears both. Consumer of a stream: clear died and closed in the
 *            head, ended stays. A pipe: only if its tail has neither died nor closed, looked
 *            at after the swap too.
 *  commit    after everything was written, or read: exchange the own word for the new
 *            position; load attention of the own line; if it moved since the last commit
 *            that woke: wake all. What was loaded before the exchange is what was seen.
 *  sleep     on the other side's word: load it; judge; add 1 to attention of its line; load
 *            it again, then the state; sleep on the judged value
 *  look      before each operation, if attention of the own line has moved: the state, the
 *            owner word, and for the producer of a pipe died and closed of the head
 *  end       mark the own word closed, by or (a pipe: the head of one ring and the tail of
 *            the other); add 1 to attention of both lines of each ring; wake all; then
 *            free the role
 *  recovery  likewise, with died instead of closed unless closed is set; always wakes all
 *  removal   the state first; all three bits in every word, 1 to every attention; wakes all.
 *            A commit may clear the bits again: whoever wakes looks at the state.
 *
 *  The consumer reads the position and the marks of the tail in one load: nothing left and
 *  a mark is the end. Of a stream it is reported once, by ended; after that, or when the
 *  next producer was faster, by its END record, which is skipped if ended is set. Of a pipe
 *  it stays. The producer of a pipe is refused as soon as the head has a mark.
 *
 *  Only one side moves a word while the other sleeps on it, and by at most the capacity:
 *  no value comes back.
 */
#define SHMD_RING_POSITION_SHIFT 3
#define SHMD_RING_POSITION_MASK 0xfffffffffffffff8ull
#define SHMD_RING_ENDED 0x4ull
#define SHMD_RING_DIED 0x2ull
#define SHMD_RING_CLOSED 0x1ull

/* Records of a ring. Numbers of bytes; a record takes its header and its contents,
 * rounded up to SHMD_RECORD_ALIGN, and at most half of the ring. It never goes round. */
#define SHMD_RECORD_ALIGN 8u
#define SHMD_RECORD_MESSAGE 1u /* a message */
#define SHMD_RECORD_PAD 2u     /* nothing, up to the end of the ring */
#define SHMD_RECORD_END 3u     /* stream: a producer ended here; length = its closed and died */
#define SHMD_RECORD_FIRST 4u   /* pipe: the first piece of a message that is longer than half of the ring;
                                * length = of the whole message. It takes 1 / SHMD_RECORD_PIECES of
                                * the ring, and has as much of the message as that holds */
#define SHMD_RECORD_REST 5u    /* pipe: the next piece; length = of the message from here on. The last
                                * one if the record has all of that; else as FIRST. A MESSAGE or FIRST
                                * before the last: that message was given up. REST without its FIRST:
                                * who read that has lost it; skipped */
#define SHMD_RECORD_PIECES 8u

/* Limits of a ring. */
#define SHMD_RING_CAPACITY_MIN 0x1000u
#define SHMD_RING_CAPACITY_MAX 0x10000000u
#define SHMD_RING_CAPACITY_DEFAULT 0x10000u

/* Limits of a queue. */
#define SHMD_QUEUE_LENGTH_MAX 65536u
#define SHMD_QUEUE_NUMBER_MAX 0x8000000000000000ull /* seq and ticket are below */
#define SHMD_SLOT_SIZE_MIN 8u
#define SHMD_SLOT_SIZE_MAX 0x100000u
#define SHMD_QUEUE_MESSAGE_MAX 0x40000000u /* bytes of the longest message */
#define SHMD_DELIVERIES_LIMIT 254u /* the largest deliveries_max */
#define SHMD_LEASE_NS_MIN 1000000ull            /* the shortest lease_ns: 1 ms */
#define SHMD_LEASE_NS_MAX 0x4000000000000000ull /* the longest */
/* What one latch hold does at most, of batches. */
#define SHMD_QUEUE_BATCH_MAX 64u            /* messages */
#define SHMD_QUEUE_BATCH_SIZE_MAX 0x4000u   /* bytes that are copied; always one message */

/* Kinds. Never renumbered. */
#define SHMD_KIND_VALUE 1u
#define SHMD_KIND_ARRAY 2u
#define SHMD_KIND_MUTEX 3u
#define SHMD_KIND_SEMAPHORE 4u
#define SHMD_KIND_QUEUE 5u
#define SHMD_KIND_EVENT 6u
#define SHMD_KIND_CONDITION 7u
#define SHMD_KIND_BARRIER 8u
#define SHMD_KIND_RWLOCK 9u
#define SHMD_KIND_STREAM 10u
#define SHMD_KIND_PIPE 11u

/* Flags of the header. The first three belong to a mutex or to an own lock. */
#define SHMD_FLAG_RECURSIVE 0x1u    /* the same thread may lock again */
#define SHMD_FLAG_UNLOCK_ANY 0x2u   /* anybody may unlock: a lock without owner rights */
#define SHMD_FLAG_STRICT 0x4u       /* unlocked inconsistent = not recoverable, for ever */
#define SHMD_FLAG_LOCK_NONE 0x8u    /* value, array: no lock, elements only */
#define SHMD_FLAG_LOCK_FOREIGN 0x10u /* value, array: guarded by the mutex lock_id; condition: bound to it */
#define SHMD_FLAG_UNDO 0x20u        /* semaphore: what the dead held comes back */
#define SHMD_FLAG_RAW 0x40u         /* queue: messages are bytes, else MessagePack values */
#define SHMD_FLAG_AUTO_RESET 0x80u  /* event: one wait ends for each set, and resets it */
#define SHMD_FLAG_BYTES 0x100u      /* pipe: carries bytes, not messages */

/* States. */
#define SHMD_STATE_CREATING 0u
#define SHMD_STATE_LIVE 1u
#define SHMD_STATE_CORRUPT 2u
#define SHMD_STATE_REMOVED 3u

/* The front of page 0. */
struct shmd_header {
	uint64_t magic;               /* immutable */
	uint32_t abi_version;         /* immutable */
	uint32_t abi_compat;          /* immutable; oldest version whose programs can use this */
	uint64_t fingerprint;         /* immutable; of the layout, see SHMD_ABI_FINGERPRINT */
	uint64_t object_id;           /* immutable; never reused by a daemon */
	uint64_t segment_size_bytes;  /* immutable; whole pages */
	uint64_t data_offset_bytes;   /* immutable; 64-byte aligned; 0 = no data */
	uint64_t data_size_bytes;     /* immutable; length * item_size_bytes, or of all rings */
	uint64_t length;              /* immutable; elements, 1 for a value; a semaphore's maximum; a
	                               * queue's messages; a barrier's parties; the capacity of each
	                               * ring of a stream or pipe, in bytes */
	uint32_t kind;                /* immutable; SHMD_KIND_ */
	uint32_t code;                /* immutable; ASCII type code; 0 = none */
	uint32_t item_size_bytes;     /* immutable; 1, 2, 4 or 8, a queue's slot size; 0 = none */
	uint32_t rank;                /* immutable; dimensions, 0 for a value */
	uint64_t shape[SHMD_RANK_MAX]; /* immutable; row-major; unused = 0. Of a queue, whose rank
	                                * is 0: message_max, deliveries_max, lease_ns; of a
	                                * stream or pipe: message_max, how many rings */
	uint32_t flags;               /* immutable; SHMD_FLAG_ */
	uint32_t seats_max;           /* immutable */
	uint64_t lock_id;             /* immutable; object id of the foreign mutex, or a condition's; 0 = none */
	uint64_t created_realtime_ns; /* immutable; CLOCK_REALTIME */
	uint64_t seats_offset_bytes;  /* immutable; struct shmd_seat_cell[seats_max + 1] */
	uint8_t reserved0[16];
	/* 0c0: a line the daemon writes and clients read now and then. */
	uint32_t state;               /* daemon; all; atomic; 0 = being created */
	uint32_t daemon_epoch;        /* daemon; all; atomic; never 0 once live */
	uint8_t reserved1[56];
};

/* The last death that mattered. Recovery writes it *before* the step that lets others
 * see its effect, so a new owner never finds an older one. */
struct shmd_death {
	uint32_t count;       /* daemon; all; atomic; such deaths so far */
	uint32_t owner;       /* daemon; all; atomic; owner bits of the last one */
	uint32_t pid;         /* daemon; all; atomic; in the daemon's pid namespace */
	uint32_t uid;         /* daemon; all; atomic */
	uint64_t realtime_ns; /* daemon; all; atomic; when it was recovered; 0 = never */
};

/* A lock with its owner's private words. Recovery resets token, depth and write_depth
 * before it releases the word too. */
struct shmd_lock {
	uint32_t word;           /* all; all; atomic, futex; owner word, 0 = free */
	uint32_t poisoned;       /* owner; all; atomic; 1 = not recoverable (strict only) */
	uint64_t token;          /* owner; all; atomic; its thread; 0 = none yet */
	uint32_t depth;          /* owner; owner; atomic; further locks by the same thread */
	uint32_t write_depth;    /* owner; owner; atomic; open begin_write brackets */
	struct shmd_death death; /* of owners that died holding it */
	uint8_t reserved[16];
};

/* Consistency of a value's or array's data: the sequence lock. */
struct shmd_sequence {
	uint64_t word;     /* lock owner, or daemon for a dead one; all; atomic; sequence word */
	uint32_t writer;   /* holder of a foreign lock; daemon; atomic; owner word of the open
	                    * bracket, set before odd and cleared after even; 0 = none.
	                    * Unused with an own lock: there the lock word says it. */
	uint8_t reserved[52];
};

/* The version of a value or array. */
struct shmd_change {
	uint64_t word; /* all, by read-modify-write only; all; atomic, futex; change word */
	uint8_t reserved[56];
};

/* The only element of a value. Accessed as 4 bytes for item sizes up to 4, else
 * as 8; the bytes above the item are zero. */
struct shmd_scalar {
	uint64_t bits; /* all; all; atomic; zero = zero of every type */
	uint8_t reserved[56];
};

/* What a semaphore has at SHMD_KIND_OFFSET. A plain one uses word and nothing
 * else; one with undo (SHMD_FLAG_UNDO) uses the rest, and the held cells. */
struct shmd_semaphore_lines {
	uint32_t word;         /* plain: all; all; atomic, futex; semaphore word. undo: 0 */
	uint8_t reserved0[60];
	/* 140: the pool. */
	uint32_t latch;        /* all; all; atomic, futex; latch, 0 = free */
	uint32_t available;    /* latch holder; all; atomic; derived: total - the sum of held */
	uint32_t total;        /* latch holder; all; atomic; authoritative: permits that exist */
	uint8_t reserved1[52];
	/* 180, 1c0: who wants one never shares a word with who wants more, whom one
	 * permit does not help and who would swallow the other's wake. */
	uint64_t one;          /* latch holder by read-modify-write; all; atomic, futex; eventcount of
	                        * those who want one permit: a release wakes as many as came back */
	uint8_t reserved2[56];
	uint64_t many;         /* latch holder by read-modify-write; all; atomic, futex; eventcount of
	                        * those who want more: a release wakes all, and nobody owes a duty */
	uint8_t reserved3[56];
};

/* What one seat's client holds of a semaphore with undo. They follow the seat
 * cells on the next 64-byte boundary: struct shmd_held_cell[seats_max + 1]. */
struct shmd_held_cell {
	uint32_t permits; /* latch holder, zeroed by recovery; all; atomic; authoritative: its store is
	                   * the commit of acquire and release */
};

/* What an event has at SHMD_KIND_OFFSET. */
struct shmd_event_lines {
	uint32_t word; /* all; all; atomic, futex; event word, with auto reset a semaphore word; 0 = not set */
	uint8_t reserved[252];
};

/* What a condition has at SHMD_KIND_OFFSET. Its mutex is another object, lock_id. */
struct shmd_condition_lines {
	/* all, by read-modify-write only; all; atomic, futex; eventcount. Announcing and notifying
	 * need the mutex, recovery does not:
	 *   wait      or 1; unlock the mutex; sleep on what the or left; lock the mutex
	 *   notify n  if waiters is set: add 2; wake n; if fewer slept: clear waiters; all of it
	 *             before the mutex is unlocked. One with unlock_any may be unlocked under the
	 *             notifier: there, wake all after the clear
	 *   recovery  add 2; wake all. So does whoever destroys the mutex, after that, and who was
	 *             woken and cannot have the mutex any more. Nobody sleeps whose release of a
	 *             strict mutex poisoned it.
	 * A wake-up without a cause is allowed: who waits looks at its predicate. Who finds the
	 * word as it left it may go on sleeping, whatever woke it. Who was woken and leaves as
	 * cancelled notifies 1. */
	uint64_t word;
	uint8_t reserved[248];
};

/* What a barrier has at SHMD_KIND_OFFSET. */
struct shmd_barrier_lines {
	uint64_t word;           /* all; all; atomic, futex; barrier word; 0 = none has arrived */
	struct shmd_death death; /* of parties */
	uint8_t reserved[224];
};

/* What one seat is to a barrier. They follow the seat cells on the next 64-byte
 * boundary: struct shmd_barrier_cell[seats_max + 1]. */
struct shmd_barrier_cell {
	uint64_t word; /* the seat's client, daemon; all; atomic; party word */
};

/* What an rwlock has at SHMD_KIND_OFFSET. */
struct shmd_rwlock_lines {
	uint32_t word;           /* all; all; atomic, futex; rwlock word, 0 = no writer */
	uint32_t reserved0;
	uint64_t token;          /* writer; all; atomic; its thread; 0 = none yet. Cleared before the word is
	                          * released, by recovery too. */
	struct shmd_death death; /* of writers inside */
	uint8_t reserved1[216];
};

/* The threads of one seat at an rwlock. They follow the seat cells on the next 64-byte
 * boundary: struct shmd_reader_cell[seats_max + 1], a cache line each. */
struct shmd_reader_cell {
	uint32_t word; /* the seat's client by read-modify-write, zeroed by recovery; all; atomic, futex; reader word */
	uint8_t reserved[60];
};

/* One side of a ring: of its producer (tail) or its consumer (head). */
struct shmd_ring_line {
	uint64_t word;           /* owner, daemon; all; atomic, futex; ring word */
	uint32_t owner;          /* all; all; atomic; owner bits of who has the role, 0 = nobody */
	uint32_t attention;      /* the other side and the daemon, by adding; owner; atomic: moves when
	                          * somebody is about to sleep on the word, and when the owner has to
	                          * look at everything */
	struct shmd_death death; /* of owners that did not close it */
	uint8_t reserved[24];
};

/* One ring. */
struct shmd_ring {
	struct shmd_ring_line tail;
	struct shmd_ring_line head;
};

/* What a stream or a pipe has at SHMD_KIND_OFFSET. A stream uses the first ring. The data
 * of each ring, length bytes, follow one another from data_offset_bytes on, page-aligned. */
struct shmd_ring_lines {
	struct shmd_ring rings[2];
};

/* The header of a record, in the data of a ring, its contents behind it. One 8-byte store. */
struct shmd_record {
	uint32_t length; /* producer; consumer; plain, committed by the tail; bytes of the contents */
	uint32_t type;   /* producer; consumer; likewise; SHMD_RECORD_ */
};

/* One seat's diagnostics; nothing is decided by them. */
struct shmd_seat_cell {
	uint32_t waiting; /* the seat's client by read-modify-write, zeroed by the daemon;
	                   * stat; atomic; threads asleep in this object */
};

/* Page 0 of a value or array; a mutex uses it as far as lock, any other kind
 * has its own from SHMD_KIND_OFFSET to SHMD_SEATS_OFFSET. */
struct shmd_page {
	struct shmd_header header;     /* 000 */
	struct shmd_lock lock;         /* 100 */
	struct shmd_sequence sequence; /* 140 */
	struct shmd_change change;     /* 180 */
	struct shmd_scalar scalar;     /* 1c0 */
};
#define SHMD_SEATS_OFFSET 0x200u
/* Where the part begins that differs by kind: struct shmd_KIND_lines. */
#define SHMD_KIND_OFFSET 0x100u

/* What a queue has at SHMD_KIND_OFFSET. "put": written under put_latch, "take": under
 * take_latch; derived unless it says otherwise. Behind the seat cells, 64-aligned, follow
 * uint64_t ready[length] (added to by put, taken from by take; entries, in the order of
 * seq) and uint64_t free[length] (added to by take, taken from by put; entries, slots that
 * were used and are used again before fresh ones: memory follows the most that was ever in
 * flight); 64-aligned struct shmd_queue_desc[length]; if lease_ns is not 0, 64-aligned
 * uint64_t deadline_ns[length] (take, before the commit of the lease; atomic;
 * CLOCK_MONOTONIC, when the lease of the slot ends; says nothing of a slot that is not
 * LEASED); from the next page on the slots, item_size bytes each. Their contents are
 * written by who has the slot WRITING, or under put_latch, and read by who has it LEASED,
 * or under take_latch. So are those of a side segment, a memfd for what is longer: numbered
 * by the daemon, never 0, never twice, which takes it away only while side is 0. */
struct shmd_queue_lines {
	uint32_t put_latch;     /* all; all; atomic, futex; a latch, 0 = free */
	uint32_t writing_count; /* put; put; atomic; WRITING slots */
	uint64_t next_seq;      /* put; put; atomic; for the next message or reservation, at least 1 */
	uint64_t ready_tail;    /* put; put; atomic; position */
	uint64_t free_head;     /* put; all; atomic; position */
	uint32_t fresh;         /* put; all; atomic; slots from this one on were never used */
	uint8_t reserved0[28];
	/* 140 */
	uint32_t take_latch;    /* all; all; atomic, futex; a latch, 0 = free */
	uint32_t leased_count;  /* take; all; atomic; LEASED slots */
	uint32_t dead_count;    /* take; take; atomic; DEAD slots */
	uint32_t reserved1;
	uint64_t ready_head;    /* take; all; atomic; position */
	uint64_t free_tail;     /* take; take; atomic; position */
	uint64_t expiry_ns;     /* take; all; atomic; no deadline_ns of a LEASED slot is before it, so that
	                         * nobody looks at them all in vain; 0 = not known, and without lease_ns */
	uint8_t reserved2[24];
	/* 180, 1c0: eventcounts. */
	uint64_t not_empty; /* all, by read-modify-write only; all; atomic, futex; who waits for a message */
	uint64_t idle;      /* likewise, under take_latch; who waits until no slot is READY or LEASED. The
	                     * signal of the commit that makes it so wakes all, so nobody owes a duty */
	uint32_t closed;    /* all, put, authoritative; all; atomic; 1 = no more puts, for ever */
	uint8_t reserved3[44];
	uint64_t not_full;  /* all, by read-modify-write only; all; atomic, futex; who waits for a slot */
	uint8_t reserved4[56];
};

/* One slot of a queue. */
struct shmd_queue_desc {
	uint64_t state;  /* by side, authoritative; all; atomic; slot word, 0 = free */
	uint64_t seq;    /* put; all; atomic; number of its message, in the order of the
	                  * commits; kept when it comes back; 0 = never used */
	uint32_t length; /* put; all; atomic; bytes of its message, at most message_max */
	uint32_t side;   /* put, or who has it WRITING; all; atomic; number of its side segment, which
	                  * has the message if length is above the slot size; 0 = it has none */
	uint64_t ticket; /* put; all; atomic; number of its last reservation, which was
	                  * committed if seq is above; 0 = none, or aborted */
};

SHMD_ABI_ASSERT(sizeof(struct shmd_header) == 0x100, "header fills four cache lines");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, magic) == 0x00, "magic");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, abi_version) == 0x08, "abi_version");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, abi_compat) == 0x0c, "abi_compat");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, fingerprint) == 0x10, "fingerprint");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, object_id) == 0x18, "object_id");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, segment_size_bytes) == 0x20, "segment_size_bytes");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, data_offset_bytes) == 0x28, "data_offset_bytes");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, data_size_bytes) == 0x30, "data_size_bytes");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, length) == 0x38, "length");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, kind) == 0x40, "kind");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, code) == 0x44, "code");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, item_size_bytes) == 0x48, "item_size_bytes");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, rank) == 0x4c, "rank");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, shape) == 0x50, "shape");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, flags) == 0x90, "flags");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, seats_max) == 0x94, "seats_max");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, lock_id) == 0x98, "lock_id");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, created_realtime_ns) == 0xa0, "created_realtime_ns");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, seats_offset_bytes) == 0xa8, "seats_offset_bytes");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, state) == 0xc0, "state has its own line");
SHMD_ABI_ASSERT(offsetof(struct shmd_header, daemon_epoch) == 0xc4, "daemon_epoch");
SHMD_ABI_ASSERT(sizeof(struct shmd_lock) == 64, "a lock is one cache line");
SHMD_ABI_ASSERT(offsetof(struct shmd_lock, word) == 0x00, "word");
SHMD_ABI_ASSERT(offsetof(struct shmd_lock, poisoned) == 0x04, "poisoned");
SHMD_ABI_ASSERT(offsetof(struct shmd_lock, token) == 0x08, "token");
SHMD_ABI_ASSERT(offsetof(struct shmd_lock, depth) == 0x10, "depth");
SHMD_ABI_ASSERT(offsetof(struct shmd_lock, write_depth) == 0x14, "write_depth");
SHMD_ABI_ASSERT(offsetof(struct shmd_lock, death) == 0x18, "death");
SHMD_ABI_ASSERT(sizeof(struct shmd_death) == 0x18, "a death");
SHMD_ABI_ASSERT(offsetof(struct shmd_death, owner) == 0x04, "owner");
SHMD_ABI_ASSERT(offsetof(struct shmd_death, pid) == 0x08, "pid");
SHMD_ABI_ASSERT(offsetof(struct shmd_death, uid) == 0x0c, "uid");
SHMD_ABI_ASSERT(offsetof(struct shmd_death, realtime_ns) == 0x10, "realtime_ns");
SHMD_ABI_ASSERT(sizeof(struct shmd_sequence) == 64, "a sequence is one cache line");
SHMD_ABI_ASSERT(offsetof(struct shmd_sequence, writer) == 0x08, "writer");
SHMD_ABI_ASSERT(sizeof(struct shmd_change) == 64, "a change word has its own line");
SHMD_ABI_ASSERT(sizeof(struct shmd_scalar) == 64, "a scalar has its own line");
SHMD_ABI_ASSERT(sizeof(struct shmd_seat_cell) == 4, "seat cell");
SHMD_ABI_ASSERT(offsetof(struct shmd_page, lock) == 0x100, "lock");
SHMD_ABI_ASSERT(offsetof(struct shmd_page, sequence) == 0x140, "sequence");
SHMD_ABI_ASSERT(offsetof(struct shmd_page, change) == 0x180, "change");
SHMD_ABI_ASSERT(offsetof(struct shmd_page, scalar) == 0x1c0, "scalar");
SHMD_ABI_ASSERT(sizeof(struct shmd_page) == SHMD_SEATS_OFFSET, "seat cells follow");

SHMD_ABI_ASSERT(sizeof(struct shmd_semaphore_lines) == SHMD_SEATS_OFFSET - SHMD_KIND_OFFSET, "seat cells follow");
SHMD_ABI_ASSERT(offsetof(struct shmd_semaphore_lines, latch) == 0x40, "the pool has its own line");
SHMD_ABI_ASSERT(offsetof(struct shmd_semaphore_lines, available) == 0x44, "available");
SHMD_ABI_ASSERT(offsetof(struct shmd_semaphore_lines, total) == 0x48, "total");
SHMD_ABI_ASSERT(offsetof(struct shmd_semaphore_lines, one) == 0x80, "one has its own line");
SHMD_ABI_ASSERT(offsetof(struct shmd_semaphore_lines, many) == 0xc0, "many has its own line");
SHMD_ABI_ASSERT(sizeof(struct shmd_held_cell) == 4, "held cell");

SHMD_ABI_ASSERT(sizeof(struct shmd_event_lines) == SHMD_SEATS_OFFSET - SHMD_KIND_OFFSET, "seat cells follow");
SHMD_ABI_ASSERT(sizeof(struct shmd_condition_lines) == SHMD_SEATS_OFFSET - SHMD_KIND_OFFSET, "seat cells follow");
SHMD_ABI_ASSERT(sizeof(struct shmd_barrier_lines) == SHMD_SEATS_OFFSET - SHMD_KIND_OFFSET, "seat cells follow");
SHMD_ABI_ASSERT(offsetof(struct shmd_barrier_lines, death) == 0x08, "death");
SHMD_ABI_ASSERT(sizeof(struct shmd_barrier_cell) == 8, "barrier cell");
SHMD_ABI_ASSERT(sizeof(struct shmd_rwlock_lines) == SHMD_SEATS_OFFSET - SHMD_KIND_OFFSET, "seat cells follow");
SHMD_ABI_ASSERT(offsetof(struct shmd_rwlock_lines, token) == 0x08, "token");
SHMD_ABI_ASSERT(offsetof(struct shmd_rwlock_lines, death) == 0x10, "death");
SHMD_ABI_ASSERT(sizeof(struct shmd_reader_cell) == 64, "a reader cell is one cache line");

SHMD_ABI_ASSERT(sizeof(struct shmd_queue_lines) == SHMD_SEATS_OFFSET - SHMD_KIND_OFFSET, "seat cells follow");
SHMD_ABI_ASSERT(offsetof(struct shmd_queue_lines, next_seq) == 0x08, "next_seq");
SHMD_ABI_ASSERT(offsetof(struct shmd_queue_lines, free_head) == 0x18, "free_head");
SHMD_ABI_ASSERT(offsetof(struct shmd_queue_lines, take_latch) == 0x40, "the consumers have their own line");
SHMD_ABI_ASSERT(offsetof(struct shmd_queue_lines, ready_head) == 0x50, "ready_head");
SHMD_ABI_ASSERT(offsetof(struct shmd_queue_lines, expiry_ns) == 0x60, "expiry_ns");
SHMD_ABI_ASSERT(offsetof(struct shmd_queue_lines, not_empty) == 0x80, "not_empty has its own line");
SHMD_ABI_ASSERT(offsetof(struct shmd_queue_lines, closed) == 0x90, "closed");
SHMD_ABI_ASSERT(offsetof(struct shmd_queue_lines, not_full) == 0xc0, "not_full has its own line");
SHMD_ABI_ASSERT(sizeof(struct shmd_queue_desc) == 32, "two slots to a line");
SHMD_ABI_ASSERT(offsetof(struct shmd_queue_desc, side) == 0x14, "side");
SHMD_ABI_ASSERT(offsetof(struct shmd_queue_desc, ticket) == 0x18, "ticket");

SHMD_ABI_ASSERT(sizeof(struct shmd_ring_lines) == SHMD_SEATS_OFFSET - SHMD_KIND_OFFSET, "seat cells follow");
SHMD_ABI_ASSERT(sizeof(struct shmd_ring_line) == 64, "each side has its own line");
SHMD_ABI_ASSERT(offsetof(struct shmd_ring_line, owner) == 0x08, "owner");
SHMD_ABI_ASSERT(offsetof(struct shmd_ring_line, attention) == 0x0c, "attention");
SHMD_ABI_ASSERT(offsetof(struct shmd_ring_line, death) == 0x10, "death");
SHMD_ABI_ASSERT(offsetof(struct shmd_ring, head) == 0x40, "head");
SHMD_ABI_ASSERT(sizeof(struct shmd_record) == 8, "one store");

#endif /* SHMD_ABI_H */
