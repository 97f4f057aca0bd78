// SPDX-License-Identifier: Apache-2.0
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.agrona.DirectBuffer;
import org.agrona.MutableDirectBuffer;

/**
 * The Java side of the protocol between shmd-rivals and its adapters, which ../../doc.go describes: what rival.h is for
 * C. Arguments, `ready`, `go N`, `done`, samples, and messages whose bytes are checked. Operations are counted from 0
 * over all `go`s. For one thread.
 */
final class Rival {
    static final long ANY = -1;

    /** Does operations first, first + 1 and so on, count in all, and calls sample() after each. */
    interface Run {
        void run(long first, long count);
    }

    final String workload;
    final String role;
    final String name;
    /** Of a message, a multiple of 8. */
    final int sizeBytes;
    final int batch;
    final int index;
    final int producers;
    final int consumers;
    final boolean verify;
    final boolean touch;
    final boolean spins;

    private final Map<String, String> keys = new HashMap<>();
    private final String samples;
    private final byte[] pattern;
    private final long patternSum;
    private final long[] last = new long[64];
    private long done;
    /** Of what was put or taken in this `go`: both sides' must agree. */
    private long sum;
    private long[] samplesNs;
    private int samplesCount;
    private long sampledNs;

    Rival(String[] arguments) {
        workload = arguments[0];
        role = arguments[1];
        for (String argument : Arrays.copyOfRange(arguments, 2, arguments.length)) {
            String[] pair = argument.split("=", 2);
            keys.put(pair[0], pair[1]);
        }
        name = keys.getOrDefault("name", "rival");
        samples = keys.get("samples");
        sizeBytes = integer("size", 8);
        batch = integer("batch", 1);
        index = integer("index", 0);
        producers = integer("producers", 1);
        consumers = integer("consumers", 1);
        verify = integer("verify", 0) != 0;
        touch = integer("touch", 1) != 0;
        spins = keys.getOrDefault("wait", "block").equals("spin");
        if (sizeBytes <= 0 || sizeBytes % 8 != 0) {
            fail("size=" + sizeBytes + " is no multiple of 8");
        }
        ByteBuffer words = ByteBuffer.allocate(sizeBytes).order(ByteOrder.LITTLE_ENDIAN);
        long between = 0;
        for (int j = 0; j < sizeBytes / 8; j++) {
            words.putLong(word(0, j));
            between += j > 0 && j + 1 < sizeBytes / 8 ? word(0, j) : 0;
        }
        pattern = words.array();
        patternSum = between;
    }

    private int integer(String key, int otherwise) {
        return Integer.parseInt(keys.getOrDefault(key, Integer.toString(otherwise)));
    }

    static void fail(String what) {
        System.err.println("aeron: " + what);
        // What may be in the way of a clean end is not waited for.
        Runtime.getRuntime().halt(1);
    }

    static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    long number(long i) {
        return (long) index << 48 | i;
    }

    /** What a consumer of `oneway` expects: with one producer each message in turn. */
    long expected(long i) {
        return producers <= 1 && consumers <= 1 ? i : ANY;
    }

    /** A word of a message that is checked whole. */
    private static long word(long number, int j) {
        return (number + 1) * 0x9e3779b97f4a7c15L + j;
    }

    /**
     * Writes a message where the system has it. The first and the last word are its number, which has the producer's
     * index in the upper 16 bits. What is between is the same in each, or with verify depends on the number.
     */
    void fill(MutableDirectBuffer buffer, int offset, long number) {
        if (verify) {
            for (int j = 0; j < sizeBytes / 8; j++) {
                buffer.putLong(offset + 8 * j, word(number, j), ByteOrder.LITTLE_ENDIAN);
            }
            sum += word(number, sizeBytes / 8);
        } else if (touch && sizeBytes > 16) {
            buffer.putBytes(offset, pattern, 0, sizeBytes);
        }
        buffer.putLong(offset, number, ByteOrder.LITTLE_ENDIAN);
        if (verify || touch) {
            buffer.putLong(offset + sizeBytes - 8, number, ByteOrder.LITTLE_ENDIAN);
        }
    }

