// SPDX-License-Identifier: Apache-2.0
import io.aeron.Aeron;
import io.aeron.AeronVersion;
import io.aeron.ExclusivePublication;
import io.aeron.FragmentAssembler;
import io.aeron.Publication;
import io.aeron.Subscription;
import io.aeron.driver.MediaDriver;
import io.aeron.driver.ThreadingMode;
import io.aeron.logbuffer.BufferClaim;
import io.aeron.logbuffer.FragmentHandler;
import io.aeron.logbuffer.Header;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.agrona.BitUtil;
import org.agrona.BufferUtil;
import org.agrona.DirectBuffer;
import org.agrona.concurrent.BackoffIdleStrategy;
import org.agrona.concurrent.BusySpinIdleStrategy;
import org.agrona.concurrent.IdleStrategy;
import org.agrona.concurrent.UnsafeBuffer;

/**
 * An adapter of shmd-rivals: Aeron, its IPC channel. The media driver is a server of its own, one thread of which does
 * all, for there are two processors. A message that fits into one frame is claimed and written in place; longer ones
 * are copied into frames of 64 KiB and put together again. Aeron never sleeps until it is woken: who does not spin
 * looks again after up to 1 ms, by its own back-off.
 */
final class AeronRival {
    private static final int THERE = 1;
    private static final int BACK = 2;
    private static final int MTU_BYTES = 65504;
    private static final long WARM_UP_NS = 300_000_000;

    private final Rival rival;
    private final Aeron aeron;
    private final IdleStrategy idle;

    private AeronRival(Rival rival) {
        this.rival = rival;
        idle = rival.spins ? new BusySpinIdleStrategy() : new BackoffIdleStrategy();
        Aeron.Context context = new Aeron.Context().aeronDirectoryName(directory(rival)).preTouchMappedMemory(true);
        if (rival.workload.equals("attach")) {
            // Else the thread that hears from the driver looks every 16 ms.
            context.idleStrategy(new BackoffIdleStrategy());
        }
        aeron = Aeron.connect(context);
    }

    private static String directory(Rival rival) {
        return "/dev/shm/" + rival.name + "-aeron";
    }

    /** A term holds eight messages at least, as Aeron demands; without messages it is as small as it can be. */
    private static String channel(Rival rival) {
        if (rival.workload.equals("attach") || rival.workload.equals("memory")) {
            return "aeron:ipc?term-length=64k";
        }
        int termBytes = Math.max(16 << 20, BitUtil.findNextPositivePowerOfTwo(8 * rival.sizeBytes));
        return "aeron:ipc?term-length=" + termBytes + "|mtu=" + MTU_BYTES;
    }

    /** Messages one way, out. */
    private final class Sender {
        private final ExclusivePublication publication;
        private final BufferClaim claim = new BufferClaim();
        private final UnsafeBuffer message = new UnsafeBuffer(BufferUtil.allocateDirectAligned(rival.sizeBytes, 64));
        private final boolean inPlace;

        Sender(int stream) {
            publication = aeron.addExclusivePublication(channel(rival), stream);
            inPlace = rival.sizeBytes <= publication.maxPayloadLength();
            if (!inPlace) {
                // What is the same in all messages is there already.
                rival.fill(message, 0, 0);
            }
        }

        void awaitReceiver() {
            while (!publication.isConnected()) {
                Thread.onSpinWait();
            }
        }

        void send(long number) {
            if (inPlace) {
                while (!sent(publication.tryClaim(rival.sizeBytes, claim))) {
                    idle.idle();
                }
                rival.fill(claim.buffer(), claim.offset(), number);
                claim.commit();
            } else {
                rival.number(message, number);
                while (!sent(publication.offer(message, 0, rival.sizeBytes))) {
                    idle.idle();
                }
            }
            idle.reset();
        }

        private boolean sent(long position) {
            if (position == Publication.CLOSED || position == Publication.MAX_POSITION_EXCEEDED) {
                Rival.fail("cannot send: " + position);
            }
            return position > 0;
        }
    }

    /** Messages one way, in. */
    private final class Receiver implements FragmentHandler {
        private final Subscription subscription;
        private final FragmentHandler handler;
        private final boolean whole;
        private boolean samples;
        private long next;
        private long expected;

        Receiver(int stream) {
            subscription = aeron.addSubscription(channel(rival), stream);
            whole = rival.sizeBytes <= MTU_BYTES - 32;
            handler = whole ? this : new FragmentAssembler(this, rival.sizeBytes);
        }

        @Override
        public void onFragment(DirectBuffer buffer, int offset, int length, Header header) {
            rival.check(buffer, offset, length, expected == Rival.ANY ? Rival.ANY : next);
            next++;
            if (samples) {
                rival.sample();
            }
        }

        /** Receives messages first and so on, count in all. */
        void receive(long first, long count, long expected) {
            this.expected = expected;
            next = first;
            long end = first + count;
            while (next < end) {
                int most = whole ? (int) Math.min(end - next, 64) : 1;
                idle.idle(subscription.poll(handler, most));
            }
        }