    /** Writes the number of a message that the system copies, and with verify all of it. */
    void number(MutableDirectBuffer buffer, long number) {
        if (verify) {
            fill(buffer, 0, number);
        } else {
            buffer.putLong(0, number, ByteOrder.LITTLE_ENDIAN);
            buffer.putLong(sizeBytes - 8, number, ByteOrder.LITTLE_ENDIAN);
        }
    }

    /** Reads a message of length bytes that shall have that number, or ANY; returns the one it has. */
    long check(DirectBuffer buffer, int offset, int length, long number) {
        if (length != sizeBytes) {
            fail("a message of " + length + " bytes instead of " + sizeBytes);
        }
        long got = buffer.getLong(offset, ByteOrder.LITTLE_ENDIAN);
        if (number != ANY && got != number) {
            fail("message " + Long.toHexString(got) + " instead of " + Long.toHexString(number));
        }
        if (verify) {
            checkWhole(buffer, offset, got);
        } else if (touch && sizeBytes > 8) {
            long found = 0;
            for (int j = 0; j < sizeBytes; j += 8) {
                found += buffer.getLong(offset + j, ByteOrder.LITTLE_ENDIAN);
            }
            if (found != patternSum + 2 * got) {
                fail("message " + Long.toHexString(got) + " is damaged");
            }
        }
        return got;
    }

    private void checkWhole(DirectBuffer buffer, int offset, long got) {
        int count = sizeBytes / 8;
        if (buffer.getLong(offset + sizeBytes - 8, ByteOrder.LITTLE_ENDIAN) != got) {
            fail("message " + Long.toHexString(got) + " has another one's end");
        }
        int producer = (int) (got >>> 48);
        long i = (got & (1L << 48) - 1) + 1;
        if (i <= last[producer]) {
            fail("message " + Long.toHexString(got) + " came after a later one, or twice");
        }
        last[producer] = i;
        for (int j = 1; j + 1 < count; j++) {
            if (buffer.getLong(offset + 8 * j, ByteOrder.LITTLE_ENDIAN) != word(got, j)) {
                fail("message " + Long.toHexString(got) + " is damaged in word " + j);
            }
        }
        sum += word(got, count);
    }

    /** As if no message had come yet. */
    void forget() {
        Arrays.fill(last, 0);
    }

    /** An operation ends, and the next one begins. */
    void sample() {
        if (samplesNs != null) {
            long now = System.nanoTime();
            samplesNs[samplesCount++] = now - sampledNs;
            sampledNs = now;
        }
    }

    /** Answers the runner's lines until there are none. Before the clock runs, prepare is called. */
    void serve(Runnable prepare, Run run) throws IOException {
        say("ready");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            if (!line.startsWith("go ")) {
                fail("no command: " + line);
            }
            prepare.run();
            go(Long.parseLong(line.substring(3)), run);
        }
    }

    private void go(long count, Run run) throws IOException {
        sum = 0;
        samplesCount = 0;
        samplesNs = samples != null ? new long[(int) count] : null;
        // On Linux this is CLOCK_MONOTONIC.
        long begin = System.nanoTime();
        sampledNs = begin;
        run.run(done, count);
        long end = System.nanoTime();
        done += count;
        if (samples != null) {
            ByteBuffer bytes = ByteBuffer.allocate(8 * samplesCount).order(ByteOrder.LITTLE_ENDIAN);
            bytes.asLongBuffer().put(samplesNs, 0, samplesCount);
            Files.write(Path.of(samples), bytes.array());
        }
        say("done " + (end - begin) + " begin=" + begin + " end=" + end
            + (verify ? " sum=" + Long.toUnsignedString(sum) : ""));
    }
}