        void awaitSender() {
            while (!subscription.isConnected()) {
                Thread.onSpinWait();
            }
        }
    }

    /**
     * Sends messages to itself until the code that is measured is compiled, most of it; else the runner, which looks
     * how fast the first operations are, would give this system few.
     */
    private void warmUp() {
        int stream = (int) ProcessHandle.current().pid();
        Sender sender = new Sender(stream);
        Receiver receiver = new Receiver(stream);
        sender.awaitReceiver();
        long end = System.nanoTime() + WARM_UP_NS;
        for (long i = 0; System.nanoTime() < end; i++) {
            sender.send(i);
            receiver.receive(i, 1, i);
        }
        sender.publication.close();
        receiver.subscription.close();
        rival.forget();
    }

    private void roundtrip() throws IOException {
        boolean ping = rival.role.equals("ping");
        Sender sender = new Sender(ping ? THERE : BACK);
        Receiver receiver = new Receiver(ping ? BACK : THERE);
        Rival.Run run = (first, count) -> {
            for (long i = first; i < first + count; i++) {
                if (ping) {
                    sender.send(i);
                }
                receiver.receive(i, 1, 0);
                if (!ping) {
                    sender.send(i);
                }
                rival.sample();
            }
        };
        rival.serve(sender::awaitReceiver, run);
    }

    private void oneway() throws IOException {
        if (rival.role.equals("put")) {
            Sender sender = new Sender(THERE);
            rival.serve(sender::awaitReceiver, (first, count) -> {
                for (long i = first; i < first + count; i++) {
                    sender.send(rival.number(i));
                    rival.sample();
                }
            });
        } else {
            Receiver receiver = new Receiver(THERE);
            receiver.samples = true;
            rival.serve(() -> { }, (first, count) -> receiver.receive(first, count, rival.expected(0)));
        }
    }

    private void sleep() throws IOException {
        Sender sender = new Sender(THERE);
        Receiver receiver = new Receiver(THERE);
        rival.serve(sender::awaitReceiver, (first, count) -> {
            Rival.say("waiting");
            receiver.receive(first, count, Rival.ANY);
        });
    }

    /** Opens a subscription of a stream that is there, until it is connected. */
    private void attach() throws IOException {
        Sender made = rival.index == 0 ? new Sender(THERE) : null;
        rival.serve(() -> { }, (first, count) -> {
            for (long i = first; i < first + count; i++) {
                Receiver receiver = new Receiver(THERE);
                receiver.awaitSender();
                receiver.subscription.close();
                rival.sample();
            }
        });
        if (made != null) {
            made.publication.close();
        }
    }

    /** Makes publications as small as they can be. */
    private void memory() throws IOException {
        List<Publication> kept = new ArrayList<>();
        rival.serve(() -> { }, (first, count) -> {
            for (long i = first; i < first + count; i++) {
                kept.add(aeron.addExclusivePublication(channel(rival), (int) i + 1));
                rival.sample();
            }
        });
    }

    private static void server(Rival rival) throws IOException {
        MediaDriver.Context context = new MediaDriver.Context()
            .aeronDirectoryName(directory(rival))
            .dirDeleteOnStart(true)
            .dirDeleteOnShutdown(true)
            .threadingMode(ThreadingMode.SHARED)
            .sharedIdleStrategy(new BackoffIdleStrategy())
            .termBufferSparseFile(false);
        MediaDriver driver = MediaDriver.launch(context);
        try {
            Rival.say("ready pids=" + ProcessHandle.current().pid());
            System.in.readAllBytes();
        } finally {
            driver.close();
        }
    }

    private static String unsupported(Rival rival) {
        switch (rival.workload) {
            case "oneway":
                return rival.consumers > 1 ? "every subscriber gets every message"
                    : rival.batch > 1 ? "offers one message at a time" : null;
            case "roundtrip":
            case "idle":
            case "attach":
            case "memory":
            case "serve":
                return null;
            default:
                return "has no such operation";
        }
    }

    private void work() throws IOException {
        try (aeron) {
            if (rival.workload.equals("roundtrip") || rival.workload.equals("oneway")) {
                warmUp();
            }
            switch (rival.workload) {
                case "roundtrip" -> roundtrip();
                case "oneway" -> oneway();
                case "idle" -> sleep();
                case "attach" -> attach();
                default -> memory();
            }
        }
    }

    public static void main(String[] arguments) throws IOException {
        if (arguments.length == 1 && arguments[0].equals("describe")) {
            Rival.say("Aeron " + AeronVersion.VERSION + " IPC, Java " + Runtime.version().feature()
                + ": exclusive publications, media driver of one thread, frames of 64 KiB");
            return;
        }
        if (arguments.length < 2) {
            System.err.println("usage: aeron WORKLOAD ROLE KEY=VALUE..., or describe");
            System.exit(2);
        }
        Rival rival = new Rival(arguments);
        String reason = unsupported(rival);
        if (reason != null) {
            Rival.say("unsupported " + reason);
        } else if (rival.workload.equals("serve")) {
            server(rival);
        } else {
            new AeronRival(rival).work();
        }
    }
}
